//! UniPC: a predictor and a corrector from the same evaluation.

use numeric::ndarray::{Array2, ArrayRef2};
use numeric::{Error, Model, Prediction, Real, Scratch, VectorField};

use super::adams::{MOST, exponential_moments, weights};
use super::gap::{Gap, predict, ratio_at};
use super::{History, Method, Step};
use crate::LinearProcess;
use crate::sde::coefficients::slice_mut;
use crate::sum::{MOST_TERMS, Sum, Target};

/// The function B(h) of [`UniPc`], h = ln(r/r'). It matters where the rule has a single free weight, which is then ½.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum UniPcVariant {
    /// `B(h) = h`, *bh1*: for few steps without guidance.
    Bh1,
    /// `B(h) = 1 − e^{−h}`, *bh2*.
    Bh2,
}

/// UniPC of order 1, 2 or 3 with data prediction: each step is predicted and then corrected with the model's value at
/// its predicted end, which serves the next step too.
///
/// In u = x/α, r = σ/α, with P the polynomial in `−ln r` through the values of m at the last p nodes, and Q the one
/// through these and the value at the predicted end, so that both need one evaluation,
/// ```math
/// \hat u = \rho u + \int_0^h e^{-(h - s)} P(s)\, ds, \qquad u' = \rho u + \int_0^h e^{-(h - s)} Q(s)\, ds, \qquad
/// h = \ln\frac{r}{r'},\ \rho = \frac{r'}{r}.
/// ```
/// The published rules give the difference to m, in a predictor of order 2 and a corrector of order 1, the weight
/// B(h)/2, see [`UniPcVariant`]; elsewhere B cancels. The first steps use as many values as there are. A step to the
/// data themselves ends in m, uncorrected. [`Bh2`](UniPcVariant::Bh2) starts at r = ∞; what was predicted there is not
/// used in later steps.
///
/// # Convergence
/// Order p + 1 for smooth denoisers, but for the start: the first step, of length h₀, leaves O(h₀³), which is of no
/// lower order for p ≤ 2.
/// # Randomness
/// None after the start.
/// # Complexity
/// One model evaluation per step, one more in the first, none in one to the data themselves; p predictions are
/// remembered.
///
/// ```
/// use numeric::{Noise, ndarray::array};
/// use sde_core::{Mixture, Ou, Sampler, UniPc, UniPcVariant, grid};
/// # fn main() -> Result<(), numeric::Error> {
/// let model = Mixture::atoms(&array![[-1.0], [1.0]], None)?.denoiser::<f64, _>(Ou);
/// let sampler = Sampler::new(model, UniPc::new(2, UniPcVariant::Bh2)?, grid::geometric_v(4.0, 1e-4, 20)?)?;
/// assert_eq!(sampler.model_calls::<f64>(), 21);
/// let x = sampler.sample(0..50, Noise::new(1), Default::default())?;
/// assert!(x.iter().all(|x: &f64| (x.abs() - 1.0).abs() < 0.05));   // at one of the two atoms
/// # Ok(()) }
/// ```
///
/// # References
/// Zhao, Bai, Rao, Zhou, Lu (2023), *UniPC: a unified predictor-corrector framework for fast sampling of diffusion
/// models*, algorithms 1 to 4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UniPc {
    order: usize,
    variant: UniPcVariant,
}

impl UniPc {
    /// The method with a predictor of that order.
    ///
    /// # Errors
    /// [`Error::Domain`] unless `order` is 1, 2 or 3.
    pub fn new(order: usize, variant: UniPcVariant) -> Result<UniPc, Error> {
        Error::domain((1..MOST).contains(&order), "order", order as f64, "1, 2 or 3")?;
        Ok(UniPc { order, variant })
    }

    /// B(h)/2.
    fn half(&self, gap: &Gap) -> f64 {
        0.5 * match self.variant {
            UniPcVariant::Bh1 => gap.h,
            UniPcVariant::Bh2 => gap.lost,
        }
    }
}

