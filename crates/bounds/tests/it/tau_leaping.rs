//! Tau-leaping on two coordinates of three values, by enumeration: the theorem is an inequality, the terms are numbers.

use bounds::theorem::{TauLeaping, product_mixing_bound, tau_leaping_bound};
use numeric::Error;

const S: usize = 3;
const N: usize = S * S;

/// The law of the data; a state is 3 a + b.
const DATA: [f64; N] = [0.30, 0.05, 0.02, 0.03, 0.20, 0.05, 0.05, 0.10, 0.20];

/// Of each rate from a value to another.
const RATE: f64 = 0.5;

/// The law at time t of coordinates that go to each other value at the rate 1/2.
fn law(t: f64) -> [f64; N] {
    let keep = (-RATE * S as f64 * t).exp();
    let kernel = |a: usize, b: usize| (1.0 - keep) / S as f64 + if a == b { keep } else { 0.0 };
    std::array::from_fn(|y| (0..N).map(|x| DATA[x] * kernel(x / S, y / S) * kernel(x % S, y % S)).sum())
}

/// The rates back at time t from a state to each value of a coordinate, 0 to the present one.
fn back(law: &[f64; N], x: usize, coordinate: usize) -> [f64; S] {
    std::array::from_fn(|value| {
        let y = with(x, coordinate, value);
        if y == x { 0.0 } else { RATE * law[y] / law[x] }
    })
}

fn value(x: usize, coordinate: usize) -> usize {
    if coordinate == 0 { x / S } else { x % S }
}

fn with(x: usize, coordinate: usize, value: usize) -> usize {
    if coordinate == 0 { value * S + x % S } else { x - x % S + value }
}

/// What a leap with several jumps of one coordinate does.
#[derive(Clone, Copy)]
enum Rule {
    /// Nothing.
    Reject,
    /// Their sum, clamped to the values.
    Clamp,
}

/// The law of one coordinate after a leap.
fn leap(rule: Rule, from: usize, rates: [f64; S], step: f64) -> [f64; S] {
    let total: f64 = rates.iter().sum();
    match rule {
        Rule::Reject => {
            let mut law = rates.map(|rate| step * rate * (-step * total).exp());
            law[from] = 1.0 - law.iter().sum::<f64>();
            law
        }
        Rule::Clamp => {
            // Sums of up to 40 jumps of each kind; positions from -100 to 100.
            let mut sums = vec![0.0; 201];
            sums[100 + from] = 1.0;
            for (to, rate) in rates.into_iter().enumerate().filter(|(_, rate)| *rate > 0.0) {
                let jump = to as isize - from as isize;
                let mut after = vec![0.0; 201];
                let mut weight = (-step * rate).exp();
                for count in 0..40_isize {
                    for (place, p) in sums.iter().enumerate().filter(|(_, p)| **p > 0.0) {
                        let place = place as isize + count * jump;
                        if (0..201).contains(&place) {
                            after[place as usize] += p * weight;
                        }
                    }
                    weight *= step * rate / (count + 1) as f64;
                }
                sums = after;
            }
            let mut law = [0.0; S];
            for (place, p) in sums.iter().enumerate() {
                law[place.clamp(100, 100 + S - 1) - 100] += p;
            }
            law
        }
    }
}

/// The law after n leaps with the exact rates back from time 1.
fn leaped(rule: Rule, n: usize, start: [f64; N]) -> [f64; N] {
    let step = 1.0 / n as f64;
    let mut p = start;
    for k in 0..n {
        let at = law(1.0 - k as f64 * step);
        let mut next = [0.0; N];
        for (x, p) in p.iter().enumerate() {
            let both = [0, 1].map(|c| leap(rule, value(x, c), back(&at, x, c), step));
            for y in 0..N {
                next[y] += p * both[0][value(y, 0)] * both[1][value(y, 1)];
            }
        }
        p = next;
    }
    p
}

fn variation(p: &[f64; N], q: &[f64; N]) -> f64 {
    0.5 * p.iter().zip(q).map(|(p, q)| (p - q).abs()).sum::<f64>()
}

