//! Pinned values of every method: a change of one is a "Value-breaking" entry in the changelog.

use numeric::ndarray::array;
use numeric::{Control, Noise};
use sde_core::fit::{FitOptions, fit_mixture};
use sde_core::{
    AnnealedLangevin, Component, Covariance, Ddim, Deis, DpmSolver, DpmSolverPlusPlus2M, DpmSolverPlusPlus2S,
    EdmHeun, EulerMaruyama, ExponentialAdams, ExponentialIntegrator, Extrapolation, FrozenDenoiser,
    FrozenScore, LocallyMomentMatched, Method, Mixture, MixtureField, MomentMatched, Ou, PredictorCorrector,
    ProbabilityFlowHeun, ReverseSde, Sampler, SdeDpmSolverPlusPlus2S, UniPc, UniPcVariant, grid,
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
        [-0.3978950792572774, -1.905535448433758, 1.5876252669534492, -0.5751667311752396],
    );
    pin(
        ProbabilityFlowHeun,
        [0.1948454799522509, -1.7387422918682267, -0.8221383854967739, 1.0594038090352773],
    );
}

#[test]
fn samples_of_the_reverse_methods() {
    let valid = "valid";
    pin(
        ReverseSde::new(0.7).expect(valid),
        [-1.0500022468272183, -0.25354928080834227, 2.139269842554939, 0.005546107763311809],
    );
    pin(
        Ddim::new(0.3).expect(valid),
        [-0.3855264172136712, -0.8677774142754981, 0.9216106328278275, 0.12915189071065056],
    );
    pin(
        EdmHeun { churn: 3.0, steps: 10, s_min: 0.05, s_max: 5.0, s_noise: 1.003 },
        [-0.5514751927304326, -1.52825653389443, 2.1315715065189806, 0.4089661385343474],
    );
    pin(
        DpmSolver::new(2).expect(valid),
        [0.19556830045860968, -1.6757317960531115, -0.8042591232935474, 1.0342939565656866],
    );
    pin(
        DpmSolver::new(3).expect(valid),
        [0.1947812881732681, -1.6339005197745746, -0.7830280028230062, 1.0076853133883161],
    );
    pin(
        DpmSolverPlusPlus2S::new(0.5).expect(valid),
        [-1.0888029857111208, -0.11116470396752634, 1.8284585492073113, -0.03768413482360184],
    );
    pin(
        SdeDpmSolverPlusPlus2S::new(0.7).expect(valid),
        [-1.4618091984533919, 1.3420822586927086, -0.06741760169876454, -1.8572310059848174],
    );
    pin(
        DpmSolverPlusPlus2M::new(0.0).expect(valid),
        [0.20460868471950744, -1.6575153584057316, -0.8173392874665711, 1.0436463967245495],
    );
    pin(
        DpmSolverPlusPlus2M::new(1.0).expect(valid),
        [-0.46010705293178555, -1.7740159326086447, 3.0215350545506356, 0.455633599120258],
    );
    pin(
        ExponentialAdams::new(3, 0.0).expect(valid),
        [0.19283615182939007, -1.6185098326903469, -0.7579052190667073, 0.9904520004716191],
    );
    pin(
        ExponentialAdams::new(4, 1.0).expect(valid),
        [-0.8402614306515617, -0.5121107292039369, 2.295836412190038, -0.5039755435822799],
    );
    pin(
        Deis::new(3, Extrapolation::Ratio).expect(valid),
        [0.2143889776190033, -1.4948808512394187, -0.7575334821298622, 0.9709658329640138],
    );
    pin(
        Deis::new(3, Extrapolation::LogSnr).expect(valid),
        [0.20142270207144547, -1.606086807329759, -0.7827044922867098, 1.0065398743887704],
    );
    pin(
        Deis::new(3, Extrapolation::Time).expect(valid),
        [0.21303292581921507, -1.5409513411166322, -0.7807605650276154, 0.9898524693362907],
    );
    pin(
        UniPc::new(2, UniPcVariant::Bh1).expect(valid),
        [0.18585504758608212, -1.727741680694918, -0.8164643156980548, 1.0476105659787593],
    );
    pin(
        UniPc::new(3, UniPcVariant::Bh2).expect(valid),
        [0.19209365696811292, -1.6092951357550564, -0.7507689644219482, 0.9834291697072319],
    );
    pin(
        PredictorCorrector::new(FrozenDenoiser, 2, 0.16).expect(valid),
        [-0.1965361957082541, -1.7235422670943106, 1.6909566828320448, -0.18152817552801714],
    );
    pin(
        AnnealedLangevin::new(3, 0.2).expect(valid),
        [14.447891879217558, -9.020243330782183, 2.353825960388757, 7.6964071270297785],
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
