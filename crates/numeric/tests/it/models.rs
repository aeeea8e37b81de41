//! Conversions between predictions, adapters of fields, grids and the runner.

use std::sync::Arc;

use ndarray::{Array2, ArrayRef2, array};
use numeric::{
    Batch, Batching, Control, Divergence, Error, JacobianProducts, Level, Model, Noise, PosteriorCovariance,
    PosteriorDraw, Prediction, Schedule, Scratch, Time, TimeGrid, Times, VectorField, combined, fill_rows,
    from_fn, from_row_fn, ndarray, run_blocks, run_rows, scaled, time_reversed, with_batching,
};
use proptest::prelude::*;

/// A schedule with nothing in particular about it: α = 1/(1 + t), σ = t (1 + t/2).
#[derive(Clone, Copy)]
struct Odd;

impl Schedule for Odd {
    fn level(&self, time: Time) -> Level {
        let t = time.t;
        let alpha = 1.0 / (1.0 + t);
        Level { alpha, sigma: t * (1.0 + 0.5 * t), d_alpha: -alpha * alpha, d_sigma: 1.0 + t }
    }
}

const ALL: [Prediction; 6] = [
    Prediction::Score,
    Prediction::Noise,
    Prediction::Denoised,
    Prediction::V,
    Prediction::Velocity,
    Prediction::Edm { sigma_data: 0.7 },
];

/// Each prediction by its definition, from x_0 and ε.
fn by_definition(what: Prediction, x0: f64, noise: f64, level: Level) -> f64 {
    let Level { alpha, sigma, d_alpha, d_sigma } = level;
    match what {
        Prediction::Score => -noise / sigma,
        Prediction::Noise => noise,
        Prediction::Denoised => x0,
        Prediction::V => alpha * noise - sigma * x0,
        Prediction::Velocity => d_alpha * x0 + d_sigma * noise,
        Prediction::Edm { sigma_data } => {
            // Karras et al.: D = c_skip x̃ + c_out F with x̃ = x/α, σ̃ = σ/α.
            let (s, x) = (sigma / alpha, x0 + sigma / alpha * noise);
            let total = s * s + sigma_data * sigma_data;
            let (skip, out) = (sigma_data * sigma_data / total, s * sigma_data / total.sqrt());
            (x0 - skip * x) / out
        }
    }
}

proptest! {
    #![proptest_config(verify::strategy::cases(9024, 256))]

    #[test]
    fn conversions_agree_with_the_definitions_and_go_round(
        x0 in -5.0..5.0_f64, noise in -5.0..5.0_f64, t in 0.01..3.0_f64, from in 0..6_usize, to in 0..6_usize,
    ) {
        let level = Odd.level(Time::of(t));
        let x = level.alpha * x0 + level.sigma * noise;
        let (p, q) = (by_definition(ALL[from], x0, noise, level), by_definition(ALL[to], x0, noise, level));
        let (a, b) = ALL[from].conversion(ALL[to], level).expect("all exist here");
        let scale = 1.0 + (a * x).abs() + (b * p).abs();
        prop_assert!((a * x + b * p - q).abs() < 1e-12 * scale, "{:?} to {:?}", ALL[from], ALL[to]);
        let (c, d) = ALL[to].conversion(ALL[from], level).expect("all exist here");
        prop_assert!((b * d - 1.0).abs() < 1e-12 && (c + d * a).abs() < 1e-12 * (1.0 + c.abs()));
    }

    #[test]
    fn refined_grids_keep_their_nodes_and_lengths(
        lengths in prop::collection::vec(1e-9..1.0_f64, 1..20), level in 0_u32..5, backwards: bool,
    ) {
        let mut nodes = vec![0.25];
        for h in &lengths { nodes.push(nodes[nodes.len() - 1] + h); }
        let mut grid = TimeGrid::from_nodes(nodes).expect("increasing");
        if backwards { grid = grid.reversed(); }
        let fine = grid.refined(level);
        let parts = 1 << level;
        prop_assert_eq!(fine.steps(), grid.steps() * parts);
        for k in 0..=grid.steps() {
            prop_assert_eq!(fine.node(k * parts), grid.node(k));
        }
        for k in 0..grid.steps() {
            let sum: f64 = (0..parts).map(|j| fine.length(k * parts + j)).sum();
            prop_assert!((sum - grid.length(k)).abs() <= 1e-15 * 20.0);
        }
        prop_assert_eq!(grid.reversed().reversed(), grid);
    }
}

