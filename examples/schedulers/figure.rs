//! The picture.

use std::error::Error;
use std::path::Path;

use plotters::prelude::*;

use crate::BUDGETS;
use crate::grids::Grid;
use crate::methods::{Family, OF_GRIDS};
use crate::report::{Floor, Measured, Row};
use crate::shared::picture::{Area, drawn};

const WIDTH: i32 = 760;
const PLOT_HEIGHT: i32 = 580;
const LEGEND_LINE: i32 = 24;
/// Legends have two columns.
const LEGEND_LINES: i32 = 10;
const LEGEND_COLUMN: i32 = 340;
/// Larger errors are not shown: the data have a standard deviation of about 1 in each direction.
const GREATEST: f64 = 3.0;

const COLOURS: [RGBColor; 8] = [
    RGBColor(0, 0, 0),
    RGBColor(213, 94, 0),
    RGBColor(0, 114, 178),
    RGBColor(0, 158, 115),
    RGBColor(204, 60, 140),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
    RGBColor(140, 90, 60),
];

/// A line of a panel: calls and errors.
struct Line<'a> {
    name: &'a str,
    points: Vec<(f64, f64)>,
}

type Value = fn(&Measured) -> Option<f64>;
const TO_FLOW: Value = |measured| Some(measured.rms_to_flow?.mean);
const IN_LAW: Value = |measured| Some(measured.sliced_w1.mean);

/// Four panels: two of deterministic methods, one of stochastic ones, one of grids.
pub(crate) fn draw(path: &Path, rows: &[Row], grids: &[Grid], floor: &Floor) -> Result<(), Box<dyn Error>> {
    let main = grids[0].name;
    let line = |title, method: &str, grid: &str, value: Value| {
        let of_line = rows.iter().filter(|row| row.method == method && row.grid == grid);
        let points =
            of_line.filter_map(Row::measured).filter_map(|measured| Some((measured.calls, value(measured)?)));
        Line { name: title, points: points.filter(|point| point.1 <= GREATEST).collect() }
    };
    let lines = |family, value| {
        let chosen = |row: &&Row| row.family == family && row.drawn && row.grid == main;
        let first = rows.iter().filter(chosen).filter(|row| row.budget == BUDGETS[0]);
        first.map(|row| line(row.method, row.method, main, value)).collect::<Vec<_>>()
    };
    let solvers = lines(Family::Solver, TO_FLOW);
    // Two lines of the first panel, to compare with.
    let known = ["DDIM", OF_GRIDS].map(|method| line(method, method, main, TO_FLOW));
    let extrapolating: Vec<_> = known.into_iter().chain(lines(Family::Extrapolating, TO_FLOW)).collect();
    let mut stochastic = lines(Family::Stochastic, IN_LAW);
    stochastic.push(line("DPM-Solver++(2M), no noise", OF_GRIDS, main, IN_LAW));
    let of_grids: Vec<_> = grids.iter().map(|grid| line(grid.name, OF_GRIDS, grid.name, TO_FLOW)).collect();

    let height = PLOT_HEIGHT + (LEGEND_LINES + 1) * LEGEND_LINE;
    drawn(path, (2 * WIDTH as u32, 2 * height as u32), |area| {
        let rms = "RMS distance to the exact flow";
        let panels = area.split_evenly((2, 2));
        panel(&panels[0], &format!("Deterministic solvers: {rms}"), &solvers, None)?;
        panel(&panels[1], &format!("DEIS and UniPC: {rms}"), &extrapolating, None)?;
        panel(&panels[2], "Stochastic: sliced W1 to the mixture", &stochastic, Some(floor))?;
        panel(&panels[3], &format!("{OF_GRIDS} on all grids: {rms}"), &of_grids, None)
    })
}

