//! General stochastic differential equations: methods with fixed steps, and the solver that runs them.
//!
//! A method is a small value; a [`Solver`] is an equation, a method and a grid, and refuses a method that does not
//! solve the equation. Strong orders (of paths) and weak orders (of laws), by class of noise:
//!
//! | method | solves | additive | scalar, diagonal | commutative | general |
//! |---|---|---|---|---|---|
//! | [`EulerMaruyama`] | Itô | 1 / 1 | ½ / 1 | ½ / 1 | ½ / 1 |
//! | [`TamedEuler`] | Itô, drift that grows faster than linearly | 1 / 1 | ½ / 1 | ½ / 1 | ½ / 1 |
//! | [`ImplicitEuler`] | Itô, stiff drift | 1 / 1 | ½ / 1 | ½ / 1 | ½ / 1 |
//! | [`Milstein`] | both | 1 / 1 | 1 / 1 | 1 / 1 | |
//! | [`LevyMilstein`] | both | 1 / 1 | 1 / 1 | 1 / 1 | 1 / 1 |
//! | [`EulerHeun`] | Stratonovich | 1 / 1 | 1 / 1 | 1 / 1 | ½ / 1 |
//! | [`Midpoint`] | Stratonovich | 1 / 1 | 1 / 1 | 1 / 1 | ½ / 1 |
//! | [`Heun`] | Stratonovich | 1 / 2 | 1 / 1 | 1 / 1 | ½ / 1 |
//! | [`Sra1`] | both | 1½ / 2 | | | |
//! | [`Sosra`] | both, stiffer drift | 1½ / 2 | | | |
//! | [`Sra3`] | both, small noise | 1½ / 2 | | | |
//! | [`Sri1W1`] | Itô | | 1½ / 1½ | | |
//! | [`PlatenWeak2`] | Itô | 1 / 2 | 1 / 2 | 1 / 2 | ½ / 2 |
//! | [`Baoab`] | Langevin dynamics with inertia | – / 2 | | | |
//!
//! Additive noise makes both readings the same equation, so every method takes it. An equation in the other reading
//! is rewritten by [`as_ito`](crate::as_ito) or [`as_stratonovich`](crate::as_stratonovich).
//!
//! # Which method?
//! [`Sra1`] for additive noise ([`Sosra`] where stability limits its steps) and [`Sri1W1`] for diagonal noise, where
//! paths matter or the error is to be small;
//! [`Milstein`] for commutative noise; [`PlatenWeak2`] where only the law matters and the noise is general;
//! [`EulerMaruyama`] to compare with everything.

mod adaptive;
mod course;
mod dense;
mod euler;
mod event;
mod implicit;
mod langevin;
mod milstein;
mod path;
mod platen;
mod rossler;
mod solver;
mod sra;
mod stratonovich;

pub use adaptive::{AdaptiveSolver, Tolerance};
pub use euler::{EulerMaruyama, TamedEuler};
pub use implicit::ImplicitEuler;
pub use langevin::Baoab;
pub use milstein::{LevyMilstein, Milstein};
pub use platen::PlatenWeak2;
pub use rossler::{Sra1, Sri1W1};
pub use solver::Solver;
pub use sra::{Sosra, Sra3};
pub use stratonovich::{EulerHeun, Heun, Midpoint};

use numeric::ndarray::{Array2, ArrayRef2};
use numeric::{Batch, Error, Node, Noise, Real, Scratch, Time, TimeGrid, Times};

