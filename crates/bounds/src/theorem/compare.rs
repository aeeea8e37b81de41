//! All bounds that apply to a problem, side by side.

use std::fmt;

use numeric::{Error, TimeGrid};

use super::table::{Comparison, Row, START};
use super::{
    conforti_bound, denoiser_bound, discrete_denoiser_bound, finite_fisher_bound, fisher_bound, grid_bound,
    kappa_bound, lipschitz_bound, nonnegative, paper_kappa_bound, paper_route_bound, relative_score_bound,
    sharp_grid_bound,
};
use crate::curve::{Clock, ErrorCurve};
use crate::initial::{log_sobolev_decay, moment_initial_bound};
use crate::terms::{Scheme, discretization};

/// What is known of the data, and the samplers in question. What is not known is `None`.
///
/// Each number may be an upper bound of what it names. A curve gives its moments, which then need not be said.
#[derive(Clone)]
pub struct Problem<'a> {
    /// Dimension d of the data.
    pub dim: usize,
    /// The samplers, in any order.
    pub schemes: Vec<Scheme>,
    /// $`\mathbb{E}\lvert X_0\rvert^2`$.
    pub second_moment: Option<f64>,
    /// $`\mathrm{tr}\,\mathrm{Cov}(X_0)`$.
    pub total_variance: Option<f64>,
    /// The error curve of the data.
    pub curve: Option<&'a dyn ErrorCurve>,
    /// A Lipschitz constant of all scores $`∇\log q_τ`$ on the grid.
    pub lipschitz: Option<f64>,
    /// The Fisher information $`\mathbb{E}\lvert ∇\log q_0\rvert^2`$ of the data.
    pub fisher: Option<f64>,
    /// $`\mathrm{FI}(q_0 \,|\, γ) = \mathbb{E}\lvert ∇\log(q_0/γ)\rvert^2`$.
    pub relative_fisher: Option<f64>,
    /// $`\mathrm{KL}(q_0 \,\|\, γ)`$.
    pub relative_entropy: Option<f64>,
    /// The discrete entropy of the data, in nats, if they are discrete.
    pub entropy: Option<f64>,
}

impl<'a> Problem<'a> {
    /// Of data of which only the dimension is known.
    #[must_use]
    pub fn new(dim: usize, schemes: Vec<Scheme>) -> Problem<'a> {
        Problem {
            dim,
            schemes,
            second_moment: None,
            total_variance: None,
            curve: None,
            lipschitz: None,
            fisher: None,
            relative_fisher: None,
            relative_entropy: None,
            entropy: None,
        }
    }
}

impl fmt::Debug for Problem<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Of a curve only that it is there: the trait asks for no more.
        f.debug_struct("Problem")
            .field("dim", &self.dim)
            .field("schemes", &self.schemes)
            .field("second_moment", &self.second_moment)
            .field("total_variance", &self.total_variance)
            .field("curve", &self.curve.is_some())
            .field("lipschitz", &self.lipschitz)
            .field("fisher", &self.fisher)
            .field("relative_fisher", &self.relative_fisher)
            .field("relative_entropy", &self.relative_entropy)
            .field("entropy", &self.entropy)
            .finish()
    }
}

