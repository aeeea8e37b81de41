//! Weighted sums of arrays in one pass, what a step does besides calls and draws; and sums within rows.

use numeric::ndarray::ArrayRef2;
use numeric::{Real, vectorize};

use crate::sde::coefficients::slice;

/// Arrays that one step sums, at most.
pub(crate) const MOST_TERMS: usize = 5;

/// `a x + Σ b p`, term by term in their order.
pub(crate) struct Sum<'a, F> {
    a: F,
    factors: [F; MOST_TERMS],
    arrays: [&'a [F]; MOST_TERMS],
    terms: usize,
}

/// Where a [`Sum`] is written.
pub(crate) enum Target<'a, F> {
    InPlace(&'a mut [F]),
    Into {
        x: &'a [F],
        out: &'a mut [F],
    },
    /// Over `out`, and with other factors over x; what stands in `out` is a term more of either, with `of_out`. To x is
    /// first added what it lacks: `lacks` times the first array, or what stands in `out` if there is none.
    Over {
        x: &'a mut [F],
        out: &'a mut [F],
        of_out: [F; 2],
        others: [F; MOST_TERMS],
        lacks: F,
    },
    /// Over both `outs`, the second with other factors.
    Two {
        x: &'a [F],
        outs: [&'a mut [F]; 2],
        others: [F; MOST_TERMS],
    },
    /// In place with one term more, `of_raw · raw`, and over `raw` the combination `turn` of x and raw.
    Turning {
        x: &'a mut [F],
        raw: &'a mut [F],
        of_raw: F,
        turn: [F; 2],
    },
}

impl<'a, F: Real> Sum<'a, F> {
    /// The terms `scale b p`.
    pub(crate) fn new(a: f64, scale: f64, terms: &[(f64, &'a ArrayRef2<F>)]) -> Sum<'a, F> {
        terms.iter().fold(Sum::of_x(a), |sum, &(b, p)| sum.and(scale * b, p))
    }

    /// `a x`.
    pub(crate) fn of_x(a: f64) -> Sum<'a, F> {
        Sum { a: F::of(a), factors: [F::zero(); MOST_TERMS], arrays: [&[]; MOST_TERMS], terms: 0 }
    }

    /// With the term `b p`.
    pub(crate) fn and(mut self, b: f64, p: &'a ArrayRef2<F>) -> Sum<'a, F> {
        debug_assert!(self.terms < MOST_TERMS, "no method has more terms");
        (self.factors[self.terms], self.arrays[self.terms]) = (F::of(b), slice(p));
        self.terms += 1;
        self
    }

    pub(crate) fn write(&self, mut to: Target<'_, F>) {
        // The compiler is to know the number of terms.
        match self.terms {
            0 => self.pass::<0>(&mut to),
            1 => self.pass::<1>(&mut to),
            2 => self.pass::<2>(&mut to),
            3 => self.pass::<3>(&mut to),
            4 => self.pass::<4>(&mut to),
            5 => self.pass::<5>(&mut to),
            n => unreachable!("no method has {n} terms"),
        }
    }

    /// In chunks of local arrays: then the compiler need not ask which slices overlap.
    fn pass<const N: usize>(&self, to: &mut Target<'_, F>) {
        const CHUNK: usize = 32;
        let len = match to {
            Target::InPlace(x) | Target::Over { x, .. } | Target::Turning { x, .. } => x.len(),
            Target::Into { x, .. } | Target::Two { x, .. } => x.len(),
        };
        let whole = len / CHUNK * CHUNK;
        vectorize(
            #[inline(always)]
            || {
                for i in (0..whole).step_by(CHUNK) {
                    self.chunk::<N, CHUNK>(i, to);
                }
                for i in whole..len {
                    self.chunk::<N, 1>(i, to);
                }
            },
        );
    }

    /// C numbers from `i` on, of N terms.
    #[inline(always)]
    fn chunk<const N: usize, const C: usize>(&self, i: usize, to: &mut Target<'_, F>) {
        let part = "as long as x";
        match to {
            Target::InPlace(x) => {
                let x: &mut [F; C] = x[i..].first_chunk_mut().expect(part);
                *x = self.of::<N, C>(i, x, &self.factors);
            }
            Target::Into { x, out } => {
                let x: &[F; C] = x[i..].first_chunk().expect(part);
                *out[i..].first_chunk_mut().expect(part) = self.of::<N, C>(i, x, &self.factors);
            }
            Target::Over { x, out, of_out, others, lacks } => {
                let x: &mut [F; C] = x[i..].first_chunk_mut().expect(part);
                let out: &mut [F; C] = out[i..].first_chunk_mut().expect(part);
                let was = *out;
                if *lacks != F::zero() {
                    let first = if N > 0 { self.arrays[0][i..].first_chunk().expect(part) } else { &was };
                    for (x, &p) in x.iter_mut().zip(first) {
                        *x += *lacks * p;
                    }
                }
                let mut sums = [self.of::<N, C>(i, x, &self.factors), self.of::<N, C>(i, x, others)];
                for (sum, of_out) in sums.iter_mut().zip(of_out) {
                    for (sum, &was) in sum.iter_mut().zip(&was) {
                        *sum += *of_out * was;
                    }
                }
                [*out, *x] = sums;
            }
            Target::Two { x, outs: [first, second], others } => {
                let x: &[F; C] = x[i..].first_chunk().expect(part);
                *first[i..].first_chunk_mut().expect(part) = self.of::<N, C>(i, x, &self.factors);
                *second[i..].first_chunk_mut().expect(part) = self.of::<N, C>(i, x, others);
            }
            Target::Turning { x, raw, of_raw, turn } => {
                let x: &mut [F; C] = x[i..].first_chunk_mut().expect(part);
                let raw: &mut [F; C] = raw[i..].first_chunk_mut().expect(part);
                let (mut sum, mut turned) = (self.of::<N, C>(i, x, &self.factors), *raw);
                for ((sum, turned), &x) in sum.iter_mut().zip(&mut turned).zip(&*x) {
                    *sum += *of_raw * *turned;
                    *turned = turn[0] * x + turn[1] * *turned;
                }
                (*x, *raw) = (sum, turned);
            }
        }
    }

    #[inline(always)]
    fn of<const N: usize, const C: usize>(&self, i: usize, x: &[F; C], factors: &[F; MOST_TERMS]) -> [F; C] {
        let mut sum = *x;
        for sum in &mut sum {
            *sum *= self.a;
        }
        for (&b, p) in factors.iter().zip(&self.arrays).take(N) {
            let p: &[F; C] = p[i..].first_chunk().expect("as long as x");
            for (sum, &p) in sum.iter_mut().zip(p) {
                *sum += b * p;
            }
        }
        sum
    }
}

/// Lanes in which horizontal sums run, so that they vectorise; the same for every instruction set.
const LANES: usize = 16;

#[inline(always)]
fn sum_in_lanes<F: Real>(len: usize, term: impl Fn(usize) -> F) -> F {
    let mut lanes = [F::zero(); LANES];
    let whole = len / LANES * LANES;
    for first in (0..whole).step_by(LANES) {
        for (l, lane) in lanes.iter_mut().enumerate() {
            *lane += term(first + l);
        }
    }
    for i in whole..len {
        lanes[i - whole] += term(i);
    }
    let mut width = LANES / 2;
    while width > 0 {
        for l in 0..width {
            lanes[l] += lanes[l + width];
        }
        width /= 2;
    }
    lanes[0]
}

/// `Σ a b`.
#[inline(always)]
pub(crate) fn dot<F: Real>(a: &[F], b: &[F]) -> F {
    let b = &b[..a.len()];
    sum_in_lanes(a.len(), |i| a[i] * b[i])
}

/// `√Σ a²`, also where a square is infinite and a is not; NaN for infinite and NaN entries.
#[inline(always)]
pub(crate) fn norm<F: Real>(a: &[F]) -> F {
    let square = dot(a, a);
    if square.is_finite() {
        return square.sqrt();
    }
    let top = a.iter().fold(F::zero(), |top, x| if x.abs() > top { x.abs() } else { top });
    top * a.iter().map(|&x| (x / top) * (x / top)).sum::<F>().sqrt()
}

/// `Σ w y²`.
#[inline(always)]
pub(crate) fn weighted_square<F: Real>(y: &[F], weights: &[F]) -> F {
    let weights = &weights[..y.len()];
    sum_in_lanes(y.len(), |i| y[i] * y[i] * weights[i])
}
