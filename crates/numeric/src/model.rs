//! Models: a field, what it predicts, and the schedule of the process it was made for.

use ndarray::ArrayRef2;

use crate::{Batch, Batching, Error, Real, Scratch, Time, Times, VectorField, vectorize};

/// The linear kernel `x_t = α x_0 + σ z`, z ~ N(0, I), at one time, with its time derivatives.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Level {
    /// Factor α of the data.
    pub alpha: f64,
    /// Standard deviation σ of the noise.
    pub sigma: f64,
    /// dα/dt.
    pub d_alpha: f64,
    /// dσ/dt; infinite where σ leaves 0 like a square root.
    pub d_sigma: f64,
}

impl Level {
    /// Signal-to-noise ratio α²/σ², infinite at σ = 0.
    #[must_use]
    pub fn snr(&self) -> f64 {
        (self.alpha / self.sigma).powi(2)
    }
}

/// A linear noising process: the kernel `x_t | x_0 ~ N(α(t) x_0, σ(t)² I)` at every time.
pub trait Schedule: Send + Sync {
    /// α, σ and their derivatives at a time. Both α and σ are exact to a few units in the last place also
    /// next to the ends of the axis.
    fn level(&self, time: Time) -> Level;

    /// Replaces `out` by the levels at many times, one for each; to the accuracy of [`level`](Self::level), though not
    /// always with its bits. The level of a time does not depend on the others.
    fn levels_into(&self, times: &[Time], out: &mut Vec<Level>) {
        out.clear();
        out.extend(times.iter().map(|&time| self.level(time)));
    }
}

impl<S: Schedule + ?Sized> Schedule for &S {
    fn level(&self, time: Time) -> Level {
        (**self).level(time)
    }
    fn levels_into(&self, times: &[Time], out: &mut Vec<Level>) {
        (**self).levels_into(times, out);
    }
}

/// What a field predicts. With `ε = (x − α x_0)/σ`, each prediction is the conditional mean given `x_t = x` of
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Prediction {
    /// the score `∇ log q_t(x) = −E[ε]/σ`.
    Score,
    /// the noise `ε`.
    Noise,
    /// the clean sample `x_0`: a denoiser.
    Denoised,
    /// `v = α ε − σ x_0` (Salimans and Ho 2022).
    V,
    /// the velocity `α' x_0 + σ' ε` of the probability flow (flow matching).
    Velocity,
    /// the raw network F of Karras et al. (2022), which is *given* the scaled input
    /// `x/α · 1/√(σ̃² + σ_d²)`, σ̃ = σ/α, and predicts `x_0 = σ_d²/s² x/α + σ̃ σ_d/s F`, `s² = σ̃² + σ_d²`. In noise
    /// without signal, α = 0, that is the limit: the input is x/σ, and F predicts `x_0/σ_d`.
    Edm {
        /// Standard deviation σ_d of the data.
        sigma_data: f64,
    },
}

impl Prediction {
    /// Coefficients (a, b) of the prediction as `a x_0 + b ε`.
    #[inline]
    fn in_terms_of_signal_and_noise(self, level: Level) -> (f64, f64) {
        let Level { alpha, sigma, d_alpha, d_sigma } = level;
        match self {
            Prediction::Score => (0.0, -1.0 / sigma),
            Prediction::Noise => (0.0, 1.0),
            Prediction::Denoised => (1.0, 0.0),
            Prediction::V => (-sigma, alpha),
            Prediction::Velocity => (d_alpha, d_sigma),
            Prediction::Edm { sigma_data } => {
                // α s, which has a limit where σ/α does not: at α = 0 F is x_0/σ_d.
                let size = sigma.hypot(alpha * sigma_data);
                (sigma / size / sigma_data, -sigma_data * (alpha / size))
            }
        }
    }

    /// The scale by which the field's input differs from `x`: 1 but for [`Edm`](Prediction::Edm).
    #[must_use]
    #[inline]
    pub fn input_scale(self, level: Level) -> f64 {
        match self {
            Prediction::Edm { sigma_data } => 1.0 / (level.sigma.hypot(level.alpha * sigma_data)),
            _ => 1.0,
        }
    }

    /// The conversion `to = a x + b from` between two predictions at one level, as (a, b).
    ///
    /// Both are linear in (x_0, ε), and so is x; hence a 2×2 system, with coefficients that vanish exactly
    /// where they should (the score from the noise has a = 0).
    ///
    /// # Errors
    /// [`Error::Domain`] where the conversion does not exist at this level: the score at σ = 0, anything from
    /// the noise at α = 0, x_0 from the noise at σ = 0 is x/α and exists.
    ///
    /// ```
    /// use numeric::{Level, Prediction};
    /// let level = Level { alpha: 0.8, sigma: 0.6, d_alpha: -0.8, d_sigma: 16.0 / 15.0 };
    /// // Tweedie: x_0 = (x + σ² s)/α
    /// let (a, b) = Prediction::Score.conversion(Prediction::Denoised, level)?;
    /// assert!((a - 1.0 / 0.8).abs() < 1e-15 && (b - 0.36 / 0.8).abs() < 1e-15);
    /// # Ok::<(), numeric::Error>(())
    /// ```
    #[inline]
    pub fn conversion(self, to: Prediction, level: Level) -> Result<(f64, f64), Error> {
        if self == to {
            return Ok((0.0, 1.0));
        }
        let (from_signal, from_noise) = self.in_terms_of_signal_and_noise(level);
        let (to_signal, to_noise) = to.in_terms_of_signal_and_noise(level);
        let determinant = level.alpha * from_noise - level.sigma * from_signal;
        let a = (to_signal * from_noise - to_noise * from_signal) / determinant;
        let b = (level.alpha * to_noise - level.sigma * to_signal) / determinant;
        Error::domain(
            a.is_finite() && b.is_finite(),
            "level.sigma",
            level.sigma,
            "a level at which this prediction determines that one",
        )?;
        Ok((a, b))
    }
}

