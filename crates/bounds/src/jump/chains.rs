//! Of the chains of `ctmc`.

use ctmc::{ChainPath, Generator, TimeChange, occupation};
use numeric::estimate::MeanAccumulator;
use numeric::{Error, Estimate};

use crate::divergence::{FiniteLaw, generalised_kl};

/// The divergence of two chains on paths, from [`path_kl`].
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct PathKl {
    /// $`\mathrm{KL}(p_0 \,\|\, \hat p_0)`$ of the laws at the start, in nats.
    pub initial: f64,
    /// Of the rates, in nats.
    pub rates: f64,
    /// Bound of the error of `rates` by the truncation of the series, rounding apart. Infinite if that of some state is,
    /// whether it is come to or not.
    pub truncation: f64,
}

impl PathKl {
    /// $`\mathrm{KL}(P \,\|\, \hat P)`$ on paths, in nats: a bound of that of the laws at any time.
    #[must_use]
    pub fn total(&self) -> f64 {
        self.initial + self.rates
    }
}

/// The divergence of two homogeneous chains on paths of length `time`, exactly.
///
/// ```math
/// \mathrm{KL}(P \,\|\, \hat P) = \mathrm{KL}(p_0 \,\|\, \hat p_0) + \sum_x \Bigl(\int_0^T p_t(x)\, dt\Bigr)
///   \sum_{y \ne x} \Bigl[\hat q_{xy} - q_{xy} + q_{xy} \log\frac{q_{xy}}{\hat q_{xy}}\Bigr] ,
/// ```
///
/// the time spent in each state from [`occupation`]. If both rates are scaled by β(t), give ∫β for the time. Infinite where
/// the model has no rate for a jump that happens.
///
/// # Errors
/// [`Error::Shape`] if the numbers of states differ; those of [`occupation`] with this time and tolerance.
///
/// ```
/// use bounds::{divergence::FiniteLaw, jump::path_kl};
/// // In equilibrium from the start: T times the mean divergence of the rates.
/// let (bit, model) = (ctmc::Refresh::two_state(1.0, 3.0)?, ctmc::Refresh::two_state(2.0, 3.0)?);
/// let law = FiniteLaw::new(&[0.75, 0.25])?;
/// let found = path_kl(&bit, &model, &law, &law, 8.0, 1e-14)?;
/// assert_eq!(found.initial, 0.0);
/// assert!((found.rates - 8.0 * 0.75 * (1.0 - 2f64.ln())).abs() < 1e-13);
/// # Ok::<(), numeric::Error>(())
/// ```
pub fn path_kl(
    chain: &(impl Generator + ?Sized),
    model: &(impl Generator + ?Sized),
    start: &FiniteLaw,
    model_start: &FiniteLaw,
    time: f64,
    tolerance: f64,
) -> Result<PathKl, Error> {
    let losses = losses(chain, model)?;
    let initial = start.kl(model_start)?;
    let spent = occupation(chain, &start.weights().to_vec(), time, tolerance)?;
    // Not 0 · ∞ for states that are never come to.
    let rates = spent.values.iter().zip(&losses).filter(|(spent, _)| **spent > 0.0).map(|(t, loss)| t * loss);
    let greatest = losses.iter().copied().fold(0.0, f64::max);
    let truncation = if spent.truncation == 0.0 { 0.0 } else { spent.truncation * time * greatest };
    Ok(PathKl { initial, rates: rates.sum(), truncation })
}

/// The divergence of the rates on paths, from paths of the first chain until `end`: unbiased, for chains too large for
/// [`path_kl`]. Both chains have the rates β(t) Q.
///
/// The mean over the paths of $`\int_0^T β(t) \sum_y [\hat q - q + q \log(q/\hat q)](X_t, y)\, dt`$: no term is negative,
/// and the jumps themselves, which would only add variance, do not occur.
///
/// # Errors
/// [`Error::Shape`] if the numbers of states differ, or a path has not one more state than times; [`Error::Entry`] for a
/// state that does not exist, or if the divergence of a path is infinite; [`Error::Domain`] for no paths, and times that
/// are not those of the schedule.
///
/// ```
/// use bounds::{divergence::FiniteLaw, jump::{path_kl, path_kl_estimate}};
/// use ctmc::{BirthDeath, Method, Simulation, Start, TimeChange};
/// let (chain, model) = (BirthDeath::constant(4, 1.0)?, BirthDeath::constant(4, 1.5)?);
/// let beta = TimeChange::constant(1.0)?;
/// let simulation = Simulation { generator: &chain, beta, method: Method::Direct };
/// let noise = numeric::Noise::new(3);
/// let paths = simulation.paths(Start::State(0), 2.0, 0..1000, noise, Default::default())?;
/// let found = path_kl_estimate(&chain, &model, &paths, beta, 2.0)?;
/// let start = FiniteLaw::new(&[1.0, 0.0, 0.0, 0.0])?;
/// let exact = path_kl(&chain, &model, &start, &start, 2.0, 1e-12)?.total();
/// assert!((found.mean - exact).abs() < 4.0 * found.std_error);
/// # Ok::<(), numeric::Error>(())
/// ```
pub fn path_kl_estimate(
    chain: &(impl Generator + ?Sized),
    model: &(impl Generator + ?Sized),
    paths: &[ChainPath],
    beta: TimeChange,
    end: f64,
) -> Result<Estimate, Error> {
    let losses = losses(chain, model)?;
    let mut values = Vec::with_capacity(paths.len());
    for path in paths {
        Error::shape("states of a path", &[path.times.len() + 1], &[path.states.len()])?;
        let states = path.states.iter().map(|&state| f64::from(state));
        Error::entries("states of a path", states, "a state", |state| state < losses.len() as f64)?;
        let (mut before, mut value) = (0.0, 0.0);
        for (&state, &after) in path.states.iter().zip(path.times.iter().chain([&end])) {
            value += beta.integral(before, after.min(end))? * losses[state as usize];
            before = after.min(end);
        }
        values.push(value);
    }
    MeanAccumulator::from_values(0, &values)?.estimate()
}

/// The divergence of the rates out of each state.
fn losses(chain: &(impl Generator + ?Sized), model: &(impl Generator + ?Sized)) -> Result<Vec<f64>, Error> {
    Error::shape("model", &[chain.states()], &[model.states()])?;
    let of = |from: u32| {
        let mut loss = 0.0;
        chain.for_each_rate(from, &mut |to, rate| loss += generalised_kl(rate, model.rate(from, to)));
        model.for_each_rate(from, &mut |to, rate| {
            if chain.rate(from, to) == 0.0 {
                loss += rate;
            }
        });
        loss
    };
    Ok(chain.state_range().map(of).collect())
}
