//! All methods, each with its second implementation.

use numeric::{Model, Real, VectorField};
use sde_core::{
    AnnealedLangevin, Ddim, Deis, DpmSolver, DpmSolverPlusPlus2M, DpmSolverPlusPlus2S, EdmHeun,
    ExponentialAdams, Extrapolation, LinearProcess, Method, PredictorCorrector, ReverseSde,
    SdeDpmSolverPlusPlus2S, UniPc, UniPcVariant,
};

use super::reference::{self, Case};

type Reference = Box<dyn Fn(&Case<'_>) -> f64>;

/// A method, its second implementation, and whether it sees nothing of the process but its ratios.
pub(crate) struct Member<F, M> {
    pub(crate) label: String,
    pub(crate) method: Box<dyn Method<F, M>>,
    pub(crate) reference: Reference,
    pub(crate) ratios_only: bool,
}

/// t of `Ou` and `Edm` as functions of the ratio.
pub(crate) const CLOCK: fn(f64) -> f64 = |r| 0.5 * (r * r).ln_1p();
pub(crate) const SAME: fn(f64) -> f64 = |r| r;

/// All methods, with `time` the time of the process as a function of the ratio.
pub(crate) fn members<F: Real, V: VectorField<F>, S: LinearProcess>(
    time: fn(f64) -> f64,
) -> Vec<Member<F, Model<V, S>>> {
    let mut members: Vec<Member<F, Model<V, S>>> = vec![];
    let mut add = |label: String, method: Box<dyn Method<F, Model<V, S>>>, reference: Reference| {
        members.push(Member { label, method, reference, ratios_only: true });
    };
    for lambda in [0.0, 0.4, 1.0, 1.7] {
        let method = ReverseSde::new(lambda).expect("valid");
        add(
            format!("reverse SDE {lambda}"),
            Box::new(method),
            Box::new(move |c| reference::reverse_sde(c, lambda)),
        );
        let method = SdeDpmSolverPlusPlus2S::new(lambda).expect("valid");
        add(
            format!("2S SDE {lambda}"),
            Box::new(method),
            Box::new(move |c| reference::sde_dpm_2s(c, lambda)),
        );
        let method = DpmSolverPlusPlus2M::new(lambda).expect("valid");
        add(format!("2M {lambda}"), Box::new(method), Box::new(move |c| reference::dpm_2m(c, lambda, false)));
    }
    for eta in [0.0, 0.3, 1.0] {
        let method = Ddim::new(eta).expect("valid");
        add(format!("DDIM {eta}"), Box::new(method), Box::new(move |c| reference::ddim(c, eta)));
        add(
            format!("ancestral {eta}"),
            Box::new(method),
            Box::new(move |c| reference::euler_ancestral(c, eta)),
        );
        let method = DpmSolverPlusPlus2S::new(eta).expect("valid");
        add(format!("2S {eta}"), Box::new(method), Box::new(move |c| reference::dpm_2s(c, eta)));
    }
    for churn in [0.0, 0.7, 40.0] {
        let method = EdmHeun { churn, steps: 5, s_min: 0.1, s_max: 2.5, s_noise: 1.05 };
        let reference =
            move |c: &Case<'_>| reference::edm(c, churn * (c.r.len() - 1) as f64 / 5.0, (0.1, 2.5), 1.05);
        add(format!("EDM {churn}"), Box::new(method), Box::new(reference));
    }
    for order in 1..=4 {
        for lambda in [0.0, 0.8] {
            let method = ExponentialAdams::new(order, lambda).expect("valid");
            let reference = move |c: &Case<'_>| reference::exponential_adams(c, order, lambda);
            add(format!("exponential Adams {order} {lambda}"), Box::new(method), Box::new(reference));
        }
        let deis = |variable| Box::new(Deis::new(order, variable).expect("valid"));
        let reference = move |c: &Case<'_>| reference::deis(c, order, &SAME, false);
        add(format!("ρAB {order}"), deis(Extrapolation::Ratio), Box::new(reference));
        let reference = move |c: &Case<'_>| reference::deis(c, order, &|r| -r.ln(), true);
        add(format!("DEIS {order}"), deis(Extrapolation::LogSnr), Box::new(reference));
    }
    for order in 1..=3 {
        let method = DpmSolver::new(order).expect("valid");
        add(
            format!("DPM-Solver-{order}"),
            Box::new(method),
            Box::new(move |c| reference::dpm_solver(c, order)),
        );
        for (variant, bh1) in [(UniPcVariant::Bh1, true), (UniPcVariant::Bh2, false)] {
            let method = UniPc::new(order, variant).expect("valid");
            let reference = move |c: &Case<'_>| reference::unipc(c, order, bh1);
            add(format!("UniPC-{order} {variant:?}"), Box::new(method), Box::new(reference));
        }
    }
    for steps in [1, 3] {
        let method =
            PredictorCorrector::new(ReverseSde::new(1.0).expect("valid"), steps, 0.3).expect("valid");
        let reference = move |c: &Case<'_>| reference::corrected(c, true, steps, 0.3);
        add(format!("predictor-corrector {steps}"), Box::new(method), Box::new(reference));
        let method = AnnealedLangevin::new(steps, 0.3).expect("valid");
        let reference = move |c: &Case<'_>| reference::corrected(c, false, steps, 0.3);
        add(format!("annealed {steps}"), Box::new(method), Box::new(reference));
    }
    for order in 1..=4 {
        let method = Box::new(Deis::new(order, Extrapolation::Time).expect("valid"));
        let reference: Reference = Box::new(move |c| reference::deis(c, order, &time, false));
        members.push(Member { label: format!("tAB {order}"), method, reference, ratios_only: false });
    }
    members
}
