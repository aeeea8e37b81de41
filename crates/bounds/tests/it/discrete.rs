//! Discrete diffusion on 3 bits, against enumeration. The inequalities are theorems, with no false alarm but of
//! rounding; the seeds are fixed through `verify::seed`.

use crate::grids::{printed, two_phase};
use bounds::theorem::{
    RateError, factorized_bound, hypercube_bound, lipschitz_bound, lipschitz_total_variation_bound,
    masked_bound, refresh_bound, uniformization_events,
};
use numeric::{Error, TimeGrid};
use proptest::prelude::*;

pub(crate) const D: usize = 3;
pub(crate) const N: usize = 1 << D;

/// numpy's `default_rng(12345).dirichlet(0.3 * ones(8))`.
const LAW: [f64; N] = [
    0.00517484657783337,
    0.3689837294488344,
    0.03157412751836956,
    0.13024302586355574,
    0.19254340525361943,
    0.006938663427762921,
    0.04741171096351763,
    0.217130490946507,
];

/// Law of the bits after each flipped at rate 1 for the time t, by the Walsh transform: the character of a set of bits
/// decays by e^{-2t} for each of them.
pub(crate) fn flipped(law: &[f64; N], t: f64) -> [f64; N] {
    let sign = |a: usize, b: usize| if (a & b).count_ones().is_multiple_of(2) { 1.0 } else { -1.0 };
    std::array::from_fn(|x| {
        (0..N)
            .map(|set: usize| {
                let transform: f64 = (0..N).map(|y| sign(set, y) * law[y]).sum();
                sign(set, x) * transform * (-2.0 * t * f64::from(set.count_ones())).exp() / N as f64
            })
            .sum()
    })
}

/// Probability of y at the time t given x at 0.
fn kernel(x: usize, y: usize, t: f64) -> f64 {
    let flips = (x ^ y).count_ones() as i32;
    (0.5 * (1.0 - (-2.0 * t).exp())).powi(flips) * (0.5 * (1.0 + (-2.0 * t).exp())).powi(D as i32 - flips)
}

pub(crate) fn kl(p: &[f64; N], q: &[f64; N]) -> f64 {
    (0..N).filter(|&x| p[x] > 0.0).map(|x| p[x] * (p[x] / q[x]).ln()).sum()
}

pub(crate) const UNIFORM: [f64; N] = [1.0 / N as f64; N];

/// The reverse rate of the flip of bit i in state x.
fn rate(law: &[f64; N], x: usize, i: usize) -> f64 {
    law[x ^ (1 << i)] / law[x]
}

/// Five-point Gauss-Legendre nodes and weights of [0, 1].
fn gauss() -> impl Iterator<Item = (f64, f64)> {
    let (a, b) = (5.0_f64, 2.0 * (10.0_f64 / 7.0).sqrt());
    let nodes = [0.0, (a - b).sqrt() / 3.0, (a + b).sqrt() / 3.0];
    let c = 13.0 * 70f64.sqrt();
    let weights = [128.0 / 225.0, (322.0 + c) / 900.0, (322.0 - c) / 900.0];
    [(0, 1.0), (1, 1.0), (1, -1.0), (2, 1.0), (2, -1.0)]
        .into_iter()
        .map(move |(k, sign)| (0.5 + 0.5 * sign * nodes[k], 0.5 * weights[k]))
}

