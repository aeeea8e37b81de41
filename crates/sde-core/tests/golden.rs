//! Pinned values of every method: a change of one is a "Value-breaking" entry in the changelog.

use numeric::ndarray::array;
use numeric::{Control, Noise};
use sde_core::fit::{FitOptions, fit_mixture};
use sde_core::{
    Component, Covariance, EulerMaruyama, ExponentialIntegrator, FrozenDenoiser, FrozenScore,
    LocallyMomentMatched, Method, Mixture, MixtureField, MomentMatched, Ou, ProbabilityFlowHeun, Sampler,
    grid,
};
use verify::assert_golden;

/// Matrix products may be fused or not: values agree between CPUs to rounding.
const TOLERANCE: f64 = 1e-10;

fn target() -> Mixture {
    let component = |weight, mean, covariance| Component { weight, mean, covariance };
    Mixture::new(vec![
        component(1.0, array![2.0, 0.0], Covariance::Full(array![[0.5, 0.2], [0.2, 0.3]])),
        component(2.0, array![-1.0, 1.0], Covariance::Isotropic(0.2)),
        component(1.0, array![0.0, -2.0], Covariance::Diagonal(array![0.1, 0.4])),
    ])
    .expect("valid")
}

fn pin<K: Method<f64, numeric::Model<MixtureField<f64, Ou>, Ou>>>(method: K, expected: [f64; 4]) {
    let name = method.name();
    let grid = grid::geometric_v(4.0, 1e-3, 10).expect("valid");
    let sampler = Sampler::new(target().denoiser::<f64, _>(Ou), method, grid).expect("valid");
    let x = sampler.sample(5..7, Noise::new(11), Control::default()).expect("finite");
    assert_golden(name, x.as_slice().expect("contiguous"), &expected, TOLERANCE);
}

#[test]
fn samples() {
    pin(EulerMaruyama, [-1.3006212144514357, -0.1267046791899918, 2.81102872949301, 0.37513332802229016]);
    pin(
        ExponentialIntegrator,
        [-1.3648454070928864, 0.020970763942500165, 3.1588227897089425, 0.636599137074549],
    );
    pin(FrozenScore, [-1.4001631438783675, -0.5358493539429885, 3.4036135594475465, 0.5929388876577774]);
    pin(FrozenDenoiser, [-0.4228958030164246, -1.3531227900880423, 2.2764981249365257, 0.11363029663297584]);
    pin(
        MomentMatched::new(&array![[2.0, 0.3], [0.3, 1.0]]).expect("valid"),
        [-0.7324354166212428, -1.5343691045760823, 2.7385407696265784, 0.3937376932586111],
    );
    pin(
        LocallyMomentMatched,
        [-1.1285431747654864, 0.28215498060242516, 2.7957897174289053, 0.26745457047514876],
    );
    pin(
        ProbabilityFlowHeun,
        [0.1948454799522509, -1.7387422918682267, -0.8221383854967739, 1.0594038090352773],
    );
}

#[test]
fn exact_draws_and_the_fit() {
    let x = target().sample(0..300, 1.0, 0.0, Noise::new(3)).expect("valid");
    assert_golden(
        "draws",
        x.slice(numeric::ndarray::s![7..9, ..]).to_owned().as_slice().expect("contiguous"),
        &[1.3943679433552918, 0.5827554708910854, -1.1103579741090115, 1.080404423411776],
        TOLERANCE,
    );
    let options =
        FitOptions { components: 2, floor: 0.01, max_iterations: 200, tolerance: 1e-9, noise: Noise::new(4) };
    let fit = fit_mixture(&x, &options).expect("converges");
    let found = [fit.weights[0], fit.means[(0, 0)], fit.covariances[1][(0, 1)], fit.log_likelihoods[1]];
    let pinned = [0.25238105288600315, -0.0064513582637755725, -0.5361246387611666, -2.8161039215643173];
    assert_golden("fit", &found, &pinned, 1e-8);
}
