//! What the theorems say of the digits: every bound that applies, side by side, against the number of steps.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;

use bounds::curve::ErrorCurve;
use bounds::terms::Scheme;
use bounds::theorem::{Problem, compare};
use plotters::prelude::*;
use sde_core::grid;

use crate::shared::picture::{Area, drawn};
use crate::{EARLY_STOP, HORIZON};

const STEPS: [usize; 7] = [10, 20, 50, 100, 200, 500, 1000];
const PANELS: [(&str, &str); 3] =
    [("S", "exponential integrator"), ("R", "frozen relative score"), ("D", "frozen denoiser")];
const WIDTH: u32 = 1640;
const LEGEND: i32 = 190;

type Lines = BTreeMap<&'static str, Vec<(f64, f64)>>;

/// Prints the table at 100 steps and draws the totals.
pub(crate) fn show(path: &Path, curve: &dyn ErrorCurve) -> Result<(), Box<dyn Error>> {
    let schemes = vec![Scheme::ExponentialIntegrator, Scheme::FrozenRelativeScore, Scheme::FrozenDenoiser];
    let problem = Problem { curve: Some(curve), ..Problem::new(curve.dim(), schemes) };
    let mut panels: Vec<Lines> = vec![Lines::new(); PANELS.len()];
    for steps in STEPS {
        let comparison = compare(&problem, &grid::geometric_v(HORIZON, EARLY_STOP, steps)?)?;
        if steps == 100 {
            println!("\nAll bounds that apply on the geometric grid of 100 steps\n\n{comparison}");
        }
        for row in comparison.rows {
            if let Some(panel) = PANELS.iter().position(|(letter, _)| *letter == row.scheme) {
                panels[panel].entry(row.name).or_default().push((steps as f64, row.total));
            }
        }
    }
    drawn(path, (WIDTH, 520), |area| {
        for ((area, lines), (letter, name)) in area.split_evenly((1, 3)).iter().zip(&panels).zip(PANELS) {
            draw(area, &format!("{name} ({letter}), nats"), lines)?;
        }
        Ok(())
    })
}

fn draw(area: &Area<'_>, title: &str, lines: &Lines) -> Result<(), Box<dyn Error>> {
    let values = || lines.values().flatten().map(|point| point.1);
    let (low, high) = values().fold((f64::INFINITY, 0.0_f64), |(l, h), v| (l.min(v), h.max(v)));
    let mut chart = ChartBuilder::on(area)
        .caption(title, ("sans-serif", 19))
        .margin(12)
        .margin_right(LEGEND)
        .x_label_area_size(44)
        .y_label_area_size(70)
        .build_cartesian_2d(
            (9.0..1100.0_f64).log_scale().with_key_points(vec![10.0, 100.0, 1000.0]),
            (low * 0.7..high * 1.4).log_scale(),
        )?;
    chart
        .configure_mesh()
        .x_desc("steps")
        .x_label_formatter(&|x| format!("{x:.0}"))
        .y_label_formatter(&|y| format!("{}", (y * 1e6).round() / 1e6))
        .label_style(("sans-serif", 15))
        .light_line_style(WHITE)
        .draw()?;
    for (i, (name, points)) in lines.iter().enumerate() {
        // The exact term in black, the theorems in colours around the circle.
        let exact = *name == "discretization";
        let hue = i as f64 / lines.len() as f64;
        let colour = if exact { BLACK.to_rgba() } else { HSLColor(hue, 0.75, 0.42).to_rgba() };
        chart.draw_series(LineSeries::new(points.iter().copied(), colour.stroke_width(2)))?;
        let (x, y) = (WIDTH as i32 / 3 - LEGEND + 6, 60 + 22 * i as i32);
        area.draw(&PathElement::new([(x, y + 7), (x + 18, y + 7)], colour.stroke_width(3)))?;
        area.draw(&Text::new(if exact { "exact" } else { name }, (x + 24, y), ("sans-serif", 14)))?;
    }
    Ok(())
}
