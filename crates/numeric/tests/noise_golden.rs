//! Pinned values of the noise: a change is value-breaking and belongs in the changelog.
//!
//! The same numbers came from a separate implementation of the documented layout in another language, the normals to
//! its last digit or two.

use numeric::ndarray::Array2;
use numeric::{Brownian, Node, Noise, Real, Scratch};
use verify::assert_golden_exact;

const ROWS: [u64; 5] = [0, 1, 2, 3, 1_000_000_007];

/// A fixed seed: pinned values do not take part in the shifts of the statistical tests.
fn noise() -> Noise {
    Noise::new(2024).fork("golden")
}

/// Column `column` of what `draw` writes, exactly: `f32` values are exact in `f64`, and none is a zero.
fn column<F: Real>(column: usize, mut draw: impl FnMut(&mut Array2<F>)) -> Vec<f64> {
    let mut out = Array2::zeros((5, 2));
    draw(&mut out);
    out.column(column).iter().map(|x| x.as_f64()).collect()
}

fn single(values: [f32; 5]) -> Vec<f64> {
    values.map(f64::from).to_vec()
}

#[test]
fn normals() {
    assert_golden_exact(
        "f32 normals",
        &column::<f32>(1, |z| noise().normals_into(&ROWS, 17, z)),
        &single([-0.66086733, 0.26731348, 0.26500863, -0.39769685, 0.7991107]),
    );
    assert_golden_exact(
        "f64 normals",
        &column::<f64>(1, |z| noise().normals_into(&ROWS, 17, z)),
        &[
            0.37264599135828785,
            0.23698362159803762,
            0.9275206407173666,
            1.6967267099473018,
            -0.595930929448279,
        ],
    );
}

#[test]
fn normals_of_a_step_beyond_32_bits() {
    let step = (3 << 32) + 17;
    assert_golden_exact(
        "f32 normals",
        &column::<f32>(1, |z| noise().normals_into(&ROWS, step, z)),
        &single([0.34832188, 1.3038428, -0.122434735, 1.7097882, 0.5433081]),
    );
    assert_golden_exact(
        "f64 normals",
        &column::<f64>(1, |z| noise().normals_into(&ROWS, step, z)),
        &[
            1.2404794681878561,
            0.8829936056855505,
            -1.1205928291537188,
            -0.4750603177157654,
            2.1471742061181454,
        ],
    );
}

#[test]
fn uniforms() {
    assert_golden_exact(
        "f32 uniforms",
        &column::<f32>(1, |u| noise().uniforms_into(&ROWS, 17, u)),
        &single([0.68028325, 0.4748314, 0.58063453, 0.19970006, 0.33048493]),
    );
    assert_golden_exact(
        "f64 uniforms",
        &column::<f64>(1, |u| noise().uniforms_into(&ROWS, 17, u)),
        &[
            0.3284556821440273,
            0.49610755034819853,
            0.9658084448991219,
            0.1691974445611807,
            0.06461024826064976,
        ],
    );
}

#[test]
fn row_streams() {
    let mut stream = noise().row_stream(5);
    let words: Vec<u64> = (0..4).map(|_| stream.next_u64()).collect();
    let pinned = [11958618457612275863, 13593288028213947541, 13680939859579202591, 5708556240730460735];
    assert_golden_exact("words", &words, &pinned);
    let uniforms: Vec<f64> = (0..3).map(|_| stream.uniform()).collect();
    assert_golden_exact(
        "uniforms",
        &uniforms,
        &[0.37611609510009114, 0.38578732377979275, 0.08651044409460151],
    );
    let normals: Vec<f64> = (0..3).map(|_| stream.normal()).collect();
    assert_golden_exact(
        "normals",
        &normals,
        &[-0.4023208082723723, -0.19148932638617175, 0.9320183313520826],
    );
    let mut stream = noise().fork_index(3).row_stream(5);
    assert_golden_exact(
        "fork",
        &[stream.next_u64(), stream.next_u64()],
        &[7283568538686916230, 8987303418494614885],
    );
}

#[test]
fn brownian_increments() {
    let node = Node { cell: 1, level: 3, index: 5 };
    let brownian = Brownian::new(noise(), &[0.5, 2.0]).unwrap();
    assert_golden_exact(
        "f32 increments",
        &column::<f32>(0, |w| brownian.increments_into(&ROWS, node, w)),
        &single([0.36533386, -0.58321357, 0.003106907, -0.09569115, 0.0549109]),
    );
    assert_golden_exact(
        "f64 increments",
        &column::<f64>(0, |w| brownian.increments_into(&ROWS, node, w)),
        &[
            0.726581406137077,
            -0.5844763083550732,
            -0.27161488594974825,
            0.6495969062813067,
            0.37718452596780333,
        ],
    );
}

#[test]
fn increments_and_areas() {
    let node = Node { cell: 1, level: 3, index: 5 };
    let brownian = Brownian::with_area(noise(), &[0.5, 2.0]).unwrap();
    let both = |w: &mut Array2<f64>| {
        let mut h = Array2::zeros((5, 2));
        brownian.increments_and_areas_into(&ROWS, node, w, &mut h);
        h
    };
    assert_golden_exact(
        "increments",
        &column::<f64>(0, |w| drop(both(w))),
        &[
            0.5919327575678254,
            -0.7302713612022909,
            -0.046549414311564535,
            0.12753570059066585,
            0.11020602280616501,
        ],
    );
    let areas = |h: &mut Array2<f64>| h.assign(&both(&mut Array2::zeros((5, 2))));
    assert_golden_exact(
        "areas",
        &column::<f64>(0, areas),
        &[
            0.018230214888442536,
            -0.010418822988143187,
            0.05071257081819981,
            0.2789147253010369,
            -0.3424740605694796,
        ],
    );
}

#[test]
fn values_at_ticks() {
    let brownian = Brownian::new(noise(), &[0.5, 2.0]).unwrap();
    let at = [1, 2, 3, 4, 5].map(|i| i * 123_456_789_012);
    let scratch = &mut Scratch::new();
    assert_golden_exact(
        "f64 values",
        &column::<f64>(0, |w| brownian.values_into(&ROWS, 1, &at, 3, w, scratch)),
        &[
            -0.6162248789093253,
            0.05710483403363985,
            -0.5884772908708149,
            0.5049326429501877,
            -0.9896677403190283,
        ],
    );
}
