//! Guidance by a gradient, as of a classifier.

use numeric::ndarray::{ArrayRef2, ArrayViewMut2};
use numeric::{Batch, Batching, Error, Model, Prediction, Real, Schedule, Scratch, VectorField};

use super::refuse_edm;

/// The field of a model guided by a gradient; made by [`by_gradient`].
#[derive(Clone, Debug)]
pub struct ByGradient<V, G, S> {
    model: Model<V, S>,
    gradient: G,
    scale: f64,
}

/// Classifier guidance: `score + scale · ∇ log p(y | x_t)`, in the model's own prediction.
///
/// ```math
/// \nabla \log q_t(x \mid y) = \nabla \log q_t(x) + \nabla \log p(y \mid x_t = x),
/// ```
/// so that the exact gradient with scale 1 samples the exact conditional law. `gradient` is a field of the noised
/// rows, of their times and numbers. A prediction `a x + b · score` moves by `b · scale · gradient`.
///
/// ```
/// use numeric::{Batch, Scratch, Time, Times, VectorField, from_row_fn, ndarray::array};
/// use sde_core::{Covariance, Mixture, Ou, guidance};
/// # fn main() -> Result<(), numeric::Error> {
/// // x_0 ~ N(0, 1) seen through y = x_t + N(0, 1) = 3, at any time t: the posterior score is −x + (3 − x).
/// let model = Mixture::gaussian(array![0.0], Covariance::Isotropic(1.0))?.score::<f64, _>(Ou);
/// let gradient = from_row_fn(1, |_, x, out: &mut [f64]| { out[0] = 3.0 - x[0]; Ok(()) });
/// let guided = guidance::by_gradient(model, gradient, 1.0)?;
/// let (x, mut out) = (array![[0.5]], array![[0.0]]);
/// guided.field.eval_into(&Batch::new(&[0], Times::Same(Time::of(0.7)), &x), &mut out, &mut Scratch::new())?;
/// assert!((out[(0, 0)] - 2.0).abs() < 1e-15);
/// # Ok(()) }
/// ```
///
/// # Errors
/// [`Error::Shape`] if the dimensions differ; [`Error::Domain`] for a scale that is not finite;
/// [`Error::Unsupported`] for [`Prediction::Edm`]. Evaluating it, [`Error::Domain`] where the prediction does not
/// determine the score: a denoiser at α = 0. Those of [`Batching::joint`].
///
/// # References
/// Dhariwal, Nichol (2021), *Diffusion models beat GANs on image synthesis*, section 4.
pub fn by_gradient<F, V, G, S>(
    model: Model<V, S>,
    gradient: G,
    scale: f64,
) -> Result<Model<ByGradient<V, G, S>, S>, Error>
where
    F: Real,
    V: VectorField<F>,
    G: VectorField<F>,
    S: Schedule + Clone,
{
    refuse_edm("guidance by a gradient", &model)?;
    Error::shape("gradient", &[model.field.dim()], &[gradient.dim()])?;
    model.field.batching().joint(gradient.batching())?;
    Error::domain(scale.is_finite(), "scale", scale, "a finite number")?;
    let (prediction, schedule) = (model.prediction, model.schedule.clone());
    Ok(Model::new(ByGradient { model, gradient, scale }, prediction, schedule))
}

impl<F: Real, V: VectorField<F>, G: VectorField<F>, S: Schedule> VectorField<F> for ByGradient<V, G, S> {
    fn dim(&self) -> usize {
        self.model.field.dim()
    }

    fn eval_into(
        &self,
        batch: &Batch<'_, F>,
        out: &mut ArrayRef2<F>,
        scratch: &mut Scratch,
    ) -> Result<(), Error> {
        self.model.field.eval_into(batch, out, scratch)?;
        let mut gradient: Vec<F> = scratch.take();
        gradient.resize(batch.x().len(), F::zero());
        let mut view = ArrayViewMut2::from_shape(out.raw_dim(), &mut gradient).expect("sized above");
        self.gradient.eval_into(batch, &mut view, scratch)?;
        for (i, (mut out, gradient)) in out.rows_mut().into_iter().zip(view.rows()).enumerate() {
            let level = self.model.schedule.level(batch.times().get(i));
            let (_, b) = Prediction::Score.conversion(self.model.prediction, level)?;
            let push = F::of(b * self.scale);
            out.zip_mut_with(&gradient, |out, &g| *out += push * g);
        }
        scratch.put(gradient);
        Ok(())
    }

    fn batching(&self) -> Batching {
        self.model.field.batching().joint(self.gradient.batching()).expect("as in the constructor")
    }
}
