//! The picture.

use std::error::Error;
use std::path::Path;

use plotters::prelude::*;

use crate::BUDGETS;
use crate::methods::GRIDS;
use crate::report::{Floor, Row};
use crate::shared::picture::{Area, drawn};

/// The method for which grids are compared.
pub(crate) const OF_GRIDS: &str = "DPM-Solver++(2M)";

const WIDTH: i32 = 640;
const PLOT_HEIGHT: i32 = 620;
const LEGEND_LINE: i32 = 24;
/// Legends have two columns.
const LEGEND_LINES: i32 = 8;
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

impl<'a> Line<'a> {
    fn of(name: &'a str, rows: impl Iterator<Item = &'a Row>, value: impl Fn(&Row) -> Option<f64>) -> Self {
        let points = rows.filter_map(|row| Some((row.calls as f64, value(row)?)));
        Line { name, points: points.filter(|point| point.1 <= GREATEST).collect() }
    }
}

/// Three panels: deterministic methods, stochastic methods, grids.
pub(crate) fn draw(path: &Path, rows: &[Row], floor: &Floor) -> Result<(), Box<dyn Error>> {
    let in_law = |row: &Row| Some(row.sliced_w1.mean);
    let to_flow = |row: &Row| row.rms_to_flow.map(|rms| rms.mean);
    let of = |name: &'static str, grid: &'static str| {
        rows.iter().filter(move |row| row.method == name && row.grid == grid)
    };
    let main = GRIDS[0].name;
    let names = |deterministic: bool| {
        let chosen = move |row: &&Row| row.drawn && row.deterministic == deterministic && row.grid == main;
        rows.iter().filter(|row| row.budget == BUDGETS[0]).filter(chosen).map(|row| row.method)
    };
    let deterministic: Vec<Line<'_>> =
        names(true).map(|name| Line::of(name, of(name, main), to_flow)).collect();
    let mut stochastic: Vec<Line<'_>> =
        names(false).map(|name| Line::of(name, of(name, main), in_law)).collect();
    stochastic.push(Line::of("DPM-Solver++(2M), no noise", of(OF_GRIDS, main), in_law));
    let grids: Vec<Line<'_>> =
        GRIDS.iter().map(|grid| Line::of(grid.name, of(OF_GRIDS, grid.name), to_flow)).collect();
    let height = PLOT_HEIGHT + (LEGEND_LINES + 1) * LEGEND_LINE;
    drawn(path, (3 * WIDTH as u32, height as u32), |area| {
        let (first, rest) = area.split_horizontally(WIDTH);
        let (second, third) = rest.split_horizontally(WIDTH);
        panel(&first, "Deterministic: RMS distance to the exact flow", &deterministic, None)?;
        panel(&second, "Stochastic: sliced W1 to the mixture", &stochastic, Some(floor))?;
        panel(&third, &format!("{OF_GRIDS} on all grids: RMS distance"), &grids, None)
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
        let (colour, dashed) = style(number);
        let marker = if dashed { colour.stroke_width(2) } else { colour.filled() };
        if dashed {
            chart.draw_series(DashedLineSeries::new(points.iter().copied(), 6, 4, colour.stroke_width(2)))?;
        } else {
            chart.draw_series(LineSeries::new(points.iter().copied(), colour.stroke_width(2)))?;
        }
        chart.draw_series(points.iter().map(|&point| Circle::new(point, 4, marker)))?;
    }

    let place = |number: usize| {
        let (column, line) = (number as i32 / LEGEND_LINES, number as i32 % LEGEND_LINES);
        (60 + column * 290, line * LEGEND_LINE + 4)
    };
    let text = |name: &str, (x, y): (i32, i32)| Text::new(name.to_owned(), (x + 50, y), ("sans-serif", 17));
    for (number, Line { name, .. }) in lines.iter().enumerate() {
        let (colour, dashed) = style(number);
        let (x, y) = place(number);
        let pieces = if dashed { [(x, x + 13), (x + 27, x + 40)] } else { [(x, x + 20), (x + 20, x + 40)] };
        for (from, to) in pieces {
            legend.draw(&PathElement::new([(from, y + 9), (to, y + 9)], colour.stroke_width(2)))?;
        }
        let marker = if dashed { colour.stroke_width(2) } else { colour.filled() };
        legend.draw(&Circle::new((x + 20, y + 9), 4, marker))?;
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

/// A colour, and whether the line is dashed with hollow points.
fn style(number: usize) -> (RGBColor, bool) {
    (COLOURS[number % COLOURS.len()], number / COLOURS.len() == 1)
}
