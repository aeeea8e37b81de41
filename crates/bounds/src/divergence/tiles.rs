//! Kernel sums of every row with all others, by tiles of a matrix product.

use std::ops::Range;

use numeric::ndarray::{Array2, Axis, Slice};
use numeric::{Packed, Real, vectorize};
use rayon::prelude::*;

/// Rows and columns of the tile of inner products that is worked on at a time.
const TILE: (usize, usize) = (64, 64);

/// Columns of the samples that one product takes in: a tile of them stays in the nearer caches.
const PANEL: usize = 256;

/// Partial sums of a row, side by side in the vector units; the order of summation is fixed.
const LANES: usize = 16;

/// Sum over the other rows of one sample, and sum of squares.
#[derive(Clone, Copy, Default)]
pub(super) struct Sum {
    pub(super) values: f64,
    pub(super) squares: f64,
}

impl Sum {
    fn add(&mut self, other: Sum) {
        self.values += other.values;
        self.squares += other.squares;
    }
}

/// For every row of `pool`, its kernel sums with the first `n` rows and with the others, itself left out.
///
/// `kernel` overwrites squared distances by values. Both are of the type `F`: the samples' own. Squared distances come from
/// inner products, and where those cancel from the differences of the rows in `f64`. What is summed over more than a
/// tile is summed in `f64`.
///
/// Each pair is evaluated once. Strips of rows are work items, at most 64 of them whatever the number of
/// threads, and their column sums are added in order.
pub(super) fn row_sums<F: Real>(
    pool: &Array2<f64>,
    n: usize,
    kernel: impl Fn(&mut [F]) + Sync,
) -> Vec<[Sum; 2]> {
    let tiles = Tiles::new(pool, n);
    let rows = pool.nrows();
    let bands = tiles_of(rows, n, TILE.0);
    let strips: Vec<Vec<[Sum; 2]>> = bands
        .par_chunks(bands.len().div_ceil(64))
        .map(|bands| {
            let start = bands[0].start;
            let mut sums = vec![[Sum::default(); 2]; rows - start];
            let mut values = vec![F::zero(); TILE.0 * TILE.1];
            for band in bands {
                for tile in 0..tiles.columns.len() {
                    tiles.add(band, tile, &kernel, &mut values, (start, &mut sums));
                }
            }
            sums
        })
        .collect();
    let mut all = vec![[Sum::default(); 2]; rows];
    for sums in &strips {
        for (total, sum) in all[rows - sums.len()..].iter_mut().zip(sums) {
            total[0].add(sum[0]);
            total[1].add(sum[1]);
        }
    }
    all
}

/// The rows 0..rows in order, in tiles of at most `size`, none of which has rows of both samples.
fn tiles_of(rows: usize, n: usize, size: usize) -> Vec<Range<usize>> {
    [0..n, n..rows]
        .into_iter()
        .flat_map(|sample| sample.clone().step_by(size).map(move |at| at..sample.end.min(at + size)))
        .collect()
}

/// The rows of both samples, laid out for products of a band of rows with a tile of columns.
struct Tiles<'a, F> {
    pool: &'a Array2<f64>,
    n: usize,
    norms: Vec<F>,
    columns: Vec<Range<usize>>,
    panels: Vec<Panel<F>>,
}

/// Some columns of the samples: row-major, and transposed in packed tiles.
struct Panel<F> {
    width: usize,
    rows: Vec<F>,
    transposed: Vec<Packed<F>>,
}

