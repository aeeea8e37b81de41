//! A table at one place or at many.

use numeric::{exp_and_exp_m1, ln_1p_in_place, vectorize};

use super::cell::{Cell, GAUSS, mean_inverse};

/// The curve at one noise per signal.
pub(super) struct Node<'a> {
    pub(super) v: f64,
    pub(super) eta: f64,
    pub(super) cell: &'a Cell,
    /// Part of the way through the cell.
    pub(super) t: f64,
    /// 1/mmse.
    pub(super) inverse: f64,
    pub(super) mmse: f64,
}

impl Node<'_> {
    /// $`e^{-2τ}`$.
    pub(super) fn kept(&self) -> f64 {
        (1.0 + self.v).recip()
    }

    pub(super) fn information(&self) -> f64 {
        self.cell.information + self.cell.gain(0.0, self.t)
    }
}

/// Mutual information at each of the nodes, side by side.
pub(super) fn informations(nodes: &[Node<'_>]) -> Vec<f64> {
    let n = nodes.len();
    let (mut t, mut half, mut growth) = (vec![0.0; n], vec![0.0; n], vec![0.0; n]);
    let mut polynomials = vec![[0.0; 4]; n];
    for (k, node) in nodes.iter().enumerate() {
        (t[k], half[k], polynomials[k]) = (node.t, 0.5 * node.cell.width * node.t, node.cell.inverse);
        growth[k] = node.cell.rise(0.0, node.t) / node.cell.inverse[0];
    }
    let mut logs = growth.clone();
    ln_1p_in_place(&mut logs);
    let mut gains = vec![0.0; n];
    vectorize(
        #[inline(always)]
        || {
            let nodes = t.iter().zip(&half).zip(&polynomials).zip(&logs);
            for (gain, (((&t, half), &[start, b, c, d]), &log)) in gains.iter_mut().zip(nodes) {
                let rise = |s: f64| s * (b + s * (c + s * d));
                let rises = GAUSS.map(|(share, _)| rise(share * t));
                *gain = half * mean_inverse(start, rise(t), log, rises);
            }
        },
    );
    let of = |((node, gain), growth): ((&Node<'_>, f64), f64)| {
        let is_small = growth.abs() <= 0.25 && node.t != 0.0;
        node.cell.information + if is_small { gain } else { node.cell.gain(0.0, node.t) }
    };
    nodes.iter().zip(gains).zip(growth).map(of).collect()
}

/// $`v = e^{2τ} - 1`$: the same bits for one clock as for many, so that a node of the table is found where it is.
pub(super) fn levels(clocks: &[f64], v: &mut [f64]) {
    let doubled: Vec<f64> = clocks.iter().map(|tau| 2.0 * tau).collect();
    exp_and_exp_m1(&doubled, &mut vec![0.0; clocks.len()], v);
}
