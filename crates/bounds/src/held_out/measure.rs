//! The values of held-out rows, their mean, and the error of the denoiser on the way.

use numeric::estimate::MeanAccumulator;
use numeric::ndarray::{Array2, ArrayRef1, ArrayRef2, ArrayView1, Axis};
use numeric::special::x_minus_ln_1p;
use numeric::{
    Batch, Control, Error, Estimate, Level, Model, Prediction, Scratch, TimeGrid, Times, VectorField,
    check_finite, run_blocks,
};
use sde_core::{Step, VariancePreserving};

use super::interval::RowMean;
use super::step::{Bridge, HeldOutStep, StepRange};
use super::{Decoder, HeldOut, Interval, MeasuredCurve};

/// How far beyond the ball rounding may put a point, in relation to its size.
const ROUNDING: f64 = 1e-12;

/// What one pass over the rows gives: the mean of the divergences of the paths given their data points, and the curve.
#[derive(Debug)]
pub(super) struct Measured {
    pub(super) mean: RowMean,
    pub(super) curve: MeasuredCurve,
    pub(super) last: Level,
}

/// One run, as its blocks see it.
struct Run<'a, V, S> {
    held_out: &'a HeldOut<'a>,
    model: &'a Model<V, S>,
    method: &'a dyn HeldOutStep<Model<V, S>>,
    grid: &'a TimeGrid,
    bridges: Vec<Bridge>,
    decoder: Option<Decoder<'a>>,
}

/// Mean over the rows of `KL(q_{T|0} ‖ N(0, I)) + Σ_k KL(q(x_{k+1} | x_k, x_0) ‖ p_k) [+ decoder]`.
pub(super) fn measure<V: VectorField<f64>, S: VariancePreserving>(
    held_out: &HeldOut<'_>,
    model: &Model<V, S>,
    method: &dyn HeldOutStep<Model<V, S>>,
    grid: &TimeGrid,
    decoder: Option<Decoder<'_>>,
    control: Control<'_>,
) -> Result<Measured, Error> {
    let (n, d) = held_out.data.dim();
    Error::shape("data", &[n, model.field.dim()], &[n, d])?;
    Error::domain(n >= 2, "data", n as f64, "at least 2 rows, for an interval")?;
    Error::entries("data", held_out.data.iter().copied(), "a finite number", f64::is_finite)?;
    held_out.interval.check(d)?;
    let bridges = grid
        .pairs()
        .map(|(from, to)| Bridge::of(&model.schedule, from, to))
        .collect::<Result<Vec<_>, _>>()?;
    let run = Run { held_out, model, method, grid, bridges, decoder };
    let range = run.range()?;
    let blocks = run_blocks(0..n as u64, model.field.batching(), control, |rows, scratch| {
        let first = rows.start;
        let (values, squares) = run.block(rows.collect(), scratch)?;
        // A block that is computed whole may go on beyond the data.
        let kept = values.len().min(n - first as usize);
        let nodes = squares.columns().into_iter().map(|node| {
            MeanAccumulator::from_values(first, &node.iter().copied().take(kept).collect::<Vec<_>>())
        });
        Ok((first, values[..kept].to_vec(), nodes.collect::<Result<Vec<_>, _>>()?))
    })?;
    let mut all = MeanAccumulator::new();
    let mut nodes = vec![MeanAccumulator::new(); grid.steps() + 1];
    let mut rows = Vec::with_capacity(n);
    for (first, values, squares) in blocks {
        all.merge(MeanAccumulator::from_values(first, &values)?)?;
        rows.extend(values);
        nodes.iter_mut().zip(squares).try_for_each(|(node, block)| node.merge(block))?;
    }
    let clocks = grid.nodes().iter().map(|&node| model.schedule.clock(node)).collect();
    let errors = nodes.iter().map(MeanAccumulator::estimate).collect::<Result<Vec<_>, _>>()?;
    let estimate = all.estimate()?;
    Ok(Measured {
        mean: RowMean { estimate, skewness: skewness(&rows, estimate), range },
        curve: MeasuredCurve::new(clocks, errors)?,
        last: model.schedule.level(grid.last()),
    })
}

/// Third central moment by the cube of the standard deviation; 0 for rows without spread.
fn skewness(rows: &[f64], estimate: Estimate) -> f64 {
    let n = rows.len() as f64;
    let deviation = estimate.std_error * n.sqrt();
    let cubes: f64 = rows.iter().map(|row| ((row - estimate.mean) / deviation).powi(3)).sum();
    if deviation == 0.0 { 0.0 } else { cubes / n }
}

