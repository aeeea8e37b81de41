//! The noise against its contract (a pure function of seed, label, row, step, coordinate) and against the laws it claims.

use std::ops::Range;

use numeric::ndarray::{Array2, s};
use numeric::{Brownian, Error, Node, Noise, Real, RowStream};
use proptest::prelude::*;
use statrs::distribution::{ContinuousCDF, DiscreteCDF, Normal, Poisson};
use verify::{Family, chi_squared, kolmogorov_smirnov, normal_p_value, seed};

fn normals<F: Real>(noise: Noise, rows: &[u64], step: u64, d: usize) -> Array2<F> {
    let mut out = Array2::from_elem((rows.len(), d), F::nan());
    noise.normals_into(rows, step, &mut out);
    out
}

fn uniforms<F: Real>(noise: Noise, rows: &[u64], step: u64, d: usize) -> Array2<F> {
    let mut out = Array2::from_elem((rows.len(), d), F::nan());
    noise.uniforms_into(rows, step, &mut out);
    out
}

fn increments<F: Real>(brownian: &Brownian, rows: &[u64], node: Node, d: usize) -> Array2<F> {
    let mut out = Array2::from_elem((rows.len(), d), F::nan());
    brownian.increments_into(rows, node, &mut out);
    out
}

fn rows(range: Range<u64>) -> Vec<u64> {
    range.collect()
}

/// Every entry computed for itself: one row, and no more coordinates than it needs.
fn one_by_one<F: Real>(rows: &[u64], d: usize, draw: impl Fn(&[u64], usize) -> Array2<F>) -> Array2<F> {
    Array2::from_shape_fn((rows.len(), d), |(i, j)| draw(&[rows[i]], j + 1)[[0, j]])
}

proptest! {
    #![proptest_config(verify::strategy::cases(9025, 60))]

    /// Same bits for any choice of rows, from any start, in any width, at any step; hence for any chunks and threads.
    #[test]
    fn values_do_not_depend_on_what_else_is_asked_for(
        key: u64,
        start in prop_oneof![0..20_u64, (1 << 32) - 9..(1_u64 << 32) + 9, Just(u64::MAX - 300), any::<u64>()],
        gaps in prop_oneof![prop::collection::vec(Just(1_u64), 1..140), prop::collection::vec(1..7_u64, 1..40)],
        d in 1..70_usize,
        step in prop_oneof![0..5_u64, Just((1 << 32) - 1), Just(1 << 32), any::<u64>()],
    ) {
        let noise = Noise::new(key);
        let mut rows = vec![start.min(u64::MAX - 300)];
        for gap in gaps {
            rows.push(rows[rows.len() - 1] + gap);
        }
        let d = if rows.len() > 30 { d % 20 + 1 } else { d };
        prop_assert_eq!(normals::<f32>(noise, &rows, step, d), one_by_one(&rows, d, |r, d| normals::<f32>(noise, r, step, d)));
        prop_assert_eq!(normals::<f64>(noise, &rows, step, d), one_by_one(&rows, d, |r, d| normals::<f64>(noise, r, step, d)));
        prop_assert_eq!(uniforms::<f32>(noise, &rows, step, d), one_by_one(&rows, d, |r, d| uniforms::<f32>(noise, r, step, d)));
        prop_assert_eq!(uniforms::<f64>(noise, &rows, step, d), one_by_one(&rows, d, |r, d| uniforms::<f64>(noise, r, step, d)));
    }

    /// A node's halves, asked for directly or split from the parent, in the same bits; they sum to it.
    #[test]
    fn halves_sum_to_their_parent(key: u64, level in 0..40_u32, bits: u64, start in 0..100_u64, d in 1..20_usize) {
        let lengths = [0.1, 3.0, 1e-3];
        let brownian = Brownian::new(Noise::new(key), &lengths).unwrap();
        let parent = Node { cell: bits % 3, level, index: bits >> 24 & ((1 << level) - 1) };
        let [left, right] = parent.children().unwrap();
        let rows = rows(start..start + 5);
        let (w, l, r) = (
            increments::<f64>(&brownian, &rows, parent, d),
            increments::<f64>(&brownian, &rows, left, d),
            increments::<f64>(&brownian, &rows, right, d),
        );
        let (mut split_l, mut split_r) = (w.clone(), w.clone());
        brownian.split_into(&rows, parent, &w, &mut split_l, &mut split_r);
        prop_assert_eq!(&split_l, &l);
        prop_assert_eq!(&split_r, &r);
        // right = w - left is one rounding of a number of size at most |w| + |left|.
        let scale = w.mapv(f64::abs) + l.mapv(f64::abs);
        prop_assert!(((&l + &r - &w) / scale).iter().all(|e| e.abs() <= f64::EPSILON));
        prop_assert_eq!(brownian.length(left) + brownian.length(right), brownian.length(parent));
    }
}

