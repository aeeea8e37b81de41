//! The rest of the tables of values that were computed elsewhere.

use ctmc::denoise::{JumpRule, Reversal};
use nalgebra::{DMatrix, SymmetricEigen};
use numeric::TimeGrid;

use super::laws::{MILD, STRONG, ancestral, leaped, pair, torus, two_stage};
use super::{Enumerated, cyclic_noising, leap_law, rates_of, total_variation};
use crate::assert_near;

fn one() -> Enumerated {
    Enumerated::new(&cyclic_noising(), 1, &[0.6, 0.3, 0.1])
}

fn grid(steps: usize) -> TimeGrid {
    TimeGrid::uniform(1.0, 0.0, steps).unwrap()
}

fn leap(model: &Enumerated, rule: JumpRule, steps: usize) -> Vec<f64> {
    leaped(model, &grid(steps), |rates, x, tau| leap_law(rates, x, tau, rule))
}

fn all_near(found: &[f64], expected: &[f64]) {
    assert_eq!(found.len(), expected.len());
    found.iter().zip(expected).for_each(|(&found, &expected)| assert_near(found, expected, 1e-11));
}

/// The rates of the corrector, forward and reverse ones together, at time t.
fn corrector(model: &Enumerated, t: f64) -> DMatrix<f64> {
    let beta = model.noising.beta().rate(t).unwrap();
    let forward = model.noising.generator().to_matrix();
    let reverse: Vec<Vec<f64>> = (0..3).map(|x| rates_of(model, &[x], t).remove(0)).collect();
    let mut matrix =
        DMatrix::from_fn(3, 3, |x, y| if x == y { 0.0 } else { beta * forward[[x, y]] + reverse[x][y] });
    for x in 0..3 {
        matrix[(x, x)] = -matrix.row(x).sum();
    }
    matrix
}

#[test]
fn forward_and_reverse_rates_together() {
    let model = one();
    let matrix = corrector(&model, 0.5);
    let expected = [
        [-2.10444697976, 1.17007689764, 0.934370082121],
        [1.27285382691, -2.23589564458, 0.963041817674],
        [1.93823296671, 1.83640332111, -3.77463628782],
    ];
    for (row, expected) in matrix.row_iter().zip(expected) {
        all_near(&row.iter().copied().collect::<Vec<_>>(), &expected);
    }
    // Reversible for the law at that time: its eigenvalues are real.
    let law = model.law_at(0.5);
    let symmetric = DMatrix::from_fn(3, 3, |x, y| (law[x] / law[y]).sqrt() * matrix[(x, y)]);
    let mut eigenvalues = SymmetricEigen::new(symmetric).eigenvalues.as_slice().to_vec();
    eigenvalues.sort_unstable_by(f64::total_cmp);
    all_near(&eigenvalues, &[-4.72350674118, -3.39147217097, 0.0]);
}

/// Four leaps to time 0.2, and the corrector's exact steps of a tenth.
#[test]
fn exact_correctors_after_four_leaps() {
    let (model, grid) = (one(), TimeGrid::uniform(1.0, 0.2, 4).unwrap());
    let target = model.law_at(0.2);
    let law = leaped(&model, &grid, |rates, x, tau| leap_law(rates, x, tau, JumpRule::Reject));
    let rates = corrector(&model, 0.2);
    let expected = [(1, 0.0559307388324), (2, 0.041131336286), (5, 0.0167988339476), (10, 0.00404979630966)];
    for (steps, expected) in expected {
        let kernel = (&rates * (0.1 * f64::from(steps))).exp();
        let after: Vec<f64> = (0..3).map(|y| (0..3).map(|x| law[x] * kernel[(x, y)]).sum()).collect();
        assert_near(total_variation(&after, &target), expected, 1e-11);
    }
}

