//! Equations: exact derivatives, readings, adapters; and processes with exact transitions against other roads to the
//! same laws.

mod exact;

use numeric::ndarray::{Array2, ArrayRef2, array, s};
use numeric::{Batch, Error, Scratch, Time, Times, from_row_fn};
use sde_core::problems::{
    Cooling, Decay, DoubleWell, Heisenberg, Linear, Lorenz, LorenzNoise, Spiral, Tanh, Waves,
};
use sde_core::{
    Additive, CoxIngersollRoss, CriticallyDamped, Diagonal, General, GeometricBrownian, NoiseClass,
    OrnsteinUhlenbeck, Reading, Sde, add_noise_drift, as_ito, as_stratonovich, with_noise_derivative,
};

/// All test problems, with a state where nothing is special.
fn problems() -> Vec<(Box<dyn Sde<f64>>, Vec<f64>)> {
    let spiral = |noise| Box::new(Spiral::new((0.1, 0.2), noise).expect("valid"));
    let linear = Linear::new(
        Reading::Stratonovich,
        array![[0.1, 0.2], [0.3, -0.4]],
        vec![array![[0.5, 0.1], [0.0, 0.7]], array![[0.0, 1.0], [-0.3, 0.2]]],
    );
    vec![
        (Box::new(DoubleWell { dim: 2, sigma: 0.7 }), vec![0.3, -1.2]),
        (Box::new(Decay { alpha: 0.3, beta: 2.0 }), vec![0.3]),
        (Box::new(Cooling { sigma: 1.3 }), vec![0.3]),
        (Box::new(Lorenz { noise: LorenzNoise::Additive(0.3) }), vec![1.0, 2.0, 3.0]),
        (Box::new(Lorenz { noise: LorenzNoise::Multiplicative(0.3) }), vec![1.0, 2.0, 3.0]),
        (Box::new(GeometricBrownian::new(2, 0.1, 0.4).expect("valid")), vec![1.0, 2.0]),
        (Box::new(Tanh { dim: 2, a: 0.3, b: 0.6 }), vec![0.4, -0.7]),
        (spiral(vec![(0.3, 0.4)]), vec![1.0, 0.5]),
        (spiral(vec![(0.3, 0.4), (-0.2, 0.9)]), vec![1.0, 0.5]),
        (Box::new(Waves { strength: 0.8 }), vec![0.4, 1.1]),
        (Box::new(Heisenberg), vec![0.4, 1.1, -0.3]),
        (Box::new(linear.expect("valid")), vec![0.4, 1.1]),
        (Box::new(OrnsteinUhlenbeck::new(0.5, vec![1.0, 2.0], 0.7).expect("valid")), vec![0.4, 1.1]),
        (Box::new(CoxIngersollRoss::new(2, 0.5, 0.7, 0.6).expect("valid")), vec![0.4, 1.1]),
        (Box::new(CriticallyDamped::new(1, 2.0, 0.25).expect("valid")), vec![0.4, 1.1]),
    ]
}

/// The provided method of the trait, whatever the equation overrides.
struct ByDifferences<'a>(&'a dyn Sde<f64>);

impl Sde<f64> for ByDifferences<'_> {
    fn dim(&self) -> usize {
        self.0.dim()
    }
    fn noise_dim(&self) -> usize {
        self.0.noise_dim()
    }
    fn reading(&self) -> Reading {
        self.0.reading()
    }
    fn noise_class(&self) -> NoiseClass {
        NoiseClass::General
    }
    fn drift_into(
        &self,
        batch: &Batch<'_, f64>,
        out: &mut ArrayRef2<f64>,
        s: &mut Scratch,
    ) -> Result<(), Error> {
        self.0.drift_into(batch, out, s)
    }
    fn diffuse_into(
        &self,
        batch: &Batch<'_, f64>,
        w: &ArrayRef2<f64>,
        out: &mut ArrayRef2<f64>,
        s: &mut Scratch,
    ) -> Result<(), Error> {
        self.0.diffuse_into(batch, w, out, s)
    }
}

