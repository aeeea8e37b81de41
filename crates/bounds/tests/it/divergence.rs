//! Distances between samples against closed forms, enumeration and simulation.

use approx::assert_relative_eq;
use bounds::divergence::{SlicedReference, energy_distance, median_bandwidth, mmd2, sliced_w1, sliced_w2};
use numeric::ndarray::{Array2, ArrayRef2, Axis, array, concatenate, s};
use numeric::{Error, Estimate, Noise, Real};
use rayon::ThreadPoolBuilder;
use statrs::function::erf::erf;

/// Two-sided normal threshold of rate 1e-6: what each Z test below uses.
const Z: f64 = 4.9;

fn normals(rows: usize, dim: usize, seed: u64) -> Array2<f64> {
    let mut out = Array2::zeros((rows, dim));
    Noise::new(verify::seed(seed)).fork("rows").normals_into(
        &(0..rows as u64).collect::<Vec<_>>(),
        0,
        &mut out,
    );
    out
}

/// N(mean, scale^2 I).
fn gaussian(rows: usize, mean: &[f64], scale: f64, seed: u64) -> Array2<f64> {
    let mean = Array2::from_shape_vec((1, mean.len()), mean.to_vec()).unwrap();
    normals(rows, mean.ncols(), seed) * scale + mean
}

fn noise(seed: u64) -> Noise {
    Noise::new(verify::seed(seed))
}

fn assert_z(found: Estimate, expected: f64) {
    let z = (found.mean - expected) / found.std_error;
    assert!(z.abs() < Z, "{found:?} for {expected}: Z = {z}");
}

/// Root mean square of the reported standard errors over the actual standard deviation, and the mean of the
/// estimates with its own standard error.
///
/// Over R replicates the actual standard deviation is known to 1/sqrt(2R) of itself if the estimates are
/// nearly Gaussian: 5 % for R = 200. An exact standard error then leaves [0.8, 1.25] with a rate of 1e-5.
/// Between equal or nearly equal laws the estimates are weighted sums of chi-squared variables, the spread is
/// known to 8 % at most, and the standard error is up to sqrt(2) too large: [0.8, 2] is left with a rate of
/// the same order.
fn calibration(replicates: u64, run: impl Fn(u64) -> Estimate) -> (f64, Estimate) {
    let found: Vec<Estimate> = (0..replicates).map(run).collect();
    let count = replicates as f64;
    let mean = found.iter().map(|e| e.mean).sum::<f64>() / count;
    let variance = found.iter().map(|e| (e.mean - mean).powi(2)).sum::<f64>() / (count - 1.0);
    let reported = found.iter().map(|e| e.std_error.powi(2)).sum::<f64>() / count;
    let of_mean = Estimate { mean, std_error: (variance / count).sqrt(), n: replicates };
    ((reported / variance).sqrt(), of_mean)
}

#[test]
fn sliced_w2_of_gaussians_on_the_line() {
    // W2^2 = 1 + (2 - 1)^2; W1 of N(0, 1) and N(3, 1) is 3. The bias, of order 1/n, is far below the error.
    let (x, y) = (normals(30_000, 1, 1), gaussian(20_000, &[1.0], 2.0, 2));
    assert_z(sliced_w2(&x, &y, 2, noise(3)).unwrap(), 2.0_f64.sqrt());
    assert_z(sliced_w1(&x, &(normals(20_000, 1, 4) + 3.0), 2, noise(3)).unwrap(), 3.0);
    // A stretched sample: the order is kept, so row i moves to row i.
    let moved = x.mapv(|x| 1.0 + 3.0 * x);
    let expected = x.iter().map(|x| (1.0 + 2.0 * x).powi(2)).sum::<f64>() / x.len() as f64;
    assert_relative_eq!(
        sliced_w2(&x, &moved, 2, noise(3)).unwrap().mean,
        expected.sqrt(),
        max_relative = 1e-12
    );
}

#[test]
fn sliced_w2_of_gaussians() {
    // Each projection has W2^2 = (theta . m)^2 + (1 - s)^2, with mean |m|^2 / d + (1 - s)^2.
    let mean = [1.0, -2.0, 0.5, 0.0, 1.5];
    let squares: f64 = mean.iter().map(|value| value * value).sum();
    let (x, y) = (normals(8000, 5, 5), gaussian(5000, &mean, 1.6, 6));
    let found = sliced_w2(&x, &y, 300, noise(7)).unwrap();
    assert_z(found, (squares / 5.0 + 0.36_f64).sqrt());
    assert_eq!(found.n, 13_000);
    // The same in single precision.
    let (x, y) = (x.mapv(|value| value as f32), y.mapv(|value| value as f32));
    let single = sliced_w2(&x, &y, 300, noise(7)).unwrap();
    assert_relative_eq!(single.mean, found.mean, max_relative = 1e-5);
    assert_relative_eq!(single.std_error, found.std_error, max_relative = 1e-3);
}

