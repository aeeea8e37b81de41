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

    /// A bound of the propensity over the times, if there is one; NaN as for the value.
    pub(super) fn bound(&self, from: f64, to: f64, counts: &[u32]) -> Option<f64> {
        let Factor::Function { reads, function } = &self.factor else {
            return Some(self.value(from, counts));
        };
        match &function.bound {
            Some((_, bound)) => {
                let bound = with_counts(reads, counts, |read| checked(bound(from, to, read)));
                Some(self.sets.count(counts) * bound)
            }
            None if function.integral.is_some() => None,
            None => Some(self.value(from, counts)),
        }
    }

    /// The integral of the propensity over the times, if it is known; NaN as for the value.
    pub(super) fn integral(&self, from: f64, to: f64, counts: &[u32]) -> Option<f64> {
        match &self.factor {
            Factor::Function { reads, function } if self.is_time_dependent() => {
                let integral = function.integral.as_ref()?;
                let integral = with_counts(reads, counts, |read| checked(integral(from, to, read)));
                Some(self.sets.count(counts) * integral)
            }
            _ => Some((to - from) * self.value(from, counts)),
        }
    }

    /// The least and the greatest propensity while the counts are between `low` and `high`, for laws that do not depend on
    /// time. Species that a function reads have `low` = `high`.
    pub(super) fn range(&self, low: &[u32], high: &[u32]) -> (f64, f64) {
        if let Factor::Hill { exponent, .. } = &self.factor
            && *exponent < 0.0
        {
            // Decreasing in one species, which may be a catalyst as well.
            let at = |sets: &[u32], counts: &[u32]| self.sets.count(sets) * self.factor.value(0.0, counts);
            return (at(low, high), at(high, low));
        }
        (self.value(0.0, low), self.value(0.0, high))
    }

    /// How long a bound holds: for ever, if the law does not depend on time; `None` if no bound is known.
    pub(super) fn span(&self) -> Option<f64> {
        match &self.factor {
            Factor::Function { function, .. } if self.is_time_dependent() => {
                function.bound.as_ref().map(|&(span, _)| span)
            }
            _ => Some(f64::INFINITY),
        }
    }

    /// Whether its integral over time is known.
    pub(super) fn has_integral(&self) -> bool {
        match &self.factor {
            Factor::Function { function, .. } => !self.is_time_dependent() || function.integral.is_some(),
            _ => true,
        }
    }

    /// The constant of mass action.
    pub(super) fn constant(&self) -> Option<f64> {
        if let Factor::Constant(constant) = self.factor { Some(constant) } else { None }
    }

    pub(super) fn is_function(&self) -> bool {
        matches!(self.factor, Factor::Function { .. })
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
