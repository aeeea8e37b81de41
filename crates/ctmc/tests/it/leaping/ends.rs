//! Independence of rows, ends of paths, errors.

use ctmc::network::{LeapMethod, LeapStep, Network, Rate, RateFunction, Reaction, Start, TauLeaping};
use numeric::ndarray::Array2;
use numeric::{Control, Error, Noise};

use super::{METHODS, decay, mass};

#[test]
fn rows_do_not_depend_on_each_other() {
    let network = decay();
    for method in METHODS {
        let leaping = TauLeaping::new(&network, method, LeapStep::Fixed(0.3)).unwrap();
        let times = [0.0, 0.2, 0.2, 0.9, 2.0];
        let run = |rows: std::ops::Range<u64>| {
            leaping.counts_at(Start::State(&[40]), &times, rows, Noise::new(8), Control::default()).unwrap()
        };
        let all = run(0..200);
        let some = run(130..180);
        assert_eq!(all.slice(numeric::ndarray::s![130..180, .., ..]), some);
        assert!(all.slice(numeric::ndarray::s![.., 0, ..]).iter().all(|&n| n == 40));
        let starts = Array2::from_shape_fn((200, 1), |_| 40);
        let same = leaping
            .counts_at(Start::States(&starts), &times, 0..200, Noise::new(8), Control::default())
            .unwrap();
        assert_eq!(all, same);
        for threads in [1, 3] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            assert_eq!(pool.install(|| run(0..200)), all);
        }
    }
}

#[test]
fn ends_and_bad_input() {
    let network = decay();
    let made = |method, step| TauLeaping::new(&network, method, step);
    for bad in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert!(matches!(
            made(LeapMethod::Euler, LeapStep::Fixed(bad)),
            Err(Error::Domain { parameter: "step", .. })
        ));
        assert!(made(LeapMethod::Euler, LeapStep::Adaptive(bad)).is_err());
        assert!(made(LeapMethod::Trapezoidal(bad), LeapStep::Fixed(1.0)).is_err());
    }
    assert!(made(LeapMethod::Trapezoidal(1.0), LeapStep::Fixed(1.0)).is_err());
    assert!(made(LeapMethod::Implicit, LeapStep::Adaptive(1.0)).is_err());
    let day = RateFunction::new([], |t, _| 1.0 + t.sin()).with_bound(1.0, |_, _, _| 2.0);
    let day = Network::new(["X"], vec![Reaction::new("day", [], [("X", 1)], Rate::Function(day))]).unwrap();
    assert!(matches!(
        TauLeaping::new(&day, LeapMethod::Euler, LeapStep::Fixed(1.0)),
        Err(Error::Unsupported { .. })
    ));

    let leaping = made(LeapMethod::Euler, LeapStep::Fixed(0.5)).unwrap();
    assert!(leaping.walk(&[1, 2], 0, Noise::new(1)).is_err());
    let mut walk = leaping.walk(&[7], 0, Noise::new(1)).unwrap();
    walk.advance(1.0).unwrap();
    assert!(walk.advance(0.5).is_err() && walk.advance(f64::NAN).is_err());
    assert!(walk.next_leap(0.5).is_err() && walk.next_leap(f64::INFINITY).is_err());
    assert_eq!(walk.next_leap(1.0).unwrap(), None);
    assert!(matches!(walk.set_counts(&[1, 2]), Err(Error::Shape { parameter: "counts", .. })));
    walk.advance(1e6).unwrap();
    assert_eq!((walk.counts(), walk.time()), (&[0][..], 1e6));
    let few = leaping.with_max_steps(3);
    let mut walk = few.walk(&[1000], 0, Noise::new(1)).unwrap();
    assert!(matches!(walk.advance(5.0), Err(Error::Stalled { .. })));
    let late =
        |times: &[f64]| leaping.counts_at(Start::State(&[7]), times, 0..3, Noise::new(1), Control::default());
    assert!(late(&[1.0, 0.5]).is_err() && late(&[-1.0]).is_err());
    assert_eq!(late(&[]).unwrap().len(), 0);

    let stop = std::sync::atomic::AtomicBool::new(true);
    let control = Control { cancel: Some(&stop), ..Control::default() };
    let cancelled = leaping.moments_at(Start::State(&[7]), &[1.0], 0..3, Noise::new(1), control);
    assert!(matches!(cancelled, Err(Error::Cancelled)));

    // A count beyond u32 is an error, not a wrap.
    let flood = Network::new(["X"], vec![Reaction::new("flood", [], [("X", 1)], mass(1e12))]).unwrap();
    for method in METHODS {
        let leaping = TauLeaping::new(&flood, method, LeapStep::Fixed(1.0)).unwrap().with_max_steps(20_000);
        let mut walk = leaping.walk(&[0], 0, Noise::new(1)).unwrap();
        assert!(walk.advance(1.0).is_err(), "{method:?}");
    }
    // A reaction that cannot happen where its rate is positive.
    let wrong = Reaction::new("take", [("X", 1)], [], Rate::function([], |_, _| 1.0));
    let wrong = Network::new(["X"], vec![wrong]).unwrap();
    let leaping = TauLeaping::new(&wrong, LeapMethod::Euler, LeapStep::Fixed(0.5)).unwrap();
    let mut walk = leaping.walk(&[2], 0, Noise::new(1)).unwrap();
    assert!(matches!(walk.advance(100.0), Err(Error::Reaction { .. })));
}
