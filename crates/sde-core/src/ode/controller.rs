//! The lengths of steps, from the errors found.

use numeric::{exp_in_place, ln_1p_in_place, vectorize};

/// ln 10⁻⁴: smaller errors do not move the controller further.
const LN_LEAST: f64 = -9.210_340_371_976_182;
/// Factors by which a step may change, and the one for safety.
const SHRINK: f64 = 0.2;
const GROW: f64 = 10.0;
const SAFETY: f64 = 0.9;

/// What the controller knows of the rows: entry i of each list belongs to the i-th of them.
#[derive(Debug, Default)]
pub(super) struct Pasts {
    /// Length of the next step, unsigned.
    pub(super) next: Vec<f64>,
    /// Logarithm of the error of the last accepted step, relative to the tolerance, and the unsigned length of that step; before
    /// the first one the length is NaN.
    ln_error: Vec<f64>,
    length: Vec<f64>,
    /// Whether the last step was rejected.
    pub(super) rejected: Vec<bool>,
    pub(super) accepted: Vec<u64>,
    /// Work: errors, then factors; and changes of the length.
    factors: Vec<f64>,
    changes: Vec<f64>,
}

impl Pasts {
    /// Forgets all, and begins with n rows.
    pub(super) fn reset(&mut self, n: usize) {
        self.truncate(0);
        self.next.resize(n, 0.0);
        self.ln_error.resize(n, LN_LEAST);
        self.length.resize(n, f64::NAN);
        self.rejected.resize(n, false);
        self.accepted.resize(n, 0);
    }

    /// What is known of the row `from` takes the place of what is known of the row `to`.
    pub(super) fn replace(&mut self, to: usize, from: usize) {
        for list in [&mut self.next, &mut self.ln_error, &mut self.length] {
            list[to] = list[from];
        }
        self.rejected[to] = self.rejected[from];
        self.accepted[to] = self.accepted[from];
    }

    /// Keeps the first n rows.
    pub(super) fn truncate(&mut self, n: usize) {
        for list in [&mut self.next, &mut self.ln_error, &mut self.length] {
            list.truncate(n);
        }
        self.rejected.truncate(n);
        self.accepted.truncate(n);
    }

    /// Accepts or rejects the step of each row, by its length and its error relative to the tolerance, and sets the length of
    /// the next one. An error that is no number is a rejection.
    pub(super) fn control(&mut self, lengths: &[f64], errors: &[f64], k: f64) {
        let n = self.next.len();
        let (lengths, errors) = (&lengths[..n], &errors[..n]);
        let [next, ln_error, length] =
            [&mut self.next, &mut self.ln_error, &mut self.length].map(|l| &mut l[..n]);
        let (rejected, accepted) = (&mut self.rejected[..n], &mut self.accepted[..n]);
        self.factors.clear();
        self.factors.extend_from_slice(errors);
        self.changes.resize(n, 0.0);
        let (factors, changes) = (&mut self.factors[..n], &mut self.changes[..n]);
        vectorize(
            #[inline(always)]
            || {
                for r in 0..n {
                    changes[r] = lengths[r].abs() / length[r];
                }
            },
        );
        ln_in_place(factors);
        ln_in_place(changes);
        // A step after one that is rejected does not grow either: `next` takes its bound in the meantime.
        vectorize(
            #[inline(always)]
            || {
                for r in 0..n {
                    let (error, ln) = (errors[r], factors[r]);
                    let accepts = error <= 1.0;
                    let steady = 0.2 / k * ln_error[r] - 0.85 / k * ln;
                    let growing = (ln_error[r] - 2.0 * ln) / k + changes[r];
                    // Before the first step the second one is NaN.
                    let shorter = if growing < steady { growing } else { steady };
                    factors[r] = if accepts { shorter } else { -ln / k };
                    ln_error[r] = if !accepts {
                        ln_error[r]
                    } else if ln < LN_LEAST {
                        LN_LEAST
                    } else {
                        ln
                    };
                    length[r] = if accepts { lengths[r].abs() } else { length[r] };
                    next[r] = if accepts && !rejected[r] { GROW } else { 1.0 };
                    rejected[r] = !accepts;
                    accepted[r] += u64::from(accepts);
                }
            },
        );
        exp_in_place(factors);
        vectorize(
            #[inline(always)]
            || {
                for r in 0..n {
                    let factor = SAFETY * factors[r];
                    // A factor of an error that is no finite number is NaN or 0.
                    let most = if factor < next[r] { factor } else { next[r] };
                    let factor = if most > SHRINK && errors[r] < f64::INFINITY { most } else { SHRINK };
                    next[r] = lengths[r].abs() * factor;
                }
            },
        );
    }
}

