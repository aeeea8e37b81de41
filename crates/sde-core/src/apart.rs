//! Buffers that begin at different places of a page.

use std::ops::{Deref, DerefMut};

use numeric::Real;

/// Bytes of a page: caches and the order of loads and stores look at an address modulo this.
const PAGE: usize = 4096;
/// Bytes between the beginnings of two neighbours, whole lines of the cache: twelve have places of their own in a page.
const SPACING: usize = 320;

/// Numbers that begin at a place of their own in a page, the one of their slot.
///
/// Methods read many arrays side by side. If all begin at the same place of a page, as large blocks of memory do, they push
/// each other out of the first-level cache, and loads wait for stores to other arrays. Values do not depend on it.
#[derive(Debug, Default)]
pub(crate) struct Apart<F> {
    numbers: Vec<F>,
    from: usize,
    len: usize,
}

/// Makes room for so many numbers at the place of their slot; where it begins.
pub(crate) fn place<F: Real>(numbers: &mut Vec<F>, len: usize, slot: usize) -> usize {
    numbers.resize(len + PAGE / size_of::<F>(), F::zero());
    (slot * SPACING).wrapping_sub(numbers.as_ptr().addr()) % PAGE / size_of::<F>()
}

impl<F: Real> Apart<F> {
    /// Zeros or what was here before, as long as that.
    pub(crate) fn resize(&mut self, len: usize, slot: usize) {
        (self.from, self.len) = (place(&mut self.numbers, len, slot), len);
    }

    /// Keeps the first numbers.
    pub(crate) fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }
}

impl<F> Deref for Apart<F> {
    type Target = [F];

    fn deref(&self) -> &[F] {
        &self.numbers[self.from..][..self.len]
    }
}

impl<F> DerefMut for Apart<F> {
    fn deref_mut(&mut self) -> &mut [F] {
        &mut self.numbers[self.from..][..self.len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places<F: Real>() {
        let mut buffers: Vec<Apart<F>> = (0..12).map(|_| Apart::default()).collect();
        for len in [0, 1, 2048] {
            let mut lines: Vec<usize> = Vec::new();
            for (slot, buffer) in buffers.iter_mut().enumerate() {
                buffer.resize(len, slot);
                assert_eq!(buffer.len(), len);
                lines.push(buffer.as_ptr().addr() % PAGE / 64);
                buffer.truncate(1);
                assert_eq!(buffer.len(), len.min(1));
            }
            lines.sort_unstable();
            lines.dedup();
            assert_eq!(lines.len(), 12);
        }
    }

    #[test]
    fn twelve_neighbours_begin_at_places_of_their_own() {
        places::<f32>();
        places::<f64>();
    }
}
