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
    search(target, parts(), a.len(), weight)
}

/// A state other than `not`, with probability in proportion to `a`.
pub(super) fn pick_other<T: Real>(u: f64, a: &[T], not: usize) -> Option<u32> {
    let (left, right) = (&a[..not], &a[not + 1..]);
    let before = sum(left);
    let target = u * (before + sum(right));
    let in_left = |target| search(target, left.as_chunks().0.iter().map(part_sum), not, |s| left[s].as_f64());
    let in_right = |target| {
        let parts = right.as_chunks().0.iter().map(part_sum);
        search(target, parts, right.len(), |s| right[s].as_f64()).map(|s| s + not as u32 + 1)
    };
    // A side without weight has no state.
    if target < before {
        in_left(target).or_else(|| in_right(0.0))
    } else {
        in_right(target - before).or_else(|| in_left(target))
    }
}

/// The state at which the running sum of the weights exceeds the target, found among the sums of whole parts first; after
/// rounding at the end, the last one of positive weight.
#[inline(always)]
fn search(
    target: f64,
    parts: impl Iterator<Item = f64>,
    states: usize,
    weight: impl Fn(usize) -> f64,
) -> Option<u32> {
    let (mut sum, mut start) = (0.0, 0);
    for part in parts {
        if sum + part > target {
            break;
        }
        sum += part;
        start += PART;
    }
    let mut last = None;
    for s in start..states {
        let weight = weight(s);
        if weight > 0.0 {
            last = Some(s);
            sum += weight;
            if sum > target {
                break;
            }
        }
    }
    last.or_else(|| (0..start).rev().find(|&s| weight(s) > 0.0)).map(|s| s as u32)
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