#[test]
fn a_translation_moves_each_projection() {
    let x = normals(300, 4, 8);
    let shift = array![[0.3, -1.0, 2.0, 0.1]];
    let reference = SlicedReference::new(&x, 70, noise(9)).unwrap();
    let moves = reference.directions().dot(&shift.t());
    let moved = &x + &shift;
    let squares = moves.iter().map(|c| c * c).sum::<f64>() / 70.0;
    let sizes = moves.iter().map(|c| c.abs()).sum::<f64>() / 70.0;
    assert_relative_eq!(reference.w2(&moved).unwrap().mean, squares.sqrt(), max_relative = 1e-12);
    assert_relative_eq!(reference.w1(&moved).unwrap().mean, sizes, max_relative = 1e-12);
    for direction in reference.directions().rows() {
        assert_relative_eq!(direction.dot(&direction), 1.0, max_relative = 1e-14);
    }
    assert_eq!((reference.dim(), reference.num_projections()), (4, 70));
}

#[test]
fn sliced_distances_are_distances_between_samples() {
    let (x, y) = (normals(200, 3, 10), gaussian(317, &[0.5, 0.0, 0.0], 1.2, 11));
    let reversed = |sample: &Array2<f64>| sample.slice(s![..;-1, ..]).to_owned();
    for distance in [sliced_w2, sliced_w1] {
        let forth = distance(&x, &y, 40, noise(12)).unwrap();
        for again in [
            distance(&y, &x, 40, noise(12)).unwrap(),
            distance(&reversed(&x), &y, 40, noise(12)).unwrap(),
            distance(&x, &reversed(&y), 40, noise(12)).unwrap(),
        ] {
            assert_relative_eq!(again.mean, forth.mean, max_relative = 1e-13);
            assert_relative_eq!(again.std_error, forth.std_error, max_relative = 1e-10);
        }
        let same = distance(&x, &reversed(&x), 40, noise(12)).unwrap();
        assert_eq!((same.mean, same.std_error), (0.0, 0.0));
        // Every row twice is the same law.
        let twice = concatenate(Axis(0), &[x.view(), x.view()]).unwrap();
        assert!(distance(&x, &twice, 40, noise(12)).unwrap().mean < 1e-15);
        // The triangle inequality at the same directions.
        let z = gaussian(150, &[0.0, 1.0, 0.0], 0.5, 13);
        let around =
            distance(&x, &z, 40, noise(12)).unwrap().mean + distance(&z, &y, 40, noise(12)).unwrap().mean;
        assert!(forth.mean <= around);
    }
    let reference = SlicedReference::new(&y, 40, noise(12)).unwrap();
    assert_eq!(reference.w2(&x).unwrap(), sliced_w2(&x, &y, 40, noise(12)).unwrap());
}

#[test]
fn standard_errors_of_sliced_distances() {
    let mean = [0.7, 0.0, -0.4];
    // (rows of x, rows of y, directions): points dominate, directions dominate, few rows.
    for (n, m, directions) in [(300, 500, 60), (2000, 2000, 6), (40, 40, 20)] {
        let run = |replicate: u64, w2: bool| {
            let (x, y) = (normals(n, 3, 100 + 2 * replicate), gaussian(m, &mean, 1.3, 101 + 2 * replicate));
            let reference = SlicedReference::new(&y, directions, noise(replicate)).unwrap();
            if w2 { reference.w2(&x).unwrap() } else { reference.w1(&x).unwrap() }
        };
        for w2 in [true, false] {
            let (ratio, _) = calibration(200, |replicate| run(replicate, w2));
            assert_calibrated(ratio, false);
        }
    }
    // In high dimension the directions see nearly independent noise: it must not be counted twice, as scatter
    // of the points and as scatter of the directions, which would make the standard error 1.4 times too
    // large.
    let (ratio, _) = calibration(400, |replicate| {
        let (x, y) = (normals(100, 100, 2000 + 2 * replicate), normals(100, 100, 2001 + 2 * replicate) * 1.5);
        sliced_w2(&x, &y, 10, noise(replicate)).unwrap()
    });
    assert_calibrated(ratio, false);
    // Equal laws: conservative, as documented.
    for dim in [1, 3, 20] {
        for w2 in [true, false] {
            let (ratio, _) = calibration(200, |replicate| {
                let (x, y) =
                    (normals(200, dim, 1000 + 2 * replicate), normals(300, dim, 1001 + 2 * replicate));
                let reference = SlicedReference::new(&y, 50, noise(replicate)).unwrap();
                if w2 { reference.w2(&x).unwrap() } else { reference.w1(&x).unwrap() }
            });
            // Never below the truth here; the expected ratio is 1.3 to 1.45.
            assert!((1.0..=2.0).contains(&ratio), "equal laws, dimension {dim}, w2 {w2}: {ratio}");
        }
    }
}

