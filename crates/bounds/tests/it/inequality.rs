//! Every inequality on random laws, from exact divergences on both sides, and where it is tight: nine tenths of the
//! bound fail there.

use bounds::divergence::{FiniteLaw, GaussianLaw};
use bounds::inequality::*;
use nalgebra::DMatrix;
use numeric::Error;
use numeric::ndarray::{Array1, Array2};
use proptest::prelude::*;

fn upper<D: Divergence>(value: f64) -> UpperBound<D> {
    UpperBound::new(value).unwrap()
}

fn lower<D: Divergence>(value: f64) -> LowerBound<D> {
    LowerBound::new(value).unwrap()
}

/// All divergences of a pair of laws, computed without the inequalities.
#[derive(Clone, Copy, Debug)]
struct Exact {
    kl: f64,
    tv: f64,
    hellinger: f64,
    chi: f64,
    ratio: f64,
}

impl Exact {
    fn of_finite(p: &FiniteLaw, q: &FiniteLaw) -> Exact {
        Exact {
            kl: p.kl(q).unwrap(),
            tv: p.total_variation(q).unwrap(),
            hellinger: p.hellinger_squared(q).unwrap(),
            chi: p.chi_squared(q).unwrap(),
            ratio: p.renyi(f64::INFINITY, q).unwrap(),
        }
    }

    /// Name, bound and truth of every upper bound that follows from one exact value.
    fn uppers(self) -> Vec<(&'static str, f64, f64)> {
        let (kl, tv) = (upper::<Kl>(self.kl), upper::<TotalVariation>(self.tv));
        let chi = upper::<ChiSquared>(self.chi);
        let ratio = upper::<RenyiInfinity>(self.ratio);
        let renyi_2 = self.chi.ln_1p();
        vec![
            ("Pinsker", kl.pinsker().value(), self.tv),
            ("Bretagnolle-Huber", kl.bretagnolle_huber().value(), self.tv),
            ("H2 of KL", kl.renyi_monotone().value(), self.hellinger),
            ("H2 of TV", tv.le_cam().value(), self.hellinger),
            ("TV of H2", upper::<HellingerSquared>(self.hellinger).le_cam().value(), self.tv),
            ("TV of chi2", chi.cauchy_schwarz().value(), self.tv),
            ("KL of chi2", chi.renyi_2().renyi_monotone().value(), self.kl),
            ("chi2 of R2", upper::<Renyi2>(renyi_2).chi_squared().value(), self.chi),
            ("R2 of Rinf", ratio.renyi_monotone().value(), renyi_2),
            ("reverse Pinsker", tv.reverse_pinsker(ratio).value(), self.kl),
        ]
    }

    /// The same of every lower bound.
    fn lowers(self) -> Vec<(&'static str, f64, f64)> {
        let (kl, tv) = (lower::<Kl>(self.kl), lower::<TotalVariation>(self.tv));
        let hellinger = lower::<HellingerSquared>(self.hellinger);
        let renyi_2 = self.chi.ln_1p();
        vec![
            ("Pinsker", tv.pinsker().value(), self.kl),
            ("Bretagnolle-Huber", tv.bretagnolle_huber().value(), self.kl),
            ("H2 of TV", tv.le_cam().value(), self.hellinger),
            ("TV of H2", hellinger.le_cam().value(), self.tv),
            ("KL of H2", hellinger.renyi_monotone().value(), self.kl),
            ("chi2 of TV", tv.cauchy_schwarz().value(), self.chi),
            ("R2 of KL", kl.renyi_monotone().value(), renyi_2),
            ("chi2 of KL", kl.renyi_monotone().chi_squared().value(), self.chi),
            ("Rinf of R2", lower::<ChiSquared>(self.chi).renyi_2().renyi_monotone().value(), self.ratio),
            ("reverse Pinsker", kl.reverse_pinsker(upper(self.ratio)).value(), self.tv),
        ]
    }