fn panel(
    area: &Area<'_>,
    title: &str,
    lines: &[Line<'_>],
    floor: Option<&Floor>,
) -> Result<(), Box<dyn Error>> {
    let (plot, legend) = area.split_vertically(PLOT_HEIGHT);
    let values = lines.iter().flat_map(|line| line.points.iter().map(|point| point.1));
    let values = values.chain(floor.map(|floor| floor.mean - 2.0 * floor.std)).filter(|value| *value > 0.0);
    let (low, high) = values.fold((f64::INFINITY, 0.0_f64), |(l, h), v| (l.min(v), h.max(v)));
    let across = 2.7..BUDGETS[BUDGETS.len() - 1] as f64 * 1.15;
    let ticks: Vec<f64> = BUDGETS.iter().map(|&budget| budget as f64).collect();
    let mut chart = ChartBuilder::on(&plot)
        .caption(title, ("sans-serif", 22))
        .margin(14)
        .x_label_area_size(46)
        .y_label_area_size(74)
        .build_cartesian_2d(
            across.clone().log_scale().with_key_points(ticks),
            (low * 0.8..high * 1.3).log_scale(),
        )?;
    chart
        .configure_mesh()
        .x_desc("model calls")
        .x_label_formatter(&|x| format!("{x:.0}"))
        .y_label_formatter(&|y| if *y >= 1e-3 { format!("{y}") } else { format!("{y:.0e}") })
        .label_style(("sans-serif", 16))
        .light_line_style(WHITE)
        .draw()?;
    let gray = BLACK.mix(0.15);
    if let Some(floor) = floor {
        let (below, above) = ((floor.mean - 2.0 * floor.std).max(low), floor.mean + 2.0 * floor.std);
        let band = Rectangle::new([(across.start, below), (across.end, above)], gray.filled());
        chart.draw_series([band])?;
        let level = [(across.start, floor.mean), (across.end, floor.mean)];
        chart.draw_series(LineSeries::new(level, BLACK.mix(0.6)))?;
    }
    for (number, Line { points, .. }) in lines.iter().enumerate() {
        let Style { stroke, dashes, point, radius } = style(number);
        let points = points.iter().copied();
        match dashes {
            None => chart.draw_series(LineSeries::new(points.clone(), stroke))?,
            Some((on, off)) => chart.draw_series(DashedLineSeries::new(points.clone(), on, off, stroke))?,
        };
        chart.draw_series(points.map(|at| Circle::new(at, radius, point)))?;
    }

    let place = |number: usize| {
        let (column, line) = (number as i32 / LEGEND_LINES, number as i32 % LEGEND_LINES);
        (60 + column * LEGEND_COLUMN, line * LEGEND_LINE + 4)
    };
    let text = |name: &str, (x, y): (i32, i32)| Text::new(name.to_owned(), (x + 50, y), ("sans-serif", 17));
    for (number, Line { name, .. }) in lines.iter().enumerate() {
        let (Style { stroke, dashes, point, radius }, (x, y)) = (style(number), place(number));
        let (on, off) = dashes.map_or((40, 0), |(on, off)| (on as i32, off as i32));
        for from in (x..x + 40).step_by((on + off) as usize) {
            legend.draw(&PathElement::new([(from, y + 9), ((from + on).min(x + 40), y + 9)], stroke))?;
        }
        legend.draw(&Circle::new((x + 20, y + 9), radius, point))?;
        legend.draw(&text(name, (x, y)))?;
    }
    if floor.is_some() {
        let (x, y) = place(lines.len());
        legend.draw(&Rectangle::new([(x, y + 3), (x + 40, y + 15)], gray.filled()))?;
        legend.draw(&PathElement::new([(x, y + 9), (x + 40, y + 9)], BLACK.mix(0.6)))?;
        legend.draw(&text("exact draws, ± 2 standard dev.", (x, y)))?;
    }
    Ok(())
}

/// Lines of the same colour differ in their dashes and points.
struct Style {
    stroke: ShapeStyle,
    /// Pixels that are drawn and left out.
    dashes: Option<(u32, u32)>,
    point: ShapeStyle,
    radius: i32,
}

fn style(number: usize) -> Style {
    let colour = COLOURS[number % COLOURS.len()];
    let stroke = colour.stroke_width(2);
    match number / COLOURS.len() {
        0 => Style { stroke, dashes: None, point: colour.filled(), radius: 4 },
        1 => Style { stroke, dashes: Some((6, 4)), point: stroke, radius: 4 },
        _ => Style { stroke, dashes: Some((2, 3)), point: colour.filled(), radius: 2 },
    }
}
