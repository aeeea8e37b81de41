//! The reverse chain without discretisation.

use std::ops::Range;

use numeric::ndarray::{ArrayView2, ArrayViewMut3};
use numeric::{Batch, Control, Error, Noise, Real, RowStream, Scratch, Time, TimeGrid, Times, run_blocks};

use super::origin::{aligned, batching};
use super::{Denoised, Denoiser, LeapCounts, Noising, Origin, Output, Reversal};

/// Draws rows from the reverse chain of a model exactly: no leap, no frozen rate.
///
/// Within each interval of the grid candidates come at a rate that is at least the total rate of the row, and each is a
/// jump with the probability total rate / candidate rate, at the rates of its own time. The law does not depend on the
/// grid or the bounds, only the number of model calls does. A total rate above its bound ends the run with an error:
/// nothing is clipped. For reference laws and unbiased tests, not for speed.
///
/// `bounds` has for each interval a bound of the total rate of a row. A refreshing chain with a model of posteriors
/// needs none: whatever the posterior, a token in state x moves at no more than
///
/// ```math
/// \max_{[s, t]} \beta \cdot r \max \Bigl( \frac{k_s + (1 - k_s)(1 - \pi_x)}{1 - k_s},\;
/// \frac{\pi_x (1 - k_t)(1 - \pi_x)}{k_t + (1 - k_t) \pi_x} \Bigr), \qquad k_t = e^{-r B(0, t)},
/// ```
///
/// and the candidates of a row come at the sum of these over its tokens.
///
/// ```
/// use ctmc::denoise::{Noising, Origin, denoiser_from_fn, uniformized};
/// use ctmc::{Refresh, TimeChange};
/// use numeric::{Control, Noise, TimeGrid};
/// let chain = Refresh::uniform(2, 1.0)?;
/// let noising = Noising::refresh(chain.clone(), TimeChange::constant(1.0)?);
/// // One bit, 1 with probability 0.9.
/// let model = denoiser_from_fn(1, 2, move |batch, out: &mut numeric::ndarray::ArrayRef3<f64>| {
///     for (i, &x) in batch.x().iter().enumerate() {
///         for (v, prior) in [(0, 0.1_f64), (1, 0.9)] {
///             out[[i, 0, v as usize]] = (prior * chain.probability(batch.times().get(i).t, v, x)?).ln();
///         }
///     }
///     Ok(())
/// });
/// let grid = TimeGrid::from_nodes(vec![3.0, 1.0, 0.3, 0.1, 0.03, 0.01])?;
/// let run = uniformized(&noising, &model, &grid, None, Origin::Stationary, 0..5000, Noise::new(1), Control::default())?;
/// let ones = run.x.iter().filter(|&&x| x == 1).count() as f64 / 5000.0;
/// // The law of the data, noised to time 0.01; standard error 0.0045.
/// assert!((ones - 0.892).abs() < 0.018);
/// # Ok::<(), numeric::Error>(())
/// ```
///
/// # Errors
/// Unless the grid goes down to a time greater than 0; without bounds where they are needed, for bounds that are not
/// finite and greater than 0 or not one for each interval; [`Error::Stalled`] if a total rate exceeds its bound; for a model
/// of another number of states, an `origin` of the wrong shape or with a state that does not exist; whatever the model
/// reports.
///
/// # Panics
/// If the rows do not fit into memory.
///
/// # Complexity
/// Tables for each candidate: O(S) for a refreshing chain, O(S³) for others.
///
/// # Randomness
/// Row i depends on the noise and its absolute number only.
///
/// # References
/// Chen, Ying (2024), *Convergence analysis of discrete diffusion model: exact implementation through uniformization*.
/// Lewis, Shedler (1979), *Simulation of nonhomogeneous Poisson processes by thinning*.
#[expect(clippy::too_many_arguments, reason = "a run and its bounds")]
pub fn uniformized<F: Real>(
    noising: &Noising,
    model: &impl Denoiser<F>,
    grid: &TimeGrid,
    bounds: Option<&[f64]>,
    origin: Origin<'_>,
    rows: Range<u64>,
    noise: Noise,
    control: Control<'_>,
) -> Result<Denoised, Error> {
    let last = grid.last().t;
    Error::domain(
        !grid.is_forward() && last > 0.0,
        "grid",
        last,
        "times going down to a time greater than 0",
    )?;
    Error::shape("model", &[noising.states()], &[model.states()])?;
    let (dim, states) = (model.dim(), model.states());
    origin.check(&rows, dim, states)?;
    let bounds: Vec<Bound> = match bounds {
        Some(bounds) => {
            Error::shape("bounds", &[grid.steps()], &[bounds.len()])?;
            let ok = |bound: f64| bound > 0.0 && bound.is_finite();
            Error::entries("bounds", bounds.iter().copied(), "a finite rate greater than 0", ok)?;
            bounds.iter().map(|&bound| Bound::Row(bound)).collect()
        }
        None => grid
            .pairs()
            .map(|(t, s)| tokens_bound(noising, model.output(), s.t, t.t))
            .collect::<Result<_, _>>()?,
    };
    if dim == 0 {
        return Ok(Denoised::gather(vec![], &rows, &rows, dim));
    }
    let batching = batching(model);
    let whole = aligned(&rows, batching);
    let start = origin.start(noising, &rows, &whole, dim, noise)?;
    let held = origin.held(&rows, &whole, dim);
    let streams = noise.fork("uniformized");
    let blocks = run_blocks(whole.clone(), batching, control, |block, scratch| {
        let at = (block.start - whole.start) as usize * dim..(block.end - whole.start) as usize * dim;
        let mut run = Run {
            noising,
            model,
            held: held.as_ref().map_or(&[][..], |held| &held[at.clone()]),
            streams: block.clone().map(|row| streams.row_stream(row)).collect(),
            rows: block.collect(),
            x: start[at].to_vec(),
            counts: LeapCounts::default(),
            sums: Vec::with_capacity(dim),
        };
        for (number, ((from, to), bound)) in (0..).zip(grid.pairs().zip(&bounds)) {
            run.interval(from, to, bound, number, batching.rowwise, scratch)?;
        }
        Ok((run.x, run.counts))
    })?;
    Ok(Denoised::gather(blocks, &rows, &whole, dim))
}