/// The raw EDM network is given the scaled input and its output is put together as in the paper.
#[test]
fn edm_preconditioning_scales_the_input() {
    let prediction = Prediction::Edm { sigma_data: 0.5 };
    // A "network" that returns its input, so that D = c_skip x̃ + c_out c_in x̃.
    let identity = from_fn(1, |batch: &Batch<'_, f64>, out: &mut ndarray::ArrayRef2<f64>| {
        out.assign(batch.x());
        Ok(())
    });
    let model = Model::new(identity, prediction, Odd);
    let times = [Time::of(0.3), Time::of(2.0)];
    let x = array![[1.5], [-0.5]];
    let mut out = array![[0.0], [0.0]];
    let batch = Batch::new(&[0, 1], Times::PerRow(&times), &x);
    model.predict_into(Prediction::Denoised, &batch, &mut out, &mut Scratch::new()).expect("exists");
    for i in 0..2 {
        let level = Odd.level(times[i]);
        let (s, x) = (level.sigma / level.alpha, x[(i, 0)] / level.alpha);
        let total: f64 = s * s + 0.25;
        let exact = 0.25 / total * x + s * 0.5 / total.sqrt() * (x / total.sqrt());
        assert!((out[(i, 0)] - exact).abs() < 1e-14);
    }
}

/// In noise without signal the network is given z, and `x_0 = σ_d F`: the closed forms, and the limit of small α. Where
/// x is z alone, nothing leads from the noise to a prediction that has x_0 in it.
#[test]
fn edm_preconditioning_has_a_limit_without_signal() {
    let at = |alpha: f64| Level { alpha, sigma: 2.5, d_alpha: -0.8, d_sigma: 0.3 };
    let edm = Prediction::Edm { sigma_data: 0.7 };
    assert!((edm.input_scale(at(0.0)) - 0.4).abs() < 1e-16);
    // F = x_0/σ_d, v = −σ x_0, and α' x_0 + σ' ε with ε = x/σ.
    let exact = [
        (Prediction::Denoised, [0.0, 0.7]),
        (Prediction::V, [0.0, -2.5 * 0.7]),
        (Prediction::Velocity, [0.3 / 2.5, -0.8 * 0.7]),
        (Prediction::Noise, [0.4, 0.0]),
        (Prediction::Score, [-0.16, 0.0]),
    ];
    for (what, [of_x, of_f]) in exact {
        let (a, b) = edm.conversion(what, at(0.0)).expect("the limit exists");
        assert!((a - of_x).abs() < 1e-15 && (b - of_f).abs() < 1e-15, "{what:?}: {a} {b}");
        for alpha in [1e-9, 1e-300, f64::MIN_POSITIVE] {
            let (a, b) = edm.conversion(what, at(alpha)).expect("exists");
            assert!((a - of_x).abs() < 1e-8 && (b - of_f).abs() < 1e-8, "{what:?} at {alpha}: {a} {b}");
        }
        let back = what.conversion(edm, at(0.0));
        if of_f == 0.0 {
            assert!(
                matches!(back, Err(Error::Domain { parameter: "level.sigma", .. })),
                "{what:?}: {back:?}"
            );
        } else {
            let (c, d) = back.expect("x_0 is in it");
            assert!((b * d - 1.0).abs() < 1e-15 && (c + d * a).abs() < 1e-15, "{what:?}: {c} {d}");
        }
    }
    // At the data themselves F is −ε.
    let data = Level { alpha: 1.0, sigma: 0.0, d_alpha: 0.0, d_sigma: 1.0 };
    assert_eq!(edm.conversion(Prediction::Noise, data), Ok((0.0, -1.0)));
}