/// The two-sample U-statistic of a kernel, by enumeration.
fn enumerated(x: &ArrayRef2<f64>, y: &ArrayRef2<f64>, kernel: impl Fn(f64) -> f64) -> f64 {
    let mean = |a: &ArrayRef2<f64>, b: &ArrayRef2<f64>, same: bool| {
        let mut sum = 0.0;
        for (i, a) in a.rows().into_iter().enumerate() {
            for (j, b) in b.rows().into_iter().enumerate() {
                if !(same && i == j) {
                    sum += kernel(a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum());
                }
            }
        }
        sum / (a.nrows() * (b.nrows() - usize::from(same))) as f64
    };
    mean(x, x, true) + mean(y, y, true) - 2.0 * mean(x, y, false)
}

#[test]
fn pairwise_statistics_by_enumeration() {
    for (n, m, dim, offset) in [(4, 4, 1, 0.0), (70, 261, 2, 0.0), (330, 5, 7, 1e4)] {
        let mut x = normals(n, dim, 20) + offset;
        let y = gaussian(m, &vec![offset + 0.5; dim], 1.5, 21);
        // Rows in common and close together: where inner products cancel.
        x.row_mut(0).assign(&y.row(1));
        let close = x.row(2).mapv(|value| value + 1e-6);
        x.row_mut(1).assign(&close);
        let energy = energy_distance(&x, &y).unwrap();
        assert_relative_eq!(energy.mean, enumerated(&x, &y, |r2| -r2.sqrt()), max_relative = 1e-9);
        let squared = mmd2(&x, &y, &[0.5, 2.0]).unwrap();
        let kernel = |r2: f64| 0.5 * ((-r2 / 0.5).exp() + (-r2 / 8.0).exp());
        assert_relative_eq!(squared.mean, enumerated(&x, &y, kernel), max_relative = 1e-9);
        assert!(energy.std_error > 0.0 && squared.std_error > 0.0);
        assert_eq!(energy.n, (n + m) as u64);
        // Symmetric, and a function of the set of rows.
        let reversed = x.slice(s![..;-1, ..]).to_owned();
        let again = energy_distance(&y, &reversed).unwrap();
        assert_relative_eq!(again.mean, energy.mean, max_relative = 1e-9);
        assert_relative_eq!(again.std_error, energy.std_error, max_relative = 1e-7);
    }
    // A sample against itself: the U-statistic leaves out the n zeros of the diagonal within, not across.
    let x = normals(50, 3, 22);
    let sum: f64 = -50.0 * 49.0 * enumerated_mean(&x);
    assert_relative_eq!(
        energy_distance(&x, &x).unwrap().mean,
        sum * 2.0 / (2500.0 * 49.0),
        max_relative = 1e-10
    );
}

/// Mean distance between different rows.
fn enumerated_mean(x: &ArrayRef2<f64>) -> f64 {
    let far = x.mapv(|_| 0.0);
    // Rows all equal contribute 0 within; what is left is mean |x - x'| - 2 mean |x|.
    let norms = x.rows().into_iter().map(|row| row.dot(&row).sqrt()).sum::<f64>() / x.nrows() as f64;
    enumerated(x, &far, f64::sqrt) + 2.0 * norms
}

/// The bounds stated with [`calibration`].
fn assert_calibrated(ratio: f64, nearly_equal_laws: bool) {
    let most = if nearly_equal_laws { 2.0 } else { 1.25 };
    assert!((0.8..=most).contains(&ratio), "nearly equal laws {nearly_equal_laws}: {ratio}");
}

