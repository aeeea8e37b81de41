//! Weighted sums of arrays in one pass, what a step does besides calls and draws; and sums within rows.

use std::array::from_fn;

use numeric::ndarray::ArrayRef2;
use numeric::{Real, vectorize};

use crate::sde::coefficients::slice;

/// Arrays that one step sums, at most.
pub(crate) const MOST_TERMS: usize = 8;

/// The body for each chunk of C numbers of type F, 256 bytes, from `i` on, and for each number of the rest.
macro_rules! in_chunks {
    ($len:expr, |$i:ident, $C:ident| $body:expr) => {{
        let len = $len;
        let mut $i = 0;
        if size_of::<F>() == 4 {
            const $C: usize = 64;
            while len - $i >= $C {
                $body;
                $i += $C;
            }
        } else {
            const $C: usize = 32;
            while len - $i >= $C {
                $body;
                $i += $C;
            }
        }
        const $C: usize = 1;
        while $i < len {
            $body;
            $i += $C;
        }
    }};
}
pub(crate) use in_chunks;

/// Numbers of a row treated together in [`along_row`]: few, since rows are short.
pub(crate) const CHUNK: usize = 16;

/// The body for each chunk of a row of d numbers from `from` on, and for each number of the rest.
macro_rules! along_row {
    ($d:expr, |$from:ident, $C:ident| $body:expr) => {{
        let d = $d;
        let mut $from = 0;
        {
            const $C: usize = $crate::sum::CHUNK;
            while d - $from >= $C {
                $body;
                $from += $C;
            }
        }
        const $C: usize = 1;
        while $from < d {
            $body;
            $from += 1;
        }
    }};
}
pub(crate) use along_row;

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
    /// first added what it lacks: that many times the first array, or what stands in `out` if there is none.
    Over {
        x: &'a mut [F],
        out: &'a mut [F],
        of_out: [F; 2],
        others: [F; MOST_TERMS],
        lacks: Option<F>,
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
    #[inline]
    pub(crate) fn and(mut self, b: f64, p: &'a ArrayRef2<F>) -> Sum<'a, F> {
        self.push(b, p);
        self
    }

    /// Adds the term `b p` in place: a sum is of many words, which [`and`](Self::and) may move.
    #[inline]
    pub(crate) fn push(&mut self, b: f64, p: &'a ArrayRef2<F>) {
        debug_assert!(self.terms < MOST_TERMS, "no method has more terms");
        (self.factors[self.terms], self.arrays[self.terms]) = (F::of(b), slice(p));
        self.terms += 1;
    }

    pub(crate) fn write(&self, to: Target<'_, F>) {
        // The compiler is to know the number of terms.
        match self.terms {
            0 => self.pass::<0>(to),
            1 => self.pass::<1>(to),
            2 => self.pass::<2>(to),
            3 => self.pass::<3>(to),
            4 => self.pass::<4>(to),
            5 => self.pass::<5>(to),
            6 => self.pass::<6>(to),
            7 => self.pass::<7>(to),
            8 => self.pass::<8>(to),
            n => unreachable!("no method has {n} terms"),
        }
    }

    /// In chunks of local arrays: then the compiler need not ask which slices overlap.
    fn pass<const N: usize>(&self, mut to: Target<'_, F>) {
        let len = match &to {
            Target::InPlace(x) | Target::Over { x, .. } | Target::Turning { x, .. } => x.len(),
            Target::Into { x, .. } | Target::Two { x, .. } => x.len(),
        };
        // Of one length that is known, so that it is not asked for in each chunk.
        let terms = Terms::<F, N> { a: self.a, arrays: from_fn(|k| &self.arrays[k][..len]) };
        let own = first(&self.factors);
        vectorize(
            #[inline(always)]
            || match &mut to {
                Target::InPlace(x) => {
                    let x = &mut x[..len];
                    in_chunks!(len, |i, C| {
                        let x: &mut [F; C] = part_mut(x, i);
                        *x = terms.of(i, x, &own);
                    });
                }
                Target::Into { x, out } => {
                    let (x, out) = (&x[..len], &mut out[..len]);
                    in_chunks!(len, |i, C| *part_mut::<F, C>(out, i) = terms.of(i, part(x, i), &own));
                }
                Target::Over { x, out, of_out, others, lacks } => {
                    let (x, out) = (&mut x[..len], &mut out[..len]);
                    let (of_out, others, lacks) = (*of_out, first(others), *lacks);
                    in_chunks!(len, |i, C| {
                        let (x, out): (&mut [F; C], &mut [F; C]) = (part_mut(x, i), part_mut(out, i));
                        let (mut now, was) = (*x, *out);
                        if let Some(lacks) = lacks {
                            let newest = terms.arrays.first().map_or(was, |newest| *part(newest, i));
                            add(&mut now, lacks, &newest);
                        }
                        let mut sums = [terms.of(i, &now, &own), terms.of(i, &now, &others)];
                        add(&mut sums[0], of_out[0], &was);
                        add(&mut sums[1], of_out[1], &was);
                        [*out, *x] = sums;
                    });
                }
                Target::Two { x, outs, others } => {
                    let ([one, two], others) = (outs.each_mut().map(|out| &mut out[..len]), first(others));
                    let x = &x[..len];
                    in_chunks!(len, |i, C| {
                        let x: &[F; C] = part(x, i);
                        *part_mut(one, i) = terms.of(i, x, &own);
                        *part_mut(two, i) = terms.of(i, x, &others);
                    });
                }
                Target::Turning { x, raw, of_raw, turn } => {
                    let (x, raw) = (&mut x[..len], &mut raw[..len]);
                    let (of_raw, turn) = (*of_raw, *turn);
                    in_chunks!(len, |i, C| {
                        let (x, raw): (&mut [F; C], &mut [F; C]) = (part_mut(x, i), part_mut(raw, i));
                        let (mut sum, mut turned) = (terms.of(i, x, &own), *raw);
                        for ((sum, turned), &x) in sum.iter_mut().zip(&mut turned).zip(&*x) {
                            *sum += of_raw * *turned;
                            *turned = turn[0] * x + turn[1] * *turned;
                        }
                        (*x, *raw) = (sum, turned);
                    });
                }
            },
        );
    }
}

/// What is summed of N arrays as long as x, whatever their factors.
struct Terms<'a, F, const N: usize> {
    a: F,
    arrays: [&'a [F]; N],
}

impl<F: Real, const N: usize> Terms<'_, F, N> {
    /// C numbers from `i` on.
    #[inline(always)]
    fn of<const C: usize>(&self, i: usize, x: &[F; C], factors: &[F; N]) -> [F; C] {
        let mut sum = *x;
        for sum in &mut sum {
            *sum *= self.a;
        }
        for (&b, p) in factors.iter().zip(&self.arrays) {
            add(&mut sum, b, part(p, i));
        }
        sum
    }
}

