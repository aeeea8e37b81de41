//! Transition matrices: reference values, second algorithms, extremes.

use ctmc::{BirthDeath, Dense, DiscretisedGaussian, Generator, Kernel, Refresh, Spectral, TimeChange};
use numeric::Noise;
use numeric::ndarray::{Array2, array};
use proptest::prelude::*;
use verify::{Family, chi_squared, seed};

use crate::{assert_near, cyclic, distance, pade};

/// No entry below 0, every row with mass 1.
#[track_caller]
fn assert_stochastic(kernel: &Kernel) {
    assert!(kernel.matrix().iter().all(|&p| p >= 0.0));
    for row in kernel.matrix().rows() {
        assert_near(row.sum(), 1.0, 1e-14);
    }
}

#[test]
fn reference_values_of_a_chain_that_is_not_reversible() {
    let beta = TimeChange::exponential(0.5, 3.0).unwrap();
    let exact = [
        (
            0.25,
            array![
                [0.796851603916, 0.132896969583, 0.0702514265004],
                [0.0401963021951, 0.860764794235, 0.0990389035695],
                [0.126558733402, 0.0753220154453, 0.798119251152]
            ],
        ),
        (
            0.5,
            array![
                [0.611584869668, 0.2485178237, 0.139897306631],
                [0.0907998463571, 0.725418184998, 0.183781968645],
                [0.222453832399, 0.160748499673, 0.616797667929]
            ],
        ),
        (
            1.0,
            array![
                [0.359040898302, 0.390459480273, 0.250499621424],
                [0.198942985763, 0.517424050914, 0.283632963324],
                [0.29834301146, 0.324192796475, 0.377464192065]
            ],
        ),
    ];
    for (t, exact) in exact {
        let kernel = Kernel::of(&cyclic(), beta.integral(0.0, t).unwrap(), 1e-15).unwrap();
        assert!(distance(kernel.matrix(), &exact) < 2e-12, "{t}");
        assert_stochastic(&kernel);
    }
    let half = Kernel::of(&cyclic(), beta.integral(0.0, 0.5).unwrap(), 1e-15).unwrap();
    let law = array![0.6, 0.3, 0.1].dot(half.matrix());
    for (found, exact) in law.iter().zip([0.416436258948, 0.382810999687, 0.200752741365]) {
        assert_near(*found, exact, 1e-12);
    }
    // How far the law is from stationary at the end.
    let end = Kernel::of(&cyclic(), 1.0, 1e-15).unwrap();
    let law = array![0.6, 0.3, 0.1].dot(end.matrix());
    let stationary = cyclic().stationary().unwrap();
    let pairs = || law.iter().zip(&stationary);
    assert_near(0.5 * pairs().map(|(p, q)| (p - q).abs()).sum::<f64>(), 0.032214463129, 1e-12);
    assert_near(pairs().map(|(p, q)| p * (p / q).ln()).sum(), 0.00336373865641, 1e-13);
}

#[test]
fn reference_values_of_birth_and_death() {
    let chain = BirthDeath::constant(5, 1.0).unwrap();
    let exact = array![
        [0.523778109133, 0.308512487231, 0.122064406577, 0.0359035495681, 0.00974144749196],
        [0.308512487231, 0.337330028479, 0.222351630222, 0.0959023045004, 0.0359035495681],
        [0.122064406577, 0.222351630222, 0.311167926403, 0.222351630222, 0.122064406577],
        [0.0359035495681, 0.0959023045004, 0.222351630222, 0.337330028479, 0.308512487231],
        [0.00974144749196, 0.0359035495681, 0.122064406577, 0.308512487231, 0.523778109133],
    ];
    assert!(distance(Kernel::of(&chain, 1.0, 1e-15).unwrap().matrix(), &exact) < 1e-12);
    assert!(distance(Spectral::new(&chain).unwrap().kernel(1.0).unwrap().matrix(), &exact) < 1e-12);
}

#[test]
fn reference_values_of_the_uniform_chain() {
    // Two dimensions of three states at β = 1/2, and the music model of 129 states.
    let small = Refresh::uniform(3, 1.0).unwrap();
    assert_near(small.probability(0.5, 1, 1).unwrap(), 0.482086773432, 1e-12);
    let data = array![[0.30, 0.05, 0.02], [0.03, 0.20, 0.05], [0.05, 0.10, 0.20]];
    let kernel = small.kernel(0.5).unwrap();
    let end = kernel.matrix().t().dot(&data).dot(kernel.matrix());
    assert_near(0.5 * end.iter().map(|p| (p - 1.0 / 9.0).abs()).sum::<f64>(), 0.0202841372082, 1e-12);
    let music = Refresh::uniform(129, 1.0).unwrap();
    assert_near(music.probability(0.03, 5, 5).unwrap(), 0.0284486146235, 1e-12);
}

