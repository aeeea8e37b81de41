//! Fills a block of rows: counters, Philox, law, and out to the rows that were asked for.

use ndarray::ArrayRef2;

use super::laws::Law;
use super::philox::{RoundKeys, blocks};
use crate::{Real, vectorize};

/// Lanes of the buffer in which counters of several groups are gathered.
const LANES: usize = 64;
/// Counters worked on together. All arrays of this length are local: the compiler then knows that they do not overlap,
/// and vectorises without asking at run time.
const CHUNK: usize = 32;
/// Widths below this take the path for narrow rows.
const NARROW: usize = 16;

/// Writes `apply(out[i, j], value(rows[i], step, j))` for the law `L` under `key`.
///
/// The counter is (coordinate, step, group) with `K` neighbouring rows to a group, so that every word of a counter is
/// used and the values of consecutive coordinates lie together in a row. Whole chunks of coordinates go from the
/// counter to the rows directly; of what is left of the width, the pairs (group, coordinate) are laid into the lanes
/// one after the other.
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
    if width >= CHUNK {
        let kernel = Kernel { keys: RoundKeys::new(key), step };
        vectorize(
            #[inline(always)]
            || kernel.chunks::<L, K, F>(rows, width, out, &apply),
        );
    }
    if width.is_multiple_of(CHUNK) {
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

/// What all counters of a call share.
struct Kernel {
    keys: RoundKeys,
    step: u32,
}

impl Kernel {
    /// The values of the counters of the lanes (coordinate, group). Two passes: one fused loop keeps too much alive and
    /// is slower.
    #[inline(always)]
    fn values<L: Law<K>, const K: usize>(
        &self,
        lane: impl Fn(usize) -> (u32, u64),
    ) -> [[L::Value; CHUNK]; K] {
        let mut words = [[0; CHUNK]; 4];
        for j in 0..CHUNK / 2 {
            let mut counters = [[0; 4]; 2];
            for (w, counter) in counters.iter_mut().enumerate() {
                let (coordinate, group) = lane(w * (CHUNK / 2) + j);
                *counter = [coordinate, self.step, group as u32, (group >> 32) as u32];
            }
            let blocks = blocks(counters, &self.keys);
            for (w, block) in blocks.iter().enumerate() {
                for k in 0..4 {
                    words[k][w * (CHUNK / 2) + j] = block[k];
                }
            }
        }
        if size_of::<L::Value>() == 8 { by_law::<L, K, 4>(&words) } else { by_law::<L, K, 2>(&words) }
    }

    /// The whole chunks of coordinates of any rows.
    #[inline(always)]
    fn chunks<L: Law<K>, const K: usize, F: Real>(
        &self,
        rows: &[u64],
        width: usize,
        out: &mut [F],
        apply: &impl Fn(&mut F, F),
    ) {
        let mut at = 0;
        while at < rows.len() {
            let (group, members) = group_at::<K>(rows, at);
            for from in (0..width / CHUNK * CHUNK).step_by(CHUNK) {
                let values = self.values::<L, K>(
                    #[inline(always)]
                    |j| (from as u32 + j as u32, group),
                );
                for i in at..at + members {
                    let values = &values[(rows[i] % K as u64) as usize];
                    let out: &mut [F; CHUNK] = out[i * width + from..].first_chunk_mut().expect("a chunk");
                    for (x, value) in out.iter_mut().zip(values) {
                        apply(x, F::of(value.as_f64()));
                    }
                }
            }
            at += members;
        }
    }
}

/// The values of blocks of words, W vectors of 64 bytes at once.
#[inline(always)]
fn by_law<L: Law<K>, const K: usize, const W: usize>(words: &[[u32; CHUNK]; 4]) -> [[L::Value; CHUNK]; K] {
    let mut values = [[L::Value::default(); CHUNK]; K];
    for j in 0..CHUNK / W {
        let mut blocks = [[0; 4]; W];
        for (w, block) in blocks.iter_mut().enumerate() {
            for k in 0..4 {
                block[k] = words[k][w * (CHUNK / W) + j];
            }
        }
        for (w, value) in L::values(blocks).iter().enumerate() {
            for k in 0..K {
                values[k][w * (CHUNK / W) + j] = value[k];
            }
        }
    }
    values
}

/// The group of the row `rows[at]`, and how many rows from there on share it.
#[inline(always)]
fn group_at<const K: usize>(rows: &[u64], at: usize) -> (u64, usize) {
    let group = rows[at] / K as u64;
    (group, rows[at..].iter().take(K).take_while(|&&row| row / K as u64 == group).count())
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
        let (group, members) = group_at::<K>(rows, self.at);
        let segment =
            Segment { group, at: self.at, members, from: self.from, len: (width - self.from).min(room) };
        self.from += segment.len;
        if self.from == width {
            *self = Cursor { at: self.at + members, from: width / CHUNK * CHUNK };
        }
        Some(segment)
    }
}

/// One block of lanes.
#[repr(align(64))]
struct Buffer<L: Law<K>, const K: usize> {
    coordinates: [[u32; CHUNK]; LANES / CHUNK],
    groups: [[u64; CHUNK]; LANES / CHUNK],
    values: [[L::Value; LANES]; K],
    kernel: Kernel,
}

impl<L: Law<K>, const K: usize> Buffer<L, K> {
    #[inline(always)]
    fn new(key: u64, step: u32) -> Buffer<L, K> {
        Buffer {
            coordinates: Default::default(),
            groups: Default::default(),
            values: [[L::Value::default(); LANES]; K],
            kernel: Kernel { keys: RoundKeys::new(key), step },
        }
    }

    /// The values of the first `len` lanes.
    #[inline(always)]
    fn compute(&mut self, len: usize) {
        for chunk in 0..len.div_ceil(CHUNK) {
            let (coordinates, groups) = (self.coordinates[chunk], self.groups[chunk]);
            let values = self.kernel.values::<L, K>(
                #[inline(always)]
                |j| (coordinates[j], groups[j]),
            );
            for (to, values) in self.values.iter_mut().zip(&values) {
                to[chunk * CHUNK..][..CHUNK].copy_from_slice(values);
            }
        }
    }

    /// Any rows, any width: stretches of the coordinates that do not fill a chunk.
    #[inline(always)]
    fn scattered<F: Real>(&mut self, rows: &[u64], width: usize, out: &mut [F], apply: &impl Fn(&mut F, F)) {
        let mut ahead = Cursor { at: 0, from: width / CHUNK * CHUNK };
        let mut behind = ahead;
        loop {
            let mut used = 0;
            while let Some(segment) = ahead.next::<K>(rows, width, LANES - used) {
                let lanes = used..used + segment.len;
                self.groups.as_flattened_mut()[lanes.clone()].fill(segment.group);
                let coordinates = &mut self.coordinates.as_flattened_mut()[lanes];
                for (lane, coordinate) in coordinates.iter_mut().zip(segment.from as u32..) {
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
        for (group, lane) in offsets.iter_mut().zip(self.coordinates.as_flattened_mut()).take(out.len() / K) {
            (*group, *lane) = (offset, coordinate);
            coordinate += 1;
            if coordinate as usize == width {
                (offset, coordinate) = (offset + 1, 0);
            }
        }
        for (i, part) in out.chunks_mut(fit * K * width).enumerate() {
            let first = group + (i * fit) as u64;
            for (lane, offset) in self.groups.as_flattened_mut().iter_mut().zip(offsets) {
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
