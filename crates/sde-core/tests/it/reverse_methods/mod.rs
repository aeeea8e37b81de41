//! The reverse-time samplers against a second implementation, against each other, and at the ends.

mod from_noise;
mod members;
mod orders;
mod reference;
mod stochastic;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use members::{CLOCK, Member, SAME, members};
use numeric::ndarray::{Array2, ArrayRef2, array, s};
use numeric::{Batch, Control, Error, Model, Noise, Schedule, Scratch, Time, TimeGrid, VectorField};
use reference::Case;
use sde_core::{
    AnnealedLangevin, Component, CosineVp, Covariance, Ddim, Deis, DpmSolver, DpmSolverPlusPlus2M,
    DpmSolverPlusPlus2S, Edm, EdmHeun, ExponentialAdams, Extrapolation, Flow, FrozenDenoiser, FrozenScore,
    Keep, LinearProcess, LinearVp, LocallyMomentMatched, Method, Mixture, MixtureField, MomentMatched, Ou,
    PredictorCorrector, ProbabilityFlowHeun, ReverseSde, Sampler, SdeDpmSolverPlusPlus2S, Start, SubVp,
    UniPc, UniPcVariant,
};

pub(crate) type Exact<F, S> = Model<MixtureField<F, S>, S>;
type Boxed<S> = Box<dyn Method<f64, Exact<f64, S>>>;

pub(crate) const WEIGHTS: [f64; 3] = [0.3, 0.5, 0.2];
pub(crate) const MEANS: [f64; 3] = [-1.5, 0.4, 2.0];
pub(crate) const VARIANCES: [f64; 3] = [0.2, 0.1, 0.3];

/// The mixture with these components along a direction in R^d, isotropic.
pub(crate) fn mixture(direction: &[f64]) -> Mixture {
    let component = |j: usize| Component {
        weight: WEIGHTS[j],
        mean: direction.iter().map(|e| e * MEANS[j]).collect(),
        covariance: Covariance::Isotropic(VARIANCES[j]),
    };
    Mixture::new((0..3).map(component).collect()).expect("valid")
}

/// Its denoiser `E[x_0 | u]` at ratio r, written out.
pub(crate) fn denoise(direction: &[f64], u: &[f64], r: f64, out: &mut [f64]) {
    let d = u.len() as f64;
    let logs: Vec<f64> = (0..3)
        .map(|j| {
            let c = VARIANCES[j] + r * r;
            let square: f64 = u.iter().zip(direction).map(|(u, e)| (u - e * MEANS[j]).powi(2)).sum();
            WEIGHTS[j].ln() - 0.5 * square / c - 0.5 * d * c.ln()
        })
        .collect();
    let top = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let total: f64 = logs.iter().map(|l| (l - top).exp()).sum();
    out.fill(0.0);
    for j in 0..3 {
        let p = (logs[j] - top).exp() / total;
        let gain = VARIANCES[j] / (VARIANCES[j] + r * r);
        for ((out, u), e) in out.iter_mut().zip(u).zip(direction) {
            *out += p * (e * MEANS[j] + gain * (u - e * MEANS[j]));
        }
    }
}

pub(crate) fn grid_of<S: LinearProcess>(process: &S, ratios: &[f64]) -> TimeGrid {
    let times: Vec<Time> =
        ratios.iter().map(|&r| process.time_at_ratio(r).expect("a ratio of the process")).collect();
    TimeGrid::from_times(times).expect("a grid")
}

/// The ends in u of runs from given starts in u.
pub(crate) fn run_u<S: LinearProcess + Clone>(
    target: &Mixture,
    process: &S,
    method: &dyn Method<f64, Exact<f64, S>>,
    ratios: &[f64],
    starts: &Array2<f64>,
    noise: Noise,
) -> Array2<f64> {
    let grid = grid_of(process, ratios);
    let alpha = |time: Time| process.level(time).alpha;
    let x = starts * alpha(grid.first());
    let end = alpha(grid.last());
    let sampler = Sampler::new(target.denoiser::<f64, S>(process.clone()), method, grid)
        .expect("a grid of the process");
    let n = starts.nrows() as u64;
    let run = sampler.run(Start::Rows(&x), Keep::Last, 0..n, noise, Control::default()).expect("finite");
    run.states.slice_move(s![.., 0, ..]) / end
}

const GRIDS: [&[f64]; 6] = [
    &[5.0, 3.0, 1.2, 0.9, 0.2, 0.05],
    &[4.0, 1.5, 1.3, 0.4, 0.3, 0.0],
    &[2.4, 0.5],
    &[2.4, 0.0],
    &[2.0, 1.0, 0.5],
    &[2.0, 0.3, 0.0],
];

