//! Propensities between integer states, and the equation of the implicit method.

use numeric::Error;

use crate::network::Network;

/// Propensities at real numbers: linear in each count from one integer to the next, and beyond 0 as between 0 and 1.
#[derive(Clone, Debug)]
pub(super) struct Smooth {
    floor: Vec<u32>,
}

impl Smooth {
    pub(super) fn new(species: usize) -> Smooth {
        Smooth { floor: vec![0; species] }
    }

    /// Sets the state.
    pub(super) fn set(&mut self, x: &[f64]) {
        // The cast takes negative numbers to 0.
        self.floor.iter_mut().zip(x).for_each(|(floor, x)| *floor = (x.floor() as u32).min(u32::MAX - 1));
    }

    /// The propensity in the state x that was set, with the slopes in the species that it reads.
    pub(super) fn propensity(
        &mut self,
        network: &Network,
        reaction: usize,
        time: f64,
        x: &[f64],
        mut slope: impl FnMut(usize, f64),
    ) -> Result<f64, Error> {
        let base = network.check_rate(reaction, network.value(reaction, time, &self.floor))?;
        let mut sum = base;
        for &species in network.reads(reaction) {
            let species = species as usize;
            self.floor[species] += 1;
            let above = network.value(reaction, time, &self.floor);
            self.floor[species] -= 1;
            let difference = network.check_rate(reaction, above)? - base;
            sum += difference * (x[species] - f64::from(self.floor[species]));
            slope(species, difference);
        }
        Ok(sum)
    }
}

/// Newton's method for $`x' = b + \tau \sum_r \nu_r a_r(x')`$.
#[derive(Clone, Debug)]
pub(super) struct Newton {
    smooth: Smooth,
    /// The solution.
    pub(super) x: Vec<f64>,
    /// The propensities there.
    pub(super) propensities: Vec<f64>,
    matrix: Vec<f64>,
    residual: Vec<f64>,
    slopes: Vec<f64>,
}

/// Relative corrections below it end the iteration.
const CLOSE: f64 = 1e-10;

/// A step that takes longer is too long.
const MOST_ITERATIONS: usize = 40;

impl Newton {
    pub(super) fn new(network: &Network) -> Newton {
        let (species, reactions) = (network.species().len(), network.reactions().len());
        Newton {
            smooth: Smooth::new(species),
            x: vec![0.0; species],
            propensities: vec![0.0; reactions],
            matrix: vec![0.0; species * species],
            residual: vec![0.0; species],
            slopes: vec![0.0; species],
        }
    }

    /// Solves the equation from the start `self.x`, some reactions apart; false if that does not converge.
    pub(super) fn solve(
        &mut self,
        network: &Network,
        time: f64,
        base: &[f64],
        step: f64,
        apart: &[bool],
    ) -> Result<bool, Error> {
        let species = base.len();
        for _ in 0..MOST_ITERATIONS {
            self.smooth.set(&self.x);
            self.matrix.fill(0.0);
            for (i, ((residual, x), base)) in self.residual.iter_mut().zip(&self.x).zip(base).enumerate() {
                self.matrix[i * species + i] = 1.0;
                *residual = x - base;
            }
            let propensities = self.propensities.iter_mut().enumerate();
            for (reaction, propensity) in propensities.filter(|(r, _)| !apart[*r]) {
                self.slopes.fill(0.0);
                let slopes = &mut self.slopes;
                let set = |of: usize, slope| slopes[of] = slope;
                *propensity = self.smooth.propensity(network, reaction, time, &self.x, set)?;
                for &(changed, change) in network.changes(reaction) {
                    let change = step * f64::from(change);
                    self.residual[changed as usize] -= change * *propensity;
                    for &read in network.reads(reaction) {
                        self.matrix[changed as usize * species + read as usize] -=
                            change * slopes[read as usize];
                    }
                }
            }
            if !solve_in_place(&mut self.matrix, &mut self.residual) {
                return Ok(false);
            }
            let mut greatest = 0.0_f64;
            for (x, correction) in self.x.iter_mut().zip(&self.residual) {
                *x -= correction;
                greatest = greatest.max(correction.abs() / x.abs().max(1.0));
            }
            if greatest <= CLOSE {
                // The propensities are those before the last correction, which is nothing.
                return Ok(true);
            }
            if !greatest.is_finite() {
                return Ok(false);
            }
        }
        Ok(false)
    }
}

/// Solves a system by elimination with partial pivoting; false if it is singular. The matrix is by rows.
fn solve_in_place(matrix: &mut [f64], right: &mut [f64]) -> bool {
    let n = right.len();
    for column in 0..n {
        let size = |row: usize| matrix[row * n + column].abs();
        let pivot = (column..n).fold(column, |best, row| if size(row) > size(best) { row } else { best });
        if !(size(pivot) > 0.0) {
            return false;
        }
        if pivot != column {
            (0..n).for_each(|j| matrix.swap(pivot * n + j, column * n + j));
            right.swap(pivot, column);
        }
        for row in column + 1..n {
            let factor = matrix[row * n + column] / matrix[column * n + column];
            if factor != 0.0 {
                (column..n).for_each(|j| matrix[row * n + j] -= factor * matrix[column * n + j]);
                right[row] -= factor * right[column];
            }
        }
    }
    for row in (0..n).rev() {
        let known: f64 = (row + 1..n).map(|j| matrix[row * n + j] * right[j]).sum();
        right[row] = (right[row] - known) / matrix[row * n + row];
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::{Counting, Rate, Reaction};

    #[test]
    fn linear_systems() {
        let mut matrix = [0.0, 2.0, 1.0, 1.0, 1.0, 1.0, 4.0, 0.0, -1.0];
        let mut right = [7.0, 6.0, 1.0];
        assert!(solve_in_place(&mut matrix, &mut right));
        for (found, exact) in right.iter().zip([1.0, 2.0, 3.0]) {
            assert!((found - exact).abs() < 1e-15);
        }
        assert!(!solve_in_place(&mut [1.0, 2.0, 2.0, 4.0], &mut [1.0, 1.0]));
        assert!(solve_in_place(&mut [], &mut []));
    }

    #[test]
    fn the_implicit_equation_of_a_pair() {
        // x' = 50 − τ · 2 · 0.1 x'(x' − 1)/2 …, a parabola between integers up to 1/4 · 0.1.
        let pair = Rate::mass_action(0.1, Counting::Combinations);
        let network = Network::new(["X"], vec![Reaction::new("pair", [("X", 2)], [], pair)]).unwrap();
        let mut newton = Newton::new(&network);
        newton.x[0] = 50.0;
        assert!(newton.solve(&network, 0.0, &[50.0], 3.0, &[false]).unwrap());
        let exact = (-0.7 + (0.49_f64 + 4.0 * 0.3 * 50.0).sqrt()) / 0.6;
        assert!((newton.x[0] - exact).abs() < 0.01, "{} {exact}", newton.x[0]);
        assert!((50.0 - 6.0 * newton.propensities[0] - newton.x[0]).abs() < 1e-6);
    }
}