/// What the total rate of a row is at most.
enum Bound {
    Row(f64),
    /// By the state of each token.
    Token(Vec<f64>),
}

/// The bound that holds for every posterior, from time t down to s.
fn tokens_bound(noising: &Noising, output: Output, s: f64, t: f64) -> Result<Bound, Error> {
    if noising.as_refresh().is_none() || output == Output::Ratios {
        let reason =
            "needs bounds, but for a model of posteriors and a refreshing chain that is known to be one";
        return Err(Error::Unsupported { method: "uniformization", reason });
    }
    let beta = noising.beta();
    // All schedules are monotone.
    let rate = beta.rate(s)?.max(beta.rate(t)?);
    Error::domain(rate.is_finite(), "grid", t, "times at which the rate of noising is finite")?;
    let (early, late) =
        (Reversal::<f64>::new(noising, s, output)?, Reversal::<f64>::new(noising, t, output)?);
    let mut sure = vec![0.0; noising.states()];
    let bounds = (0..noising.states() as u32).map(|x| {
        let at = x as usize;
        // On another value, earliest; on x itself, latest. Each without its own β.
        let moved = early.total(x, &sure) / beta.rate(s)?;
        sure[at] = 1.0;
        let stayed = late.total(x, &sure) / beta.rate(t)?;
        sure[at] = 0.0;
        Ok(rate * moved.max(stayed))
    });
    Ok(Bound::Token(bounds.collect::<Result<_, Error>>()?))
}

struct Run<'a, M> {
    noising: &'a Noising,
    model: &'a M,
    held: &'a [bool],
    streams: Vec<RowStream>,
    rows: Vec<u64>,
    x: Vec<u32>,
    counts: LeapCounts,
    /// Of the total rates of a row's tokens, of one candidate.
    sums: Vec<f64>,
}