/// Mean over replicates against the closed form (a Z test), and the standard error against the spread,
/// between equal laws and different ones.
#[test]
fn energy_distance_of_gaussians_on_the_line() {
    let mean_distance = |mean: f64, variance: f64| {
        let sd = variance.sqrt();
        sd * (2.0 / std::f64::consts::PI).sqrt() * (-0.5 * mean * mean / variance).exp()
            + mean * erf(mean / (sd * 2.0_f64.sqrt()))
    };
    for (mean, sd) in [(0.0, 1.0), (0.15, 1.1), (1.0, 0.5)] {
        let expected = 2.0 * mean_distance(mean, 1.0 + sd * sd)
            - mean_distance(0.0, 2.0)
            - mean_distance(0.0, 2.0 * sd * sd);
        let (ratio, of_mean) = calibration(400, |replicate| {
            let (x, y) =
                (normals(60, 1, 3000 + 2 * replicate), gaussian(90, &[mean], sd, 3001 + 2 * replicate));
            energy_distance(&x, &y).unwrap()
        });
        assert_z(of_mean, expected);
        assert_calibrated(ratio, mean < 0.2);
    }
}

#[test]
fn mmd2_of_gaussians() {
    let dim = 3;
    let bandwidths = [0.7, 2.0];
    // E exp(-|Z|^2 / 2h^2) for Z ~ N(m, v I).
    let kernel = |squares: f64, variance: f64| {
        let of = |h: f64| {
            let total = h * h + variance;
            (h * h / total).powf(0.5 * dim as f64) * (-0.5 * squares / total).exp()
        };
        bandwidths.into_iter().map(of).sum::<f64>() / 2.0
    };
    for (mean, sd) in [([0.0; 3], 1.0), ([0.2, 0.0, -0.1], 1.1), ([1.0, 0.5, 0.0], 0.6)] {
        let squares: f64 = mean.iter().map(|value| value * value).sum();
        let expected = kernel(0.0, 2.0) + kernel(0.0, 2.0 * sd * sd) - 2.0 * kernel(squares, 1.0 + sd * sd);
        let (ratio, of_mean) = calibration(400, |replicate| {
            let (x, y) =
                (normals(70, dim, 5000 + 2 * replicate), gaussian(50, &mean, sd, 5001 + 2 * replicate));
            mmd2(&x, &y, &bandwidths).unwrap()
        });
        assert_z(of_mean, expected);
        assert_calibrated(ratio, mean[0] <= 0.2);
    }
    // One large sample each.
    let found = mmd2(&normals(1500, 3, 30), &gaussian(1000, &[0.5, 0.0, 0.0], 1.0, 31), &bandwidths).unwrap();
    assert_z(found, 2.0 * kernel(0.0, 2.0) - 2.0 * kernel(0.25, 2.0));
}

#[test]
fn median_bandwidth_is_the_median_distance() {
    let (x, y) = (normals(40, 2, 32), normals(33, 2, 33));
    let pool = concatenate(Axis(0), &[x.view(), y.view()]).unwrap();
    let mut distances = Vec::new();
    for i in 0..73 {
        for j in 0..i {
            let difference = &pool.row(i) - &pool.row(j);
            distances.push(difference.dot(&difference).sqrt());
        }
    }
    distances.sort_by(f64::total_cmp);
    assert_relative_eq!(median_bandwidth(&x, &y).unwrap(), distances[73 * 72 / 4], max_relative = 1e-12);
    // Of a standard Gaussian sample in dimension d: chi-squared's median is close to d - 2/3, so 2 (d - 2/3).
    let large = median_bandwidth(&normals(5000, 50, 34), &normals(5000, 50, 35)).unwrap();
    assert_relative_eq!(large, (2.0 * (50.0 - 2.0 / 3.0_f64)).sqrt(), max_relative = 0.02);
}