impl<V: VectorField<f64>, S: VariancePreserving> Run<'_, V, S> {
    /// `KL(q_{T|0} ‖ N(0, I)) = ½ (α² |x_0|² − d α² − d log σ²)` for a square norm.
    fn initial(&self, square: f64) -> f64 {
        let (d, alpha) =
            (self.held_out.data.ncols() as f64, self.model.schedule.level(self.grid.first()).alpha);
        let signal = alpha * alpha;
        0.5 * (signal * square + d * x_minus_ln_1p(-signal))
    }

    /// The range of a row's value, if the interval needs it.
    fn range(&self) -> Result<Option<(f64, f64)>, Error> {
        let Interval::EmpiricalBernstein { centre, radius } = &self.held_out.interval else {
            return Ok(None);
        };
        let distance = centre.iter().map(|c| c * c).sum::<f64>().sqrt();
        let radius = radius + ROUNDING * (distance + radius);
        let mut low = self.initial((distance - radius).max(0.0).powi(2));
        let mut high = self.initial((distance + radius).powi(2));
        for (from, to) in self.grid.pairs() {
            let StepRange { floor, slope } = self.method.range(self.model, from, to)?;
            low += floor;
            // Both the data point and the prediction are in the ball: at most a diameter apart.
            high += floor + slope * (2.0 * radius).powi(2);
        }
        if let Some(Decoder { range, .. }) = self.decoder {
            let bounded = range.0.is_finite() && range.1.is_finite() && range.0 <= range.1;
            Error::domain(bounded, "decoder.range", range.1 - range.0, "a finite range, for this interval")?;
            (low, high) = (low + range.0, high + range.1);
        }
        Ok(Some((low, high)))
    }

    /// How far a point is outside of the ball: its distance from the centre where that is too much.
    fn outside(&self, point: ArrayView1<'_, f64>) -> Option<f64> {
        let Interval::EmpiricalBernstein { centre, radius } = &self.held_out.interval else { return None };
        let distance = point.iter().zip(centre).map(|(x, c)| (x - c).powi(2)).sum::<f64>().sqrt();
        let size = centre.iter().map(|c| c * c).sum::<f64>().sqrt() + radius;
        (distance > radius + ROUNDING * size).then_some(distance)
    }

    /// Value of each row of a block and the square error of the denoiser at each node, (n) and (n, nodes).
    fn block(&self, rows: Vec<u64>, scratch: &mut Scratch) -> Result<(Vec<f64>, Array2<f64>), Error> {
        let HeldOut { data, noise, .. } = *self.held_out;
        // Rows beyond the data, in a block that must be computed whole, are filled up with those from the start.
        let places: Vec<usize> = rows.iter().map(|&row| row as usize % data.nrows()).collect();
        let data = data.select(Axis(0), &places);
        let (n, d) = data.dim();
        for (&place, row) in places.iter().zip(data.rows()) {
            if let Some(value) = self.outside(row) {
                let expected = "a row within `radius` of `centre`; found its distance";
                return Err(Error::Entry { parameter: "data", index: place * d, value, expected });
            }
        }
        let mut values: Vec<f64> = data.rows().into_iter().map(|row| self.initial(row.dot(&row))).collect();
        let mut squares = Array2::zeros((n, self.grid.steps() + 1));
        let [mut x, mut mean, mut bridge, mut denoised] = [(); 4].map(|()| Array2::zeros((n, d)));
        let marginals = noise.fork("held-out");
        for (k, &node) in self.grid.nodes().iter().enumerate() {
            let Level { alpha, sigma, .. } = self.model.schedule.level(node);
            marginals.normals_into::<f64>(&rows, k as u64, &mut x);
            x.zip_mut_with(&data, |x, &data| *x = alpha * data + sigma * *x);
            let batch = Batch::new(&rows, Times::Same(node), &x);
            self.model.predict_into(Prediction::Denoised, &batch, &mut denoised, scratch)?;
            check_finite("the denoiser", &rows, k as u64, node.t, denoised.view())?;
            for (i, (data, denoised)) in data.rows().into_iter().zip(denoised.rows()).enumerate() {
                if let Some(value) = self.outside(denoised) {
                    let expected = "predictions within `radius` of `centre`; found a distance";
                    return Err(Error::Domain { parameter: "denoiser", value, expected });
                }
                squares[(i, k)] = square_distance(&data, &denoised);
            }
            let Some(step_bridge) = self.bridges.get(k) else { break };
            let step = Step {
                rows: &rows,
                index: k as u64,
                from: node,
                to: self.grid.node(k + 1),
                noise: marginals,
            };
            let spread = self.method.transition(self.model, step, &x, &mut mean, scratch)?;
            step_bridge.mean_into(&x, &data, &mut bridge);
            step_bridge.add_divergence(&bridge, &mean, &spread, self.method.directions(), &mut values)?;
        }
        let (steps, last) = (self.grid.steps() as u64, self.grid.last().t);
        if let Some(decoder) = self.decoder {
            self.add_decoder(&decoder, &data, &x, &mut values)?;
        }
        let column =
            numeric::ndarray::ArrayView2::from_shape((n, 1), &values).expect("one value for each row");
        check_finite("the divergence of a row", &rows, steps, last, column)?;
        Ok((values, squares))
    }

    fn add_decoder(
        &self,
        decoder: &Decoder<'_>,
        data: &ArrayRef2<f64>,
        noised: &ArrayRef2<f64>,
        values: &mut [f64],
    ) -> Result<(), Error> {
        for ((value, data), noised) in values.iter_mut().zip(data.rows()).zip(noised.rows()) {
            let nats = (decoder.nats)(data, noised)?;
            let (low, high) = decoder.range;
            Error::domain(
                nats >= low && nats <= high,
                "decoder",
                nats,
                "a number of nats within `decoder.range`",
            )?;
            *value += nats;
        }
        Ok(())
    }
}

fn square_distance(a: &ArrayRef1<f64>, b: &ArrayRef1<f64>) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum()
}