#[test]
fn conversions_that_do_not_exist_are_refused() {
    let data = Level { alpha: 1.0, sigma: 0.0, d_alpha: 0.0, d_sigma: 1.0 };
    let noise = Level { alpha: 0.0, sigma: 1.0, d_alpha: -1.0, d_sigma: 0.0 };
    assert!(Prediction::Denoised.conversion(Prediction::Score, data).is_err());
    assert!(Prediction::Denoised.conversion(Prediction::Noise, data).is_err());
    assert_eq!(Prediction::Noise.conversion(Prediction::Denoised, data), Ok((1.0, 0.0)));
    assert!(Prediction::Noise.conversion(Prediction::Denoised, noise).is_err());
    assert_eq!(Prediction::Denoised.conversion(Prediction::Score, noise), Ok((-1.0, 0.0)));
    assert_eq!(Prediction::Denoised.conversion(Prediction::Denoised, data), Ok((0.0, 1.0)));
}

#[test]
fn adapters_compose() {
    let field = || {
        from_row_fn(2, |time: Time, x, out: &mut [f64]| {
            out[0] = time.t * x[0];
            out[1] = x[1] - time.to_end;
            Ok(())
        })
    };
    let x = array![[1.0, 2.0], [3.0, 4.0]];
    let times = [Time { t: 0.25, to_end: 0.75 }, Time { t: 1.0, to_end: 0.0 }];
    let eval = |field: &dyn VectorField<f64>| {
        let mut out = Array2::zeros((2, 2));
        let batch = Batch::new(&[5, 9], Times::PerRow(&times), &x);
        field.eval_into(&batch, &mut out, &mut Scratch::new()).expect("no failure");
        out
    };
    let plain = eval(&field());
    assert_eq!(plain, array![[0.25, 1.25], [3.0, 4.0]]);
    assert_eq!(eval(&scaled(-2.0, field()).expect("finite")), plain.map(|v| -2.0 * v));
    let reversed = eval(&time_reversed(field()));
    assert_eq!(reversed, array![[0.75, 1.75], [0.0, 3.0]]);
    assert_eq!(eval(&time_reversed(time_reversed(field()))), plain);
    let sum = combined(2.0, field(), -1.0, time_reversed(field())).expect("same dimension");
    assert_eq!(eval(&sum), &plain * 2.0 - &reversed);
    assert_eq!(eval(&Box::new(field())), plain);
    assert!(scaled(f64::NAN, field()).is_err());
    assert!(combined(1.0, field(), f64::INFINITY, field()).is_err());
    let one = from_row_fn(1, |_: Time, _, _: &mut [f64]| Ok(()));
    assert!(matches!(combined(1.0, field(), 1.0, one), Err(Error::Shape { .. })));
    // Whole blocks of the same size, or none.
    let blocks = |rows| {
        with_batching(field(), Batching { rows, rowwise: false, serial: false }).expect("blocks of some rows")
    };
    let both = combined(1.0, blocks(8), 1.0, blocks(8)).expect("of one size");
    assert_eq!(VectorField::<f64>::batching(&both), VectorField::<f64>::batching(&blocks(8)));
    let one = combined(1.0, field(), 1.0, blocks(8)).expect("one is particular");
    assert_eq!(VectorField::<f64>::batching(&one), VectorField::<f64>::batching(&blocks(8)));
    assert!(matches!(combined(1.0, blocks(8), 1.0, blocks(6)), Err(Error::Unsupported { .. })));
}

#[test]
fn grids_on_an_axis_without_end_can_be_refined() {
    let times = [2.0, 1.0, 0.5].map(Time::of).to_vec();
    let fine = TimeGrid::from_times(times).expect("valid").refined(1);
    assert_eq!(fine.nodes(), [2.0, 1.5, 1.0, 0.75, 0.5].map(Time::of));
}

