//! The exact methods.

/// How the next event of a path is found. All are exact; they use the random numbers in different ways, so that their paths
/// are not the same.
///
/// With few reactions [`Direct`](Algorithm::Direct) is the fastest; with hundreds
/// [`CompositionRejection`](Algorithm::CompositionRejection) or [`NextReaction`](Algorithm::NextReaction). Rates that depend on
/// time are for [`NextReaction`](Algorithm::NextReaction) and [`Thinning`](Algorithm::Thinning) alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Algorithm {
    /// The direct method: a waiting time at the sum of the propensities, then a reaction. Work in proportion to the number
    /// of reactions.
    ///
    /// # References
    /// Gillespie (1977), *Exact stochastic simulation of coupled chemical reactions*, J. Phys. Chem. 81.
    Direct,
    /// The direct method with a search in which reactions that happen often come first: for networks in which a few do.
    ///
    /// # References
    /// McCollum, Peterson, Cox, Simpson, Samatova (2006), *The sorting direct method for stochastic simulation of biochemical
    /// systems with varying reaction execution behavior*, Comput. Biol. Chem. 30.
    SortingDirect,
    /// The next reaction method: each reaction has a time, the earliest is on top of a queue, and times are reused. One random
    /// number for each event, and work in proportion to the logarithm of the number of reactions and to how many propensities
    /// an event changes. Rates that depend on time need their integrals.
    ///
    /// # References
    /// Gibson, Bruck (2000), *Efficient exact stochastic simulation of chemical systems with many species and many channels*,
    /// J. Phys. Chem. A 104. Anderson (2007), *A modified next reaction method for simulating chemical systems with time
    /// dependent propensities and delays*, J. Chem. Phys. 127.
    NextReaction,
    /// Composition and rejection: reactions in groups of propensities within a factor of 2. Work that does not grow with the
    /// number of reactions, apart from the propensities that an event changes.
    ///
    /// # References
    /// Slepoy, Thompson, Plimpton (2008), *A constant-time kinetic Monte Carlo algorithm for simulation of large biochemical
    /// reaction networks*, J. Chem. Phys. 128.
    CompositionRejection,
    /// Rejection with bounds that hold while counts stay within intervals: for propensities that are dear, or change often and
    /// by little.
    ///
    /// # References
    /// Thanh, Priami, Zunino (2014), *Efficient rejection-based simulation of biochemical reactions with stochastic noise and
    /// delays*, J. Chem. Phys. 141.
    Rejection,
    /// Thinning: candidates at bounds of the rates, for rates that depend on time and have bounds.
    ///
    /// # References
    /// Lewis, Shedler (1979), *Simulation of nonhomogeneous Poisson processes by thinning*, Nav. Res. Logist. Q. 26.
    Thinning,
}

impl Algorithm {
    /// All of them.
    pub const ALL: [Algorithm; 6] = [
        Algorithm::Direct,
        Algorithm::SortingDirect,
        Algorithm::NextReaction,
        Algorithm::CompositionRejection,
        Algorithm::Rejection,
        Algorithm::Thinning,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Algorithm::Direct => "direct method",
            Algorithm::SortingDirect => "sorting direct method",
            Algorithm::NextReaction => "next reaction method",
            Algorithm::CompositionRejection => "composition and rejection",
            Algorithm::Rejection => "rejection-based method",
            Algorithm::Thinning => "thinning",
        }
    }
}