#[test]
fn closed_forms_spectra_and_uniformization_agree() {
    let chains: [(&str, Box<dyn Generator>, f64); 5] = [
        ("uniform", Box::new(Refresh::uniform(7, 0.3).unwrap()), 1.3),
        ("law", Box::new(Refresh::new(&[0.5, 0.1, 0.4], 2.0).unwrap()), 0.7),
        ("bit", Box::new(Refresh::two_state(1.0, 3.0).unwrap()), 0.2),
        ("birth-death", Box::new(BirthDeath::new(vec![1.0, 2.0, 0.5], vec![0.3, 0.7, 4.0]).unwrap()), 2.5),
        ("gaussian", Box::new(DiscretisedGaussian::new(64, 31.0, 20.0, 3.0).unwrap()), 0.4),
    ];
    for (name, chain, time) in chains {
        let series = Kernel::of(chain.as_ref(), time, 1e-15).unwrap();
        let spectral = Spectral::new(chain.as_ref()).unwrap().kernel(time).unwrap();
        let pade = pade(&chain.to_matrix(), time);
        assert!(distance(series.matrix(), &pade) < 1e-14, "{name}");
        assert!(distance(series.matrix(), spectral.matrix()) < 2e-14, "{name}");
        assert_stochastic(&series);
        assert_stochastic(&spectral);
        assert!(series.matrix().is_standard_layout() && spectral.matrix().is_standard_layout(), "{name}");
    }
    let refreshed = [
        Refresh::uniform(7, 0.3),
        Refresh::absorbing(4, 1, 0.9),
        Refresh::new(&[0.5, 0.0, 0.3, 0.2], 1.5),
        Refresh::two_state(2.0, 0.0),
    ];
    for chain in refreshed.map(Result::unwrap) {
        for time in [0.0, 1e-9, 0.8, 50.0] {
            let closed = chain.kernel(time).unwrap();
            assert_stochastic(&closed);
            let series = Kernel::of(&chain, time, 1e-15).unwrap();
            assert!(distance(closed.matrix(), series.matrix()) < 2e-15, "{chain:?} {time}");
            for ((i, j), &p) in closed.matrix().indexed_iter() {
                assert_near(chain.probability(time, i as u32, j as u32).unwrap(), p, 1e-15);
            }
        }
    }
}

#[test]
fn tiny_probabilities_keep_their_digits() {
    // Ten steps up within a short time: t¹⁰/10! (1 + O(t)), by birth and death with rate 1.
    let kernel = Kernel::of(&BirthDeath::constant(11, 1.0).unwrap(), 1e-6, 1e-80).unwrap();
    let exact = 1e-60 / 3_628_800.0;
    // What follows: all paths of ten steps leave at the rates 1, 2, …, 2, 1, on average 20/11 in time t.
    assert_near(kernel.matrix()[[0, 10]] / exact, 1.0 - 1e-6 * 20.0 / 11.0, 1e-11);
}

#[test]
fn images_of_256_states() {
    let chain = DiscretisedGaussian::new(256, 127.0, 512.0, 6.0).unwrap();
    let spectrum = Spectral::new(&chain).unwrap();
    // What the eigenvectors lose: a few S u, less at either end.
    for (time, most) in [(0.0, 0.0), (1e-8, 1e-15), (0.1, 1e-13), (297.0, 1e-15)] {
        let spectral = spectrum.kernel(time).unwrap();
        let series = Kernel::of(&chain, time, 1e-14).unwrap();
        assert_stochastic(&spectral);
        assert_stochastic(&series);
        assert!(series.truncation() <= 1e-14);
        let difference = distance(spectral.matrix(), series.matrix());
        assert!(difference <= most, "{time}: {difference}");
    }
    let law = chain.stationary().unwrap();
    let late = Kernel::of(&chain, 1e9, 1e-12).unwrap();
    for row in late.matrix().rows() {
        assert!(row.iter().zip(&law).all(|(p, law)| (p / law - 1.0).abs() < 1e-11));
    }
}

#[test]
fn a_chain_of_two_parts_that_hardly_meet() {
    // Gap 1e-9: the stationary eigenvector must not mix with the next one.
    let chain = BirthDeath::new(vec![1.0, 1e-9, 3.0], vec![2.0, 1e-7, 0.5]).unwrap();
    let spectrum = Spectral::new(&chain).unwrap();
    for time in [0.1, 1.0, 30.0] {
        let series = Kernel::of(&chain, time, 1e-15).unwrap();
        let difference = distance(spectrum.kernel(time).unwrap().matrix(), series.matrix());
        assert!(difference < 1e-13, "{time}: {difference}");
    }
}

