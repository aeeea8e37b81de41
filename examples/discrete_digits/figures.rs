//! The two pictures.

use std::error::Error;
use std::path::Path;

use girsanov::ndarray::{Array2, ArrayView1};
use plotters::prelude::*;

use crate::measure::Distances;
use crate::report::SampleRow;
use crate::shared::data::Digits;
use crate::shared::picture::{CELL, digit, drawn};

const PER_ROW: usize = 24;
const LABEL_WIDTH: i32 = 300;

/// Real digits, exact draws of the mixture, and the samples with fewest and most steps, a row each.
pub(crate) fn digits(
    path: &Path,
    digits: &Digits,
    heldout: &Array2<u32>,
    exact: &Array2<u32>,
    samples: &[(String, usize, Array2<u32>)],
) -> Result<(), Box<dyn Error>> {
    let mut rows =
        vec![("real digits, held out".to_owned(), heldout), ("fitted mixture, exact".to_owned(), exact)];
    for group in samples.chunk_by(|a, b| a.0 == b.0) {
        let (fewest, most) = (&group[0], &group[group.len() - 1]);
        for (name, steps, x) in [fewest].into_iter().chain((most.1 != fewest.1).then_some(most)) {
            rows.push((format!("{name}, {steps}"), x));
        }
    }
    let margin = 10;
    let width = LABEL_WIDTH + PER_ROW as i32 * CELL + margin;
    let height = rows.len() as i32 * CELL + 2 * margin;
    drawn(path, (width as u32, height as u32), |area| {
        for (r, (label, x)) in rows.iter().enumerate() {
            let top = margin + r as i32 * CELL;
            area.draw(&Text::new(label.as_str(), (margin, top + CELL / 3), ("sans-serif", 16)))?;
            for (i, row) in x.rows().into_iter().take(PER_ROW).enumerate() {
                let scaled = scaled(digits, row);
                digit(area, (LABEL_WIDTH + i as i32 * CELL, top), digits, scaled.view(), |_| false)?;
            }
        }
        Ok(())
    })
}

/// Levels in the units of the pictures.
fn scaled(digits: &Digits, row: ArrayView1<'_, u32>) -> girsanov::ndarray::Array1<f64> {
    (row.mapv(f64::from) - &digits.centre) / digits.scale
}

const COLOURS: [RGBColor; 8] = [
    RGBColor(213, 94, 0),
    RGBColor(230, 159, 0),
    RGBColor(204, 60, 120),
    RGBColor(0, 114, 178),
    RGBColor(86, 180, 233),
    RGBColor(0, 60, 100),
    RGBColor(0, 158, 115),
    RGBColor(90, 90, 90),
];

/// Total variation of pairs against model calls, on logarithmic axes.
pub(crate) fn errors(path: &Path, rows: &[SampleRow], floor: &Distances) -> Result<(), Box<dyn Error>> {
    let calls = |f: fn(f64, f64) -> f64| rows.iter().map(|row| row.model_calls).reduce(f).unwrap_or(1.0);
    let across = calls(f64::min) * 0.85..calls(f64::max) * 1.2;
    let high = rows.iter().map(|row| row.pairs).fold(floor.pairs, f64::max);
    let low = rows.iter().map(|row| row.pairs).fold(floor.pairs, f64::min);
    let mut ticks: Vec<f64> = (0..16).map(|k| f64::from(1 << k)).collect();
    ticks.retain(|tick| across.contains(tick));
    let levels = [0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0];
    let levels = levels.into_iter().filter(|y| (low * 0.8..high * 2.0).contains(y)).collect();
    drawn(path, (1000, 680), |area| {
        let mut chart = ChartBuilder::on(area)
            .caption("Two neighbouring pixels: total variation to the mixture", ("sans-serif", 22))
            .margin(14)
            .x_label_area_size(46)
            .y_label_area_size(74)
            .build_cartesian_2d(
                across.clone().log_scale().with_key_points(ticks),
                (low * 0.8..high * 2.0).log_scale().with_key_points(levels),
            )?;
        chart
            .configure_mesh()
            .x_desc("model calls for each digit")
            .x_label_formatter(&|x| format!("{x:.0}"))
            .y_label_formatter(&|y| format!("{y}"))
            .label_style(("sans-serif", 16))
            .light_line_style(WHITE)
            .draw()?;
        let groups = rows.chunk_by(|a, b| (a.noising, a.sampler) == (b.noising, b.sampler));
        for (group, colour) in groups.zip(COLOURS) {
            let points: Vec<(f64, f64)> = group.iter().map(|row| (row.model_calls, row.pairs)).collect();
            chart.draw_series(points.iter().map(|&p| Circle::new(p, 4, colour.filled())))?;
            chart
                .draw_series(LineSeries::new(points, colour.stroke_width(2)))?
                .label(format!("{}: {}", group[0].noising, group[0].sampler))
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 20, y)], colour.stroke_width(3)));
        }
        let style = BLACK.mix(0.6).stroke_width(1);
        chart
            .draw_series(LineSeries::new([(across.start, floor.pairs), (across.end, floor.pairs)], style))?
            .label("exact draws, as many")
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 20, y)], style));
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::UpperRight)
            .background_style(WHITE.mix(0.8))
            .border_style(BLACK.mix(0.2))
            .label_font(("sans-serif", 16))
            .draw()?;
        Ok(())
    })
}
