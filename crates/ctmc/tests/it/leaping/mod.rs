//! Leaps: their own exact moments where the network is linear, orders, refusals without a bias, stiff networks, errors.

mod ends;
mod orders;
mod refusals;
mod stiff;

use ctmc::network::{Counting, LeapMethod, Network, Rate, Reaction};

const ROWS: u64 = 10_000;

const METHODS: [LeapMethod; 5] = [
    LeapMethod::Euler,
    LeapMethod::Midpoint,
    LeapMethod::Trapezoidal(0.5),
    LeapMethod::Trapezoidal(0.3),
    LeapMethod::Implicit,
];

fn mass(constant: f64) -> Rate {
    Rate::mass_action(constant, Counting::Ordered)
}

fn decay() -> Network {
    Network::new(["X"], vec![Reaction::new("decay", [("X", 1)], [], mass(1.0))]).unwrap()
}
