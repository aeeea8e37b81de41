//! Masked samplers that reveal several coordinates at once, each from its own conditional law.

use numeric::Error;

use super::factorized::Space;

/// The divergence of a sampler that reveals coordinates in blocks.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct MaskedBound {
    /// The mean conditional total correlation of each block.
    pub steps: Vec<f64>,
}

impl MaskedBound {
    /// The bound of $`\mathrm{KL}(q_0 \,\|\, p)`$, in nats.
    #[must_use]
    pub fn total(&self) -> f64 {
        self.steps.iter().sum()
    }
}

/// Masked diffusion that reveals coordinates in random blocks: the chain's divergence, by enumeration.
///
/// # Statement
/// All of d coordinates with S = `values` values are masked at first. In step k the sampler chooses `reveal[k]` of the
/// masked ones, uniformly at random, and draws each from its true law given the revealed ones, independently. With
/// $`S_k`$ the coordinates revealed before and $`B_k`$ those of the step,
/// ```math
/// \mathrm{KL}(q_0 \,\|\, p) \le \sum_k \mathbb{E}\,\mathrm{TC}\bigl(X_{B_k} \bigm| X_{S_k}\bigr)
///   = \sum_k \Bigl[ b_k \bigl(\bar h(s_k + 1) - \bar h(s_k)\bigr) - \bigl(\bar h(s_k + b_k) - \bar h(s_k)\bigr) \Bigr] ,
/// ```
/// TC being the total correlation and $`\bar h(j)`$ the mean entropy of the marginals of j coordinates.
///
/// # Assumptions
/// The conditional laws are exact: what is left is the price of drawing them independently. There is no initialisation
/// term: all masks is where the noising ends.
///
/// # Returns
/// Nats; equality for the paths. 0 for one coordinate at a time and for independent coordinates.
///
/// *Derivation.* The order does not depend on the data. Given it, the chain rule: the true law of a block given the
/// revealed ones is a joint one, the sampler's the product of its marginals. Then $`\mathbb{E}`$ over the sets:
/// $`\mathrm{TC}(X_B | X_S) = \sum_{i \in B} H(X_i | X_S) - H(X_B | X_S)`$, and the mean entropy of a random set depends on
/// its size only.
///
/// # Complexity
/// $`O(2^d S^d)`$.
///
/// # Errors
/// [`Error::Domain`] for `dim` = 0, fewer than 2 values, more than 4096 states $`S^d`$, a law that does not sum to 1 to
/// 1e-9, a block of no coordinate, or blocks that do not sum to d; [`Error::Shape`] if `law` has not $`S^d`$ entries,
/// [`Error::Entry`] for one that is negative or not finite.
///
/// `law` lists the probabilities of the states, the last coordinate running fastest.
///
/// ```
/// use bounds::theorem::masked_bound;
/// // Two equal bits: at once they lose their total correlation, one by one nothing.
/// let equal = [0.5, 0.0, 0.0, 0.5];
/// assert!((masked_bound(&equal, 2, 2, &[2])?.total() - 2f64.ln()).abs() < 1e-15);
/// assert_eq!(masked_bound(&equal, 2, 2, &[1, 1])?.total(), 0.0);
/// # Ok::<(), numeric::Error>(())
/// ```
///
/// # References
/// The decomposition is standard. J. Austin and others (2021), *Structured denoising diffusion models in discrete
/// state-spaces*, NeurIPS, for absorbing noise; T. Han (1978), *Nonnegative entropy measures of multivariate symmetric
/// correlations*, Information and Control 36, for mean entropies.
pub fn masked_bound(law: &[f64], dim: usize, values: usize, reveal: &[usize]) -> Result<MaskedBound, Error> {
    let (space, law) = Space::of(law, dim, values)?;
    if let Some(index) = reveal.iter().position(|&block| block == 0) {
        return Err(Error::Entry {
            parameter: "reveal",
            index,
            value: 0.0,
            expected: "at least 1 coordinate",
        });
    }
    let sum: usize = reveal.iter().sum();
    Error::domain(sum == dim, "sum of `reveal`", sum as f64, "the number of coordinates")?;
    let mut entropies = vec![0.0; dim + 1];
    let mut counts = vec![0.0; dim + 1];
    for set in 0..1_usize << dim {
        let size = set.count_ones() as usize;
        entropies[size] += space.entropy(&law, set);
        counts[size] += 1.0;
    }
    let mean = |size: usize| entropies[size] / counts[size];
    let mut revealed = 0;
    let steps = reveal.iter().map(|&block| {
        let before = mean(revealed);
        let alone = block as f64 * (mean(revealed + 1) - before);
        revealed += block;
        // One coordinate at a time costs nothing, also to rounding.
        if block == 1 { 0.0 } else { alone - (mean(revealed) - before) }
    });
    Ok(MaskedBound { steps: steps.collect() })
}
