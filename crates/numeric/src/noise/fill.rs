//! Fills a block of rows: counters, Philox, law, and out to the rows that were asked for.

use ndarray::ArrayRef2;

use super::laws::Law;
use super::philox::{RoundKeys, block};
use crate::{Real, vectorize};

/// Counters worked on together.
const LANES: usize = 64;
/// Lanes of one inner loop; a block is filled to a multiple of it.
const CHUNK: usize = 16;
/// Widths below this take the path for narrow rows.
const NARROW: usize = 16;

/// Writes `apply(out[i, j], value(rows[i], step, j))` for the law `L` under `key`.
///
/// The counter is (coordinate, step, group) with `K` neighbouring rows to a group, so that every word of a counter is
/// used and the values of consecutive coordinates lie together in a row. The pairs (group, coordinate) are laid into
/// the lanes one after the other, whatever the width.
#[track_caller]
pub(super) fn fill<L: Law<K>, const K: usize, F: Real>(
    key: u64,
    rows: &[u64],
    step: u32,
    out: &mut ArrayRef2<F>,
    apply: impl Fn(&mut F, F),
) {
    let (n, width) = out.dim();
    assert_eq!(n, rows.len(), "`out` has {n} rows for {} row numbers", rows.len());
    assert!(u32::try_from(width.saturating_sub(1)).is_ok(), "`out` has {width} columns, more than 2^32");
    assert!(
        rows.windows(2).fold(true, |so_far, pair| so_far & (pair[0] < pair[1])),
        "`rows` must be strictly increasing"
    );
    let out = out.as_slice_mut().expect("`out` must be in standard layout");
    if out.is_empty() {
        return;
    }
    // Narrow rows without gaps: whole groups in the middle, and what is broken of a group before and after them.
    let narrow = width < NARROW && rows[n - 1] - rows[0] == n as u64 - 1;
    let head = (rows[0].wrapping_neg() % K as u64).min(n as u64) as usize;
    let (head, whole) = if narrow { (head, (n - head) / K * K) } else { (0, 0) };
    vectorize(
        #[inline(always)]
        || {
            let mut buffer = Buffer::<L, K>::new(key, step);
            for (from, to, whole) in [(0, head, false), (head, head + whole, true), (head + whole, n, false)]
            {
                let (rows, out) = (&rows[from..to], &mut out[from * width..to * width]);
                if whole && from < to {
                    buffer.narrow(rows[0] / K as u64, width, out, &apply);
                } else {
                    buffer.scattered(rows, width, out, &apply);
                }
            }
        },
    );
}

/// The rows of `rows[at..at + members]` share the group; `len` coordinates from `from` on.
#[derive(Clone, Copy)]
struct Segment {
    group: u64,
    at: usize,
    members: usize,
    from: usize,
    len: usize,
}

/// A position in the sequence of pairs (group, coordinate) of a list of rows.
#[derive(Clone, Copy)]
struct Cursor {
    at: usize,
    from: usize,
}

impl Cursor {
    /// The next stretch of coordinates of one group, at most `room` of them.
    #[inline(always)]
    fn next<const K: usize>(&mut self, rows: &[u64], width: usize, room: usize) -> Option<Segment> {
        if self.at == rows.len() || room == 0 {
            return None;
        }
        let group = rows[self.at] / K as u64;
        let members = rows[self.at..].iter().take(K).take_while(|&&row| row / K as u64 == group).count();
        let segment =
            Segment { group, at: self.at, members, from: self.from, len: (width - self.from).min(room) };
        self.from += segment.len;
        if self.from == width {
            *self = Cursor { at: self.at + members, from: 0 };
        }
        Some(segment)
    }
}

/// One block of lanes in its three stages.
#[repr(align(64))]
struct Buffer<L: Law<K>, const K: usize> {
    coordinates: [u32; LANES],
    groups: [u64; LANES],
    words: [[u32; LANES]; 4],
    values: [[L::Value; LANES]; K],
    keys: RoundKeys,
    step: u32,
}

