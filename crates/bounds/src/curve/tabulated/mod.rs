//! Curves known at the nodes of a grid.

mod cell;
mod node;
#[cfg(test)]
mod tests;

use numeric::special::{r_minus_1_minus_ln, x_minus_ln_1p};
use numeric::{Error, Estimate, TimeGrid};

use self::cell::{Cell, GAUSS, slopes};
use self::node::{Node, informations, levels};
use super::{Clock, ErrorCurve, Step, quadrature};

/// A curve given by the mean square error at the nodes of a grid: measured, or a known one made cheap.
///
/// # Interpolation
/// Between the nodes $`1/\mathrm{mmse} - η/d`$ is a monotone cubic in $`η = 1/v`$ (Fritsch and Butland's slopes), and
/// from the first node to $`η = 0`$, where $`\mathrm{mmse} = \mathrm{tr}\,\mathrm{Cov}(X_0)`$. That is exact for Gaussian
/// data of covariance $`cI`$, and it keeps the one inequality that ties the curve of a law down,
/// $`-\frac{d}{dη}\mathrm{mmse} = \mathbb{E}\,\mathrm{tr}\,Σ^2 \ge \frac1d \mathrm{mmse}^2`$, that is
///
/// ```math
/// \frac{d}{dη} \frac{1}{\mathrm{mmse}} \ge \frac1d .
/// ```
/// So no term of a tabulated curve is negative but by rounding. For a smooth curve the information's error is of fourth
/// order in the mesh. Mutual information is the integral of what is interpolated, to some 1e-7 of a cell's part or better.
/// Of $`Σ`$ nothing but the trace's mean is known: there is no term for the locally moment-matched scheme, and for a
/// variance by coordinate only if d = 1 ([`Parts`](super::Parts) adds directions up). Clocks below the last node's are
/// not known ([`least_clock`](ErrorCurve::least_clock)).
///
/// # Complexity
/// A value costs O(log n) for n nodes.
///
/// ```
/// use bounds::curve::{ErrorCurve, GaussianCurve, TabulatedCurve};
/// let grid = numeric::TimeGrid::uniform(2.0, 0.1, 4)?;
/// let exact = GaussianCurve::new(vec![0.5; 3], 0.0)?;
/// let table = TabulatedCurve::of(&exact, &grid)?;
/// for tau in [2.5, 1.7, 0.3, 0.1] {
///     assert!((table.mmse(tau) / exact.mmse(tau) - 1.0).abs() < 1e-12);
///     assert!((table.mutual_information(tau) / exact.mutual_information(tau) - 1.0).abs() < 1e-12);
/// }
/// # Ok::<(), numeric::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct TabulatedCurve {
    dim: usize,
    second_moment: f64,
    least_clock: f64,
    /// Ascending, from 0.
    eta: Vec<f64>,
    /// From each node on, the last left out.
    cells: Vec<Cell>,
}

impl TabulatedCurve {
    /// From the mean square errors at the nodes of a grid that decreases in the clock, at $`η = 0`$ the
    /// `total_variance`, and the second moment of the data.
    ///
    /// # Errors
    /// [`Error::Shape`] unless there is an error for each node; [`Error::Domain`] for `dim` = 0, moments that are
    /// negative or not finite, and a second moment below the variance; [`Error::Entry`] for an error that is negative or
    /// not finite, or with which the curve is that of no law: one that exceeds by more than 1e-9 of itself what the
    /// inequality above leaves of the one before; the grid's as for
    /// [`discretization`](crate::terms::discretization).
    pub fn new(
        dim: usize,
        second_moment: f64,
        total_variance: f64,
        grid: &TimeGrid,
        mmse: &[f64],
    ) -> Result<TabulatedCurve, Error> {
        let eta = checked_eta(dim, second_moment, total_variance, grid, mmse.len())?;
        let expected = "a finite number of at least 0";
        Error::entries("mmse", mmse.iter().copied(), expected, |e| e >= 0.0 && e.is_finite())?;
        let inverse: Vec<f64> = [total_variance].iter().chain(mmse).map(|e| e.recip()).collect();
        for i in 1..inverse.len() {
            let least = inverse[i - 1] + (eta[i] - eta[i - 1]) / dim as f64;
            if inverse[i] < least * (1.0 - 1e-9) {
                let expected = "the mean square error of a law: d/dη (1/mmse) ≥ 1/d";
                return Err(Error::Entry { parameter: "mmse", index: i - 1, value: mmse[i - 1], expected });
            }
        }
        Ok(TabulatedCurve::from_inverse(dim, second_moment, grid, eta, inverse))
    }