#[test]
fn level_zero_is_the_step_to_the_bit() {
    let (noise, lengths) = (Noise::new(4).fork("path"), [0.3, 0.7, 1e-9]);
    let brownian = Brownian::new(noise, &lengths).unwrap();
    for (cell, h) in lengths.into_iter().enumerate() {
        let rows = rows(3..50);
        let z = normals::<f64>(noise, &rows, cell as u64, 5);
        assert_eq!(increments::<f64>(&brownian, &rows, Node::whole(cell as u64), 5), z * h.sqrt());
        let z = normals::<f32>(noise, &rows, cell as u64, 5);
        assert_eq!(increments::<f32>(&brownian, &rows, Node::whole(cell as u64), 5), z * h.sqrt() as f32);
    }
}

/// Sums over independent draws of functions with mean 0 and variance 1.
#[derive(Clone)]
struct Battery {
    n: f64,
    hermite: [f64; 4],
    products: Vec<(&'static str, f64, f64, f64)>,
    /// Counts of |z| > t with the probability of it.
    tails: Vec<(f64, u64)>,
    /// Cells of equal probability.
    cells: Vec<u64>,
    /// Sixteen sectors of the plane of a pair of rows.
    sectors: Vec<u64>,
}

impl Battery {
    fn new() -> Battery {
        let tails = [2.0, 3.0, 4.0, 4.5, 5.0, 5.5].map(|t| (t, 0)).to_vec();
        Battery {
            n: 0.0,
            hermite: [0.0; 4],
            products: Vec::new(),
            tails,
            cells: vec![0; 1024],
            sectors: vec![0; 16],
        }
    }

    fn sample<'a, F: Real>(&mut self, z: impl IntoIterator<Item = &'a F>, edges: &[f64]) {
        for z in z {
            let z = z.as_f64();
            let z2 = z * z;
            // Hermite polynomials He_k / sqrt(k!): mean, variance, skewness, kurtosis, uncorrelated with each other.
            let he = [z, z2 - 1.0, z * (z2 - 3.0), z2 * z2 - 6.0 * z2 + 3.0];
            for (sum, (he, k)) in self.hermite.iter_mut().zip(he.into_iter().zip([1.0, 2.0, 6.0, 24.0_f64])) {
                *sum += he / k.sqrt();
            }
            for (t, count) in &mut self.tails {
                *count += u64::from(z.abs() > *t);
            }
            self.cells[edges.partition_point(|&edge| edge < z)] += 1;
            self.n += 1.0;
        }
    }

    /// Correlation of x with y, and of their squares.
    fn pairs<'a, F: Real, G: Real>(
        &mut self,
        name: &'static str,
        x: impl IntoIterator<Item = &'a F>,
        y: impl IntoIterator<Item = &'a G>,
    ) {
        let (mut n, mut plain, mut squares) = (0.0, 0.0, 0.0);
        for (x, y) in x.into_iter().zip(y) {
            let (x, y) = (x.as_f64(), y.as_f64());
            n += 1.0;
            plain += x * y;
            squares += 0.5 * (x * x - 1.0) * (y * y - 1.0);
        }
        match self.products.iter_mut().find(|p| p.0 == name) {
            Some(p) => *p = (name, p.1 + n, p.2 + plain, p.3 + squares),
            None => self.products.push((name, n, plain, squares)),
        }
    }

    fn report(self, kind: &str, family: &mut Family) {
        for (k, sum) in self.hermite.into_iter().enumerate() {
            family.push(format!("{kind}, moment {}", k + 1), normal_p_value(sum / self.n.sqrt()));
        }
        for (name, n, plain, squares) in self.products {
            family.push(format!("{kind}, {name}"), normal_p_value(plain / n.sqrt()));
            family.push(format!("{kind}, {name}, squares"), normal_p_value(squares / n.sqrt()));
        }
        for (t, count) in self.tails {
            let law = Poisson::new(self.n * 2.0 * Normal::standard().sf(t)).unwrap();
            let below = law.cdf(count);
            let above = if count == 0 { 1.0 } else { law.sf(count - 1) };
            family.push(format!("{kind}, beyond {t}"), (2.0 * below.min(above)).min(1.0));
        }
        for (name, counts) in [("cells", self.cells), ("sectors of a pair", self.sectors)] {
            let equal = vec![1.0 / counts.len() as f64; counts.len()];
            family.push(format!("{kind}, {name}"), chi_squared(&counts, &equal).unwrap().p_value);
        }
    }
}

