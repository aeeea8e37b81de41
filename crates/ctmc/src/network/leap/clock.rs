//! Poisson processes that are known in part.

use std::collections::VecDeque;

use numeric::RowStream;

/// A stretch of a process of which the number of events is known.
#[derive(Clone, Copy, Debug)]
struct Stretch {
    length: f64,
    events: u64,
    /// Whether it has one event, at its very end.
    ends_in_event: bool,
}

/// A Poisson process of rate 1 from its present time on, of which some has been looked at.
///
/// What has been seen is kept: a leap that is not taken leaves behind the numbers of events that it has drawn, and a shorter one
/// draws from these. So a rejection does not change the law of the process, however it came about (Anderson 2008).
#[derive(Clone, Debug, Default)]
pub(super) struct Clock {
    /// Ahead of the present time, the nearest first.
    known: VecDeque<Stretch>,
}

impl Clock {
    /// Forgets all that is known.
    pub(super) fn clear(&mut self) {
        self.known.clear();
    }

    /// The number of events within `length` after the first `skip` known stretches, and how many stretches that are with
    /// these.
    pub(super) fn look(&mut self, skip: usize, length: f64, stream: &mut RowStream) -> (u64, usize) {
        let (mut left, mut events, mut place) = (length, 0, skip);
        while left > 0.0 {
            let Some(stretch) = self.known.get(place).copied() else {
                let new = stream.poisson(left);
                self.known.push_back(Stretch { length: left, events: new, ends_in_event: false });
                return (events + new, place + 1);
            };
            if left < stretch.length {
                let first = match stretch.events {
                    0 => 0,
                    _ if stretch.ends_in_event => 0,
                    all => stream.binomial(all, left / stretch.length),
                };
                let rest =
                    Stretch { length: stretch.length - left, events: stretch.events - first, ..stretch };
                self.known[place] = rest;
                self.known.insert(place, Stretch { length: left, events: first, ends_in_event: false });
                return (events + first, place + 1);
            }
            events += stretch.events;
            left -= stretch.length;
            place += 1;
        }
        (events, place)
    }

    /// Goes to the end of the first known stretches.
    pub(super) fn pass(&mut self, stretches: usize) {
        self.known.drain(..stretches);
    }

    /// How far ahead the next event is.
    pub(super) fn next_event(&mut self, stream: &mut RowStream) -> f64 {
        let mut distance = 0.0;
        for place in 0.. {
            let Some(stretch) = self.known.get(place).copied() else {
                let length = stream.exponential();
                self.known.push_back(Stretch { length, events: 1, ends_in_event: true });
                return distance + length;
            };
            if stretch.events == 0 {
                distance += stretch.length;
                continue;
            }
            if !stretch.ends_in_event {
                // The first of several points that are uniform on the stretch.
                let share = -(stream.uniform().ln() / stretch.events as f64).exp_m1();
                let length = share * stretch.length;
                let rest = Stretch {
                    length: stretch.length - length,
                    events: stretch.events - 1,
                    ends_in_event: false,
                };
                self.known[place] = rest;
                self.known.insert(place, Stretch { length, events: 1, ends_in_event: true });
                return distance + length;
            }
            return distance + stretch.length;
        }
        unreachable!("places have no end")
    }

    /// Goes to the next event, which [`next_event`](Clock::next_event) has found.
    pub(super) fn pass_event(&mut self) {
        while let Some(stretch) = self.known.pop_front() {
            if stretch.events > 0 {
                debug_assert!(stretch.ends_in_event);
                return;
            }
        }
    }

    /// Goes ahead by `length`, up to the next event at most, which [`next_event`](Clock::next_event) has found.
    pub(super) fn pass_to(&mut self, length: f64) {
        let mut left = length;
        while let Some(stretch) = self.known.front_mut() {
            if left < stretch.length {
                stretch.length -= left;
                return;
            }
            if stretch.events > 0 {
                // Rounding has gone beyond the event, which is still to come.
                stretch.length = 0.0;
                return;
            }
            left -= stretch.length;
            self.known.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use numeric::Noise;
    use verify::{Family, chi_squared, kolmogorov_smirnov, seed};

    use super::*;

    /// The Poisson probabilities 0, …, 39 and the rest.
    fn poisson(mean: f64) -> Vec<f64> {
        let mut law = vec![(-mean).exp()];
        (1..40).for_each(|k| law.push(law[k - 1] * mean / k as f64));
        law.push(1.0 - law.iter().sum::<f64>());
        law.iter().map(|p| p.max(0.0)).collect()
    }

    /// A process that is looked at in any way is a Poisson process. False alarms: one run in ten thousand.
    #[test]
    fn looking_does_not_change_the_law() {
        let mut family = Family::new(1e-4).unwrap();
        let noise = Noise::new(seed(200));
        let rows = 40_000;
        let (mut first, mut rest, mut distances) = (vec![0; 41], vec![0; 41], vec![]);
        for row in 0..rows {
            let mut stream = noise.row_stream(row);
            let mut clock = Clock::default();
            // Far ahead, then less far the more was seen; as rejections of leaps do.
            let (far, _) = clock.look(0, 8.0, &mut stream);
            let length = if far > 8 { 2.0 } else { 5.0 };
            clock.look(0, length, &mut stream);
            if far.is_multiple_of(2) {
                clock.next_event(&mut stream);
            }
            clock.look(0, 12.0, &mut stream);
            let (events, stretches) = clock.look(0, 1.5, &mut stream);
            clock.pass(stretches);
            let (next, stretches) = clock.look(0, 3.25, &mut stream);
            first[(events as usize).min(40)] += 1;
            rest[(next as usize).min(40)] += 1;
            clock.pass(stretches);
            distances.push(clock.next_event(&mut stream));
        }
        family.push("first", chi_squared(&first, &poisson(1.5)).unwrap().p_value);
        family.push("rest", chi_squared(&rest, &poisson(3.25)).unwrap().p_value);
        family.push("next event", kolmogorov_smirnov(&distances, |t| -(-t).exp_m1()).unwrap().p_value);
        family.assert();
    }

    #[test]
    fn events_are_where_they_were_found() {
        let mut stream = Noise::new(5).row_stream(0);
        let mut clock = Clock::default();
        let (all, _) = clock.look(0, 50.0, &mut stream);
        let (mut passed, mut seen) = (0.0, 0);
        loop {
            let distance = clock.next_event(&mut stream);
            assert_eq!(clock.next_event(&mut stream), distance);
            if passed + distance > 50.0 {
                break;
            }
            clock.pass_to(0.5 * distance);
            assert!((clock.next_event(&mut stream) - 0.5 * distance).abs() < 1e-14);
            clock.pass_event();
            passed += distance;
            seen += 1;
        }
        assert_eq!(seen, all);
    }
}