    /// A known curve at the nodes of the grid.
    ///
    /// # Errors
    /// Those of [`new`](Self::new).
    pub fn of(curve: &dyn ErrorCurve, grid: &TimeGrid) -> Result<TabulatedCurve, Error> {
        let mmse: Vec<f64> = grid.nodes().iter().map(|node| curve.mmse(node.t)).collect();
        TabulatedCurve::new(curve.dim(), curve.second_moment(), curve.total_variance(), grid, &mmse)
    }

    /// The curve nearest to measured errors: least squares in $`1/\mathrm{mmse}`$ under the inequality above.
    ///
    /// With $`y_i = 1/e_i - η_i/d`$ that asks for a non-decreasing sequence of at least
    /// $`1/\mathrm{tr}\,\mathrm{Cov}(X_0)`$: isotonic regression by pooling adjacent violators, with the weights
    /// $`e_i^4/s_i^2`$ that the standard errors $`s_i`$ give to $`1/e_i`$; one below 1e-12 of its error counts as that, the
    /// rounding of a mean.
    ///
    /// # Errors
    /// Those of [`new`](Self::new), but errors must be greater than 0 and may break the inequality;
    /// [`Error::Entry`] for a standard error that is negative or not finite.
    ///
    /// ```
    /// use bounds::curve::{ErrorCurve, TabulatedCurve};
    /// use numeric::Estimate;
    /// let grid = numeric::TimeGrid::from_nodes(vec![0.5 * 3f64.ln(), 0.5 * 2f64.ln()])?; // η = ½, 1
    /// let measured = [0.5, 0.55].map(|mean| Estimate { mean, std_error: 0.01, n: 100 });
    /// let curve = TabulatedCurve::fitted(1, 1.0, 1.0, &grid, &measured)?;
    /// // An error cannot rise on the way to the data; both are moved.
    /// assert!(curve.mmse(grid.last().t) < curve.mmse(grid.first().t));
    /// # Ok::<(), numeric::Error>(())
    /// ```
    pub fn fitted(
        dim: usize,
        second_moment: f64,
        total_variance: f64,
        grid: &TimeGrid,
        measured: &[Estimate],
    ) -> Result<TabulatedCurve, Error> {
        let eta = checked_eta(dim, second_moment, total_variance, grid, measured.len())?;
        let means = measured.iter().map(|e| e.mean);
        Error::entries("measured", means, "a finite number greater than 0", |e| e > 0.0 && e.is_finite())?;
        let spreads = measured.iter().map(|e| e.std_error);
        let expected = "a finite number of at least 0";
        Error::entries("measured", spreads, expected, |s| s >= 0.0 && s.is_finite())?;
        let d = dim as f64;
        let points = measured.iter().zip(&eta[1..]).map(|(e, eta)| {
            let spread = (e.std_error / e.mean).max(1e-12);
            (e.mean.recip() - eta / d, (e.mean / spread).powi(2))
        });
        let least = total_variance.recip();
        let mut inverse = vec![least];
        inverse.extend(isotonic(points).iter().zip(&eta[1..]).map(|(y, eta)| y.max(least) + eta / d));
        Ok(TabulatedCurve::from_inverse(dim, second_moment, grid, eta, inverse))
    }

    fn from_inverse(
        dim: usize,
        second_moment: f64,
        grid: &TimeGrid,
        eta: Vec<f64>,
        inverse: Vec<f64>,
    ) -> TabulatedCurve {
        let slopes = slopes(&eta, &inverse, 1.0 / dim as f64);
        let mut information = 0.0;
        let cells = (0..eta.len() - 1)
            .map(|i| {
                let (width, rise) = (eta[i + 1] - eta[i], inverse[i + 1] - inverse[i]);
                let (start, end, mean) = (slopes[i], slopes[i + 1], rise / width);
                // Where the error is 0 at the second node it is 0 from the first on.
                let polynomial = if mean.is_finite() {
                    let (start, end) = (start * width, end * width);
                    [inverse[i], start, 3.0 * rise - 2.0 * start - end, start + end - 2.0 * rise]
                } else {
                    [inverse[i], f64::INFINITY, 0.0, 0.0]
                };
                let cell = Cell { inverse: polynomial, width, scale: width.recip(), information };
                information += cell.gain(0.0, 1.0);
                cell
            })
            .collect();
        TabulatedCurve { dim, second_moment, least_clock: grid.last().t, eta, cells }
    }

