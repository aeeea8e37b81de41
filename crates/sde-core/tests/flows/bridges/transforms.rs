//! h-transforms of general equations.

use numeric::ndarray::{ArrayRef2, array};
use numeric::{Batch, Error, Scratch, Time, TimeGrid, Times, from_row_fn};
use sde_core::{DoobTransform, LinearBridge, LinearProcess, NoiseClass, Reading, ScaledOu, Sde};
use verify::{OrderOptions, deterministic_order};

use super::{at, drift, euler_moments, processes};

/// The free equation of a process, to be transformed.
struct Free<P>(P, usize);

impl<P: LinearProcess> Sde<f64> for Free<P> {
    fn dim(&self) -> usize {
        self.1
    }
    fn noise_dim(&self) -> usize {
        self.1
    }
    fn reading(&self) -> Reading {
        Reading::Ito
    }
    fn noise_class(&self) -> NoiseClass {
        NoiseClass::Additive
    }
    fn drift_into(
        &self,
        batch: &Batch<'_, f64>,
        out: &mut ArrayRef2<f64>,
        _: &mut Scratch,
    ) -> Result<(), Error> {
        let Times::Same(time) = batch.times() else { panic!("one time") };
        out.assign(&(batch.x() * self.0.drift_and_diffusion(time).drift));
        Ok(())
    }
    fn diffuse_into(
        &self,
        batch: &Batch<'_, f64>,
        w: &ArrayRef2<f64>,
        out: &mut ArrayRef2<f64>,
        _: &mut Scratch,
    ) -> Result<(), Error> {
        let Times::Same(time) = batch.times() else { panic!("one time") };
        out.assign(&(w * self.0.drift_and_diffusion(time).diffusion_squared.sqrt()));
        Ok(())
    }
}

/// `g(x) w` with g a 2×3 matrix that depends on x, or diagonal.
struct Curved(NoiseClass);

fn curved(x: [f64; 2]) -> [[f64; 3]; 2] {
    [[1.0 + x[0] * x[0], 0.3, x[1]], [0.2 * x[0], x[1].cos(), -0.5]]
}

impl Sde<f64> for Curved {
    fn dim(&self) -> usize {
        2
    }
    fn noise_dim(&self) -> usize {
        if self.0 == NoiseClass::Diagonal { 2 } else { 3 }
    }
    fn reading(&self) -> Reading {
        Reading::Stratonovich
    }
    fn noise_class(&self) -> NoiseClass {
        self.0
    }
    fn drift_into(
        &self,
        batch: &Batch<'_, f64>,
        out: &mut ArrayRef2<f64>,
        _: &mut Scratch,
    ) -> Result<(), Error> {
        out.assign(&batch.x().mapv(f64::sin));
        Ok(())
    }
    fn diffuse_into(
        &self,
        batch: &Batch<'_, f64>,
        w: &ArrayRef2<f64>,
        out: &mut ArrayRef2<f64>,
        _: &mut Scratch,
    ) -> Result<(), Error> {
        for ((mut out, x), w) in out.rows_mut().into_iter().zip(batch.x().rows()).zip(w.rows()) {
            let g = curved([x[0], x[1]]);
            for i in 0..2 {
                out[i] = match self.0 {
                    NoiseClass::Diagonal => g[i][i] * w[i],
                    _ => (0..3).map(|j| g[i][j] * w[j]).sum(),
                };
            }
        }
        Ok(())
    }
}

