//! Which steps of a discrete chain a run visits.

use numeric::{Error, TimeGrid};

use crate::{DiscreteVp, VariancePreserving};

/// Which of the T steps of a discrete chain a run in `steps` steps visits, by the names of the library diffusers.
///
/// All are whole numbers, computed in whole numbers: the same as there but where floating-point steps there fall beside
/// a tie, or give one step too many.
///
/// | spacing | indices, of T = 1000 in 4 steps | from most noise |
/// |---|---|---|
/// | [`Leading`](Self::Leading) | 750, 500, 250, 0 (+ offset) | no |
/// | [`Linspace`](Self::Linspace) | 999, 666, 333, 0 | yes |
/// | [`Trailing`](Self::Trailing) | 999, 749, 499, 249 | yes |
///
/// ```
/// use sde_core::{DiscreteVp, grid::Spacing, linear_betas};
/// assert_eq!(Spacing::Leading { offset: 1 }.indices(1000, 4)?, [751, 501, 251, 1]);
/// assert_eq!(Spacing::Linspace.indices(1000, 4)?, [999, 666, 333, 0]);
/// assert_eq!(Spacing::Trailing.indices(1000, 4)?, [999, 749, 499, 249]);
/// // The grid has them as times, which count from 1, and ends at the data.
/// let process = DiscreteVp::from_betas(&linear_betas(1000, 1e-4, 0.02)?)?;
/// let grid = Spacing::Trailing.grid(&process, 4)?;
/// assert_eq!(grid.nodes().iter().map(|node| node.t).collect::<Vec<_>>(), [1000.0, 750.0, 500.0, 250.0, 0.0]);
/// # Ok::<(), numeric::Error>(())
/// ```
///
/// # References
/// Lin, Liu, Li, Yang (2024), *Common diffusion noise schedules and sample steps are flawed*, table 2: why a run should
/// start from the most noise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Spacing {
    /// `k ⌊T/n⌋ + offset` for k = n − 1, …, 0: equal steps from the least noise up.
    Leading {
        /// Added to every index; diffusers' `steps_offset`.
        offset: usize,
    },
    /// `k (T − 1)/(n − 1)` for k = n − 1, …, 0, rounded with ties to even: both ends are among them, so that there are
    /// at least two.
    Linspace,
    /// `k T/n − 1` for k = n, …, 1, rounded with ties to even before 1 is subtracted: equal steps from the most noise
    /// down.
    Trailing,
}

impl Spacing {
    /// The indices that are visited, of 0 to `chain` − 1, from noise to data.
    ///
    /// # Errors
    /// [`Error::Domain`] unless 1 ≤ `steps` ≤ `chain`, with at least 2 steps for [`Linspace`](Self::Linspace), and an
    /// offset that stays within the chain.
    pub fn indices(self, chain: usize, steps: usize) -> Result<Vec<usize>, Error> {
        let least = if self == Spacing::Linspace { 2 } else { 1 };
        let ok = steps >= least && steps <= chain;
        Error::domain(ok, "steps", steps as f64, "from 1 (2 with both ends) to the length of the chain")?;
        Ok(match self {
            Spacing::Leading { offset } => {
                let stride = chain / steps;
                let most = chain - 1 - (steps - 1) * stride;
                Error::domain(offset <= most, "offset", offset as f64, "one that stays within the chain")?;
                (0..steps).rev().map(|k| k * stride + offset).collect()
            }
            Spacing::Linspace => (0..steps).rev().map(|k| rounded(k * (chain - 1), steps - 1)).collect(),
            Spacing::Trailing => (1..=steps).rev().map(|k| rounded(k * chain, steps) - 1).collect(),
        })
    }

    /// The times of the process at those indices, and 0, the data, as the end of the last of `steps` steps.
    ///
    /// # Errors
    /// As [`indices`](Self::indices).
    pub fn grid(self, process: &DiscreteVp, steps: usize) -> Result<TimeGrid, Error> {
        let indices = self.indices(process.steps(), steps)?;
        let times = indices.into_iter().map(|index| process.time_of_index(index));
        TimeGrid::from_times(times.chain([process.time_at(0.0)]).collect::<Result<_, _>>()?)
    }
}

