//! Bits per dimension of discrete data.

use numeric::ndarray::{Array2, ArrayRef2};
use numeric::{Error, Noise};

/// Uniform dequantisation: integers y become `x = scale (y + u) + offset` with u uniform on (0, 1)^d.
///
/// The density of `y + u` is `scale^d p(x)`, and by Jensen's inequality `ln P(y) ≥ E_u ln(scale^d p(x))`, so that
///
/// ```math
/// \mathrm{bits/dim} = -\frac{\ln p(x)}{d \ln 2} - \log_2 \mathrm{scale}
/// ```
/// is, on average over u, an upper bound of the code length of y per dimension in bits. For pixels of 256 values on
/// (−1, 1) the scale is 2/256 and `−log₂ scale` is 7; for pixels on (0, 1) it is 1/256, and 8.
///
/// ```
/// use sde_core::likelihood::Dequantisation;
/// // The uniform density on (−1, 1)² gives a pixel of 256 values its 8 bits.
/// let pixels = Dequantisation::new(2.0 / 256.0, -1.0)?;
/// assert_eq!(pixels.bits_per_dimension(2.0 * 0.5_f64.ln(), 2), 8.0);
/// # Ok::<(), numeric::Error>(())
/// ```
///
/// # References
/// Theis, van den Oord, Bethge (2016), *A note on the evaluation of generative models*, section 3.1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dequantisation {
    scale: f64,
    offset: f64,
}

impl Dequantisation {
    /// With the width of one integer's cell in x, and the x of the lower end of cell 0.
    ///
    /// # Errors
    /// [`Error::Domain`] unless `scale` is positive and finite, and `offset` finite.
    pub fn new(scale: f64, offset: f64) -> Result<Dequantisation, Error> {
        Error::positive("scale", scale)?;
        Error::domain(offset.is_finite(), "offset", offset, "a finite number")?;
        Ok(Dequantisation { scale, offset })
    }

    /// `scale (y + u) + offset` of integers y, `(n, d)`; row i takes its u from `noise` as row `first_row + i`.
    ///
    /// ```
    /// use numeric::{Noise, ndarray::array};
    /// let pixels = sde_core::likelihood::Dequantisation::new(0.5, 10.0)?;
    /// let x = pixels.dequantise(&array![[0.0, 3.0]], 0, Noise::new(1))?;
    /// assert!(x[(0, 0)] > 10.0 && x[(0, 0)] < 10.5 && x[(0, 1)] > 11.5 && x[(0, 1)] < 12.0);
    /// # Ok::<(), numeric::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Entry`] for a number that is not an integer.
    pub fn dequantise(
        &self,
        levels: &ArrayRef2<f64>,
        first_row: u64,
        noise: Noise,
    ) -> Result<Array2<f64>, Error> {
        Error::entries("levels", levels.iter().copied(), "an integer", |y| y.fract() == 0.0)?;
        let rows: Vec<u64> = (first_row..first_row + levels.nrows() as u64).collect();
        let mut x = Array2::zeros(levels.raw_dim());
        noise.uniforms_into(&rows, 0, &mut x);
        x.zip_mut_with(levels, |u, &y| *u = self.scale * (y + *u) + self.offset);
        Ok(x)
    }

    /// Bits per dimension from `ln p(x)` in nats, for x in `dim` dimensions.
    #[must_use]
    pub fn bits_per_dimension(&self, ln_density: f64, dim: usize) -> f64 {
        -ln_density / (dim as f64 * std::f64::consts::LN_2) - self.scale.log2()
    }
}
