//! The lengths of steps, from the errors found.

use super::block::Past;

/// ln 10⁻⁴: smaller errors do not move the controller further.
pub(super) const LN_LEAST: f64 = -9.210_340_371_976_182;
/// Factors by which a step may change, and the one for safety.
const SHRINK: f64 = 0.2;
const GROW: f64 = 10.0;
const SAFETY: f64 = 0.9;

/// Whether the step is accepted; sets the length of the next one. An error that is no number is a rejection.
pub(super) fn control(past: &mut Past, h: f64, error: f64, k: f64) -> bool {
    let ln_error = error.ln();
    let accepted = error <= 1.0;
    let factor = if accepted {
        let mut ln_factor = 0.2 / k * past.ln_error - 0.85 / k * ln_error;
        if let Some(length) = past.length {
            let ln_change = (h.abs() / length).ln();
            ln_factor = ln_factor.min((past.ln_error - 2.0 * ln_error) / k + ln_change);
        }
        (past.ln_error, past.length) = (ln_error.max(LN_LEAST), Some(h.abs()));
        past.accepted += 1;
        (SAFETY * ln_factor.exp()).clamp(SHRINK, if past.rejected { 1.0 } else { GROW })
    } else if error.is_finite() {
        (SAFETY * (-ln_error / k).exp()).clamp(SHRINK, 1.0)
    } else {
        SHRINK
    };
    past.rejected = !accepted;
    past.next = h.abs() * factor;
    accepted
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The documented formulas, by hand: `0.9 e^{−0.85/k} e_prev^{0.2/k}` or, if that is less,
    /// `0.9 e^{−1/k} (e_prev/e)^{1/k} h/h_prev`, within their limits.
    #[test]
    fn steps_change_by_the_formula() {
        let near =
            |found: f64, exact: f64| assert!((found / exact - 1.0).abs() < 1e-14, "{found} for {exact}");
        for k in [3.0, 5.0] {
            let mut past = Past::START;
            // Before the first step the error was 10⁻⁴, and there was no length.
            assert!(control(&mut past, -0.5, 0.1, k));
            near(past.next, 0.5 * 0.9 * 10.0_f64.powf(0.85 / k) * 1e-4_f64.powf(0.2 / k));
            assert!(control(&mut past, 2.0, 0.6, k));
            near(past.next, 2.0 * 0.9 * 0.6_f64.powf(-0.85 / k) * 0.1_f64.powf(0.2 / k));
            // The same length, and an error three halves as large: so will the next one be.
            assert!(control(&mut past, 2.0, 0.9, k));
            near(past.next, 2.0 * 0.9 * (0.9_f64 * 1.5).powf(-1.0 / k));
            // A shorter step, and yet the same error.
            assert!(control(&mut past, -1.0, 0.9, k));
            near(past.next, 0.5 * 0.9 * 0.9_f64.powf(-1.0 / k));
            // Refused: no memory, and then a step that is accepted does not let the next one grow.
            assert!(!control(&mut past, 2.0, 1.5, k));
            near(past.next, 2.0 * 0.9 * 1.5_f64.powf(-1.0 / k));
            assert!(control(&mut past, 1.0, 1e-3, k) && past.next == 1.0 && !past.rejected);
            assert!(control(&mut past, 1.0, 1e-4, k));
            near(past.next, 0.9 * 1e-4_f64.powf(-0.85 / k) * 1e-3_f64.powf(0.2 / k));
            assert_eq!(past.accepted, 6);
            // An error of less than 10⁻⁴ is remembered as that.
            assert!(control(&mut past, 1.0, 1e-30, k) && past.next == 10.0);
            assert!(control(&mut past, 10.0, 0.5, k));
            near(
                past.next,
                10.0 * 0.9
                    * (0.5_f64.powf(-0.85) * 1e-4_f64.powf(0.2))
                        .min(10.0_f64.powf(k) * 1e-4 / 0.25)
                        .powf(1.0 / k),
            );
        }
    }

    #[test]
    fn steps_change_within_their_limits() {
        let after = |error: f64| {
            let mut past = Past::START;
            let accepted = control(&mut past, 1.0, error, 5.0);
            (accepted, past.next)
        };
        assert_eq!([0.0, 1e-12].map(after), [(true, 10.0); 2]);
        assert_eq!([1e5, 1e300, f64::INFINITY, f64::NAN].map(after), [(false, 0.2); 4]);
        assert!(after(1.0).0 && !after(1.0 + f64::EPSILON).0);
        // A large error after a small one: not by less than 0.2 either.
        let mut past = Past { ln_error: -1e3, ..Past::START };
        assert!(control(&mut past, 1.0, 1.0, 5.0) && past.next == 0.2);
    }
}
