//! Divergences of finite laws against their definitions, series for near laws, limits and identities.

use bounds::divergence::FiniteLaw;
use numeric::Error;
use proptest::prelude::*;

#[track_caller]
fn assert_close(found: f64, expected: f64, relative: f64) {
    assert!((found - expected).abs() <= relative * expected.abs(), "{found} for {expected}");
}

fn law(weights: &[f64]) -> FiniteLaw {
    FiniteLaw::new(weights).unwrap()
}

/// Any two laws on five points, in half the cases with points of weight 0.
fn pairs() -> impl Strategy<Value = (FiniteLaw, FiniteLaw)> {
    let weights = || (prop::collection::vec(-6.0..0.0_f64, 5), 1..32_u32, any::<bool>());
    let of = |(exponents, mask, holes): (Vec<f64>, u32, bool)| {
        let kept = |i: usize| !holes || mask >> i & 1 == 1;
        let weights = exponents.iter().enumerate();
        let weights = weights.map(|(i, e)| if kept(i) { 10.0_f64.powf(*e) } else { 0.0 });
        let weights: Vec<f64> = weights.collect();
        let sum: f64 = weights.iter().sum();
        law(&weights.iter().map(|w| w / sum).collect::<Vec<_>>())
    };
    (weights(), weights()).prop_map(move |(p, q)| (of(p), of(q)))
}

/// As the definition says it.
fn renyi_as_written(alpha: f64, p: &FiniteLaw, q: &FiniteLaw) -> f64 {
    let sum: f64 = p
        .weights()
        .iter()
        .zip(q.weights())
        .map(|(p, q)| if *p == 0.0 { 0.0 } else { p.powf(alpha) * q.powf(1.0 - alpha) })
        .sum();
    sum.ln() / (alpha - 1.0)
}

proptest! {
    #![proptest_config(verify::strategy::cases(9005, 256))]

    #[test]
    fn definitions((p, q) in pairs()) {
        let close = |found: f64, expected: f64| {
            found == expected || (found - expected).abs() <= 1e-11 * (1.0 + expected.abs())
        };
        let sum = |term: &dyn Fn(f64, f64) -> f64| -> f64 {
            p.weights().iter().zip(q.weights()).map(|(p, q)| term(*p, *q)).sum()
        };
        let kl = sum(&|p, q| if p == 0.0 { 0.0 } else { p * (p / q).ln() });
        prop_assert!(close(p.kl(&q).unwrap(), kl), "{} for {}", p.kl(&q).unwrap(), kl);
        prop_assert!(close(p.total_variation(&q).unwrap(), 1.0 - sum(&|p, q| p.min(q))));
        prop_assert!(close(p.hellinger_squared(&q).unwrap(), 1.0 - sum(&|p, q| (p * q).sqrt())));
        let chi = sum(&|p, q| if p == 0.0 { 0.0 } else { p * p / q }) - 1.0;
        prop_assert!(close(p.chi_squared(&q).unwrap(), chi));
        let entropy = sum(&|p, _| if p == 0.0 { 0.0 } else { -p * p.ln() });
        prop_assert!(close(p.entropy(), entropy));

        let mut below = p.renyi(0.0, &q).unwrap();
        let reached = sum(&|p, q| if p > 0.0 { q } else { 0.0 });
        prop_assert!(close(below, -reached.ln()));
        for alpha in [1e-3, 0.2, 0.5, 0.7, 0.99, 1.01, 1.5, 2.0, 2.1, 7.0, 30.0] {
            let found = p.renyi(alpha, &q).unwrap();
            let expected = renyi_as_written(alpha, &p, &q);
            prop_assert!(close(found, expected), "{} for {} at {}", found, expected, alpha);
            prop_assert!(found >= below * (1.0 - 1e-12) - 1e-12, "{} after {}", found, below);
            below = found;
        }
        prop_assert!(p.renyi(f64::INFINITY, &q).unwrap() >= below * (1.0 - 1e-12) - 1e-12);
        prop_assert!(close(p.renyi(1.0, &q).unwrap(), kl));
        prop_assert!(close(p.renyi(2.0, &q).unwrap(), (1.0 + chi).ln()));
        let hellinger = p.hellinger_squared(&q).unwrap();
        prop_assert!(close(p.renyi(0.5, &q).unwrap(), -2.0 * (1.0 - hellinger).ln()) || hellinger > 0.999);
        for alpha in [0.0, 1e-9, 0.5, 1.0 - 1e-9, 1.0, 1.0 + 1e-9, 3.0, 1e9, f64::INFINITY] {
            prop_assert_eq!(p.renyi(alpha, &p).unwrap(), 0.0);
        }
    }
}

/// Every divergence of nearly equal laws is its second-order term, times $`1 + O(\epsilon)`$.
#[test]
fn near_laws_keep_their_digits() {
    for exponent in [-10, -20, -40] {
        // Binary fractions: the weights and their differences are exact.
        let b = 2.0_f64.powi(exponent);
        let (p, q) = (law(&[0.5 + b, 0.25 - b, 0.25]), law(&[0.5, 0.25, 0.25]));
        let chi = b * b * (2.0 + 4.0);
        let relative = 8.0 * b + 1e-14;
        assert_close(p.chi_squared(&q).unwrap(), chi, 1e-15);
        assert_close(p.kl(&q).unwrap(), 0.5 * chi, relative);
        assert_close(p.hellinger_squared(&q).unwrap(), 0.125 * chi, relative);
        assert_eq!(p.total_variation(&q).unwrap(), b);
        for alpha in [1e-12, 0.3, 0.5, 1.0 - 1e-12, 1.0, 1.0 + 1e-12, 1.7, 2.5, 4.0] {
            assert_close(p.renyi(alpha, &q).unwrap(), 0.5 * alpha * chi, 4.0 * relative);
        }
    }
}

