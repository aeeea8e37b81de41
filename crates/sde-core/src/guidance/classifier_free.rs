//! Classifier-free guidance.

use std::ops::RangeInclusive;

use numeric::ndarray::{ArrayRef2, ArrayViewMut2};
use numeric::{Batch, Batching, Error, Model, Real, Schedule, Scratch, Times, VectorField};

/// The field of a model with classifier-free guidance; made by [`classifier_free`].
#[derive(Clone, Debug)]
pub struct ClassifierFree<C, U, S> {
    conditional: C,
    unconditional: U,
    schedule: S,
    weight: f64,
    ratios: RangeInclusive<f64>,
}

/// Classifier-free guidance: `w · conditional − (w − 1) · unconditional`, where σ/α is in `ratios`, and the
/// conditional model elsewhere.
///
/// ```math
/// D_w(x) = D(x \mid y) + (w - 1) \big( D(x \mid y) - D(x) \big)
/// ```
/// for any prediction D, since all are affine in each other with the same coefficients for both models. Weight 1 is
/// the conditional model, to the bit, and 0 the unconditional one. Weights above 1 push rows to where the condition
/// is likelier than in the data; acting only at middle noise keeps more of the variety. `0.0..=f64::INFINITY` acts
/// everywhere.
///
/// ```
/// use numeric::{Noise, ndarray::array};
/// use sde_core::{FrozenDenoiser, Mixture, Ou, Sampler, grid, guidance};
/// # fn main() -> Result<(), numeric::Error> {
/// let all = Mixture::atoms(&array![[-1.0], [1.0]], None)?;
/// let right = Mixture::atoms(&array![[1.0]], None)?;
/// let model = guidance::classifier_free(right.denoiser::<f64, _>(Ou), all.denoiser(Ou), 1.0, 0.3..=5.0)?;
/// let sampler = Sampler::new(model, FrozenDenoiser, grid::geometric_v(4.0, 1e-4, 20)?)?;
/// let x = sampler.sample(0..50, Noise::new(1), Default::default())?;
/// assert!(x.iter().all(|&x: &f64| (x - 1.0).abs() < 0.1));
/// # Ok(()) }
/// ```
///
/// # Complexity
/// Both models where it acts, and the conditional one alone elsewhere and at weight 1.
///
/// # Errors
/// [`Error::Unsupported`] if the two models predict different things; [`Error::Shape`] if they differ in dimension;
/// [`Error::Domain`] for a weight that is not finite, or a range of ratios that is empty or not of numbers from 0; those of
/// [`Batching::joint`].
///
/// # References
/// Ho, Salimans (2022), *Classifier-free diffusion guidance*. Kynkäänniemi, Aittala, Karras, Laine, Aila, Lehtinen
/// (2024), *Applying guidance in a limited interval improves sample and distribution quality in diffusion models*.
pub fn classifier_free<F, C, U, S>(
    conditional: Model<C, S>,
    unconditional: Model<U, S>,
    weight: f64,
    ratios: RangeInclusive<f64>,
) -> Result<Model<ClassifierFree<C, U, S>, S>, Error>
where
    F: Real,
    C: VectorField<F>,
    U: VectorField<F>,
    S: Schedule + Clone,
{
    if conditional.prediction != unconditional.prediction {
        let reason = "the two models predict different things; convert one with `Model::predicting`";
        return Err(Error::Unsupported { method: "classifier-free guidance", reason });
    }
    Error::shape("unconditional", &[conditional.field.dim()], &[unconditional.field.dim()])?;
    conditional.field.batching().joint(unconditional.field.batching())?;
    Error::domain(weight.is_finite(), "weight", weight, "a finite weight")?;
    let (low, high) = (*ratios.start(), *ratios.end());
    Error::domain(low >= 0.0, "ratios.start", low, "a number of at least 0")?;
    Error::domain(high >= low, "ratios.end", high, "at least the start of the range")?;
    let Model { field, prediction, schedule } = conditional;
    let guided = ClassifierFree {
        conditional: field,
        unconditional: unconditional.field,
        schedule: schedule.clone(),
        weight,
        ratios,
    };
    Ok(Model::new(guided, prediction, schedule))
}

impl<F: Real, C: VectorField<F>, U: VectorField<F>, S: Schedule> VectorField<F> for ClassifierFree<C, U, S> {
    fn dim(&self) -> usize {
        self.conditional.dim()
    }

    fn eval_into(
        &self,
        batch: &Batch<'_, F>,
        out: &mut ArrayRef2<F>,
        scratch: &mut Scratch,
    ) -> Result<(), Error> {
        self.conditional.eval_into(batch, out, scratch)?;
        let acts = |i: usize| {
            let level = self.schedule.level(batch.times().get(i));
            self.ratios.contains(&(level.sigma / level.alpha))
        };
        let anywhere = match batch.times() {
            Times::Same(_) => !batch.is_empty() && acts(0),
            Times::PerRow(_) => (0..batch.len()).any(acts),
        };
        if self.weight == 1.0 || !anywhere {
            return Ok(());
        }
        let mut other: Vec<F> = scratch.take();
        other.resize(batch.x().len(), F::zero());
        let mut view = ArrayViewMut2::from_shape(out.raw_dim(), &mut other).expect("sized above");
        let done = self.unconditional.eval_into(batch, &mut view, scratch);
        let push = F::of(self.weight - 1.0);
        let all = matches!(batch.times(), Times::Same(_));
        for (i, (mut out, other)) in out.rows_mut().into_iter().zip(view.rows()).enumerate() {
            if all || acts(i) {
                out.zip_mut_with(&other, |c, &u| *c += push * (*c - u));
            }
        }
        scratch.put(other);
        done
    }

    fn batching(&self) -> Batching {
        self.conditional.batching().joint(self.unconditional.batching()).expect("as in the constructor")
    }
}
