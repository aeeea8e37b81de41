//! The direct method, with reactions in their own order or sorted by use.

use numeric::{Error, Noise, RowStream};

use super::elementary::Elementary;
use super::engine::{At, Engine, Event, Total, check_total, first_above};
use super::flat::Flat;
use super::pairs::Pairs;
use crate::network::Network;

/// Gillespie (1977): a waiting time at the total propensity, then a reaction.
///
/// Two numbers of the stream for each event. The sum is made anew for each, so that nothing accumulates; so are the
/// propensities of small networks of elementary reactions, as a loop without branches is faster than the search for those
/// that have changed. They are the same numbers.
#[derive(Debug)]
pub(super) struct Direct {
    form: Form,
    pairs: Pairs,
    cumulative: Vec<f64>,
}

#[derive(Debug)]
enum Form {
    Elementary(Box<Flat>),
    Any { propensities: Vec<f64> },
}

impl Direct {
    pub(super) fn new(network: &Network, noise: Noise) -> Direct {
        let reactions = network.reactions().len();
        let form = match Elementary::small(network) {
            Some(network) => Form::Elementary(Box::new(Flat::new(&network))),
            None => Form::Any { propensities: vec![0.0; reactions] },
        };
        let sums = if let Form::Elementary(flat) = &form { flat.constants.len() } else { reactions };
        Direct { form, pairs: Pairs::new(noise, 0), cumulative: vec![0.0; sums] }
    }
}

impl Engine for Direct {
    fn set_row(&mut self, noise: Noise, row: u64) {
        self.pairs = Pairs::new(noise, row);
    }

    fn start(&mut self, at: &At<'_>, _: &mut RowStream) -> Result<(), Error> {
        match &mut self.form {
            Form::Elementary(flat) => flat.start(at.counts),
            Form::Any { propensities } => {
                for (propensity, value) in propensities.iter_mut().zip(at.propensities()) {
                    *propensity = value?;
                }
            }
        }
        Ok(())
    }

    #[inline(always)]
    fn next(&mut self, at: &At<'_>, _: f64, _: &mut RowStream) -> Result<Option<Event>, Error> {
        let mut total = 0.0;
        match &self.form {
            Form::Elementary(flat) => total = flat.sum_into(&mut self.cumulative),
            Form::Any { propensities } => {
                for (cumulative, propensity) in self.cumulative.iter_mut().zip(propensities) {
                    total += propensity;
                    *cumulative = total;
                }
            }
        }
        if total == 0.0 {
            return Ok(None);
        }
        if !(total < f64::INFINITY) {
            // One of them, or only their sum.
            at.propensities().try_for_each(|propensity| propensity.map(drop))?;
            check_total(total)?;
        }
        let (exponential, uniform) = self.pairs.next();
        Ok(Some((at.time + exponential / total, first_above(&self.cumulative, uniform * total))))
    }

    #[inline(always)]
    fn fire(
        &mut self,
        network: &Network,
        (time, reaction): Event,
        counts: &mut [u32],
        _: &mut RowStream,
    ) -> Result<(), Error> {
        match &mut self.form {
            Form::Elementary(flat) => flat.fire(network, reaction, counts)?,
            Form::Any { propensities } => {
                network.fire(reaction, counts)?;
                for &reaction in network.affected(reaction) {
                    let value = network.value(reaction as usize, time, counts);
                    propensities[reaction as usize] = network.check_rate(reaction as usize, value)?;
                }
            }
        }
        Ok(())
    }
}

/// McCollum et al. (2006): the direct method with a linear search in which each reaction that happens moves up one place.
#[derive(Debug)]
pub(super) struct Sorting {
    propensities: Vec<f64>,
    total: Total,
    order: Vec<u32>,
    /// The place of the reaction that [`Engine::next`] found.
    place: usize,
}

impl Sorting {
    pub(super) fn new(network: &Network) -> Sorting {
        let reactions = network.reactions().len();
        Sorting { propensities: vec![0.0; reactions], total: Total::default(), order: vec![], place: 0 }
    }
}

impl Engine for Sorting {
    fn start(&mut self, at: &At<'_>, _: &mut RowStream) -> Result<(), Error> {
        for (propensity, value) in self.propensities.iter_mut().zip(at.propensities()) {
            *propensity = value?;
        }
        self.total = Total::new(self.propensities.iter().copied());
        // The order is that of this path alone: rows do not depend on each other.
        self.order.clear();
        self.order.extend(0..self.propensities.len() as u32);
        Ok(())
    }

    fn next(&mut self, at: &At<'_>, _: f64, stream: &mut RowStream) -> Result<Option<Event>, Error> {
        if self.total.is_stale() {
            self.total = Total::new(self.propensities.iter().copied());
        }
        let total = self.total.get();
        if total == 0.0 {
            return Ok(None);
        }
        check_total(total)?;
        let time = at.time + stream.exponential() / total;
        let mut left = stream.uniform() * total;
        // Where rounding leaves something over, it goes to the last reaction that can happen.
        let mut last = None;
        for (place, &reaction) in self.order.iter().enumerate() {
            let propensity = self.propensities[reaction as usize];
            if propensity > 0.0 {
                last = Some(place);
                if left < propensity {
                    break;
                }
            }
            left -= propensity;
        }
        Ok(last.map(|place| {
            self.place = place;
            (time, self.order[place] as usize)
        }))
    }

    fn fire(
        &mut self,
        network: &Network,
        (time, reaction): Event,
        counts: &mut [u32],
        _: &mut RowStream,
    ) -> Result<(), Error> {
        network.fire(reaction, counts)?;
        for &reaction in network.affected(reaction) {
            let value = network.value(reaction as usize, time, counts);
            let new = network.check_rate(reaction as usize, value)?;
            let old = std::mem::replace(&mut self.propensities[reaction as usize], new);
            self.total.change(old, new);
        }
        if self.place > 0 {
            self.order.swap(self.place - 1, self.place);
        }
        Ok(())
    }
}
