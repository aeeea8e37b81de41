//! Reversible chains by eigenvalues.

use nalgebra::{DMatrix, SymmetricEigen};
use numeric::Error;
use numeric::ndarray::Array2;

use crate::kernel::{Kernel, check_fits, check_time};
use crate::{Generator, detailed_balance_defect};

/// The eigenvalues and eigenvectors of a reversible, irreducible chain: kernels at many times.
///
/// ```math
/// \sqrt{\pi_i}\, q_{ij} / \sqrt{\pi_j} = U \Lambda U^\top, \qquad
/// P_t(i, j) = \pi_j + \sqrt{\pi_j / \pi_i}\, \sum_{k \ge 1} U_{ik} e^{\lambda_k t} U_{jk}, \qquad
/// 0 = \lambda_0 > \lambda_1 \ge \dots \ge \lambda_{S-1} .
/// ```
///
/// The symmetric matrix has the entries $`\sqrt{q_{ij} q_{ji}}`$, and the eigenvector of 0 is $`\sqrt{\pi}`$, exactly.
///
/// ```
/// use ctmc::{BirthDeath, Spectral};
/// let spectrum = Spectral::new(&BirthDeath::constant(5, 1.0)?)?;
/// assert!((spectrum.gap() - 0.38196601125).abs() < 1e-11);
/// let kernel = spectrum.kernel(1.0)?;
/// assert!((kernel.matrix()[[1, 1]] - 0.337330028479).abs() < 1e-12);
/// assert_eq!(spectrum.kernel(1e6)?.matrix().row(3).to_vec(), [0.2; 5]);
/// # Ok::<(), numeric::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Spectral {
    /// Descending, the first one 0.
    eigenvalues: Vec<f64>,
    /// Of the eigenvalues after the first; columns.
    vectors: Array2<f64>,
    law: Vec<f64>,
}

/// Laws that vary by more than the square of this lose too many digits to the factor √(π_j / π_i).
const MOST_SPREAD: f64 = 1e3;

impl Spectral {
    /// The decomposition of a reversible chain.
    ///
    /// # Errors
    /// Those of [`Generator::stationary`]; [`Error::Domain`] for more than 4096 states; [`Error::Unsupported`] if a pair of states is out of detailed balance by more
    /// than $`10^{-9}`$, or the stationary law varies by more than a factor $`10^6`$ (use [`Kernel::of`] for both);
    /// [`Error::NotConverged`] if the eigenvalues do not converge.
    ///
    /// # Complexity
    /// $`O(S^3)`$, once; each kernel $`O(S^3)`$ in one matrix product.
    pub fn new(generator: &(impl Generator + ?Sized)) -> Result<Spectral, Error> {
        check_fits(generator.states())?;
        let law = generator.stationary()?;
        let refuse = |reason| Err(Error::Unsupported { method: "spectral decomposition", reason });
        let greatest = law.iter().copied().fold(0.0, f64::max);
        let least = law.iter().copied().fold(f64::INFINITY, f64::min);
        if !(greatest <= least * MOST_SPREAD.powi(2)) {
            return refuse("a stationary law that varies by more than a factor 1e6, which loses digits");
        }
        if !(detailed_balance_defect(generator, &law)? <= 1e-9) {
            return refuse("a chain that is not reversible");
        }
        let states = generator.states();
        let rates = generator.to_matrix();
        // The eigenvector √π of 0 is moved to the other end of the spectrum, however small the gap: then the others
        // come out orthogonal to it to rounding.
        let moved = generator.max_exit_rate();
        let symmetric = DMatrix::from_fn(states, states, |i, j| {
            let entry = if i == j { rates[[i, i]] } else { (rates[[i, j]] * rates[[j, i]]).sqrt() };
            entry + moved * (law[i] * law[j]).sqrt()
        });
        let limit = 100 * states;
        let eigen = SymmetricEigen::try_new(symmetric, f64::EPSILON, limit);
        let eigen = eigen.ok_or(Error::NotConverged {
            routine: "symmetric eigenvalues",
            iterations: limit,
            residual: f64::NAN,
        })?;
        let mut order: Vec<usize> = (0..states).collect();
        order.sort_by(|&a, &b| eigen.eigenvalues[b].total_cmp(&eigen.eigenvalues[a]));
        let mut eigenvalues = vec![0.0];
        eigenvalues.extend(order[1..].iter().map(|&k| eigen.eigenvalues[k]));
        let gap = -eigenvalues[1];
        Error::domain(gap > 0.0, "spectral gap", gap, "a gap above rounding")?;
        let vectors =
            Array2::from_shape_fn((states, states - 1), |(i, k)| eigen.eigenvectors[(i, order[k + 1])]);
        Ok(Spectral { eigenvalues, vectors, law })
    }

