//! The random numbers of the direct method.

use numeric::{Noise, vectorize};

/// Pairs made at a time.
const MADE: usize = 16;

/// A waiting time at rate 1 and a uniform number for each event of a row: those of its stream, made several at a time.
#[derive(Debug)]
pub(super) struct Pairs {
    noise: Noise,
    rows: [u64; MADE],
    numbers: [u64; MADE],
    exponentials: [f64; MADE],
    uniforms: [f64; MADE],
    used: usize,
}

impl Pairs {
    pub(super) fn new(noise: Noise, row: u64) -> Pairs {
        let zeros = [0.0; MADE];
        let numbers = std::array::from_fn(|i| i as u64);
        Pairs { noise, rows: [row; MADE], numbers, exponentials: zeros, uniforms: zeros, used: MADE }
    }

    #[inline(always)]
    pub(super) fn next(&mut self) -> (f64, f64) {
        if self.used == MADE {
            self.make();
        }
        let pair = (self.exponentials[self.used], self.uniforms[self.used]);
        self.used += 1;
        pair
    }

    #[inline(never)]
    fn make(&mut self) {
        let Pairs { noise, rows, numbers, exponentials, uniforms, used } = self;
        vectorize(
            #[inline(always)]
            || noise.exponentials_and_uniforms(rows, numbers, exponentials, uniforms),
        );
        numbers.iter_mut().for_each(|number| *number += MADE as u64);
        *used = 0;
    }
}