    fn node(&self, tau: f64) -> Node<'_> {
        let mut v = [0.0];
        levels(&[tau], &mut v);
        let eta = v[0].recip();
        self.node_in(self.cell_of(eta), v[0], eta)
    }

    fn cell_of(&self, eta: f64) -> usize {
        (self.eta.partition_point(|&node| node <= eta) - 1).min(self.cells.len() - 1)
    }

    /// At decreasing clocks.
    fn nodes(&self, clocks: &[f64]) -> Vec<Node<'_>> {
        debug_assert!(clocks.is_sorted_by(|before, after| before >= after), "decreasing clocks");
        let mut v = vec![0.0; clocks.len()];
        levels(clocks, &mut v);
        let (mut i, last) = (v.first().map_or(0, |v| self.cell_of(v.recip())), self.cells.len() - 1);
        let node = |v: f64| {
            let eta = v.recip();
            // They come in order: the cell is here or a little further on.
            while i < last && self.eta[i + 1] <= eta {
                i += 1;
            }
            self.node_in(i, v, eta)
        };
        v.into_iter().map(node).collect()
    }

    fn node_in(&self, i: usize, v: f64, eta: f64) -> Node<'_> {
        let cell = &self.cells[i];
        let t = (eta - self.eta[i]) * cell.scale;
        let inverse = cell.inverse(t);
        Node { v, eta, cell, t, inverse, mmse: inverse.recip() }
    }

    /// [`prior_step`](ErrorCurve::prior_step) over a `rise` of η.
    fn step_between(&self, before: &Node<'_>, after: &Node<'_>, gained: f64, rise: f64, prior: f64) -> f64 {
        let linear = 0.5 * rise * before.mmse;
        if prior == 0.0 {
            let cell = before.cell;
            let part = rise * cell.scale;
            let growth = cell.rise(before.t, part) * before.mmse;
            if !std::ptr::eq(cell, after.cell) || !(growth < 0.1) {
                return linear - gained;
            }
            // A short step within a cell: nothing cancels in the mean of 1/r(t) − 1/r(t + s).
            let here = before.inverse;
            let mean: f64 = (GAUSS.iter())
                .map(|&(share, w)| {
                    let higher = cell.rise(before.t, share * part);
                    w * higher / (here * (here + higher))
                })
                .sum();
            return 0.5 * rise * mean;
        }
        // The step multiplies the precision of the prior by a: the cost is ½ d (log a − 1 + 1/a) + ½ Δη mmse/a less
        // the information gained.
        let ratio = if prior == f64::INFINITY {
            after.v / before.v
        } else {
            after.v / before.v * ((before.v + prior) / (after.v + prior))
        };
        0.5 * self.dim as f64 * r_minus_1_minus_ln(ratio) + linear * ratio - gained
    }

    /// $`\mathrm{tr}\,\mathrm{Cov}(X_0) - \mathrm{mmse}`$, in the first cell without cancellation.
    fn variance_lost(&self, cell: &Cell, t: f64) -> f64 {
        let (start, here) = (self.cells[0].inverse[0], cell.inverse(t));
        if start == f64::INFINITY || t == 0.0 && cell.inverse[0] == start {
            return 0.0;
        }
        if here == f64::INFINITY {
            return start.recip();
        }
        (cell.inverse[0] - start + cell.rise(0.0, t)) / (start * here)
    }

    fn score_square_at(&self, node: &Node<'_>) -> f64 {
        (1.0 + node.v) * node.eta * (self.dim as f64 - node.mmse * node.eta)
    }

    /// $`I - 2d + M`$, with what is of order η cancelled.
    fn relative_score_square_at(&self, node: &Node<'_>) -> f64 {
        let mean_square = self.second_moment - self.total_variance();
        let shrunk = self.variance_lost(node.cell, node.t) + mean_square;
        node.kept() * (shrunk + node.eta * (self.dim as f64 - (2.0 + node.eta) * node.mmse))
    }
}

/// The η of the grid, behind 0.
fn checked_eta(
    dim: usize,
    second_moment: f64,
    total_variance: f64,
    grid: &TimeGrid,
    nodes: usize,
) -> Result<Vec<f64>, Error> {
    Error::domain(dim > 0, "dim", dim as f64, "at least 1")?;
    let ok = total_variance >= 0.0 && total_variance.is_finite();
    Error::domain(ok, "total_variance", total_variance, "a finite number of at least 0")?;
    let ok = second_moment >= total_variance * (1.0 - 1e-12) && second_moment.is_finite();
    Error::domain(ok, "second_moment", second_moment, "a finite number of at least the total variance")?;
    Clock::new(grid)?;
    Error::shape("mmse", &[grid.nodes().len()], &[nodes])?;
    let clocks: Vec<f64> = grid.nodes().iter().map(|node| node.t).collect();
    let mut v = vec![0.0; clocks.len()];
    levels(&clocks, &mut v);
    Ok([0.0].into_iter().chain(v.into_iter().map(f64::recip)).collect())
}