    fn check(self) {
        for (name, bound, truth) in self.uppers() {
            assert!(truth <= bound * (1.0 + 1e-11) + 1e-13, "{name}: {truth} above {bound}, {self:?}");
        }
        for (name, bound, truth) in self.lowers() {
            assert!(bound <= truth * (1.0 + 1e-11) + 1e-13, "{name}: {truth} below {bound}, {self:?}");
        }
    }
}

fn finite(weights: &[f64]) -> FiniteLaw {
    let sum: f64 = weights.iter().sum();
    FiniteLaw::new(&weights.iter().map(|w| w / sum).collect::<Vec<_>>()).unwrap()
}

/// Laws on four points, over six decades, in half the cases with a point of weight 0.
fn finite_laws() -> impl Strategy<Value = FiniteLaw> {
    (prop::collection::vec(-6.0..0.0_f64, 4), 0..8_usize).prop_map(|(exponents, hole)| {
        let weights =
            exponents.iter().enumerate().map(|(i, e)| if i == hole { 0.0 } else { 10.0_f64.powf(*e) });
        finite(&weights.collect::<Vec<_>>())
    })
}

/// Laws in dimension 3: means in a cube, covariances $`AA^\top + 0.05 I`$.
fn gaussian_laws() -> impl Strategy<Value = GaussianLaw> {
    let numbers = |count| prop::collection::vec(-1.5..1.5_f64, count);
    (numbers(3), numbers(9)).prop_map(|(mean, entries)| {
        let a = Array2::from_shape_vec((3, 3), entries).unwrap();
        GaussianLaw::new(Array1::from_vec(mean), a.dot(&a.t()) + Array2::<f64>::eye(3) * 0.05).unwrap()
    })
}

fn smoothed(law: &GaussianLaw, variance: f64) -> GaussianLaw {
    let covariance = law.covariance().to_owned() + Array2::<f64>::eye(law.dim()) * variance;
    GaussianLaw::new(law.mean().to_owned(), covariance).unwrap()
}

fn least_convexity(law: &GaussianLaw) -> f64 {
    1.0 / DMatrix::from_fn(law.dim(), law.dim(), |i, j| law.covariance()[(i, j)])
        .symmetric_eigenvalues()
        .max()
}

/// Bounds between transport distances and divergences of Gaussian laws: name, bound, truth.
fn transport_bounds(p: &GaussianLaw, q: &GaussianLaw, variance: f64) -> Vec<(&'static str, f64, f64)> {
    let constant = LogSobolevOfReference::of_gaussian(q).unwrap();
    let (kl, w2) = (p.kl(q).unwrap(), p.w2_squared(q).unwrap().sqrt());
    let fisher = upper::<Fisher>(p.fisher_divergence(q).unwrap());
    let wide = (smoothed(p, variance), smoothed(q, variance));
    let (wide_kl, wide_tv) = (wide.0.kl(&wide.1).unwrap(), wide.0.total_variation(&wide.1).unwrap());
    let smoothed_tv = upper::<W2>(w2).jensen().smoothing(variance).unwrap();
    vec![
        ("Talagrand", upper::<Kl>(kl).talagrand(constant).value(), w2),
        ("log-Sobolev", fisher.log_sobolev(constant).value(), kl),
        ("HWI", upper::<W2>(w2).hwi(fisher, least_convexity(q)).unwrap().value(), kl),
        ("HWI of a bound", upper::<W2>(1.7 * w2).hwi(fisher, least_convexity(q)).unwrap().value(), kl),
        ("HWI without convexity", upper::<W2>(w2).hwi(fisher, -1.0).unwrap().value(), kl),
        ("smoothing to KL", upper::<W2>(w2).smoothing(variance).unwrap().value(), wide_kl),
        ("smoothing to TV", smoothed_tv.value(), wide_tv),
    ]
}

/// $`(\sum_j |F_P - F_Q|^p)`$-type distances on the points 0, 1, 2, 3 of a line: W1, and W2 by the monotone coupling.
fn on_a_line(p: &FiniteLaw, q: &FiniteLaw) -> (f64, f64) {
    let (mut left, mut right) = (p.weights().to_vec(), q.weights().to_vec());
    let (mut i, mut j, mut w1, mut w2) = (0, 0, 0.0, 0.0);
    while i < left.len() && j < right.len() {
        let mass = left[i].min(right[j]);
        let distance = i.abs_diff(j) as f64;
        w1 += mass * distance;
        w2 += mass * distance * distance;
        (left[i], right[j]) = (left[i] - mass, right[j] - mass);
        if left[i] <= 0.0 { i += 1 } else { j += 1 }
    }
    (w1, w2.sqrt())
}

