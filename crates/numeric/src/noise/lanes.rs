//! Rows with a key each: one variate of a counter instead of all that it has.

use super::laws::Law;
use super::philox::block_of;

/// Rows worked on together.
pub(super) const LANES: usize = 64;
/// Lanes of one inner loop; a block is filled to a multiple of it.
const CHUNK: usize = 16;

/// A block of rows, and what each draws from.
#[repr(align(64))]
pub(super) struct Lanes<L: Law<K>, const K: usize> {
    /// The key of each row, that of the law.
    pub(super) keys: [u64; LANES],
    groups: [u64; LANES],
    which: [u32; LANES],
    words: [[u32; LANES]; 4],
    values: [L::Value; LANES],
    used: usize,
    step: u32,
}

impl<L: Law<K>, const K: usize> Lanes<L, K> {
    /// At most [`LANES`] rows.
    #[inline(always)]
    pub(super) fn new(rows: &[u64], step: u32) -> Lanes<L, K> {
        let mut lanes = Lanes {
            keys: [0; LANES],
            groups: [0; LANES],
            which: [0; LANES],
            words: [[0; LANES]; 4],
            values: [L::Value::default(); LANES],
            used: rows.len().next_multiple_of(CHUNK).min(LANES),
            step,
        };
        for (i, &row) in rows.iter().enumerate() {
            lanes.groups[i] = row / K as u64;
            lanes.which[i] = (row % K as u64) as u32;
        }
        lanes
    }

    /// The variate of each row at a coordinate, in the bits of [`fill`](super::fill::fill).
    #[inline(always)]
    pub(super) fn draw(&mut self, coordinate: u32) -> &[L::Value; LANES] {
        let Lanes { keys, groups, which, words, values, used, step } = self;
        for i in 0..(*used).min(LANES) {
            let counter = [coordinate, *step, groups[i] as u32, (groups[i] >> 32) as u32];
            let block = block_of(counter, keys[i]);
            for k in 0..4 {
                words[k][i] = block[k];
            }
        }
        for i in 0..(*used).min(LANES) {
            values[i] = L::value([words[0][i], words[1][i], words[2][i], words[3][i]], which[i]);
        }
        values
    }
}
