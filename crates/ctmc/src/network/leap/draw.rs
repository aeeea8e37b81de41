//! How often reactions happen in a leap, by each method.

use numeric::Error;

use super::step::MOST;
use super::walk::LeapWalk;

impl LeapWalk<'_> {
    /// Numbers of events at the propensities of the start.
    pub(super) fn draw(&mut self, length: f64) {
        for (reaction, clock) in self.clocks.iter_mut().enumerate() {
            if !self.critical[reaction] {
                let (events, stretches) =
                    clock.look(0, self.propensities[reaction] * length, &mut self.stream);
                (self.events[reaction], self.stretches[reaction]) = (events as i64, stretches);
            }
        }
    }

    /// Numbers of events at the propensities of the state that is expected in the middle.
    pub(super) fn draw_at_midpoint(&mut self, length: f64) -> Result<bool, Error> {
        let network = self.of.network;
        self.between.iter_mut().zip(&self.counts).for_each(|(x, &n)| *x = f64::from(n));
        for (reaction, a) in self.propensities.iter().enumerate().filter(|(r, _)| !self.critical[*r]) {
            for &(species, change) in network.changes(reaction) {
                self.between[species as usize] += 0.5 * length * a * f64::from(change);
            }
        }
        if self.between.iter().any(|&x| x < 0.0) {
            return Ok(false);
        }
        self.smooth.set(&self.between);
        for (reaction, clock) in self.clocks.iter_mut().enumerate().filter(|(r, _)| !self.critical[*r]) {
            let middle = self.smooth.propensity(network, reaction, self.now, &self.between, |_, _| ())?;
            if middle * length > MOST {
                return Ok(false);
            }
            let (events, stretches) = clock.look(0, middle * length, &mut self.stream);
            (self.events[reaction], self.stretches[reaction]) = (events as i64, stretches);
        }
        Ok(true)
    }

    /// Numbers of events of the θ-trapezoidal method.
    pub(super) fn draw_in_two_stages(&mut self, length: f64, theta: f64) -> Result<bool, Error> {
        let network = self.of.network;
        let event = self.events.iter().position(|&events| events > 0);
        self.draw(theta * length);
        // The critical event comes at the end, not after the first stage.
        if let Some(event) = event {
            self.events[event] = 0;
        }
        if !self.go() {
            return Ok(false);
        }
        network.propensities_into(self.now, &self.next, &mut self.later)?;
        let ahead = 0.5 / (theta * (1.0 - theta));
        let back = ((1.0 - theta).powi(2) + theta * theta) * ahead;
        for (reaction, clock) in self.clocks.iter_mut().enumerate().filter(|(r, _)| !self.critical[*r]) {
            let rate = ahead * self.later[reaction] - back * self.propensities[reaction];
            if rate * length > MOST {
                return Ok(false);
            }
            if rate < 0.0 {
                self.negative_rates += 1;
            } else {
                let ahead = rate * (1.0 - theta) * length;
                let (events, stretches) = clock.look(self.stretches[reaction], ahead, &mut self.stream);
                self.events[reaction] += events as i64;
                self.stretches[reaction] = stretches;
            }
        }
        if let Some(event) = event {
            self.events[event] = 1;
        }
        Ok(true)
    }

    /// Numbers of events of the implicit method, rounded.
    pub(super) fn draw_implicitly(&mut self, length: f64) -> Result<bool, Error> {
        let network = self.of.network;
        self.draw(length);
        for (base, (start, &n)) in self.between.iter_mut().zip(self.newton.x.iter_mut().zip(&self.counts)) {
            (*base, *start) = (f64::from(n), f64::from(n));
        }
        let drawn = self.events.iter().zip(&self.propensities).enumerate();
        for (reaction, (&events, a)) in drawn.filter(|(r, _)| !self.critical[*r]) {
            for &(species, change) in network.changes(reaction) {
                self.between[species as usize] += f64::from(change) * (events as f64 - a * length);
            }
        }
        if !self.newton.solve(network, self.now, &self.between, length, &self.critical)? {
            return Ok(false);
        }
        // A critical reaction has its event at the end of the leap, if at all.
        let drawn = self.events.iter_mut().zip(&self.propensities).zip(&self.newton.propensities).enumerate();
        for (_, ((events, a), later)) in drawn.filter(|(r, _)| !self.critical[*r]) {
            *events = (*events as f64 + (later - a) * length).round() as i64;
        }
        Ok(self.events.iter().all(|&events| events >= 0))
    }
}
