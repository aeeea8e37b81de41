//! The picture: certificates of the samplers by grid, of the damaged model, and measured distances.

use std::error::Error;
use std::path::Path;

use plotters::prelude::*;

use crate::report::Row;
use crate::shared::picture::{Area, drawn};

const GRIDS: [(&str, RGBColor); 4] = [
    ("uniform", RGBColor(153, 153, 153)),
    ("Karras", RGBColor(230, 159, 0)),
    ("geometric", RGBColor(0, 114, 178)),
    ("optimal", RGBColor(204, 60, 120)),
];

/// A line of a panel: sampler, model, and the number of a row that it shows.
struct Lines<'a> {
    sampler: &'a str,
    model: &'a str,
    dashed: bool,
}

pub(crate) fn draw(path: &Path, rows: &[Row], floor: f64) -> Result<(), Box<dyn Error>> {
    drawn(path, (1500, 1000), |area| {
        let panels = area.split_evenly((2, 2));
        let good = |sampler| Lines { sampler, model: "good", dashed: false };
        let bad = |sampler| Lines { sampler, model: "damaged", dashed: true };
        let certificate = |row: &Row| row.certificate;
        let distance = |row: &Row| row.sliced_w2.mean;
        panel(
            &panels[0],
            "Frozen denoiser (D): KL is at most …, nats",
            rows,
            &[good("D"), bad("D")],
            &certificate,
            None,
        )?;
        panel(
            &panels[1],
            "Moment-matched (G_C) and, below, locally (L): KL is at most …, nats",
            rows,
            &[good("G_C"), bad("G_C"), good("L")],
            &certificate,
            None,
        )?;
        panel(
            &panels[2],
            "D: measured sliced W2 to the mixture",
            rows,
            &[good("D"), bad("D")],
            &distance,
            Some(floor),
        )?;
        panel(
            &panels[3],
            "G_C and L: measured sliced W2 to the mixture",
            rows,
            &[good("G_C"), bad("G_C"), good("L")],
            &distance,
            Some(floor),
        )?;
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
    let (first, last) = (ticks[0] * 0.9, ticks[ticks.len() - 1] * 1.12);
    let mut chart = ChartBuilder::on(area)
        .caption(title, ("sans-serif", 20))
        .margin(14)
        .x_label_area_size(44)
        .y_label_area_size(70)
        .build_cartesian_2d(
            (first..last).log_scale().with_key_points(ticks),
            (low * 0.8..high * 1.3).log_scale(),
        )?;
    chart
        .configure_mesh()
        .x_desc("steps")
        .x_label_formatter(&|x| format!("{x:.0}"))
        .y_label_formatter(&|y| if *y >= 1.0 { format!("{y:.0}") } else { format!("{y}") })
        .label_style(("sans-serif", 15))
        .light_line_style(WHITE)
        .draw()?;
    for line in lines {
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
            let (series, label) = if line.dashed {
                let dashes = DashedLineSeries::new(points, 7, 5, style);
                (chart.draw_series(dashes)?, format!("{name}, damaged model"))
            } else {
                (chart.draw_series(LineSeries::new(points, style))?, name.to_owned())
            };
            // The two samplers of a panel share their colours: one legend is enough.
            if line.sampler == lines[0].sampler {
                let dashed = line.dashed;
                series.label(label).legend(move |(x, y)| {
                    PathElement::new([(x, y), (x + if dashed { 9 } else { 20 }, y)], colour.stroke_width(3))
                });
            }
        }
    }
    if let Some(floor) = floor {
        let style = BLACK.mix(0.7).stroke_width(1);
        chart
            .draw_series(LineSeries::new([(first, floor), (last, floor)], style))?
            .label("exact draws")
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 20, y)], style));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperRight)
        .background_style(WHITE.mix(0.8))
        .border_style(BLACK.mix(0.2))
        .label_font(("sans-serif", 14))
        .draw()?;
    Ok(())
}
