//! The picture: the law of the protein at each time, and the shares of the paths and of the plain leaps.

use std::error::Error;
use std::path::Path;

use plotters::prelude::*;

use crate::Row;
use crate::shared::picture::drawn;

const COLOURS: [RGBColor; 5] = [
    RGBColor(153, 153, 153),
    RGBColor(230, 159, 0),
    RGBColor(0, 158, 115),
    RGBColor(0, 114, 178),
    RGBColor(204, 60, 120),
];
const SIZE: (u32, u32) = (1100, 620);
/// The greatest count shown.
const SHOWN: usize = 120;
/// The greatest probability shown.
const GREATEST: f64 = 0.12;

pub(crate) fn draw(path: &Path, rows: &[Row], limit: &[f64]) -> Result<(), Box<dyn Error>> {
    drawn(path, SIZE, |area| {
        let mut chart = ChartBuilder::on(area)
            .caption("Protein of a gene in two stages (Shahrezaei and Swain 2008)", ("sans-serif", 22))
            .margin(16)
            .x_label_area_size(48)
            .y_label_area_size(70)
            .build_cartesian_2d(0.0..SHOWN as f64, 0.0..GREATEST)?;
        chart
            .configure_mesh()
            .x_desc("proteins")
            .y_desc("probability")
            .label_style(("sans-serif", 16))
            .light_line_style(WHITE)
            .draw()?;
        let points = |law: &[f64]| -> Vec<(f64, f64)> {
            law.iter().take(SHOWN).enumerate().map(|(n, &p)| (n as f64, p)).collect()
        };
        for (row, colour) in rows.iter().zip(COLOURS) {
            // Dots for paths beneath the line of the law.
            let dots = points(&row.ensembles[0].shares).into_iter().filter(|&(_, p)| p > 0.0 && p < GREATEST);
            chart.draw_series(dots.map(|point| Circle::new(point, 3, colour.mix(0.5).filled())))?;
            // Crosses for plain leaps, which come too late at first.
            let crosses =
                points(&row.ensembles[1].shares).into_iter().filter(|&(_, p)| p > 0.0 && p < GREATEST);
            chart.draw_series(crosses.map(|point| Cross::new(point, 3, colour.mix(0.6))))?;
            chart
                .draw_series(LineSeries::new(points(&row.law), colour.stroke_width(2)))?
                .label(format!("time {}: master equation; paths (dots), leaps (crosses)", row.time))
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 22, y)], colour.stroke_width(3)));
        }
        chart
            .draw_series(DashedLineSeries::new(points(limit), 6, 5, BLACK.stroke_width(1)))?
            .label("negative binomial (late, short-lived mRNA)")
            .legend(|(x, y)| PathElement::new([(x, y), (x + 22, y)], BLACK.stroke_width(1)));
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::UpperRight)
            .margin(20)
            .label_font(("sans-serif", 16))
            .background_style(WHITE)
            .border_style(WHITE)
            .draw()?;
        Ok(())
    })
}
