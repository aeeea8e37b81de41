//! The probability-flow equation of a model.

use std::f64::consts::FRAC_PI_2;
use std::ops::Range;

use numeric::ndarray::{Array2, ArrayRef2};
use numeric::{
    Batch, Batching, Control, Divergence, Error, JacobianProducts, Level, Model, Prediction, Real, Scratch,
    Time, TimeGrid, Times, VectorField, as_rows, vectorize,
};

use super::{OdeMethod, OdeSolver};
use crate::sum::{LONG, along_row, part, part_mut};
use crate::{Keep, LinearProcess, Start, Statistics};

/// The independent variable of a probability flow, and with it the scale of its states.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Variable {
    /// The time of the process; states are x.
    Time,
    /// The angle `φ = arctan(σ/α)`, from 0 at the data to π/2 at pure noise; states are `x/√(α² + σ²)`, which is x for
    /// variance-preserving processes.
    ///
    /// States and field stay of the size of the data and of unit noise over the whole way, whatever the process and
    /// its schedule. It is the variable to use: see the figures at [`ProbabilityFlow`].
    Angle,
}

/// The probability-flow equation of a model: the deterministic flow whose marginals are those of the process.
///
/// ```math
/// \frac{dx}{dt} = f(t)\,x - \tfrac12 g(t)^2\, \nabla \log q_t(x) = \alpha'\, \mathbb{E}[x_0 \mid x] + \sigma'\, \mathbb{E}[\varepsilon \mid x],
/// \qquad
/// \frac{d\tilde x}{d\varphi} = \cos\varphi\; \mathbb{E}[\varepsilon \mid x] - \sin\varphi\; \mathbb{E}[x_0 \mid x],
/// ```
/// the second in the variable [`Angle`](Variable::Angle). It is a [`VectorField`]; its Jacobian products and its
/// divergence are those of the model's field, which is multiplied by a number and added to a multiple of the identity.
///
/// Steps of [`Tsit5`](super::Tsit5) (accepted + rejected, mean of 1,000 rows) from clock 4 to 10⁻³ of OU, for the
/// mixture of eight components in 32 dimensions of the benches, and the largest error of a coordinate:
///
/// | variable | tolerances 10⁻⁴ | 10⁻⁶ | 10⁻⁸ |
/// |---|---|---|---|
/// | time | 8.2 + 2.8; 6.4 | 16.7 + 7.0; 1.8·10⁻⁵ | 36.2 + 13.8; 5·10⁻⁷ |
/// | angle | 7.6 + 0.0; 6·10⁻³ | 14.5 + 1.4; 5·10⁻⁵ | 31.3 + 3.3; 2·10⁻⁷ |
///
/// (At 10⁻⁴ in time one row, close to a boundary between components, ended in another component.)
/// In `σ/α` (Karras et al. 2022) and its logarithm, other candidates for the variable, more steps were needed than in
/// the angle at all three tolerances.
///
/// ```
/// use numeric::{Control, Time, ndarray::array};
/// use sde_core::ode::{ProbabilityFlow, Tsit5, Variable};
/// use sde_core::{Covariance, Mixture, Ou};
/// # fn main() -> Result<(), numeric::Error> {
/// // N(0, 4): the flow multiplies by the ratio of standard deviations, √(4 e^{−2τ} + 1 − e^{−2τ}).
/// let model = Mixture::gaussian(array![0.0], Covariance::Isotropic(4.0))?.denoiser::<f64, _>(Ou);
/// let flow = ProbabilityFlow::new(&model, Variable::Angle);
/// let (noise, data) = (Time::of(3.0), Time::of(1e-3));
/// let method = Tsit5::new(1e-9, 1e-9)?;
/// let std = |time: Time| (1.0 + 3.0 * (-2.0 * time.t).exp()).sqrt();
/// let x = flow.carry(&method, (noise, data), &array![[1.0]], 0..1, Control::default())?.0;
/// assert!((x[(0, 0)] - std(data) / std(noise)).abs() < 1e-8);
/// // And back: encoding.
/// let z = flow.carry(&method, (data, noise), &x, 0..1, Control::default())?.0;
/// assert!((z[(0, 0)] - 1.0).abs() < 1e-8);
/// # Ok(()) }
/// ```
///
/// # References
/// Song et al. (2021), *Score-based generative modeling through stochastic differential equations*, section 4.3;
/// Salimans and Ho (2022), *Progressive distillation for fast sampling of diffusion models* (the angle).
#[derive(Debug)]
pub struct ProbabilityFlow<'m, V, S> {
    model: &'m Model<V, S>,
    variable: Variable,
}

