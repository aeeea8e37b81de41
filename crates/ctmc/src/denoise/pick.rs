//! States drawn by their weights, found among sums of parts first.

use numeric::Real;

/// A state with probability in proportion to `a` times `b`, if one of the products is positive.
pub(super) fn pick<T: Real>(u: f64, a: &[T], b: &[T]) -> Option<u32> {
    let (a_parts, a_rest) = a.as_chunks::<PART>();
    let (b_parts, b_rest) = b.as_chunks::<PART>();
    let parts = || a_parts.iter().zip(b_parts).map(|(a, b)| part_dot(a, b).as_f64());
    let rest: T = a_rest.iter().zip(b_rest).map(|(&a, &b)| a * b).sum();
    let target = u * (parts().sum::<f64>() + rest.as_f64());
    let weight = |s: usize| (a[s] * b[s]).as_f64();
    // The product may round up to the total.
    search(target, parts(), a.len(), weight).ok().or_else(|| last(a.len(), weight)).map(|s| s as u32)
}

/// The state other than `not` at which the running sum of `a` exceeds the target, else the last one of positive weight.
pub(super) fn find_other<T: Real>(target: f64, a: &[T], not: usize) -> Option<u32> {
    let (left, right) = (&a[..not], &a[not + 1..]);
    let in_side = |side: &[T], target| {
        search(target, side.as_chunks().0.iter().map(part_sum), side.len(), |s| side[s].as_f64())
    };
    let last_in = |side: &[T]| last(side.len(), |s| side[s].as_f64());
    let right_of = |s: usize| s + not + 1;
    let found = match in_side(left, target) {
        Ok(s) => Some(s),
        Err(sum) => in_side(right, target - sum)
            .ok()
            .or_else(|| last_in(right))
            .map(right_of)
            .or_else(|| last_in(left)),
    };
    found.map(|s| s as u32)
}

/// Σ a but for one entry.
pub(super) fn sum_of_others<T: Real>(a: &[T], not: usize) -> f64 {
    sum(&a[..not]) + sum(&a[not + 1..])
}

/// The state of positive weight at which the running sum exceeds the target, found among the sums of whole parts first; the
/// whole sum if it never does.
#[inline(always)]
fn search(
    target: f64,
    parts: impl Iterator<Item = f64>,
    states: usize,
    weight: impl Fn(usize) -> f64,
) -> Result<usize, f64> {
    let (mut sum, mut start) = (0.0, 0);
    for part in parts {
        if sum + part > target {
            break;
        }
        sum += part;
        start += PART;
    }
    for s in start..states {
        let weight = weight(s);
        sum += weight;
        if weight > 0.0 && sum > target {
            return Ok(s);
        }
    }
    Err(sum)
}

/// The last state of positive weight.
#[cold]
fn last(states: usize, weight: impl Fn(usize) -> f64) -> Option<usize> {
    (0..states).rev().find(|&s| weight(s) > 0.0)
}

/// Weights that are summed at a time.
const PART: usize = 16;

#[inline(always)]
fn sum<T: Real>(a: &[T]) -> f64 {
    let (parts, rest) = a.as_chunks::<PART>();
    let (mut whole, mut last) = (0.0, 0.0);
    for part in parts {
        whole += part_sum(part);
    }
    for a in rest {
        last += a.as_f64();
    }
    whole + last
}

#[inline(always)]
fn part_sum<T: Real>(a: &[T; PART]) -> f64 {
    let mut sums = [T::zero(); 4];
    for k in 0..PART {
        sums[k % 4] += a[k];
    }
    ((sums[0] + sums[2]) + (sums[1] + sums[3])).as_f64()
}

#[inline(always)]
fn part_dot<T: Real>(a: &[T; PART], b: &[T; PART]) -> T {
    let mut sums = [T::zero(); 4];
    for k in 0..PART {
        sums[k % 4] += a[k] * b[k];
    }
    (sums[0] + sums[2]) + (sums[1] + sums[3])
}

/// Σ a b.
#[inline(always)]
pub(super) fn dot<F: Real>(a: &[F], b: &[F]) -> F {
    let (a_parts, a_rest) = a.as_chunks::<PART>();
    let (b_parts, b_rest) = b.as_chunks::<PART>();
    let mut sums = [F::zero(); PART];
    for (a, b) in a_parts.iter().zip(b_parts) {
        for k in 0..PART {
            sums[k] += a[k] * b[k];
        }
    }
    let rest: F = a_rest.iter().zip(b_rest).map(|(&a, &b)| a * b).sum();
    for width in [8, 4, 2, 1] {
        for k in 0..width {
            sums[k] += sums[k + width];
        }
    }
    sums[0] + rest
}
