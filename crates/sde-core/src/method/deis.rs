//! Adams–Bashforth for the probability flow with noise prediction.

use numeric::ndarray::ArrayRef2;
use numeric::{Error, Model, Prediction, Real, Scratch, Time, VectorField};

use super::adams::{MOST, exponential_moments, weights};
use super::gap::{Gap, Slope, predict, ratio_at};
use super::{History, Method, Step};
use crate::LinearProcess;
use crate::ode::gap as passed;
use crate::sde::coefficients::slice_mut;
use crate::sum::{Sum, Target};

/// The variable in which [`Deis`] extrapolates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Extrapolation {
    /// The noise-to-signal ratio r = σ/α: the classical Adams–Bashforth method, ρAB. Known as *LMS*.
    Ratio,
    /// The half log-SNR −ln r.
    LogSnr,
    /// The time of the process: tAB, the one that the paper recommends.
    Time,
}

/// DEIS: Adams–Bashforth of order 1 to 4 for the probability flow with noise prediction, on any grid.
///
/// ```math
/// u' = u + \int_r^{r'} P\, dr, \qquad \frac{du}{dr} = \varepsilon(u) = \frac{u - m(u)}{r},\quad u = x/\alpha,\ r = \sigma/\alpha,
/// ```
/// P being the polynomial through the last values of ε, in a variable of your choice. Order 1 is DDIM. The weights
/// are exact for the ratio and the log-SNR; for the time they take a Gauss rule of 8 points per step, in a variable
/// that is smooth at the data. The first steps use as many values as there are. A step to the data themselves is of
/// order 1 for [`Extrapolation::LogSnr`], in which they are infinitely far. At r = ∞ ε is x/σ: the step from there is
/// that of DDIM, and ε is remembered for [`Extrapolation::Time`] only, in which it is not infinitely far. Where r is large, u and r ε
/// are large and nearly equal: in `f32` a method with data prediction loses less.
///
/// # Convergence
/// Its order for smooth denoisers, but for the start: the first step, of length h₀, is of first order and leaves
/// O(h₀²), the second O(h₁³). That is small where a run starts in noise, and costs no order if these steps are
/// shorter, `h₀ = O(h^{p/2})`.
/// # Randomness
/// None after the start.
/// # Complexity
/// One model evaluation per step; as many predictions as the order are remembered.
///
/// ```
/// use numeric::{Noise, ndarray::array};
/// use sde_core::{Deis, Extrapolation, Mixture, Ou, Sampler, grid};
/// # fn main() -> Result<(), numeric::Error> {
/// for variable in [Extrapolation::Ratio, Extrapolation::LogSnr, Extrapolation::Time] {
///     let model = Mixture::atoms(&array![[-1.0], [1.0]], None)?.denoiser::<f64, _>(Ou);
///     let sampler = Sampler::new(model, Deis::new(3, variable)?, grid::geometric_v(4.0, 1e-4, 20)?)?;
///     let x = sampler.sample(0..50, Noise::new(1), Default::default())?;
///     assert!(x.iter().all(|x: &f64| (x.abs() - 1.0).abs() < 0.05));   // at one of the two atoms
/// }
/// # Ok(()) }
/// ```
///
/// # References
/// Zhang and Chen (2023), *Fast sampling of diffusion models with exponential integrator*, section 3.3.
#[doc(alias = "Lms")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deis {
    order: usize,
    variable: Extrapolation,
}

impl Deis {
    /// The method of that order, extrapolating in `variable`.
    ///
    /// # Errors
    /// [`Error::Domain`] unless `order` is 1 to 4.
    pub fn new(order: usize, variable: Extrapolation) -> Result<Deis, Error> {
        Error::domain((1..=MOST).contains(&order), "order", order as f64, "1 to 4")?;
        Ok(Deis { order, variable })
    }

    /// The place of `time` on the step, 0 at its start and 1 at its end, in the variable.
    fn place(&self, process: &impl LinearProcess, gap: &Gap, step: Step<'_>, time: Time) -> f64 {
        match self.variable {
            Extrapolation::Ratio => (gap.from - ratio_at(process, time)) / (gap.from * gap.lost),
            Extrapolation::LogSnr => gap.node(ratio_at(process, time)),
            Extrapolation::Time => passed(step.from, time) / passed(step.from, step.to),
        }
    }

