//! Rate laws over numbered species.

use super::{Counting, RateFunction};

/// The species and orders that a propensity is a product of.
#[derive(Clone, Debug)]
pub(super) enum Sets {
    None,
    One(u32),
    /// Two different species.
    Two(u32, u32),
    /// Two of the same species.
    Pair(u32),
    Any(Vec<(u32, u32)>),
}

impl Sets {
    pub(super) fn new(orders: &[(u32, u32)]) -> Sets {
        match *orders {
            [] => Sets::None,
            [(species, 1)] => Sets::One(species),
            [(a, 1), (b, 1)] => Sets::Two(a, b),
            [(species, 2)] => Sets::Pair(species),
            _ => Sets::Any(orders.to_vec()),
        }
    }

    /// The number of ordered sets.
    #[inline(always)]
    fn count(&self, counts: &[u32]) -> f64 {
        let n = |species: u32| counts[species as usize];
        match self {
            Sets::None => 1.0,
            Sets::One(a) => f64::from(n(*a)),
            Sets::Two(a, b) => f64::from(n(*a)) * f64::from(n(*b)),
            Sets::Pair(a) => falling(n(*a), 2),
            Sets::Any(orders) => orders.iter().map(|&(species, k)| falling(n(species), k)).product(),
        }
    }
}

/// n (n − 1) ⋯ (n − k + 1), which is 0 for n < k.
#[inline(always)]
fn falling(n: u32, k: u32) -> f64 {
    (0..k).map(|j| f64::from(n.saturating_sub(j))).product()
}

/// What the number of sets is multiplied by.
#[derive(Clone, Debug)]
pub(super) enum Factor {
    Constant(f64),
    MichaelisMenten {
        max: f64,
        half: f64,
        species: u32,
    },
    /// Activation for an exponent above 0, repression below.
    Hill {
        max: f64,
        half: f64,
        exponent: f64,
        species: u32,
    },
    Function {
        reads: Vec<u32>,
        function: RateFunction,
    },
}

impl Factor {
    #[inline(always)]
    fn value(&self, time: f64, counts: &[u32]) -> f64 {
        match self {
            Factor::Constant(constant) => *constant,
            Factor::MichaelisMenten { max, half, species } => {
                let n = f64::from(counts[*species as usize]);
                max * (n / (half + n))
            }
            Factor::Hill { max, half, exponent, species } => {
                // With n = 0 the power is 0 or infinite, as it should be.
                max / (1.0 + (f64::from(counts[*species as usize]) / half).powf(-exponent))
            }
            Factor::Function { reads, function } => {
                with_counts(reads, counts, |read| checked((function.rate)(time, read)))
            }
        }
    }
}

/// A propensity as a function of time and counts.
#[derive(Clone, Debug)]
pub(super) struct Law {
    pub(super) factor: Factor,
    pub(super) sets: Sets,
}

impl Law {
    /// The propensity; NaN where a user's function is not a number of at least 0.
    #[inline(always)]
    pub(super) fn value(&self, time: f64, counts: &[u32]) -> f64 {
        self.sets.count(counts) * self.factor.value(time, counts)
    }

    pub(super) fn is_time_dependent(&self) -> bool {
        matches!(&self.factor, Factor::Function { function, .. } if function.bound.is_some() || function.integral.is_some())
    }
}

/// What cannot be a rate becomes NaN, which no sum of rates hides.
#[inline]
fn checked(rate: f64) -> f64 {
    if rate >= 0.0 { rate } else { f64::NAN }
}

/// Calls `body` with the counts of some of the species.
#[inline]
fn with_counts(reads: &[u32], counts: &[u32], body: impl FnOnce(&[u32]) -> f64) -> f64 {
    const ON_STACK: usize = 16;
    if reads.len() > ON_STACK {
        return body(&reads.iter().map(|&species| counts[species as usize]).collect::<Vec<u32>>());
    }
    let mut read = [0; ON_STACK];
    for (read, &species) in read.iter_mut().zip(reads) {
        *read = counts[species as usize];
    }
    body(&read[..reads.len()])
}

/// How many ordered sets count as one: 1, or ∏ k!.
pub(super) fn ordered_sets_in_one(orders: &[(u32, u32)], counting: Counting) -> f64 {
    match counting {
        Counting::Ordered => 1.0,
        Counting::Combinations => orders.iter().flat_map(|&(_, k)| (1..=k).map(f64::from)).product(),
    }
}
