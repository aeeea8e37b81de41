//! The two float types of array-valued state.

use std::fmt::{Debug, Display};
use std::iter::Sum;

pub(crate) mod private {
    /// What the crate implements twice, with the instructions of each type. Nobody else can implement it, so
    /// that it seals `Real`.
    #[expect(unnameable_types, reason = "a trait that nobody can name seals `Real`")]
    pub trait Products: Sized {
        fn product(product: &mut crate::gemm::Product<'_, Self>);
        fn softmax_columns(logits: &mut [Self], tops: &mut [Self], sums: &mut [Self]);
        fn exp_in_place(x: &mut [Self]);
        fn dots(dots: &mut crate::dots::Dots<'_, Self>);
        fn fixed_point(step: &mut crate::iteration::FixedPoint<'_, Self>);
        fn stage_sums(sums: &mut crate::stage_sums::StageSums<'_, Self>);
        fn scaled_squares(squares: &mut crate::stage_sums::ScaledSquares<'_, Self>);
    }
}

/// `f32` or `f64`: the element type of states, and of nothing else.
///
/// Times, schedules, rates, weights, bounds and statistics are always `f64`.
///
/// ```
/// use numeric::Real;
/// fn half<F: Real>(x: F) -> F {
///     x * F::of(0.5)
/// }
/// assert_eq!(half(3.0_f32), 1.5);
/// assert_eq!(half(3.0_f64).as_f64(), 1.5);
/// ```
pub trait Real:
    private::Products
    + num_traits::Float
    + num_traits::NumAssign
    + ndarray::LinalgScalar
    + Default
    + Debug
    + Display
    + Sum
    + Send
    + Sync
    + 'static
{
    /// `"f32"` or `"f64"`.
    const NAME: &'static str;

    /// The nearest value of this type.
    #[must_use]
    fn of(value: f64) -> Self;

    /// The value as `f64`, exactly.
    #[must_use]
    fn as_f64(self) -> f64;
}

impl Real for f32 {
    const NAME: &'static str = "f32";

    #[inline(always)]
    fn of(value: f64) -> f32 {
        value as f32
    }

    #[inline(always)]
    fn as_f64(self) -> f64 {
        f64::from(self)
    }
}

impl Real for f64 {
    const NAME: &'static str = "f64";

    #[inline(always)]
    fn of(value: f64) -> f64 {
        value
    }

    #[inline(always)]
    fn as_f64(self) -> f64 {
        self
    }
}
