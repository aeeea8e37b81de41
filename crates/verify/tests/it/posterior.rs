//! Calibration tests pass the right posterior and refuse wrong ones.

use crate::common::Random;
use numeric::ndarray::{Array2, Array3};
use verify::{Coverage, Family, sbc_rank, sbc_uniformity, tarp};

/// False-alarm rate of each test of this file.
const RATE: f64 = 1e-4;
const SIMULATIONS: usize = 2000;
const DRAWS: usize = 99;

/// theta ~ N(0, 1), y = theta + N(0, 1/4): the posterior is N(0.8 y, 0.2). Ranks under one that is shifted by
/// `bias` and `spread` times as wide.
fn ranks(bias: f64, spread: f64, seed: u64) -> Vec<u64> {
    let mut random = Random::new(seed);
    let rank = |_| {
        let theta = random.normal();
        let centre = 0.8 * (theta + 0.5 * random.normal()) + bias;
        let draws: Vec<f64> =
            (0..DRAWS).map(|_| centre + spread * 0.2_f64.sqrt() * random.normal()).collect();
        sbc_rank(theta, &draws, 0.0).unwrap()
    };
    (0..SIMULATIONS).map(rank).collect()
}

#[test]
fn ranks_of_the_right_posterior_are_uniform_and_of_wrong_ones_not() {
    let p_value =
        |bias, spread, seed| sbc_uniformity(&ranks(bias, spread, seed), DRAWS as u64, 20).unwrap().p_value;
    let mut family = Family::new(RATE).unwrap();
    family.push("right", p_value(0.0, 1.0, 200));
    family.assert();
    // Faults are sized so that a miss is rarer than 1e-6 (noncentrality above 100, 19 degrees of freedom).
    for (bias, spread) in [(0.15, 1.0), (0.0, 0.75), (0.0, 1.4)] {
        let p = p_value(bias, spread, 201);
        assert!(p < RATE, "bias {bias}, spread {spread}: {p}");
    }
}

#[test]
fn discrete_parameters_need_the_tie_breaker() {
    // Prior and posterior are the same binomial law: calibrated.
    let mut random = Random::new(210);
    let mut ranks = [Vec::new(), Vec::new()];
    for _ in 0..SIMULATIONS {
        let mut draw = || (0..5).filter(|_| random.unit() < 0.4).count() as f64;
        let (truth, draws): (f64, Vec<f64>) = (draw(), (0..DRAWS).map(|_| draw()).collect());
        ranks[0].push(sbc_rank(truth, &draws, random.unit()).unwrap());
        ranks[1].push(sbc_rank(truth, &draws, 0.0).unwrap());
    }
    let [broken, unbroken] = ranks.map(|ranks| sbc_uniformity(&ranks, DRAWS as u64, 10).unwrap().p_value);
    assert!(broken > RATE && unbroken < RATE, "{broken} {unbroken}");
}

/// The same model in three independent dimensions; `shrink` 1 uses the data, 0 returns the prior. References
/// follow the data if `informed`.
fn coverage(bias: f64, spread: f64, prior: bool, informed: bool, seed: u64) -> Coverage {
    let mut random = Random::new(seed);
    let truths = Array2::from_shape_simple_fn((SIMULATIONS, 3), || random.normal());
    let data = truths.mapv(|theta| theta + 0.5 * random.normal());
    let draws = Array3::from_shape_fn((SIMULATIONS, DRAWS, 3), |(i, _, j)| {
        let (centre, scale) = if prior { (0.0, 1.0) } else { (0.8 * data[[i, j]], 0.2_f64.sqrt()) };
        centre + bias + spread * scale * random.normal()
    });
    let boxed = verify::uniform_references(SIMULATIONS, &[-2.0; 3], &[2.0; 3], verify::seed(seed)).unwrap();
    let references = if informed { boxed + &data } else { boxed };
    tarp(&truths, &draws, &references).unwrap()
}

#[test]
fn coverage_of_the_right_posterior_is_diagonal_and_of_wrong_ones_not() {
    let right = coverage(0.0, 1.0, false, false, 220);
    assert!(right.p_value > RATE, "{}", right.p_value);
    assert_eq!((right.levels.len(), right.coverage[0], right.coverage[DRAWS + 1]), (DRAWS + 2, 0.0, 1.0));
    // Overconfident: above the diagonal at low levels, below it at high ones. Underconfident: above it there.
    // Summed over the lowest and the highest fifth, where the curves of laws so wrong are far from the diagonal.
    let excess = |found: &Coverage| {
        let of = |range: std::ops::Range<usize>| -> f64 {
            range.map(|l| found.coverage[l] - found.levels[l]).sum()
        };
        [of(0..(DRAWS + 2) / 5), of((DRAWS + 2) * 4 / 5..DRAWS + 2)]
    };
    let narrow = coverage(0.0, 0.4, false, false, 221);
    assert!(narrow.p_value < RATE);
    let [low, high] = excess(&narrow);
    assert!(low > 0.0 && high < 0.0, "{low} {high}");
    let wide = coverage(0.0, 2.5, false, false, 222);
    assert!(wide.p_value < RATE);
    // At low levels the reverse is faint: from references far away a wide posterior looks like the right one.
    let [_, high] = excess(&wide);
    assert!(high > 0.0, "{high}");
    assert!(coverage(0.3, 1.0, false, false, 223).p_value < RATE);
}

#[test]
fn the_prior_passes_unless_references_follow_the_data() {
    assert!(coverage(0.0, 1.0, true, false, 230).p_value > RATE);
    assert!(coverage(0.0, 1.0, false, true, 231).p_value > RATE);
    assert!(coverage(0.0, 1.0, true, true, 232).p_value < RATE);
}

#[test]
fn bad_input_is_refused() {
    let (truths, draws) = (Array2::<f64>::zeros((4, 2)), Array3::<f64>::zeros((4, 5, 2)));
    assert!(tarp(&truths, &draws, &truths).is_ok());
    assert!(tarp(&truths, &draws, &Array2::zeros((4, 1))).is_err());
    assert!(tarp(&Array2::zeros((3, 2)), &draws, &truths).is_err());
    assert!(tarp(&truths, &Array3::zeros((4, 0, 2)), &truths).is_err());
    assert!(tarp(&truths, &draws, &Array2::from_elem((4, 2), f64::NAN)).is_err());
    assert!(verify::uniform_references(3, &[0.0], &[0.0], 1).is_err());
    assert!(verify::uniform_references(3, &[0.0], &[1.0, 2.0], 1).is_err());
    assert!(verify::uniform_references(3, &[f64::NAN], &[1.0], 1).is_err());
}