/// The integral of the Bregman loss of rates that are frozen at the beginning of each step, and the law of that chain
/// started from the uniform one.
pub(crate) fn frozen_rates(law: &[f64; N], grid: &TimeGrid) -> (f64, [f64; N]) {
    let mut integral = 0.0;
    let mut sampler = UNIFORM;
    for pair in clocks(grid).windows(2) {
        let (from, to) = (pair[0], pair[1]);
        let frozen = flipped(law, from);
        for part in 0..8 {
            for (node, weight) in gauss() {
                let t = to + (from - to) * (f64::from(part) + node) / 8.0;
                let now = flipped(law, t);
                for x in 0..N {
                    for i in 0..D {
                        let (r, model) = (rate(&now, x, i), rate(&frozen, x, i));
                        integral += (from - to) / 8.0 * weight * now[x] * (model - r + r * (r / model).ln());
                    }
                }
            }
        }
        // The exponential of the generator, by its series in short pieces.
        for _ in 0..20 {
            let g = (from - to) / 20.0;
            let (mut term, mut sum) = (sampler, sampler);
            for order in 1..30 {
                let before = term;
                term = std::array::from_fn(|x| {
                    let change: f64 = (0..D)
                        .map(|i| {
                            let y = x ^ (1 << i);
                            before[y] * rate(&frozen, y, i) - before[x] * rate(&frozen, x, i)
                        })
                        .sum();
                    g / f64::from(order) * change
                });
                sum.iter_mut().zip(&term).for_each(|(sum, term)| *sum += term);
            }
            sampler = sum;
        }
    }
    (integral, sampler)
}

/// The law of the factorised sampler from the uniform one.
pub(crate) fn factorized_sampler(law: &[f64; N], grid: &TimeGrid) -> [f64; N] {
    let mut sampler = UNIFORM;
    for pair in clocks(grid).windows(2) {
        let (earlier, after) = (flipped(law, pair[0]), flipped(law, pair[1]));
        let ones = |y: usize, i: usize| -> f64 {
            let on = (0..N).filter(|x| x & (1 << i) != 0);
            on.map(|x| after[x] * kernel(x, y, pair[0] - pair[1])).sum::<f64>() / earlier[y]
        };
        let mut next = [0.0; N];
        for (y, before) in sampler.iter().enumerate() {
            for (x, next) in next.iter_mut().enumerate() {
                let factor = |i| if x & (1_usize << i) != 0 { ones(y, i) } else { 1.0 - ones(y, i) };
                *next += before * (0..D).map(factor).product::<f64>();
            }
        }
        sampler = next;
    }
    sampler
}

pub(crate) fn clocks(grid: &TimeGrid) -> Vec<f64> {
    grid.nodes().iter().map(|time| time.t).collect()
}

/// In the clock of coordinates drawn anew at rate 1.
pub(crate) fn doubled(grid: &TimeGrid) -> TimeGrid {
    TimeGrid::from_nodes(clocks(grid).iter().map(|t| 2.0 * t).collect()).unwrap()
}

#[test]
fn reference_values_on_three_bits() {
    let grid = two_phase(2.0, 0.05, 24);
    let (horizon, stop) = (flipped(&LAW, 2.0), flipped(&LAW, 0.05));
    let initial = kl(&horizon, &UNIFORM);
    let bound = factorized_bound(&LAW, D, 2, &doubled(&grid)).unwrap();
    printed(bound.initial, 3.79767452914e-05, "initial");
    printed(initial, 3.79767452914e-05, "initial by the Walsh transform");
    printed(bound.steps.iter().sum(), 2.11259121875e-02, "total correlations");
    let marginal = kl(&stop, &factorized_sampler(&LAW, &grid));
    printed(marginal, 2.45035699853e-03, "factorised sampler");
    assert!(marginal <= bound.total());

    let (integral, sampler) = frozen_rates(&LAW, &grid);
    printed(kl(&stop, &sampler), 2.38130429473e-03, "frozen rates, marginal");
    let bound =
        hypercube_bound(D, Some(kl(&LAW, &UNIFORM)), RateError::Integral(integral), 2.0, 0.05).unwrap();
    printed(bound.rates, 4.35182909579e-03, "frozen rates, path without the initial term");
    assert!(bound.total() >= initial + integral && bound.rates == integral);
    // Half the sum of the differences of the laws.
    let difference: f64 = LAW.iter().zip(&sampler).map(|(p, q)| (p - q).abs()).sum();
    assert!(0.5 * difference <= bound.total_variation());
}

/// Probabilities, some of them 0.
pub(crate) fn any_law() -> impl Strategy<Value = [f64; N]> {
    let weight = prop_oneof![1 => Just(0.0), 3 => 1e-4..1.0_f64];
    (prop::array::uniform8(weight), 0..N).prop_map(|(mut law, some)| {
        law[some] += 0.1;
        let sum: f64 = law.iter().sum();
        law.map(|p| p / sum)
    })
}

