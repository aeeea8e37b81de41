//! Value stability: pinned numbers.

use std::fmt::{Debug, Write};

/// Asserts that `found` equals the pinned `expected` values up to rounding.
///
/// Entry $`i`$ passes if $`|f_i - e_i| \le`$ `tolerance` $`\cdot |e_i|`$: the tolerance is relative, so that
/// a small pinned value is as binding as a large one and an all-zero output never passes. An expected zero
/// must be found as zero. For numbers that must not change in any bit use [`assert_golden_exact`] on
/// [`f64::to_bits`], or a tolerance of 0 (which tells neither 0 from −0 nor one NaN from another: NaN never
/// passes).
///
/// # Panics
/// If the lengths differ, an entry does not pass, or the tolerance is negative or NaN. The message names the
/// first bad entry and prints the found values as a literal, ready to paste: shortest decimals that give the
/// same bits.
///
/// ```
/// verify::assert_golden("quarter circle", &[(-1.0_f64).acos()], &[3.141592653589793], 1e-15);
/// ```
///
/// ```should_panic
/// verify::assert_golden("all zero", &[0.0], &[4.69e-7], 1e-2);
/// ```
#[track_caller]
pub fn assert_golden(name: &str, found: &[f64], expected: &[f64], tolerance: f64) {
    assert!(tolerance >= 0.0, "golden values of {name}: tolerance is {tolerance}; expected one not below 0");
    compare(
        name,
        found,
        expected,
        |f, e| (f - e).abs() <= tolerance * e.abs(),
        |f, e| format!("relative difference {:.3e}, tolerance {tolerance:.3e}", ((f - e) / e).abs()),
    );
}

/// Asserts that `found` equals the pinned `expected` values exactly: integers, states, bits, names.
///
/// # Panics
/// If the lengths differ or an entry does; the message is like that of [`assert_golden`].
///
/// ```
/// let bits = [1.0_f64.to_bits(), (-0.0_f64).to_bits()];
/// verify::assert_golden_exact("bits of 1 and -0", &bits, &[0x3ff << 52, 1 << 63]);
/// ```
#[track_caller]
pub fn assert_golden_exact<T: PartialEq + Debug>(name: &str, found: &[T], expected: &[T]) {
    compare(name, found, expected, |f, e| f == e, |_, _| "must be equal".to_owned());
}

#[track_caller]
fn compare<T: Debug>(
    name: &str,
    found: &[T],
    expected: &[T],
    same: impl Fn(&T, &T) -> bool,
    difference: impl Fn(&T, &T) -> String,
) {
    let fault = if found.len() != expected.len() {
        format!("{} values, expected {}", found.len(), expected.len())
    } else {
        let bad = |&(_, (f, e)): &(usize, (&T, &T))| !same(f, e);
        let mut differing = found.iter().zip(expected).enumerate().filter(bad);
        let Some((index, (f, e))) = differing.next() else { return };
        let others = differing.count();
        format!("entry {index} is {f:?}, expected {e:?} ({}); {others} others differ", difference(f, e))
    };
    panic!("golden values of {name}: {fault}\nfound, ready to paste:\n{}", literal(found));
}

/// `&[a, b, ...]` in lines of at most 100 columns.
fn literal<T: Debug>(values: &[T]) -> String {
    let mut text = String::from("&[");
    let mut column = text.len();
    for value in values {
        let item = format!("{value:?},");
        if column + item.len() > 96 {
            text.push_str("\n  ");
            column = 2;
        }
        let _ = write!(text, " {item}"); // writing to a String cannot fail
        column += item.len() + 1;
    }
    text + " ]"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(run: impl FnOnce() + std::panic::UnwindSafe) -> String {
        *std::panic::catch_unwind(run).unwrap_err().downcast::<String>().unwrap()
    }

    #[test]
    fn passes_within_the_relative_tolerance_only() {
        assert_golden("a", &[1e-30, 2e30], &[1.0001e-30, 2.0001e30], 1e-3);
        let text = message(|| assert_golden("a", &[1.0, 1e-30], &[1.0, 1.1e-30], 1e-3));
        assert!(text.starts_with("golden values of a: entry 1 is 1e-30, expected 1.1e-30"), "{text}");
        assert!(text.ends_with("&[ 1.0, 1e-30, ]"), "{text}");
    }

    #[test]
    fn nan_zero_and_lengths() {
        assert_golden("zero", &[0.0], &[0.0], 0.0);
        assert!(message(|| assert_golden("n", &[f64::NAN], &[f64::NAN], 1e9)).contains("NaN"));
        assert!(message(|| assert_golden("n", &[1e-300], &[0.0], 1e9)).contains("entry 0"));
        assert!(message(|| assert_golden("n", &[], &[1.0], 0.1)).contains("0 values, expected 1"));
        assert!(message(|| assert_golden("n", &[], &[], f64::NAN)).contains("tolerance is NaN"));
        assert!(message(|| assert_golden_exact("n", &[1, 2, 3], &[1, 5, 6])).contains("1 others differ"));
    }

    #[test]
    fn the_literal_reads_back_and_stays_narrow() {
        let values: Vec<f64> = (1..60).map(|i| 1.0 / f64::from(i * i * i)).collect();
        let text = literal(&values);
        assert!(text.lines().all(|line| line.len() <= 100));
        let numbers =
            text.trim_matches(['&', '[', ']', ' ']).split(',').map(str::trim).filter(|s| !s.is_empty());
        assert_eq!(numbers.map(|s| s.parse::<f64>().unwrap()).collect::<Vec<_>>(), values);
    }
}
