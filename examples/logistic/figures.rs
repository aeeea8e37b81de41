//! The picture.

use std::error::Error;
use std::ops::Range;
use std::path::Path;
use std::sync::Once;

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{FontStyle, register_font};

use crate::report::{MethodRow, Report, short};

const SIZE: (u32, u32) = (1480, 960);
/// Width of the panel of the coefficients.
const LEFT: u32 = 780;
/// Width of the names of the coefficients.
const LABELS: u32 = 170;
const EXACT: RGBColor = BLACK;
const ULA: RGBColor = RGBColor(213, 94, 0);
const ULA_HALF: RGBColor = RGBColor(230, 159, 0);
const BAOAB: RGBColor = RGBColor(0, 114, 178);

fn font() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let font = epaint_default_fonts::UBUNTU_LIGHT;
        assert!(register_font("sans-serif", FontStyle::Normal, font).is_ok(), "the font is part of a crate");
    });
}

type Area<'a> = DrawingArea<BitMapBackend<'a>, plotters::coord::Shift>;

/// The posterior of each coefficient beside the bias of each step size. Written through a temporary name, so that no
/// half a picture is ever seen.
pub(crate) fn draw(path: &Path, report: &Report) -> Result<(), Box<dyn Error>> {
    font();
    let mut pixels = vec![0; 3 * (SIZE.0 * SIZE.1) as usize];
    {
        let area = BitMapBackend::with_buffer(&mut pixels, SIZE).into_drawing_area();
        area.fill(&WHITE)?;
        let (left, right) = area.split_horizontally(LEFT);
        coefficients(&left, report)?;
        let (upper, lower) = right.split_vertically(SIZE.1 / 2);
        let of_means = |row: &MethodRow| (row.mean_error_rms, row.mean_error_rms_noise);
        let title = "Error of posterior means, root mean square, standard deviations";
        bias(&upper, title, &report.methods, &of_means)?;
        let of_energy = |row: &MethodRow| (row.energy_excess, row.energy_excess_se);
        bias(&lower, "Mean of −log π less the posterior's, nats", &report.methods, &of_energy)?;
        area.present()?;
    }
    let told = |e: &dyn std::fmt::Display| format!("cannot write {}: {e}", path.display());
    let partial = path.with_extension("part.png");
    image::save_buffer(&partial, &pixels, SIZE.0, SIZE.1, image::ColorType::Rgb8).map_err(|e| told(&e))?;
    std::fs::rename(&partial, path).map_err(|e| told(&e))?;
    Ok(())
}

/// Mean ± two standard deviations of each coefficient: the reference, ULA with the two largest steps, BAOAB.
fn coefficients(area: &Area<'_>, report: &Report) -> Result<(), Box<dyn Error>> {
    let of = |method: &str, skip: usize| report.methods.iter().filter(move |m| m.method == method).nth(skip);
    let name = |row: &MethodRow| format!("{}, step {}", row.method, short(row.step_size));
    let mut laws = vec![("reference".to_owned(), &report.reference.coefficients, EXACT)];
    for (row, colour) in [(of("ULA", 0), ULA), (of("ULA", 1), ULA_HALF), (of("BAOAB", 0), BAOAB)] {
        laws.extend(row.map(|row| (name(row), &row.coefficients, colour)));
    }
    let count = report.names.len();
    let ends =
        laws.iter().flat_map(|law| law.1.iter().flat_map(|c| [-2.0, 2.0].map(|k| c.mean + k * c.std_dev)));
    let (low, high) = ends.fold((0.0_f64, 0.0_f64), |(low, high), x| (low.min(x), high.max(x)));
    let (low, high) = (low - 0.03 * (high - low), high + 0.03 * (high - low));
    let mut chart = ChartBuilder::on(area)
        .caption("Coefficients, mean ± 2 standard deviations (positive: benign)", ("sans-serif", 20))
        .margin(14)
        .x_label_area_size(34)
        .y_label_area_size(LABELS)
        // The legend is a row of its own, above the others.
        .build_cartesian_2d(low..high, count as f64..-1.2)?;
    chart
        .configure_mesh()
        .disable_y_mesh()
        .disable_y_axis()
        .y_labels(0)
        .x_label_formatter(&|&x| short(x))
        .label_style(("sans-serif", 16))
        .light_line_style(WHITE)
        .draw()?;
    let bands = (0..count).step_by(2).map(|j| [(low, j as f64), (high, j as f64 + 1.0)]);
    chart.draw_series(bands.map(|band| Rectangle::new(band, BLACK.mix(0.05).filled())))?;
    chart.draw_series([PathElement::new([(0.0, 0.0), (0.0, count as f64)], BLACK.mix(0.4))])?;
    let place = |x: f64, y: f64| chart.plotting_area().map_coordinate(&(x, y));
    let style =
        |size: u32, side: HPos| ("sans-serif", size).into_text_style(area).pos(Pos::new(side, VPos::Center));
    for (j, name) in report.names.iter().enumerate() {
        let (x, y) = place(low, j as f64 + 0.5);
        area.draw(&Text::new(name.as_str(), (x - 8, y), style(15, HPos::Right)))?;
    }
    for (i, (name, coefficients, colour)) in laws.iter().enumerate() {
        let (x, y) = place(low + (high - low) * i as f64 / laws.len() as f64, -0.6);
        area.draw(&PathElement::new([(x + 4, y), (x + 24, y)], colour.stroke_width(3)))?;
        area.draw(&Text::new(name.as_str(), (x + 30, y), style(15, HPos::Left)))?;
        for (j, c) in coefficients.iter().enumerate() {
            let at = |x| place(x, j as f64 + (i as f64 + 1.0) / (laws.len() as f64 + 1.0));
            let ends = [-2.0, 2.0].map(|k| at(c.mean + k * c.std_dev));
            area.draw(&PathElement::new(ends, colour.stroke_width(2)))?;
            area.draw(&Circle::new(at(c.mean), 4, colour.filled()))?;
        }
    }
    Ok(())
}

