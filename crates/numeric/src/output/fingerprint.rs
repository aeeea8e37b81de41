//! What makes two runs the same run, as named fields.

use std::fmt;

use crate::Real;

/// The named facts a run's rows depend on, besides its seed: method, model, grid, version.
///
/// A list of `name = value` lines, compared in order. Numbers are written so that two of them are equal
/// only if their bits are; what is too long to write out (a text of more than 80 bytes, an array) stands
/// there as its length and 128-bit FNV-1a hash. That hash tells accidents apart, not forgeries. Nothing
/// depends on the machine, the compiler or the run of the program.
///
/// Every fact that changes a row belongs here; one left out is one whose change goes unnoticed.
///
/// ```
/// use numeric::output::Fingerprint;
/// let of = |steps: f64, weights: &[f32]| {
///     Fingerprint::new().text("method", "heun").number("steps", steps).numbers("weights", weights)
/// };
/// assert_eq!(of(40.0, &[0.5, 1.5]), of(40.0, &[0.5, 1.5]));
/// assert_ne!(of(40.0, &[0.5, 1.5]), of(41.0, &[0.5, 1.5]));
/// assert_ne!(of(40.0, &[0.5, 1.5]), of(40.0, &[1.5, 0.5]));
/// assert!(of(40.0, &[]).to_string().contains("method = \"heun\"\nsteps = 4e1\nweights = 0 f32, "));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Fingerprint {
    lines: String,
}

impl Fingerprint {
    /// A fingerprint holding this crate's version, since values may change between versions.
    #[must_use]
    pub fn new() -> Fingerprint {
        Fingerprint { lines: String::new() }.text("girsanov", env!("CARGO_PKG_VERSION"))
    }

    /// Adds a text.
    ///
    /// ```
    /// use numeric::output::Fingerprint;
    /// let (one, other) = ("x".repeat(99), "x".repeat(100));
    /// assert_ne!(Fingerprint::new().text("model", &one), Fingerprint::new().text("model", &other));
    /// ```
    #[must_use]
    pub fn text(self, name: &str, value: &str) -> Fingerprint {
        if value.len() <= 80 {
            self.line(name, format_args!("\"{}\"", value.escape_default()))
        } else {
            self.line(name, format_args!("{} bytes, {:032x}", value.len(), fnv(value.bytes())))
        }
    }

    /// Adds a number.
    ///
    /// ```
    /// use numeric::output::Fingerprint;
    /// let of = |x| Fingerprint::new().number("x", x);
    /// assert_ne!(of(0.1 + 0.2), of(0.3));
    /// assert_ne!(of(0.0), of(-0.0));
    /// ```
    #[must_use]
    pub fn number(self, name: &str, value: f64) -> Fingerprint {
        // The shortest decimal that reads back as the same number.
        self.line(name, format_args!("{value:e}"))
    }

    /// Adds an array of numbers, such as the nodes of a grid or the weights of a model.
    ///
    /// ```
    /// use numeric::output::Fingerprint;
    /// let of = |nodes: &[f64]| Fingerprint::new().numbers("grid", nodes);
    /// assert_ne!(of(&[0.0, 0.5, 1.0]), of(&[0.0, 0.5 + f64::EPSILON, 1.0]));
    /// ```
    #[must_use]
    pub fn numbers<F: Real>(self, name: &str, values: &[F]) -> Fingerprint {
        let hash = fnv(values.iter().flat_map(|value| value.as_f64().to_bits().to_le_bytes()));
        self.line(name, format_args!("{} {}, {hash:032x}", values.len(), F::NAME))
    }

    /// The 128-bit FNV-1a hash of all fields, for a log or a file name.
    ///
    /// ```
    /// use numeric::output::Fingerprint;
    /// let of = |method| Fingerprint::new().text("method", method).digest();
    /// assert_eq!(of("heun"), of("heun"));
    /// assert_ne!(of("heun"), of("euler"));
    /// ```
    #[must_use]
    pub fn digest(&self) -> u128 {
        fnv(self.lines.bytes())
    }

    fn line(mut self, name: &str, value: fmt::Arguments<'_>) -> Fingerprint {
        self.lines += &format!("{} = {value}\n", name.escape_default());
        self
    }
}

impl Default for Fingerprint {
    fn default() -> Fingerprint {
        Fingerprint::new()
    }
}

/// The fields, one a line.
impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.lines)
    }
}

/// FNV-1a with 128 bits (Fowler, Noll, Vo; RFC 9923): stable for ever, unlike the standard library's hasher.
pub(super) fn fnv(bytes: impl IntoIterator<Item = u8>) -> u128 {
    const BASIS: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;
    bytes.into_iter().fold(BASIS, |hash, byte| (hash ^ u128::from(byte)).wrapping_mul(PRIME))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Published values: the empty string is the offset basis; "foobar" from the authors' test vectors.
    #[test]
    fn hash_agrees_with_published_values() {
        assert_eq!(fnv([]), 0x6c62272e07bb014262b821756295c58d);
        assert_eq!(fnv(*b"a"), 0xd228cb696f1a8caf78912b704e4a8964);
        assert_eq!(fnv(*b"foobar"), 0x343e1662793c64bf6f0d3597ba446f18);
    }

    #[test]
    fn fields_cannot_run_into_each_other() {
        let of = |pairs: &[(&str, &str)]| pairs.iter().fold(Fingerprint::new(), |f, (n, v)| f.text(n, v));
        assert_ne!(of(&[("a", "b\"\nc = \"d")]), of(&[("a", "b"), ("c", "d")]));
        assert_ne!(of(&[("a", "b"), ("c", "d")]), of(&[("c", "d"), ("a", "b")]));
        assert_ne!(Fingerprint::new().text("x", "1e0"), Fingerprint::new().number("x", 1.0));
        assert_ne!(
            Fingerprint::new().numbers("x", &[1.0_f32]).digest(),
            Fingerprint::new().numbers("x", &[1.0_f64]).digest()
        );
    }
}