/// The words of the first `len` counters.
#[inline(always)]
fn all_words(
    coordinates: &[u32; LANES],
    groups: &[u64; LANES],
    step: u32,
    keys: &RoundKeys,
    words: &mut [[u32; LANES]; 4],
    len: usize,
) {
    for j in 0..len.min(LANES) {
        let block = block([coordinates[j], step, groups[j] as u32, (groups[j] >> 32) as u32], keys);
        for k in 0..4 {
            words[k][j] = block[k];
        }
    }
}

/// The values of the first `len` blocks of words.
#[inline(always)]
fn all_values<L: Law<K>, const K: usize>(
    words: &[[u32; LANES]; 4],
    values: &mut [[L::Value; LANES]; K],
    len: usize,
) {
    for j in 0..len.min(LANES) {
        let value = L::values([words[0][j], words[1][j], words[2][j], words[3][j]]);
        for k in 0..K {
            values[k][j] = value[k];
        }
    }
}

impl<L: Law<K>, const K: usize> Buffer<L, K> {
    #[inline(always)]
    fn new(key: u64, step: u32) -> Buffer<L, K> {
        Buffer {
            coordinates: [0; LANES],
            groups: [0; LANES],
            words: [[0; LANES]; 4],
            values: [[L::Value::default(); LANES]; K],
            keys: RoundKeys::new(key),
            step,
        }
    }

    /// The values of the first `len` lanes. Two passes: one fused loop keeps too much alive and is slower.
    #[inline(always)]
    fn compute(&mut self, len: usize) {
        let len = len.next_multiple_of(CHUNK);
        all_words(&self.coordinates, &self.groups, self.step, &self.keys, &mut self.words, len);
        all_values::<L, K>(&self.words, &mut self.values, len);
    }

    /// Any rows, any width: whole stretches of coordinates.
    #[inline(always)]
    fn scattered<F: Real>(&mut self, rows: &[u64], width: usize, out: &mut [F], apply: &impl Fn(&mut F, F)) {
        let mut ahead = Cursor { at: 0, from: 0 };
        let mut behind = ahead;
        loop {
            let mut used = 0;
            while let Some(segment) = ahead.next::<K>(rows, width, LANES - used) {
                let lanes = used..used + segment.len;
                self.groups[lanes.clone()].fill(segment.group);
                for (lane, coordinate) in self.coordinates[lanes].iter_mut().zip(segment.from as u32..) {
                    *lane = coordinate;
                }
                used += segment.len;
            }
            if used == 0 {
                return;
            }
            self.compute(used);
            let mut lane = 0;
            while let Some(Segment { at, members, from, len, .. }) =
                behind.next::<K>(rows, width, used - lane)
            {
                for i in at..at + members {
                    let values = &self.values[(rows[i] % K as u64) as usize][lane..lane + len];
                    for (x, &value) in out[i * width + from..][..len].iter_mut().zip(values) {
                        apply(x, F::of(value.as_f64()));
                    }
                }
                lane += len;
            }
        }
    }

    /// Whole groups of narrow rows from `group` on: as many groups as fit go through the lanes together, each time
    /// in the same places.
    #[inline(always)]
    fn narrow<F: Real>(&mut self, group: u64, width: usize, out: &mut [F], apply: &impl Fn(&mut F, F)) {
        let fit = LANES / width;
        let mut offsets = [0; LANES];
        let (mut offset, mut coordinate) = (0, 0);
        for (group, lane) in offsets.iter_mut().zip(&mut self.coordinates).take(out.len() / K) {
            (*group, *lane) = (offset, coordinate);
            coordinate += 1;
            if coordinate as usize == width {
                (offset, coordinate) = (offset + 1, 0);
            }
        }
        for (i, part) in out.chunks_mut(fit * K * width).enumerate() {
            let first = group + (i * fit) as u64;
            for (lane, offset) in self.groups.iter_mut().zip(offsets) {
                *lane = first.wrapping_add(offset);
            }
            self.compute(part.len() / K);
            for (j, rows) in part.chunks_exact_mut(K * width).enumerate() {
                for c in 0..width {
                    for k in 0..K {
                        apply(&mut rows[k * width + c], F::of(self.values[k][j * width + c].as_f64()));
                    }
                }
            }
        }
    }
}
