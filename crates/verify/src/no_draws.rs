//! A generator for code that must not draw.

use std::convert::Infallible;

use rand::TryRng;

/// A random generator that panics when it is drawn from; implements rand's [`Rng`](rand::Rng).
///
/// Pass it to code that must be deterministic: a probability-flow step, a noise level of 0, a constructor.
///
/// ```should_panic
/// use rand::Rng;
/// verify::NoDraws.next_u64();
/// ```
///
/// ```
/// use rand::seq::SliceRandom;
/// let mut alone = [7];
/// alone.shuffle(&mut verify::NoDraws); // one element: nothing to draw
/// assert_eq!(alone, [7]);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NoDraws;

impl TryRng for NoDraws {
    type Error = Infallible;

    #[track_caller]
    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        panic!("NoDraws: a random number was drawn by code that must not draw")
    }

    #[track_caller]
    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        panic!("NoDraws: a random number was drawn by code that must not draw")
    }

    #[track_caller]
    fn try_fill_bytes(&mut self, _: &mut [u8]) -> Result<(), Infallible> {
        panic!("NoDraws: random bytes were drawn by code that must not draw")
    }
}
