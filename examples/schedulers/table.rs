//! What is printed.

use numeric::Estimate;

use crate::grids::Grid;
use crate::methods::OF_GRIDS;
use crate::report::{Floor, Flow, Measured, Row};
use crate::{BUDGETS, TOLERANCE};

/// Model calls at which all methods and grids are in one table.
const AT: usize = 16;
const WIDTH_OF_METHOD: usize = 28;
const NONE: &str = "—";

/// Two tables with a line for each method on the first grid, and each grid with the method of grids, and a column for each
/// budget of calls; and one with a line for each method and a column for each grid, at one budget.
pub(crate) fn print(rows: &[Row], grids: &[Grid], flow: &Flow, floor: &Floor) {
    let of_flow = |measured: &Measured| measured.rms_to_flow;
    by_budget("root mean square distance to the exact flow, ± its standard error", rows, grids, &of_flow);
    println!("the exact flow itself takes {:.0} calls (Tsit5, tolerances {TOLERANCE:e})\n", flow.calls);
    let in_law = |measured: &Measured| Some(measured.sliced_w1);
    by_budget("sliced W1 to exact draws of the mixture, ± its standard error", rows, grids, &in_law);
    println!(
        "exact draws: {} (mean over samples), one sample ± {}; the exact flow: {}\n",
        short(floor.mean),
        short(floor.std),
        short(flow.sliced_w1.mean)
    );
    println!("all methods and grids at {AT} calls");
    println!(
        "deterministic: root mean square distance to the exact flow; stochastic: sliced W1, see above\n"
    );
    by_grid(rows, grids);
}

/// The rows of a method on a grid, with the least budget first.
fn line<'a>(rows: &'a [Row], method: &str, grid: &str) -> impl Iterator<Item = &'a Row> {
    rows.iter().filter(move |row| row.method == method && row.grid == grid)
}

fn by_budget(title: &str, rows: &[Row], grids: &[Grid], value: &dyn Fn(&Measured) -> Option<Estimate>) {
    let head: String = BUDGETS.iter().map(|budget| format!("{:>18}", format!("≤ {budget} calls"))).collect();
    println!("{title}\n{:<WIDTH_OF_METHOD$}{:<25}{head}", "method", "grid");
    let first = grids[0].name;
    let lines = || rows.iter().filter(|row| row.budget == BUDGETS[0]);
    let of_methods = lines().filter(|row| row.grid == first);
    let of_grids = lines().filter(|row| row.grid != first && row.method == OF_GRIDS);
    for Row { method, grid, .. } in of_methods.chain(of_grids) {
        let values: Vec<_> = line(rows, method, grid).map(|row| row.measured().and_then(value)).collect();
        if values.iter().any(Option::is_some) {
            let cell = |value: Option<Estimate>| {
                value.map_or(NONE.to_owned(), |v| format!("{} ± {}", short(v.mean), short(v.std_error)))
            };
            let cells: String = values.into_iter().map(|value| format!("{:>18}", cell(value))).collect();
            println!("{method:<WIDTH_OF_METHOD$}{grid:<25}{cells}");
        }
    }
}

fn by_grid(rows: &[Row], grids: &[Grid]) {
    let head: String = grids.iter().map(|grid| format!("{:>9}", grid.head)).collect();
    println!("{:<WIDTH_OF_METHOD$}{head}", "method");
    let at = |row: &&Row| row.budget == AT && row.grid == grids[0].name;
    for Row { method, .. } in rows.iter().filter(at) {
        let cell = |grid: &Grid| {
            let measured = line(rows, method, grid.name).find(|row| row.budget == AT)?.measured()?;
            Some(short(measured.rms_to_flow.unwrap_or(measured.sliced_w1).mean))
        };
        let cells = grids.iter().map(|grid| format!("{:>9}", cell(grid).unwrap_or_else(|| NONE.to_owned())));
        println!("{method:<WIDTH_OF_METHOD$}{}", cells.collect::<String>());
    }
    println!("{NONE} no such run: the reason is in schedulers.json\n");
}

/// Two digits.
fn short(value: f64) -> String {
    if (1e-3..100.0).contains(&value) {
        let digits = if value < 0.01 {
            4
        } else if value < 0.1 {
            3
        } else if value < 10.0 {
            2
        } else {
            1
        };
        format!("{value:.digits$}")
    } else {
        format!("{value:.1e}")
    }
}
