//! The pair of Dormand and Prince.

/// Stages of the fifth-order method, by rows; the last row are the weights as well.
const STAGES: [&[f64]; 6] = [
    &[1.0 / 5.0],
    &[3.0 / 40.0, 9.0 / 40.0],
    &[44.0 / 45.0, -56.0 / 15.0, 32.0 / 9.0],
    &[19372.0 / 6561.0, -25360.0 / 2187.0, 64448.0 / 6561.0, -212.0 / 729.0],
    &[9017.0 / 3168.0, -355.0 / 33.0, 46732.0 / 5247.0, 49.0 / 176.0, -5103.0 / 18656.0],
    &[35.0 / 384.0, 0.0, 500.0 / 1113.0, 125.0 / 192.0, -2187.0 / 6784.0, 11.0 / 84.0],
];

const TIMES: [f64; 6] = [0.2, 0.3, 0.8, 8.0 / 9.0, 1.0, 1.0];

/// What the fourth-order method differs by.
const ERROR: [f64; 7] =
    [71.0 / 57600.0, 0.0, -71.0 / 16695.0, 71.0 / 1920.0, -17253.0 / 339200.0, 22.0 / 525.0, -1.0 / 40.0];

/// Steps of an ordinary differential equation, with an estimate of their error.
#[derive(Clone, Debug)]
pub(super) struct RungeKutta {
    slopes: [Vec<f64>; 7],
    stage: Vec<f64>,
    /// The state after the last step that was tried.
    pub(super) next: Vec<f64>,
}

impl RungeKutta {
    pub(super) fn new(dimension: usize) -> RungeKutta {
        let zeros = vec![0.0; dimension];
        RungeKutta { slopes: std::array::from_fn(|_| zeros.clone()), stage: zeros.clone(), next: zeros }
    }

    /// The slope at the start of a step, which all steps from there share.
    pub(super) fn start(&mut self, time: f64, y: &[f64], slope: &impl Fn(f64, &[f64], &mut [f64])) {
        slope(time, y, &mut self.slopes[0]);
    }

    /// A step to `next`; returns its error in units of the tolerance: absolute for numbers below 1, relative above.
    pub(super) fn step(
        &mut self,
        time: f64,
        y: &[f64],
        length: f64,
        tolerance: f64,
        slope: &impl Fn(f64, &[f64], &mut [f64]),
    ) -> f64 {
        for (stage, (weights, after)) in STAGES.iter().zip(TIMES).enumerate() {
            for (i, (to, y)) in self.stage.iter_mut().zip(y).enumerate() {
                let sum: f64 = weights.iter().zip(&self.slopes).map(|(w, slope)| w * slope[i]).sum();
                *to = y + length * sum;
            }
            slope(time + after * length, &self.stage, &mut self.slopes[stage + 1]);
        }
        self.next.copy_from_slice(&self.stage);
        let mut worst = 0.0_f64;
        for (i, (y, next)) in y.iter().zip(&self.next).enumerate() {
            let sum: f64 = ERROR.iter().zip(&self.slopes).map(|(w, slope)| w * slope[i]).sum();
            let error = (length * sum).abs() / (tolerance * y.abs().max(next.abs()).max(1.0));
            // NaN is the worst.
            worst = if error <= worst { worst } else { error };
        }
        worst
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_of_the_pair() {
        let slope = |t: f64, y: &[f64], out: &mut [f64]| {
            (out[0], out[1]) = (y[1], -y[0] + 0.1 * t * y[1]);
        };
        let run = |steps: u32| {
            let (mut method, mut y, length) = (RungeKutta::new(2), vec![1.0, 0.5], 2.0 / f64::from(steps));
            for k in 0..steps {
                let time = f64::from(k) * length;
                method.start(time, &y, &slope);
                method.step(time, &y, length, 1.0, &slope);
                y.copy_from_slice(&method.next);
            }
            y[0]
        };
        let exact = run(4096);
        let order = ((run(32) - exact) / (run(64) - exact)).abs().log2();
        assert!((order - 5.0).abs() < 0.4, "{order}");
        // The estimate is of order 5 in one step.
        let error = |length: f64| {
            let mut method = RungeKutta::new(2);
            method.start(0.0, &[1.0, 0.5], &slope);
            method.step(0.0, &[1.0, 0.5], length, 1.0, &slope)
        };
        let order = (error(0.02) / error(0.01)).log2();
        assert!((order - 5.0).abs() < 0.4, "{order}");
        let broken = |_: f64, _: &[f64], out: &mut [f64]| out.fill(f64::NAN);
        let mut method = RungeKutta::new(1);
        method.start(0.0, &[0.0], &broken);
        assert!(!(method.step(0.0, &[0.0], 1.0, 1.0, &broken) <= 1.0));
    }
}
