//! Pinned values: a change of one is a "Value-breaking" entry in the changelog.

use ctmc::{BirthDeath, Kernel, Method, Refresh, Simulation, Start, TimeChange};
use numeric::ndarray::{Array2, array};
use numeric::{Control, Noise};
use verify::{assert_golden, assert_golden_exact};

#[test]
fn noised_data() {
    let x0 = array![[0, 1, 2, 3, 4, 5], [5, 4, 3, 2, 1, 0]];
    let of = |chain: Refresh| {
        let noised = chain.sample_transition(&x0, &[0.5, 2.0], 7..9, Noise::new(5)).unwrap();
        noised.into_raw_vec_and_offset().0
    };
    assert_golden_exact(
        "uniform",
        &of(Refresh::uniform(6, 0.25).unwrap()),
        &[0, 2, 4, 3, 4, 0, 0, 2, 0, 3, 4, 4],
    );
    assert_golden_exact(
        "masks",
        &of(Refresh::absorbing(6, 5, 1.0).unwrap()),
        &[0, 5, 2, 3, 5, 5, 5, 5, 3, 2, 5, 0],
    );
    let law = Refresh::new(&[0.1, 0.2, 0.3, 0.2, 0.1, 0.1], 1.0).unwrap();
    assert_golden_exact("law", &of(law), &[0, 2, 2, 3, 4, 5, 1, 2, 3, 2, 3, 0]);
    let kernel = Kernel::of(&BirthDeath::constant(6, 1.0).unwrap(), 0.75, 1e-15).unwrap();
    let moved = kernel.sample(&Array2::from_elem((2, 6), 2), 7..9, Noise::new(5)).unwrap();
    assert_golden_exact("kernel", &moved.into_raw_vec_and_offset().0, &[2, 1, 2, 2, 2, 3, 2, 1, 2, 2, 0, 1]);
}

#[test]
fn paths() {
    let chain = BirthDeath::new(vec![1.0, 2.0, 0.5], vec![0.3, 0.7, 4.0]).unwrap();
    let beta = TimeChange::linear(0.5, 1.0).unwrap();
    let of = |method| {
        let simulation = Simulation { generator: &chain, beta, method };
        simulation.paths(Start::State(1), 1.5, 3..4, Noise::new(5), Control::default()).unwrap().remove(0)
    };
    let direct = of(Method::Direct);
    assert_golden_exact("direct: states", &direct.states, &[1, 2, 3, 2]);
    assert_golden(
        "direct: times",
        &direct.times,
        &[0.037551422003776036, 0.8818260621308117, 1.083062989333523],
        1e-14,
    );
    let uniformized = of(Method::Uniformization);
    assert_golden_exact("uniformization: states", &uniformized.states, &[1, 2, 3, 2, 1, 2, 3]);
    assert_golden(
        "uniformization: times",
        &uniformized.times,
        &[
            0.021922293542354813,
            1.1567432668286304,
            1.189065438435532,
            1.3598059126760913,
            1.3838265783322186,
            1.424185193006874,
        ],
        1e-14,
    );
}

#[test]
fn paths_of_a_network() {
    use ctmc::network::{Algorithm, Counting, Network, Rate, Reaction, Ssa};
    let network = Network::new(
        ["A", "B"],
        vec![
            Reaction::new("in", [], [("A", 1)], Rate::mass_action(3.0, Counting::Ordered)),
            Reaction::new("pair", [("A", 2)], [("B", 1)], Rate::mass_action(0.2, Counting::Combinations)),
            Reaction::new("out", [("B", 1)], [], Rate::michaelis_menten(2.0, 3.0, "B")),
        ],
    )
    .unwrap();
    let golden: [&[f64]; 6] = [
        &[
            0.08850103823980829,
            0.0,
            0.11281111471007936,
            0.0,
            0.30796809369877143,
            1.0,
            0.39624563688614256,
            0.0,
        ],
        &[
            0.08850103823980829,
            0.0,
            0.11281111471007936,
            0.0,
            0.30796809369877143,
            1.0,
            0.39624563688614256,
            1.0,
        ],
        &[0.13865162657569965, 0.0, 0.2674108411729818, 2.0],
        &[0.08850103823980829, 0.0, 0.3191411043173535, 1.0],
        &[
            0.04222892179970548,
            0.0,
            0.2912189816263294,
            0.0,
            0.3360299172544366,
            0.0,
            0.4315304849321766,
            0.0,
            0.47197238726117063,
            1.0,
        ],
        &[0.08850103823980829, 0.0, 0.5344195999293075, 0.0],
    ];
    for (algorithm, golden) in Algorithm::ALL.into_iter().zip(golden) {
        let start = ctmc::network::Start::State(&[4, 1]);
        let paths =
            Ssa::new(&network, algorithm).paths(start, 0.6, 3..4, Noise::new(5), Control::default()).unwrap();
        let found: Vec<f64> =
            paths[0].times.iter().zip(&paths[0].reactions).flat_map(|(&t, &r)| [t, f64::from(r)]).collect();
        assert_golden(&format!("{algorithm:?}"), &found, golden, 1e-14);
    }
}

#[test]
fn training_batches_and_draws_of_a_mixture() {
    use ctmc::denoise::exact::ProductMixture;
    use ctmc::denoise::objective::{Elbo, Form, MaskedElbo, Objective};
    let laws = array![[[0.7, 0.2, 0.1], [0.1, 0.1, 0.8]], [[0.2, 0.2, 0.6], [0.5, 0.4, 0.1]]];
    let mixture = ProductMixture::new(&[0.5, 0.5], &laws).unwrap();
    let x0 = mixture.sample(7..11, Noise::new(5));
    let tokens = |x: &Array2<u32>| x.iter().copied().collect::<Vec<u32>>();
    assert_golden_exact("mixture", &tokens(&x0), &[0, 2, 2, 0, 2, 0, 0, 2]);
    let beta = TimeChange::log_linear(0.0).unwrap();
    let masks = ctmc::denoise::Noising::refresh(Refresh::absorbing(4, 3, 1.0).unwrap(), beta);
    let batch = MaskedElbo::new(&masks).unwrap().batches(&x0, 7..11, 1, Noise::new(5)).unwrap().remove(0);
    assert_golden_exact("masked", &tokens(&batch.noised), &[3, 3, 2, 3, 3, 3, 0, 3]);
    let times: Vec<f64> = batch.times.iter().map(|time| time.t).collect();
    assert_golden(
        "masked: times",
        &times,
        &[0.9502471068314621, 0.20576769654047833, 0.5403318794533644, 0.2381297433893289],
        1e-14,
    );
    let uniform = ctmc::denoise::Noising::refresh(Refresh::uniform(3, 1.0).unwrap(), beta);
    let elbo = Elbo::new(&uniform, 0.9).unwrap().with_form(Form::Jumps).unwrap();
    let batches = elbo.batches(&x0, 7..11, 1, Noise::new(5)).unwrap();
    assert_golden_exact("before the jump", &tokens(&batches[0].noised), &[0, 2, 2, 0, 2, 0, 0, 2]);
    assert_golden_exact("after the jump", &tokens(&batches[1].noised), &[0, 1, 0, 0, 1, 0, 0, 1]);
    let times: Vec<f64> = batches[0].times.iter().map(|time| time.t).collect();
    assert_golden(
        "times",
        &times,
        &[0.13467807976717677, 0.0029735950585969163, 0.4060555389067839, 0.05136339626303389],
        1e-14,
    );
}
