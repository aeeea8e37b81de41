//! Schedules against quadrature, the values of the papers, and their own inverses.

use ctmc::TimeChange;

use crate::assert_near;

fn all() -> [(&'static str, TimeChange); 7] {
    [
        ("constant", TimeChange::constant(0.03).unwrap()),
        ("linear", TimeChange::linear(0.1, 20.0).unwrap()),
        ("linear from 0", TimeChange::linear(0.0, 2.0).unwrap()),
        ("exponential", TimeChange::exponential(3.0, 100.0).unwrap()),
        ("geometric", TimeChange::geometric(1e-3, 20.0).unwrap()),
        ("log-linear", TimeChange::log_linear(1e-3).unwrap()),
        ("cosine", TimeChange::cosine()),
    ]
}

#[test]
fn integrals_are_those_of_the_rate() {
    // Gauss–Legendre with 5 nodes on 400 cells.
    let nodes = [
        (0.0, 128.0 / 225.0),
        (0.538_469_310_105_683_1, 0.478_628_670_499_366_47),
        (0.906_179_845_938_664, 0.236_926_885_056_189_08),
    ];
    for (name, beta) in all() {
        for (s, t) in [(0.0, 1e-6), (0.0, 0.3), (0.2, 0.9), (0.5, 0.500_001)] {
            let cell = (t - s) / 400.0;
            let mut sum = 0.0;
            for i in 0..400 {
                let middle = s + (f64::from(i) + 0.5) * cell;
                for (node, weight) in nodes {
                    let both = if node == 0.0 { 1.0 } else { 2.0 };
                    let pair = beta.rate(middle - 0.5 * cell * node).unwrap()
                        + beta.rate(middle + 0.5 * cell * node).unwrap();
                    sum += 0.25 * both * weight * pair * cell;
                }
            }
            let found = beta.integral(s, t).unwrap();
            assert!((found / sum - 1.0).abs() < 2e-13, "{name} on {s}, {t}: {found}, {sum}");
        }
    }
}

#[test]
fn spans_add_up_and_short_ones_keep_their_digits() {
    for (name, beta) in all() {
        let whole = beta.integral(0.1, 0.95).unwrap();
        let parts = beta.integral(0.1, 0.4).unwrap() + beta.integral(0.4, 0.95).unwrap();
        assert!((parts / whole - 1.0).abs() < 1e-14, "{name}");
        let short = 2_f64.powi(-40);
        let found = beta.integral(0.5, 0.5 + short).unwrap() / short;
        let exact = beta.rate(0.5 + 0.5 * short).unwrap();
        assert!((found / exact - 1.0).abs() < 1e-14, "{name}: {found} {exact}");
        assert_eq!(beta.integral(0.7, 0.7).unwrap(), 0.0);
    }
}

#[test]
fn the_inverse_is_the_inverse() {
    for (name, beta) in all() {
        for t in [0.0, 1e-12, 1e-3, 0.3, 0.4, 0.5, 0.9, 0.999] {
            let back = beta.time_at(beta.integral(0.0, t).unwrap()).unwrap();
            assert!((back - t).abs() <= 4e-15 * t.max(if t < 0.1 { t } else { 1.0 }), "{name}: {t} {back}");
        }
    }
    let masks = TimeChange::log_linear(0.25).unwrap();
    assert_eq!(masks.time_at(4_f64.ln()).unwrap(), 1.0);
    assert!(masks.time_at(1.5).is_err()); // more than ln 4
    assert_eq!(TimeChange::cosine().time_at(f64::INFINITY).unwrap(), 1.0);
}

#[test]
fn faster_for_a_shorter_time_is_the_same() {
    // (β, T) and (c β(c ·), T/c).
    let c = 8.0;
    let pairs = [
        (TimeChange::constant(0.3), TimeChange::constant(0.3 * c)),
        (TimeChange::linear(0.5, 2.0), TimeChange::linear(0.5 * c, 2.0 * c * c)),
        (TimeChange::exponential(0.5, 3.0), TimeChange::exponential(0.5, 3_f64.powf(c))),
    ];
    for (slow, fast) in pairs {
        let (slow, fast) =
            (slow.unwrap().integral(0.2, 1.0).unwrap(), fast.unwrap().integral(0.2 / c, 1.0 / c).unwrap());
        assert!((slow / fast - 1.0).abs() < 1e-14, "{slow} {fast}");
    }
}

#[test]
fn schedules_of_the_papers() {
    let music = TimeChange::exponential(0.5, 1e4).unwrap();
    assert_near(music.rate(0.5).unwrap(), 460.517018599, 1e-9);
    assert_near(music.integral(0.0, 1.0).unwrap(), 4999.5, 1e-9);
    let images = TimeChange::exponential(3.0, 100.0).unwrap();
    assert_near(images.rate(0.0).unwrap(), 13.815510558, 1e-9);
    assert_near(images.integral(0.0, 1.0).unwrap(), 297.0, 1e-10);
    let toy = TimeChange::exponential(5.0, 5.0).unwrap();
    assert_near(toy.integral(0.0, 1.0).unwrap(), 20.0, 1e-13);
    let chain = TimeChange::exponential(0.5, 3.0).unwrap();
    assert_near(chain.rate(0.0).unwrap(), 0.549306144334, 1e-12);
    assert_near(chain.rate(1.0).unwrap(), 1.647918433, 1e-9);
}

#[test]
fn the_ends_of_schedules() {
    assert_eq!(TimeChange::cosine().integral(0.0, 1.0).unwrap(), f64::INFINITY);
    assert_eq!(TimeChange::cosine().rate(1.0).unwrap(), f64::INFINITY);
    let near = 1.0 - 2_f64.powi(-40);
    // 1 - cos x = x²/2 there, x = π(1 - t)/2.
    let exact = -(0.5 * (0.5 * std::f64::consts::PI * (1.0 - near)).powi(2)).ln();
    assert_near(TimeChange::cosine().integral(0.0, near).unwrap() / exact, 1.0, 1e-15);
    let masks = TimeChange::log_linear(1e-12).unwrap();
    assert_near(masks.integral(0.0, 1.0).unwrap() / 1e12_f64.ln(), 1.0, 1e-15);
    for (name, beta) in all() {
        for bad in [-1.0, f64::NAN, f64::INFINITY] {
            assert!(beta.rate(bad).is_err() && beta.integral(0.0, bad).is_err(), "{name}: {bad}");
            assert!(beta.integral(bad, 1.0).is_err(), "{name}: {bad}");
        }
        assert!(beta.time_at(-1.0).is_err() && beta.time_at(f64::NAN).is_err());
        assert!(beta.integral(0.5, 0.4).is_err());
    }
    // Beyond the range of numbers on the way.
    let steep = TimeChange::linear(1.0, 1e300).unwrap();
    assert_near(steep.time_at(2e300).unwrap(), 2.0, 1e-15);
    for beta in [TimeChange::linear(0.5, 1.0).unwrap(), TimeChange::exponential(0.5, 3.0).unwrap()] {
        assert!(beta.time_at(f64::INFINITY).is_err());
        assert!(beta.time_at(1e307).unwrap().is_finite());
    }
    assert_near(
        TimeChange::linear(0.5, 1.0).unwrap().time_at(1e308).unwrap() / 1.414_213_562_373_095e154,
        1.0,
        1e-15,
    );
    assert!(TimeChange::cosine().rate(1.5).is_err());
    assert!(masks.rate(1.5).is_err());
    for bad in [-1.0, 0.0, f64::NAN, f64::INFINITY] {
        assert!(TimeChange::constant(bad).is_err());
        assert!(TimeChange::exponential(bad, 3.0).is_err() && TimeChange::exponential(3.0, bad).is_err());
        assert!(TimeChange::geometric(bad, 3.0).is_err() && TimeChange::geometric(3.0, bad).is_err());
        assert!(TimeChange::linear(0.0, bad).is_err());
        assert!(
            bad == 0.0 || (TimeChange::linear(bad, 1.0).is_err() && TimeChange::log_linear(bad).is_err())
        );
    }
    assert!(TimeChange::exponential(1.0, 1.0).is_err() && TimeChange::log_linear(1.0).is_err());
}
