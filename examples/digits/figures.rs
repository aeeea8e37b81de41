//! The two pictures.

use std::error::Error;
use std::path::Path;

use girsanov::ndarray::Array2;
use plotters::prelude::*;

use crate::report::{Floors, SamplerRow};
use crate::shared::data::Digits;
use crate::shared::picture::{Area, CELL, digit, drawn};

const PER_ROW: usize = 24;
const LABEL_WIDTH: i32 = 270;

/// Real digits, exact draws of the mixture, and the samples with fewest and most steps, a row each.
pub(crate) fn digits(
    path: &Path,
    digits: &Digits,
    exact: &Array2<f64>,
    samples: &[(String, usize, Array2<f64>)],
) -> Result<(), Box<dyn Error>> {
    let fewest = samples.iter().map(|s| s.1).min().unwrap_or(0);
    let most = samples.iter().map(|s| s.1).max().unwrap_or(0);
    let mut rows = vec![
        ("real digits, held out".to_owned(), &digits.heldout),
        ("fitted mixture, exact".to_owned(), exact),
    ];
    for (name, steps, x) in samples {
        if *steps == fewest || *steps == most {
            rows.push((format!("{name}, {steps}"), x));
        }
    }
    let (cell, margin) = (CELL, 10);
    let width = LABEL_WIDTH + PER_ROW as i32 * cell + margin;
    let height = rows.len() as i32 * cell + 2 * margin;
    drawn(path, (width as u32, height as u32), |area| {
        for (r, (label, x)) in rows.iter().enumerate() {
            let top = margin + r as i32 * cell;
            area.draw(&Text::new(label.as_str(), (margin, top + cell / 3), ("sans-serif", 16)))?;
            for (i, row) in x.rows().into_iter().take(PER_ROW).enumerate() {
                let left = LABEL_WIDTH + i as i32 * cell;
                digit(area, (left, top), digits, row, |_| false)?;
            }
        }
        Ok(())
    })
}

const COLOURS: [RGBColor; 6] = [
    RGBColor(153, 153, 153),
    RGBColor(213, 94, 0),
    RGBColor(0, 114, 178),
    RGBColor(0, 158, 115),
    RGBColor(204, 60, 120),
    RGBColor(230, 159, 0),
];

/// Certificate and measured distance against the number of steps, on logarithmic axes.
pub(crate) fn errors(path: &Path, rows: &[SamplerRow], floors: &Floors) -> Result<(), Box<dyn Error>> {
    let mut names: Vec<&str> = rows.iter().map(|row| row.name.as_str()).collect();
    names.dedup();
    let steps = |f: fn(f64, f64) -> f64| rows.iter().map(|r| r.steps as f64).reduce(f).unwrap_or(1.0);
    let across = steps(f64::min) * 0.9..steps(f64::max) * 1.12;
    drawn(path, (1400, 640), |area| {
        let (left, right) = area.split_horizontally(700);
        let certified = |row: &SamplerRow| row.kl_certificate.as_ref().map(|c| c.total);
        let measured = |row: &SamplerRow| Some(row.sliced_w2_model);
        let none: &[(&str, f64)] = &[];
        let lines = [
            ("exact draws, to other exact draws", floors.model.mean),
            ("exact draws, to held-out digits", floors.heldout.mean),
        ];
        panel(
            &left,
            "Certified: KL from the mixture at δ to the sampler is at most …, nats",
            &names,
            rows,
            &certified,
            none,
            &across,
        )?;
        panel(&right, "Measured: sliced W2 to the mixture at δ", &names, rows, &measured, &lines, &across)?;
        Ok(())
    })
}

fn panel(
    area: &Area<'_>,
    title: &str,
    names: &[&str],
    rows: &[SamplerRow],
    value: &dyn Fn(&SamplerRow) -> Option<f64>,
    floors: &[(&str, f64)],
    across: &std::ops::Range<f64>,
) -> Result<(), Box<dyn Error>> {
    let values = || rows.iter().filter_map(value).chain(floors.iter().map(|f| f.1)).filter(|v| *v > 0.0);
    let (low, high) = values().fold((f64::INFINITY, 0.0_f64), |(l, h), v| (l.min(v), h.max(v)));
    let mut ticks: Vec<f64> = rows.iter().map(|r| r.steps as f64).collect();
    ticks.sort_by(f64::total_cmp);
    ticks.dedup();
    let mut chart = ChartBuilder::on(area)
        .caption(title, ("sans-serif", 22))
        .margin(14)
        .x_label_area_size(46)
        .y_label_area_size(74)
        .build_cartesian_2d(
            across.clone().log_scale().with_key_points(ticks),
            // Room for the legend below or above the lines.
            (if floors.is_empty() { low * 0.03..high * 1.6 } else { low * 0.8..high * 2.2 }).log_scale(),
        )?;
    chart
        .configure_mesh()
        .x_desc("steps")
        .x_label_formatter(&|x| format!("{x:.0}"))
        .y_label_formatter(&|y| if *y >= 1.0 { format!("{y:.0}") } else { format!("{y}") })
        .label_style(("sans-serif", 16))
        .light_line_style(WHITE)
        .draw()?;
    for (i, name) in names.iter().enumerate() {
        let colour = COLOURS[i % COLOURS.len()];
        let points: Vec<(f64, f64)> = rows
            .iter()
            .filter(|row| row.name == *name)
            .filter_map(|row| Some((row.steps as f64, value(row)?)))
            .collect();
        if points.is_empty() {
            continue;
        }
        chart.draw_series(points.iter().map(|&p| Circle::new(p, 4, colour.filled())))?;
        chart
            .draw_series(LineSeries::new(points, colour.stroke_width(2)))?
            .label(*name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 20, y)], colour.stroke_width(3)));
    }
    for (i, &(label, level)) in floors.iter().enumerate() {
        let style = BLACK.mix(if i == 0 { 0.8 } else { 0.4 }).stroke_width(1);
        chart
            .draw_series(LineSeries::new([(across.start, level), (across.end, level)], style))?
            .label(label)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 20, y)], style));
    }
    chart
        .configure_series_labels()
        .position(if floors.is_empty() {
            SeriesLabelPosition::LowerLeft
        } else {
            SeriesLabelPosition::UpperRight
        })
        .background_style(WHITE.mix(0.8))
        .border_style(BLACK.mix(0.2))
        .label_font(("sans-serif", 16))
        .draw()?;
    Ok(())
}
