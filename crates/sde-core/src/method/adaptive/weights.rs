//! What a try sums, with weights of each row's own.

use numeric::{Error, Level, Prediction, Real, vectorize};

use super::block::Flight;
use crate::Tolerance;
use crate::sum::{CHUNK, along_row, part, part_mut, row_of, total};

/// Factors of sums of x, of the prediction p there, and of the argument and the prediction of the newest stage, for each row.
///
/// With `ε = a x + b p` at each stage the sums are over what the model itself predicts: there is no pass that converts
/// it, and in `f32` no rounding of ε, in which x and α E[x_0|x] nearly cancel near the data.
#[derive(Debug, Default)]
pub(super) struct Weights<F> {
    /// Of x and p: the second stage, and the result of the lower order of 2. At order 3 that result comes with the third
    /// stage, and what stands in its place here is written over.
    pub(super) second: Vec<[[F; 2]; 2]>,
    /// Of all at order 3: the third stage, and the result of the lower order.
    pub(super) third: Vec<[[F; 4]; 2]>,
    /// The result of order 2, of all but p, and that of order 3, of all.
    pub(super) end_2: Vec<[F; 3]>,
    pub(super) end_3: Vec<[F; 4]>,
}

impl<F: Real> Weights<F> {
    /// For steps of length h from each row's position: `kept` is `ρ_1 = e^{−h/k}`, `kept_less_1` is that less 1, and
    /// `levels` are those of the stages after the first and of the end.
    pub(super) fn find(
        &mut self,
        prediction: Prediction,
        flights: &[Flight],
        (kept, kept_less_1): (&[f64], &[f64]),
        levels: &[Level],
        order: usize,
    ) -> Result<(), Error> {
        let n = flights.len();
        self.second.clear();
        self.third.clear();
        self.end_2.clear();
        self.end_3.clear();
        for (r, flight) in flights.iter().enumerate() {
            let ratio = flight.at.ratio;
            let noise = |level: Level| prediction.conversion(Prediction::Noise, level);
            let level = |stage: usize| levels[stage * n + r];
            let (second, end) = (level(0), level(order - 1).alpha);
            let [(a, b), (a_1, b_1)] = [noise(flight.at.level)?, noise(second)?];
            // In u = x/α each result is u + the weights of the slopes ε; here those of ε_0 and of the newest.
            let u = 1.0 / flight.at.level.alpha;
            let terms = |alpha: f64, [of_first, of_newest]: [f64; 2], (a_i, b_i): (f64, f64)| {
                let in_u = [u + of_first * a, of_first * b, of_newest * a_i, of_newest * b_i];
                in_u.map(|weight| F::of(alpha * weight))
            };
            // 1 − ρ of the way to each stage, from 1 − ρ_1 without cancellation; r_i − r = −r (1 − ρ).
            let (rho, lost) = (kept[r], -kept_less_1[r]);
            let lost_2 = lost * (1.0 + rho);
            let of_first = |alpha: f64, change: f64| {
                let [x, p, ..] = terms(alpha, [change, 0.0], (0.0, 0.0));
                [x, p]
            };
            let stage = of_first(second.alpha, -ratio * lost);
            if order == 2 {
                let change = -ratio * lost_2;
                self.second.push([stage, of_first(end, change)]);
                let [x, _, argument, p] = terms(end, [0.0, change], (a_1, b_1));
                self.end_2.push([x, argument, p]);
                continue;
            }
            self.second.push([stage, stage]);
            let third = level(1);
            let (a_2, b_2) = noise(third)?;
            let rho_2 = rho * rho;
            let (lost_3, rho_3) = (lost * (1.0 + rho + rho_2), rho_2 * rho);
            // r' h φ_2(h) = r ((1 − ρ) − ρ h)/h. Its digits cancel for small h, but what is left of their rounding is that of r
            // times a difference of two slopes: no more than the rounding of u.
            let bend = |lost: f64, rho: f64, h: f64| -ratio * (lost - rho * h) / h;
            let bend_2 = 2.0 * bend(lost_2, rho_2, flight.step * (2.0 / 3.0));
            let bend_3 = 1.5 * bend(lost_3, rho_3, flight.step);
            let change = -ratio * lost_3;
            let stage = terms(third.alpha, [-ratio * lost_2 - bend_2, bend_2], (a_1, b_1));
            self.third.push([stage, terms(end, [-0.5 * change, 1.5 * change], (a_1, b_1))]);
            self.end_3.push(terms(end, [change - bend_3, bend_3], (a_2, b_2)));
        }
        Ok(())
    }
}