use crate::sde::coefficients::{slice, slice_mut};
use crate::sum::{MOST_TERMS, Sum, Target};
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

    /// The reading that the method solves; `None` if it solves both.
    ///
    /// Under additive noise there is no difference, and none is made.
    fn reading(&self) -> Option<Reading>;

    /// The orders for a class of noise, or `None` where the method does not converge or is not meant for it.
    fn orders(&self, noise: NoiseClass) -> Option<Orders>;

    /// What it asks of the Brownian path.
    fn needs(&self) -> Needs {
        Needs::Increment
    }

    /// Evaluations of the drift per step; of a method that iterates, as few as there can be.
    fn calls(&self) -> usize {
        1
    }

    /// Replaces the rows `x`, `(n, d)`, at `step.from` by rows at `step.to`. Returns the evaluations of the drift, summed over
    /// the rows: [`calls`](Self::calls) for each, or those that a row's own iteration took, whatever others of its block
    /// needed.
    ///
    /// # Errors
    /// The equation's own.
    fn step(
        &self,
        sde: &dyn Sde<F>,
        step: SdeStep<'_, F>,
        x: &mut ArrayRef2<F>,
        scratch: &mut Scratch,
    ) -> Result<u64, Error>;
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
    if let Needs::LevyAreas { depth } = integrator.needs() {
        let deepest = "at most 40, the levels of the tree";
        Error::domain(depth <= Node::MAX_LEVEL, "depth", f64::from(depth), deepest)?;
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

macro_rules! forward_integrator {
    ($($ty:ty),*) => {$(
        impl<F: Real, I: Integrator<F> + ?Sized> Integrator<F> for $ty {
            fn name(&self) -> &'static str {
                (**self).name()
            }
            fn reading(&self) -> Option<Reading> {
                (**self).reading()
            }
            fn orders(&self, noise: NoiseClass) -> Option<Orders> {
                (**self).orders(noise)
            }
            fn needs(&self) -> Needs {
                (**self).needs()
            }
            fn calls(&self) -> usize {
                (**self).calls()
            }
            fn step(
                &self,
                sde: &dyn Sde<F>,
                step: SdeStep<'_, F>,
                x: &mut ArrayRef2<F>,
                scratch: &mut Scratch,
            ) -> Result<u64, Error> {
                (**self).step(sde, step, x, scratch)
            }
        }
    )*};
}
forward_integrator!(&I, Box<I>);

impl<'a, F: Real> SdeStep<'a, F> {
    /// The batch at the start of the step.
    fn batch<'b>(&self, x: &'b ArrayRef2<F>) -> Batch<'b, F>
    where
        'a: 'b,
    {
        Batch::new(self.rows, Times::Same(self.from), x)
    }

    /// The batch at a part `part` of the way to the end of the step, exact at both ends.
    fn batch_at<'b>(&self, part: f64, x: &'b ArrayRef2<F>) -> Batch<'b, F>
    where
        'a: 'b,
    {
        Batch::new(self.rows, Times::Same(self.from.between(self.to, part)), x)
    }

    /// Evaluations of the drift where each row takes this many.
    fn evaluations(&self, per_row: usize) -> u64 {
        (self.rows.len() * per_row) as u64
    }

    /// The space-time areas.
    ///
    /// # Panics
    /// If there are none although the method needs them.
    #[track_caller]
    fn areas(&self) -> &'a ArrayRef2<F> {
        self.area.expect("a solver gives what `needs` asks for")
    }
}

/// `x += c a`.
fn add<F: Real>(x: &mut ArrayRef2<F>, c: f64, a: &ArrayRef2<F>) {
    Sum::new(1.0, 1.0, &[(c, a)]).write(Target::InPlace(slice_mut(x)));
}

/// `x += c a + b`.
fn add_two<F: Real>(x: &mut ArrayRef2<F>, c: f64, a: &ArrayRef2<F>, b: &ArrayRef2<F>) {
    Sum::new(1.0, 1.0, &[(c, a), (1.0, b)]).write(Target::InPlace(slice_mut(x)));
}

/// Rows of the unit vector e_j.
fn fill_unit<F: Real>(unit: &mut ArrayRef2<F>, j: usize) {
    unit.fill(F::zero());
    unit.column_mut(j).fill(F::one());
}

/// Position of the pair j < k in lexicographic order.
fn pair(j: usize, k: usize, m: usize) -> usize {
    j * (2 * m - j - 1) / 2 + k - j - 1
}

/// Both `x + Σ b p`, with the factors of each, from the same arrays in one pass.
fn two_sums<F: Real, const N: usize>(
    [first, second]: [&mut Array2<F>; 2],
    x: &ArrayRef2<F>,
    factors: [[f64; N]; 2],
    arrays: [&ArrayRef2<F>; N],
) {
    let sum = arrays.into_iter().zip(factors[0]).fold(Sum::of_x(1.0), |sum, (p, b)| sum.and(b, p));
    let mut others = [F::zero(); MOST_TERMS];
    others.iter_mut().zip(factors[1]).for_each(|(other, b)| *other = F::of(b));
    let outs = [slice_mut(first), slice_mut(second)];
    sum.write(Target::Two { x: slice(x), outs, others });
}

/// `out = x + c a + e b`.
fn stage<F: Real>(
    out: &mut ArrayRef2<F>,
    x: &ArrayRef2<F>,
    (c, a): (f64, &ArrayRef2<F>),
    (e, b): (f64, &ArrayRef2<F>),
) {
    Sum::new(1.0, 1.0, &[(c, a), (e, b)]).write(Target::Into { x: slice(x), out: slice_mut(out) });
}
