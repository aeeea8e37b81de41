//! The picture: certificates of the samplers by grid, of the damaged model, and measured distances.

use std::error::Error;
use std::path::Path;

use girsanov::ndarray::Array2;
use plotters::prelude::*;

use crate::report::Row;
use crate::shared::data::Digits;
use crate::shared::picture::{Area, CELL, digit, drawn};

const GRIDS: [(&str, RGBColor); 4] = [
    ("uniform", RGBColor(153, 153, 153)),
    ("Karras", RGBColor(230, 159, 0)),
    ("geometric", RGBColor(0, 114, 178)),
    ("optimal", RGBColor(204, 60, 120)),
];

/// Which rows a line shows.
struct Lines<'a> {
    sampler: &'a str,
    model: &'a str,
}

const PER_ROW: usize = 30;
const LABEL_WIDTH: i32 = 250;
const PANEL: u32 = 480;
const WIDTH: u32 = 1640;
const LEGEND: i32 = 200;

pub(crate) fn draw(
    path: &Path,
    rows: &[Row],
    floor: f64,
    digits: &Digits,
    samples: &[(String, Array2<f64>)],
) -> Result<(), Box<dyn Error>> {
    let height = 2 * PANEL + samples.len() as u32 * CELL as u32 + 20;
    drawn(path, (WIDTH, height), |area| {
        let (charts, strip) = area.split_vertically(2 * PANEL);
        let panels = charts.split_evenly((2, 2));
        let line = |sampler, model| Lines { sampler, model };
        let left = [line("D", "good"), line("D", "damaged")];
        let right = [line("G_C", "good"), line("L", "good")];
        let (certificate, distance) = (|row: &Row| row.certificate, |row: &Row| row.sliced_w2.mean);
        panel(
            &panels[0],
            "Certified, frozen denoiser (D): KL is at most …, nats",
            rows,
            &left,
            &certificate,
            None,
        )?;
        panel(
            &panels[1],
            "Certified, moment-matched (G_C, L): KL is at most …, nats",
            rows,
            &right,
            &certificate,
            None,
        )?;
        panel(&panels[2], "Measured, D: sliced W2 to the mixture", rows, &left, &distance, Some(floor))?;
        panel(
            &panels[3],
            "Measured, G_C and L: sliced W2 to the mixture",
            rows,
            &right,
            &distance,
            Some(floor),
        )?;
        for (r, (label, x)) in samples.iter().enumerate() {
            let top = 10 + r as i32 * CELL;
            strip.draw(&Text::new(label.as_str(), (14, top + CELL / 3), ("sans-serif", 16)))?;
            for (i, row) in x.rows().into_iter().take(PER_ROW).enumerate() {
                digit(&strip, (LABEL_WIDTH + i as i32 * CELL, top), digits, row, |_| false)?;
            }
        }
        Ok(())
    })
}

fn panel(
    area: &Area<'_>,
    title: &str,
    rows: &[Row],
    lines: &[Lines<'_>],
    value: &dyn Fn(&Row) -> f64,
    floor: Option<f64>,
) -> Result<(), Box<dyn Error>> {
    let shown = |row: &&Row| lines.iter().any(|l| l.sampler == row.sampler && l.model == row.model);
    let values = rows.iter().filter(shown).map(value).chain(floor);
    let (low, high) = values.fold((f64::INFINITY, 0.0_f64), |(l, h), v| (l.min(v), h.max(v)));
    let mut ticks: Vec<f64> = rows.iter().map(|row| row.steps as f64).collect();
    ticks.sort_by(f64::total_cmp);
    ticks.dedup();
    let decades = (-5..6).flat_map(|k| [1.0, 2.0, 5.0].map(|m| m * 10f64.powi(k)));
    let decades: Vec<f64> = decades.filter(|y| (low * 0.8..high * 1.3).contains(y)).collect();
    let (first, last) = (ticks[0] * 0.9, ticks[ticks.len() - 1] * 1.12);
    let mut chart = ChartBuilder::on(area)
        .caption(title, ("sans-serif", 20))
        .margin(14)
        .margin_right(LEGEND + 10)
        .x_label_area_size(44)
        .y_label_area_size(70)
        .build_cartesian_2d(
            (first..last).log_scale().with_key_points(ticks),
            (low * 0.8..high * 1.3).log_scale().with_key_points(decades),
        )?;
    chart
        .configure_mesh()
        .x_desc("steps")
        .x_label_formatter(&|x| format!("{x:.0}"))
        .y_label_formatter(&|y| format!("{}", (y * 1e6).round() / 1e6))
        .label_style(("sans-serif", 15))
        .light_line_style(WHITE)
        .draw()?;
    for (l, line) in lines.iter().enumerate() {
        for (name, colour) in GRIDS {
            let points: Vec<(f64, f64)> = (rows.iter())
                .filter(|r| r.sampler == line.sampler && r.model == line.model && r.grid == name)
                .map(|r| (r.steps as f64, value(r)))
                .collect();
            if points.is_empty() {
                continue;
            }
            let style = colour.stroke_width(2);
            chart.draw_series(points.iter().map(|&p| Circle::new(p, 4, colour.filled())))?;
            // The second line of a panel is dashed.
            if l == 0 {
                chart.draw_series(LineSeries::new(points, style))?;
            } else {
                chart.draw_series(DashedLineSeries::new(points, 7, 5, style))?;
            }
        }
    }
    if let Some(floor) = floor {
        chart.draw_series(LineSeries::new([(first, floor), (last, floor)], BLACK.stroke_width(1)))?;
    }

    // The legend, in the margin.
    let dashed = match lines[1].model {
        "damaged" => "dashed: damaged model".to_owned(),
        _ => format!("dashed: {}", lines[1].sampler),
    };
    let exact = floor.map(|_| ("exact draws".to_owned(), Some(BLACK)));
    let grids = GRIDS.iter().map(|&(name, colour)| (format!("{name} grid"), Some(colour)));
    for (i, (label, colour)) in grids.chain([(dashed, None)]).chain(exact).enumerate() {
        let (x, y) = (WIDTH as i32 / 2 - LEGEND, 60 + 22 * i as i32);
        if let Some(colour) = colour {
            area.draw(&PathElement::new([(x, y + 7), (x + 22, y + 7)], colour.stroke_width(3)))?;
        }
        area.draw(&Text::new(label, (x + 30, y), ("sans-serif", 15)))?;
    }
    Ok(())
}