/// The two sums over N arrays of rows of d numbers.
pub(super) fn combine<F: Real, const N: usize>(
    weights: &[[[F; N]; 2]],
    arrays: [&[F]; N],
    d: usize,
    outs: [&mut [F]; 2],
) {
    let [one, two] = outs;
    vectorize(
        #[inline(always)]
        || {
            for (r, weights) in weights.iter().enumerate() {
                let arrays = row_of(&arrays, r, d);
                let (one, two) = (&mut one[r * d..][..d], &mut two[r * d..][..d]);
                along_row!(d, |from, C| {
                    let sums = [sum::<F, N, C>(&weights[0], &arrays, from), sum(&weights[1], &arrays, from)];
                    [*part_mut(one, from), *part_mut(two, from)] = sums;
                });
            }
        },
    );
}

/// The C numbers of a sum from `from` on.
#[inline(always)]
fn sum<F: Real, const N: usize, const C: usize>(weights: &[F; N], arrays: &[&[F]; N], from: usize) -> [F; C] {
    let mut sums = [F::zero(); C];
    for (j, (&weight, array)) in weights.iter().zip(arrays).enumerate() {
        let array: &[F; C] = part(array, from);
        for (sum, &x) in sums.iter_mut().zip(array) {
            *sum = if j == 0 { weight * x } else { *sum + weight * x };
        }
    }
    sums
}

/// The sum over N arrays, which is the result of the higher order, over `high`, and of each row d E² over `squares`, in as
/// many parts as a chunk has numbers.
pub(super) fn finish<F: Real, const N: usize>(
    weights: &[[F; N]],
    arrays: [&[F]; N],
    (tolerance, before, low): (Tolerance, &[F], &[F]),
    d: usize,
    high: &mut [F],
    squares: &mut [[F; CHUNK]],
) {
    let (relative, absolute) = (F::of(tolerance.relative), F::of(tolerance.absolute));
    vectorize(
        #[inline(always)]
        || {
            for (r, (weights, squares)) in weights.iter().zip(squares.iter_mut()).enumerate() {
                let arrays = row_of(&arrays, r, d);
                let ([before, low], high) = (row_of(&[before, low], r, d), &mut high[r * d..][..d]);
                // Numbers behind the last chunk, which are few, all go to the first part.
                *squares = [F::zero(); CHUNK];
                along_row!(d, |from, C| {
                    let sums: [F; C] = sum(weights, &arrays, from);
                    *part_mut(high, from) = sums;
                    let (before, low): (&[F; C], &[F; C]) = (part(before, from), part(low, from));
                    for j in 0..C {
                        let size = relative * larger(low[j].abs(), before[j].abs());
                        let share = (sums[j] - low[j]) / larger(size, absolute);
                        squares[j] += share * share;
                    }
                });
            }
        },
    );
}

/// E² of each row from the parts of d E².
pub(super) fn add_up<F: Real>(
    parts: &[[F; CHUNK]],
    tolerance: Tolerance,
    [before, low, high]: [&[F]; 3],
    d: usize,
    squares: &mut [f64],
) {
    for (r, (square, parts)) in squares.iter_mut().zip(parts).enumerate() {
        let sum = total(*parts);
        let sum = if sum.is_finite() {
            sum.as_f64()
        } else {
            wide_square(tolerance, row_of(&[before, low, high], r, d))
        };
        *square = sum / d as f64;
    }
}

#[inline(always)]
fn larger<F: Real>(a: F, b: F) -> F {
    if a >= b { a } else { b }
}

/// d E² of a row, where numbers of type F may not reach that far.
#[cold]
fn wide_square<F: Real>(tolerance: Tolerance, [before, low, high]: [&[F]; 3]) -> f64 {
    let Tolerance { relative, absolute } = tolerance;
    let square = |((before, low), high): ((&F, &F), &F)| {
        let [before, low, high] = [before, low, high].map(|x| x.as_f64());
        ((high - low) / absolute.max(relative * low.abs().max(before.abs()))).powi(2)
    };
    before.iter().zip(low).zip(high).map(square).sum()
}