proptest! {
    #![proptest_config(verify::strategy::cases(9010, 256))]

    #[test]
    fn finite_pairs(p in finite_laws(), q in finite_laws(), r in finite_laws(), merge in 0..3_usize) {
        let exact = Exact::of_finite(&p, &q);
        exact.check();

        let (w1, w2) = on_a_line(&p, &q);
        let tv = upper::<TotalVariation>(exact.tv);
        prop_assert!(w1 <= tv.diameter_w1(3.0).unwrap().value() + 1e-12);
        prop_assert!(w2 <= tv.diameter_w2(3.0).unwrap().value() + 1e-12);
        prop_assert!(lower::<W1>(w1).diameter_w1(3.0).unwrap().value() <= exact.tv + 1e-12);
        prop_assert!(lower::<W2>(w2).diameter_w2(3.0).unwrap().value() <= exact.tv + 1e-12);
        prop_assert!(lower::<W1>(w1).jensen().value() <= w2 + 1e-12);

        // The triangle, with R in the middle.
        let ways = (Exact::of_finite(&p, &r), Exact::of_finite(&r, &q));
        let bound = upper::<TotalVariation>(ways.0.tv).triangle(upper(ways.1.tv)).value();
        prop_assert!(exact.tv <= bound + 1e-12);
        let bound = upper::<W2>(on_a_line(&p, &r).1).triangle(upper(on_a_line(&r, &q).1)).value();
        prop_assert!(w2 <= bound + 1e-12);

        // One point less: two of them become one.
        let image = |law: &FiniteLaw| {
            let mut weights = law.weights().to_vec();
            weights[merge] += weights.remove(merge + 1);
            finite(&weights)
        };
        let image = Exact::of_finite(&image(&p), &image(&q));
        let below = |small: f64, large: f64| small <= large * (1.0 + 1e-11) + 1e-13;
        prop_assert!(below(image.kl, upper::<Kl>(exact.kl).data_processing().value()));
        prop_assert!(below(image.tv, upper::<TotalVariation>(exact.tv).data_processing().value()));
        prop_assert!(below(image.chi, upper::<ChiSquared>(exact.chi).data_processing().value()));
        prop_assert!(below(image.ratio, upper::<RenyiInfinity>(exact.ratio).data_processing().value()));
        prop_assert!(below(lower::<HellingerSquared>(image.hellinger).data_processing().value(), exact.hellinger));
    }

    #[test]
    fn gaussian_pairs(p in gaussian_laws(), q in gaussian_laws(), variance in 0.01..3.0_f64) {
        Exact {
            kl: p.kl(&q).unwrap(),
            tv: p.total_variation(&q).unwrap(),
            hellinger: p.hellinger_squared(&q).unwrap(),
            chi: p.chi_squared(&q).unwrap(),
            ratio: f64::INFINITY,
        }.check();
        for (name, bound, truth) in transport_bounds(&p, &q, variance) {
            prop_assert!(truth <= bound * (1.0 + 1e-10), "{}: {} above {}", name, truth, bound);
        }
        let constant = LogSobolevOfReference::of_gaussian(&q).unwrap();
        let w2 = p.w2_squared(&q).unwrap().sqrt();
        prop_assert!(lower::<W2>(w2).talagrand(constant).value() <= p.kl(&q).unwrap() * (1.0 + 1e-10));
    }
}

