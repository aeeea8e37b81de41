//! One place through which every test takes its seed.

use std::env::{VarError, var};

/// The seed number `n` of a test: $`n`$ plus the value of the environment variable `GIRSANOV_SEED_SHIFT`.
///
/// With the variable unset a test suite is deterministic. Setting it to another integer gives every
/// statistical test fresh randomness at once, which shows what a lucky seed hides: a suite whose stated
/// family-wise false-alarm rates are right fails that often under random shifts, and no more. The sum wraps
/// modulo $`2^{64}`$.
///
/// # Panics
/// If the variable is set to something that is not an unsigned 64-bit integer: a typing error must not
/// silently run the old seeds.
///
/// ```
/// let shift = verify::seed(0); // 0 where the variable is unset
/// assert_eq!(verify::seed(7), 7_u64.wrapping_add(shift));
/// ```
#[must_use]
pub fn seed(n: u64) -> u64 {
    match var("GIRSANOV_SEED_SHIFT") {
        Err(VarError::NotPresent) => n,
        Ok(text) => n.wrapping_add(parse(&text)),
        Err(VarError::NotUnicode(text)) => panic!("{}", refusal(&text.to_string_lossy())),
    }
}

fn parse(text: &str) -> u64 {
    text.trim().parse().unwrap_or_else(|_| panic!("{}", refusal(text)))
}

fn refusal(text: &str) -> String {
    format!("GIRSANOV_SEED_SHIFT is {text:?}; expected an unsigned 64-bit integer, or the variable unset")
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn a_shift_is_parsed() {
        assert_eq!(parse(" 12\n"), 12);
        assert_eq!(parse(&u64::MAX.to_string()), u64::MAX);
    }

    #[test]
    #[should_panic(expected = "GIRSANOV_SEED_SHIFT is \"1e3\"")]
    fn a_typing_error_is_not_zero() {
        let _ = parse("1e3");
    }
}
