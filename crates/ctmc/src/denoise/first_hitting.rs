//! Masked tokens one by one.

use std::ops::Range;

use numeric::ndarray::{ArrayView2, ArrayViewMut3};
use numeric::special::log1m_exp;
use numeric::{Batch, Control, Error, Noise, Real, RowStream, Time, Times, run_blocks};

use super::origin::{aligned, batching};
use super::{Denoised, Denoiser, LeapCounts, Noising, Origin, Output};
use crate::law::draw_from;

/// Draws rows by unmasking one token at a time, at the exact times at which the reverse chain of an absorbing noising does.
///
/// With n masked tokens at a time when a share $`1 - \alpha`$ is masked, the next one is unmasked where that share has
/// become $`u^{1/n} (1 - \alpha)`$, u uniform; it is any of the n, and its value comes from the posterior. No time is
/// discretised: the law is that of the model's own reverse chain, after exactly one model call for each masked token. For
/// a model that does not look at the time it is the average over all orders of drawing tokens one after the other. What a
/// model gives to the mask itself does not count here.
///
/// Runs start from `origin` at the time `from`, which may be the last one of the schedule; only masked tokens change, and
/// none that is held.
/// Returned are the states at time 0.
///
/// ```
/// use ctmc::denoise::{Noising, Origin, denoiser_from_fn, first_hitting};
/// use ctmc::{Refresh, TimeChange};
/// use numeric::{Control, Noise, ndarray::ArrayRef3};
/// // Two values and the mask; all tokens of a row are equal.
/// let noising = Noising::refresh(Refresh::absorbing(3, 2, 1.0)?, TimeChange::log_linear(0.0)?);
/// let model = denoiser_from_fn(8, 3, |batch, out: &mut ArrayRef3<f32>| {
///     for (i, x) in batch.x().rows().into_iter().enumerate() {
///         let known = x.iter().find(|&&x| x != 2);
///         for d in 0..8 {
///             for v in 0..2 {
///                 out[[i, d, v]] = if known.is_none_or(|&x| x == v as u32) { 0.0 } else { f32::NEG_INFINITY };
///             }
///             out[[i, d, 2]] = f32::NEG_INFINITY;             // never the mask
///         }
///     }
///     Ok(())
/// });
/// let run = first_hitting(&noising, &model, Origin::Stationary, 1.0, 0..100, Noise::new(4), Control::default())?;
/// assert!(run.x.rows().into_iter().all(|x| x.iter().all(|&token| token == x[0] && token < 2)));
/// assert_eq!(run.counts.model_rows, 800);                       // one call for each token
/// # Ok::<(), numeric::Error>(())
/// ```
///
/// # Errors
/// Unless the noising is [`Noising::refresh`] of an absorbing chain and `from` a positive time of its schedule; for a model
/// of ratios, or of another number of states; if `origin` has the wrong shape or a state that does not exist;
/// [`Error::Model`] if the model reports one, or gives a masked token no probability but that of the mask.
///
/// # Panics
/// If the rows do not fit into memory.
///
/// # Randomness
/// Row i depends on the noise and its absolute number only.
///
/// # References
/// Zheng, Chen, Mao, Liu, Zhu, Zhang (2025), *Masked diffusion models are secretly time-agnostic masked models and exploit
/// inaccurate categorical sampling*. Uniforms and sums are f64: f32 Gumbel noise would lower the temperature.
pub fn first_hitting<F: Real>(
    noising: &Noising,
    model: &impl Denoiser<F>,
    origin: Origin<'_>,
    from: f64,
    rows: Range<u64>,
    noise: Noise,
    control: Control<'_>,
) -> Result<Denoised, Error> {
    let refuse = |reason| Err(Error::Unsupported { method: "first hitting", reason });
    let (Some(mask), Some(chain)) = (noising.mask(), noising.as_refresh()) else {
        return refuse("needs an absorbing chain that is known to be one");
    };
    if model.output() == Output::Ratios {
        return refuse("needs the posterior of clean tokens, and the model gives ratios");
    }
    Error::positive("from", from)?;
    let clock = noising.beta().integral(0.0, from)?;
    Error::domain(clock > 0.0, "from", from, "a time at which some noise has come")?;
    Error::shape("model", &[noising.states()], &[model.states()])?;
    let (dim, states) = (model.dim(), model.states());
    origin.check(&rows, dim, states)?;
    let batching = batching(model);
    let whole = aligned(&rows, batching);
    let start = origin.start(noising, &rows, &whole, dim, noise)?;
    // Logarithm of the share that is masked.
    let masked = log1m_exp(-chain.total() * clock);
    let streams = noise.fork("first hitting");
    let held = origin.held(&rows, &whole, dim);
    let blocks = run_blocks(whole.clone(), batching, control, |block, scratch| {
        let numbers: Vec<u64> = block.clone().collect();
        let at = (block.start - whole.start) as usize * dim..(block.end - whole.start) as usize * dim;
        let held = held.as_ref().map_or(&[][..], |held| &held[at.clone()]);
        let mut x = start[at].to_vec();
        // Places that are to be unmasked, row by row.
        let masked_of = |i: usize, x: &[u32]| {
            let free = |d: &usize| x[i * dim + d] == mask && !held.get(i * dim + d).is_some_and(|&held| held);
            (0..dim).filter(free).collect::<Vec<usize>>()
        };
        let mut walks: Vec<Walk> = (numbers.iter().enumerate())
            .map(|(i, &row)| Walk { stream: streams.row_stream(row), masked, places: masked_of(i, &x) })
            .collect();
        let mut times = vec![Time { t: from, to_end: 0.0 }; numbers.len()];
        let mut values = vec![F::zero(); x.len() * states];
        let mut counts = LeapCounts::default();
        loop {
            let open: Vec<usize> = (0..numbers.len()).filter(|&i| !walks[i].places.is_empty()).collect();
            if open.is_empty() {
                return Ok((x, counts));
            }
            for &i in &open {
                let walk = &mut walks[i];
                walk.masked += walk.stream.uniform().ln() / walk.places.len() as f64;
                let t = noising.beta().time_at(-log1m_exp(walk.masked) / chain.total())?.min(times[i].t);
                times[i] = Time { t, to_end: from - t };
            }
            // Rows that are done are shown only to a model that must be given whole blocks.
            let shown = if batching.rowwise { open.clone() } else { (0..numbers.len()).collect() };
            let rows: Vec<u64> = shown.iter().map(|&i| numbers[i]).collect();
            let at: Vec<Time> = shown.iter().map(|&i| times[i]).collect();
            let tokens: Vec<u32> = shown.iter().flat_map(|&i| &x[i * dim..][..dim]).copied().collect();
            let tokens = ArrayView2::from_shape((shown.len(), dim), &tokens).expect("a token for each place");
            let values = &mut values[..shown.len() * dim * states];
            let mut out = ArrayViewMut3::from_shape((shown.len(), dim, states), &mut *values);
            let batch = Batch::new(&rows, Times::PerRow(&at), &tokens);
            model.values_into(&batch, out.as_mut().expect("a number for each state"), scratch)?;
            counts.model_rows += shown.len() as u64;
            for (values, &i) in values.chunks_exact(dim * states).zip(&shown) {
                if walks[i].places.is_empty() {
                    continue;
                }
                let (d, v) = walks[i].unmask(mask, values, states).map_err(|found| {
                    let message =
                        format!("the probabilities of a masked token sum to {found} without the mask");
                    Error::Model { row: numbers[i], message }
                })?;
                x[i * dim + d] = v;
                counts.jumps += 1;
            }
        }
    })?;
    Ok(Denoised::gather(blocks, &rows, &whole, dim))
}

/// One row on its way.
struct Walk {
    stream: RowStream,
    /// Logarithm of the share that is masked.
    masked: f64,
    /// Places of the tokens that are.
    places: Vec<usize>,
}

impl Walk {
    /// Draws one of the masked places and a value for it; the sum of its probabilities if that is not a positive number.
    fn unmask<F: Real>(&mut self, mask: u32, values: &[F], states: usize) -> Result<(usize, u32), f64> {
        let left = self.places.len();
        let chosen = ((self.stream.uniform() * left as f64) as usize).min(left - 1);
        let d = self.places.remove(chosen);
        let p = |v: u32| if v == mask { 0.0 } else { values[d * states + v as usize].as_f64() };
        let total: f64 = (0..states as u32).map(p).sum();
        let all = |visit: &mut dyn FnMut(u32, f64)| (0..states as u32).for_each(|v| visit(v, p(v)));
        let drawn = if total.is_finite() { draw_from(self.stream.uniform() * total, all) } else { None };
        Ok((d, drawn.ok_or(total)?))
    }
}
