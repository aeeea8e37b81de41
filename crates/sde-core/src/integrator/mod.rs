//! One step of a general stochastic differential equation.

mod adaptive;

pub use adaptive::{AdaptiveSolver, Tolerance};

use numeric::ndarray::ArrayRef2;
use numeric::{Error, Noise, Real, Scratch, Time, TimeGrid};

use crate::{NoiseClass, Reading, Sde};

/// Orders of convergence that a method declares for a class of noise, under the usual smoothness.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Orders {
    /// Order γ of `E|X_N − X(T)| = O(h^γ)`.
    pub strong: f64,
    /// Order β of `|E φ(X_N) − E φ(X(T))| = O(h^β)` for smooth φ.
    pub weak: f64,
}

/// What a method asks of the Brownian path over a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// The increment W.
    Increment,
    /// The increment and the space-time area H.
    Area,
    /// The increment, the space-time area, and the Lévy areas of all pairs from a tree this many levels below the
    /// step.
    LevyAreas {
        /// Levels below the step.
        depth: u32,
    },
}

/// One step of a run: which rows, from where to where, and what the Brownian path does meanwhile.
#[derive(Clone, Copy, Debug)]
pub struct SdeStep<'a, F> {
    /// Absolute numbers of the rows.
    pub rows: &'a [u64],
    /// Where the step starts.
    pub from: Time,
    /// Where it ends.
    pub to: Time,
    /// Its length h > 0.
    pub length: f64,
    /// Increments W over the step, `(n, m)`.
    pub w: &'a ArrayRef2<F>,
    /// Space-time areas `H = (1/h) ∫ (W_s − (s/h) W) ds`, `(n, m)`, for those who asked.
    pub area: Option<&'a ArrayRef2<F>>,
    /// Lévy areas `½∫(W^j dW^k − W^k dW^j)` of the pairs j < k in lexicographic order, `(n, m(m−1)/2)`, for those who
    /// asked.
    pub levy: Option<&'a ArrayRef2<F>>,
    /// Further randomness of this step, independent of the path, for weak schemes.
    pub extra: Noise,
    /// The step's number, to draw from `extra`.
    pub index: u64,
}

/// A method for general equations.
///
/// Each method says which reading and which classes of noise it solves, with which orders, and is refused for the
/// others when a solver is built.
pub trait Integrator<F: Real>: Send + Sync {
    /// Short name, for tables.
    fn name(&self) -> &'static str;

    /// The reading that the method solves; `None` if it makes no difference to it (it takes additive noise only).
    fn reading(&self) -> Option<Reading>;

    /// The orders for a class of noise, or `None` where the method does not converge or is not meant for it.
    fn orders(&self, noise: NoiseClass) -> Option<Orders>;

    /// What it asks of the Brownian path.
    fn needs(&self) -> Needs {
        Needs::Increment
    }

    /// Evaluations of the drift per step.
    fn calls(&self) -> usize {
        1
    }

    /// Replaces the rows `x`, `(n, d)`, at `step.from` by rows at `step.to`.
    ///
    /// # Errors
    /// The equation's own.
    fn step(
        &self,
        sde: &dyn Sde<F>,
        step: SdeStep<'_, F>,
        x: &mut ArrayRef2<F>,
        scratch: &mut Scratch,
    ) -> Result<(), Error>;
}

/// Whether an integrator solves an equation on a grid.
///
/// # Errors
/// [`Error::Unsupported`] for another reading, another class of noise, or a grid of the other direction.
pub(crate) fn check_solves<F: Real>(
    sde: &impl Sde<F>,
    integrator: &impl Integrator<F>,
    grid: &TimeGrid,
) -> Result<(), Error> {
    let (method, class) = (integrator.name(), sde.noise_class());
    let refuse = |reason| Err(Error::Unsupported { method, reason });
    if class != NoiseClass::Additive {
        match (integrator.reading(), sde.reading()) {
            (Some(Reading::Ito), Reading::Stratonovich) => {
                return refuse("it solves Itô equations; rewrite this one with `as_ito`");
            }
            (Some(Reading::Stratonovich), Reading::Ito) => {
                return refuse("it solves Stratonovich equations; rewrite this one with `as_stratonovich`");
            }
            _ => {}
        }
    }
    if integrator.orders(class).is_none() {
        let solves = |class| integrator.orders(class).is_some();
        return refuse(
            match [NoiseClass::Additive, NoiseClass::Diagonal, NoiseClass::Commutative].map(solves) {
                [true, false, false] => "it solves equations with additive noise only",
                [false, true, false] => "it solves equations with scalar or diagonal noise only",
                [true, true, false] => "it solves equations with additive, scalar or diagonal noise only",
                [_, _, true] => {
                    "it solves equations with commutative noise only, which includes additive, scalar and diagonal"
                }
                _ => "it does not solve equations with this class of noise",
            },
        );
    }
    if sde.backward() == grid.is_forward() {
        return refuse(if sde.backward() {
            "the equation runs back in time, and the grid forward"
        } else {
            "the equation runs forward in time, and the grid back"
        });
    }
    Ok(())
}