/// Weighted isotonic regression of (value, weight), non-decreasing, by pooling adjacent violators.
pub(crate) fn isotonic(points: impl IntoIterator<Item = (f64, f64)>) -> Vec<f64> {
    let mut pools: Vec<(f64, f64, usize)> = Vec::new();
    for (value, weight) in points {
        let mut pool = (value, weight, 1);
        while let Some((before, mass, length)) = pools.pop_if(|last| last.0 > pool.0) {
            let total = mass + pool.1;
            pool = (before + (pool.0 - before) * (pool.1 / total), total, length + pool.2);
        }
        pools.push(pool);
    }
    pools.iter().flat_map(|&(value, _, length)| std::iter::repeat_n(value, length)).collect()
}

impl ErrorCurve for TabulatedCurve {
    fn dim(&self) -> usize {
        self.dim
    }

    fn second_moment(&self) -> f64 {
        self.second_moment
    }

    fn total_variance(&self) -> f64 {
        self.cells[0].inverse[0].recip()
    }

    fn least_clock(&self) -> f64 {
        self.least_clock
    }

    fn is_exact(&self) -> bool {
        false
    }

    fn mmse(&self, tau: f64) -> f64 {
        self.node(tau).mmse
    }

    fn score_square(&self, tau: f64) -> f64 {
        self.score_square_at(&self.node(tau))
    }

    fn relative_score_square(&self, tau: f64) -> f64 {
        self.relative_score_square_at(&self.node(tau))
    }

    fn score_squares(&self, clocks: &[f64]) -> Vec<f64> {
        self.nodes(clocks).iter().map(|node| self.score_square_at(node)).collect()
    }

    fn relative_score_squares(&self, clocks: &[f64]) -> Vec<f64> {
        self.nodes(clocks).iter().map(|node| self.relative_score_square_at(node)).collect()
    }

    fn mutual_information(&self, tau: f64) -> f64 {
        self.node(tau).information()
    }

    fn relative_entropy(&self, tau: f64) -> f64 {
        let node = self.node(tau);
        let (kept, cell) = (node.kept(), node.cell);
        let noise = self.dim as f64 * x_minus_ln_1p(-kept);
        let variance = self.total_variance();
        if !std::ptr::eq(cell, &self.cells[0]) {
            return 0.5 * (kept * self.second_moment + noise) - node.information();
        }
        // In much noise e^{-2τ} tr Cov/2 and MI cancel: ½∫(tr Cov − mmse) dη less ½ tr Cov (η − e^{-2τ}) is left.
        let lost = cell.width * quadrature::panel(0.0, node.t, &mut |t| self.variance_lost(cell, t));
        0.5 * (kept * (self.second_moment - variance) + noise + lost - variance * node.eta * kept)
    }

    fn covariance_gap(&self, tau: f64, prior: f64) -> f64 {
        let (node, d) = (self.node(tau), self.dim as f64);
        let fitted = if prior == f64::INFINITY { 1.0 } else { prior / (prior + node.v) };
        let relative = node.mmse * node.eta;
        let squares = if relative == 0.0 { 0.0 } else { node.cell.slope(node.t) * relative * relative };
        squares - 2.0 * fitted * relative + d * fitted * fitted
    }

    fn log_det_defect(&self, _: f64, _: f64) -> Option<f64> {
        None
    }

    fn coordinate_mmse(&self, tau: f64) -> Option<Vec<f64>> {
        (self.dim == 1).then(|| vec![self.mmse(tau)])
    }

    fn coordinate_prior_step(&self, from: f64, to: f64, prior: &[f64]) -> Option<f64> {
        assert_eq!(prior.len(), self.dim, "a prior variance for each coordinate");
        (self.dim == 1).then(|| self.prior_step(from, to, prior[0]))
    }

    fn prior_step(&self, from: f64, to: f64, prior: f64) -> f64 {
        let (before, after) = (self.node(from), self.node(to));
        let gained = after.information() - before.information();
        self.step_between(&before, &after, gained, Step::new(from, to).eta_rise(), prior)
    }

    fn prior_steps(&self, clocks: &[f64], prior: f64) -> Vec<f64> {
        let nodes = self.nodes(clocks);
        let information = informations(&nodes);
        let steps = nodes.windows(2).zip(information.windows(2));
        steps
            .map(|(nodes, information)| {
                let (before, after) = (&nodes[0], &nodes[1]);
                let gained = information[1] - information[0];
                self.step_between(before, after, gained, after.eta - before.eta, prior)
            })
            .collect()
    }
}