#[test]
fn the_whole_way_back() {
    let model = one();
    all_near(&model.noising.generator().stationary().unwrap(), &[9.0, 14.0, 10.0].map(|k| k / 33.0));
    let expected = [
        [0.706444916031, 0.19571901354, 0.097836070429],
        [0.555258048891, 0.367904844772, 0.0768371063366],
        [0.550274325795, 0.311529288505, 0.1381963857],
    ];
    let back = Reversal::<f64>::between(&model.noising, 0.0, 1.0).unwrap();
    let stationary = model.noising.generator().stationary().unwrap();
    let mut from_stationary = [0.0; 3];
    for (x, expected) in (0..3).zip(expected) {
        let mut moves = [0.0; 3];
        back.rates_into(x, &model.values(&[x], 1.0).row(0).to_vec(), &mut moves);
        moves[x as usize] = 1.0 - moves.iter().sum::<f64>();
        all_near(&moves, &expected);
        from_stationary.iter_mut().zip(moves).for_each(|(out, p)| *out += stationary[x as usize] * p);
    }
    all_near(&from_stationary, &[0.594980611718, 0.303861570719, 0.101157817563]);
    assert_near(total_variation(&from_stationary, &model.law), 0.00501938828155, 1e-11);
    assert_near(total_variation(&stationary, &model.law_at(1.0)), 0.032214463129, 1e-11);
    // The greatest rate out of a state on 200 equal steps, the first time being 1e-9.
    let exit = |k: u32| -> f64 {
        let t = (f64::from(k) / 200.0).max(1e-9);
        (0..3).map(|x| rates_of(&model, &[x], t).remove(0).iter().sum()).fold(0.0, f64::max)
    };
    assert_near((0..=200).map(exit).fold(0.0, f64::max), 2.88385725468, 1e-11);
}

#[test]
fn leaps_of_one_token_at_many_steps() {
    let model = one();
    for (rule, distances) in [
        (JumpRule::Reject, [0.00685699487521, 0.00342105432686, 0.00170861470729]),
        (JumpRule::Clamp, [0.00227346625552, 0.00113121140334, 0.000564228458887]),
        (JumpRule::Last, [0.00385608243918, 0.00192531898789, 0.000961972962031]),
        (JumpRule::Cyclic, [0.00586858414291, 0.00293282985236, 0.00146600492809]),
    ] {
        for (steps, distance) in [64, 128, 256].into_iter().zip(distances) {
            assert_near(total_variation(&leap(&model, rule, steps), &model.law), distance, 1e-11);
        }
    }
    for (steps, distance) in [(64, 0.000868867769113), (128, 0.000433106926836), (256, 0.000216224183388)] {
        let law = leaped(&model, &grid(steps), |rates, x, tau| {
            let mut law: Vec<f64> = rates.iter().map(|rate| tau * rate).collect();
            law[x as usize] = 1.0 - law.iter().sum::<f64>();
            law
        });
        assert_near(total_variation(&law, &model.law), distance, 1e-11);
    }
}

#[test]
fn laws_of_two_tokens() {
    let model = pair();
    let distance = |law: &[f64]| total_variation(law, &model.law);
    all_near(
        &leap(&model, JumpRule::Reject, 8),
        &[
            0.236012549266,
            0.0744201373067,
            0.0499726045183,
            0.0577238747161,
            0.167716988882,
            0.0646869344882,
            0.0754126008286,
            0.106915820237,
            0.167138489757,
        ],
    );
    all_near(
        &leap(&model, JumpRule::Clamp, 8),
        &[
            0.251009445777,
            0.0709403704967,
            0.0448321965045,
            0.0545087366442,
            0.162318739302,
            0.0622807533177,
            0.0738848340073,
            0.10654428337,
            0.17368064058,
        ],
    );
    all_near(
        &ancestral(&model, &grid(1)),
        &[
            0.156548509149,
            0.121313845132,
            0.0921376457193,
            0.0988701876826,
            0.107754237376,
            0.0733755749416,
            0.124581303169,
            0.120931917492,
            0.104486779339,
        ],
    );
    for (steps, reject, clamp) in [
        (32, 0.0359416903353, 0.030097792911),
        (64, 0.0181690110074, 0.0151056905722),
        (128, 0.00912153087727, 0.00755853120827),
    ] {
        assert_near(distance(&leap(&model, JumpRule::Reject, steps)), reject, 1e-11);
        assert_near(distance(&leap(&model, JumpRule::Clamp, steps)), clamp, 1e-11);
    }
    for (steps, expected) in [(32, 0.0184741061199), (64, 0.00914822060192)] {
        assert_near(distance(&ancestral(&model, &grid(steps))), expected, 1e-11);
    }
    // The law after one forward jump, over the law: what the one-pass objective takes for the same.
    let law = model.law_at(0.4);
    let after = |x: usize| -> f64 {
        let (a, b) = (x / 3, x % 3);
        let neighbours = (0..9).filter(|&y| (y / 3 == a) != (y % 3 == b));
        neighbours.map(|y| law[y] / 4.0).sum::<f64>() / law[x]
    };
    let ratios = (0..9).map(after);
    assert_near(ratios.clone().fold(f64::INFINITY, f64::min), 0.518404619234, 1e-11);
    assert_near(ratios.fold(0.0, f64::max), 1.50088459792, 1e-11);
    assert_near(model.noising.kernel(0.0, 1.0).unwrap().matrix()[[0, 0]], 0.482086773432, 1e-11);
}