pub(crate) fn any_grid() -> impl Strategy<Value = TimeGrid> {
    (0.3..3.0, 0.02..0.2, 1_usize..6)
        .prop_map(|(horizon, stop, half)| two_phase(horizon + 1.0, stop, 2 * half))
}

proptest! {
    #![proptest_config(verify::strategy::cases(9003, 40))]

    #[test]
    fn initial_terms_bound(law in any_law(), horizon in 0.01..4.0) {
        let (first, later) = (kl(&law, &UNIFORM), kl(&flipped(&law, horizon), &UNIFORM));
        let exact = RateError::Integral(0.0);
        let sharp = hypercube_bound(D, Some(first), exact, horizon, 0.0).unwrap();
        let refresh = refresh_bound(D, 2, Some(first), exact, 2.0 * horizon, 0.0).unwrap();
        let unknown = hypercube_bound(D, None, exact, horizon, 0.0).unwrap();
        prop_assert!(later <= sharp.total() * (1.0 + 1e-12) + 1e-15);
        prop_assert!(sharp.total() <= refresh.total() && sharp.total() <= unknown.total());
        let difference: f64 = law.iter().zip(&flipped(&law, horizon)).map(|(p, q)| (p - q).abs()).sum();
        let stopped = hypercube_bound(D, None, exact, horizon + 1.0, horizon).unwrap();
        prop_assert!(0.5 * difference <= stopped.early_stop);
        let stopped = refresh_bound(D, 2, None, exact, 2.0 * horizon + 1.0, 2.0 * horizon).unwrap();
        prop_assert!(0.5 * difference <= stopped.early_stop);
    }

    #[test]
    fn chains_are_bounded(law in any_law(), grid in any_grid()) {
        let stop = flipped(&law, *clocks(&grid).last().unwrap());
        let bound = factorized_bound(&law, D, 2, &doubled(&grid)).unwrap();
        prop_assert!(bound.steps.iter().all(|&step| step >= 0.0));
        prop_assert!(kl(&stop, &factorized_sampler(&law, &grid)) <= bound.total() + 1e-12);
        // By entropies, which telescope: H(X'|X) = H(X') - H(X) + sum_i H(X_i|X'_i).
        let (mut by_entropies, entropy) = (0.0, |law: &[f64]| -> f64 {
            law.iter().filter(|&&p| p > 0.0).map(|p| -p * p.ln()).sum()
        });
        for pair in clocks(&grid).windows(2) {
            let (before, after, g) = (flipped(&law, pair[0]), flipped(&law, pair[1]), pair[0] - pair[1]);
            let flip = 0.5 * (1.0 - (-2.0 * g).exp());
            let channel = D as f64 * entropy(&[flip, 1.0 - flip]);
            let coordinates: f64 = (0..D)
                .map(|i| {
                    let joint: Vec<f64> = (0..2 * N)
                        .map(|code| {
                            let (y, value) = (code / 2, code % 2);
                            let of = (0..N).filter(|x| (x >> i) & 1 == value);
                            of.map(|x| after[x] * kernel(x, y, g)).sum()
                        })
                        .collect();
                    entropy(&joint) - entropy(&before)
                })
                .sum();
            by_entropies += coordinates - (entropy(&after) - entropy(&before) + channel);
        }
        let steps: f64 = bound.steps.iter().sum();
        prop_assert!((steps - by_entropies).abs() < 1e-11, "{} {}", steps, by_entropies);
    }

    #[test]
    fn path_bound_of_frozen_rates(law in any_law(), grid in any_grid()) {
        let nodes = clocks(&grid);
        let (first, last) = (nodes[0], *nodes.last().unwrap());
        let (integral, sampler) = frozen_rates(&law, &grid);
        let error = RateError::Mean(integral / (first - last));
        let bound = hypercube_bound(D, Some(kl(&law, &UNIFORM)), error, first, last).unwrap();
        prop_assert!(kl(&flipped(&law, last), &sampler) <= bound.total() + 1e-12);
        let difference: f64 = law.iter().zip(&sampler).map(|(p, q)| (p - q).abs()).sum();
        prop_assert!(0.5 * difference <= bound.total_variation());
    }

    #[test]
    fn reverse_rates(law in any_law(), t in 0.01..3.0) {
        let now = flipped(&law, t);
        let mut mean = 0.0;
        for x in 0..N {
            for i in 0..D {
                let found = rate(&now, x, i);
                prop_assert!(found >= t.tanh() * (1.0 - 1e-9) && found <= (1.0 + 1e-9) / t.tanh());
                prop_assert!(found <= 1.0 / 1f64.tanh() * f64::max(1.0, 1.0 / t) * (1.0 + 1e-9));
                mean += now[x] * found;
            }
        }
        prop_assert!((mean - D as f64).abs() < 1e-9);
    }
}