impl<F: Real> Tiles<'_, F> {
    fn new(pool: &Array2<f64>, n: usize) -> Tiles<'_, F> {
        let columns = tiles_of(pool.nrows(), n, TILE.1);
        let panels = (0..pool.ncols())
            .step_by(PANEL)
            .map(|from| {
                let to = pool.ncols().min(from + PANEL);
                let part = pool.slice_axis(Axis(1), Slice::from(from..to));
                Panel {
                    width: to - from,
                    rows: part.iter().map(|&value| F::of(value)).collect(),
                    transposed: columns
                        .par_iter()
                        .map(|tile| {
                            Packed::new(to - from, tile.len(), |k, j| pool[(tile.start + j, from + k)])
                        })
                        .collect(),
                }
            })
            .collect();
        let norms = pool.rows().into_iter().map(|row| F::of(row.dot(&row))).collect();
        Tiles { pool, n, norms, columns, panels }
    }

    /// Adds the pairs (i, j > i) of a band of rows and a tile of columns to the sums of both rows; `sums` begins with the
    /// row `first`.
    fn add(
        &self,
        band: &Range<usize>,
        tile: usize,
        kernel: &impl Fn(&mut [F]),
        values: &mut [F],
        (first, sums): (usize, &mut [[Sum; 2]]),
    ) {
        let columns = &self.columns[tile];
        if columns.end <= band.start + 1 {
            return;
        }
        let values = &mut values[..band.len() * columns.len()];
        for (index, panel) in self.panels.iter().enumerate() {
            let rows = &panel.rows[band.start * panel.width..band.end * panel.width];
            if index == 0 {
                panel.transposed[tile].left_multiply(rows, values);
            } else {
                panel.transposed[tile].add_left_multiply(rows, values);
            }
        }
        self.to_squared_distances(band, columns, values);
        kernel(values);
        for (i, values) in band.clone().zip(values.chunks_exact_mut(columns.len())) {
            let before = (i + 1).saturating_sub(columns.start);
            values[..before.min(columns.len())].fill(F::zero());
        }
        let (of_row, of_column) = (usize::from(columns.start >= self.n), usize::from(band.start >= self.n));
        let mut of_columns = [[F::zero(); TILE.1]; 2];
        let width = columns.len();
        let fours = values.chunks_exact(4 * width);
        let ones = fours.remainder().chunks_exact(width);
        let totals = fours.flat_map(|rows| {
            add_to_columns::<F, 4>(std::array::from_fn(|r| &rows[r * width..][..width]), &mut of_columns)
        });
        let mut row = band.start - first;
        for sum in totals {
            sums[row][of_row].add(sum);
            row += 1;
        }
        for values in ones {
            let [sum] = add_to_columns([values], &mut of_columns);
            sums[row][of_row].add(sum);
            row += 1;
        }
        for (j, (values, squares)) in columns.clone().zip(of_columns[0].iter().zip(&of_columns[1])) {
            // Before the first row of the strip there is no pair, and the sums are 0.
            if j >= first {
                sums[j - first][of_column].add(Sum { values: values.as_f64(), squares: squares.as_f64() });
            }
        }
    }

    /// Turns a tile of inner products into squared distances.
    fn to_squared_distances(&self, band: &Range<usize>, columns: &Range<usize>, values: &mut [F]) {
        // What is left of a unit in the last place of the norms: at least half of the digits.
        let cancels = F::of(if size_of::<F>() == 4 { 1e-2 } else { 1e-6 });
        let (norms, of_columns) = (&self.norms[band.clone()], &self.norms[columns.clone()]);
        let two = F::of(2.0);
        let mut near_rows = [false; TILE.0];
        vectorize(
            #[inline(always)]
            || {
                let rows = values.chunks_exact_mut(of_columns.len()).zip(norms);
                for ((values, &norm), near_row) in rows.zip(&mut near_rows) {
                    let mut near = 0_u32;
                    for (value, &other) in values.iter_mut().zip(of_columns) {
                        let sum = norm + other;
                        *value = sum - two * *value;
                        near += u32::from(!(*value > cancels * sum));
                    }
                    *near_row = near > 0;
                }
            },
        );
        for ((i, near), values) in band.clone().zip(near_rows).zip(values.chunks_exact_mut(columns.len())) {
            if !near {
                continue;
            }
            for (value, j) in values.iter_mut().zip(columns.clone()) {
                if !(*value > cancels * (self.norms[i] + self.norms[j])) {
                    let pairs = self.pool.row(i).into_iter().zip(self.pool.row(j));
                    *value = F::of(pairs.map(|(a, b)| (a - b) * (a - b)).sum());
                }
            }
        }
    }
}

/// Adds the values and squares of some rows to those of their columns, and returns the sums of both for each row.
fn add_to_columns<F: Real, const ROWS: usize>(
    rows: [&[F]; ROWS],
    of_columns: &mut [[F; TILE.1]; 2],
) -> [Sum; ROWS] {
    let [sums, squares] = of_columns;
    let mut of_rows = [[[F::zero(); LANES]; 2]; ROWS];
    vectorize(
        #[inline(always)]
        || {
            let width = rows[0].len();
            let rows: [&[F]; ROWS] = std::array::from_fn(|r| &rows[r][..width]);
            let (sums, squares) = (&mut sums[..width], &mut squares[..width]);
            // A copy stays in registers.
            let mut lanes = [[[F::zero(); LANES]; 2]; ROWS];
            let mut at = 0;
            while at + LANES <= width {
                let sums: &mut [F; LANES] = sums[at..].first_chunk_mut().expect("LANES of them");
                let squares: &mut [F; LANES] = squares[at..].first_chunk_mut().expect("LANES of them");
                let (mut sum, mut square) = (*sums, *squares);
                for r in 0..ROWS {
                    let values: [F; LANES] = *rows[r][at..].first_chunk().expect("LANES of them");
                    for lane in 0..LANES {
                        let value = values[lane];
                        let its_square = value * value;
                        lanes[r][0][lane] += value;
                        lanes[r][1][lane] += its_square;
                        sum[lane] += value;
                        square[lane] += its_square;
                    }
                }
                (*sums, *squares) = (sum, square);
                at += LANES;
            }
            for r in 0..ROWS {
                for (lane, c) in (at..width).enumerate() {
                    let value = rows[r][c];
                    lanes[r][0][lane] += value;
                    lanes[r][1][lane] += value * value;
                    sums[c] += value;
                    squares[c] += value * value;
                }
            }
            of_rows = lanes;
        },
    );
    of_rows.map(|lanes| {
        let [values, squares] = lanes.map(|lanes| lanes.iter().map(|lane| lane.as_f64()).sum());
        Sum { values, squares }
    })
}
