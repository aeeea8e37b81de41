//! A step of a group of rows, once whole and once as its halves.

use numeric::ndarray::{ArrayRef2, s};
use numeric::{Error, Node, Real, Scratch, check_finite, vectorize};

use super::Tolerance;
use super::block::Block;
use super::rows::{gather, rows_in, scatter};
use crate::Sde;
use crate::integrator::Integrator;
use crate::sde::coefficients::{slice, slice_mut};

impl<F: Real, E: Sde<F>, K: Integrator<F>> Block<'_, F, E, K> {
    /// Tries a step: finds the places in a group of the rows whose halves are good enough, and moves these to the end of the
    /// node, and the places of those that go down into it.
    pub(super) fn try_step(
        &mut self,
        (group, rows, node): (&[usize], &[u64], Node),
        [whole, left, right]: [[&ArrayRef2<F>; 2]; 3],
        [accepted, descending]: [&mut Vec<usize>; 2],
        (states, squares): (&mut [Vec<F>; 4], &mut Vec<f64>),
        scratch: &mut Scratch,
    ) -> Result<(), Error> {
        let [first, second] = node.children().expect("nodes at the deepest level are not tried");
        let (n, d) = (group.len(), self.x.ncols());
        let [mut x, mut once, mut middle, mut twice] = states.each_mut().map(|buffer| rows_in(buffer, n, d));
        gather(self.x, group, &mut x);
        self.step_once((group, rows, node), &x, whole, &mut once, scratch)?;
        slice_mut(&mut middle).copy_from_slice(slice(&x));
        self.step(rows, first, left, &mut middle, scratch)?;
        slice_mut(&mut twice).copy_from_slice(slice(&middle));
        self.step(rows, second, right, &mut twice, scratch)?;
        square_errors(self.solver.tolerance, [&x, &once, &twice].map(|rows| slice(rows)), squares);
        for (j, squares) in squares.chunks_exact(d).enumerate() {
            // Of the two ways through the step, in units of the tolerance; NaN where one is not finite.
            let error = (squares.iter().sum::<f64>() / d as f64).sqrt();
            let wanted = &mut self.wanted[group[j]];
            if error <= 1.0 {
                // Twice the step next time if the error allows it, with a margin.
                *wanted = node.level - u32::from(node.level > 0 && error * self.solver.growth < 0.5);
                accepted.push(j);
            } else if node.level + 2 > Node::MAX_LEVEL {
                let time = self.solver.time(node.cell, node.ticks().start).t;
                let (routine, iterations) = ("adaptive steps", node.level as usize);
                let steep = Error::NotConverged { routine, iterations, residual: error };
                let end = twice.slice(s![j..=j, ..]);
                let infinite = check_finite("the state", &rows[j..=j], node.cell, time, end);
                (self.live, self.failure) = (group[j], Some(infinite.err().unwrap_or(steep)));
                break;
            } else {
                *wanted = node.level + 1;
                descending.push(j);
            }
        }
        self.accepted += accepted.len() as u64;
        self.rejected += descending.len() as u64;
        if !accepted.is_empty() && !self.asked_within(node).is_empty() {
            self.keep_between(group, accepted, node, [&x, &middle], scratch)?;
        }
        scatter(&twice, accepted, group, self.x);
        scatter(&middle, descending, group, &mut self.ahead);
        for (places, is_ahead) in [(accepted, false), (descending, true)] {
            places.iter().for_each(|&j| self.is_ahead[group[j]] = is_ahead);
        }
        Ok(())
    }

    /// The whole step, of the rows that have not taken it as the first half of the step before.
    fn step_once(
        &mut self,
        (group, rows, node): (&[usize], &[u64], Node),
        x: &ArrayRef2<F>,
        whole: [&ArrayRef2<F>; 2],
        once: &mut ArrayRef2<F>,
        scratch: &mut Scratch,
    ) -> Result<(), Error> {
        let mut buffers: Behind<F> = scratch.take();
        let Behind { places, rows: behind, path, ends } = &mut buffers;
        places.clear();
        places.extend((0..group.len()).filter(|&j| !self.is_ahead[group[j]]));
        if places.len() == group.len() {
            slice_mut(once).copy_from_slice(slice(x));
            self.step(rows, node, whole, once, scratch)?;
        } else {
            gather(&self.ahead, group, once);
            if !places.is_empty() {
                behind.clear();
                behind.extend(places.iter().map(|&j| rows[j]));
                let mut path = self.path_in(path, places.len());
                for (part, whole) in path.iter_mut().zip(whole) {
                    gather(whole, places, part);
                }
                let d = x.ncols();
                let mut ends = rows_in(ends, places.len(), d);
                gather(x, places, &mut ends);
                self.step(behind, node, [&path[0], &path[1]], &mut ends, scratch)?;
                for (end, &j) in slice(&ends).chunks_exact(d).zip(&*places) {
                    slice_mut(once)[j * d..][..d].copy_from_slice(end);
                }
            }
        }
        scratch.put(buffers);
        Ok(())
    }
}

/// Writes the squares of the differences between two ways from `x`, in units of the tolerance.
fn square_errors<F: Real>(
    Tolerance { relative, absolute }: Tolerance,
    [x, once, twice]: [&[F]; 3],
    squares: &mut Vec<f64>,
) {
    squares.resize(x.len(), 0.0);
    vectorize(
        #[inline(always)]
        || {
            for (((square, x), once), twice) in squares.iter_mut().zip(x).zip(once).zip(twice) {
                let [x, once, twice] = [x, once, twice].map(|a| a.as_f64());
                let error = (once - twice) / (absolute + relative * x.abs().max(twice.abs()));
                *square = error * error;
            }
        },
    );
}

/// What the rows of a group that have a whole step to take need.
#[derive(Default)]
struct Behind<F> {
    /// Their places in the group.
    places: Vec<usize>,
    rows: Vec<u64>,
    path: [Vec<F>; 2],
    ends: Vec<F>,
}