/// The bounds that apply to a problem on a grid, side by side.
///
/// # Statement
/// For each scheme, every function of [`theorem`](super) and [`terms`](crate::terms) whose assumptions the
/// problem states, and the [initialisation terms](crate::initial): with one row of each,
/// ```math
/// \mathrm{KL}(q_δ \,\|\, p_N) \le \text{start} + \text{row of the scheme} .
/// ```
/// A row is left out where something it needs is not known, where the grid ends at 0 and the bound does not allow it, or
/// where its value is not finite. The order of the rows, by letter and name, says nothing: among each other bounds are
/// ordered only where the page of a function proves it.
///
/// # Assumptions
/// Exact scores; those of each function, as far as the problem claims them.
///
/// # Errors
/// [`Error::Shape`] if the curve is of another dimension, or without a scheme; [`Error::Domain`] for numbers that are
/// negative or not finite, and for two schemes with a variance for each coordinate, which would be rows of one letter;
/// those of [`kappa`](super::kappa) for the grid, but the last clock may be 0, and those of
/// [`discretization`] with the curve but [`Error::Unsupported`].
///
/// # Examples
/// The Gaussian with the variances ½, 1, 3/2, on the grid of Benton and others (2024): 20 uniform steps down to 1, then
/// 20 geometric ones.
/// ```
/// use bounds::curve::GaussianCurve;
/// use bounds::terms::Scheme;
/// use bounds::theorem::{Problem, compare};
/// let ramp = GaussianCurve::new(vec![0.5, 1.0, 1.5], 0.0)?;
/// let uniform = (0..20).map(|k| 3.0 - 0.1 * f64::from(k));
/// let geometric = (0..=20).map(|k| 0.01f64.powf(f64::from(k) / 20.0));
/// let grid = numeric::TimeGrid::from_nodes(uniform.chain(geometric).collect())?;
///
/// let schemes = vec![Scheme::ExponentialIntegrator, Scheme::FrozenDenoiser];
/// let problem = Problem { curve: Some(&ramp), ..Problem::new(3, schemes) };
/// let comparison = compare(&problem, &grid)?;
/// println!("{comparison}");
///
/// let total = |scheme, name| comparison.get(scheme, name).expect("a row").total;
/// for (scheme, name, expected) in [
///     ("start", "relative_entropy", 7.68027134031e-07),
///     ("S", "discretization", 9.28096207341e-01),
///     ("S", "fisher_bound", 1.97833779438),
///     ("S", "paper_route_bound", 2.95883367975),
///     ("S", "sharp_grid_bound", 4.47211915850),
///     ("S", "grid_bound", 1.04933208908e+01),
/// ] {
///     assert!((total(scheme, name) / expected - 1.0).abs() < 1e-9, "{scheme} {name}");
/// }
/// // The exact term is the least, here and always; between the others there is no theorem.
/// assert_eq!(comparison.least("S").expect("a row").name, "discretization");
/// assert!(comparison.get("S", "lipschitz_bound").is_none()); // no constant was given
/// # Ok::<(), numeric::Error>(())
/// ```
pub fn compare(problem: &Problem<'_>, grid: &TimeGrid) -> Result<Comparison, Error> {
    let clock = Clock::to_data(grid)?;
    super::dimension(problem.dim)?;
    if problem.schemes.is_empty() {
        return Err(Error::Shape { parameter: "schemes", expected: vec![1], found: vec![0] });
    }
    let by_coordinate = problem.schemes.iter().filter(|s| matches!(s, Scheme::MomentMatched(_))).count();
    let expected = "at most one with a variance for each coordinate";
    Error::domain(by_coordinate <= 1, "schemes", by_coordinate as f64, expected)?;
    for (parameter, value) in [
        ("second_moment", problem.second_moment),
        ("total_variance", problem.total_variance),
        ("lipschitz", problem.lipschitz),
        ("fisher", problem.fisher),
        ("relative_fisher", problem.relative_fisher),
        ("relative_entropy", problem.relative_entropy),
        ("entropy", problem.entropy),
    ] {
        value.map_or(Ok(()), |value| nonnegative(parameter, value))?;
    }
    let mut known = problem.clone();
    if let Some(curve) = known.curve {
        Error::shape("curve", &[known.dim], &[curve.dim()])?;
        known.second_moment.get_or_insert(curve.second_moment());
        known.total_variance.get_or_insert(curve.total_variance());
    }
    let mut rows = Rows(Vec::new());
    rows.of_start(&known, clock.start())?;
    for scheme in &known.schemes {
        rows.of_scheme(scheme, &known, grid, clock.end() > 0.0)?;
    }
    rows.0.retain(|row| row.total.is_finite());
    let key = |row: &Row| (row.scheme != START, row.scheme.clone(), row.name);
    rows.0.sort_by_key(key);
    rows.0.dedup();
    Ok(Comparison { rows: rows.0 })
}

/// The letter of the tables.
fn letter(scheme: &Scheme) -> String {
    match scheme {
        Scheme::ExponentialIntegrator => "S".into(),
        Scheme::FrozenScore => "V".into(),
        Scheme::FrozenRelativeScore => "R".into(),
        Scheme::FrozenDenoiser => "D".into(),
        Scheme::GaussianPrior(c) => format!("G_{c}"),
        Scheme::MomentMatched(_) => "G_C".into(),
        Scheme::EulerMaruyama => "EM".into(),
        Scheme::LocallyMomentMatched => "L".into(),
    }
}

struct Rows(Vec<Row>);

