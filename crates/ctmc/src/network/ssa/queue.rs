//! Times of numbered events, the earliest on top.

/// An indexed priority queue: a binary heap that knows where each entry is.
#[derive(Debug)]
pub(super) struct Queue {
    times: Vec<f64>,
    heap: Vec<u32>,
    places: Vec<u32>,
}

impl Queue {
    /// All entries at infinity.
    pub(super) fn new(entries: usize) -> Queue {
        let numbers: Vec<u32> = (0..entries as u32).collect();
        Queue { times: vec![f64::INFINITY; entries], heap: numbers.clone(), places: numbers }
    }

    /// The earliest entry and its time.
    #[inline]
    pub(super) fn first(&self) -> Option<(usize, f64)> {
        let first = *self.heap.first()? as usize;
        Some((first, self.times[first]))
    }

    /// Moves an entry to another time.
    #[inline]
    pub(super) fn set(&mut self, entry: usize, time: f64) {
        self.times[entry] = time;
        let mut place = self.places[entry] as usize;
        while place > 0 && time < self.time_at((place - 1) / 2) {
            self.put(self.heap[(place - 1) / 2], place);
            place = (place - 1) / 2;
        }
        loop {
            let left = 2 * place + 1;
            if left >= self.heap.len() {
                break;
            }
            let right = left + 1;
            let child = if right < self.heap.len() && self.time_at(right) < self.time_at(left) {
                right
            } else {
                left
            };
            if time <= self.time_at(child) {
                break;
            }
            self.put(self.heap[child], place);
            place = child;
        }
        self.put(entry as u32, place);
    }

    fn time_at(&self, place: usize) -> f64 {
        self.times[self.heap[place] as usize]
    }

    fn put(&mut self, entry: u32, place: usize) {
        self.heap[place] = entry;
        self.places[entry as usize] = place as u32;
    }
}

#[cfg(test)]
mod tests {
    use super::Queue;

    #[test]
    fn the_first_is_the_earliest() {
        let mut queue = Queue::new(37);
        let mut times = [f64::INFINITY; 37];
        let mut state = 1_u64;
        for _ in 0..5000 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let (entry, time) = ((state >> 33) as usize % 37, ((state >> 40) % 1000) as f64);
            times[entry] = time;
            queue.set(entry, time);
            let (first, time) = queue.first().unwrap();
            assert_eq!(time, times.iter().copied().fold(f64::INFINITY, f64::min));
            assert_eq!(time, times[first]);
        }
        assert_eq!(Queue::new(0).first(), None);
    }
}