#[test]
fn independent_bits_and_uniform_data() {
    let grid = two_phase(2.0, 0.05, 8);
    let product: Vec<f64> = (0..N)
        .map(|x| (0..D).map(|i| [0.1, 0.9, 0.3, 0.7, 0.5, 0.5][2 * i + (x >> i & 1)]).product())
        .collect();
    let bound = factorized_bound(&product, D, 2, &grid).unwrap();
    assert!(bound.steps.iter().all(|&step| step.abs() < 1e-15));
    assert!(bound.initial > 0.0);
    let bound = factorized_bound(&UNIFORM, D, 2, &grid).unwrap();
    assert!(bound.total().abs() < 1e-15);
    let bound = hypercube_bound(D, Some(0.0), RateError::Mean(0.0), 1.0, 0.0).unwrap();
    assert_eq!((bound.total(), bound.total_variation()), (0.0, 0.0));
    // One coordinate: nothing to factorise, and 5 values.
    let bound = factorized_bound(&[0.5, 0.2, 0.0, 0.3, 0.0], 1, 5, &grid).unwrap();
    assert!(bound.steps.iter().all(|&step| step.abs() < 1e-15) && bound.initial > 0.0);
}

/// A point mass is left at first as fast as the bounds say.
#[test]
fn early_stopping_of_a_point_mass() {
    let mut point = [0.0; N];
    point[5] = 1.0;
    let stop = 1e-5;
    let exact = 1.0 - flipped(&point, stop)[5];
    for bound in [
        hypercube_bound(D, None, RateError::Mean(0.0), 1.0, stop).unwrap(),
        refresh_bound(D, 2, None, RateError::Mean(0.0), 1.0, 2.0 * stop).unwrap(),
    ] {
        assert!(exact <= bound.early_stop && bound.early_stop < exact * (1.0 + 1e-4), "{bound:?} {exact}");
    }
}

/// The noising of three values in two coordinates, by the definition.
#[test]
fn three_values() {
    let law: Vec<f64> = (1..=9).map(|k| f64::from(k * k) / 285.0).collect();
    let (tau, kept) = (0.7_f64, (-0.7_f64).exp());
    let grid = TimeGrid::from_nodes(vec![tau, 0.0]).unwrap();
    let bound = factorized_bound(&law, 2, 3, &grid).unwrap();
    let channel = |a: usize, b: usize| (1.0 - kept) / 3.0 + if a == b { kept } else { 0.0 };
    let (mut initial, mut correlation) = (0.0, 0.0);
    for y in 0..9 {
        let joint: Vec<f64> =
            (0..9).map(|x| law[x] * channel(x / 3, y / 3) * channel(x % 3, y % 3)).collect();
        let total: f64 = joint.iter().sum();
        initial += total * (9.0 * total).ln();
        for x in 0..9 {
            let rows: f64 = (0..3).map(|b| joint[x / 3 * 3 + b]).sum();
            let columns: f64 = (0..3).map(|a| joint[a * 3 + x % 3]).sum();
            correlation += joint[x] * (joint[x] * total / (rows * columns)).ln();
        }
    }
    assert!((bound.initial - initial).abs() < 1e-14, "{} {initial}", bound.initial);
    assert!((bound.steps[0] - correlation).abs() < 1e-14, "{} {correlation}", bound.steps[0]);
}

