//! The picture.

use std::error::Error;
use std::path::Path;

use girsanov::ndarray::{Array1, Array2, s};
use plotters::prelude::*;
use sde_core::LinearObservation;

use crate::shared::data::{Digits, PIXELS};
use crate::shared::picture::{CELL, digit, drawn};
use crate::{Completions, SEEN};

const LABEL_WIDTH: i32 = 270;
/// Most digits that are shown, one in each column.
const COLUMNS: usize = 16;
/// Completions shown of each digit and way.
const SHOWN: usize = 3;

/// The digits, what is seen of them, and some completions by each way: a column for each digit.
pub(crate) fn draw(
    path: &Path,
    digits: &Digits,
    observations: &[LinearObservation],
    completions: &[Completions],
) -> Result<(), Box<dyn Error>> {
    let columns = observations.len().min(COLUMNS);
    let (margin, gap) = (10, 8);
    let groups = completions.len() as i32;
    let width = LABEL_WIDTH + columns as i32 * CELL + margin;
    let height = (2 + groups * SHOWN as i32) * CELL + (groups + 1) * gap + 2 * margin;
    drawn(path, (width as u32, height as u32), |area| {
        let mut top = margin;
        let label =
            |text: &str, top: i32| area.draw(&Text::new(text, (margin, top + CELL / 3), ("sans-serif", 16)));
        let left = |column: usize| LABEL_WIDTH + column as i32 * CELL;
        label("held-out digit", top)?;
        for (column, row) in digits.heldout.rows().into_iter().take(columns).enumerate() {
            digit(area, (left(column), top), digits, row, |_| false)?;
        }
        top += CELL;
        label("what is seen of it", top)?;
        for (column, seen) in observations.iter().take(columns).enumerate() {
            let mut row = Array1::zeros(PIXELS);
            row.slice_mut(s![..SEEN]).assign(seen.values());
            digit(area, (left(column), top), digits, row.view(), |pixel| pixel >= SEEN)?;
        }
        top += CELL + gap;
        for Completions { name, of_digits, .. } in completions {
            label(name, top)?;
            for (column, x) in of_digits.iter().take(columns).enumerate() {
                let shown: &Array2<f64> = x;
                for (row, x) in shown.rows().into_iter().take(SHOWN).enumerate() {
                    digit(area, (left(column), top + row as i32 * CELL), digits, x, |_| false)?;
                }
            }
            top += SHOWN as i32 * CELL + gap;
        }
        Ok(())
    })
}