/// Pairs of states that differ in at most one coordinate.
fn neighbours() -> impl Iterator<Item = (usize, usize)> {
    (0..N).flat_map(|x| (0..N).map(move |y| (x, y))).filter(|(x, y)| x / S == y / S || x % S == y % S)
}

/// C_1 and C_2 at a time.
fn constants(t: f64) -> (f64, f64) {
    let at = law(t);
    let ratio = neighbours().map(|(x, y)| at[x] / at[y]).fold(0.0, f64::max);
    // The rate of a displacement z in Z², from a state.
    let rate = |x: usize, z: (isize, isize)| -> f64 {
        let go = |value: usize, z: isize| usize::try_from(value as isize + z).ok().filter(|&v| v < S);
        match (z, go(x / S, z.0), go(x % S, z.1)) {
            ((0, 0), ..) => -(0..2).flat_map(|c| back(&at, x, c)).sum::<f64>(),
            ((_, 0), Some(a), _) => back(&at, x, 0)[a],
            ((0, _), _, Some(b)) => back(&at, x, 1)[b],
            _ => 0.0,
        }
    };
    let shifts: Vec<(isize, isize)> = (-2..=2).flat_map(|a| (-2..=2).map(move |b| (a, b))).collect();
    let variation = neighbours()
        .map(|(x, y)| shifts.iter().map(|&z| (rate(x, z) - rate(y, z)).abs()).sum())
        .fold(0.0, f64::max);
    (ratio, variation)
}

fn problem() -> TauLeaping {
    let (ratio, variation) = constants(0.0);
    TauLeaping {
        dim: 2,
        values: S,
        exit_rate: 1.0,
        mixing_time: (8.0_f64 / 3.0).ln() / 1.5,
        rate_error: 0.0,
        ratio,
        variation,
    }
}

#[test]
fn the_constants_of_the_problem() {
    let problem = problem();
    assert!((problem.mixing_time - 0.653886168674).abs() < 1e-12);
    assert!((problem.ratio - 15.0).abs() < 1e-12 && (problem.variation - 446.0 / 15.0).abs() < 1e-12);
    // They are the greatest of all times.
    for k in 1..=100 {
        let (ratio, variation) = constants(0.01 * f64::from(k));
        assert!(ratio <= problem.ratio && variation <= problem.variation);
    }
    #[cfg(feature = "ctmc")]
    {
        let found = ctmc::mixing_time(&ctmc::Refresh::uniform(3, 0.5).unwrap(), 0.25).unwrap();
        assert!((found.upper - problem.mixing_time).abs() < 1e-11);
    }
    for (n, total) in [(64.0, 148.873416143), (1024.0, 10.6214630185), (16384.0, 1.98071594817)] {
        let bound = tau_leaping_bound(&problem, 1.0, 1.0 / n).unwrap();
        assert!((bound.total() / total - 1.0).abs() < 1e-11, "{}", bound.total());
        assert!((bound.mixing - 1.40466614349).abs() < 1e-11);
        assert_eq!(bound.rates, 0.0);
    }
    // The terms that the exact rates leave out.
    let wrong = TauLeaping { rate_error: 0.25, ..problem };
    let (exact, bound) =
        (tau_leaping_bound(&problem, 2.0, 0.5).unwrap(), tau_leaping_bound(&wrong, 2.0, 0.5).unwrap());
    assert_eq!(bound.rates, 3.0 * 0.25 * 2.0);
    assert!((bound.leaps - exact.leaps - 0.5 * problem.variation * 0.25).abs() < 1e-10);
}