#[test]
fn extremes_of_time() {
    let chain = cyclic();
    let law = chain.stationary().unwrap();
    assert_eq!(Kernel::of(&chain, 0.0, 1e-15).unwrap().matrix(), Array2::<f64>::eye(3));
    let early = Kernel::of(&chain, 1e-200, 1e-230).unwrap();
    assert_near(early.matrix()[[0, 2]] / 0.5e-200, 1.0, 1e-15);
    for time in [1e3, 1e100, 1e300] {
        let late = Kernel::of(&chain, time, 1e-14).unwrap();
        assert!(
            late.matrix()
                .rows()
                .into_iter()
                .all(|row| row.iter().zip(&law).all(|(p, q)| (p - q).abs() < 1e-15))
        );
    }
    // A chain that forgets nothing: two pairs of states that do not meet. It can be followed for long, not for ever.
    let apart =
        Dense::new(&array![[0., 1., 0., 0.], [3., 0., 0., 0.], [0., 0., 0., 1.], [0., 0., 1., 0.]]).unwrap();
    let late = Kernel::of(&apart, 1e200, 1e-12).unwrap();
    assert!(late.truncation() <= 1e-12);
    let exact = array![[0.75, 0.25, 0., 0.], [0.75, 0.25, 0., 0.], [0., 0., 0.5, 0.5], [0., 0., 0.5, 0.5]];
    assert!(distance(late.matrix(), &exact) < 1e-15);
    assert!(matches!(Kernel::of(&apart, 1e290, 1e-12), Err(numeric::Error::NotConverged { .. })));
    // A chain that does not move.
    let still = BirthDeath::new(vec![0.0], vec![0.0]).unwrap();
    assert_eq!(Kernel::of(&still, 7.0, 1e-15).unwrap().matrix(), Array2::<f64>::eye(2));
    // Larger than a matrix should be.
    let large = Refresh::uniform(5000, 1.0).unwrap();
    assert!(
        large.kernel(1.0).is_err()
            && Kernel::of(&large, 1.0, 1e-9).is_err()
            && Spectral::new(&large).is_err()
    );
    for bad in [-1.0, f64::NAN, f64::INFINITY] {
        assert!(Kernel::of(&chain, bad, 1e-12).is_err());
        assert!(Kernel::of(&chain, 1.0, bad).is_err());
        assert!(Spectral::new(&BirthDeath::constant(3, 1.0).unwrap()).unwrap().kernel(bad).is_err());
    }
    // What refreshes has a law after an infinite time.
    let uniform = Refresh::uniform(4, 1.0).unwrap();
    assert!(uniform.kernel(-1.0).is_err() && uniform.kernel(f64::NAN).is_err());
    assert_eq!(uniform.kernel(f64::INFINITY).unwrap().matrix(), Array2::from_elem((4, 4), 0.25));
    assert!(Kernel::of(&chain, 1.0, 0.0).is_err());
    assert!(Kernel::of(&chain, 1.0, 1e-9).unwrap().then(&Kernel::of(&still, 1.0, 1e-9).unwrap()).is_err());
}

#[test]
fn a_looser_tolerance_is_met_too() {
    for tolerance in [1e-3, 1e-6, 1e-10] {
        for time in [0.3, 5.0, 40.0] {
            let kernel = Kernel::of(&cyclic(), time, tolerance).unwrap();
            let exact = pade(&cyclic().to_matrix(), time);
            for (row, exact) in kernel.matrix().rows().into_iter().zip(exact.rows()) {
                let variation = 0.5 * row.iter().zip(exact).map(|(a, b)| (a - b).abs()).sum::<f64>();
                assert!(variation <= kernel.truncation() + 1e-14 && kernel.truncation() <= tolerance);
            }
        }
    }
}