    /// `∫ p^k dr` over the step, p being the place.
    fn moments(&self, process: &impl LinearProcess, gap: &Gap, step: Step<'_>) -> [f64; MOST] {
        let change = gap.change();
        match self.variable {
            Extrapolation::Ratio => [1.0, 0.5, 1.0 / 3.0, 0.25].map(|moment| change * moment),
            // dr = −r e^{−hp} h dp, and e^{−hp} = e^{−h} e^{h(1 − p)}.
            Extrapolation::LogSnr => exponential_moments(gap.h).map(|moment| -gap.to * gap.h * moment),
            Extrapolation::Time => {
                // By parts, ∫ p^k dr = r' − k ∫ p^{k−1} r dp, with r − r' for r: there is less to cancel.
                let mut moments = [change, 0.0, 0.0, 0.0];
                for (q, weight) in gauss() {
                    // p = 1 − q²: where r leaves the data like a root of the time, it is smooth in q.
                    let (p, weight) = (1.0 - q * q, 2.0 * q * weight);
                    let above = ratio_at(process, step.from.between(step.to, p)) - gap.to;
                    for (k, moment) in moments.iter_mut().enumerate().skip(1) {
                        let k = i32::try_from(k).expect("small");
                        *moment -= weight * f64::from(k) * p.powi(k - 1) * above;
                    }
                }
                moments
            }
        }
    }
}

impl<F: Real, V: VectorField<F>, S: LinearProcess> Method<F, Model<V, S>> for Deis {
    fn name(&self) -> &'static str {
        match self.variable {
            Extrapolation::Ratio => "DEIS (ρAB, LMS)",
            Extrapolation::LogSnr => "DEIS (log-SNR)",
            Extrapolation::Time => "DEIS (tAB)",
        }
    }

    fn step(
        &self,
        model: &Model<V, S>,
        step: Step<'_>,
        x: &mut ArrayRef2<F>,
        history: &mut History<F>,
        scratch: &mut Scratch,
    ) -> Result<(), Error> {
        let process = &model.schedule;
        let gap = Gap::of(process, step.from, step.to)?;
        if gap.starts_in_noise() {
            let m = predict(model, Prediction::Denoised, step.rows, step.from, x, scratch)?;
            if self.variable == Extrapolation::Time {
                let sigma = F::of(process.level(step.from).sigma);
                history.push(step.from, &x.mapv(|x| x / sigma), self.order);
            }
            gap.advance(x, gap.rho_of_x(), &[(gap.lost, &*m)]);
            scratch.put(m);
            return Ok(());
        }
        let far = gap.ends_at_data() && self.variable == Extrapolation::LogSnr;
        let used = if far { 1 } else { self.order.min(history.len() + 1) };
        let earlier = |back: usize| history.get(back - 1).expect("as many as were counted");
        let mut places = [0.0; MOST];
        for (back, place) in places.iter_mut().enumerate().take(used).skip(1) {
            *place = self.place(process, &gap, step, earlier(back).0);
        }
        let b = if used == 1 {
            [gap.change(), 0.0, 0.0, 0.0]
        } else {
            weights(&places[..used], self.moments(process, &gap, step))
        };
        let Slope { mut raw, of_x, of_raw } = Slope::at(model, step.rows, step.from, x, scratch)?;
        // What the model predicts becomes the slope where it is added.
        let first = gap.alpha * b[0];
        let known = Sum::of_x(gap.grow + first * of_x);
        let sum = (1..used).fold(known, |sum, back| sum.and(gap.alpha * b[back], earlier(back).1));
        sum.write(Target::Turning {
            x: slice_mut(x),
            raw: slice_mut(&mut raw),
            of_raw: F::of(first * of_raw),
            turn: [of_x, of_raw].map(F::of),
        });
        if let Some(forgotten) = history.push_array(step.from, raw, self.order) {
            scratch.put(forgotten);
        }
        Ok(())
    }
}

/// Points and weights of the Gauss–Legendre rule of 8 points on [0, 1].
fn gauss() -> impl Iterator<Item = (f64, f64)> {
    const HALF: [(f64, f64); 4] = [
        (0.183_434_642_495_649_8, 0.362_683_783_378_362),
        (0.525_532_409_916_329, 0.313_706_645_877_887_3),
        (0.796_666_477_413_626_7, 0.222_381_034_453_374_48),
        (0.960_289_856_497_536_3, 0.101_228_536_290_376_26),
    ];
    HALF.into_iter().flat_map(|(x, w)| [(0.5 * (1.0 - x), 0.5 * w), (0.5 * (1.0 + x), 0.5 * w)])
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_rule_is_exact_for_degree_15() {
        for k in 0..16 {
            let sum: f64 = super::gauss().map(|(x, w)| w * x.powi(k)).sum();
            assert!((sum - 1.0 / f64::from(k + 1)).abs() < 1e-15, "{k}");
        }
    }
}
