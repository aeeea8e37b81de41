//! A model that is wrong by a known amount.

use numeric::ndarray::ArrayRef2;
use numeric::{Batch, Batching, Error, Model, Prediction, Schedule, Scratch, TimeGrid, VectorField};
use sde_core::{MixtureField, Ou};

/// The denoiser of the mixture, moved by `size` σ along the diagonal: off by `size` in the prediction of the noise where
/// there is little of it, and by `size` in the data where there is nothing else.
#[derive(Clone)]
pub(crate) struct Damaged {
    field: MixtureField<f64, Ou>,
    size: f64,
}

impl Damaged {
    pub(crate) fn model(good: Model<MixtureField<f64, Ou>, Ou>, size: f64) -> Model<Damaged, Ou> {
        Model::new(Damaged { field: good.field, size }, Prediction::Denoised, Ou)
    }
}

impl VectorField<f64> for Damaged {
    fn dim(&self) -> usize {
        self.field.dim()
    }

    fn eval_into(
        &self,
        batch: &Batch<'_, f64>,
        out: &mut ArrayRef2<f64>,
        scratch: &mut Scratch,
    ) -> Result<(), Error> {
        self.field.eval_into(batch, out, scratch)?;
        for (i, mut row) in out.rows_mut().into_iter().enumerate() {
            let level = Ou.level(batch.times().get(i));
            row += self.size / (self.field.dim() as f64).sqrt() * level.sigma;
        }
        Ok(())
    }

    fn batching(&self) -> Batching {
        self.field.batching()
    }
}

/// By how much the damage raises the certificate of the frozen denoiser: $`\frac12 \sum_k Δη_k\,σ_k^2\,\mathtt{size}^2`$.
pub(crate) fn predicted(size: f64, grid: &TimeGrid) -> f64 {
    let v = |tau: f64| (2.0 * tau).exp_m1();
    // σ² = v/(1 + v).
    let rise = |from: f64, to: f64| (v(from) / v(to) - 1.0) / (1.0 + v(from));
    grid.pairs().map(|(from, to)| 0.5 * size * size * rise(from.t, to.t)).sum()
}