/// `sum += b p`.
#[inline(always)]
pub(crate) fn add<F: Real, const C: usize>(sum: &mut [F; C], b: F, p: &[F; C]) {
    for (sum, &p) in sum.iter_mut().zip(p) {
        *sum += b * p;
    }
}

fn first<F: Real, const N: usize>(factors: &[F; MOST_TERMS]) -> [F; N] {
    from_fn(|k| factors[k])
}

/// The C numbers from `i` on.
#[inline(always)]
pub(crate) fn part<F, const C: usize>(slice: &[F], i: usize) -> &[F; C] {
    slice[i..].first_chunk().expect("C of them")
}

#[inline(always)]
pub(crate) fn part_mut<F, const C: usize>(slice: &mut [F], i: usize) -> &mut [F; C] {
    slice[i..].first_chunk_mut().expect("C of them")
}

/// From this length on a row is no longer cut into such chunks: over many of them the compiler gathers, and next to so many
/// numbers the question which slices overlap is cheap.
pub(crate) const LONG: usize = 8 * CHUNK;

/// The numbers of a row of each array, of one length that is known, so that it is not asked for in each chunk.
#[inline(always)]
pub(crate) fn row_of<'a, F, const N: usize>(arrays: &[&'a [F]; N], row: usize, d: usize) -> [&'a [F]; N] {
    let mut parts = *arrays;
    for part in &mut parts {
        *part = &part[row * d..][..d];
    }
    parts
}

/// `x = each(x, z, m)` of rows x and z and a row m that is the same for all.
#[inline(always)]
pub(crate) fn with_row<F: Real>(x: &mut [F], z: &[F], m: &[f64], each: impl Fn(F, F, f64) -> F) {
    let d = m.len();
    vectorize(
        #[inline(always)]
        || {
            for (x, z) in x.chunks_exact_mut(d).zip(z.chunks_exact(d)) {
                along_row!(d, |from, C| {
                    let (mut new, z): ([F; C], &[F; C]) = (*part(x, from), part(z, from));
                    for ((x, &z), &m) in new.iter_mut().zip(z).zip(part::<f64, C>(m, from)) {
                        *x = each(*x, z, m);
                    }
                    *part_mut(x, from) = new;
                });
            }
        },
    );
}

/// Horizontal sums run in [`CHUNK`] lanes, so that they vectorise; in as many for every instruction set.
#[inline(always)]
fn sum_in_lanes<F: Real>(len: usize, term: impl Fn(usize) -> F) -> F {
    let mut lanes = [F::zero(); CHUNK];
    let whole = len / CHUNK * CHUNK;
    for first in (0..whole).step_by(CHUNK) {
        for (l, lane) in lanes.iter_mut().enumerate() {
            *lane += term(first + l);
        }
    }
    for i in whole..len {
        lanes[i - whole] += term(i);
    }
    total(lanes)
}

/// The sum of the lanes, by halves.
#[inline(always)]
pub(crate) fn total<F: Real>(mut lanes: [F; CHUNK]) -> F {
    let mut width = CHUNK / 2;
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
