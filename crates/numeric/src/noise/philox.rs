//! Philox4x32-10: the counter-based generator, and the mixing function for keys.

/// Multipliers of the two products of a round.
const MULTIPLIERS: [u64; 2] = [0xD251_1F53, 0xCD9E_8D57];
/// What is added to the two halves of the key from round to round: the golden ratio and $`\sqrt 3 - 1`$.
const WEYL: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85];
const ROUNDS: usize = 10;

/// The round keys of a 64-bit key, widened for the 64-bit lanes of [`block`].
#[derive(Clone, Copy)]
pub(super) struct RoundKeys([[u64; 2]; ROUNDS]);

impl RoundKeys {
    #[inline(always)]
    pub(super) fn new(key: u64) -> RoundKeys {
        let mut halves = [key as u32, (key >> 32) as u32];
        let mut keys = [[0; 2]; ROUNDS];
        for round in &mut keys {
            *round = [u64::from(halves[0]), u64::from(halves[1])];
            halves = [halves[0].wrapping_add(WEYL[0]), halves[1].wrapping_add(WEYL[1])];
        }
        RoundKeys(keys)
    }
}

/// The 128 bits of W counters, whose rounds take turns: Philox4x32-10 of Salmon, Moraes, Dror and Shaw (2011), "Parallel random numbers:
/// as easy as 1, 2, 3", section 3.3.
///
/// Each word is kept in a 64-bit lane, whose upper half is ignored by the next product; so a vector product
/// yields both halves at once and nothing is shuffled.
#[inline(always)]
pub(super) fn blocks<const W: usize>(counters: [[u32; 4]; W], keys: &RoundKeys) -> [[u32; 4]; W] {
    let mut c = [[0; 4]; W];
    for (c, counter) in c.iter_mut().zip(&counters) {
        for (c, &word) in c.iter_mut().zip(counter) {
            *c = u64::from(word);
        }
    }
    for k in &keys.0 {
        for c in &mut c {
            let p = [(c[0] & LOW) * MULTIPLIERS[0], (c[2] & LOW) * MULTIPLIERS[1]];
            *c = [(p[1] >> 32) ^ c[1] ^ k[0], p[1], (p[0] >> 32) ^ c[3] ^ k[1], p[0]];
        }
    }
    let mut words = [[0; 4]; W];
    for (words, c) in words.iter_mut().zip(&c) {
        for (word, &c) in words.iter_mut().zip(c) {
            *word = c as u32;
        }
    }
    words
}

/// One of the [`blocks`], under a key that is not shared with other lanes.
#[inline(always)]
pub(super) fn block_of(counter: [u32; 4], key: u64) -> [u32; 4] {
    // What the additions carry into the upper halves is ignored like the rest of these.
    let mut k = [key, key >> 32];
    let mut c = counter.map(u64::from);
    for _ in 0..ROUNDS {
        let p = [(c[0] & LOW) * MULTIPLIERS[0], (c[2] & LOW) * MULTIPLIERS[1]];
        c = [(p[1] >> 32) ^ c[1] ^ k[0], p[1], (p[0] >> 32) ^ c[3] ^ k[1], p[0]];
        k = [k[0].wrapping_add(u64::from(WEYL[0])), k[1].wrapping_add(u64::from(WEYL[1]))];
    }
    c.map(|word| word as u32)
}

const LOW: u64 = 0xFFFF_FFFF;

/// A bijection of the 64-bit integers in which every input bit changes every output bit with probability near 1/2:
/// the finaliser of SplitMix64 (Steele, Lea and Flood 2014; constants "Mix13" of Stafford 2011), with its
/// increment, so that 0 is not a fixed point.
#[inline(always)]
pub(super) const fn mix(key: u64) -> u64 {
    let z = key.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::{RoundKeys, block_of, blocks, mix};

    /// The vectors published with Random123 (file `kat_vectors`, lines `philox4x32 10`).
    #[test]
    fn known_answers() {
        let answers = [
            ([0; 4], 0, [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]),
            ([u32::MAX; 4], u64::MAX, [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]),
            (
                [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344],
                0x299f_31d0_a409_3822,
                [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1],
            ),
        ];
        for (counter, key, words) in answers {
            assert_eq!(blocks([counter], &RoundKeys::new(key)), [words]);
            assert_eq!(block_of(counter, key), words);
        }
    }

    /// The first outputs of SplitMix64 from state 1234567, as printed on Rosetta Code.
    #[test]
    fn mix_is_splitmix64() {
        let mut state = 1_234_567_u64;
        for answer in [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423] {
            assert_eq!(mix(state), answer);
            state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        }
    }
}