/// An error against the step, on logarithmic axes: a full dot above twice its noise, which is dashed.
fn bias(
    area: &Area<'_>,
    title: &str,
    rows: &[MethodRow],
    value: &dyn Fn(&MethodRow) -> (f64, f64),
) -> Result<(), Box<dyn Error>> {
    let across = extent(rows.iter().map(|row| row.step_size), 1.3);
    // Room for the legend above.
    let up = extent(rows.iter().flat_map(|row| [value(row).0.abs(), value(row).1]), 1.3);
    let up = up.start..up.end * (up.end / up.start).powf(0.35);
    let ticks = |range: &Range<f64>| {
        let decades = range.start.log10().floor() as i32..=range.end.log10().ceil() as i32;
        let ticks = decades.flat_map(|k| [1.0, 2.0, 5.0].map(|m| m * 10.0_f64.powi(k)));
        ticks.filter(|tick| range.contains(tick)).collect::<Vec<f64>>()
    };
    let (x_ticks, y_ticks) = (ticks(&across), ticks(&up));
    let mut chart = ChartBuilder::on(area)
        .caption(title, ("sans-serif", 20))
        .margin(14)
        .x_label_area_size(50)
        .y_label_area_size(64)
        .build_cartesian_2d(
            across.clone().log_scale().with_key_points(x_ticks),
            up.clone().log_scale().with_key_points(y_ticks),
        )?;
    chart
        .configure_mesh()
        .x_desc("step size")
        .x_label_formatter(&|&x| short(x))
        .y_label_formatter(&|&y| short(y))
        .label_style(("sans-serif", 16))
        .light_line_style(WHITE)
        .draw()?;
    for (method, colour) in [("ULA", ULA), ("BAOAB", BAOAB)] {
        let rows = || rows.iter().filter(move |row| row.method == method);
        let line = |of: &dyn Fn((f64, f64)) -> f64| -> Vec<(f64, f64)> {
            rows().map(|row| (row.step_size, of(value(row)))).collect()
        };
        chart.draw_series(DashedLineSeries::new(line(&|v| v.1), 6, 5, colour.stroke_width(1)))?;
        chart
            .draw_series(LineSeries::new(line(&|v| v.0.abs()), colour.stroke_width(2)))?
            .label(method)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 26, y)], colour.stroke_width(3)));
        chart.draw_series(rows().map(|row| {
            let (error, noise) = value(row);
            let fill = if error.abs() > 2.0 * noise { colour } else { WHITE };
            EmptyElement::at((row.step_size, error.abs()))
                + Circle::new((0, 0), 6, colour.filled())
                + Circle::new((0, 0), 4, fill.filled())
        }))?;
    }
    // Two lines of the legend that belong to no series.
    let none = || std::iter::empty::<Circle<(f64, f64), i32>>();
    let dash = |from: i32| PathElement::new([(from, 0), (from + 6, 0)], BLACK.stroke_width(1));
    chart
        .draw_series(none())?
        .label("noise: what the standard errors alone would give")
        .legend(move |at| EmptyElement::at(at) + dash(0) + dash(10) + dash(20));
    chart
        .draw_series(none())?
        .label("within twice the noise")
        .legend(|at| EmptyElement::at(at) + Circle::new((13, 0), 5, BLACK.stroke_width(2)));
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE.mix(0.9))
        .border_style(BLACK.mix(0.2))
        .label_font(("sans-serif", 15))
        .draw()?;
    Ok(())
}

/// From the least positive value to the largest, and this factor on both sides.
fn extent(values: impl Iterator<Item = f64>, room: f64) -> Range<f64> {
    let (low, high) = values
        .filter(|&v| v > 0.0)
        .fold((f64::INFINITY, 0.0_f64), |(low, high), v| (low.min(v), high.max(v)));
    low / room..high * room
}