#[test]
fn the_laws_of_leaps_are_within_the_bound() {
    let (end, uniform) = (law(1.0), [1.0 / N as f64; N]);
    assert!((variation(&end, &uniform) - 0.0202841372082).abs() < 1e-12);
    let reject = [0.217063110271, 0.129131972095, 0.069753280425, 0.0359416903353, 0.0181690110074];
    let clamp = [0.198703925444, 0.112991174341, 0.0593066481318, 0.030097792911, 0.0151056905722];
    let n = [4, 8, 16, 32, 64];
    for (rule, exact) in [(Rule::Reject, reject), (Rule::Clamp, clamp)] {
        for (n, exact) in n.into_iter().zip(exact) {
            // From the law that the leaps are to start from, as the values were computed.
            let found = variation(&leaped(rule, n, end), &DATA);
            assert!((found - exact).abs() < 2e-12, "{n}: {found} {exact}");
            // And from the uniform law, as the theorem has it.
            let bound = tau_leaping_bound(&problem(), 1.0, 1.0 / n as f64).unwrap();
            let from_uniform = variation(&leaped(rule, n, uniform), &DATA);
            assert!(from_uniform <= bound.total());
            assert!(from_uniform - found <= 0.0202841372082 + 1e-12);
        }
    }
    // First order in the step, as the bound.
    let ratio =
        variation(&leaped(Rule::Clamp, 64, end), &DATA) / variation(&leaped(Rule::Clamp, 128, end), &DATA);
    assert!((ratio - 2.0).abs() < 0.01, "{ratio}");
}

#[test]
fn products_are_within_the_mixing_bound() {
    // Coordinates of three values from a point: 1 − Π (mass kept) by enumeration of two of them.
    let time = problem().mixing_time;
    for t in [0.3, 0.7, 1.4, 2.1, 5.0] {
        let keep = (-1.5_f64 * t).exp();
        let one = [keep + (1.0 - keep) / 3.0, (1.0 - keep) / 3.0, (1.0 - keep) / 3.0];
        let pair: f64 = (0..N).map(|x| (one[x / S] * one[x % S] - 1.0 / 9.0).abs()).sum::<f64>() / 2.0;
        let single: f64 = one.iter().map(|p| (p - 1.0 / 3.0).abs()).sum::<f64>() / 2.0;
        assert!(pair <= product_mixing_bound(2, time, t).unwrap());
        assert!(single <= product_mixing_bound(1, time, t).unwrap());
        // The formula of the theorem is the weaker one.
        for dim in [1, 2, 3, 8, 1000] {
            let weak = tau_leaping_bound(&TauLeaping { dim, ..problem() }, t, t).unwrap().mixing;
            assert!(
                product_mixing_bound(dim, time, t).unwrap() <= weak.max(1.0) * (1.0 + 1e-12),
                "{dim} {t}"
            );
        }
    }
    assert_eq!(product_mixing_bound(1, 1.0, 0.999).unwrap(), 1.0);
    assert_eq!(product_mixing_bound(1, 1.0, 1.0).unwrap(), 0.25);
}

#[test]
fn bad_input_is_named() {
    let good = problem();
    let name = |problem: TauLeaping| match tau_leaping_bound(&problem, 1.0, 0.5) {
        Err(Error::Domain { parameter, .. }) => parameter,
        other => panic!("{other:?}"),
    };
    assert_eq!(name(TauLeaping { dim: 0, ..good }), "dim");
    assert_eq!(name(TauLeaping { values: 1, ..good }), "values");
    for bad in [-1.0, f64::NAN, f64::INFINITY] {
        assert_eq!(name(TauLeaping { exit_rate: bad, ..good }), "exit_rate");
        assert_eq!(name(TauLeaping { mixing_time: bad, ..good }), "mixing_time");
        assert_eq!(name(TauLeaping { rate_error: bad, ..good }), "rate_error");
        assert_eq!(name(TauLeaping { ratio: bad, ..good }), "ratio");
        assert_eq!(name(TauLeaping { variation: bad, ..good }), "variation");
        assert!(tau_leaping_bound(&good, bad, 0.5).is_err());
        assert!(tau_leaping_bound(&good, 1.0, bad).is_err());
        assert!(product_mixing_bound(2, bad, 1.0).is_err() && product_mixing_bound(2, 1.0, bad).is_err());
    }
    assert_eq!(name(TauLeaping { ratio: 0.99, ..good }), "ratio");
    assert!(tau_leaping_bound(&good, 1.0, 1.5).is_err() && tau_leaping_bound(&good, 1.0, 0.0).is_err());
    assert!(product_mixing_bound(0, 1.0, 1.0).is_err());
}