impl<F: Real, V: VectorField<F>, S: LinearProcess> Method<F, Model<V, S>> for UniPc {
    fn name(&self) -> &'static str {
        ["UniPC-1", "UniPC-2", "UniPC-3"][self.order - 1]
    }

    fn calls_in(&self, model: &Model<V, S>, step: Step<'_>) -> usize {
        usize::from(step.index == 0) + usize::from(ratio_at(&model.schedule, step.to) > 0.0)
    }

    fn defers(&self) -> bool {
        true
    }

    fn step(
        &self,
        model: &Model<V, S>,
        step: Step<'_>,
        x: &mut ArrayRef2<F>,
        history: &mut History<F>,
        scratch: &mut Scratch,
    ) -> Result<(), Error> {
        let gap = Gap::of(&model.schedule, step.from, step.to)?;
        if history.get(0).is_none_or(|(time, _)| time != step.from) {
            history.settle(x);
            let m = predict(model, Prediction::Denoised, step.rows, step.from, x, scratch)?;
            if let Some(forgotten) = history.push_array(step.from, m, self.order) {
                scratch.put(forgotten);
            }
        }
        if self.variant == UniPcVariant::Bh1 && !gap.ends_at_data() {
            gap.with_signal("UniPc", "B(h) = h is infinite from σ/α = ∞; the variant Bh2 starts there")?;
        }
        let remembered = |back| history.get(back).expect("as many as were counted");
        let used = if gap.ends_at_data() { 1 } else { history.len() };
        // The end of the step, then the nodes that are known.
        let mut nodes = [1.0, 0.0, 0.0, 0.0];
        for back in 1..used {
            nodes[back + 1] = gap.node(ratio_at(&model.schedule, remembered(back).0));
        }
        let moments =
            if used < 2 { [0.0; MOST] } else { exponential_moments(-gap.h).map(|moment| gap.h * moment) };
        let predictor = match used {
            1 => [gap.lost, 0.0, 0.0, 0.0],
            2 => {
                let slope = self.half(&gap) / nodes[2];
                [gap.lost - slope, slope, 0.0, 0.0]
            }
            _ => weights(&nodes[1..=used], moments),
        };
        if gap.ends_at_data() {
            history.settle(x);
            let data = history.get(0).expect("predicted above").1;
            gap.advance(x, gap.rho_of_x(), &[(predictor[0], data)]);
            return Ok(());
        }
        let corrector = match used {
            1 => {
                let half = self.half(&gap);
                [half, gap.lost - half, 0.0, 0.0]
            }
            _ => weights(&nodes[..=used], moments),
        };
        // What is known of the corrected end, beside the predicted one.
        let [of_end, others @ ..] = corrector;
        // While the newest prediction is the first: it is what x may lack.
        let lacks = history.take_deferred().map(F::of);
        // The prediction that will be forgotten is used for the last time: the predicted end is written over it.
        let full = history.len() == self.order;
        let oldest = if full { history.take_oldest() } else { None };
        let mut predicted = oldest.unwrap_or_else(|| Array2::zeros(x.raw_dim()));
        let kept = history.len();
        let sum = (0..kept).fold(Sum::of_x(gap.rho_of_x()), |sum, back| {
            sum.and(gap.alpha * predictor[back], history.get(back).expect("as many as are kept").1)
        });
        let mut factors = [F::zero(); MOST_TERMS];
        for (factor, b) in factors.iter_mut().zip(others) {
            *factor = F::of(gap.alpha * b);
        }
        let of_out = if full { [F::of(gap.alpha * predictor[kept]), factors[kept]] } else { [F::zero(); 2] };
        let (x_now, out) = (slice_mut(x), slice_mut(&mut predicted));
        sum.write(Target::Over { x: x_now, out, of_out, others: factors, lacks });
        let end = predict(model, Prediction::Denoised, step.rows, step.to, &predicted, scratch)?;
        if let Some(forgotten) = history.push_array(step.to, end, self.order) {
            scratch.put(forgotten);
        }
        if gap.starts_in_noise() {
            history.truncate(1);
        }
        history.defer(gap.alpha * of_end, x);
        scratch.put(predicted);
        Ok(())
    }
}
