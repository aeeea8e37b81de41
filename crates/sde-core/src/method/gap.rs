//! A step as every reverse-time method sees it: in `u = x/α`, by the noise-to-signal ratio `r = σ/α`.

use numeric::ndarray::{Array2, ArrayRef2};
use numeric::{Batch, Error, Model, Prediction, Real, Schedule, Scratch, Time, Times, VectorField};

use super::Step;
use crate::LinearProcess;
use crate::sde::coefficients::{slice, slice_mut};
use crate::sum::{Sum, Target};

/// The step from ratio r to r' < r. With `λ = −ln r`, the half log-SNR, its length is `h = λ' − λ = −ln ρ`.
///
/// Everything is finite at r' = 0 but h, which is +∞. At r = ∞, where there is no signal, h and α'/α are +∞: there the
/// factors of x are those of [`of_x`](Self::of_x), and a method whose step has no limit asks for
/// [`with_signal`](Self::with_signal).
#[derive(Clone, Copy, Debug)]
pub(super) struct Gap {
    /// r = σ/α at the start.
    pub(super) from: f64,
    /// r' at the end.
    pub(super) to: f64,
    /// ρ = r'/r.
    pub(super) rho: f64,
    /// 1 − ρ.
    pub(super) lost: f64,
    /// 1 − ρ², the share of the noise at the start that is fresh since the end.
    pub(super) fresh: f64,
    /// h = −ln ρ.
    pub(super) h: f64,
    /// α'/α, the factor that carries x along at constant u.
    pub(super) grow: f64,
    /// α'.
    pub(super) alpha: f64,
    /// σ'/σ = ρ α'/α, the factor that carries x along at constant u/r.
    shrink: f64,
}

impl Gap {
    /// # Errors
    /// [`Error::Domain`] unless σ is finite and r' is less than r.
    pub(super) fn of(process: &impl LinearProcess, from: Time, to: Time) -> Result<Gap, Error> {
        let (s, t) = (process.level(from), process.level(to));
        let (r, r_to) = (s.sigma / s.alpha, t.sigma / t.alpha);
        Error::domain(s.sigma.is_finite(), "step.from", s.sigma, "a time with noise of finite variance")?;
        Error::domain(r_to >= 0.0 && r_to < r, "step.to", r_to, "less noise per signal than at the start")?;
        let rho = r_to / r;
        let noise = r == f64::INFINITY;
        let fresh = if noise { 1.0 } else { process.fresh_share(to, from) };
        let h = if fresh < 0.5 { -0.5 * (-fresh).ln_1p() } else { -rho.ln() };
        let grow = t.alpha / s.alpha;
        Ok(Gap {
            from: r,
            to: r_to,
            rho,
            lost: fresh / (1.0 + rho),
            fresh,
            h,
            grow,
            alpha: t.alpha,
            shrink: if noise { t.sigma / s.sigma } else { rho * grow },
        })
    }

    /// Whether the step starts in noise without signal, r = ∞.
    pub(super) fn starts_in_noise(&self) -> bool {
        self.from == f64::INFINITY
    }

    /// The step, for a method that has no limit as r → ∞.
    ///
    /// # Errors
    /// [`Error::Unsupported`] with the reason if r = ∞.
    pub(super) fn with_signal(self, method: &'static str, reason: &'static str) -> Result<Gap, Error> {
        if self.starts_in_noise() { Err(Error::Unsupported { method, reason }) } else { Ok(self) }
    }

    /// The factor of x for a factor `kept` of u of which `kept/ρ` tends to `limit` as r → ∞.
    pub(super) fn of_x(&self, kept: f64, limit: f64) -> f64 {
        if self.starts_in_noise() { limit * self.shrink } else { kept * self.grow }
    }

    /// The factor of x for the factor ρ of u.
    pub(super) fn rho_of_x(&self) -> f64 {
        self.shrink
    }

    /// r' − r, the weight of a frozen slope ε.
    pub(super) fn change(&self) -> f64 {
        -self.from * self.lost
    }

    /// `(ρ^p, 1 − ρ^p)` for p ≥ 0.
    pub(super) fn kept(&self, p: f64) -> (f64, f64) {
        // At r' = 0 the exponent of p = 0 would be 0·∞.
        if p == 0.0 { (1.0, 0.0) } else { ((-p * self.h).exp(), -(-p * self.h).exp_m1()) }
    }

    /// The posterior step's mean as (a, b) of `a x + b E[x_0|x]`: in u, `E[u' | u] = m + ρ² (u − m)`.
    pub(super) fn posterior_mean(&self) -> (f64, f64) {
        (self.of_x(self.rho * self.rho, 0.0), self.alpha * self.fresh)
    }

    /// Variance of the posterior step of x given `x_0`: `α'² v' (v − v')/v`, `v = r²`.
    pub(super) fn bridge_variance(&self) -> f64 {
        (self.alpha * self.to).powi(2) * self.fresh
    }

    /// The step to that share of r', at most 1, on the way to r': where a step that adds noise goes down to first.
    pub(super) fn down_to(self, share: f64) -> Gap {
        let ratio = self.to * share;
        let rho = ratio / self.from;
        let shrink = self.of_x(rho, share);
        Gap {
            to: ratio,
            rho,
            lost: 1.0 - rho,
            fresh: (1.0 - rho) * (1.0 + rho),
            h: -rho.ln(),
            shrink,
            ..self
        }
    }

    /// Whether the step ends at the data themselves.
    pub(super) fn ends_at_data(&self) -> bool {
        self.to == 0.0
    }

