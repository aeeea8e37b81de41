//! Samplers without discretisation: first hitting and uniformization.

use ctmc::denoise::{Noising, Origin, Output, denoiser_from_fn, first_hitting, uniformized};
use ctmc::{Refresh, TimeChange};
use numeric::ndarray::{Array2, ArrayRef3, s};
use numeric::{Batch, Control, Error, Noise, TimeGrid};
use verify::{Family, chi_squared, kolmogorov_smirnov, seed};

use super::laws::pair;
use super::{Enumerated, counts, cyclic_noising, noised_rows, rates_of};

fn masks() -> Noising {
    Noising::refresh(Refresh::absorbing(3, 2, 1.0).unwrap(), TimeChange::log_linear(0.0).unwrap())
}

/// A network of two tokens, given by tables: the first token alone, and each given the other.
fn tables(batch: &Batch<'_, u32>, out: &mut ArrayRef3<f64>) -> Result<(), Error> {
    let (first, second) = ([[0.7, 0.3], [0.2, 0.8]], [[0.75, 0.25], [0.35, 0.65]]);
    for (x, mut out) in batch.x().rows().into_iter().zip(out.outer_iter_mut()) {
        let p: [[f64; 2]; 2] = [
            if x[1] == 2 { [0.55, 0.45] } else { first[x[1] as usize] },
            if x[0] == 2 { [0.5, 0.5] } else { second[x[0] as usize] },
        ];
        for d in 0..2 {
            let known = (x[d] != 2).then_some(x[d]);
            for v in 0..2 {
                let p = known.map_or(p[d][v], |known| f64::from(u8::from(known == v as u32)));
                out[[d, v]] = p.ln();
            }
            out[[d, 2]] = f64::NEG_INFINITY;
        }
    }
    Ok(())
}

#[test]
fn first_hitting_averages_over_orders() {
    // False alarms: one run in ten thousand for the whole test.
    let mut family = Family::new(1e-4).unwrap();
    let model = denoiser_from_fn(2, 3, tables);
    let (rows, noise) = (40_000, Noise::new(seed(300)));
    // A network whose conditionals are of no joint law: the average over both orders, computed elsewhere.
    let law = [0.38125, 0.11875, 0.15375, 0.34625];
    for (name, from) in [("from the end", 1.0), ("from half", 0.5)] {
        let run =
            first_hitting(&masks(), &model, Origin::Stationary, from, 0..rows, noise, Control::default());
        let run = run.unwrap();
        assert_eq!((run.counts.model_rows, run.counts.jumps), (2 * rows, 2 * rows));
        let found = counts(&run.x, 3);
        family.push(name, chi_squared(&[found[0], found[1], found[3], found[4]], &law).unwrap().p_value);
    }
    family.assert();
    // Rows depend on their number only.
    let all =
        first_hitting(&masks(), &model, Origin::Stationary, 1.0, 0..50, noise, Control::default()).unwrap();
    let part =
        first_hitting(&masks(), &model, Origin::Stationary, 1.0, 9..31, noise, Control::default()).unwrap();
    assert_eq!(part.x, all.x.slice(s![9..31, ..]));
}

#[test]
fn tokens_are_unmasked_at_the_times_of_order_statistics() {
    // With a linear schedule the share of masked tokens is the time: the k-th of D hits is the k-th largest of D uniforms.
    let times = std::sync::Mutex::new(Vec::new());
    let model = denoiser_from_fn(4, 3, |batch, out: &mut ArrayRef3<f32>| {
        let mut seen = times.lock().unwrap();
        for i in 0..batch.len() {
            let left = batch.x().row(i).iter().filter(|&&x| x == 2).count();
            seen.push((left, batch.times().get(i).t));
        }
        out.fill(0.0);
        out.slice_mut(s![.., .., 2]).fill(f32::NEG_INFINITY);
        Ok(())
    });
    let noise = Noise::new(seed(301));
    first_hitting(&masks(), &model, Origin::Stationary, 1.0, 0..4000, noise, Control::default()).unwrap();
    let mut family = Family::new(1e-4).unwrap();
    let seen = times.lock().unwrap();
    for left in [4, 1] {
        let at: Vec<f64> = seen.iter().filter(|&&(l, _)| l == left).map(|&(_, t)| t).collect();
        assert_eq!(at.len(), 4000);
        // Largest and smallest of four.
        let cdf = |t: f64| if left == 4 { t.powi(4) } else { 1.0 - (1.0 - t).powi(4) };
        family.push(format!("{left} left"), kolmogorov_smirnov(&at, cdf).unwrap().p_value);
    }
    family.assert();
}