/// Powers of two scale both exactly, where squares of `f32` would over- or underflow and at any number of columns; and
/// `f32` agrees with `f64` on the same values.
#[test]
fn pairwise_statistics_at_any_scale() {
    for dim in [1, 3, 300] {
        let (x, y) = (normals(150, dim, 60), normals(201, dim, 61) + 0.2);
        let (x, y) = (x.mapv(|v| v as f32), y.mapv(|v| v as f32));
        let (energy, mmd) = (energy_distance(&x, &y).unwrap(), mmd2(&x, &y, &[2.0, 0.5]).unwrap());
        for scale in [2f64.powi(-100), 2f64.powi(100)] {
            let scaled = |sample: &Array2<f32>| sample.mapv(|v| v * scale as f32);
            let found = energy_distance(&scaled(&x), &scaled(&y)).unwrap();
            assert_eq!((found.mean, found.std_error), (energy.mean * scale, energy.std_error * scale));
            let found = mmd2(&scaled(&x), &scaled(&y), &[2.0 * scale, 0.5 * scale]).unwrap();
            assert_eq!(found, mmd);
        }
        let (x, y) = (x.mapv(f64::from), y.mapv(f64::from));
        // Rounding of a distance, over the root of the number of rows, is below 1e-4 of the standard error.
        for (found, exact) in
            [(energy, energy_distance(&x, &y).unwrap()), (mmd, mmd2(&x, &y, &[2.0, 0.5]).unwrap())]
        {
            assert!((found.mean - exact.mean).abs() < 1e-4 * exact.std_error, "{found:?} {exact:?}");
            assert_relative_eq!(found.std_error, exact.std_error, max_relative = 1e-3);
        }
    }
}

#[test]
fn bits_do_not_depend_on_the_number_of_threads() {
    fn all<F: Real>(x: &ArrayRef2<F>, y: &ArrayRef2<F>) -> [Estimate; 4] {
        [
            sliced_w2(x, y, 50, noise(40)).unwrap(),
            sliced_w1(x, y, 50, noise(40)).unwrap(),
            energy_distance(x, y).unwrap(),
            mmd2(x, y, &[1.0]).unwrap(),
        ]
    }
    let (x, y) = (normals(500, 6, 41), normals(700, 6, 42));
    let in_pool = |threads: usize| {
        let pool = ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| (all(&x, &y), all(&x.mapv(|v| v as f32), &y.mapv(|v| v as f32))))
    };
    assert_eq!(in_pool(1), in_pool(3));
}

#[test]
fn refused() {
    let good = normals(5, 2, 50);
    let mut holed = good.clone();
    holed[(3, 1)] = f64::NAN;
    let short = normals(1, 2, 51);
    let narrow = normals(5, 1, 52);
    let none = Array2::<f64>::zeros((5, 0));
    type Distance = fn(&ArrayRef2<f64>, &ArrayRef2<f64>) -> Result<f64, Error>;
    let distances: [Distance; 5] = [
        |x, y| sliced_w2(x, y, 4, Noise::new(1)).map(|e| e.mean),
        |x, y| sliced_w1(x, y, 4, Noise::new(1)).map(|e| e.mean),
        |x, y| energy_distance(x, y).map(|e| e.mean),
        |x, y| mmd2(x, y, &[1.0]).map(|e| e.mean),
        |x, y| median_bandwidth(x, y),
    ];
    for distance in distances {
        assert!(distance(&good, &good).is_ok());
        assert!(matches!(distance(&holed, &good), Err(Error::Entry { parameter: "x", index: 7, .. })));
        assert!(matches!(distance(&good, &holed), Err(Error::Entry { parameter: "y", index: 7, .. })));
        assert!(matches!(distance(&short, &good), Err(Error::Shape { parameter: "x", .. })));
        assert!(matches!(distance(&good, &short), Err(Error::Shape { parameter: "y", .. })));
        assert!(matches!(distance(&narrow, &good), Err(Error::Shape { parameter: "x", .. })));
        assert!(matches!(distance(&none, &none), Err(Error::Shape { .. })));
        let overflowing = distance(&good.mapv(|v| v * 1e200), &good);
        assert!(matches!(overflowing, Err(Error::Domain { .. })) || overflowing.is_ok_and(f64::is_finite));
    }
    let three = normals(3, 2, 53);
    assert!(matches!(energy_distance(&three, &good), Err(Error::Shape { parameter: "x", .. })));
    assert!(matches!(
        sliced_w2(&good, &good, 1, noise(1)),
        Err(Error::Domain { parameter: "projections", .. })
    ));
    assert!(matches!(mmd2(&good, &good, &[]), Err(Error::Shape { parameter: "bandwidths", .. })));
    for h in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        let refused = mmd2(&good, &good, &[1.0, h]);
        assert!(matches!(refused, Err(Error::Entry { parameter: "bandwidths", index: 1, .. })));
    }
    let equal = Array2::<f64>::ones((5, 2));
    assert!(matches!(median_bandwidth(&equal, &equal), Err(Error::Domain { .. })));
    // The least there is.
    let two = normals(2, 2, 54);
    let found = sliced_w2(&two, &normals(2, 2, 55), 2, noise(1)).unwrap();
    assert!(found.mean > 0.0 && found.std_error > 0.0 && found.std_error.is_finite());
}
