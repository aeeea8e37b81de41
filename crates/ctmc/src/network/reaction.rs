//! Reactions as a user writes them.

use std::fmt;
use std::sync::Arc;

/// How mass action counts the sets of reactants.
///
/// Of n molecules of a species that a reaction takes k of, the propensity counts
///
/// | convention | number | k = 2 |
/// |---|---|---|
/// | [`Ordered`](Counting::Ordered) | $`n (n-1) \cdots (n-k+1)`$ | n(n−1) |
/// | [`Combinations`](Counting::Combinations) | $`\binom nk`$ | n(n−1)/2 |
///
/// Both are the same for reactions that take one of each species; for two of a kind the constants differ by a factor
/// of 2, and which one is meant cannot be guessed.
///
/// ```
/// use ctmc::network::{Counting, Network, Rate, Reaction};
/// let pairs = |counting| {
///     let annihilate = Reaction::new("annihilate", [("X", 2)], [], Rate::mass_action(1.0, counting));
///     Network::new(["X"], vec![annihilate])?.propensity(0, 0.0, &[10])
/// };
/// assert_eq!(pairs(Counting::Ordered)?, 90.0);
/// assert_eq!(pairs(Counting::Combinations)?, 45.0);
/// # Ok::<(), numeric::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Counting {
    /// $`n (n-1) \cdots (n-k+1)`$: no division.
    Ordered,
    /// $`n (n-1) \cdots (n-k+1) / k!`$: sets without order, the convention of Gillespie (1977).
    Combinations,
}

/// The law of the rate at which a reaction happens.
///
/// In all laws but mass action, whose catalysts count as reactants do, the formula is multiplied by the counts of the
/// catalysts: with an enzyme E as catalyst, Michaelis–Menten is $`k_{cat} E S / (K + S)`$.
///
/// ```
/// use ctmc::network::{Network, Rate, Reaction};
/// let network = Network::new(
///     ["S", "P", "E"],
///     vec![
///         Reaction::new("convert", [("S", 1)], [("P", 1)], Rate::michaelis_menten(2.0, 30.0, "S"))
///             .with_catalysts([("E", 1)]),
///         Reaction::new("make", [], [("S", 1)], Rate::hill_repression(8.0, 10.0, 2.0, "P")),
///         Reaction::new("lose", [("E", 1)], [], Rate::function(["E", "P"], |_, n| f64::from(n[0] * n[1]).sqrt())),
///     ],
/// )?;
/// let counts = [10, 20, 5];
/// let found: Vec<f64> = (0..3).map(|r| network.propensity(r, 0.0, &counts)).collect::<Result<_, _>>()?;
/// assert_eq!(found, [5.0 * 2.0 * 10.0 / 40.0, 8.0 / (1.0 + 4.0), 10.0]);
/// # Ok::<(), numeric::Error>(())
/// ```
#[derive(Clone, Debug)]
pub enum Rate {
    /// The constant times the number of sets of reactants and catalysts.
    MassAction {
        /// The rate of one set, c ≥ 0.
        constant: f64,
        /// What a set is.
        counting: Counting,
    },
    /// Saturation: $`V n / (K + n)`$.
    MichaelisMenten {
        /// The greatest rate, V ≥ 0.
        max: f64,
        /// The count of half the greatest rate, K > 0.
        half: f64,
        /// The species whose count is n.
        substrate: String,
    },
    /// Activation: $`V n^h / (K^h + n^h)`$.
    HillActivation {
        /// The greatest rate, V ≥ 0.
        max: f64,
        /// The count of half the greatest rate, K > 0.
        half: f64,
        /// The Hill coefficient, h > 0.
        exponent: f64,
        /// The species whose count is n.
        activator: String,
    },
    /// Repression: $`V K^h / (K^h + n^h)`$.
    HillRepression {
        /// The rate without the repressor, V ≥ 0.
        max: f64,
        /// The count of half that rate, K > 0.
        half: f64,
        /// The Hill coefficient, h > 0.
        exponent: f64,
        /// The species whose count is n.
        repressor: String,
    },
    /// Any function of time and of the counts of the species that it declares.
    Function(RateFunction),
}

impl Rate {
    /// [`Rate::MassAction`].
    #[must_use]
    pub fn mass_action(constant: f64, counting: Counting) -> Rate {
        Rate::MassAction { constant, counting }
    }

    /// [`Rate::MichaelisMenten`].
    #[must_use]
    pub fn michaelis_menten(max: f64, half: f64, substrate: &str) -> Rate {
        Rate::MichaelisMenten { max, half, substrate: substrate.to_owned() }
    }

    /// [`Rate::HillActivation`].
    #[must_use]
    pub fn hill_activation(max: f64, half: f64, exponent: f64, activator: &str) -> Rate {
        Rate::HillActivation { max, half, exponent, activator: activator.to_owned() }
    }

    /// [`Rate::HillRepression`].
    #[must_use]
    pub fn hill_repression(max: f64, half: f64, exponent: f64, repressor: &str) -> Rate {
        Rate::HillRepression { max, half, exponent, repressor: repressor.to_owned() }
    }

    /// A [`RateFunction`] that does not depend on time: whatever time it is given, its value is the same.
    pub fn function<const N: usize>(
        reads: [&str; N],
        rate: impl Fn(f64, &[u32]) -> f64 + Send + Sync + 'static,
    ) -> Rate {
        Rate::Function(RateFunction::new(reads, rate))
    }
}