/// What the equation's function writes for one state.
fn value(
    sde: &dyn Sde<f64>,
    x: &[f64],
    f: impl Fn(&dyn Sde<f64>, &Batch<'_, f64>, &mut Array2<f64>, &mut Scratch) -> Result<(), Error>,
) -> Vec<f64> {
    let x = Array2::from_shape_vec((1, x.len()), x.to_vec()).expect("one row");
    let mut out = Array2::from_elem((1, sde.dim()), f64::NAN);
    let batch = Batch::new(&[0], Times::Same(Time::of(0.4)), &x);
    f(sde, &batch, &mut out, &mut Scratch::new()).expect("evaluated");
    out.into_raw_vec_and_offset().0
}

fn drift(sde: &dyn Sde<f64>, x: &[f64]) -> Vec<f64> {
    value(sde, x, |sde, batch, out, scratch| sde.drift_into(batch, out, scratch))
}

fn derivative(sde: &dyn Sde<f64>, x: &[f64], w: &[f64], v: &[f64]) -> Vec<f64> {
    let row = |x: &[f64]| Array2::from_shape_vec((1, x.len()), x.to_vec()).expect("one row");
    let (w, v) = (row(w), row(v));
    value(sde, x, |sde, batch, out, scratch| sde.diffuse_derivative_into(batch, &w, &v, out, scratch))
}

fn assert_close(a: &[f64], b: &[f64], tolerance: f64, what: &str) {
    assert_eq!(a.len(), b.len());
    assert!(
        a.iter().zip(b).all(|(a, b)| (a - b).abs() <= tolerance * (1.0 + b.abs())),
        "{what}: {a:?} {b:?}"
    );
}

#[test]
fn exact_derivatives_are_those_of_differences() {
    for (i, (sde, x)) in problems().iter().enumerate() {
        let (d, m) = (sde.dim(), sde.noise_dim());
        let w: Vec<f64> = (0..m).map(|j| 0.7 - 0.4 * j as f64).collect();
        let v: Vec<f64> = (0..d).map(|j| 0.2 + 0.5 * j as f64).collect();
        let exact = derivative(&**sde, x, &w, &v);
        let differences = derivative(&ByDifferences(&**sde), x, &w, &v);
        assert_close(&exact, &differences, 1e-8, &format!("problem {i}"));
        assert_eq!(derivative(&ByDifferences(&**sde), x, &w, &vec![0.0; d]), vec![0.0; d]);
    }
}

/// A derivative that is given is the one that is used, for whatever the equation itself takes differences.
#[test]
fn derivatives_can_be_given() {
    for (i, (sde, x)) in problems().iter().enumerate() {
        let sde = &**sde;
        let (d, m) = (sde.dim(), sde.noise_dim());
        let w: Vec<f64> = (0..m).map(|j| 0.7 - 0.4 * j as f64).collect();
        let v: Vec<f64> = (0..d).map(|j| 0.2 + 0.5 * j as f64).collect();
        let given = with_noise_derivative(
            ByDifferences(sde),
            |_: Time, x: &[f64], w: &[f64], v: &[f64], out: &mut [f64]| {
                out.copy_from_slice(&derivative(sde, x, w, v));
                Ok(())
            },
        );
        assert_eq!(derivative(&given, x, &w, &v), derivative(sde, x, &w, &v), "problem {i}");
        // Conversions are exact with it, to the order of their sums. One of the two takes the derivative.
        let what = format!("problem {i}");
        assert_eq!(drift(&given, x), drift(sde, x), "{what}");
        assert_close(&drift(&as_ito(&given), x), &drift(&as_ito(sde), x), 1e-14, &what);
        assert_close(&drift(&as_stratonovich(&given), x), &drift(&as_stratonovich(sde), x), 1e-14, &what);
        let facts = |sde: &dyn Sde<f64>| {
            (sde.dim(), sde.noise_dim(), sde.reading(), sde.noise_class(), sde.backward())
        };
        assert_eq!(facts(&given), facts(&ByDifferences(sde)));
    }
}

#[test]
fn the_class_of_noise_is_what_it_says() {
    for (i, (sde, x)) in problems().iter().enumerate() {
        let (d, m) = (sde.dim(), sde.noise_dim());
        let unit = |n: usize, j: usize| (0..n).map(|k| f64::from(u8::from(j == k))).collect::<Vec<_>>();
        let column = |x: &[f64], j: usize| {
            let w = Array2::from_shape_vec((1, m), unit(m, j)).expect("one row");
            value(&**sde, x, |sde, batch, out, scratch| sde.diffuse_into(batch, &w, out, scratch))
        };
        let bracket = |j: usize, k: usize| {
            let a = derivative(&**sde, x, &unit(m, j), &column(x, k));
            let b = derivative(&**sde, x, &unit(m, k), &column(x, j));
            a.iter().zip(&b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
        };
        let brackets = (0..m).flat_map(|j| (0..m).map(move |k| (j, k))).map(|(j, k)| bracket(j, k));
        let largest = brackets.fold(0.0, f64::max);
        match sde.noise_class() {
            NoiseClass::General => assert!(largest > 1e-3, "problem {i} is commutative"),
            class => {
                assert!(largest < 1e-12, "problem {i}");
                let moved: Vec<f64> = x.iter().map(|x| 1.1 * x + 0.1).collect();
                let still = (0..m).all(|j| column(&moved, j) == column(x, j));
                assert_eq!(class == NoiseClass::Additive, still, "problem {i}");
                assert!(class != NoiseClass::Scalar || m == 1);
                let off = |j: usize| column(x, j).iter().enumerate().all(|(k, &g)| k == j || g == 0.0);
                assert!(class != NoiseClass::Diagonal || (m == d && (0..m).all(off)), "problem {i}");
            }
        }
    }
}

/// `½ Σ_j (D g_j) g_j` by hand, and there and back.
#[test]
fn readings_are_converted_by_the_noise_drift() {
    for (i, (sde, x)) in problems().iter().enumerate() {
        let sde = &**sde;
        let original = drift(sde, x);
        let round_trip = match sde.reading() {
            Reading::Ito => drift(&as_ito(as_stratonovich(sde)), x),
            Reading::Stratonovich => drift(&as_stratonovich(as_ito(sde)), x),
        };
        assert_close(&round_trip, &original, 1e-14, &format!("problem {i}"));
        // The class only says how the same sum is computed.
        let extra = |sde: &dyn Sde<f64>| {
            value(sde, x, |sde, batch, out, scratch| {
                out.fill(0.0);
                add_noise_drift(sde, batch, 1.0, out, scratch)
            })
        };
        assert_close(&extra(sde), &extra(&ByDifferences(sde)), 1e-8, &format!("problem {i}"));
    }
    // Waves by hand: (D g_1) g_1 + (D g_2) g_2 = s² (−sin x₂ sin x₁ + cos x₂ (1 + cos x₁), …).
    let (x, s2) = ([0.4_f64, 1.1_f64], 0.64);
    let by_hand = [
        0.5 * s2 * (-x[1].sin() * x[0].sin() + x[1].cos() * (1.0 + x[0].cos())),
        0.5 * s2 * (x[0].cos() * x[1].cos() - x[0].sin() * x[1].sin()),
    ];
    let waves = Waves { strength: 0.8 };
    let (ito, stratonovich) = (drift(&waves, &x), drift(&as_stratonovich(waves), &x));
    let gap: Vec<f64> = ito.iter().zip(&stratonovich).map(|(a, b)| a - b).collect();
    assert_close(&gap, &by_hand, 1e-14, "Waves");
    assert_eq!(drift(&as_ito(Heisenberg), &[1.0, 2.0, 3.0]), [0.0, 0.0, 0.0]);
}

#[test]
fn adapters_agree_with_the_problems_and_check_their_parts() {
    let waves = General::new(
        (Reading::Ito, NoiseClass::General),
        from_row_fn(2, |_, x, out: &mut [f64]| {
            (out[0], out[1]) = (x[1] - 0.5 * x[0], -0.5 * x[0].sin() - 0.5 * x[1]);
            Ok(())
        }),
        2,
        |_, x: &[f64], w: &[f64], out: &mut [f64]| {
            out[0] = 0.8 * (x[1].cos() * w[0] + x[1].sin() * w[1]);
            out[1] = 0.8 * (x[0].sin() * w[0] + (1.0 + x[0].cos()) * w[1]);
            Ok(())
        },
    )
    .expect("valid");
    let (x, exact) = ([0.4, 1.1], Waves { strength: 0.8 });
    assert_close(&drift(&waves, &x), &drift(&exact, &x), 1e-15, "drift");
    assert_close(
        &drift(&as_stratonovich(&waves), &x),
        &drift(&as_stratonovich(exact), &x),
        1e-9,
        "noise drift",
    );
    let zero = |d| {
        from_row_fn(d, |_, _, out: &mut [f64]| {
            out.fill(0.0);
            Ok(())
        })
    };
    let nothing = |_: Time, _: &[f64], _: &[f64], out: &mut [f64]| {
        out.fill(0.0);
        Ok(())
    };
    let general = |class, d, m| General::new((Reading::Ito, class), zero(d), m, nothing).map(|_| ());
    assert!(matches!(general(NoiseClass::General, 2, 0), Err(Error::Domain { parameter: "noise_dim", .. })));
    assert!(general(NoiseClass::Scalar, 2, 2).is_err() && general(NoiseClass::Diagonal, 2, 1).is_err());
    assert!(general(NoiseClass::Scalar, 2, 1).is_ok() && general(NoiseClass::Diagonal, 2, 2).is_ok());
    assert!(matches!(
        Additive::new(zero(2), &Array2::zeros((3, 1))),
        Err(Error::Shape { parameter: "matrix", .. })
    ));
    assert!(matches!(Additive::new(zero(2), &Array2::zeros((2, 0))), Err(Error::Shape { .. })));
    assert!(matches!(Additive::new(zero(1), &array![[f64::NAN]]), Err(Error::Entry { .. })));
    assert!(matches!(
        Diagonal::new(Reading::Ito, zero(2), zero(3)),
        Err(Error::Shape { parameter: "sigma", .. })
    ));
    // The class of a linear equation is found from its matrices.
    let class = |noise: Vec<Array2<f64>>| {
        let sde = Linear::new(Reading::Ito, Array2::zeros((2, 2)), noise).expect("valid");
        Sde::<f64>::noise_class(&sde)
    };
    let (a, b) = (array![[1.0, 0.0], [0.0, 0.0]], array![[0.0, 0.0], [0.0, 3.0]]);
    assert_eq!(class(vec![a.clone(), b.clone()]), NoiseClass::Diagonal);
    assert_eq!(class(vec![b.clone(), a.clone()]), NoiseClass::Commutative);
    assert_eq!(class(vec![a.clone()]), NoiseClass::Scalar);
    assert_eq!(class(vec![a, array![[0.0, 1.0], [0.0, 0.0]]]), NoiseClass::General);
}

#[test]
fn parameters_out_of_their_domains_are_refused() {
    for bad in [f64::NAN, f64::INFINITY] {
        assert!(OrnsteinUhlenbeck::new(bad, vec![0.0], 1.0).is_err());
        assert!(OrnsteinUhlenbeck::new(1.0, vec![bad], 1.0).is_err());
        assert!(GeometricBrownian::new(1, bad, 1.0).is_err() && GeometricBrownian::new(1, 1.0, bad).is_err());
        assert!(
            Spiral::new((bad, 0.0), vec![(0.0, 1.0)]).is_err()
                && Spiral::new((0.0, 0.0), vec![(0.0, bad)]).is_err()
        );
        assert!(CriticallyDamped::new(1, bad, 1.0).is_err() && CriticallyDamped::new(1, 1.0, bad).is_err());
    }
    for bad in [f64::NAN, f64::INFINITY, -1.0] {
        assert!(OrnsteinUhlenbeck::new(1.0, vec![0.0], bad).is_err());
        assert!(CoxIngersollRoss::new(1, bad, 1.0, 1.0).is_err());
        assert!(
            CoxIngersollRoss::new(1, 1.0, bad, 1.0).is_err()
                && CoxIngersollRoss::new(1, 1.0, 1.0, bad).is_err()
        );
    }
    assert!(OrnsteinUhlenbeck::new(1.0, vec![], 1.0).is_err() && Spiral::new((0.0, 0.0), vec![]).is_err());
    assert!(GeometricBrownian::new(0, 1.0, 1.0).is_err() && CoxIngersollRoss::new(0, 1.0, 1.0, 1.0).is_err());
    assert!(CriticallyDamped::new(0, 1.0, 1.0).is_err() && CriticallyDamped::new(1, 0.0, 1.0).is_err());
    assert!(DoubleWell { dim: 1, sigma: 0.0 }.ln_invariant_density(1.0).is_err());
}

#[test]
fn equations_compute_each_row_by_itself() {
    let rows: Vec<u64> = (0..1).collect();
    for (sde, x) in problems() {
        // One row at a time computes what a batch of three does.
        let three = Array2::from_shape_fn((3, sde.dim()), |(i, j)| x[j] * (1.0 + 0.1 * i as f64));
        let mut out = Array2::zeros((3, sde.dim()));
        let time = Times::Same(Time::of(0.2));
        sde.drift_into(&Batch::new(&[4, 5, 6], time, &three), &mut out, &mut Scratch::new())
            .expect("evaluated");
        for i in 0..3 {
            let one = three.slice(s![i..=i, ..]).to_owned();
            let mut single = Array2::zeros((1, sde.dim()));
            sde.drift_into(&Batch::new(&rows, time, &one), &mut single, &mut Scratch::new())
                .expect("evaluated");
            assert_eq!(single.row(0), out.row(i));
        }
    }
}
