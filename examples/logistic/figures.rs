//! The picture.

use std::error::Error;
use std::ops::Range;
use std::path::Path;
use std::sync::Once;

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{FontStyle, register_font};

use crate::report::{MethodRow, Report};

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
        bias(
            &upper,
            "Error of posterior means: root mean square, in posterior standard deviations",
            &report.methods,
            1.0,
            &|row| (row.mean_error_rms, row.mean_error_rms_noise),
        )?;
        bias(
            &lower,
            "Mean of −log π above the posterior's, nats (a Gaussian of 31 coordinates has 15.5)",
            &report.methods,
            1.0,
            &|row| (row.energy_excess, row.energy_excess_se),
        )?;
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
    let name = |row: &MethodRow| format!("{}, step {:.3}", row.method, row.step_size);
    let mut laws = vec![("posterior".to_owned(), &report.reference.coefficients, EXACT)];
    for (row, colour) in [(of("ULA", 0), ULA), (of("ULA", 1), ULA_HALF), (of("BAOAB", 0), BAOAB)] {
        laws.extend(row.map(|row| (name(row), &row.coefficients, colour)));
    }
    let count = report.names.len();
    let ends =
        laws.iter().flat_map(|law| law.1.iter().flat_map(|c| [-2.0, 2.0].map(|k| c.mean + k * c.std_dev)));
    let (low, high) = ends.fold((0.0_f64, 0.0_f64), |(low, high), x| (low.min(x), high.max(x)));
    let pad = 0.03 * (high - low);
    let mut chart = ChartBuilder::on(area)
        .caption("Coefficients, mean ± 2 standard deviations (positive: benign)", ("sans-serif", 22))
        .margin(14)
        .x_label_area_size(40)
        .y_label_area_size(LABELS)
        .build_cartesian_2d(low - pad..high + pad, count as f64..0.0)?;
    chart
        .configure_mesh()
        .disable_y_mesh()
        .disable_y_axis()
        .y_labels(0)
        .label_style(("sans-serif", 15))
        .light_line_style(WHITE)
        .draw()?;
    let right = Pos::new(HPos::Right, VPos::Center);
    let label = ("sans-serif", 15).into_text_style(area).pos(right);
    for (j, name) in report.names.iter().enumerate() {
        let (x, y) = chart.plotting_area().map_coordinate(&(low - pad, j as f64 + 0.5));
        area.draw(&Text::new(name.as_str(), (x - 8, y), label.clone()))?;
    }
    for j in (0..count).step_by(2) {
        let band = [(low - pad, j as f64), (high + pad, j as f64 + 1.0)];
        chart.draw_series([Rectangle::new(band, BLACK.mix(0.05).filled())])?;
    }
    chart.draw_series([PathElement::new([(0.0, 0.0), (0.0, count as f64)], BLACK.mix(0.4))])?;
    for (i, (name, coefficients, colour)) in laws.iter().enumerate() {
        let colour = *colour;
        let height = |j: usize| j as f64 + (i as f64 + 1.0) / (laws.len() as f64 + 1.0);
        chart
            .draw_series(coefficients.iter().enumerate().map(|(j, c)| {
                let ends = [-2.0, 2.0].map(|k| (c.mean + k * c.std_dev, height(j)));
                PathElement::new(ends, colour.stroke_width(2))
            }))?
            .label(name.as_str())
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 20, y)], colour.stroke_width(3)));
        let dots = coefficients.iter().enumerate();
        chart.draw_series(dots.map(|(j, c)| Circle::new((c.mean, height(j)), 3, colour.filled())))?;
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::LowerRight)
        .background_style(WHITE.mix(0.9))
        .border_style(BLACK.mix(0.2))
        .label_font(("sans-serif", 16))
        .draw()?;
    Ok(())
}

/// An error (full dot: above twice its noise) and its noise (dashes) against the step, on logarithmic axes.
fn bias(
    area: &Area<'_>,
    title: &str,
    rows: &[MethodRow],
    _: f64,
    value: &dyn Fn(&MethodRow) -> (f64, f64),
) -> Result<(), Box<dyn Error>> {
    let extent = |values: Vec<f64>| -> Range<f64> {
        let (low, high) = values.iter().fold((f64::INFINITY, 0.0_f64), |(l, h), &v| (l.min(v), h.max(v)));
        low * 0.7..high * 1.5
    };
    let across = extent(rows.iter().map(|r| r.step_size).collect());
    let up = extent(
        rows.iter()
            .flat_map(|r| {
                let v = value(r);
                [v.0.abs(), v.1]
            })
            .filter(|v| *v > 0.0)
            .collect(),
    );
    let mut chart = ChartBuilder::on(area)
        .caption(title, ("sans-serif", 18))
        .margin(14)
        .x_label_area_size(46)
        .y_label_area_size(74)
        .build_cartesian_2d(across.log_scale(), up.log_scale())?;
    chart
        .configure_mesh()
        .x_desc("step size")
        .label_style(("sans-serif", 16))
        .light_line_style(WHITE)
        .draw()?;
    for (method, colour) in [("ULA", ULA), ("BAOAB", BAOAB)] {
        let rows = || rows.iter().filter(move |r| r.method == method);
        let points: Vec<(f64, f64)> = rows().map(|r| (r.step_size, value(r).0.abs())).collect();
        let noise: Vec<(f64, f64)> = rows().map(|r| (r.step_size, value(r).1)).collect();
        chart
            .draw_series(LineSeries::new(points, colour.stroke_width(2)))?
            .label(method)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 20, y)], colour.stroke_width(3)));
        chart.draw_series(DashedLineSeries::new(noise, 6, 5, colour.stroke_width(1)))?;
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE.mix(0.8))
        .border_style(BLACK.mix(0.2))
        .label_font(("sans-serif", 16))
        .draw()?;
    Ok(())
}