fn starts(n: usize, ratio: f64, noise: Noise) -> Array2<f64> {
    let rows: Vec<u64> = (0..n as u64).collect();
    let mut z = Array2::zeros((n, 1));
    noise.normals_into(&rows, 99, &mut z);
    z * ratio
}

/// Largest difference to the second implementation over rows and grids.
fn gap<S: LinearProcess + Clone>(process: &S, member: &Member<f64, Exact<f64, S>>) -> f64 {
    let (n, target) = (6, mixture(&[1.0]));
    let mut worst = 0.0_f64;
    for ratios in GRIDS {
        let noise = Noise::new(3);
        let starts = starts(n, ratios[0], noise);
        let found = run_u(&target, process, &member.method, ratios, &starts, noise);
        let path = noise.fork("path");
        let draw = |noise: Noise, k: usize| {
            let mut z = array![[0.0]];
            move |row: u64| {
                noise.normals_into(&[row], k as u64, &mut z);
                z[(0, 0)]
            }
        };
        for i in 0..n {
            let case = Case {
                r: ratios,
                start: starts[(i, 0)],
                z: &|k| draw(path, k)(i as u64),
                middle_z: &|k| draw(path.fork("middle"), k)(i as u64),
                corrector_z: &|j, k| draw(path.fork("corrector").fork_index(j as u64), k)(i as u64),
                m: &|u, r| {
                    let mut out = [0.0];
                    denoise(&[1.0], &[u], r, &mut out);
                    out[0]
                },
            };
            let expected = (member.reference)(&case);
            worst = worst.max((found[(i, 0)] - expected).abs() / (1.0 + expected.abs()));
        }
    }
    worst
}

/// Every method follows, with the same normals, the path that its paper prescribes, on grids of every kind.
#[test]
fn paths_are_those_of_a_second_implementation() {
    for member in members::<f64, MixtureField<f64, Edm>, Edm>(SAME) {
        let gap = gap(&Edm, &member);
        assert!(gap < 1e-11, "{}: {gap:.1e}", member.label);
    }
    for member in members::<f64, MixtureField<f64, Ou>, Ou>(CLOCK) {
        let gap = gap(&Ou, &member);
        // The weights of tAB in a time that is not the ratio are from a Gauss rule.
        let tolerance = if member.ratios_only { 1e-11 } else { 1e-7 };
        assert!(gap < tolerance, "{}: {gap:.1e}", member.label);
    }
}

/// A reference with one constant wrong by 10 % is told from the method.
#[test]
fn a_wrong_constant_is_seen() {
    let mut members = members::<f64, MixtureField<f64, Edm>, Edm>(SAME);
    let member = members.iter_mut().find(|member| member.label == "2M 0.4").expect("listed");
    member.reference = Box::new(|c| reference::dpm_2m(c, 0.44, false));
    assert!(gap(&Edm, member) > 1e-3);
}

/// The paths in `u` do not depend on the process, except for tAB, which extrapolates in its time.
#[test]
fn all_processes_give_the_same_paths() {
    let target = mixture(&[0.6, 0.8]);
    let starts = |ratio: f64| array![[1.0, -0.3], [-0.2, 0.9], [0.1, 0.4]] * ratio;
    fn ends<S: LinearProcess + Clone>(
        target: &Mixture,
        process: S,
        starts: impl Fn(f64) -> Array2<f64>,
    ) -> Vec<(String, bool, Vec<Array2<f64>>)> {
        let end = |(label, ratios_only, method): (String, bool, Boxed<S>)| {
            let run =
                |ratios: &&[f64]| run_u(target, &process, &method, ratios, &starts(ratios[0]), Noise::new(5));
            (label, ratios_only, GRIDS.iter().map(run).collect())
        };
        let covariance = target.covariance();
        let others: [Boxed<S>; 5] = [
            Box::new(FrozenDenoiser),
            Box::new(FrozenScore),
            Box::new(MomentMatched::new(&covariance).expect("valid")),
            Box::new(LocallyMomentMatched),
            Box::new(ProbabilityFlowHeun),
        ];
        let members =
            members(SAME).into_iter().map(|member| (member.label, member.ratios_only, member.method));
        members.chain(others.map(|method| (method.name().to_owned(), true, method))).map(end).collect()
    }
    let edm = ends(&target, Edm, starts);
    let others = [
        ends(&target, Ou, starts),
        ends(&target, LinearVp::new(0.1, 20.0).expect("valid"), starts),
        ends(&target, SubVp::new(0.1, 20.0).expect("valid"), starts),
        ends(&target, Flow, starts),
    ];
    for (k, other) in others.iter().enumerate() {
        for ((label, ratios_only, a), (_, _, b)) in edm.iter().zip(other) {
            let gap =
                a.iter().zip(b).flat_map(|(a, b)| (a - b).into_iter()).fold(0.0_f64, |m, e| m.max(e.abs()));
            assert!(gap < 1e-10 || !ratios_only, "{label}, process {k}: {gap:.1e}");
            assert!(
                *ratios_only || label.ends_with('1') || gap > 1e-6,
                "{label} sees the time of the process"
            );
        }
    }
}