impl<V, S> Clone for ProbabilityFlow<'_, V, S> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<V, S> Copy for ProbabilityFlow<'_, V, S> {}

/// What the flow is at one value of its variable: `a y + b raw(scale · y)` with y the state.
#[derive(Clone, Copy, Debug)]
struct Coefficients {
    /// Model input over state: the scale of the states, and that of the prediction.
    input: f64,
    a: f64,
    b: f64,
}

impl<'m, V, S: LinearProcess> ProbabilityFlow<'m, V, S> {
    /// The flow of a model in a variable.
    pub fn new(model: &'m Model<V, S>, variable: Variable) -> ProbabilityFlow<'m, V, S> {
        ProbabilityFlow { model, variable }
    }

    /// The value of the variable at a time of the process.
    #[must_use]
    pub fn at(&self, time: Time) -> Time {
        match self.variable {
            Variable::Time => time,
            Variable::Angle => {
                let level = self.model.schedule.level(time);
                Time { t: level.sigma.atan2(level.alpha), to_end: level.alpha.atan2(level.sigma) }
            }
        }
    }

    /// The time of the process at a value of the variable.
    ///
    /// # Errors
    /// [`Error::Domain`] beyond the end of the process.
    pub fn time(&self, at: Time) -> Result<Time, Error> {
        match self.variable {
            Variable::Time => Ok(at),
            Variable::Angle => {
                let (angle, from_data) = nearer_end(at);
                let tan = angle.tan();
                self.model.schedule.time_at_ratio(if from_data { tan } else { 1.0 / tan })
            }
        }
    }

    /// [`time`](Self::time) of many values, of each by itself.
    fn times_into(&self, values: &[Time], ratios: &mut Vec<f64>, out: &mut Vec<Time>) -> Result<(), Error> {
        match self.variable {
            Variable::Time => {
                out.clear();
                out.extend_from_slice(values);
                Ok(())
            }
            Variable::Angle => {
                ratios.clear();
                ratios.extend(values.iter().map(|&at| nearer_end(at).0));
                numeric::tan_in_place(ratios);
                for (ratio, &at) in ratios.iter_mut().zip(values) {
                    *ratio = if nearer_end(at).1 { *ratio } else { 1.0 / *ratio };
                }
                self.model.schedule.times_at_ratios(ratios, out)
            }
        }
    }

    /// x over the state at a time of the process: 1, or `√(α² + σ²)`.
    #[must_use]
    pub fn scale(&self, time: Time) -> f64 {
        match self.variable {
            Variable::Time => 1.0,
            Variable::Angle => {
                let level = self.model.schedule.level(time);
                level.alpha.hypot(level.sigma)
            }
        }
    }

    /// Standard deviation of the law that a run starts from, at a time of the process, see
    /// [`LinearProcess::start_std`].
    #[must_use]
    pub fn start_std(&self, time: Time) -> f64 {
        self.model.schedule.start_std(time)
    }

    /// The grid of the variable for a grid of times of the process.
    ///
    /// # Errors
    /// As [`TimeGrid::from_times`].
    pub fn grid(&self, times: &TimeGrid) -> Result<TimeGrid, Error> {
        TimeGrid::from_times(times.nodes().iter().map(|&time| self.at(time)).collect())
    }

    /// The velocity in this variable as (a, b) of `a y + b p`, p the model's prediction as `what`, and the scale of y.
    fn velocity_from(&self, what: Prediction, level: Level) -> Result<(f64, f64, f64), Error> {
        let (target, scale) = match self.variable {
            Variable::Time => (Prediction::Velocity, 1.0),
            // Neither α nor σ is near the ends of the range of numbers.
            Variable::Angle => {
                let square = level.alpha * level.alpha + level.sigma * level.sigma;
                // Where α² + σ² = 1 but for the rounding of the levels, the scale is 1 and y is x.
                let unit = (square - 1.0).abs() < 4.0 * f64::EPSILON;
                (Prediction::V, if unit { 1.0 } else { square.sqrt() })
            }
        };
        let (a, b) = what.conversion(target, level)?;
        Ok((a, b / scale, scale))
    }

    fn coefficients(&self, level: Level) -> Result<Coefficients, Error> {
        let prediction = self.model.prediction;
        let (a, b, scale) = self.velocity_from(prediction, level)?;
        Ok(Coefficients { input: scale * prediction.input_scale(level), a, b })
    }

    /// The coefficient a of the identity in the Jacobian `a I + b ∂E[x_0|x]/∂x` of the field.
    ///
    /// # Errors
    /// [`Error::Domain`] where the velocity is not determined by the denoiser (σ = 0).
    pub fn identity_part(&self, at: Time) -> Result<f64, Error> {
        let level = self.model.schedule.level(self.time(at)?);
        Ok(self.velocity_from(Prediction::Denoised, level)?.0)
    }

    /// Carries the rows x from one time of the process to another, in either direction: encoding and decoding.
    ///
    /// `x` has one row for each of `rows`; returned are the states at `to`, `(n, d)`, and what they cost. Both times
    /// are those of the process and both states are x, whatever the variable in which the equation is solved.
    ///
    /// # Errors
    /// As [`OdeSolver::run`]; [`Error::Domain`] for times at which the flow does not exist (σ = 0).
    ///
    /// # Panics
    /// Never by itself.
    pub fn carry<F: Real, M>(
        &self,
        method: &M,
        (from, to): (Time, Time),
        x: &ArrayRef2<F>,
        rows: Range<u64>,
        control: Control<'_>,
    ) -> Result<(Array2<F>, Statistics), Error>
    where
        V: VectorField<F>,
        M: for<'a> OdeMethod<F, &'a ProbabilityFlow<'m, V, S>>,
    {
        let grid = TimeGrid::from_times(vec![self.at(from), self.at(to)])?;
        let solver = OdeSolver { field: self, method, grid };
        let (before, after) = (F::of(self.scale(from)), F::of(self.scale(to)));
        // Most processes have the scale 1 everywhere: x itself is the start.
        let scaled = (before != F::one()).then(|| x.mapv(|x| x / before));
        let start = scaled.as_deref().unwrap_or(x);
        let run = solver.run(Start::Rows(start), Keep::Last, rows, control)?;
        let (n, _, d) = run.states.dim();
        let end = run.states.into_shape_with_order((n, d)).expect("one state is kept");
        Ok((end.mapv_into(|x| x * after), run.statistics))
    }

    /// Runs `eval(batch, coefficients)` with the model's inputs, and the coefficients of each row or, at one time, those
    /// of all.
    fn with_inputs<F: Real>(
        &self,
        batch: &Batch<'_, F>,
        scratch: &mut Scratch,
        eval: impl FnOnce(&Batch<'_, F>, &[Coefficients], &mut Scratch) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut buffers: Buffers<F> = scratch.take();
        let done = self.prepared(batch, &mut buffers, scratch, eval);
        scratch.put(buffers);
        done
    }

    fn prepared<F: Real>(
        &self,
        batch: &Batch<'_, F>,
        buffers: &mut Buffers<F>,
        scratch: &mut Scratch,
        eval: impl FnOnce(&Batch<'_, F>, &[Coefficients], &mut Scratch) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let Buffers { coefficients, ratios, times, levels, input } = buffers;
        coefficients.clear();
        let times = match batch.times() {
            Times::Same(time) => {
                let time = self.time(time)?;
                coefficients.push(self.coefficients(self.model.schedule.level(time))?);
                Times::Same(time)
            }
            Times::PerRow(each) => {
                self.times_into(each, ratios, times)?;
                self.model.schedule.levels_into(times, levels);
                for &level in levels.iter() {
                    coefficients.push(self.coefficients(level)?);
                }
                Times::PerRow(times)
            }
        };
        if coefficients.iter().all(|c| c.input == 1.0) {
            return eval(&Batch::new(batch.rows(), times, batch.x()), coefficients, scratch);
        }
        input.clear();
        input.extend_from_slice(batch.x_slice());
        for (row, c) in input.chunks_exact_mut(batch.dim()).zip(coefficients.iter().cycle()) {
            row.iter_mut().for_each(|x| *x *= F::of(c.input));
        }
        eval(&Batch::new(batch.rows(), times, &as_rows(input, batch.dim())), coefficients, scratch)
    }
}

/// The angle from the data or from the noise, whichever is smaller, and whether it is the first.
fn nearer_end(at: Time) -> (f64, bool) {
    let to_end = if at.to_end.is_finite() { at.to_end } else { FRAC_PI_2 - at.t };
    if at.t <= to_end { (at.t, true) } else { (to_end, false) }
}

#[derive(Debug)]
struct Buffers<F> {
    coefficients: Vec<Coefficients>,
    ratios: Vec<f64>,
    times: Vec<Time>,
    levels: Vec<Level>,
    input: Vec<F>,
}

impl<F> Default for Buffers<F> {
    fn default() -> Buffers<F> {
        let (coefficients, ratios, times) = (Vec::new(), Vec::new(), Vec::new());
        Buffers { coefficients, ratios, times, levels: Vec::new(), input: Vec::new() }
    }
}

/// `out = a y + b out` for rows of d numbers, with coefficients of each or of all.
fn combine<F: Real>(y: &[F], d: usize, coefficients: &[Coefficients], out: &mut ArrayRef2<F>) {
    let out = out.as_slice_mut().expect("fields are given standard layout");
    let each = if coefficients.len() == 1 { out.len().max(1) } else { d };
    vectorize(
        #[inline(always)]
        || {
            for ((out, y), c) in out.chunks_exact_mut(each).zip(y.chunks_exact(each)).zip(coefficients) {
                let c = (F::of(c.a), F::of(c.b));
                if each < LONG {
                    along_row!(each, |i, C| combine_at::<F, C>(y, c, i, out));
                } else {
                    out.iter_mut().zip(y).for_each(|(out, &y)| *out = c.0 * y + c.1 * *out);
                }
            }
        },
    );
}

/// The C numbers from `i` on.
#[inline(always)]
fn combine_at<F: Real, const C: usize>(y: &[F], (a, b): (F, F), i: usize, out: &mut [F]) {
    let (mut sum, y): ([F; C], &[F; C]) = (*part(out, i), part(y, i));
    for (sum, &y) in sum.iter_mut().zip(y) {
        *sum = a * y + b * *sum;
    }
    *part_mut(out, i) = sum;
}

impl<F: Real, V: VectorField<F>, S: LinearProcess> VectorField<F> for ProbabilityFlow<'_, V, S> {
    fn dim(&self) -> usize {
        self.model.field.dim()
    }

    fn eval_into(&self, batch: &Batch<'_, F>, out: &mut ArrayRef2<F>, s: &mut Scratch) -> Result<(), Error> {
        self.with_inputs(batch, s, |input, coefficients, s| {
            self.model.field.eval_into(input, out, s)?;
            combine(batch.x_slice(), batch.dim(), coefficients, out);
            Ok(())
        })
    }

    fn batching(&self) -> Batching {
        self.model.field.batching()
    }
}

impl<F: Real, V: JacobianProducts<F>, S: LinearProcess> JacobianProducts<F> for ProbabilityFlow<'_, V, S> {
    fn jvp_into(
        &self,
        batch: &Batch<'_, F>,
        v: &ArrayRef2<F>,
        out: &mut ArrayRef2<F>,
        scratch: &mut Scratch,
    ) -> Result<(), Error> {
        self.with_inputs(batch, scratch, |input, coefficients, scratch| {
            self.model.field.jvp_into(input, v, out, scratch)?;
            let rows = out.rows_mut().into_iter().zip(v.rows());
            for ((mut out, v), c) in rows.zip(coefficients.iter().cycle()) {
                let (a, b) = (F::of(c.a), F::of(c.b * c.input));
                out.zip_mut_with(&v, |out, &v| *out = a * v + b * *out);
            }
            Ok(())
        })
    }
}

impl<F: Real, V: Divergence<F>, S: LinearProcess> Divergence<F> for ProbabilityFlow<'_, V, S> {
    fn divergence_into(
        &self,
        batch: &Batch<'_, F>,
        out: &mut [f64],
        scratch: &mut Scratch,
    ) -> Result<(), Error> {
        let d = batch.dim() as f64;
        self.with_inputs(batch, scratch, |input, coefficients, scratch| {
            self.model.field.divergence_into(input, out, scratch)?;
            for (out, c) in out.iter_mut().zip(coefficients.iter().cycle()) {
                *out = c.a * d + c.b * c.input * *out;
            }
            Ok(())
        })
    }
}
