//! The table and report.json.

use bounds::{Certificate, NoTheorem};
use numeric::Estimate;
use serde::Serialize;

/// Level of the one-sided interval whose upper end is the total of a certificate.
const LEVEL: f64 = 0.999;

#[derive(Serialize)]
pub(crate) struct Report<'a> {
    pub(crate) dataset: String,
    pub(crate) seed: u64,
    pub(crate) train_loglik: f64,
    pub(crate) heldout_loglik: f64,
    pub(crate) exact_sliced_w2_model: f64,
    pub(crate) exact_sliced_w2_heldout: f64,
    pub(crate) samplers: &'a [SamplerRow],
}

/// What exact draws of the mixture themselves have for a distance.
pub(crate) struct Floors {
    pub(crate) model: Estimate,
    pub(crate) heldout: Estimate,
}

#[derive(Serialize)]
pub(crate) struct SamplerRow {
    pub(crate) name: String,
    pub(crate) grid: &'static str,
    pub(crate) steps: usize,
    pub(crate) model_calls: usize,
    pub(crate) seconds: Option<f64>,
    pub(crate) sliced_w2_model: f64,
    pub(crate) sliced_w2_model_se: f64,
    pub(crate) sliced_w2_heldout: f64,
    pub(crate) sliced_w2_heldout_se: f64,
    pub(crate) kl_certificate: Option<KlCertificate>,
    pub(crate) why: String,
}

#[derive(Serialize)]
pub(crate) struct KlCertificate {
    pub(crate) statement: &'static str,
    pub(crate) reference: &'static str,
    pub(crate) initialization: f64,
    pub(crate) discretization: f64,
    pub(crate) discretization_se: f64,
    pub(crate) score_error: f64,
    pub(crate) total: f64,
}

impl SamplerRow {
    pub(crate) fn new(
        name: &str,
        steps: usize,
        model_calls: usize,
        seconds: Option<f64>,
        (to_model, to_heldout): (Estimate, Estimate),
        certificate: Result<Certificate, NoTheorem>,
    ) -> Result<SamplerRow, numeric::Error> {
        let (kl_certificate, why) = match certificate {
            Err(NoTheorem { reason }) => (None, reason.to_owned()),
            Ok(certificate) => {
                let certificate = KlCertificate {
                    statement: "strict_kl",
                    reference: "fitted mixture at delta",
                    initialization: certificate.initialization.nats,
                    discretization: certificate.discretization.nats,
                    discretization_se: certificate.discretization.std_error(),
                    score_error: certificate.score.nats,
                    total: certificate.upper(LEVEL)?,
                };
                let why = "data processing and the chain rule for the exact model; discretization measured on \
                           forward paths, total at the upper end of a 99.9 % interval";
                (Some(certificate), why.to_owned())
            }
        };
        Ok(SamplerRow {
            name: name.to_owned(),
            grid: "geometric_v",
            steps,
            model_calls,
            seconds,
            sliced_w2_model: to_model.mean,
            sliced_w2_model_se: to_model.std_error,
            sliced_w2_heldout: to_heldout.mean,
            sliced_w2_heldout_se: to_heldout.std_error,
            kl_certificate,
            why,
        })
    }
}

pub(crate) fn print_table(rows: &[SamplerRow], floors: &Floors) {
    println!(
        "\n{:<28}{:>6}{:>7}{:>9}  {:>26}  {:>17}{:>17}",
        "sampler", "steps", "calls", "seconds", "KL certified (nats)", "W2 to mixture", "W2 to held-out"
    );
    for row in rows {
        let seconds = row.seconds.map_or("resumed".to_owned(), |s| format!("{s:.2}"));
        let certificate = row.kl_certificate.as_ref().map_or("no theorem".to_owned(), |c| {
            format!("≤ {:.4} ({:.4} ± {:.4})", c.total, c.discretization, c.discretization_se)
        });
        println!(
            "{:<28}{:>6}{:>7}{seconds:>9}  {certificate:>26}  {:>8.4} ± {:.4}{:>8.4} ± {:.4}",
            row.name,
            row.steps,
            row.model_calls,
            row.sliced_w2_model,
            row.sliced_w2_model_se,
            row.sliced_w2_heldout,
            row.sliced_w2_heldout_se,
        );
    }
    println!(
        "{:<28}{:>6}{:>7}{:>9}  {:>26}  {:>8.4} ± {:.4}{:>8.4} ± {:.4}\n",
        "exact draws of the mixture",
        "",
        "",
        "",
        "0",
        floors.model.mean,
        floors.model.std_error,
        floors.heldout.mean,
        floors.heldout.std_error
    );
}
