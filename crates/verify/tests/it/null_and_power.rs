//! Under the null, p-values are uniform; under small faults, they are small.

use crate::common::{Random, histogram, normal_cdf};
use verify::{Family, Moments};

/// False-alarm rate of each test below that judges random numbers: one seed shift in ten thousand fails each.
const RATE: f64 = 1e-4;

/// Adds the chi-squared p-value of the histogram of p-values that should be uniform.
fn push_uniform(family: &mut Family, name: &str, p_values: &[f64]) {
    let fit = verify::chi_squared(&histogram(p_values, 20), &[0.05; 20]).unwrap();
    family.push(name, fit.p_value);
}

#[test]
fn p_values_of_continuous_tests_are_uniform_under_the_null() {
    let mut family = Family::new(RATE).unwrap();
    for (i, n) in [1_usize, 2, 8, 50, 700].into_iter().enumerate() {
        let mut random = Random::new(10 + i as u64);
        let (mut ks, mut ad) = (Vec::new(), Vec::new());
        // Few enough repetitions that the stated accuracies of the p-values stay invisible (n = 1, 2: of AD).
        for _ in 0..4000 {
            let sample = random.normals(n);
            ks.push(verify::kolmogorov_smirnov(&sample, normal_cdf).unwrap().p_value);
            ad.push(verify::anderson_darling(&sample, normal_cdf).unwrap().p_value);
        }
        push_uniform(&mut family, &format!("Kolmogorov-Smirnov, n = {n}"), &ks);
        if n >= 8 {
            push_uniform(&mut family, &format!("Anderson-Darling, n = {n}"), &ad);
        }
    }
    family.assert();
}

#[test]
fn two_sample_p_values_are_valid_and_nearly_uniform() {
    // The statistic is discrete, so P(p <= alpha) <= alpha, with near equality for sizes without a common
    // factor.
    let mut family = Family::new(RATE).unwrap();
    let mut random = Random::new(20);
    let p_values: Vec<f64> = (0..4000)
        .map(|_| {
            verify::kolmogorov_smirnov_two_sample(&random.units(97), &random.units(101)).unwrap().p_value
        })
        .collect();
    push_uniform(&mut family, "sizes 97 and 101", &p_values);
    // Poisson-like counts with many ties: only validity. Hits are binomial with a probability of at most
    // alpha.
    let mut count = || (0..6).filter(|_| random.unit() < 0.3).count() as f64;
    let mut hits = 0;
    const REPETITIONS: usize = 4000;
    for _ in 0..REPETITIONS {
        let a: Vec<f64> = (0..40).map(|_| count()).collect();
        let b: Vec<f64> = (0..60).map(|_| count()).collect();
        hits += usize::from(verify::kolmogorov_smirnov_two_sample(&a, &b).unwrap().p_value <= 0.05);
    }
    let z = (hits as f64 - 200.0) / (200.0_f64 * 0.95).sqrt();
    family.push("ties", if z > 0.0 { verify::normal_p_value(z) } else { 1.0 });
    family.assert();
}

#[test]
fn chi_squared_p_values_are_uniform_under_the_null() {
    let mut random = Random::new(30);
    let probabilities = [0.05, 0.1, 0.15, 0.2, 0.25, 0.2, 0.05];
    let p_values: Vec<f64> = (0..4000)
        .map(|_| {
            let mut counts = [0_u64; 7];
            for _ in 0..4000 {
                let mut u = random.unit();
                let bin = probabilities.iter().position(|p| {
                    u -= p;
                    u < 0.0
                });
                counts[bin.unwrap_or(6)] += 1; // unwrap_or: the probabilities add up to 1 - 1e-16
            }
            verify::chi_squared(&counts, &probabilities).unwrap().p_value
        })
        .collect();
    let mut family = Family::new(RATE).unwrap();
    push_uniform(&mut family, "chi-squared, 200 expected in the least bin", &p_values);
    family.assert();
}

#[test]
fn exact_kurtosis_makes_y_scores_normal_where_the_suites_own_is_not() {
    // Exponential law: kurtosis 9, so the suite's Y, which assumes 3, has standard deviation 2.
    let law = Moments { mean: 1.0, std_dev: 1.0, kurtosis: 9.0 };
    let mut random = Random::new(40);
    let (mut z, mut y, mut own) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..2000 {
        let sample: Vec<f64> = (0..20_000).map(|_| -random.unit().ln()).collect();
        let found = verify::scores(&sample, &law).unwrap();
        z.push(found.z_p_value());
        y.push(found.y_p_value());
        own.push(verify::scores(&sample, &Moments { kurtosis: 3.0, ..law }).unwrap().y_p_value());
    }
    let mut family = Family::new(RATE).unwrap();
    push_uniform(&mut family, "Z", &z);
    push_uniform(&mut family, "Y with the exact kurtosis", &y);
    family.assert();
    push_uniform(&mut family, "Y with kurtosis 3", &own);
    assert_eq!(family.check().unwrap_err().worst[0].0, "Y with kurtosis 3");
}

#[test]
fn small_faults_are_detected() {
    // Expected scores: Y = sqrt(n/2) 0.1 = 16, Z = 0.06 sqrt n = 13, KS and two-sample KS (0.024 sqrt n = 5.3
    // and 3.8) expected p-values of 1e-24 and 1e-12: misses are rarer than the false alarms.
    let mut random = Random::new(50);
    let law = Moments { mean: 0.0, std_dev: 1.0, kurtosis: 3.0 };
    let normals = random.normals(50_000);
    let wide: Vec<f64> = normals.iter().map(|x| x * 1.1_f64.sqrt()).collect(); // variance 10 % too large
    let shifted: Vec<f64> = normals.iter().map(|x| x + 0.06).collect();
    assert!(verify::scores(&wide, &law).unwrap().y_p_value() < 1e-6);
    assert!(verify::scores(&shifted, &law).unwrap().z_p_value() < 1e-6);
    assert!(verify::anderson_darling(&wide, normal_cdf).unwrap().p_value < 1e-6);
    assert!(verify::anderson_darling(&shifted, normal_cdf).unwrap().p_value < 1e-6);
    assert!(verify::kolmogorov_smirnov(&shifted, normal_cdf).unwrap().p_value < 1e-6);
    // Two samples beyond the exact computation, where the limit takes over.
    let others = random.normals(50_000);
    assert!(verify::kolmogorov_smirnov_two_sample(&shifted, &others).unwrap().p_value < 1e-4);
    let fair = verify::kolmogorov_smirnov_two_sample(&normals, &others).unwrap();
    assert!(fair.p_value > RATE);
    // A die with one face at 0.9 of its share: 600,000 throws.
    let loaded: Vec<u64> = (0..6).map(|face| if face == 0 { 90_000 } else { 102_000 }).collect();
    assert!(verify::chi_squared(&loaded, &[1.0 / 6.0; 6]).unwrap().p_value < 1e-6);
}