#[test]
fn events_of_the_clock() {
    // On fine grids the clock's sum is C d (T - 1 + log(1/δ)), and the ideal one is the integral of coth.
    let grid = two_phase(3.0, 1e-3, 4000);
    let events = uniformization_events(5, 1.4, &grid).unwrap();
    let limit = 1.4 * 5.0 * (2.0 + 1e3_f64.ln());
    assert!(events.events >= limit && events.events < limit * 1.002, "{events:?}");
    let coth: f64 = clocks(&grid)
        .windows(2)
        .map(|pair| {
            let g = pair[0] - pair[1];
            gauss().map(|(node, weight)| weight * g / (pair[1] + g * node).tanh()).sum::<f64>()
        })
        .sum();
    assert!((events.ideal - 5.0 * coth).abs() < 1e-10);
    assert!(events.events >= events.ideal && events.ideal >= events.jumps);
    assert!((events.jumps - 5.0 * (3.0 - 1e-3)).abs() < 1e-12);
}

/// N(0, I) attains the discretisation term; equal steps are within the printed form.
#[test]
fn lipschitz_total_variation() {
    let (steps, horizon, l, error) = (50, 2.0, 1.3, 0.02);
    let grid = TimeGrid::uniform(horizon, 0.0, steps).unwrap();
    let (bound, h) =
        (lipschitz_total_variation_bound(4, l, 0.7, error, &grid).unwrap(), horizon / steps as f64);
    assert_eq!(bound.discretization, lipschitz_bound(4, l, &grid).unwrap().total());
    let d = 4.0;
    let closed = (-2.0 * horizon).exp() * 0.7
        + d * l * l * h * horizon
        + d * l * h * h * horizon / 3.0
        + error * error
        + error * (horizon * h * h * d * l).sqrt();
    assert!(bound.total() <= closed && bound.total() > 0.95 * closed, "{} {closed}", bound.total());
    let score = error * error + error * (horizon * h * h * d * l).sqrt();
    assert!((bound.score / score - 1.0).abs() < 1e-12);
    assert!((bound.total_variation() - (0.5 * bound.total()).sqrt()).abs() < 1e-15);
    let vacuous = lipschitz_total_variation_bound(4, l, 1e6, error, &grid).unwrap();
    assert!(vacuous.total_variation() <= 1.0);
}

#[test]
fn refused() {
    let exact = RateError::Mean(0.0);
    for (horizon, stop) in [(0.0, 0.0), (f64::NAN, 0.0), (1.0, 1.0), (1.0, -0.1), (1.0, f64::NAN)] {
        assert!(hypercube_bound(1, None, exact, horizon, stop).is_err());
        assert!(refresh_bound(1, 2, None, exact, horizon, stop).is_err());
    }
    for bad in [-1.0, f64::NAN, f64::INFINITY] {
        assert!(hypercube_bound(1, Some(bad), exact, 1.0, 0.0).is_err());
        assert!(hypercube_bound(1, None, RateError::Mean(bad), 1.0, 0.0).is_err());
        assert!(hypercube_bound(1, None, RateError::Integral(bad), 1.0, 0.0).is_err());
    }
    assert!(hypercube_bound(0, None, exact, 1.0, 0.0).is_err());
    assert!(refresh_bound(1, 1, None, exact, 1.0, 0.0).is_err());
    let grid = TimeGrid::uniform(1.0, 0.1, 3).unwrap();
    assert!(uniformization_events(1, 0.0, &grid).is_err());
    assert!(uniformization_events(0, 1.0, &grid).is_err());
    assert!(matches!(factorized_bound(&[1.0], 1, 2, &grid), Err(Error::Shape { parameter: "law", .. })));
    assert!(matches!(factorized_bound(&[0.5, f64::NAN], 1, 2, &grid), Err(Error::Entry { .. })));
    assert!(matches!(factorized_bound(&[0.5, 0.4], 1, 2, &grid), Err(Error::Domain { .. })));
    assert!(matches!(factorized_bound(&[1.0], 40, 40, &grid), Err(Error::Domain { .. })));
    let uniform = TimeGrid::uniform(0.1, 1.0, 3).unwrap();
    assert!(factorized_bound(&[0.5, 0.5], 1, 2, &uniform).is_err());
}

