//! Exact denoisers against Bayes' rule over all rows, and reference values.

mod fits;
mod posteriors;

use ctmc::denoise::exact::EmpiricalDenoiser;
use ctmc::denoise::{Denoiser, Noising};
use ctmc::{Refresh, TimeChange};
use numeric::ndarray::{Array2, Array3, array};
use numeric::{Batch, Real, Scratch, Time, Times};

use crate::cyclic;

/// The posterior at one time of each row, in either form.
pub(crate) fn posterior<F: Real>(model: &impl Denoiser<F>, t: f64, x: &Array2<u32>) -> Array3<F> {
    let rows: Vec<u64> = (0..x.nrows() as u64).collect();
    let batch = Batch::new(&rows, Times::Same(Time::of(t)), x);
    let mut p = Array3::from_elem((x.nrows(), model.dim(), model.states()), F::nan());
    model.values_into(&batch, &mut p, &mut Scratch::new()).unwrap();
    let mut logs = p.clone();
    model.log_values_into(&batch, &mut logs, &mut Scratch::new()).unwrap();
    let slack = F::of(8.0) * F::epsilon();
    for (&p, &log) in p.iter().zip(&logs) {
        assert!(p == log.exp() || (p - log.exp()).abs() <= slack * (F::one() + log.abs()) * p, "{p} {log}");
        assert_eq!(p == F::zero(), log == F::neg_infinity());
    }
    p
}

/// All rows of D tokens of S values.
pub(crate) fn all_rows(dim: usize, states: usize) -> Array2<u32> {
    Array2::from_shape_fn((states.pow(dim as u32), dim), |(i, d)| {
        (i / states.pow((dim - 1 - d) as u32) % states) as u32
    })
}

fn laws() -> Array3<f64> {
    let mut laws = Array3::from_shape_fn((3, 2, 4), |(k, d, v)| 1.0 + ((k * 7 + d * 3 + v * 5) % 11) as f64);
    for mut component in laws.outer_iter_mut() {
        for mut law in component.outer_iter_mut() {
            let sum = law.sum();
            law /= sum;
        }
    }
    laws
}

/// The data of the sheet's first chain, as rows of one token with weights.
pub(crate) fn chain() -> (Noising, EmpiricalDenoiser) {
    let noising = Noising::new(cyclic(), TimeChange::exponential(0.5, 3.0).unwrap()).unwrap();
    let model = EmpiricalDenoiser::new(&noising, &array![[0], [1], [2]]).unwrap();
    (noising, model.with_weights(&[0.6, 0.3, 0.1]).unwrap())
}

/// The two tokens of the sheet: its data law as weighted rows.
pub(crate) fn pair() -> (Noising, EmpiricalDenoiser, [f64; 9]) {
    let noising = Noising::refresh(Refresh::uniform(3, 1.0).unwrap(), TimeChange::constant(0.5).unwrap());
    let p = [0.30, 0.05, 0.02, 0.03, 0.20, 0.05, 0.05, 0.10, 0.20];
    let model = EmpiricalDenoiser::new(&noising, &all_rows(2, 3)).unwrap();
    (noising, model.with_weights(&p).unwrap(), p)
}
