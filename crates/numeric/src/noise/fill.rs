//! Fills a block of rows: counters, Philox, law, and out to the rows that were asked for.

use std::marker::PhantomData;

use ndarray::ArrayRef2;
use pulp::{Arch, Simd, WithSimd};

use super::laws::Law;
use super::philox::{RoundKeys, block};
use crate::Real;

/// Counters worked on together.
const LANES: usize = 64;
/// Lanes of one inner loop; a block is filled to a multiple of it.
const CHUNK: usize = 16;
/// Widths below this take the path for narrow rows.
const NARROW: usize = 16;

#[repr(align(64))]
struct Lanes<T>([T; LANES]);

impl<T> Lanes<T> {
    #[inline(always)]
    fn chunk(&self, i: usize) -> &[T; CHUNK] {
        &self.0.as_chunks().0[i]
    }

    #[inline(always)]
    fn chunk_mut(&mut self, i: usize) -> &mut [T; CHUNK] {
        &mut self.0.as_chunks_mut().0[i]
    }
}

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
    assert!(rows.windows(2).all(|pair| pair[0] < pair[1]), "`rows` must be strictly increasing");
    let out = out.as_slice_mut().expect("`out` must be in standard layout");
    if out.is_empty() {
        return;
    }
    Arch::new().dispatch(Fill::<L, K, F, _> { key, rows, step, width, out, apply, law: PhantomData });
}

struct Fill<'a, L, const K: usize, F, A> {
    key: u64,
    rows: &'a [u64],
    step: u32,
    width: usize,
    out: &'a mut [F],
    apply: A,
    law: PhantomData<L>,
}

impl<L: Law<K>, const K: usize, F: Real, A: Fn(&mut F, F)> WithSimd for Fill<'_, L, K, F, A> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Fill { key, rows, step, width, out, apply, .. } = self;
        let mut buffer = Buffer::<L, K>::new(key, step);
        let last = rows.len() - 1;
        if width < NARROW && rows[last] - rows[0] == last as u64 {
            let head = ((K as u64 - rows[0] % K as u64) % K as u64).min(rows.len() as u64) as usize;
            let whole = (rows.len() - head) / K * K;
            let (first, rest) = out.split_at_mut(head * width);
            let (middle, end) = rest.split_at_mut(whole * width);
            buffer.scattered(&rows[..head], width, first, &apply);
            if whole > 0 {
                buffer.narrow(rows[head] / K as u64, width, middle, &apply);
            }
            buffer.scattered(&rows[head + whole..], width, end, &apply);
        } else {
            buffer.scattered(rows, width, out, &apply);
        }
    }
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

struct Buffer<L: Law<K>, const K: usize> {
    keys: RoundKeys,
    step: u32,
    coordinates: Lanes<u32>,
    groups: Lanes<u64>,
    words: [Lanes<u32>; 4],
    values: [Lanes<L::Value>; K],
}

impl<L: Law<K>, const K: usize> Buffer<L, K> {
    #[inline(always)]
    fn new(key: u64, step: u32) -> Buffer<L, K> {
        Buffer {
            keys: RoundKeys::new(key),
            step,
            coordinates: Lanes([0; LANES]),
            groups: Lanes([0; LANES]),
            words: [const { Lanes([0; LANES]) }; 4],
            values: std::array::from_fn(|_| Lanes([L::Value::default(); LANES])),
        }
    }

    /// The values of the first `len` lanes. Two passes: one fused loop keeps too much alive and is slower.
    #[inline(always)]
    fn compute(&mut self, len: usize) {
        let len = (len.div_ceil(CHUNK) * CHUNK).min(LANES);
        for j in 0..len {
            let group = self.groups.0[j];
            let counter = [self.coordinates.0[j], self.step, group as u32, (group >> 32) as u32];
            let block = block(counter, &self.keys);
            for k in 0..4 {
                self.words[k].0[j] = block[k];
            }
        }
        for i in 0..len / CHUNK {
            let words = self.words.each_ref().map(|lanes| lanes.chunk(i));
            let values = self.values.each_mut().map(|lanes| lanes.chunk_mut(i));
            for j in 0..CHUNK {
                let value = L::values([words[0][j], words[1][j], words[2][j], words[3][j]]);
                for k in 0..K {
                    values[k][j] = value[k];
                }
            }
        }
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
                self.groups.0[lanes.clone()].fill(segment.group);
                for (lane, coordinate) in self.coordinates.0[lanes].iter_mut().zip(segment.from as u32..) {
                    *lane = coordinate;
                }
                used += segment.len;
            }
            if used == 0 {
                return;
            }
            self.compute(used);
            let mut lane = 0;
            while let Some(Segment { at, members, from, len, .. }) = behind.next::<K>(rows, width, used - lane) {
                for i in at..at + members {
                    let values = &self.values[(rows[i] % K as u64) as usize].0[lane..lane + len];
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
        let mut places = [0; LANES];
        for i in 0..fit * width {
            offsets[i] = (i / width) as u64;
            self.coordinates.0[i] = (i % width) as u32;
            places[i] = i / width * K * width + i % width;
        }
        for (i, part) in out.chunks_mut(fit * K * width).enumerate() {
            let first = group + (i * fit) as u64;
            for (lane, offset) in self.groups.0.iter_mut().zip(offsets) {
                *lane = first.wrapping_add(offset);
            }
            let used = part.len() / K;
            self.compute(used);
            for (lane, place) in places[..used].iter().enumerate() {
                for k in 0..K {
                    apply(&mut part[place + k * width], F::of(self.values[k].0[lane].as_f64()));
                }
            }
        }
    }
}
