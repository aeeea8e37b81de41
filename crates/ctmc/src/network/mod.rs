//! Reaction networks: species that react, as chains on vectors of counts.
//!
//! | what | types |
//! |---|---|
//! | species, reactions and their rates, checked | [`Network`]: [`Reaction`], [`Rate`], [`Counting`], [`RateFunction`] |
//! | networks read from text and written to it | [`NetworkText`] |
//! | exact paths | [`Ssa`]: [`Algorithm`], [`Start`], [`ReactionPath`], [`Stop`], [`Walk`] |
//! | paths by leaps over many events | [`TauLeaping`]: [`LeapMethod`], [`LeapStep`], [`LeapWalk`] |
//! | expectations without bias at the cost of leaps | [`Multilevel`] |
//! | jumps coupled to a differential equation | [`PiecewiseDeterministic`]: [`FlowJump`], [`FlowWalk`] |
//! | the master equation on the states that matter, with a certified error | [`Projection`], [`CountLaw`] |
//!
//! # Conventions
//! - A state is a slice of `u32` counts, one for each species in the order they were given. Rates and times are `f64`.
//! - A propensity is the rate at which a reaction happens, in units of 1/time. How mass action counts sets of reactants is
//!   always said: see [`Counting`].
//! - No count is wrapped, clipped or made negative: a reaction that cannot happen in a state in which its rate is
//!   positive is an error that names the reaction and the species.
//!
//! ```
//! use ctmc::network::{Counting, Network, Rate, Reaction};
//! let network = Network::new(
//!     ["monomer", "dimer"],
//!     vec![
//!         Reaction::new("bind", [("monomer", 2)], [("dimer", 1)], Rate::mass_action(0.001, Counting::Combinations)),
//!         Reaction::new("split", [("dimer", 1)], [("monomer", 2)], Rate::mass_action(0.01, Counting::Ordered)),
//!     ],
//! )?;
//! assert_eq!(network.propensity(0, 0.0, &[100, 0])?, 0.001 * 4950.0);
//! assert_eq!(network.changes(0), [(0, -2), (1, 1)]);
//! # Ok::<(), numeric::Error>(())
//! ```

mod ensemble;
mod flow;
mod law;
mod leap;
mod model;
mod multilevel;
mod part;
mod projection;
mod reaction;
mod ssa;
mod text;

pub use flow::{FlowJump, FlowWalk, PiecewiseDeterministic};
pub use leap::{LeapMethod, LeapStep, LeapWalk, TauLeaping};
pub use model::Network;
pub use multilevel::{Level, Multilevel, MultilevelEstimate};
pub use projection::{CountLaw, Projection};
pub use reaction::{Counting, Rate, RateFunction, Reaction};
pub use ssa::{Algorithm, ReactionPath, Ssa, Start, Stop, Walk};
pub use text::NetworkText;
