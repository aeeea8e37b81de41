//! A small generator of uniforms and normals: the kit must not be tested with the library it is to test.

pub(crate) struct Random(u64);

impl Random {
    /// A generator for the seed number `n` of a test, shifted like every other.
    pub(crate) fn new(n: u64) -> Random {
        // Spread: neighbouring seeds must not give overlapping sequences.
        Random(verify::seed(n).wrapping_mul(0xd129_0d3b_a6ee_7c1d))
    }

    /// SplitMix64.
    pub(crate) fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Uniform on (0, 1), never an end point.
    pub(crate) fn unit(&mut self) -> f64 {
        ((self.bits() >> 12) as f64 + 0.5) / (1_u64 << 52) as f64
    }

    /// Standard normal, by Box and Muller.
    pub(crate) fn normal(&mut self) -> f64 {
        let radius = (-2.0 * self.unit().ln()).sqrt();
        radius * (std::f64::consts::TAU * self.unit()).cos()
    }

    pub(crate) fn normals(&mut self, n: usize) -> Vec<f64> {
        (0..n).map(|_| self.normal()).collect()
    }

    pub(crate) fn units(&mut self, n: usize) -> Vec<f64> {
        (0..n).map(|_| self.unit()).collect()
    }
}

/// The standard normal CDF.
pub(crate) fn normal_cdf(x: f64) -> f64 {
    0.5 * statrs::function::erf::erfc(-x / 2.0_f64.sqrt())
}

/// Number of p-values in each of `bins` equal bins.
pub(crate) fn histogram(p_values: &[f64], bins: usize) -> Vec<u64> {
    let mut counts = vec![0; bins];
    for p in p_values {
        counts[((p * bins as f64) as usize).min(bins - 1)] += 1;
    }
    counts
}