/// Σ p ln(p/q).
fn divergence(p: &[f64], q: &[f64]) -> f64 {
    // Term by term p ln(p/q) − p + q, which does not cancel.
    p.iter().zip(q).map(|(p, q)| p * numeric::special::r_minus_1_minus_ln(q / p)).sum()
}

/// Total variation and KL(data ‖ law) at 8, 32 and 128 steps.
type Row = [(f64, f64); 3];

#[test]
fn all_methods_on_a_circle() {
    let tau: fn(&Enumerated, usize) -> Vec<f64> = |model, steps| leap(model, JumpRule::Cyclic, steps);
    let half: fn(&Enumerated, usize) -> Vec<f64> =
        |model, steps| two_stage(model, steps, 0.5, false, JumpRule::Cyclic);
    let third: fn(&Enumerated, usize) -> Vec<f64> =
        |model, steps| two_stage(model, steps, 0.3, false, JumpRule::Cyclic);
    let midpoint: fn(&Enumerated, usize) -> Vec<f64> =
        |model, steps| two_stage(model, steps, 0.5, true, JumpRule::Cyclic);
    let table: [(_, _, Row); 7] = [
        (
            MILD,
            tau,
            [
                (0.00676145439243, 0.000127328605604),
                (0.00180572959243, 9.07861581482e-06),
                (0.000458680070574, 5.85719948184e-07),
            ],
        ),
        (
            MILD,
            half,
            [
                (0.000306397518218, 2.60863237591e-07),
                (1.93040687911e-05, 1.03199613983e-09),
                (1.20737198026e-06, 4.03181520686e-12),
            ],
        ),
        (
            MILD,
            third,
            [
                (0.000631476450872, 1.11351066305e-06),
                (4.16685736424e-05, 4.85162398994e-09),
                (2.63685967668e-06, 1.9430880114e-11),
            ],
        ),
        (
            MILD,
            midpoint,
            [
                (0.00676218580263, 0.000127399552611),
                (0.00180579778929, 9.08023983781e-06),
                (0.00045868470116, 5.85747593267e-07),
            ],
        ),
        (
            STRONG,
            tau,
            [
                (0.0457115706559, 0.00694703710615),
                (0.0121130391648, 0.000511068404276),
                (0.00306471987009, 3.31589714014e-05),
            ],
        ),
        (
            STRONG,
            half,
            [
                (0.00598218698869, 0.000123793107233),
                (0.00117207149012, 4.51330710738e-06),
                (0.000271674435689, 2.38536483727e-07),
            ],
        ),
        (
            STRONG,
            midpoint,
            [
                (0.0463043120406, 0.00714710004163),
                (0.0121676773287, 0.000516269853371),
                (0.00306840277879, 3.32493533975e-05),
            ],
        ),
    ];
    for (data, method, row) in table {
        let model = torus(data);
        for (steps, (distance, kl)) in [8, 32, 128].into_iter().zip(row) {
            let law = method(&model, steps);
            assert_near(total_variation(&law, &data), distance, 1e-11);
            // The given values have lost digits to cancellation: below 1e-9 five are left.
            assert_near(divergence(&data, &law), kl, 1e-11 * kl + 1e-14);
        }
    }
    let laws = [
        (MILD, tau, [0.217634941358, 0.208830798091, 0.200013982359, 0.191183200245, 0.182337077948]),
        (MILD, half, [0.219948172952, 0.209974746712, 0.200000669242, 0.190025920182, 0.180050490912]),
        (STRONG, tau, [0.331641967474, 0.244558159029, 0.200740132404, 0.129664360517, 0.0933953805765]),
        (STRONG, half, [0.348012788905, 0.249419695053, 0.20017936551, 0.121045530338, 0.0813426201953]),
    ];
    for (data, method, law) in laws {
        all_near(&method(&torus(data), 16), &law);
    }
}