/// The ends of the families are methods that were there before, and EDM without churn is Heun's method.
#[test]
fn the_families_end_where_they_should() {
    let target = mixture(&[0.6, 0.8]);
    let starts = array![[1.0, -0.3], [-0.2, 0.9], [0.1, 0.4]];
    let still = EdmHeun { churn: 0.0, steps: 6, s_min: 0.0, s_max: 1e9, s_noise: 1.0 };
    let pairs: [(Boxed<Ou>, Boxed<Ou>, f64); 7] = [
        (Box::new(ReverseSde::new(1.0).expect("valid")), Box::new(FrozenDenoiser), 1e-12),
        (Box::new(Ddim::new(1.0).expect("valid")), Box::new(FrozenDenoiser), 1e-12),
        (Box::new(Ddim::new(0.0).expect("valid")), Box::new(ReverseSde::new(0.0).expect("valid")), 1e-13),
        (Box::new(still), Box::new(ProbabilityFlowHeun), 0.0),
        (Box::new(DpmSolver::new(1).expect("valid")), Box::new(Ddim::new(0.0).expect("valid")), 1e-13),
        (
            Box::new(ExponentialAdams::new(1, 0.7).expect("valid")),
            Box::new(ReverseSde::new(0.7).expect("valid")),
            1e-13,
        ),
        (
            Box::new(PredictorCorrector::new(FrozenDenoiser, 0, 0.1).expect("valid")),
            Box::new(FrozenDenoiser),
            0.0,
        ),
    ];
    for (a, b, tolerance) in &pairs {
        for ratios in GRIDS {
            let ends = |method: &Boxed<Ou>| run_u(&target, &Ou, method, ratios, &starts, Noise::new(6));
            let gap = (ends(a) - ends(b)).iter().fold(0.0_f64, |m, e| m.max(e.abs()));
            assert!(gap <= *tolerance, "{} and {}: {gap:.1e}", a.name(), b.name());
        }
    }
}

#[test]
fn rows_do_not_depend_on_shards_and_single_precision_is_sane() {
    let target = mixture(&[0.6, 0.8]);
    let grid = grid_of(&Ou, &[5.0, 3.0, 1.2, 0.9, 0.2, 0.05]);
    for (double, single) in
        members::<f64, MixtureField<f64, Ou>, Ou>(CLOCK)
            .iter()
            .zip(members::<f32, MixtureField<f32, Ou>, Ou>(CLOCK))
    {
        let sampler =
            Sampler::new(target.denoiser::<f64, _>(Ou), &double.method, grid.clone()).expect("valid");
        let all = sampler.sample(0..130, Noise::new(7), Control::default()).expect("finite");
        let shard = sampler.sample(63..90, Noise::new(7), Control::default()).expect("finite");
        assert_eq!(shard, all.slice(s![63..90, ..]), "{}", double.label);
        // The same start and no noise: the deterministic methods agree to single precision.
        let wide = target.denoiser::<f64, _>(Ou);
        let narrow = Sampler::new(target.denoiser::<f32, _>(Ou), single.method, grid.clone()).expect("valid");
        let wide = Sampler::new(wide, &double.method, grid.clone()).expect("valid");
        let x = narrow.run(Start::Point(&[0.5, -0.25]), Keep::Last, 0..2, Noise::new(8), Control::default());
        let x = x.expect("finite").states;
        assert!(x.iter().all(|x| x.is_finite()));
        let y = wide.run(Start::Point(&[0.5, -0.25]), Keep::Last, 0..2, Noise::new(8), Control::default());
        let y = y.expect("finite").states;
        if y[(0, 0, 0)] == y[(1, 0, 0)] {
            let gap = x.iter().zip(&y).fold(0.0_f64, |m, (&x, y)| m.max((f64::from(x) - y).abs()));
            assert!(gap < 1e-4, "{}: {gap:.1e}", double.label);
        }
    }
}

/// A field that counts its evaluations, for blocks of one row.
struct Counted<S> {
    field: MixtureField<f64, S>,
    made: Arc<AtomicUsize>,
}

impl<S: LinearProcess> VectorField<f64> for Counted<S> {
    fn dim(&self) -> usize {
        1
    }
    fn eval_into(
        &self,
        batch: &Batch<'_, f64>,
        out: &mut ArrayRef2<f64>,
        scratch: &mut Scratch,
    ) -> Result<(), Error> {
        self.made.fetch_add(1, Ordering::Relaxed);
        self.field.eval_into(batch, out, scratch)
    }
}