/// Conditional law of bit i at its value in x, given the bits of `known` at theirs.
fn conditional(law: &[f64; N], x: usize, i: usize, known: usize) -> f64 {
    let agree = |set: usize| -> f64 { (0..N).filter(|y| (x ^ y) & set == 0).map(|y| law[y]).sum() };
    agree(known | 1 << i) / agree(known)
}

proptest! {
    #![proptest_config(verify::strategy::cases(9004, 40))]

    /// By all orders: the KL given the order is the sum of the total correlations, and of the mixture at most that.
    #[test]
    fn masks_are_lifted_in_every_order(law in any_law(), kind in 0_usize..4) {
        let reveal: &[usize] = [&[3][..], &[2, 1], &[1, 2], &[1, 1, 1]][kind];
        let orders = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
        let (mut sampler, mut given) = ([0.0; N], 0.0);
        for order in orders {
            let of = |x: usize| -> f64 {
                let (mut known, mut start, mut product) = (0, 0, 1.0);
                for &block in reveal {
                    let bits = &order[start..start + block];
                    product *= bits.iter().map(|&i| conditional(&law, x, i, known)).product::<f64>();
                    known |= bits.iter().map(|&i| 1 << i).sum::<usize>();
                    start += block;
                }
                product
            };
            // Where the law is 0 a conditional may be 0/0; the sampler does not come there or it does not count.
            let path: [f64; N] = std::array::from_fn(|x| if law[x] > 0.0 { of(x) } else { 0.0 });
            given += kl(&law, &path) / 6.0;
            for (total, p) in sampler.iter_mut().zip(path) {
                *total += p / 6.0;
            }
        }
        // The states of the law run with the last coordinate fastest: here bit 0 is the last, which no mean sees.
        let bound = masked_bound(&law, D, 2, reveal).unwrap().total();
        prop_assert!((bound - given).abs() < 1e-12, "{} {}", bound, given);
        prop_assert!(kl(&law, &sampler) <= bound + 1e-12);
    }
}

#[test]
fn masks_of_equal_and_of_independent_tokens() {
    // d equal tokens at once lose (d − 1) log S; k and then the rest lose (k − 1) log S.
    let (d, s) = (3, 4);
    let mut equal = vec![0.0; 64];
    (0..s).for_each(|v| equal[v * 21] = 0.25);
    for (reveal, lost) in [(&[3][..], 2.0), (&[2, 1], 1.0), (&[1, 2], 0.0), (&[1, 1, 1], 0.0)] {
        let bound = masked_bound(&equal, d, s, reveal).unwrap();
        assert!((bound.total() - lost * 4f64.ln()).abs() < 1e-14 && bound.steps.len() == reveal.len());
    }
    let marginal = [0.5, 0.3, 0.2];
    let product: Vec<f64> = (0..9).map(|x| marginal[x / 3] * marginal[x % 3]).collect();
    assert!(masked_bound(&product, 2, 3, &[2]).unwrap().total().abs() < 1e-15);
    for reveal in [&[][..], &[1], &[2, 1], &[0, 2], &[3]] {
        assert!(masked_bound(&product, 2, 3, reveal).is_err());
    }
    assert!(masked_bound(&product, 2, 2, &[2]).is_err() && masked_bound(&[0.5; 4], 2, 2, &[2]).is_err());
    assert!(masked_bound(&[f64::NAN; 4], 2, 2, &[2]).is_err() && masked_bound(&[], 0, 2, &[]).is_err());
    assert_eq!(masked_bound(&[0.3, 0.7], 1, 2, &[1]).unwrap().total(), 0.0);
}