#[test]
fn samples_have_the_law_of_the_kernel() {
    // False alarms: one run in ten thousand for the whole test.
    let mut family = Family::new(1e-4).unwrap();
    let n = 20_000;
    let mut test = |name: &str, x: &Array2<u32>, exact: &[f64]| {
        for column in x.columns() {
            let mut counts = vec![0; exact.len()];
            column.iter().for_each(|&x| counts[x as usize] += 1);
            family.push(name, chi_squared(&counts, exact).unwrap().p_value);
        }
    };
    let start = Array2::from_shape_fn((n, 3), |(_, j)| j as u32);
    let kernel = Kernel::of(&cyclic(), 0.6, 1e-15).unwrap();
    let x = kernel.sample(&start, 0..n as u64, Noise::new(seed(1))).unwrap();
    for j in 0..3 {
        let one = x.select(numeric::ndarray::Axis(1), &[j]);
        test("kernel", &one, &kernel.matrix().row(j).to_vec());
    }
    let chains =
        [Refresh::uniform(5, 0.4), Refresh::absorbing(4, 3, 0.9), Refresh::new(&[0.5, 0.0, 0.3, 0.2], 1.5)];
    for (k, chain) in chains.map(Result::unwrap).into_iter().enumerate() {
        let exact = chain.kernel(0.7).unwrap();
        let start = Array2::from_elem((n, 2), 2);
        let x = chain.sample_transition(&start, &vec![0.7; n], 0..n as u64, Noise::new(seed(2 + k as u64)));
        test("refresh", &x.unwrap(), &exact.matrix().row(2).to_vec());
    }
    family.assert();
}

#[test]
fn rows_of_samples_do_not_depend_on_each_other() {
    let noise = Noise::new(4);
    let start = Array2::from_shape_fn((200, 3), |(i, j)| ((i + j) % 3) as u32);
    let late = start.slice(numeric::ndarray::s![150.., ..]).to_owned();
    let kernel = Kernel::of(&cyclic(), 0.6, 1e-15).unwrap();
    let whole = kernel.sample(&start, 0..200, noise).unwrap();
    assert_eq!(whole.slice(numeric::ndarray::s![150.., ..]), kernel.sample(&late, 150..200, noise).unwrap());
    let chain = Refresh::uniform(3, 1.0).unwrap();
    let times: Vec<f64> = (0..200).map(|i| f64::from(i) / 100.0).collect();
    let whole = chain.sample_transition(&start, &times, 0..200, noise).unwrap();
    let part = chain.sample_transition(&late, &times[150..], 150..200, noise).unwrap();
    assert_eq!(whole.slice(numeric::ndarray::s![150.., ..]), part);
    // A coordinate that is refreshed stays so at later times, with the same state.
    let later = chain.sample_transition(&start, &[9.0; 200], 0..200, noise).unwrap();
    assert!(whole.iter().zip(&later).zip(&start).all(|((&x, &later), &x0)| x == x0 || x == later));
    assert!(kernel.sample(&start, 0..199, noise).is_err());
    assert!(kernel.sample(&array![[3]], 0..1, noise).is_err());
    assert!(chain.sample_transition(&start, &times[1..], 0..200, noise).is_err());
    assert!(chain.sample_transition(&array![[0]], &[f64::NAN], 0..1, noise).is_err());
    assert_eq!(kernel.sample(&Array2::zeros((5, 0)), 0..5, noise).unwrap().dim(), (5, 0));
    assert_eq!(kernel.sample(&Array2::zeros((0, 2)), 3..3, noise).unwrap().dim(), (0, 2));
}

proptest! {
    #![proptest_config(verify::strategy::cases(9016, 256))]

    #[test]
    fn semigroup_and_forward_equation(
        rates in (2_usize..7).prop_flat_map(|n| verify::strategy::rate_matrix(n, 3.0)),
        (s, t) in (0.0..2.0, 0.0..2.0),
    ) {
        let q = Dense::new(&rates).unwrap();
        let of = |time| Kernel::of(&q, time, 1e-15).unwrap();
        prop_assert!(distance(of(s).then(&of(t)).unwrap().matrix(), of(s + t).matrix()) < 1e-14);
        prop_assert!(distance(of(s).matrix(), &pade(&q.to_matrix(), s)) < 1e-14);
    }

    #[test]
    fn reversible_kernels_are_reversible(
        (rates, _) in (2_usize..7).prop_flat_map(|n| verify::strategy::reversible_rate_matrix(n, 3.0)),
        time in 0.0..5.0,
    ) {
        let q = Dense::new(&rates).unwrap();
        let law = q.stationary().unwrap();
        let kernel = Kernel::of(&q, time, 1e-15).unwrap();
        for ((i, j), p) in kernel.matrix().indexed_iter() {
            prop_assert!((law[i] * p - law[j] * kernel.matrix()[[j, i]]).abs() < 1e-14);
        }
        if let Ok(spectrum) = Spectral::new(&q) {
            let greatest = law.iter().copied().fold(0.0, f64::max);
            let least = law.iter().copied().fold(1.0, f64::min);
            let stiff = 1.0 + time * q.max_exit_rate();
            let most = 4.0 * law.len() as f64 * f64::EPSILON * (greatest / least).sqrt() * stiff;
            let difference = distance(spectrum.kernel(time).unwrap().matrix(), kernel.matrix());
            prop_assert!(difference <= most, "{difference} {most}");
        }
    }
}
