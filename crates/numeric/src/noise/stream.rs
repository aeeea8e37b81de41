//! A sequential generator per row.

use super::laws::{Law, Normal64, exponentials, join, uniform_64};
use super::philox::block_of;
use crate::vectorize;

/// Counters computed at a time, side by side.
const BLOCKS: u64 = 16;

/// The random numbers of one row in sequence, from [`Noise::row_stream`](crate::Noise::row_stream).
///
/// For algorithms that draw a random number of variates, such as jump processes and rejection. A row's sequence does
/// not depend on the other rows. It has $`2^{65}`$ words and shares none with the arrays of the same noise or with
/// other rows. With the feature `rand` it implements `rand::TryRng`, hence `rand::Rng`.
///
/// ```
/// use numeric::Noise;
/// let mut stream = Noise::new(5).fork("jumps").row_stream(12);
/// // Exponential waiting times, until time 1000 at rate 2: Poisson(2000), standard deviation 45.
/// let (mut time, mut jumps) = (0.0, 0);
/// loop {
///     time -= stream.uniform().ln() / 2.0;
///     if time > 1000.0 {
///         break;
///     }
///     jumps += 1;
/// }
/// assert!((1800..2200).contains(&jumps));
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct RowStream {
    key: u64,
    row: u64,
    /// The next counter to be computed.
    counter: u64,
    words: [u64; 2 * BLOCKS as usize],
    /// How many of `words` are used up.
    used: usize,
    /// The second normal of a pair.
    spare: Option<f64>,
}

impl RowStream {
    pub(super) fn new(key: u64, row: u64) -> RowStream {
        let words = [0; 2 * BLOCKS as usize];
        RowStream { key, row, counter: 0, words, used: words.len(), spare: None }
    }

    /// The next 64 random bits.
    #[inline]
    pub fn next_u64(&mut self) -> u64 {
        if self.used == self.words.len() {
            self.refill();
        }
        let word = self.words[self.used];
        self.used += 1;
        word
    }

    /// The next uniform on the open interval (0, 1), an odd multiple of $`2^{-53}`$, from one `u64`.
    #[inline]
    pub fn uniform(&mut self) -> f64 {
        uniform_64(self.next_u64())
    }

    /// The next standard exponential, a waiting time at rate 1, from one `u64`: $`-\ln u`$ with
    /// $`u = (a + 1/2) 2^{-64}`$, so that it is greater than 0 and at most 45.1. The same bits on every machine.
    ///
    /// ```
    /// let mut stream = numeric::Noise::new(2).row_stream(0);
    /// let bits = stream.clone().next_u64();
    /// let exact = -((bits as f64 + 0.5) / 2_f64.powi(64)).ln();
    /// assert!((stream.exponential() - exact).abs() <= 1e-15 * exact);
    /// ```
    #[inline]
    pub fn exponential(&mut self) -> f64 {
        let [e] = exponentials([self.next_u64()]);
        e
    }

    /// The next standard normal: a Box–Muller pair from two `u64`, its second half kept for the next call.
    #[inline]
    pub fn normal(&mut self) -> f64 {
        if let Some(z) = self.spare.take() {
            return z;
        }
        let (a, b) = (self.next_u64(), self.next_u64());
        let [[first, second]] = Normal64::values([[a as u32, (a >> 32) as u32, b as u32, (b >> 32) as u32]]);
        self.spare = Some(second);
        first
    }

    /// The counter is (number of the block, row).
    fn refill(&mut self) {
        let (key, row, first) = (self.key, self.row, self.counter);
        let words = &mut self.words;
        vectorize(
            #[inline(always)]
            || {
                for (i, pair) in words.as_chunks_mut::<2>().0.iter_mut().enumerate() {
                    let counter = first + i as u64;
                    let halves = [counter as u32, (counter >> 32) as u32, row as u32, (row >> 32) as u32];
                    let w = block_of(halves, key);
                    *pair = [join(w[0], w[1]), join(w[2], w[3])];
                }
            },
        );
        self.counter += BLOCKS;
        self.used = 0;
    }
}

impl super::Noise {
    /// For each lane, two numbers of the [`row_stream`](Self::row_stream) of its row: the word `2 pairs[i]` as
    /// [`exponential`](RowStream::exponential) makes it, and the word after it as [`uniform`](RowStream::uniform) does.
    ///
    /// For algorithms that draw one of each at every step, with many rows side by side. Call it within
    /// [`vectorize`].
    ///
    /// ```
    /// let noise = numeric::Noise::new(2);
    /// let (mut e, mut u) = ([0.0; 4], [0.0; 4]);
    /// noise.exponentials_and_uniforms(&[7, 8, 9, 9], &[0, 0, 0, 1], &mut e, &mut u);
    /// let mut stream = noise.row_stream(9);
    /// assert_eq!([e[2], u[2], e[3]], [stream.exponential(), stream.uniform(), stream.exponential()]);
    /// ```
    #[inline(always)]
    pub fn exponentials_and_uniforms<const W: usize>(
        &self,
        rows: &[u64; W],
        pairs: &[u64; W],
        exponentials_out: &mut [f64; W],
        uniforms_out: &mut [f64; W],
    ) {
        let key = self.stream_key();
        let (mut first, mut second) = ([0; W], [0; W]);
        for i in 0..W {
            let counter = [pairs[i] as u32, (pairs[i] >> 32) as u32, rows[i] as u32, (rows[i] >> 32) as u32];
            let w = block_of(counter, key);
            (first[i], second[i]) = (join(w[0], w[1]), join(w[2], w[3]));
        }
        for i in 0..W {
            [exponentials_out[i]] = exponentials([first[i]]);
            uniforms_out[i] = uniform_64(second[i]);
        }
    }
}

/// `next_u32` is the upper half of a `u64`; `fill_bytes` takes whole `u64`, little end first.
#[cfg(feature = "rand")]
impl rand::TryRng for RowStream {
    type Error = std::convert::Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        Ok((self.next_u64() >> 32) as u32)
    }

    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        Ok(self.next_u64())
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Self::Error> {
        rand::rand_core::utils::fill_bytes_via_next_word(bytes, || self.try_next_u64())
    }
}