/// The whole number next to `numerator/denominator`, of two the even one.
fn rounded(numerator: usize, denominator: usize) -> usize {
    let (below, rest) = (numerator / denominator, numerator % denominator);
    match (2 * rest).cmp(&denominator) {
        std::cmp::Ordering::Less => below,
        std::cmp::Ordering::Equal => below + below % 2,
        std::cmp::Ordering::Greater => below + 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Spacing; 3] = [Spacing::Leading { offset: 0 }, Spacing::Linspace, Spacing::Trailing];

    #[test]
    fn every_chain_and_number_of_steps_has_distinct_steps_within_the_chain() {
        for chain in 1..60 {
            for steps in 1..=chain {
                for spacing in ALL {
                    let Ok(indices) = spacing.indices(chain, steps) else {
                        assert_eq!((spacing, steps), (Spacing::Linspace, 1));
                        continue;
                    };
                    assert_eq!(indices.len(), steps);
                    assert!(indices[0] < chain && indices.windows(2).all(|pair| pair[0] > pair[1]));
                    if spacing != (Spacing::Leading { offset: 0 }) {
                        assert_eq!(indices[0], chain - 1, "{spacing:?} starts from the most noise");
                    }
                }
            }
            for spacing in ALL {
                assert!(spacing.indices(chain, chain + 1).is_err() && spacing.indices(chain, 0).is_err());
            }
        }
        // All of them are all of them.
        for spacing in ALL {
            assert_eq!(spacing.indices(7, 7), Ok(vec![6, 5, 4, 3, 2, 1, 0]));
        }
        assert_eq!(Spacing::Trailing.indices(1000, 1), Ok(vec![999]));
        assert_eq!(Spacing::Leading { offset: 1 }.indices(1000, 1), Ok(vec![1]));
        assert_eq!(Spacing::Linspace.indices(1000, 2), Ok(vec![999, 0]));
    }

    /// The formulas of the library in floating point, where they are not beside a tie.
    #[test]
    fn indices_are_those_of_floating_point_formulas() {
        for steps in [2, 5, 8, 10, 20, 25, 40, 50, 100, 125, 200, 250, 500] {
            let n = steps as f64;
            let down = (0..steps).rev().map(|k| k as f64);
            let linspace: Vec<usize> =
                down.clone().map(|k| (k * (999.0 / (n - 1.0))).round_ties_even() as usize).collect();
            assert_eq!(Spacing::Linspace.indices(1000, steps), Ok(linspace));
            let trailing: Vec<usize> = (0..steps)
                .map(|k| (1000.0 - k as f64 * (1000.0 / n)).round_ties_even() as usize - 1)
                .collect();
            assert_eq!(Spacing::Trailing.indices(1000, steps), Ok(trailing));
            let leading: Vec<usize> = down.map(|k| (k * (1000.0 / n).floor()) as usize + 1).collect();
            assert_eq!(Spacing::Leading { offset: 1 }.indices(1000, steps), Ok(leading));
        }
        // Ties go to the even neighbour: 999/2 up, 9/2 down.
        assert_eq!(Spacing::Linspace.indices(1000, 3), Ok(vec![999, 500, 0]));
        assert_eq!(Spacing::Linspace.indices(10, 3), Ok(vec![9, 4, 0]));
    }

    #[test]
    fn offsets_stay_within_the_chain_and_grids_end_at_the_data() {
        assert!(Spacing::Leading { offset: 250 }.indices(1000, 4).is_err());
        assert_eq!(Spacing::Leading { offset: 249 }.indices(1000, 4).expect("valid")[0], 999);
        assert!(Spacing::Leading { offset: 1 }.indices(1000, 1000).is_err());
        let process = DiscreteVp::from_betas(&[0.1, 0.2, 0.3]).expect("valid");
        for spacing in ALL {
            for steps in 1..=3 {
                let Ok(grid) = spacing.grid(&process, steps) else { continue };
                assert_eq!((grid.steps(), grid.last().t, grid.last().to_end), (steps, 0.0, 3.0));
                assert!(grid.nodes().iter().all(|node| node.t.fract() == 0.0 && node.t + node.to_end == 3.0));
            }
        }
    }
}
