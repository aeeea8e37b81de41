//! Stationary laws by elimination.

use numeric::Error;
use numeric::ndarray::Array2;

use crate::law::normalise;

/// The elimination works on a dense copy.
const MOST_STATES: usize = 4096;

/// GTH elimination; see [`Generator::stationary`](crate::Generator::stationary).
pub(crate) fn stationary_law(
    states: usize,
    for_each_rate: impl Fn(u32, &mut dyn FnMut(u32, f64)),
) -> Result<Vec<f64>, Error> {
    let fits = states <= MOST_STATES;
    Error::domain(fits, "states", states as f64, "at most 4096 states for an elimination")?;
    let mut q = Array2::<f64>::zeros((states, states));
    for from in 0..states {
        for_each_rate(from as u32, &mut |to, rate| q[[from, to as usize]] = rate);
    }
    if !is_irreducible(&q) {
        let reason = "a chain that is not irreducible, whose stationary law need not be unique";
        return Err(Error::Unsupported { method: "stationary law", reason });
    }
    // Take the chain watched only on the states below n: a visit to n leads back to them.
    for n in (1..states).rev() {
        let below: f64 = q.row(n).iter().take(n).sum();
        for i in 0..n {
            q[[i, n]] /= below;
            let through = q[[i, n]];
            for j in 0..n {
                q[[i, j]] += through * q[[n, j]];
            }
        }
    }
    let mut law = vec![1.0; states];
    for n in 1..states {
        law[n] = (0..n).map(|i| law[i] * q[[i, n]]).sum();
        // Laws that span more than the range of numbers are kept inside it as they grow.
        if law[n] > 1e100 {
            law[..=n].iter_mut().for_each(|p| *p /= 1e100);
        }
    }
    normalise(&mut law);
    Error::entries("stationary law", law.iter().copied(), "a finite number", f64::is_finite)?;
    Ok(law)
}

/// Whether every state leads to state 0 and is reached from it.
fn is_irreducible(q: &Array2<f64>) -> bool {
    let reaches_all = |edge: &dyn Fn(usize, usize) -> f64| {
        let mut seen = vec![false; q.nrows()];
        let mut stack = vec![0];
        seen[0] = true;
        while let Some(i) = stack.pop() {
            for (j, seen) in seen.iter_mut().enumerate() {
                if !*seen && edge(i, j) > 0.0 {
                    *seen = true;
                    stack.push(j);
                }
            }
        }
        seen.into_iter().all(|seen| seen)
    };
    reaches_all(&|i, j| q[[i, j]]) && reaches_all(&|i, j| q[[j, i]])
}
