#![doc = include_str!("../README.md")]
#![doc(test(attr(deny(warnings))))]

#[doc(no_inline)]
pub use bounds;
#[doc(no_inline)]
pub use ctmc;
#[doc(no_inline)]
pub use numeric;
#[doc(no_inline)]
pub use numeric::ndarray;
#[doc(no_inline)]
pub use sde_core as sde;

/// The guide's program, compiled and run with the tests.
#[cfg(doctest)]
#[doc = include_str!("../docs/certificates.md")]
struct Certificates;