/// Pairs of laws at which the named inequalities are equalities, or within one per cent of one.
#[test]
fn nine_tenths_of_a_tight_bound_fail() {
    let certain = |c: f64| Exact::of_finite(&finite(&[1.0, 0.0]), &finite(&[c, 1.0 - c]));
    let coin = |b: f64| Exact::of_finite(&finite(&[0.5 + b, 0.5 - b]), &finite(&[0.5, 0.5]));
    let mirrored = |b: f64| Exact::of_finite(&finite(&[0.5 + b, 0.5 - b]), &finite(&[0.5 - b, 0.5 + b]));
    let overlap = Exact::of_finite(&finite(&[0.3, 0.7, 0.0]), &finite(&[0.3, 0.0, 0.7]));
    let cases: [(Exact, &[&str]); 6] = [
        (coin(0.01), &["Pinsker", "TV of chi2", "chi2 of TV"]),
        (certain(0.001), &["Bretagnolle-Huber"]),
        (
            certain(0.3),
            &[
                "H2 of KL",
                "KL of H2",
                "KL of chi2",
                "R2 of Rinf",
                "Rinf of R2",
                "reverse Pinsker",
                "chi2 of R2",
                "R2 of KL",
                "chi2 of KL",
            ],
        ),
        (mirrored(0.2), &["TV of H2", "H2 of TV"]),
        (overlap, &["TV of H2", "H2 of TV"]),
        (certain(1e-6), &["reverse Pinsker"]),
    ];
    let (mut upper_names, mut lower_names) = (Vec::new(), Vec::new());
    for (exact, names) in cases {
        exact.check();
        let tight = |bound: f64, truth: f64| (bound / truth - 1.0).abs() < 0.01;
        for (name, bound, truth) in exact.uppers() {
            if names.contains(&name) && tight(bound, truth) {
                assert!(truth > 0.9 * bound, "{name}");
                upper_names.push(name);
            }
        }
        for (name, bound, truth) in exact.lowers() {
            if names.contains(&name) && tight(bound, truth) {
                assert!(bound > 0.9 * truth, "{name}");
                lower_names.push(name);
            }
        }
    }
    // Every inequality had its case.
    for (name, ..) in coin(0.01).uppers() {
        assert!(upper_names.contains(&name), "{name}");
    }
    for (name, ..) in coin(0.01).lowers().iter().filter(|case| case.0 != "Bretagnolle-Huber") {
        assert!(lower_names.contains(name), "{name}");
    }
    // Upwards in KL this one is tight in the limit only: ln(1/c) against ln(1/(2c)).
    let far = certain(1e-12);
    assert!(lower::<TotalVariation>(far.tv).bretagnolle_huber().value() > 0.9 * far.kl);
}

/// Translates of one Gaussian law along its widest axis: everything is an equality, or nearly so for a small step.
#[test]
fn translates_of_a_gaussian_law_are_extremal() {
    let law = |m: f64| {
        let covariance = Array2::from_diag(&Array1::from_vec(vec![2.0, 0.5]));
        GaussianLaw::new(Array1::from_vec(vec![m, 0.0]), covariance).unwrap()
    };
    let step = 0.1;
    for (name, bound, truth) in transport_bounds(&law(step), &law(0.0), 1000.0) {
        // The last two compare laws of variance 1002 with a bound for 1000.
        let tight = !["HWI of a bound", "HWI without convexity"].contains(&name);
        assert!(truth <= bound * (1.0 + 1e-12), "{name}: {truth} above {bound}");
        assert!(!tight || bound <= truth * 1.01, "{name}: {truth} far below {bound}");
    }
    let constant = LogSobolevOfReference::of_gaussian(&law(0.0)).unwrap();
    assert!((constant.value() - 2.0).abs() < 1e-14);
    let kl = law(step).kl(&law(0.0)).unwrap();
    assert!((lower::<W2>(step).talagrand(constant).value() - kl).abs() < 1e-15);
    // Points at the ends of a segment: W = D TV and W2^2 = D^2 TV.
    let tv = upper::<TotalVariation>(0.3);
    assert!((tv.diameter_w1(2.0).unwrap().value() - 0.6).abs() < 1e-15);
    assert!((tv.diameter_w2(2.0).unwrap().value().powi(2) - 1.2).abs() < 1e-15);
}