/// A field together with what it predicts and the schedule it was made for.
///
/// Samplers take models, never bare fields: a noise prediction cannot be passed where a denoiser is meant.
///
/// ```
/// use ndarray::array;
/// use numeric::{Batch, Error, Level, Model, Prediction, Schedule, Scratch, Time, Times, from_row_fn};
/// struct Ou;
/// impl Schedule for Ou {
///     fn level(&self, time: Time) -> Level {
///         let alpha = (-time.t).exp();
///         let sigma = (-(-2.0 * time.t).exp_m1()).sqrt();
///         Level { alpha, sigma, d_alpha: -alpha, d_sigma: alpha * alpha / sigma }
///     }
/// }
/// # fn main() -> Result<(), Error> {
/// // The score of N(0, I) is −x at every time; its denoiser is e^{−t} x.
/// let score = from_row_fn(1, |_, x, out: &mut [f64]| { out[0] = -x[0]; Ok(()) });
/// let model = Model::new(score, Prediction::Score, Ou);
/// let (x, mut out) = (array![[2.0]], array![[0.0]]);
/// let batch = Batch::new(&[0], Times::Same(Time::of(0.5)), &x);
/// model.predict_into(Prediction::Denoised, &batch, &mut out, &mut Scratch::new())?;
/// assert!((out[(0, 0)] - 2.0 * (-0.5_f64).exp()).abs() < 1e-15);
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Model<V, S> {
    /// The field.
    pub field: V,
    /// What it predicts.
    pub prediction: Prediction,
    /// The schedule of the process it was made for.
    pub schedule: S,
}

impl<V, S: Schedule> Model<V, S> {
    /// Declares that `field` predicts `prediction` for the process of `schedule`.
    pub fn new(field: V, prediction: Prediction, schedule: S) -> Model<V, S> {
        Model { field, prediction, schedule }
    }

    /// Writes the prediction `what` at each row over `out`, `(n, d)`, whatever the field predicts.
    ///
    /// # Errors
    /// The field's own, and [`Error::Domain`] where the conversion does not exist
    /// (see [`Prediction::conversion`]).
    pub fn predict_into<F: Real>(
        &self,
        what: Prediction,
        batch: &Batch<'_, F>,
        out: &mut ArrayRef2<F>,
        scratch: &mut Scratch,
    ) -> Result<(), Error>
    where
        V: VectorField<F>,
    {
        if what == self.prediction && !matches!(what, Prediction::Edm { .. }) {
            return self.field.eval_into(batch, out, scratch);
        }
        self.raw_into(batch, out, scratch)?;
        let convert = |time: Time| self.prediction.conversion(what, self.schedule.level(time));
        match batch.times() {
            Times::Same(time) => {
                let (a, b) = convert(time)?;
                let (a, b) = (F::of(a), F::of(b));
                let Some(values) = out.as_slice_mut() else {
                    out.zip_mut_with(batch.x(), |p, &x| *p = a * x + b * *p);
                    return Ok(());
                };
                vectorize(
                    #[inline(always)]
                    || {
                        for (p, &x) in values.iter_mut().zip(batch.x_slice()) {
                            *p = a * x + b * *p;
                        }
                    },
                );
            }
            Times::PerRow(times) => {
                for ((mut row, x), &time) in out.rows_mut().into_iter().zip(batch.x().rows()).zip(times) {
                    let (a, b) = convert(time)?;
                    let (a, b) = (F::of(a), F::of(b));
                    row.zip_mut_with(&x, |p, &x| *p = a * x + b * *p);
                }
            }
        }
        Ok(())
    }

    /// Writes the field's own prediction at each row over `out`, `(n, d)`.
    ///
    /// The field is evaluated at its own input, which differs from `x` by a scale for [`Prediction::Edm`].
    ///
    /// # Errors
    /// The field's own.
    pub fn raw_into<F: Real>(
        &self,
        batch: &Batch<'_, F>,
        out: &mut ArrayRef2<F>,
        scratch: &mut Scratch,
    ) -> Result<(), Error>
    where
        V: VectorField<F>,
    {
        if !matches!(self.prediction, Prediction::Edm { .. }) {
            return self.field.eval_into(batch, out, scratch);
        }
        let mut input = batch.x().to_owned();
        for (i, mut row) in input.rows_mut().into_iter().enumerate() {
            let scale = self.prediction.input_scale(self.schedule.level(batch.times().get(i)));
            row.mapv_inplace(|x| F::of(scale) * x);
        }
        self.field.eval_into(&batch.at(&input), out, scratch)
    }

    /// The field that predicts `what`: the adapter around this model.
    pub fn predicting(&self, what: Prediction) -> Predicting<'_, V, S> {
        Predicting { model: self, what }
    }
}

/// A model seen as the field of another prediction; see [`Model::predicting`].
#[derive(Clone, Copy, Debug)]
pub struct Predicting<'m, V, S> {
    model: &'m Model<V, S>,
    what: Prediction,
}

impl<F: Real, V: VectorField<F>, S: Schedule> VectorField<F> for Predicting<'_, V, S> {
    fn dim(&self) -> usize {
        self.model.field.dim()
    }
    fn eval_into(&self, batch: &Batch<'_, F>, out: &mut ArrayRef2<F>, s: &mut Scratch) -> Result<(), Error> {
        self.model.predict_into(self.what, batch, out, s)
    }
    fn batching(&self) -> Batching {
        self.model.field.batching()
    }
}