#[test]
fn the_transform_moves_the_drift_by_the_matrix_of_the_noise() {
    let x = array![[0.3, -0.7], [1.2, 0.4], [-2.0, 0.1]];
    let gradient = || {
        from_row_fn(2, |time: Time, x, out: &mut [f64]| {
            out[0] = time.t * x[1];
            out[1] = x[0] - x[1];
            Ok(())
        })
    };
    for class in [NoiseClass::General, NoiseClass::Diagonal] {
        let transform = DoobTransform::new(Curved(class), gradient()).expect("fits");
        assert_eq!((transform.noise_class(), transform.reading()), (class, Reading::Stratonovich));
        let found = drift(&transform, Time::of(0.6), &x).expect("finite");
        for (x, found) in x.rows().into_iter().zip(found.rows()) {
            let (g, h) = (curved([x[0], x[1]]), [0.6 * x[1], x[0] - x[1]]);
            for i in 0..2 {
                let shift: f64 = if class == NoiseClass::Diagonal {
                    g[i][i] * g[i][i] * h[i]
                } else {
                    (0..2).map(|k| (0..3).map(|j| g[i][j] * g[k][j]).sum::<f64>() * h[k]).sum()
                };
                assert!((found[i] - x[i].sin() - shift).abs() < 1e-14);
            }
        }
    }
    assert!(
        DoobTransform::new(Curved(NoiseClass::General), from_row_fn(3, |_, _, _: &mut [f64]| Ok(())))
            .is_err()
    );
}

/// With h the transition density to a point the transform is the bridge; with h the likelihood of a noisy look at
/// the end, Euler's moments converge with order 1 to the Gaussian posterior of the end.
#[test]
fn transforms_by_the_end_are_bridges_and_posteriors() {
    let x = array![[0.3, -0.7], [1.2, 0.4]];
    let z = array![0.5, 0.8];
    for (process, end) in [(0, 1.0), (1, 1.0), (2, 0.8)] {
        let process = processes().swap_remove([0, 1, 3][process]);
        let process = process.as_ref();
        let target = z.clone();
        let gradient = from_row_fn(2, move |time: Time, x, out: &mut [f64]| {
            let (factor, std) = process.transition(time, at(end))?;
            for (out, (&x, &z)) in out.iter_mut().zip(x.iter().zip(&target)) {
                *out = factor * (z - factor * x) / (std * std);
            }
            Ok(())
        });
        let transform = DoobTransform::new(Free(process, 2), gradient).expect("fits");
        let bridge = LinearBridge::new(process, z.clone(), at(end)).expect("valid");
        for t in [0.0, 0.4, 0.79] {
            let (a, b) = (drift(&transform, at(t), &x), drift(&bridge, at(t), &x));
            let gap = a.expect("finite") - &b.expect("finite");
            assert!(gap.iter().all(|e| e.abs() < 1e-12), "{gap}");
        }
    }

    let (theta, sigma, start, y, r) = (1.3, 0.8, -0.4, 1.5, 0.05);
    let process = ScaledOu::new(theta, sigma).expect("valid");
    let gradient = from_row_fn(1, move |time: Time, x, out: &mut [f64]| {
        let (factor, std) = process.transition(time, Time::of(1.0))?;
        out[0] = factor * (y - factor * x[0]) / (std * std + r);
        Ok(())
    });
    let transform = DoobTransform::new(Free(process, 1), gradient).expect("fits");
    let (phi, q) = ((-theta).exp(), sigma * sigma / (2.0 * theta) * (1.0 - (-2.0 * theta).exp()));
    let (mean, variance) = ((r * phi * start + q * y) / (q + r), q * r / (q + r));
    let sizes: Vec<usize> = (7..13).map(|k| 1 << k).collect();
    let found = sizes.iter().map(|&n| {
        let grid = TimeGrid::uniform(0.0, 1.0, n).expect("valid");
        euler_moments(&transform, &grid, n, (start, sigma))
    });
    let found: Vec<(f64, f64)> = found.collect();
    let h: Vec<f64> = sizes.iter().map(|&n| 1.0 / n as f64).collect();
    for errors in [
        found.iter().map(|f| (f.0 - mean).abs()).collect::<Vec<_>>(),
        found.iter().map(|f| (f.1 - variance).abs()).collect(),
    ] {
        let order = deterministic_order(&h, &errors, &OrderOptions::default()).expect("points");
        println!(
            "Euler on a soft bridge: order {:.3} ± {:.3}, error {:.1e}",
            order.slope, order.half_width, errors[5]
        );
        assert!((order.slope - 1.0).abs() < 0.15 && order.half_width < 0.1 && errors[5] < 1e-3, "{order:?}");
    }
}