#[test]
fn first_hitting_keeps_what_is_known_and_refuses_what_it_cannot_do() {
    let model = denoiser_from_fn(2, 3, tables);
    let noise = Noise::new(seed(302));
    let (x, mut held) = (Array2::from_elem((3000, 2), 1), Array2::from_elem((3000, 2), false));
    held.column_mut(0).fill(true);
    let origin = Origin::Held { x: &x, held: &held };
    let run = first_hitting(&masks(), &model, origin, 1.0, 0..3000, noise, Control::default()).unwrap();
    assert_eq!(run.counts.model_rows, 3000);
    let zeros = run.x.column(1).iter().filter(|&&x| x == 0).count() as f64;
    // Mean 1050, standard deviation 26: false alarms one in ten thousand.
    assert!(run.x.column(0).iter().all(|&x| x == 1) && (zeros - 1050.0).abs() < 102.0, "{zeros}");
    let hit = |noising: &Noising, from: f64| {
        first_hitting(noising, &model, Origin::Stationary, from, 0..3, noise, Control::default())
    };
    let uniform = Noising::refresh(Refresh::uniform(3, 1.0).unwrap(), TimeChange::log_linear(0.0).unwrap());
    assert!(matches!(hit(&uniform, 1.0), Err(Error::Unsupported { .. })));
    for from in [0.0, 1.5, f64::NAN] {
        assert!(hit(&masks(), from).is_err(), "{from}");
    }
    let all_mask = denoiser_from_fn(2, 3, |_, out: &mut ArrayRef3<f64>| {
        out.fill(f64::NEG_INFINITY);
        out.slice_mut(s![.., .., 2]).fill(0.0);
        Ok(())
    });
    let run = first_hitting(&masks(), &all_mask, Origin::Stationary, 1.0, 4..6, noise, Control::default());
    assert!(matches!(run, Err(Error::Model { row: 4, .. })), "{run:?}");
}

#[test]
fn uniformization_has_the_exact_law() {
    // False alarms: one run in ten thousand for the whole test.
    let mut family = Family::new(1e-4).unwrap();
    // Each candidate of a general chain has a table of its own.
    let rows = 2_000;
    let grid = TimeGrid::from_nodes(vec![1.0, 0.6, 0.3, 0.1]).unwrap();
    // A general chain, with bounds from its exact rates on a fine grid; posteriors and ratios.
    for (n, output) in [(310, Output::Posterior), (311, Output::Ratios)] {
        let mut model = Enumerated::new(&cyclic_noising(), 1, &[0.6, 0.3, 0.1]);
        model.output = output;
        let sup = (0..=200)
            .map(|k| 0.1 + 0.0045 * f64::from(k))
            .flat_map(|t| [0, 1, 2].map(|x| rates_of(&model, &[x], t)[0].iter().sum::<f64>()));
        let bound = 1.01 * sup.fold(0.0, f64::max);
        let noise = Noise::new(seed(n));
        let start = noised_rows(&model, 1.0, rows, noise.fork("start"));
        let run = |bound: f64, origin, rows| {
            uniformized::<f64>(
                &model.noising,
                &model,
                &grid,
                Some(&[bound; 3]),
                origin,
                rows,
                noise,
                Control::default(),
            )
        };
        let x = run(bound, Origin::States(&start), 0..rows).unwrap();
        family
            .push(format!("{output:?}"), chi_squared(&counts(&x.x, 3), &model.law_at(0.1)).unwrap().p_value);
        // The number of candidates is a Poisson number of the bounds.
        let mean = 0.9 * bound * rows as f64;
        assert!((x.counts.model_rows as f64 - mean).abs() < 4.5 * mean.sqrt());
        // Half the bound is too little, and said to be.
        assert!(matches!(run(0.5 * bound, Origin::States(&start), 0..rows), Err(Error::Stalled { .. })));
        let all = run(bound, Origin::Stationary, 0..40).unwrap();
        assert_eq!(run(bound, Origin::Stationary, 7..23).unwrap().x, all.x.slice(s![7..23, ..]));
    }
    // Two tokens of a refreshing chain, with bounds that are known; and the masks.
    let rows = 10_000;
    let model = pair();
    let noise = Noise::new(seed(312));
    let start = noised_rows(&model, 1.0, rows, noise.fork("start"));
    let run = uniformized::<f32>(
        &model.noising,
        &model,
        &grid,
        None,
        Origin::States(&start),
        0..rows,
        noise,
        Control::default(),
    );
    let law = model.law_at(0.1);
    family.push("pair", chi_squared(&counts(&run.unwrap().x, 3), &law).unwrap().p_value);
    let p = [0.4, 0.1, 0.0, 0.15, 0.35, 0.0, 0.0, 0.0, 0.0];
    let model = Enumerated::new(&masks(), 2, &p);
    let grid = TimeGrid::from_nodes(vec![0.99, 0.5, 0.1, 0.01]).unwrap();
    let start = noised_rows(&model, 0.99, rows, noise.fork("masks"));
    let run = uniformized::<f64>(
        &model.noising,
        &model,
        &grid,
        None,
        Origin::States(&start),
        0..rows,
        noise,
        Control::default(),
    );
    family.push("masks", chi_squared(&counts(&run.unwrap().x, 3), &model.law_at(0.01)).unwrap().p_value);
    family.assert();
}

#[test]
fn uniformization_needs_bounds_and_times_after_the_data() {
    let model = Enumerated::new(&cyclic_noising(), 1, &[0.6, 0.3, 0.1]);
    let run = |times: Vec<f64>, bounds: Option<&[f64]>| {
        let grid = TimeGrid::from_nodes(times).unwrap();
        let noise = Noise::new(0);
        uniformized::<f64>(
            &model.noising,
            &model,
            &grid,
            bounds,
            Origin::Stationary,
            0..2,
            noise,
            Control::default(),
        )
    };
    assert!(matches!(run(vec![1.0, 0.5], None), Err(Error::Unsupported { .. })));
    assert!(run(vec![1.0, 0.0], Some(&[9.0])).is_err() && run(vec![0.5, 1.0], Some(&[9.0])).is_err());
    for bound in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert!(run(vec![1.0, 0.5], Some(&[bound])).is_err());
    }
    assert!(run(vec![1.0, 0.5], Some(&[9.0, 9.0])).is_err());
}