/// Orders near 1 and near 0 against the expansions $`R_{1+\beta} = KL + \beta\,\mathrm{Var}_P(\ln p/q)/2`$ and
/// $`R_\alpha = \alpha KL(Q\|P)`$, large ones against the largest ratio.
#[test]
fn limits_in_the_order() {
    let (p, q) = (law(&[0.7, 0.2, 0.1]), law(&[0.1, 0.3, 0.6]));
    let kl = p.kl(&q).unwrap();
    let squares: f64 = p.weights().iter().zip(q.weights()).map(|(p, q)| p * (p / q).ln().powi(2)).sum();
    for beta in [1e-6, -1e-6, 1e-9, -1e-9, 1e-14] {
        let expected = kl + 0.5 * beta * (squares - kl * kl);
        assert_close(p.renyi(1.0 + beta, &q).unwrap(), expected, 1e-14 + 10.0 * beta * beta);
    }
    for alpha in [1e-8, 1e-12, 1e-300] {
        assert_close(p.renyi(alpha, &q).unwrap(), alpha * q.kl(&p).unwrap(), 10.0 * alpha + 1e-14);
    }
    for alpha in [1e3, 1e6, 1e18, 1e308] {
        // Only the largest ratio is left: (alpha ln 7 + ln 0.1)/(alpha - 1).
        let expected = alpha / (alpha - 1.0) * 7.0_f64.ln() + 0.1_f64.ln() / (alpha - 1.0);
        assert_close(p.renyi(alpha, &q).unwrap(), expected, 1e-14);
    }
    assert_close(p.renyi(f64::INFINITY, &q).unwrap(), 7.0_f64.ln(), 1e-15);
}

#[test]
fn extreme_weights() {
    let tiny = 1e-310;
    let (p, q) = (law(&[0.5, 0.5]), law(&[1.0, tiny]));
    // 0.5 ln 0.5 + 0.5 ln(0.5/tiny).
    let expected = 0.5_f64.ln() - 0.5 * tiny.ln();
    assert_close(p.kl(&q).unwrap(), expected, 1e-14);
    let squares = 0.5 * 0.5_f64.ln().powi(2) + 0.5 * (0.5_f64.ln() - tiny.ln()).powi(2);
    let near = expected + 0.5e-12 * (squares - expected * expected);
    assert_close(p.renyi(1.0 + 1e-12, &q).unwrap(), near, 1e-13);
    assert_close(p.renyi(2.0, &q).unwrap(), 0.25_f64.ln() - tiny.ln(), 1e-14);
    assert_close(q.kl(&p).unwrap(), 2.0_f64.ln(), 1e-15);

    // No point in common, and supports within each other.
    let (left, right, all) = (law(&[1.0, 0.0]), law(&[0.0, 1.0]), law(&[0.5, 0.5]));
    for alpha in [0.0, 0.2, 0.5, 1.0, 3.0, f64::INFINITY] {
        assert_eq!(left.renyi(alpha, &right).unwrap(), f64::INFINITY);
        assert_close(left.renyi(alpha, &all).unwrap(), 2.0_f64.ln(), 1e-15);
    }
    assert_eq!(left.total_variation(&right).unwrap(), 1.0);
    assert_eq!(left.hellinger_squared(&right).unwrap(), 1.0);
    assert_eq!(all.chi_squared(&left).unwrap(), f64::INFINITY);
    assert_eq!(all.kl(&left).unwrap(), f64::INFINITY);
    // Half of the mass of P beyond Q: ln(1/2^alpha)/(alpha - 1) for alpha < 1.
    for alpha in [1e-6, 0.25, 0.5, 0.9, 1.0 - 1e-6] {
        assert_close(all.renyi(alpha, &left).unwrap(), 2.0_f64.ln() * alpha / (1.0 - alpha), 1e-14);
    }
    assert_eq!(all.renyi(1.0, &left).unwrap(), f64::INFINITY);
    let one = law(&[1.0]);
    assert_eq!((one.entropy(), one.kl(&one).unwrap(), one.renyi(3.0, &one).unwrap()), (0.0, 0.0, 0.0));
}

#[test]
fn refused() {
    assert!(matches!(FiniteLaw::new(&[]), Err(Error::Shape { parameter: "weights", .. })));
    for bad in [-0.1, f64::NAN, f64::INFINITY] {
        assert!(matches!(
            FiniteLaw::new(&[0.5, bad]),
            Err(Error::Entry { parameter: "weights", index: 1, .. })
        ));
    }
    assert!(matches!(FiniteLaw::new(&[0.5, 0.5 + 1e-11]), Err(Error::Domain { parameter: "weights", .. })));
    assert!(FiniteLaw::new(&[0.5, 0.5 + 0.9e-12]).is_ok());
    let (p, q) = (law(&[0.5, 0.5]), law(&[1.0]));
    assert!(matches!(p.kl(&q), Err(Error::Shape { parameter: "other", .. })));
    assert!(matches!(p.renyi(0.3, &q), Err(Error::Shape { .. })));
    assert!(matches!(p.chi_squared(&q), Err(Error::Shape { .. })));
    for bad in [-1e-9, f64::NAN] {
        assert!(matches!(p.renyi(bad, &p), Err(Error::Domain { parameter: "alpha", .. })));
    }
}
