//! Whole blocks for the models that want them, and errors.

use ctmc::denoise::exact::EmpiricalDenoiser;
use ctmc::denoise::objective::{CrossEntropy, Elbo, MaskedElbo, Objective, ScoreEntropy};
use ctmc::denoise::{Denoiser, Noising, denoiser_from_fn, ratios_from_fn};
use ctmc::{Refresh, TimeChange};
use numeric::ndarray::{Array2, ArrayRef3, array};
use numeric::{Batch, Batching, Control, Error, Noise, Scratch};

use crate::exact::chain;

/// A model that insists on whole blocks of eight.
struct Blocks(EmpiricalDenoiser);

impl Denoiser<f64> for Blocks {
    fn dim(&self) -> usize {
        1
    }
    fn states(&self) -> usize {
        3
    }
    fn log_values_into(
        &self,
        batch: &Batch<'_, u32>,
        out: &mut ArrayRef3<f64>,
        scratch: &mut Scratch,
    ) -> Result<(), Error> {
        assert_eq!((batch.len(), batch.rows()[0] % 8), (8, 0));
        self.0.log_values_into(batch, out, scratch)
    }
    fn batching(&self) -> Batching {
        Batching { rows: 8, rowwise: false, serial: true }
    }
}

#[test]
fn networks_are_given_whole_blocks() {
    let (noising, exact) = chain();
    let elbo = Elbo::new(&noising, 1.0).unwrap();
    let x0 = Array2::from_shape_fn((13, 1), |(i, _)| (i % 3) as u32);
    let run =
        |model: &dyn Denoiser<f64>| elbo.values(model, &x0, 5..18, 2, Noise::new(5), Control::default());
    assert_eq!(run(&Blocks(exact.clone())).unwrap(), run(&exact).unwrap());
}

#[test]
fn what_has_no_value_is_refused() {
    let (noising, exact) = chain();
    let elbo = Elbo::new(&noising, 1.0).unwrap();
    let x0 = array![[0], [1]];
    let control = Control::default();
    let run = |model: &dyn Denoiser<f64>, draws| elbo.values(model, &x0, 0..2, draws, Noise::new(1), control);
    assert!(matches!(run(&exact, 0), Err(Error::Domain { parameter: "draws", .. })));
    let constant = |l: f64| {
        denoiser_from_fn(1, 3, move |_: &Batch<'_, u32>, out: &mut ArrayRef3<f64>| {
            out.fill(l);
            Ok(())
        })
    };
    assert!(matches!(run(&constant(f64::NAN), 1), Err(Error::Model { row: 0, .. })));
    assert!(matches!(run(&constant(f64::NEG_INFINITY), 1), Err(Error::Model { row: 0, .. })));
    assert!(matches!(run(&constant(f64::INFINITY), 1), Err(Error::Model { row: 0, .. })));
    // A model that excludes what is in the data.
    let masks = Noising::refresh(Refresh::absorbing(4, 3, 1.0).unwrap(), TimeChange::cosine());
    let first = EmpiricalDenoiser::new(&masks, &array![[0], [1]]).unwrap();
    let masked = MaskedElbo::new(&masks).unwrap();
    let excluded = masked.values::<f64>(&first, &array![[2]], 0..1, 1, Noise::new(1), control).unwrap();
    assert_eq!(excluded, [f64::INFINITY]);
    let estimate = masked.estimate::<f64>(&first, &array![[2]], 0..1, 1, Noise::new(1), control);
    assert!(matches!(estimate, Err(Error::Entry { index: 0, .. })));
    // Shapes and states.
    assert!(elbo.values::<f64>(&exact, &x0, 0..3, 1, Noise::new(1), control).is_err());
    assert!(elbo.values::<f64>(&exact, &array![[3]], 0..1, 1, Noise::new(1), control).is_err());
    assert!(elbo.integrand(&x0, &[0.0, 0.5], &x0, &x0).is_err());
    assert!(elbo.integrand(&x0, &[0.5], &x0, &x0).is_err());
    assert!(Elbo::new(&noising, 0.0).is_err());
    assert!(Elbo::new(&noising, f64::NAN).is_err());
    assert!(elbo.clone().with_early_stop(1.0).is_err());
    assert!(CrossEntropy::new(&noising, 0.5, 0.5).is_err());
    // The wrong kind of model or chain.
    let ratios = ratios_from_fn(1, 3, |_: &Batch<'_, u32>, out: &mut ArrayRef3<f64>| {
        out.fill(0.0);
        Ok(())
    });
    let cross = CrossEntropy::new(&noising, 0.0, 1.0).unwrap();
    let refused = cross.values(&ratios, &x0, 0..2, 1, Noise::new(1), control);
    assert!(matches!(refused, Err(Error::Unsupported { .. })));
    let score = ScoreEntropy::new(&noising, 1.0).unwrap();
    let refused = score.values::<f64>(&exact, &x0, 0..2, 1, Noise::new(1), control);
    assert!(matches!(refused, Err(Error::Unsupported { .. })));
    assert!(matches!(MaskedElbo::new(&noising), Err(Error::Unsupported { .. })));
    let masks = Noising::refresh(Refresh::absorbing(3, 2, 1.0).unwrap(), TimeChange::cosine());
    let masked = MaskedElbo::new(&masks).unwrap().batches(&array![[0], [2]], 0..2, 0, Noise::new(1));
    assert!(matches!(masked, Err(Error::Entry { parameter: "x0", index: 1, .. })));
}
