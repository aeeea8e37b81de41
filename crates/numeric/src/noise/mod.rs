//! Counter-based randomness: every variate is a pure function of (seed, label, row, step, coordinate).
//!
//! There is no state to carry, so a run can be split over threads, shards and sessions, rows can be dropped and a
//! path can be asked for again at another resolution, and every number stays the same. Ways to draw:
//!
//! | for | use |
//! |---|---|
//! | a block of rows, all coordinates of a step | [`Noise::normals_into`], [`Noise::uniforms_into`] |
//! | the same Brownian path on coarser and finer steps, or at any time; its areas | [`Brownian`] |
//! | the path step by step, with rejections | [`BrownianCursor`] |
//! | a random number of variates per row (jump processes, rejection); exponential, Poisson, binomial numbers | [`Noise::row_stream`] |
//!
//! # How the numbers are made
//! The bits are those of Philox4x32-10 (Salmon, Moraes, Dror and Shaw 2011, "Parallel random numbers: as easy as 1,
//! 2, 3"), a keyed bijection of 128-bit counters that passes BigCrush with keys and counters that merely count.
//! The counter is (coordinate, step, group of rows), 32 + 32 + 64 bits; its four words serve the 4 rows of a group
//! in `f32`, the 2 rows in `f64`. Normals are Box–Muller pairs.
//! Elementary functions are the crate's own, in plain IEEE operations, never fused: the same bits on every machine.
//!
//! Keys come from the seed by the SplitMix64 finaliser, a bijection, applied to key ⊕ tag and to the result ⊕ datum.
//! Each kind of use (`f32` or `f64`, normals or uniforms, row streams, labels, tree nodes) has its tag, so under one
//! `Noise` two kinds, two indices of a fork, or two nodes of a tree never share a key; what remains is
//! chance, $`2^{-64}`$ for a pair of unrelated streams. That is enough, since Philox asks of its keys
//! to be distinct and no more.
//!
//! Values are stable within a minor version; golden tests pin them.

mod brownian;
mod discrete;
mod fill;
mod lanes;
mod laws;
mod philox;
mod stream;

use ndarray::ArrayRef2;

pub use brownian::{Brownian, BrownianCursor, Node};
pub use stream::RowStream;

use crate::Real;
use fill::fill;
use laws::{Law, Normal32, Normal64, Uniform32, Uniform64};
use philox::mix;

/// A source of random numbers as a function of (row, step, coordinate); cheap to copy, nothing to advance.
///
/// Asking twice gives the same numbers twice: draws for different purposes must differ in the
/// label ([`fork`](Noise::fork)), the step, or the row.
///
/// ```
/// use ndarray::Array2;
/// use numeric::{Noise, ndarray};
///
/// let noise = Noise::new(7).fork("path");
/// let mut all = Array2::<f64>::zeros((6, 3));
/// noise.normals_into(&[0, 1, 2, 3, 4, 5], 10, &mut all);
///
/// // Rows 1 and 4 alone, in fewer coordinates: the same numbers.
/// let mut some = Array2::<f64>::zeros((2, 2));
/// noise.normals_into(&[1, 4], 10, &mut some);
/// assert_eq!(some.row(0), all.slice(ndarray::s![1, ..2]));
/// assert_eq!(some.row(1), all.slice(ndarray::s![4, ..2]));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Noise {
    key: u64,
}

impl Noise {
    /// The noise of a seed. Different seeds give different keys.
    #[must_use]
    pub const fn new(seed: u64) -> Noise {
        Noise { key: mix(seed) }
    }

    /// The noise whose seed is the next `u64` of `rng`: the bridge from a program that carries a generator.
    ///
    /// ```
    /// use numeric::Noise;
    /// let mut rng = Noise::new(1).row_stream(0);
    /// let seed = rng.clone().next_u64();
    /// assert_eq!(Noise::from_rng(&mut rng), Noise::new(seed));
    /// ```
    #[cfg(feature = "rand")]
    pub fn from_rng(rng: &mut (impl rand::Rng + ?Sized)) -> Noise {
        Noise::new(rng.next_u64())
    }