/// A rate, given a time and counts.
type AtTime = Arc<dyn Fn(f64, &[u32]) -> f64 + Send + Sync>;
/// The bound or the integral of a rate, given two times and counts.
type OverTime = Arc<dyn Fn(f64, f64, &[u32]) -> f64 + Send + Sync>;

/// A rate given as a function of time and counts.
///
/// The function is called with the time and the counts of the species that it *declares* to read, in the order of the
/// declaration: what it has not declared it cannot read, so that no simulator misses a change. A function of time says
/// so by a bound ([`with_bound`](RateFunction::with_bound)), an integral
/// ([`with_integral`](RateFunction::with_integral)), or both; without either it is taken not to depend on time.
///
/// ```
/// use std::f64::consts::TAU;
/// use ctmc::network::{Network, Rate, RateFunction, Reaction};
/// // Production by day: 5 (1 + sin 2πt).
/// let day = RateFunction::new([], |t, _| 5.0 * (1.0 + (TAU * t).sin()))
///     .with_bound(0.25, |_, _, _| 10.0)
///     .with_integral(|from, to, _| 5.0 * (to - from) - 5.0 / TAU * ((TAU * to).cos() - (TAU * from).cos()));
/// let network = Network::new(["X"], vec![Reaction::new("make", [], [("X", 1)], Rate::Function(day))])?;
/// assert!((network.propensity(0, 0.25, &[0])? - 10.0).abs() < 1e-12);
/// assert!(network.is_time_dependent());
/// # Ok::<(), numeric::Error>(())
/// ```
#[derive(Clone)]
pub struct RateFunction {
    pub(super) reads: Vec<String>,
    pub(super) rate: AtTime,
    /// The span for which a bound is asked for, and the bound.
    pub(super) bound: Option<(f64, OverTime)>,
    pub(super) integral: Option<OverTime>,
}

impl RateFunction {
    /// The rate `rate(time, counts)` of the species that it reads.
    ///
    /// Its values are finite and at least 0; a value that is not ends a simulation with an error.
    pub fn new<const N: usize>(
        reads: [&str; N],
        rate: impl Fn(f64, &[u32]) -> f64 + Send + Sync + 'static,
    ) -> RateFunction {
        let reads = reads.map(str::to_owned).to_vec();
        RateFunction { reads, rate: Arc::new(rate), bound: None, integral: None }
    }

    /// For a rate that depends on time: `bound(from, to, counts)` is at least the rate at all times from `from` to `to`,
    /// which are at most `span` apart. It is for thinning: a rate above its bound ends a simulation with an error.
    ///
    /// A short span makes bounds tight, a long one makes few of them.
    #[must_use]
    pub fn with_bound(
        mut self,
        span: f64,
        bound: impl Fn(f64, f64, &[u32]) -> f64 + Send + Sync + 'static,
    ) -> RateFunction {
        self.bound = Some((span, Arc::new(bound)));
        self
    }

    /// For a rate that depends on time: `integral(from, to, counts)` is its integral over these times while the counts
    /// stay as they are.
    #[must_use]
    pub fn with_integral(
        mut self,
        integral: impl Fn(f64, f64, &[u32]) -> f64 + Send + Sync + 'static,
    ) -> RateFunction {
        self.integral = Some(Arc::new(integral));
        self
    }
}

impl fmt::Debug for RateFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateFunction")
            .field("reads", &self.reads)
            .field("bound", &self.bound.as_ref().map(|(span, _)| span))
            .field("integral", &self.integral.is_some())
            .finish_non_exhaustive()
    }
}

/// A reaction: what it takes, what it makes, and how fast.
///
/// ```
/// use ctmc::network::{Counting, Network, Rate, Reaction};
/// let transcribe = Reaction {
///     name: "transcribe".into(),
///     reactants: vec![],
///     products: vec![("RNA".into(), 1)],
///     catalysts: vec![("gene".into(), 1)],
///     rate: Rate::mass_action(0.5, Counting::Ordered),
/// };
/// let network = Network::new(["gene", "RNA"], vec![transcribe])?;
/// assert_eq!((network.orders(0), network.changes(0)), (&[(0, 1)][..], &[(1, 1)][..]));
/// # Ok::<(), numeric::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Reaction {
    /// What errors call it.
    pub name: String,
    /// The species that it takes, and how many.
    pub reactants: Vec<(String, u32)>,
    /// The species that it makes, and how many.
    pub products: Vec<(String, u32)>,
    /// The species whose counts enter the rate as those of reactants do, and which are not taken.
    pub catalysts: Vec<(String, u32)>,
    /// How fast it is.
    pub rate: Rate,
}

impl Reaction {
    /// A reaction without catalysts.
    #[must_use]
    pub fn new<const N: usize, const M: usize>(
        name: &str,
        reactants: [(&str, u32); N],
        products: [(&str, u32); M],
        rate: Rate,
    ) -> Reaction {
        let (reactants, products) = (owned(reactants), owned(products));
        Reaction { name: name.to_owned(), reactants, products, catalysts: vec![], rate }
    }

    /// The reaction with these catalysts.
    #[must_use]
    pub fn with_catalysts<const N: usize>(mut self, catalysts: [(&str, u32); N]) -> Reaction {
        self.catalysts = owned(catalysts);
        self
    }
}

fn owned<const N: usize>(counts: [(&str, u32); N]) -> Vec<(String, u32)> {
    counts.map(|(species, count)| (species.to_owned(), count)).to_vec()
}