impl Rows {
    /// A row with the sum of its terms.
    fn push(&mut self, scheme: &str, name: &'static str, needs: &'static str, terms: &[(&'static str, f64)]) {
        let total = terms.iter().map(|term| term.1).sum();
        self.0.push(Row { scheme: scheme.into(), name, terms: terms.to_vec(), total, needs });
    }

    fn of_start(&mut self, known: &Problem<'_>, horizon: f64) -> Result<(), Error> {
        if let Some(curve) = known.curve {
            let exact = curve.relative_entropy(horizon);
            self.push(START, "relative_entropy", "the curve; exact", &[("initial", exact)]);
        }
        if let Some(second_moment) = known.second_moment {
            let bound = moment_initial_bound(known.dim, second_moment, horizon)?;
            self.push(START, "moment_initial_bound", "second moment", &[("initial", bound)]);
        }
        if let Some(relative_entropy) = known.relative_entropy {
            let bound = log_sobolev_decay(relative_entropy, horizon)?;
            self.push(START, "log_sobolev_decay", "KL of the data to γ", &[("initial", bound)]);
        }
        Ok(())
    }

    fn of_scheme(
        &mut self,
        scheme: &Scheme,
        known: &Problem<'_>,
        grid: &TimeGrid,
        stops_early: bool,
    ) -> Result<(), Error> {
        let of = letter(scheme);
        if let (Some(curve), true) = (known.curve, stops_early) {
            match discretization(scheme, curve, grid) {
                Ok(exact) => self.push(&of, "discretization", "the curve; exact", &[("path", exact)]),
                // The curve does not know what the scheme asks for: the bounds that need less may still apply.
                Err(Error::Unsupported { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        match scheme {
            Scheme::ExponentialIntegrator => {
                self.of_frozen_score(&of, true, known, grid, stops_early)?;
                if stops_early {
                    self.of_paper(&of, known, grid)?;
                }
            }
            Scheme::FrozenScore => self.of_frozen_score(&of, false, known, grid, stops_early)?,
            Scheme::FrozenDenoiser if stops_early => self.of_denoiser(&of, known, grid)?,
            Scheme::FrozenRelativeScore => self.of_relative_score(&of, known, grid)?,
            _ => {}
        }
        Ok(())
    }

    fn of_frozen_score(
        &mut self,
        of: &str,
        integrator: bool,
        known: &Problem<'_>,
        grid: &TimeGrid,
        stops_early: bool,
    ) -> Result<(), Error> {
        let mut bounds = Vec::new();
        if stops_early {
            bounds.push(("grid_bound", "dimension", grid_bound(known.dim, grid)?));
            bounds.push(("sharp_grid_bound", "dimension", sharp_grid_bound(known.dim, grid)?));
            if let Some(curve) = known.curve {
                bounds.push(("fisher_bound", "the curve", fisher_bound(curve, grid)?));
            }
        } else if let Some(fisher) = known.fisher {
            let bound = finite_fisher_bound(known.dim, fisher, grid)?;
            bounds.push(("finite_fisher_bound", "Fisher information", bound));
        }
        if let Some(lipschitz) = known.lipschitz {
            let bound = lipschitz_bound(known.dim, lipschitz, grid)?;
            bounds.push(("lipschitz_bound", "Lipschitz constant of all scores", bound));
        }
        for (name, needs, bound) in bounds {
            let terms = [("variance clock", bound.variance_clock), ("integrator", bound.integrator)];
            self.push(of, name, needs, if integrator { &terms } else { &terms[..1] });
        }
        Ok(())
    }

    fn of_paper(&mut self, of: &str, known: &Problem<'_>, grid: &TimeGrid) -> Result<(), Error> {
        let bound = kappa_bound(known.dim, 0.0, grid)?;
        let terms = [("variance clock", bound.variance_clock), ("integrator", bound.integrator)];
        self.push(of, "kappa_bound", "dimension", &terms);
        if let Some(curve) = known.curve {
            let bound = paper_route_bound(curve, grid)?;
            let terms = [("steps", bound.steps), ("covariance", bound.covariance)];
            self.push(of, "paper_route_bound", "the curve", &terms);
        }
        if let Some(total_variance) = known.total_variance {
            let bound = paper_kappa_bound(known.dim, total_variance, grid)?;
            let terms = [("steps", bound.steps), ("covariance", bound.covariance)];
            self.push(of, "paper_kappa_bound", "total variance", &terms);
        }
        Ok(())
    }

    fn of_denoiser(&mut self, of: &str, known: &Problem<'_>, grid: &TimeGrid) -> Result<(), Error> {
        if let Some(curve) = known.curve {
            let bound = denoiser_bound(curve, grid)?;
            let terms = [("ends", bound.ends), ("information", bound.information)];
            self.push(of, "denoiser_bound", "the curve", &terms);
        }
        if let (Some(total_variance), Some(entropy)) = (known.total_variance, known.entropy) {
            let bound = discrete_denoiser_bound(total_variance, entropy, grid)?;
            let terms = [("ends", bound.ends), ("information", bound.information)];
            self.push(of, "discrete_denoiser_bound", "total variance and discrete entropy", &terms);
        }
        Ok(())
    }

    fn of_relative_score(&mut self, of: &str, known: &Problem<'_>, grid: &TimeGrid) -> Result<(), Error> {
        if let Some(curve) = known.curve {
            let bound = relative_score_bound(curve, grid)?;
            let (name, needs, total) = ("relative_score_bound", "the curve", bound.total());
            let terms = vec![("riemann", bound.riemann), ("or longest step", bound.longest_step)];
            self.0.push(Row { scheme: of.into(), name, terms, total, needs });
        }
        if let Some(fisher) = known.relative_fisher {
            // Its initial term is a row of its own.
            let bound = conforti_bound(0.0, fisher, grid)?;
            let needs = "Fisher information relative to γ";
            self.push(of, "conforti_bound", needs, &[("discretization", bound.discretization)]);
        }
        Ok(())
    }
}