/// Moments, tails, cells, and all correlations that the layout of the counter could have spoilt, on about `draws`
/// normals of each type; one family of p-values.
fn battery<F: Real>(draws: usize, family: &mut Family) {
    let (n, d) = (64, 64);
    let noise = Noise::new(seed(101));
    let rows = rows(1_000_000..1_000_000 + n as u64);
    let edges: Vec<f64> = (1..1024).map(|i| Normal::standard().inverse_cdf(f64::from(i) / 1024.0)).collect();
    let mut sums = Battery::new();
    let mut last = normals::<F>(noise, &rows, u64::MAX, d);
    for step in 0..(draws / (n * d)) as u64 {
        let x = normals::<F>(noise, &rows, step, d);
        sums.sample(&x, &edges);
        sums.pairs("next coordinate", x.slice(s![.., ..-1;2]), x.slice(s![.., 1..;2]));
        sums.pairs("rows of a pair", x.slice(s![0..;2, ..]), x.slice(s![1..;2, ..]));
        sums.pairs("rows across pairs", x.slice(s![1..n - 1;4, ..]), x.slice(s![2..n - 1;4, ..]));
        sums.pairs("rows across groups", x.slice(s![0..n / 2, ..]), x.slice(s![n / 2.., ..]));
        sums.pairs("next step", &x, &last);
        sums.pairs("label", &x, &normals::<F>(noise.fork("other"), &rows, step, d));
        sums.pairs("index", &x, &normals::<F>(noise.fork_index(1), &rows, step, d));
        sums.pairs("seed", &x, &normals::<F>(Noise::new(seed(102)), &rows, step, d));
        if size_of::<F>() == 4 {
            sums.pairs("other type", &x, &normals::<f64>(noise, &rows, step, d));
        }
        let u = uniforms::<F>(noise, &rows, step, d).mapv(|u| (u - F::of(0.5)) * F::of(12_f64.sqrt()));
        // Only the plain product has variance 1 here; that of the squares has 2/5 of it, and is the more lenient.
        sums.pairs("uniform", &x, &u);
        for (a, b) in x.slice(s![0..;2, ..]).iter().zip(x.slice(s![1..;2, ..])) {
            let turn = b.as_f64().atan2(a.as_f64()) / std::f64::consts::TAU + 0.5;
            sums.sectors[((turn * 16.0) as usize).min(15)] += 1;
        }
        last = x;
    }
    sums.report(F::NAME, family);
}

/// False alarms: 1 in 1000.
#[test]
fn normals_have_their_law() {
    let mut family = Family::new(1e-3).unwrap();
    battery::<f32>(1_000_000, &mut family);
    battery::<f64>(1_000_000, &mut family);
    let x = normals::<f32>(Noise::new(seed(103)), &rows(0..100_000), 0, 10).mapv(f64::from);
    let y = normals::<f64>(Noise::new(seed(103)), &rows(0..100_000), 0, 10);
    for (name, z) in [("f32", x), ("f64", y)] {
        let fit = kolmogorov_smirnov(z.as_slice().unwrap(), |z| Normal::standard().cdf(z)).unwrap();
        family.push(format!("{name}, Kolmogorov-Smirnov"), fit.p_value);
    }
    family.assert();
}

/// False alarms: 1 in 1000.
#[test]
#[ignore = "10^8 draws of each type, about 25 s: 10^6 of each run by default"]
fn normals_have_their_law_in_a_hundred_million_draws() {
    let mut family = Family::new(1e-3).unwrap();
    battery::<f32>(100_000_000, &mut family);
    battery::<f64>(100_000_000, &mut family);
    family.assert();
}