/// Logarithms of numbers of at least 0, written over them; NaN stays.
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

    fn start() -> Pasts {
        let mut pasts = Pasts::default();
        pasts.reset(1);
        pasts
    }

    /// Whether the step of one row is accepted.
    fn control(past: &mut Pasts, h: f64, error: f64, k: f64) -> bool {
        past.control(&[h], &[error], k);
        !past.rejected[0]
    }

    /// The documented formulas, by hand: `0.9 e^{−0.85/k} e_prev^{0.2/k}` or, if that is less,
    /// `0.9 e^{−1/k} (e_prev/e)^{1/k} h/h_prev`, within their limits.
    #[test]
    fn steps_change_by_the_formula() {
        let near =
            |found: f64, exact: f64| assert!((found / exact - 1.0).abs() < 1e-14, "{found} for {exact}");
        for k in [3.0, 5.0] {
            let mut past = start();
            // Before the first step the error was 10⁻⁴, and there was no length.
            assert!(control(&mut past, -0.5, 0.1, k));
            near(past.next[0], 0.5 * 0.9 * 10.0_f64.powf(0.85 / k) * 1e-4_f64.powf(0.2 / k));
            assert!(control(&mut past, 2.0, 0.6, k));
            near(past.next[0], 2.0 * 0.9 * 0.6_f64.powf(-0.85 / k) * 0.1_f64.powf(0.2 / k));
            // The same length, and an error three halves as large: so will the next one be.
            assert!(control(&mut past, 2.0, 0.9, k));
            near(past.next[0], 2.0 * 0.9 * (0.9_f64 * 1.5).powf(-1.0 / k));
            // A shorter step, and yet the same error.
            assert!(control(&mut past, -1.0, 0.9, k));
            near(past.next[0], 0.5 * 0.9 * 0.9_f64.powf(-1.0 / k));
            // Refused: no memory, and then a step that is accepted does not let the next one grow.
            assert!(!control(&mut past, 2.0, 1.5, k));
            near(past.next[0], 2.0 * 0.9 * 1.5_f64.powf(-1.0 / k));
            assert!(control(&mut past, 1.0, 1e-3, k) && past.next[0] == 1.0 && !past.rejected[0]);
            assert!(control(&mut past, 1.0, 1e-4, k));
            near(past.next[0], 0.9 * 1e-4_f64.powf(-0.85 / k) * 1e-3_f64.powf(0.2 / k));
            assert_eq!(past.accepted, [6]);
            // An error of less than 10⁻⁴ is remembered as that.
            assert!(control(&mut past, 1.0, 1e-30, k) && past.next[0] == 10.0);
            assert!(control(&mut past, 10.0, 0.5, k));
            near(
                past.next[0],
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
            let mut past = start();
            let accepted = control(&mut past, 1.0, error, 5.0);
            (accepted, past.next[0])
        };
        assert_eq!([0.0, 1e-12].map(after), [(true, 10.0); 2]);
        assert_eq!([1e5, 1e300, f64::INFINITY, f64::NAN].map(after), [(false, 0.2); 4]);
        assert!(after(1.0).0 && !after(1.0 + f64::EPSILON).0);
        // A large error after a small one: not by less than 0.2 either.
        let mut past = start();
        past.ln_error[0] = -1e3;
        assert!(control(&mut past, 1.0, 1.0, 5.0) && past.next[0] == 0.2);
    }
}
