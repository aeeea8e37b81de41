//! Models whose rows depend on the others of their block.

use ctmc::denoise::{
    Correction, Denoised, Denoiser, Finish, Guided, JumpRule, Method, Noising, Origin, ReverseSampler,
    first_hitting, uniformized,
};
use ctmc::{Refresh, TimeChange};
use numeric::ndarray::{Array2, Array3, ArrayRef3, Axis, s};
use numeric::{Batch, Batching, Control, Error, Noise, Scratch, Time, TimeGrid, Times};

use super::Enumerated;
use super::laws::pair;

/// Half the posterior of the row, and half the mean over its block.
struct Coupled {
    model: Enumerated,
    rows: usize,
}

impl Denoiser<f64> for Coupled {
    fn dim(&self) -> usize {
        2
    }

    fn states(&self) -> usize {
        3
    }

    fn log_values_into(
        &self,
        batch: &Batch<'_, u32>,
        out: &mut ArrayRef3<f64>,
        scratch: &mut Scratch,
    ) -> Result<(), Error> {
        assert_eq!((batch.len(), batch.rows()[0] % self.rows as u64), (self.rows, 0));
        self.model.log_values_into(batch, out, scratch)?;
        out.mapv_inplace(f64::exp);
        let mean = out.mean_axis(Axis(0)).expect("rows");
        out.outer_iter_mut().for_each(|mut row| row.zip_mut_with(&mean, |p, m| *p = (0.5 * (*p + m)).ln()));
        Ok(())
    }

    fn batching(&self) -> Batching {
        Batching { rows: self.rows, rowwise: false, serial: false }
    }
}

fn masks() -> Noising {
    Noising::refresh(Refresh::absorbing(3, 2, 1.0).unwrap(), TimeChange::log_linear(0.0).unwrap())
}

const METHODS: [Method; 4] = [
    Method::TauLeaping(JumpRule::Clamp),
    Method::Posterior,
    Method::Midpoint(JumpRule::Last),
    Method::Trapezoidal { theta: 0.4, rule: JumpRule::Cyclic },
];

/// All ways of drawing rows that take such a model.
fn run(way: usize, origin: Origin<'_>, rows: std::ops::Range<u64>) -> Denoised {
    let (noise, control) = (Noise::new(31), Control::default());
    let uniform = Coupled { model: pair(), rows: 5 };
    let done = match way {
        0 => {
            let law = [0.4, 0.1, 0.0, 0.15, 0.35, 0.0, 0.0, 0.0, 0.0];
            let model = Coupled { model: Enumerated::new(&masks(), 2, &law), rows: 5 };
            first_hitting(&masks(), &model, origin, 0.9, rows, noise, control)
        }
        1 => {
            let grid = TimeGrid::from_nodes(vec![1.0, 0.4, 0.2]).unwrap();
            uniformized(&uniform.model.noising, &uniform, &grid, None, origin, rows, noise, control)
        }
        _ => {
            let grid = TimeGrid::uniform(1.0, 0.1, 6).unwrap();
            let correction = Correction { steps: 1, scale: 0.2, below: 0.5, rule: JumpRule::Last };
            ReverseSampler::new(uniform.model.noising.clone(), &uniform, METHODS[way - 2], grid)
                .and_then(|sampler| sampler.with_correction(correction))
                .and_then(|sampler| sampler.with_finish(Finish::Draw).sample(origin, rows, noise, control))
        }
    };
    done.unwrap()
}

#[test]
fn rows_that_see_their_block_are_the_same_in_any_shard_and_on_any_threads() {
    for way in 0..6 {
        let all = run(way, Origin::Stationary, 0..40);
        for threads in [1, 3] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            assert_eq!(pool.install(|| run(way, Origin::Stationary, 0..40)), all, "{way}");
        }
        // Whole blocks; blocks that are cut at one end, at both, and within one.
        for rows in [0..5, 10..25, 5..13, 8..31, 21..23, 39..40] {
            let part = run(way, Origin::Stationary, rows.clone());
            assert_eq!(part.x, all.x.slice(s![rows.start as usize..rows.end as usize, ..]), "{way} {rows:?}");
        }
    }
}

#[test]
fn beyond_a_shard_the_nearest_states_are_shown() {
    // Clean values 0 and 1, and a mask or a third value; rows have held tokens at different places.
    let states = Array2::from_shape_fn((15, 2), |(i, d)| ((i + d) % 2) as u32);
    let held = Array2::from_shape_fn((15, 2), |(i, d)| (i + d) % 3 == 0);
    for way in 0..6 {
        for hold in [false, true] {
            let sample = |rows: &[usize], range| {
                let (x, held) = (states.select(Axis(0), rows), held.select(Axis(0), rows));
                let origin = if hold { Origin::Held { x: &x, held: &held } } else { Origin::States(&x) };
                run(way, origin, range)
            };
            let whole = sample(&(0..15).collect::<Vec<_>>(), 0..15);
            assert_eq!(sample(&[5, 6, 7, 8, 9], 5..10).x, whole.x.slice(s![5..10, ..]), "{way}");
            // Rows 7 to 11: as the run of both blocks that starts with copies of rows 7 and 11 at their ends.
            let cut = sample(&[7, 8, 9, 10, 11], 7..12);
            let padded = sample(&[7, 7, 7, 8, 9, 10, 11, 11, 11, 11], 5..15);
            assert_eq!(cut.x, padded.x.slice(s![2..7, ..]), "{way}");
            if hold {
                for (i, x) in cut.x.outer_iter().enumerate() {
                    (0..2).filter(|&d| held[[7 + i, d]]).for_each(|d| assert_eq!(x[d], states[[7 + i, d]]));
                }
            }
        }
    }
}

#[test]
fn guidance_needs_blocks_of_one_size() {
    let rows: Vec<u64> = (0..10).collect();
    let x = Array2::zeros((10, 2));
    let evaluate = |conditional: &dyn Denoiser<f64>, unconditional: &dyn Denoiser<f64>| {
        let guided = Guided { conditional, unconditional, weight: 1.5 };
        let size = guided.batching().rows.min(10);
        let (rows, x) = (&rows[..size], x.slice(s![..size, ..]).to_owned());
        let batch = Batch::new(rows, Times::Same(Time::of(0.5)), &x);
        let mut out = Array3::zeros((size, 2, 3));
        let done = guided.log_values_into(&batch, &mut out, &mut Scratch::new());
        done.map(|()| (guided.batching().rows, guided.batching().rowwise))
    };
    let (five, ten) = (Coupled { model: pair(), rows: 5 }, Coupled { model: pair(), rows: 10 });
    for (a, b) in [(&five, &ten), (&ten, &five)] {
        assert!(matches!(evaluate(a, b), Err(Error::Unsupported { method: "two models together", .. })));
    }
    assert_eq!(evaluate(&five, &five), Ok((5, false)));
    // A model that computes rows one by one takes the blocks of the other.
    assert_eq!(evaluate(&ten, &pair()), Ok((10, false)));
    assert_eq!(evaluate(&pair(), &five), Ok((5, false)));
    assert!(evaluate(&pair(), &pair()).unwrap().1);
}
