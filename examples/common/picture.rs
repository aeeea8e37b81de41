//! Pictures of digits on white.

use std::error::Error;
use std::path::Path;
use std::sync::Once;

use girsanov::ndarray::ArrayView1;
use plotters::prelude::*;
use plotters::style::{FontStyle, register_font};

use super::data::{Digits, PIXELS};

pub(crate) const SIDE: i32 = 8;
/// Screen pixels per pixel of a digit.
pub(crate) const ZOOM: i32 = 5;
/// Screen pixels from one digit to the next.
pub(crate) const CELL: i32 = SIDE * ZOOM + 6;

fn font() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let font = epaint_default_fonts::UBUNTU_LIGHT;
        assert!(register_font("sans-serif", FontStyle::Normal, font).is_ok(), "the font is part of a crate");
    });
}

pub(crate) type Area<'a> = DrawingArea<BitMapBackend<'a>, plotters::coord::Shift>;

/// Draws on white and writes through a temporary name, so that no half a picture is ever seen.
pub(crate) fn drawn(
    path: &Path,
    (width, height): (u32, u32),
    draw: impl FnOnce(&Area<'_>) -> Result<(), Box<dyn Error>>,
) -> Result<(), Box<dyn Error>> {
    font();
    let mut pixels = vec![0; 3 * (width * height) as usize];
    {
        let area = BitMapBackend::with_buffer(&mut pixels, (width, height)).into_drawing_area();
        area.fill(&WHITE)?;
        draw(&area)?;
        area.present()?;
    }
    let told = |e: &dyn std::fmt::Display| format!("cannot write {}: {e}", path.display());
    let partial = path.with_extension("part.png");
    image::save_buffer(&partial, &pixels, width, height, image::ColorType::Rgb8).map_err(|e| told(&e))?;
    std::fs::rename(&partial, path).map_err(|e| told(&e))?;
    Ok(())
}

/// Draws a digit with its corner at (left, top); pixels for which `hidden` holds are blue.
pub(crate) fn digit(
    area: &Area<'_>,
    (left, top): (i32, i32),
    digits: &Digits,
    row: ArrayView1<'_, f64>,
    hidden: impl Fn(usize) -> bool,
) -> Result<(), Box<dyn Error>> {
    for pixel in 0..PIXELS {
        let shade = if hidden(pixel) { RGBColor(190, 215, 240) } else { gray(digits, row, pixel) };
        let (px, py) = (left + pixel as i32 % SIDE * ZOOM, top + pixel as i32 / SIDE * ZOOM);
        area.draw(&Rectangle::new([(px, py), (px + ZOOM, py + ZOOM)], shade.filled()))?;
    }
    Ok(())
}

/// Ink of a pixel, from white (0) to black (16); what a model put outside is shown at the end of the scale.
fn gray(digits: &Digits, row: ArrayView1<'_, f64>, pixel: usize) -> RGBColor {
    let ink = (row[pixel] * digits.scale + digits.centre[pixel]).clamp(0.0, 16.0);
    let shade = (255.0 * (1.0 - ink / 16.0)).round() as u8;
    RGBColor(shade, shade, shade)
}
