//! Error curves of mixtures in many dimensions, measured direction by direction.

use numeric::estimate::{MeanAccumulator, Moments};
use numeric::ndarray::{Array2, ArrayRef2};
use numeric::{Batch, Control, Error, PosteriorCovariance, TimeGrid, Times, VectorField, run_blocks};
use sde_core::{Mixture, Ou};

use crate::Paths;
use crate::curve::{Clock, Parts, TabulatedCurve};

/// The error curve of a mixture, measured at the nodes of a grid along orthonormal `directions`, one per row, `(d, d)`: one
/// [`TabulatedCurve`] of dimension 1 for each.
///
/// # Method
/// At each node the posterior covariance Σ is averaged over `paths.count` draws of $`X_τ`$, and the mean of
/// $`p^⊤ Σ p`$ is taken for each direction p; the curve is the nearest that a law can have
/// ([`TabulatedCurve::fitted`]). The same noise serves at all nodes, so that errors of neighbours move together and their
/// differences, which grids are planned by, are the more accurate. In the principal directions of the data this is what
/// [`Scheme::MomentMatched`](crate::terms::Scheme::MomentMatched) needs.
///
/// It is for planning: a term that is computed from the curve has an error of order $`n^{-1/2}`$ and a bias towards larger
/// terms, as the fit takes out what is below zero. What the planned run costs is measured without bias by
/// [`certify`](crate::certify).
///
/// # Complexity
/// One posterior covariance for each draw and node: $`O(k d^2)`$ for k components that matter there.
///
/// # Errors
/// [`Error::Domain`] for fewer than 2 draws and a grid that is not one of clocks above 0; [`Error::Shape`] for directions that are
/// not `(d, d)`, [`Error::Entry`] for ones that are not orthonormal to 1e-9; [`Error::Entry`] where a direction has no
/// variance at all; [`Error::Cancelled`].
///
/// # Panics
/// Never: the arrays are made here.
///
/// ```
/// use bounds::Paths;
/// use bounds::curve::{ErrorCurve, GaussianCurve};
/// use bounds::plan::mixture_curve;
/// use numeric::{Noise, ndarray::array};
/// use sde_core::{Covariance, Mixture, grid};
/// # fn main() -> Result<(), numeric::Error> {
/// let target = Mixture::gaussian(array![0.0, 0.0], Covariance::Diagonal(array![4.0, 1.0]))?;
/// let mesh = grid::geometric_v(3.0, 0.1, 10)?;
/// let paths = Paths { count: 10, noise: Noise::new(1) };
/// let curve = mixture_curve(&target, &array![[1.0, 0.0], [0.0, 1.0]], &mesh, paths, Default::default())?;
/// // For Gaussian data the posterior covariance does not depend on the draw.
/// let exact = GaussianCurve::new(vec![4.0, 1.0], 0.0)?;
/// assert!((curve.mmse(0.5) / exact.mmse(0.5) - 1.0).abs() < 1e-9);
/// # Ok(()) }
/// ```
pub fn mixture_curve(
    target: &Mixture,
    directions: &ArrayRef2<f64>,
    grid: &TimeGrid,
    paths: Paths,
    control: Control<'_>,
) -> Result<Parts<TabulatedCurve>, Error> {
    let d = target.dim();
    Error::domain(paths.count >= 2, "paths.count", paths.count as f64, "at least 2, for a standard error")?;
    Clock::new(grid)?;
    Error::shape("directions", &[d, d], directions.shape())?;
    let gram = directions.dot(&directions.t());
    let off = gram.indexed_iter().map(|((i, j), g)| g - if i == j { 1.0 } else { 0.0 });
    Error::entries("directions", off, "orthonormal rows", |g| g.abs() <= 1e-9)?;

    let field = target.denoiser::<f64, _>(Ou).field;
    let nodes = grid.nodes();
    let blocks = run_blocks(0..paths.count, field.batching(), control, |rows, scratch| {
        let numbers: Vec<u64> = rows.clone().collect();
        let (mut mean, mut covariance) =
            (Array2::zeros((numbers.len(), d)), Array2::zeros((numbers.len(), d * d)));
        let mut columns = vec![Vec::with_capacity(numbers.len()); nodes.len() * d];
        for (k, &node) in nodes.iter().enumerate() {
            let level = numeric::Schedule::level(&Ou, node);
            let x = target.sample(rows.clone(), level.alpha, level.sigma, paths.noise)?;
            let batch = Batch::new(&numbers, Times::Same(node), &x);
            field.mean_covariance_into(&batch, &mut mean, &mut covariance, scratch)?;
            for sigma in covariance.rows() {
                let sigma = sigma.to_shape((d, d)).expect("d² entries");
                let turned = directions.dot(&sigma);
                for (i, (p, turned)) in directions.rows().into_iter().zip(turned.rows()).enumerate() {
                    columns[k * d + i].push(Moments::of(p.dot(&turned))?);
                }
            }
        }
        let accumulate = |column| MeanAccumulator::from_rows(rows.start, column);
        columns.into_iter().map(accumulate).collect::<Result<Vec<_>, Error>>()
    })?;
    let mut all = vec![MeanAccumulator::new(); nodes.len() * d];
    for block in blocks {
        for (total, part) in all.iter_mut().zip(block) {
            total.merge(part)?;
        }
    }
    let (mean, covariance) = (target.mean(), target.covariance());
    let parts = directions.rows().into_iter().enumerate().map(|(i, p)| {
        let measured =
            (0..nodes.len()).map(|k| all[k * d + i].estimate()).collect::<Result<Vec<_>, Error>>()?;
        let variance = p.dot(&covariance.dot(&p));
        TabulatedCurve::fitted(1, variance + p.dot(&mean).powi(2), variance, grid, &measured)
    });
    Parts::new(parts.collect::<Result<Vec<_>, Error>>()?)
}
