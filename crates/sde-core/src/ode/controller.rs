//! The lengths of steps, from the errors found.

use numeric::{exp_in_place, ln_1p_in_place};

use super::block::Past;

/// ln 10⁻⁴: smaller errors do not move the controller further.
pub(super) const LN_LEAST: f64 = -9.210_340_371_976_182;
/// Factors by which a step may change, and the one for safety.
const SHRINK: f64 = 0.2;
const GROW: f64 = 10.0;
const SAFETY: f64 = 0.9;

/// Accepts or rejects the step of each row, by its length and its error relative to the tolerance, and sets the length of
/// the next one. An error that is no number is a rejection.
pub(super) fn control(pasts: &mut [Past], lengths: &[f64], errors: &[f64], k: f64, logs: &mut Vec<f64>) {
    logs.clear();
    logs.extend_from_slice(errors);
    let changes =
        pasts.iter().zip(lengths).map(|(past, h)| past.length.map_or(1.0, |before| h.abs() / before));
    logs.extend(changes);
    ln_in_place(logs);
    // In place of the logarithms of the errors come those of the factors.
    let (ln_factors, ln_changes) = logs.split_at_mut(errors.len());
    for (r, past) in pasts.iter_mut().enumerate() {
        let (error, ln_error) = (errors[r], ln_factors[r]);
        past.rejected_before = past.rejected;
        past.rejected = !(error <= 1.0);
        ln_factors[r] = if past.rejected {
            -ln_error / k
        } else {
            let mut ln_factor = 0.2 / k * past.ln_error - 0.85 / k * ln_error;
            if past.length.is_some() {
                ln_factor = ln_factor.min((past.ln_error - 2.0 * ln_error) / k + ln_changes[r]);
            }
            (past.ln_error, past.length) = (ln_error.max(LN_LEAST), Some(lengths[r].abs()));
            past.accepted += 1;
            ln_factor
        };
    }
    exp_in_place(ln_factors);
    for (r, past) in pasts.iter_mut().enumerate() {
        let most = if past.rejected || past.rejected_before { 1.0 } else { GROW };
        let factor =
            if errors[r].is_finite() { (SAFETY * ln_factors[r]).clamp(SHRINK, most) } else { SHRINK };
        past.next = lengths[r].abs() * factor;
    }
}

/// Logarithms of numbers of at least 0, written over them.
pub(crate) fn ln_in_place(x: &mut [f64]) {
    const CHUNK: usize = 64;
    for x in x.chunks_mut(CHUNK) {
        // Of each number or its inverse, by which is at least 1: the logarithm of 1 + y is vectorised for y ≥ 0.
        let mut signs = [1.0; CHUNK];
        for (x, sign) in x.iter_mut().zip(&mut signs) {
            (*x, *sign) = if *x < 1.0 { (1.0 / *x - 1.0, -1.0) } else { (*x - 1.0, 1.0) };
        }
        ln_1p_in_place(x);
        x.iter_mut().zip(&signs).for_each(|(x, sign)| *x *= sign);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether the step of one row is accepted.
    fn control(past: &mut Past, h: f64, error: f64, k: f64) -> bool {
        super::control(std::slice::from_mut(past), &[h], &[error], k, &mut Vec::new());
        !past.rejected
    }

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
