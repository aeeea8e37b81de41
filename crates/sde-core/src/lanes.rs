//! Rows side by side, for loops that vectorise however short the rows are.

use numeric::{Real, transposed, vectorize};

/// Rows that are treated together, each in a lane of its own: loops over the lanes vectorise for every length of the
/// rows, and no lane depends on what stands in the others. As many in either precision, since with fewer the
/// compiler unrolls the loops over the lanes and makes poor vectors of what it gets.
pub(crate) const LANES: usize = 16;

/// Numbers at the same place of each system.
pub(crate) type Lanes<T> = [T; LANES];

/// [`vectorize`] of a body that is told d, as a constant if it is small: then loops over the dimensions unroll.
#[inline]
pub(crate) fn vectorize_for(d: usize, mut body: impl FnMut(usize)) {
    vectorize(
        #[inline(always)]
        || match d {
            1 => body(1),
            2 => body(2),
            3 => body(3),
            4 => body(4),
            _ => body(d),
        },
    );
}

/// Columns that are turned at once, in rows of more.
pub(crate) const TILE: usize = 4;

/// Hands over the k-th numbers of up to [`LANES`] rows of d numbers, for each k; in lanes without a row, those of the
/// last row, so that nothing is done there that is not done in another lane.
#[inline(always)]
pub(crate) fn side_by_side<F: Real>(rows: &[F], d: usize, mut take: impl FnMut(usize, Lanes<F>)) {
    // A whole group of narrow rows is one piece of memory, of which all places are known: it needs no starts.
    if rows.len() == LANES * d {
        match d {
            1 => return whole::<F, 1>(rows, &mut take),
            2 => return whole::<F, 2>(rows, &mut take),
            3 => return whole::<F, 3>(rows, &mut take),
            _ => {}
        }
    }
    let mut starts = [&rows[rows.len() - d..]; LANES];
    for (start, row) in starts.iter_mut().zip(rows.chunks_exact(d)) {
        *start = row;
    }
    let mut at = 0;
    while d - at >= TILE {
        tile::<F, TILE>(&starts, at, &mut take);
        at += TILE;
    }
    match d - at {
        1 => tile::<F, 1>(&starts, at, &mut take),
        2 => tile::<F, 2>(&starts, at, &mut take),
        3 => tile::<F, 3>(&starts, at, &mut take),
        _ => {}
    }
}

/// [`LANES`] rows of M numbers.
#[inline(always)]
fn whole<F: Real, const M: usize>(rows: &[F], take: &mut impl FnMut(usize, Lanes<F>)) {
    let rows: &[[F; M]; LANES] = rows.as_chunks().0.first_chunk().expect("a whole group");
    for (k, values) in transposed(rows).into_iter().enumerate() {
        take(k, values);
    }
}

/// The columns from `at` on, M of them.
#[inline(always)]
fn tile<F: Real, const M: usize>(rows: &Lanes<&[F]>, at: usize, take: &mut impl FnMut(usize, Lanes<F>)) {
    let mut tile = [[F::zero(); M]; LANES];
    for (tile, row) in tile.iter_mut().zip(rows) {
        *tile = *row[at..].first_chunk().expect("a whole tile");
    }
    for (k, values) in transposed(&tile).into_iter().enumerate() {
        take(at + k, values);
    }
}

/// Undoes [`side_by_side`], from numbers of another precision if need be.
#[inline(always)]
pub(crate) fn row_by_row<T: Real, F: Real>(values: &[Lanes<T>], rows: &mut [F], to: impl Fn(T) -> F) {
    let d = values.len();
    if rows.len() == LANES * d {
        match d {
            1 => return put_whole::<T, F, 1>(values, rows, &to),
            2 => return put_whole::<T, F, 2>(values, rows, &to),
            3 => return put_whole::<T, F, 3>(values, rows, &to),
            _ => {}
        }
    }
    let (tiles, rest) = values.as_chunks::<TILE>();
    for (tile, at) in tiles.iter().zip((0..d).step_by(TILE)) {
        put_tile(tile, d, &mut rows[at..], &to);
    }
    let rows = &mut rows[d - rest.len()..];
    match rest {
        [a] => put_tile(&[*a], d, rows, &to),
        [a, b] => put_tile(&[*a, *b], d, rows, &to),
        [a, b, c] => put_tile(&[*a, *b, *c], d, rows, &to),
        _ => {}
    }
}

/// [`LANES`] rows of M numbers.
#[inline(always)]
fn put_whole<T: Real, F: Real, const M: usize>(values: &[Lanes<T>], rows: &mut [F], to: &impl Fn(T) -> F) {
    let values: &[Lanes<T>; M] = values.first_chunk().expect("a column for each number");
    for (lane, row) in rows.as_chunks_mut::<M>().0.iter_mut().enumerate().take(LANES) {
        *row = std::array::from_fn(
            #[inline(always)]
            |k| to(values[k][lane]),
        );
    }
}

/// M columns, in the first M places of the rows.
#[inline(always)]
fn put_tile<T: Real, F: Real, const M: usize>(
    tile: &[Lanes<T>; M],
    d: usize,
    rows: &mut [F],
    to: &impl Fn(T) -> F,
) {
    for (row, values) in rows.chunks_mut(d).zip(transposed(tile)) {
        *row.first_chunk_mut().expect("a whole tile") = values.map(to);
    }
}

/// The largest number, by halves: as a chain of comparisons it would wait for each.
#[inline(always)]
pub(crate) fn top<F: Real>(mut values: Lanes<F>) -> F {
    let mut half = LANES / 2;
    while half > 0 {
        for lane in 0..half {
            let other = values[lane + half];
            values[lane] = if other > values[lane] { other } else { values[lane] };
        }
        half /= 2;
    }
    values[0]
}

/// Squares of Euclidean lengths; infinite also where a number is NaN.
#[inline(always)]
pub(crate) fn squares<F: Real>(vectors: &[Lanes<F>]) -> Lanes<F> {
    let mut squares = [F::zero(); LANES];
    for values in vectors {
        for (square, &value) in squares.iter_mut().zip(values) {
            *square += value * value;
        }
    }
    for square in &mut squares {
        *square = if *square < F::infinity() { *square } else { F::infinity() };
    }
    squares
}
