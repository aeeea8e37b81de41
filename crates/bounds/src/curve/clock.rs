//! The clock of a run, checked once.

use numeric::{Error, TimeGrid};

use super::ErrorCurve;

/// Beyond it $`e^{2τ}`$ nears the end of the floating-point numbers, and the data are below $`10^{-130}`$ of
/// the noise.
const LONGEST: f64 = 300.0;

/// $`v = e^{2τ} - 1`$.
pub(crate) fn noise_per_signal(tau: f64) -> f64 {
    (2.0 * tau).exp_m1()
}

/// `Ok` for a horizon at which a run can start.
pub(crate) fn check_horizon(horizon: f64) -> Result<(), Error> {
    Error::domain(horizon > 0.0 && horizon <= LONGEST, "horizon", horizon, "a clock above 0 and at most 300")
}

/// One step of a run, from the clock `from` to `to` < `from`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step {
    pub(crate) from: f64,
    pub(crate) to: f64,
    /// g = from - to.
    pub(crate) length: f64,
    /// v at `from`.
    pub(crate) v_from: f64,
    /// v at `to`.
    pub(crate) v_to: f64,
    /// v at `from` less v at `to`.
    pub(crate) v_drop: f64,
}

impl Step {
    pub(crate) fn new(from: f64, to: f64) -> Step {
        let length = from - to;
        let v_drop = (2.0 * to).exp() * (2.0 * length).exp_m1();
        Step { from, to, length, v_from: noise_per_signal(from), v_to: noise_per_signal(to), v_drop }
    }

    /// log(v/v') of the noise per signal before and after.
    pub(crate) fn log_ratio(&self) -> f64 {
        (self.v_drop / self.v_to).ln_1p()
    }

    /// 1/v' - 1/v.
    pub(crate) fn eta_rise(&self) -> f64 {
        self.v_drop / self.v_from / self.v_to
    }

    /// $`1 - e^{-2τ}`$ at `from`.
    pub(crate) fn noise_from(&self) -> f64 {
        -(-2.0 * self.from).exp_m1()
    }
}

/// The clocks of a run from noise to data.
#[derive(Clone, Debug)]
pub(crate) struct Clock(Vec<f64>);

impl Clock {
    /// A grid $`300 ≥ τ_0 > … > τ_N > 0`$.
    pub(crate) fn new(grid: &TimeGrid) -> Result<Clock, Error> {
        let clock = Clock::to_data(grid)?;
        Error::domain(clock.end() > 0.0, "early_stop", clock.end(), "a last clock above 0")?;
        Ok(clock)
    }

    /// A grid $`300 ≥ τ_0 > … > τ_N ≥ 0`$.
    pub(crate) fn to_data(grid: &TimeGrid) -> Result<Clock, Error> {
        let clocks: Vec<f64> = grid.nodes().iter().map(|node| node.t).collect();
        check_horizon(clocks[0])?;
        if let Some(i) = (1..clocks.len()).find(|&i| !(clocks[i] < clocks[i - 1] && clocks[i] >= 0.0)) {
            let expected = "clocks that decrease strictly, to one of at least 0";
            return Err(Error::Entry { parameter: "grid", index: i, value: clocks[i], expected });
        }
        Ok(Clock(clocks))
    }

    /// Itself, if the curve is known down to its end.
    pub(crate) fn on(self, curve: &dyn ErrorCurve) -> Result<Clock, Error> {
        let known = self.end() >= curve.least_clock();
        Error::domain(known, "early_stop", self.end(), "a clock at which the curve is known")?;
        Ok(self)
    }

    pub(crate) fn start(&self) -> f64 {
        self.0[0]
    }

    pub(crate) fn end(&self) -> f64 {
        self.0[self.0.len() - 1]
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len() - 1
    }

    pub(crate) fn steps(&self) -> impl DoubleEndedIterator<Item = Step> + '_ {
        self.0.windows(2).map(|pair| Step::new(pair[0], pair[1]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_clocks_are_refused() {
        let clock = |nodes: &[f64]| Clock::new(&TimeGrid::from_nodes(nodes.to_vec()).expect("a grid"));
        assert!(clock(&[1.0, 0.1]).is_ok() && clock(&[300.0, 1e-300]).is_ok());
        for nodes in [&[0.1, 1.0][..], &[1.0, 0.0], &[1.0, 0.5, -0.1], &[301.0, 1.0], &[-1.0, -2.0]] {
            assert!(clock(nodes).is_err(), "{nodes:?}");
        }
        let closed = TimeGrid::from_nodes(vec![1.0, 0.0]).expect("a grid");
        assert_eq!(Clock::to_data(&closed).expect("to the data").end(), 0.0);
    }

    #[test]
    fn a_short_step_keeps_its_digits() {
        let step = Step::new(2.0 + 2f64.powi(-40), 2.0);
        let length = 2f64.powi(-40);
        let v = noise_per_signal(2.0);
        let series = 2.0 * length * (1.0 + length) * (v + 1.0);
        assert!((step.v_drop / series - 1.0).abs() < 1e-15);
        assert!((step.log_ratio() / (series / v) - 1.0).abs() < 1e-11);
    }
}