    /// `x' = a x + α' Σ b p`: the factor a is that of x, the others are those of u; up to five terms.
    pub(super) fn advance<F: Real>(&self, x: &mut ArrayRef2<F>, a: f64, terms: &[(f64, &ArrayRef2<F>)]) {
        Sum::new(a, self.alpha, terms).write(Target::InPlace(slice_mut(x)));
    }

    /// [`advance`](Self::advance), written over `out`.
    pub(super) fn advance_into<F: Real>(
        &self,
        out: &mut ArrayRef2<F>,
        x: &ArrayRef2<F>,
        a: f64,
        terms: &[(f64, &ArrayRef2<F>)],
    ) {
        Sum::new(a, self.alpha, terms).write(Target::Into { x: slice(x), out: slice_mut(out) });
    }

    /// The node `(λ_j − λ)/h` of an earlier ratio, at most 0.
    pub(super) fn node(&self, ratio: f64) -> f64 {
        (self.from / ratio).ln() / self.h
    }
}

/// `x = a x + b p`.
pub(super) fn axpby<F: Real>(a: f64, x: &mut ArrayRef2<F>, b: f64, p: &ArrayRef2<F>) {
    Sum::new(a, 1.0, &[(b, p)]).write(Target::InPlace(slice_mut(x)));
}

/// `x = a x`.
pub(super) fn scale<F: Real>(a: f64, x: &mut ArrayRef2<F>) {
    Sum::new(a, 1.0, &[]).write(Target::InPlace(slice_mut(x)));
}

/// `x = a x + std z` with the normals z of the step; nothing is drawn for a `std` of 0.
pub(super) fn disturb<F: Real>(
    step: Step<'_>,
    a: f64,
    x: &mut ArrayRef2<F>,
    std: f64,
    scratch: &mut Scratch,
) {
    if std > 0.0 {
        let mut z = take_array(x, scratch);
        step.noise.normals_into(step.rows, step.index, &mut z);
        axpby(a, x, std, &z);
        scratch.put(z);
    } else if a != 1.0 {
        scale(a, x);
    }
}

/// σ/α at a time.
pub(super) fn ratio_at(process: &impl Schedule, time: Time) -> f64 {
    let level = process.level(time);
    level.sigma / level.alpha
}

/// An array of the shape of `x`, with any contents; to be put back as it is.
pub(super) fn take_array<F: Real>(x: &ArrayRef2<F>, scratch: &mut Scratch) -> Array2<F> {
    let buffer: Array2<F> = scratch.take();
    if buffer.dim() == x.dim() { buffer } else { Array2::zeros(x.raw_dim()) }
}

/// The prediction `what` at `x` and `time`, in an array from the scratch.
pub(super) fn predict<F: Real, V: VectorField<F>, S: LinearProcess>(
    model: &Model<V, S>,
    what: Prediction,
    rows: &[u64],
    time: Time,
    x: &ArrayRef2<F>,
    scratch: &mut Scratch,
) -> Result<Array2<F>, Error> {
    let mut out = take_array(x, scratch);
    model.predict_into(what, &Batch::new(rows, Times::Same(time), x), &mut out, scratch)?;
    Ok(out)
}

/// What the model predicts at a point, and ε there as `of_x · x + of_raw · raw`: a sum takes it so in one pass.
pub(super) struct Slope<F> {
    pub(super) raw: Array2<F>,
    pub(super) of_x: f64,
    pub(super) of_raw: f64,
}

impl<F: Real> Slope<F> {
    pub(super) fn at<V: VectorField<F>, S: LinearProcess>(
        model: &Model<V, S>,
        rows: &[u64],
        time: Time,
        x: &ArrayRef2<F>,
        scratch: &mut Scratch,
    ) -> Result<Slope<F>, Error> {
        let (of_x, of_raw) = model.prediction.conversion(Prediction::Noise, model.schedule.level(time))?;
        let mut raw = take_array(x, scratch);
        model.raw_into(&Batch::new(rows, Times::Same(time), x), &mut raw, scratch)?;
        Ok(Slope { raw, of_x, of_raw })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Flow, Ou};

    /// `λ' − λ` of tiny steps, from the derivative of λ = ln(α/σ): for OU, `1/(1 − e^{−2τ})` per unit of τ.
    #[test]
    fn the_length_of_a_tiny_step_has_all_its_digits() {
        for (t, step) in [(0.3_f64, 1e-9), (2.0, 1e-12), (1e-3, 1e-13)] {
            let (from, to) = (Time::of(t), Time::of(t - step));
            let gap = Gap::of(&Ou, from, to).expect("towards the data");
            let (made, middle) = (from.t - to.t, 0.5 * (from.t + to.t));
            let exact = made / -(-2.0 * middle).exp_m1();
            assert!((gap.h / exact - 1.0).abs() < 1e-11, "{} for {exact}", gap.h);
            assert!((gap.lost / exact - 1.0).abs() < 2.0 * exact + 1e-11);
        }
    }

    #[test]
    fn steps_that_do_not_go_to_less_noise_are_refused() {
        let refused = |process: &dyn LinearProcess, from, to, what| {
            let found = Gap::of(&process, from, to);
            assert!(matches!(found, Err(Error::Domain { parameter, .. }) if parameter == what), "{found:?}");
        };
        refused(&Ou, Time::of(0.5), Time::of(0.5), "step.to");
        refused(&Ou, Time::of(0.5), Time::of(0.6), "step.to");
        refused(&Ou, Time::of(0.5), Time::of(f64::NAN), "step.to");
        refused(&Flow, Time { t: 1.0, to_end: 0.0 }, Time { t: 1.0, to_end: 0.0 }, "step.to");
        refused(&crate::Edm, Time::of(f64::INFINITY), Time::of(1.0), "step.from");
    }
}