impl<M> Run<'_, M> {
    fn interval<F: Real>(
        &mut self,
        from: Time,
        to: Time,
        bound: &Bound,
        number: u64,
        rowwise: bool,
        scratch: &mut Scratch,
    ) -> Result<(), Error>
    where
        M: Denoiser<F>,
    {
        let (dim, states) = (self.model.dim(), self.model.states());
        let mut times = vec![from; self.rows.len()];
        let mut values = vec![F::zero(); self.x.len() * states];
        let length = from.t - to.t;
        loop {
            // The next candidate of each row, and its bound; none once it is past the interval.
            let mut rates = vec![0.0; self.rows.len()];
            for i in 0..self.rows.len() {
                if times[i] == to {
                    continue;
                }
                rates[i] = self.bound(bound, i, dim);
                let wait = -self.streams[i].uniform().ln() / rates[i];
                let part = (from.t - times[i].t + wait) / length;
                times[i] = if part < 1.0 { from.between(to, part) } else { to };
            }
            let all = 0..self.rows.len();
            let waiting = |&i: &usize| times[i] != to;
            let open: Vec<usize> = all.clone().filter(waiting).collect();
            if open.is_empty() {
                return Ok(());
            }
            // Rows that are past it are shown only to a model that must be given whole blocks.
            let shown: Vec<usize> = if rowwise { open } else { all.collect() };
            let numbers: Vec<u64> = shown.iter().map(|&i| self.rows[i]).collect();
            let at: Vec<Time> = shown.iter().map(|&i| times[i]).collect();
            let x: Vec<u32> = shown.iter().flat_map(|&i| &self.x[i * dim..][..dim]).copied().collect();
            let x = ArrayView2::from_shape((shown.len(), dim), &x).expect("a token for each place");
            let values = &mut values[..shown.len() * dim * states];
            let mut out = ArrayViewMut3::from_shape((shown.len(), dim, states), &mut *values);
            let batch = Batch::new(&numbers, Times::PerRow(&at), &x);
            self.model.values_into(&batch, out.as_mut().expect("a number for each state"), scratch)?;
            for (values, &i) in values.chunks_exact(dim * states).zip(&shown) {
                if times[i] != to {
                    self.candidate(i, times[i].t, rates[i], values, number)?;
                }
            }
        }
    }

    fn bound(&self, bound: &Bound, i: usize, dim: usize) -> f64 {
        match bound {
            Bound::Row(rate) => *rate,
            Bound::Token(rates) => {
                let free = |&(k, _): &(usize, &u32)| !self.held.get(i * dim + k).is_some_and(|&held| held);
                let tokens = self.x[i * dim..][..dim].iter().enumerate().filter(free);
                tokens.map(|(_, &x)| rates[x as usize]).sum()
            }
        }
    }

    fn candidate<F: Real>(
        &mut self,
        i: usize,
        t: f64,
        bound: f64,
        values: &[F],
        number: u64,
    ) -> Result<(), Error>
    where
        M: Denoiser<F>,
    {
        let (dim, states) = (self.model.dim(), self.model.states());
        self.counts.model_rows += 1;
        let reversal = Reversal::<F>::new(self.noising, t, self.model.output())?;
        // Running sums over the tokens.
        self.sums.clear();
        let mut total = 0.0;
        for d in 0..dim {
            if !self.held.get(i * dim + d).is_some_and(|&held| held) {
                total += reversal.total(self.x[i * dim + d], &values[d * states..][..states]);
            }
            self.sums.push(total);
        }
        let row = self.rows[i];
        if total.is_nan() {
            return Err(Error::NotFinite { what: "a rate of the reverse chain", row, step: number, time: t });
        }
        // Equal but for rounding where the posterior is sure.
        let table =
            if self.noising.as_refresh().is_some() { 0.0 } else { F::epsilon().as_f64() * states as f64 };
        if total > bound * (1.0 + 8.0 * (table + f64::EPSILON * (dim as f64 + 1.0))) {
            let reason = "the total rate of the reverse chain is above its bound";
            return Err(Error::Stalled { row, time: t, step: 1.0 / bound, steps: number, reason });
        }
        let stream = &mut self.streams[i];
        let u = stream.uniform() * bound;
        if let Some(d) = self.sums.iter().position(|&sum| u < sum) {
            let token = &values[d * states..][..states];
            let uniforms = [stream.uniform(), stream.uniform()];
            self.x[i * dim + d] = reversal.destination(self.x[i * dim + d], token, uniforms);
            self.counts.jumps += 1;
        }
        Ok(())
    }
}
