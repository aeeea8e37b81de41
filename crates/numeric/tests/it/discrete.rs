//! Poisson and binomial numbers against their laws, on both sides of the change of method and far out.

use numeric::{Noise, RowStream};
use statrs::distribution::{Binomial, DiscreteCDF, Poisson};
use verify::{Family, assert_golden_exact, chi_squared, normal_p_value, seed};

const DRAWS: usize = 200_000;

/// Compares draws with the distribution function on a grid of a fifth of the standard deviation.
fn compare(
    family: &mut Family,
    name: &str,
    (mean, variance): (f64, f64),
    cdf: impl Fn(u64) -> f64,
    draw: impl Fn(&mut RowStream) -> u64,
    noise: Noise,
) {
    let mut stream = noise.fork(name).row_stream(0);
    let draws: Vec<u64> = (0..DRAWS).map(|_| draw(&mut stream)).collect();
    let sd = variance.sqrt();
    let mut edges: Vec<u64> =
        (-30..=30).map(|k| (mean + 0.2 * f64::from(k) * sd).floor().max(0.0) as u64).collect();
    edges.dedup();
    // Cells up to each edge, and beyond the last; of an expected number of draws of at least 10.
    let (mut cells, mut before) = (vec![], 0.0);
    let mut uppers = vec![];
    for &edge in &edges {
        let p = cdf(edge) - before;
        if p * DRAWS as f64 >= 10.0 && (1.0 - cdf(edge)) * DRAWS as f64 >= 10.0 {
            cells.push(p);
            uppers.push(edge);
            before = cdf(edge);
        }
    }
    cells.push(1.0 - before);
    let mut counts = vec![0; cells.len()];
    draws.iter().for_each(|&k| counts[uppers.partition_point(|&upper| upper < k)] += 1);
    if cells.len() > 1 {
        family.push(format!("{name}: law"), chi_squared(&counts, &cells).unwrap().p_value);
    }
    let n = DRAWS as f64;
    let centred = |k: u64| k as f64 - mean;
    let first = draws.iter().map(|&k| centred(k)).sum::<f64>() / n;
    family.push(format!("{name}: mean"), normal_p_value(first / (variance / n).sqrt()));
}

/// False alarms: one run in ten thousand.
#[test]
fn poisson_numbers_have_their_law() {
    let mut family = Family::new(1e-4).unwrap();
    let noise = Noise::new(seed(90));
    for mean in [0.01, 0.5, 3.0, 9.999, 10.0, 10.001, 11.5, 17.0, 40.0, 300.0, 1e4, 1e7] {
        let law = Poisson::new(mean).unwrap();
        let draw = |stream: &mut RowStream| stream.poisson(mean);
        compare(&mut family, &format!("Poisson {mean}"), (mean, mean), |k| law.cdf(k), draw, noise);
    }
    family.assert();
}

/// False alarms: one run in ten thousand.
#[test]
fn binomial_numbers_have_their_law() {
    let mut family = Family::new(1e-4).unwrap();
    let noise = Noise::new(seed(91));
    for (n, p) in [
        (1, 0.3),
        (7, 0.5),
        (19, 0.5),
        (20, 0.5),
        (21, 0.48),
        (40, 0.25),
        (40, 0.75),
        (40, 0.24),
        (1000, 0.001),
        (1000, 0.02),
        (100_000, 0.999),
        (1_000_000, 0.37),
    ] {
        let law = Binomial::new(p, n).unwrap();
        let draw = |stream: &mut RowStream| stream.binomial(n, p);
        let mean = n as f64 * p;
        compare(
            &mut family,
            &format!("binomial {n} {p}"),
            (mean, mean * (1.0 - p)),
            |k| law.cdf(k),
            draw,
            noise,
        );
    }
    family.assert();
}

/// Sums of independent numbers are what their laws say, where no table reaches. False alarms: one run in ten thousand.
#[test]
fn great_means_have_the_right_moments() {
    let mut family = Family::new(1e-4).unwrap();
    let n = 20_000;
    let mut moments = |name: &str, mean: f64, variance: f64, draw: &mut dyn FnMut() -> u64| {
        let (mut first, mut second) = (0.0, 0.0);
        for _ in 0..n {
            let z = (draw() as f64 - mean) / variance.sqrt();
            first += z;
            second += z * z - 1.0;
        }
        family.push(format!("{name}: mean"), normal_p_value(first / f64::from(n).sqrt()));
        family.push(format!("{name}: variance"), normal_p_value(second / (2.0 * f64::from(n)).sqrt()));
    };
    let mut stream = Noise::new(seed(92)).row_stream(0);
    for mean in [1e10, 1e13, 4e15] {
        moments(&format!("Poisson {mean}"), mean, mean, &mut || stream.poisson(mean));
    }
    for (trials, p) in [(1 << 40, 1e-6), (1 << 40, 0.5), (1 << 52, 0.3), (1 << 52, 1.0 - 1e-6)] {
        let mean = trials as f64 * p;
        moments(&format!("binomial {trials} {p}"), mean, mean * (1.0 - p), &mut || {
            stream.binomial(trials, p)
        });
    }
    family.assert();
}

#[test]
fn ends_of_the_laws() {
    let mut stream = Noise::new(3).row_stream(1);
    assert_eq!((stream.poisson(0.0), stream.poisson(-0.0), stream.poisson(1e-300)), (0, 0, 0));
    for _ in 0..1000 {
        assert!(stream.binomial(3, 0.9) <= 3 && stream.binomial(25, 0.5) <= 25);
        assert!(stream.poisson(5e-324) == 0 && stream.binomial(1 << 52, 1e-300) == 0);
    }
    assert_eq!(stream.binomial(1 << 52, 1.0), 1 << 52);
    assert_eq!(stream.binomial(0, 0.3), 0);
}

#[test]
#[should_panic(expected = "a Poisson mean from 0 to 2^52, not NaN")]
fn a_mean_that_is_none() {
    Noise::new(3).row_stream(1).poisson(f64::NAN);
}

#[test]
#[should_panic(expected = "a probability, not 1.5")]
fn a_probability_that_is_none() {
    Noise::new(3).row_stream(1).binomial(3, 1.5);
}

#[test]
fn pinned_values() {
    let mut stream = Noise::new(11).fork("discrete").row_stream(5);
    let poisson: Vec<u64> =
        [0.3, 4.0, 9.9, 10.0, 55.0, 1e3, 1e9].into_iter().map(|m| stream.poisson(m)).collect();
    assert_golden_exact("Poisson", &poisson, &[0, 2, 11, 8, 74, 1071, 999_975_423]);
    let binomial: Vec<u64> = [(5, 0.3), (50, 0.5), (1000, 0.9), (1 << 40, 0.25)]
        .into_iter()
        .map(|(n, p)| stream.binomial(n, p))
        .collect();
    assert_golden_exact("binomial", &binomial, &[1, 27, 911, 274_878_005_136]);
}