#[test]
fn bad_grids_are_refused() {
    for nodes in [
        vec![],
        vec![1.0],
        vec![1.0, 1.0],
        vec![0.0, 1.0, 0.5],
        vec![1.0, 0.5, 0.7],
        vec![0.0, f64::NAN],
        vec![0.0, f64::INFINITY],
    ] {
        assert!(TimeGrid::from_nodes(nodes.clone()).is_err(), "{nodes:?}");
    }
    assert!(TimeGrid::uniform(0.0, 1.0, 0).is_err());
    assert!(TimeGrid::uniform(0.0, 0.0, 3).is_err());
    // Two nodes that only `to_end` tells apart, as next to the end of an axis.
    let end = |to_end| Time { t: 1.0, to_end };
    let grid =
        TimeGrid::from_times(vec![Time { t: 0.5, to_end: 0.5 }, end(1e-20), end(1e-30)]).expect("grid");
    assert!((grid.length(1) - 1e-20).abs() < 1e-29);
    assert!(TimeGrid::from_times(vec![end(1e-20), end(1e-20)]).is_err());
    assert!(TimeGrid::from_times(vec![end(1.0), end(-1.0)]).is_err());
}

#[test]
fn the_lowest_failure_is_reported_for_any_number_of_threads() {
    for threads in [1, 2, 5] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
        for _ in 0..20 {
            let refused = pool.install(|| {
                run_blocks(0..10_000, Batching::default(), Control::default(), |rows, _| {
                    if rows.start >= 1280 && rows.start % 256 == 0 {
                        return Err(Error::Model { row: rows.start, message: String::new() });
                    }
                    Ok(())
                })
            });
            assert_eq!(refused, Err(Error::Model { row: 1280, message: String::new() }));
        }
    }
}

#[test]
fn progress_counts_rows_and_workspaces_are_reused() {
    let seen = std::sync::Mutex::new(Vec::new());
    let progress = |done| seen.lock().expect("no panic").push(done);
    let control = Control { cancel: None, progress: Some(&progress) };
    let x =
        run_rows(10..500, 2, Batching { serial: true, ..Batching::default() }, control, |rows, scratch| {
            let mut buffer: Vec<f32> = scratch.take();
            let reused = buffer.capacity() > 0;
            buffer.clear();
            buffer.resize(1000, 0.0);
            scratch.put(buffer);
            Ok(rows.flat_map(|row| [row as f32, f32::from(u8::from(reused))]).collect())
        });
    let x = x.expect("no failure");
    assert_eq!(x.dim(), (490, 2));
    assert!(x.column(0).iter().enumerate().all(|(i, &row)| row == (i + 10) as f32));
    assert_eq!((x[(0, 1)], x[(489, 1)]), (0.0, 1.0));
    let seen = seen.into_inner().expect("no panic");
    assert_eq!((seen.len(), seen.last()), (8, Some(&490)));
    // No block of no rows, no work for no rows.
    assert!(
        run_blocks(0..1, Batching { rows: 0, ..Batching::default() }, Control::default(), |_, _| Ok(()))
            .is_err()
    );
    assert_eq!(run_blocks(3..3, Batching::default(), Control::default(), |_, _| Ok(())), Ok(vec![]));
}

#[test]
fn rows_are_written_into_their_own_part_of_the_result() {
    let whole = Batching { rows: 16, rowwise: false, serial: false };
    for batching in [Batching { rows: 16, ..Batching::default() }, whole, Batching { serial: true, ..whole }]
    {
        for range in [0..64, 5..70, 7..9, 16..32, 31..33, 8..8] {
            let mut out = vec![f64::NAN; 3 * (range.end - range.start) as usize];
            fill_rows(range.clone(), 3, batching, Control::default(), &mut out, |rows, out, _| {
                assert!(batching.rowwise || (rows.start % 16 == 0 && rows.end - rows.start == 16));
                for (row, out) in rows.zip(out.chunks_exact_mut(3)) {
                    out.fill(row as f64);
                }
                Ok(())
            })
            .expect("nothing fails");
            let expected: Vec<f64> = range.flat_map(|row| [row as f64; 3]).collect();
            assert_eq!(out, expected);
        }
        let short = fill_rows(0..5, 3, batching, Control::default(), &mut [0.0; 14], |_, _, _| Ok(()));
        assert_eq!(short, Err(Error::Shape { parameter: "out", expected: vec![15], found: vec![14] }));
    }
}

