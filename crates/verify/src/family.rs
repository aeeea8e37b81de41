//! Many tests, one false-alarm rate.

use std::fmt;

use numeric::Error;

use crate::scores::FalseAlarm;

/// Named p-values that are judged together, at one stated false-alarm rate.
///
/// A test that makes a hundred comparisons at 1 % each fails two runs out of three although nothing is wrong.
/// Collect the p-values here instead; the family is refused if one of its $`m`$ p-values is not above
/// `rate`$`/m`$ (Bonferroni; valid at any dependence, and equal to Holm's procedure as far as the whole
/// family is concerned). A p-value that is no number in $`[0, 1]`$ refuses the family too, and so does an
/// empty family: a test that compares nothing does not pass.
///
/// ```
/// use verify::{Family, normal_p_value};
/// let mut family = Family::new(1e-3)?;
/// for t in 0..40 {
///     family.push(format!("mean at t = {t}"), normal_p_value(0.05 * t as f64));
/// }
/// family.assert();
/// family.push("variance at t = 7", normal_p_value(5.0)); // p = 5.7e-7
/// let refuted = family.check().unwrap_err();
/// assert_eq!(refuted.worst[0].0, "variance at t = 7");
/// # Ok::<(), verify::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Family {
    rate: f64,
    p_values: Vec<(String, f64)>,
}

impl Family {
    /// An empty family to be judged at the given total false-alarm rate.
    ///
    /// # Errors
    /// The rate is not in $`(0, 1)`$.
    pub fn new(rate: f64) -> Result<Family, Error> {
        FalseAlarm { rate, tests: 1 }.per_test()?;
        Ok(Family { rate, p_values: Vec::new() })
    }

    /// Adds a named p-value.
    pub fn push(&mut self, name: impl Into<String>, p_value: f64) {
        self.p_values.push((name.into(), p_value));
    }

    /// Number of p-values so far.
    #[must_use]
    pub fn num_tests(&self) -> usize {
        self.p_values.len()
    }

    /// Judges the family.
    ///
    /// # Errors
    /// [`Refuted`] if a p-value is not above `rate / num_tests`, is not in $`[0, 1]`$, or there is none.
    pub fn check(&self) -> Result<(), Refuted> {
        let threshold = self.rate / self.p_values.len() as f64;
        let passes = |p: f64| p > threshold && p <= 1.0;
        if !self.p_values.is_empty() && self.p_values.iter().all(|&(_, p)| passes(p)) {
            return Ok(());
        }
        let mut worst: Vec<(String, f64)> =
            self.p_values.iter().filter(|&&(_, p)| !passes(p)).cloned().collect();
        worst.sort_by(|a, b| a.1.total_cmp(&b.1));
        Err(Refuted { rate: self.rate, num_tests: self.p_values.len(), threshold, worst })
    }

    /// [`check`](Family::check), for use in tests.
    ///
    /// # Panics
    /// If the family is refused, with the message of [`Refuted`].
    #[track_caller]
    pub fn assert(&self) {
        if let Err(refuted) = self.check() {
            panic!("{refuted}");
        }
    }
}

/// Why a [`Family`] was refused.
#[derive(Clone, Debug, PartialEq)]
pub struct Refuted {
    /// The family's false-alarm rate.
    pub rate: f64,
    /// Number of p-values in the family.
    pub num_tests: usize,
    /// `rate / num_tests`; infinite for an empty family.
    pub threshold: f64,
    /// The p-values that failed, smallest first.
    pub worst: Vec<(String, f64)>,
}

impl fmt::Display for Refuted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Refuted { rate, num_tests, threshold, worst } = self;
        if *num_tests == 0 {
            return write!(f, "the family is empty: nothing was tested");
        }
        let failed = worst.len();
        write!(
            f,
            "{failed} of {num_tests} p-values not above {threshold:.3e} (total false-alarm rate {rate})"
        )?;
        const SHOWN: usize = 10;
        for (name, p) in worst.iter().take(SHOWN) {
            write!(f, "\n  {name}: p = {p:.3e}")?;
        }
        if failed > SHOWN {
            write!(f, "\n  and {} more", failed - SHOWN)?;
        }
        Ok(())
    }
}

impl std::error::Error for Refuted {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_threshold_is_shared() {
        let mut family = Family::new(0.01).unwrap();
        for i in 0..10 {
            family.push(format!("{i}"), 0.0011);
        }
        family.assert();
        family.push("one more", 0.5); // 0.01/11 < 0.0011
        family.assert();
        family.push("bad", 0.01 / 12.0);
        let refuted = family.check().unwrap_err();
        assert_eq!((refuted.num_tests, refuted.worst.len()), (12, 1));
        assert!(refuted.to_string().contains("1 of 12") && refuted.to_string().contains("bad: p = 8.333e-4"));
    }

    #[test]
    fn what_is_no_p_value_fails() {
        for p in [f64::NAN, -0.1, 1.1, f64::INFINITY] {
            let mut family = Family::new(0.01).unwrap();
            family.push("not a p-value", p);
            assert!(family.check().is_err());
        }
        assert!(Family::new(0.01).unwrap().check().unwrap_err().to_string().contains("nothing was tested"));
        assert!(Family::new(0.0).is_err() && Family::new(f64::NAN).is_err());
    }

    #[test]
    #[should_panic(expected = "and 5 more")]
    fn the_message_lists_ten() {
        let mut family = Family::new(0.01).unwrap();
        (0..15).for_each(|i| family.push(format!("{i}"), 1e-9));
        family.assert();
    }
}