    /// An independent noise for the purpose named by `label`.
    ///
    /// ```
    /// use numeric::Noise;
    /// let noise = Noise::new(1);
    /// assert_ne!(noise.fork("start"), noise.fork("path"));
    /// assert_ne!(noise.fork("a").fork("b"), noise.fork("ab"));
    /// ```
    #[must_use]
    pub fn fork(self, label: &str) -> Noise {
        let mut key = mix(self.key ^ u64::from_le_bytes(*b"forklabl"));
        for chunk in label.as_bytes().chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            key = mix(key ^ u64::from_le_bytes(word));
        }
        Noise { key: mix(key ^ label.len() as u64) }
    }

    /// An independent noise for every index: repetitions, restarts, chains. Different indices give different keys.
    #[must_use]
    pub fn fork_index(self, index: u64) -> Noise {
        self.derive(u64::from_le_bytes(*b"forkindx"), index)
    }

    /// Standard normals: `out[i, j]` is the variate of row `rows[i]`, step `step`, coordinate `j`.
    ///
    /// `out` has shape `(rows.len(), d)`. Each pair of neighbouring rows is a Box–Muller pair, of 32 random bits per
    /// `f32` and 64 per `f64`. The radius keeps its relative precision at both ends, so the tails end at 6.76 and
    /// 9.49 standard deviations, beyond which the law puts $`1.4 \cdot 10^{-11}`$ and $`2.3 \cdot 10^{-21}`$. The relative error
    /// of a variate against the exact function of its bits is below 3 machine epsilons of its type.
    ///
    /// ```
    /// use numeric::{Noise, ndarray::Array2};
    /// let rows: Vec<u64> = (0..1000).collect();
    /// let mut z = Array2::<f32>::zeros((1000, 10));
    /// Noise::new(3).normals_into(&rows, 0, &mut z);
    /// // Standard errors of the mean and of the second moment: 0.01 and 0.014.
    /// assert!((z.sum() / 1e4).abs() < 0.05);
    /// assert!((z.mapv(|z| z * z).sum() / 1e4 - 1.0).abs() < 0.07);
    /// ```
    ///
    /// # Complexity
    /// One Philox block per coordinate and group of rows `4q..4q + 4` (`f32`) or `2q..2q + 2` (`f64`): rows that lie
    /// together cost a quarter or half of rows apart.
    ///
    /// # Panics
    /// If `out` does not have one row per row number, is not in standard layout or has more than $`2^{32}`$
    /// columns, or if `rows` is not strictly increasing.
    #[track_caller]
    pub fn normals_into<F: Real>(&self, rows: &[u64], step: u64, out: &mut ArrayRef2<F>) {
        self.scaled_normals(rows, step, F::one(), out);
    }

    /// `out[i, j] += scale · z`, with the z that [`normals_into`](Noise::normals_into) writes: the noise of a Gaussian
    /// step without an array for it.
    ///
    /// ```
    /// use numeric::{Noise, ndarray::array};
    /// let (mut x, mut z) = (array![[1.0, 2.0], [3.0, 4.0]], array![[0.0, 0.0], [0.0, 0.0]]);
    /// Noise::new(3).normals_into(&[0, 5], 7, &mut z);
    /// let moved = &x + 0.5 * &z;
    /// Noise::new(3).add_normals(&[0, 5], 7, 0.5, &mut x);
    /// assert_eq!(x, moved);
    /// ```
    ///
    /// # Panics
    /// As [`normals_into`](Noise::normals_into).
    #[track_caller]
    pub fn add_normals<F: Real>(&self, rows: &[u64], step: u64, scale: F, out: &mut ArrayRef2<F>) {
        self.for_each_normal(rows, step, out, move |x, z| *x += scale * z);
    }

    /// Uniforms on the open interval (0, 1): `out[i, j]` is the variate of row `rows[i]`, step `step`, coordinate `j`.
    ///
    /// They are equally likely odd multiples of $`2^{-24}`$ (`f32`) or $`2^{-53}`$ (`f64`), so both ends are excluded and $`1 - u`$
    /// has exactly the law of $`u`$. They share no bits with the normals of the same noise.
    ///
    /// ```
    /// use numeric::{Noise, ndarray::Array2};
    /// let rows: Vec<u64> = (0..10_000).collect();
    /// let mut u = Array2::<f64>::zeros((10_000, 1));
    /// Noise::new(3).uniforms_into(&rows, 0, &mut u);
    /// // 1/12 = 0.0833, with a standard error of 0.00075
    /// assert!((u.var(0.0) - 1.0 / 12.0).abs() < 0.003);
    /// ```
    ///
    /// # Panics
    /// As [`normals_into`](Noise::normals_into).
    #[track_caller]
    pub fn uniforms_into<F: Real>(&self, rows: &[u64], step: u64, out: &mut ArrayRef2<F>) {
        let set = |x: &mut F, u| *x = u;
        if size_of::<F>() == size_of::<f32>() {
            fill::<Uniform32, 4, F>(self.derive(Uniform32::TAG, step >> 32).key, rows, step as u32, out, set);
        } else {
            fill::<Uniform64, 2, F>(self.derive(Uniform64::TAG, step >> 32).key, rows, step as u32, out, set);
        }
    }

    /// The sequential generator of a row, for algorithms that draw a random number of variates.
    #[must_use]
    pub fn row_stream(&self, row: u64) -> RowStream {
        RowStream::new(self.stream_key(), row)
    }

    /// The key of all row streams of this noise.
    #[inline(always)]
    fn stream_key(self) -> u64 {
        self.derive(u64::from_le_bytes(*b"rowstrea"), 0).key
    }

    /// `out = scale * z`.
    #[track_caller]
    fn scaled_normals<F: Real>(&self, rows: &[u64], step: u64, scale: F, out: &mut ArrayRef2<F>) {
        self.for_each_normal(rows, step, out, move |x, z| *x = scale * z);
    }

    /// `apply(out[i, j], z)` for every entry. The high half of the step goes into the key.
    #[track_caller]
    fn for_each_normal<F: Real>(
        &self,
        rows: &[u64],
        step: u64,
        out: &mut ArrayRef2<F>,
        apply: impl Fn(&mut F, F),
    ) {
        if size_of::<F>() == size_of::<f32>() {
            fill::<Normal32, 4, F>(self.derive(Normal32::TAG, step >> 32).key, rows, step as u32, out, apply);
        } else {
            fill::<Normal64, 2, F>(self.derive(Normal64::TAG, step >> 32).key, rows, step as u32, out, apply);
        }
    }

    /// For a tag, a bijection of `datum`; for a datum of 0, a bijection of the tag.
    #[inline(always)]
    fn derive(self, tag: u64, datum: u64) -> Noise {
        Noise { key: mix(mix(self.key ^ tag) ^ datum) }
    }
}