/// References, boxes and shared pointers can do what the field can.
#[test]
fn abilities_go_through_pointers() {
    /// V(x) = 2x in R², as a denoiser with the identity as posterior covariance.
    struct Twice;
    impl VectorField<f64> for Twice {
        fn dim(&self) -> usize {
            2
        }
        fn eval_into(
            &self,
            b: &Batch<'_, f64>,
            out: &mut ArrayRef2<f64>,
            _: &mut Scratch,
        ) -> Result<(), Error> {
            out.assign(&(2.0 * b.x()));
            Ok(())
        }
    }
    impl JacobianProducts<f64> for Twice {
        fn jvp_into(
            &self,
            _: &Batch<'_, f64>,
            v: &ArrayRef2<f64>,
            out: &mut ArrayRef2<f64>,
            _: &mut Scratch,
        ) -> Result<(), Error> {
            out.assign(&(2.0 * v));
            Ok(())
        }
    }
    impl Divergence<f64> for Twice {
        fn divergence_into(&self, _: &Batch<'_, f64>, out: &mut [f64], _: &mut Scratch) -> Result<(), Error> {
            out.fill(4.0);
            Ok(())
        }
    }
    impl PosteriorCovariance<f64> for Twice {
        fn mean_covariance_into(
            &self,
            batch: &Batch<'_, f64>,
            mean: &mut ArrayRef2<f64>,
            covariance: &mut ArrayRef2<f64>,
            s: &mut Scratch,
        ) -> Result<(), Error> {
            covariance.assign(&array![[1.0, 0.0, 0.0, 1.0]]);
            self.eval_into(batch, mean, s)
        }
        /// Its own, and no draw: what does not come here would be random.
        fn draw_into(
            &self,
            _: &Batch<'_, f64>,
            draw: PosteriorDraw,
            out: &mut ArrayRef2<f64>,
            _: &mut Scratch,
        ) -> Result<(), Error> {
            out.fill(draw.scale);
            Ok(())
        }
    }
    fn check<V>(field: V)
    where
        V: JacobianProducts<f64> + Divergence<f64> + PosteriorCovariance<f64>,
    {
        let (x, v) = (array![[1.0, -3.0]], array![[0.5, 2.0]]);
        let batch = Batch::new(&[7], Times::Same(Time::of(0.3)), &x);
        let (mut out, mut divergence, mut covariance) = (array![[0.0; 2]], [0.0], array![[0.0; 4]]);
        let scratch = &mut Scratch::new();
        field.jvp_into(&batch, &v, &mut out, scratch).unwrap();
        assert_eq!(out, array![[1.0, 4.0]]);
        field.divergence_into(&batch, &mut divergence, scratch).unwrap();
        assert_eq!(divergence, [4.0]);
        field.mean_covariance_into(&batch, &mut out, &mut covariance, scratch).unwrap();
        assert_eq!((&out, covariance), (&array![[2.0, -6.0]], array![[1.0, 0.0, 0.0, 1.0]]));
        let draw = PosteriorDraw { scale: 0.25, variance: 1.0, noise: Noise::new(1), step: 2 };
        field.draw_into(&batch, draw, &mut out, scratch).unwrap();
        assert_eq!(out, array![[0.25, 0.25]]);
    }
    check(&Twice);
    check(Box::new(&&Twice));
    check(Arc::new(Twice));
    fn dynamic(field: impl Divergence<f64>) {
        let x = array![[1.0, -3.0]];
        let mut divergence = [0.0];
        let batch = Batch::new(&[7], Times::Same(Time::of(0.3)), &x);
        field.divergence_into(&batch, &mut divergence, &mut Scratch::new()).unwrap();
        assert_eq!(divergence, [4.0]);
    }
    dynamic(&Twice as &dyn Divergence<f64>);
    dynamic(Box::new(Twice) as Box<dyn Divergence<f64>>);
    dynamic(Arc::new(Twice) as Arc<dyn Divergence<f64>>);
}
