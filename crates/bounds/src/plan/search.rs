//! The cheapest chains of steps over a mesh.

use rayon::prelude::*;

/// The cheapest chains to the last of `nodes` nodes, for every number of steps up to a limit.
pub(super) struct Chains {
    nodes: usize,
    /// `next[k - 1][i]`: where the cheapest chain of k steps from node i goes first.
    next: Vec<Vec<u32>>,
    /// The least cost of k + 1 steps, and the node where the cheapest starts.
    pub(super) best: Vec<(f64, usize)>,
}

impl Chains {
    /// By dynamic programming from the end, with `cost(i, j)` of a step and `start(i)` of starting at node i. Stops after
    /// the first number of steps at which `enough(least cost)` holds.
    ///
    /// If the costs are Monge the first step of the cheapest chain moves towards its start with every step more and
    /// towards the end with its start, so that all searches together take O((nodes + steps) · nodes) costs
    /// (F. Yao 1980); otherwise they take O(nodes² · steps).
    pub(super) fn new(
        nodes: usize,
        most_steps: usize,
        monge: bool,
        cost: impl Fn(usize, usize) -> f64 + Sync,
        start: impl Fn(usize) -> f64,
        enough: impl Fn(f64) -> bool,
    ) -> Chains {
        let end = nodes - 1;
        let mut chains = Chains { nodes, next: Vec::new(), best: Vec::new() };
        // Costs of k steps from each node from which there are as many, and where they go first.
        let mut least: Vec<f64> = (0..end).map(|i| cost(i, end)).collect();
        let mut next = vec![end as u32; end];
        loop {
            let from = |i: usize| least[i] + start(i);
            let best = (0..least.len()).map(|i| (from(i), i)).min_by(|a, b| a.0.total_cmp(&b.0));
            let best = best.expect("a chain of fewer steps than nodes");
            chains.best.push(best);
            chains.next.push(next.clone());
            let steps = chains.best.len();
            if steps == most_steps.min(end) || enough(best.0) {
                return chains;
            }
            let cheapest = |i: usize, range: std::ops::RangeInclusive<usize>| {
                let mut found = (f64::INFINITY, i as u32 + 1);
                for j in range {
                    let total = cost(i, j) + least[j];
                    if total < found.0 {
                        found = (total, j as u32);
                    }
                }
                found
            };
            // A node must leave `steps` nodes behind it for the steps after its first.
            let starts = least.len() - 1;
            let row: Vec<(f64, u32)> = if monge {
                let mut low = 1;
                (0..starts)
                    .map(|i| {
                        let found = cheapest(i, low.max(i + 1)..=(next[i] as usize).min(starts));
                        low = found.1 as usize;
                        found
                    })
                    .collect()
            } else {
                (0..starts).into_par_iter().map(|i| cheapest(i, i + 1..=starts)).collect()
            };
            (least, next) = row.into_iter().unzip();
        }
    }

    /// The nodes of the cheapest chain of `steps` steps.
    pub(super) fn chain(&self, steps: usize) -> Vec<usize> {
        let mut nodes = vec![self.best[steps - 1].1];
        for k in (0..steps).rev() {
            nodes.push(self.next[k][nodes[nodes.len() - 1]] as usize);
        }
        debug_assert_eq!(nodes[nodes.len() - 1], self.nodes - 1);
        nodes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The least cost of `steps` steps from node i, by trying all.
    fn enumerated(i: usize, end: usize, steps: usize, cost: &dyn Fn(usize, usize) -> f64) -> f64 {
        if steps == 1 {
            return cost(i, end);
        }
        (i + 1..=end + 1 - steps)
            .map(|j| cost(i, j) + enumerated(j, end, steps - 1, cost))
            .fold(f64::INFINITY, f64::min)
    }

    #[test]
    fn chains_are_the_cheapest() {
        // Left Riemann errors of decreasing functions, which are Monge; and costs without any order.
        let decreasing =
            |x: f64| (-0.6 * x).exp() + if x < 3.0 { 1.0 } else { 0.0 } + (4.0 - x).max(0.0).powi(2);
        let monge = |i: usize, j: usize| {
            let inside: f64 = (i..j).map(|k| decreasing(k as f64)).sum();
            (j - i) as f64 * decreasing(i as f64) - inside
        };
        let wild = |i: usize, j: usize| ((i * 7919 + j * 104_729) % 101) as f64;
        let (nodes, end) = (10, 9);
        let init = |i: usize| 0.3 * i as f64;
        for (is_monge, cost) in [(true, &monge as &(dyn Fn(usize, usize) -> f64 + Sync)), (false, &wild)] {
            let fixed = Chains::new(
                nodes,
                99,
                is_monge,
                cost,
                |i| if i == 0 { 0.0 } else { f64::INFINITY },
                |_| false,
            );
            let free = Chains::new(nodes, 99, is_monge, cost, init, |_| false);
            assert_eq!(fixed.best.len(), end);
            for steps in 1..=end {
                let all = enumerated(0, end, steps, &cost);
                assert!((fixed.best[steps - 1].0 - all).abs() < 1e-12, "{steps}");
                let chain = fixed.chain(steps);
                assert_eq!((chain.len(), chain[0], chain[steps]), (steps + 1, 0, end));
                assert!(chain.windows(2).all(|pair| pair[0] < pair[1]));
                let walked: f64 = chain.windows(2).map(|pair| cost(pair[0], pair[1])).sum();
                assert!((walked - all).abs() < 1e-12);
                let any = (0..=end - steps)
                    .map(|i| init(i) + enumerated(i, end, steps, &cost))
                    .fold(f64::INFINITY, f64::min);
                assert!((free.best[steps - 1].0 - any).abs() < 1e-12, "{steps}");
            }
        }
        let few = Chains::new(nodes, 99, true, monge, |_| 0.0, |cost| cost < 2.0);
        assert!(
            few.best[few.best.len() - 1].0 < 2.0 && few.best[..few.best.len() - 1].iter().all(|b| b.0 >= 2.0)
        );
    }
}