    /// The eigenvalues of Q, descending from 0.
    ///
    /// ```
    /// let spectrum = ctmc::Spectral::new(&ctmc::Refresh::uniform(3, 0.5)?)?;
    /// assert_eq!(spectrum.eigenvalues()[0], 0.0);
    /// assert!(spectrum.eigenvalues()[1..].iter().all(|l| (l + 1.5).abs() < 1e-15));
    /// # Ok::<(), numeric::Error>(())
    /// ```
    #[must_use]
    pub fn eigenvalues(&self) -> &[f64] {
        &self.eigenvalues
    }

    /// The spectral gap $`-\lambda_1`$: variances of functions decay at least as $`e^{-2 \cdot \text{gap} \cdot t}`$.
    #[must_use]
    pub fn gap(&self) -> f64 {
        -self.eigenvalues[1]
    }

    /// The stationary law π.
    #[must_use]
    pub fn stationary(&self) -> &[f64] {
        &self.law
    }

    /// What bounds the error of an entry of the kernel together with $`\sqrt{\pi_j / \pi_i}`$; see [`Spectral::kernel`].
    pub(crate) fn error_factor(&self, time: f64) -> f64 {
        let (states, gap) = (self.law.len(), -self.eigenvalues[1]);
        let fastest = -self.eigenvalues[states - 1];
        let moved = -(-fastest * time).exp_m1();
        4.0 * states as f64 * f64::EPSILON * moved * (1.0 + (fastest * time).min(fastest / gap))
    }

    /// The transition matrix $`P_t`$.
    ///
    /// The error of an entry is absolute, a few
    /// $`S u \sqrt{\pi_j / \pi_i}\, (1 + \min(|\lambda_{S-1}| t, \lambda_{S-1} / \lambda_1))`$ with the unit roundoff u, and less at
    /// short and at long times: at first it is relative to $`1 - e^{\lambda_{S-1} t}`$, in the end to $`\pi_j`$. An entry of a smaller size than that which comes out below 0 is 0, which is nearer to the exact
    /// one; then rows are divided by their sum. Where tiny probabilities matter, take [`Kernel::of`].
    ///
    /// # Errors
    /// If the time is negative or not finite.
    pub fn kernel(&self, time: f64) -> Result<Kernel, Error> {
        check_time("time", time)?;
        let states = self.law.len();
        if time == 0.0 {
            return Ok(Kernel::from_rows(Array2::eye(states), 0.0));
        }
        // Over a short time what is summed is the distance from the identity, later that from the stationary law: each
        // is the smaller one, and the rounding of the eigenvectors is relative to it.
        let short = -self.eigenvalues[states - 1] * time <= 1.0;
        let mut decayed = self.vectors.clone();
        for (mut column, eigenvalue) in decayed.columns_mut().into_iter().zip(&self.eigenvalues[1..]) {
            let exponent = eigenvalue * time;
            let factor = if short { exponent.exp_m1() } else { exponent.exp() };
            column.mapv_inplace(|u| u * factor);
        }
        let mut matrix = decayed.dot(&self.vectors.t());
        for ((i, j), p) in matrix.indexed_iter_mut() {
            let limit = if short { f64::from(u8::from(i == j)) } else { self.law[j] };
            *p = (limit + (self.law[j] / self.law[i]).sqrt() * *p).max(0.0);
        }
        Ok(Kernel::from_rows(matrix, 0.0))
    }
}
