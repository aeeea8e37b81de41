//! The picture: the data, samples, and the distance against the length of a leap.

use std::error::Error;
use std::path::Path;

use bounds::divergence::FiniteLaw;
use plotters::prelude::*;

use crate::STATES;
use crate::report::{Floor, Row};
use crate::shared::picture::{Area, drawn};

/// Screen pixels per cell.
const ZOOM: i32 = 5;
const SIDE: i32 = STATES as i32 * ZOOM;
const GAP: i32 = 16;
const LABEL: i32 = 24;
const CHART: (i32, i32) = (760, 460);
const COLOURS: [RGBColor; 3] = [RGBColor(213, 94, 0), RGBColor(0, 114, 178), RGBColor(0, 158, 115)];

/// Most columns of samples.
const COLUMNS: usize = 6;

pub(crate) fn draw(
    path: &Path,
    data: &FiniteLaw,
    rows: &[Row],
    laws: &[FiniteLaw],
    floor: &Floor,
) -> Result<(), Box<dyn Error>> {
    let groups: Vec<&[Row]> = rows.chunk_by(|a, b| a.sampler == b.sampler).collect();
    let columns = groups[0].len().min(COLUMNS) as i32;
    let samples = (columns * (SIDE + GAP) + GAP).max(CHART.0 + SIDE + 3 * GAP);
    let lines = groups.len() as i32 * (SIDE + 2 * LABEL + GAP);
    let (width, height) = (samples, GAP + lines + CHART.1);
    drawn(path, (width as u32, height as u32), |area| {
        let mut first = 0;
        for (line, group) in groups.iter().enumerate() {
            let top = GAP + line as i32 * (SIDE + 2 * LABEL + GAP);
            area.draw(&Text::new(group[0].sampler, (GAP, top), ("sans-serif", 18)))?;
            for (column, row) in group.iter().enumerate().take(COLUMNS) {
                let left = GAP + column as i32 * (SIDE + GAP);
                let label = format!("τ = {}", short(row.tau));
                letter(area, (left, top + LABEL), &label, &laws[first + column], data)?;
            }
            first += group.len();
        }
        let top = GAP + lines;
        letter(area, (GAP, top + 40), "data", data, data)?;
        let (_, lower) = area.split_vertically(top);
        let (_, right) = lower.split_horizontally(SIDE + 3 * GAP);
        chart(&right, &groups, floor)
    })
}

fn short(tau: f64) -> String {
    format!("{:.3}", tau).trim_end_matches('0').to_owned()
}

/// Frequencies, white to black at those of the data's fullest cell; what is outside the data is red.
fn letter(
    area: &Area<'_>,
    (left, top): (i32, i32),
    label: &str,
    law: &FiniteLaw,
    data: &FiniteLaw,
) -> Result<(), Box<dyn Error>> {
    area.draw(&Text::new(label, (left, top), ("sans-serif", 16)))?;
    let top = top + LABEL;
    let full = data.weights().iter().fold(0.0_f64, |top, &p| top.max(p));
    for (cell, (&q, &p)) in law.weights().iter().zip(data.weights()).enumerate() {
        let (x, y) = (left + (cell % STATES) as i32 * ZOOM, top + (cell / STATES) as i32 * ZOOM);
        let ink = (q / full).min(1.0).sqrt();
        let fade = |colour: u8| (255.0 - ink * f64::from(255 - colour)).round() as u8;
        let (r, g, b) = if p > 0.0 { (0, 0, 0) } else { (200, 0, 0) };
        let colour = RGBColor(fade(r), fade(g), fade(b));
        area.draw(&Rectangle::new([(x, y), (x + ZOOM, y + ZOOM)], colour.filled()))?;
    }
    let frame = BLACK.mix(0.3).stroke_width(1);
    area.draw(&Rectangle::new([(left - 1, top - 1), (left + SIDE, top + SIDE)], frame))?;
    Ok(())
}

fn chart(area: &Area<'_>, groups: &[&[Row]], floor: &Floor) -> Result<(), Box<dyn Error>> {
    let rows = || groups.iter().flat_map(|group| group.iter());
    let mut taus: Vec<f64> = rows().map(|row| row.tau).collect();
    taus.sort_by(f64::total_cmp);
    taus.dedup();
    let across = taus[0] * 0.8..taus[taus.len() - 1] * 1.25;
    let high = rows().map(|row| row.hellinger).fold(floor.mean, f64::max) * 1.4;
    let low = rows().map(|row| row.hellinger).fold(floor.mean, f64::min) * 0.75;
    let levels: Vec<f64> = [0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0]
        .into_iter()
        .filter(|y| (low..high).contains(y))
        .collect();
    let mut chart = ChartBuilder::on(area)
        .caption("Hellinger distance of the samples to the data", ("sans-serif", 20))
        .margin(12)
        .x_label_area_size(44)
        .y_label_area_size(64)
        .build_cartesian_2d(
            across.clone().log_scale().with_key_points(taus),
            (low..high).log_scale().with_key_points(levels),
        )?;
    chart
        .configure_mesh()
        .x_desc("length τ of a step")
        .x_label_formatter(&|x| short(*x))
        .y_label_formatter(&|y| format!("{y}"))
        .label_style(("sans-serif", 15))
        .light_line_style(WHITE)
        .draw()?;
    for (group, colour) in groups.iter().zip(COLOURS) {
        let points: Vec<(f64, f64)> = group.iter().map(|row| (row.tau, row.hellinger)).collect();
        chart.draw_series(points.iter().map(|&p| Circle::new(p, 4, colour.filled())))?;
        chart
            .draw_series(LineSeries::new(points, colour.stroke_width(2)))?
            .label(group[0].sampler)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 20, y)], colour.stroke_width(3)));
    }
    let style = BLACK.mix(0.6).stroke_width(1);
    chart
        .draw_series(LineSeries::new([(across.start, floor.mean), (across.end, floor.mean)], style))?
        .label("exact draws, as many")
        .legend(move |(x, y)| PathElement::new([(x, y), (x + 20, y)], style));
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE.mix(0.8))
        .border_style(BLACK.mix(0.2))
        .label_font(("sans-serif", 15))
        .draw()?;
    Ok(())
}