/// Uniforms: Kolmogorov-Smirnov, and correlations of neighbours. False alarms: 1 in 1000.
#[test]
fn uniforms_have_their_law() {
    fn check<F: Real>(family: &mut Family) {
        let u = uniforms::<F>(Noise::new(seed(104)), &rows(0..100_000), 0, 10).mapv(F::as_f64);
        let fit = kolmogorov_smirnov(u.as_slice().unwrap(), |u| u).unwrap();
        family.push(format!("{}, Kolmogorov-Smirnov", F::NAME), fit.p_value);
        let v = u.mapv(|u| (u - 0.5) * 12_f64.sqrt());
        for (name, x, y) in [
            ("rows", v.slice(s![0..;2, ..]), v.slice(s![1..;2, ..])),
            ("coordinates", v.slice(s![.., 0..;2]), v.slice(s![.., 1..;2])),
        ] {
            let sum: f64 = (&x * &y).sum();
            family.push(format!("{}, {name}", F::NAME), normal_p_value(sum / (x.len() as f64).sqrt()));
        }
    }
    let mut family = Family::new(1e-3).unwrap();
    check::<f32>(&mut family);
    check::<f64>(&mut family);
    family.assert();
}

/// A row's stream and its neighbour's: uniform bits, normals, no correlation. False alarms: 1 in 1000.
#[test]
fn row_streams_have_their_law() {
    let mut family = Family::new(1e-3).unwrap();
    let noise = Noise::new(seed(105));
    let draw = |row, f: fn(&mut RowStream) -> f64| -> Vec<f64> {
        let mut stream = noise.row_stream(row);
        (0..200_000).map(|_| f(&mut stream)).collect()
    };
    let (a, b) = (draw(8, RowStream::normal), draw(9, RowStream::normal));
    let fit = kolmogorov_smirnov(&a, |z| Normal::standard().cdf(z)).unwrap();
    family.push("normal", fit.p_value);
    let fit = kolmogorov_smirnov(&draw(u64::MAX, RowStream::uniform), |u| u).unwrap();
    family.push("uniform", fit.p_value);
    let correlation = |x: &[f64], y: &[f64]| {
        let sum: f64 = x.iter().zip(y).map(|(x, y)| x * y).sum();
        normal_p_value(sum / (x.len().min(y.len()) as f64).sqrt())
    };
    family.push("rows", correlation(&a, &b));
    family.push("serial", correlation(&a, &a[1..]));
    let mut stream = noise.row_stream(3);
    let mut ones = vec![0_u64; 64];
    for _ in 0..100_000 {
        let word = stream.next_u64();
        ones.iter_mut().enumerate().for_each(|(bit, count)| *count += word >> bit & 1);
    }
    for (bit, count) in ones.into_iter().enumerate() {
        family.push(format!("bit {bit}"), normal_p_value((count as f64 - 5e4) / 25e3_f64.sqrt()));
    }
    family.assert();
}

#[test]
fn a_row_stream_does_not_depend_on_how_it_is_read() {
    let noise = Noise::new(6);
    let (mut a, mut b) = (noise.row_stream(1 << 40), noise.row_stream(1 << 40));
    let words: Vec<u64> = (0..40).map(|_| a.next_u64()).collect();
    // A clone continues on its own; normals take two words each time a pair is due.
    for word in &words[..5] {
        assert_eq!(b.next_u64(), *word);
    }
    let mut c = b.clone();
    let (first, second) = (b.normal(), b.normal());
    assert_eq!((c.normal(), c.next_u64(), c.normal()), (first, words[7], second));
    assert_eq!(b.next_u64(), words[7]);
}

/// Halves given their parent, disjoint parts, and a deep level. False alarms: 1 in 1000.
#[test]
fn brownian_increments_have_their_law() {
    let mut family = Family::new(1e-3).unwrap();
    let lengths = [2.0, 0.5];
    let brownian = Brownian::new(Noise::new(seed(106)), &lengths).unwrap();
    let rows = rows(0..20_000);
    let standard = |node| increments::<f64>(&brownian, &rows, node, 5) / brownian.length(node).sqrt();
    let mut judge = |name: &str, z: &Array2<f64>| {
        let fit = kolmogorov_smirnov(z.as_slice().unwrap(), |z| Normal::standard().cdf(z)).unwrap();
        family.push(format!("{name}, law"), fit.p_value);
        let squares: f64 = z.iter().map(|z| (z * z - 1.0) / 2_f64.sqrt()).sum();
        family.push(format!("{name}, variance"), normal_p_value(squares / (z.len() as f64).sqrt()));
    };
    for level in [1, 5, 40] {
        let last = Node { cell: 1, level, index: (1 << level) - 1 };
        judge(&format!("last node of level {level}"), &standard(last));
    }
    // Given the parent's W over h, the left half is N(W/2, h/4).
    let parent = Node { cell: 0, level: 3, index: 5 };
    let [left, _] = parent.children().unwrap();
    let (w, l) =
        (increments::<f64>(&brownian, &rows, parent, 5), increments::<f64>(&brownian, &rows, left, 5));
    judge("left half given its parent", &((l - &w * 0.5) / (0.25 * brownian.length(parent)).sqrt()));
    judge("parent", &standard(parent));
    // Disjoint parts: sisters, cousins, other cells, a node beside an ancestor's sister.
    let at = |cell, level, index| Node { cell, level, index };
    for (a, b) in [
        (at(0, 1, 0), at(0, 1, 1)),
        (at(0, 2, 1), at(0, 2, 2)),
        (at(0, 4, 3), at(1, 4, 3)),
        (at(0, 1, 0), at(0, 6, 63)),
        (at(0, 40, 0), at(0, 40, 1)),
    ] {
        let product = standard(a) * standard(b);
        family.push(format!("{a:?} {b:?}"), normal_p_value(product.sum() / (product.len() as f64).sqrt()));
    }
    family.assert();
}

