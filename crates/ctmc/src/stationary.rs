//! Stationary laws by elimination.

use numeric::Error;

use crate::elimination::Band;
use crate::law::normalise;

/// GTH elimination; see [`Generator::stationary`](crate::Generator::stationary).
pub(crate) fn stationary_law(
    states: usize,
    for_each_rate: impl Fn(u32, &mut dyn FnMut(u32, f64)),
) -> Result<Vec<f64>, Error> {
    let mut q = Band::new(states, |from, visit| {
        for_each_rate(from as u32, &mut |to, rate| visit(to as usize, rate));
    })?;
    if !q.is_irreducible() {
        let reason = "a chain that is not irreducible, whose stationary law need not be unique";
        return Err(Error::Unsupported { method: "stationary law", reason });
    }
    for n in (1..states).rev() {
        let leaving = q.down(n).1.iter().sum();
        q.take_out(n, leaving);
    }
    let mut law = vec![1.0; states];
    for n in 1..states {
        law[n] = q.sources(n).map(|i| law[i] * q.get(i, n)).sum();
        // Laws that span more than the range of numbers are kept inside it as they grow.
        if law[n] > 1e100 {
            law[..=n].iter_mut().for_each(|p| *p /= 1e100);
        }
    }
    normalise(&mut law);
    Error::entries("stationary law", law.iter().copied(), "a finite number", f64::is_finite)?;
    Ok(law)
}