#[test]
fn calls_are_counted_as_they_are_made() {
    for ratios in GRIDS {
        for member in members::<f64, Counted<Edm>, Edm>(SAME) {
            let made = Arc::new(AtomicUsize::new(0));
            let Model { field, prediction, schedule } = mixture(&[1.0]).denoiser::<f64, _>(Edm);
            let model = Model::new(Counted { field, made: made.clone() }, prediction, schedule);
            let sampler = Sampler::new(model, &member.method, grid_of(&Edm, ratios)).expect("valid");
            sampler.sample::<f64>(0..1, Noise::new(1), Control::default()).expect("finite");
            assert_eq!(made.load(Ordering::Relaxed), sampler.model_calls::<f64>(), "{}", member.label);
        }
    }
}

/// From next to the end of the cosine schedule, where there is no signal left, to the data themselves.
#[test]
fn the_ends_of_the_cosine_schedule_are_harmless() {
    let (target, process) = (mixture(&[1.0]), CosineVp::new(0.008).expect("valid"));
    for ratios in [&[1e6, 0.0][..], &[1e6, 1.0, 0.0], &[1e6, 1e5, 3.0, 0.5, 0.0]] {
        for member in members::<f64, MixtureField<f64, CosineVp>, CosineVp>(SAME) {
            let starts = array![[-1e6], [2e5], [1.5e6]];
            let u = run_u(&target, &process, &member.method, ratios, &starts, Noise::new(9));
            assert!(u.iter().all(|u| u.is_finite()), "{}", member.label);
            // The mean of the data; annealed Langevin stays where it was.
            let close = (&u - 0.15).iter().all(|gap| gap.abs() < 1e-4);
            assert!(
                ratios.len() > 2 || member.label.starts_with("annealed") || close,
                "{}: {u}",
                member.label
            );
        }
    }
}

#[test]
fn bad_parameters_are_refused() {
    for lambda in [-0.1, f64::NAN, f64::INFINITY] {
        assert!(ReverseSde::new(lambda).is_err());
        assert!(DpmSolverPlusPlus2M::new(lambda).is_err() && ExponentialAdams::new(2, lambda).is_err());
        assert!(SdeDpmSolverPlusPlus2S::new(lambda).is_err());
    }
    for eta in [-0.1, 1.1, f64::NAN] {
        assert!(Ddim::new(eta).is_err() && DpmSolverPlusPlus2S::new(eta).is_err());
    }
    for order in [0, 5] {
        assert!(ExponentialAdams::new(order, 0.0).is_err() && Deis::new(order, Extrapolation::Time).is_err());
    }
    for order in [0, 4] {
        assert!(DpmSolver::new(order).is_err() && UniPc::new(order, UniPcVariant::Bh1).is_err());
    }
    for snr in [0.0, 1.0, -0.1, f64::NAN] {
        assert!(
            PredictorCorrector::new(FrozenDenoiser, 1, snr).is_err()
                && AnnealedLangevin::new(1, snr).is_err()
        );
    }
    let valid = EdmHeun { churn: 1.0, steps: 3, s_min: 0.0, s_max: 1.0, s_noise: 1.0 };
    let bad = [
        EdmHeun { churn: -1.0, ..valid },
        EdmHeun { churn: f64::NAN, ..valid },
        EdmHeun { steps: 0, ..valid },
        EdmHeun { s_min: 2.0, ..valid },
        EdmHeun { s_max: f64::NAN, ..valid },
        EdmHeun { s_noise: f64::NAN, ..valid },
    ];
    for method in bad {
        let sampler =
            Sampler::new(mixture(&[1.0]).denoiser::<f64, _>(Edm), method, grid_of(&Edm, &[2.0, 0.5]));
        assert!(
            sampler.expect("a grid").sample(0..1, Noise::new(1), Control::default()).is_err(),
            "{method:?}"
        );
    }
    // Churn beyond the noise that a process has.
    let vp = LinearVp::new(0.1, 3.0).expect("valid");
    let top = grid_of(
        &vp,
        &[vp.level(Time { t: 1.0, to_end: 0.0 }).sigma / vp.level(Time { t: 1.0, to_end: 0.0 }).alpha, 0.1],
    );
    let method = EdmHeun { s_max: f64::INFINITY, ..valid };
    let sampler = Sampler::new(mixture(&[1.0]).denoiser::<f64, _>(vp), method, top).expect("a grid");
    assert!(sampler.sample(0..1, Noise::new(1), Control::default()).is_err());
}