#[test]
fn bad_input_is_refused_by_name() {
    let refused = Brownian::new(Noise::new(0), &[0.5, f64::NAN]).unwrap_err();
    assert!(matches!(refused, Error::Entry { parameter: "cell_lengths", index: 1, .. }), "{refused}");
    for bad in [0.0, -1.0, f64::INFINITY] {
        assert!(Brownian::new(Noise::new(0), &[bad]).is_err());
    }
    assert!(Node { cell: 0, level: Node::MAX_LEVEL, index: 7 }.children().is_none());
}

#[test]
fn empty_requests_are_answered() {
    assert_eq!(normals::<f64>(Noise::new(0), &[], 0, 3).dim(), (0, 3));
    assert_eq!(normals::<f32>(Noise::new(0), &[5], 0, 0).dim(), (1, 0));
}

#[test]
#[should_panic(expected = "`rows` must be strictly increasing")]
fn rows_out_of_order() {
    let _ = normals::<f64>(Noise::new(0), &[3, 2], 0, 1);
}

#[test]
#[should_panic(expected = "`out` has 1 rows for 2 row numbers")]
fn too_few_rows() {
    Noise::new(0).normals_into(&[3, 4], 0, &mut Array2::<f32>::zeros((1, 2)));
}

#[test]
#[should_panic(expected = "standard layout")]
fn a_transposed_output() {
    Noise::new(0).normals_into(&[3, 4], 0, &mut Array2::<f32>::zeros((3, 2)).reversed_axes());
}

#[test]
#[should_panic(expected = "is not in the tree of 1 cells")]
fn a_node_outside_the_tree() {
    let brownian = Brownian::new(Noise::new(0), &[1.0]).unwrap();
    let _ = increments::<f64>(&brownian, &[0], Node { cell: 0, level: 2, index: 4 }, 1);
}

#[test]
fn keys_do_not_collide() {
    let noise = Noise::new(9);
    let mut keys: Vec<String> = (0..1000).map(|i| format!("{:?}", noise.fork_index(i))).collect();
    keys.extend((0..1000).map(|i| format!("{:?}", noise.fork(&format!("{i}")))));
    keys.extend((0..1000).map(|i| format!("{:?}", Noise::new(i))));
    keys.extend(
        ["", "\0", "a", "a\0", "eight ch", "eight ch\0"].map(|label| format!("{:?}", noise.fork(label))),
    );
    let asked = keys.len();
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), asked);
}

#[test]
fn types_are_auto_traits() {
    fn assert_auto<T: Send + Sync + Unpin>() {}
    assert_auto::<(Noise, Brownian<'static>, Node, RowStream)>();
}

#[cfg(feature = "rand")]
#[test]
fn a_row_stream_is_a_generator_of_rand() {
    use rand::Rng;
    let noise = Noise::new(12);
    let (mut a, mut b) = (noise.row_stream(7), noise.row_stream(7));
    let word = a.next_u64();
    assert_eq!(Rng::next_u64(&mut b), word);
    assert_eq!(Rng::next_u32(&mut b), (a.next_u64() >> 32) as u32);
    let mut bytes = [0; 11];
    b.fill_bytes(&mut bytes);
    assert_eq!(bytes[..8], a.next_u64().to_le_bytes());
    assert_eq!(bytes[8..], a.next_u64().to_le_bytes()[..3]);
    assert_eq!(Noise::from_rng(&mut b), Noise::new(a.next_u64()));
}