/// The direction that must not be taken: the constant of the first law in Talagrand's inequality.
#[test]
fn the_constant_of_the_first_law_would_be_wrong() {
    let law = |variance: f64| GaussianLaw::new(Array1::zeros(1), Array2::eye(1) * variance).unwrap();
    let (p, q) = (law(1e-4), law(1.0));
    let w2 = p.w2_squared(&q).unwrap().sqrt();
    let kl = upper::<Kl>(p.kl(&q).unwrap());
    let of_p = LogSobolevOfReference::of_gaussian(&p).unwrap();
    assert!(kl.talagrand(of_p).value() < 0.1 * w2);
    assert!(kl.talagrand(LogSobolevOfReference::of_gaussian(&q).unwrap()).value() >= w2);
    // With the names exchanged, P is the second law.
    let swapped: UpperBound<Kl> = upper::<ReverseKl>(q.kl(&p).unwrap()).swapped();
    assert!(swapped.talagrand(of_p).value() >= w2 && swapped.talagrand(of_p).value() < 1.1 * w2);
}

#[test]
fn ends_of_the_range() {
    let infinite = upper::<Kl>(f64::INFINITY);
    assert_eq!(infinite.pinsker().value(), 1.0);
    assert_eq!(infinite.bretagnolle_huber().value(), 1.0);
    assert_eq!(infinite.renyi_monotone().value(), 1.0);
    let zero = upper::<TotalVariation>(0.0);
    assert_eq!(zero.reverse_pinsker(upper(f64::INFINITY)).value(), 0.0);
    assert_eq!(upper::<TotalVariation>(0.1).reverse_pinsker(upper(f64::INFINITY)).value(), f64::INFINITY);
    assert_eq!(upper::<TotalVariation>(0.1).reverse_pinsker(upper(0.0)).value(), 0.1);
    assert_eq!(lower::<Kl>(f64::INFINITY).reverse_pinsker(upper(f64::INFINITY)).value(), 0.0);
    assert_eq!(lower::<TotalVariation>(1.0).bretagnolle_huber().value(), f64::INFINITY);
    assert_eq!(lower::<TotalVariation>(1.0).le_cam().value(), 1.0);
    assert_eq!(lower::<HellingerSquared>(1.0).renyi_monotone().value(), f64::INFINITY);
    assert_eq!(upper::<HellingerSquared>(7.0).le_cam().value(), 1.0);
    for alpha in [-1.0, 0.0, 1.0] {
        for (w2, fisher) in [(0.0, f64::INFINITY), (f64::INFINITY, 0.0), (0.0, 0.0), (1.0, 0.0)] {
            let bound = upper::<W2>(w2).hwi(upper(fisher), alpha).unwrap().value();
            let expected = if fisher == 0.0 && alpha < 0.0 { 0.5 * w2 * w2 } else { 0.0 };
            assert_eq!(bound, expected, "W2 = {w2}, Fisher = {fisher}, alpha = {alpha}");
        }
    }
}

#[test]
fn refused() {
    for bad in [-0.1, f64::NAN] {
        assert!(matches!(UpperBound::<Kl>::new(bad), Err(Error::Domain { parameter: "value", .. })));
    }
    assert!(LowerBound::<Kl>::new(f64::NAN).is_err() && LowerBound::<TotalVariation>::new(1.1).is_err());
    for bad in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert!(
            LogSobolevOfReference::new(bad).is_err() && LogSobolevOfReference::of_convexity(bad).is_err()
        );
        assert!(upper::<W1>(1.0).smoothing(bad).is_err() && upper::<W2>(1.0).smoothing(bad).is_err());
        assert!(upper::<W2>(1.0).lipschitz_map(bad).is_err());
        assert!(upper::<TotalVariation>(0.5).diameter_w1(bad).is_err());
        assert!(upper::<TotalVariation>(0.5).diameter_w2(bad).is_err());
    }
    assert!(upper::<W2>(1.0).hwi(upper(1.0), f64::NAN).is_err());
    assert!(matches!(lower::<W1>(2.0).diameter_w1(1.0), Err(Error::Domain { parameter: "diameter", .. })));
    assert!(matches!(lower::<W2>(2.0).diameter_w2(1.0), Err(Error::Domain { parameter: "diameter", .. })));
}
