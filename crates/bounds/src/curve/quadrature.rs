//! Gauss–Legendre panels, and meshes of them adapted to a mixture of Gaussian densities.

/// Positive nodes and weights of the 16-point rule on [-1, 1].
const RULE: [(f64, f64); 8] = [
    (0.095_012_509_837_637_44, 0.189_450_610_455_068_5),
    (0.281_603_550_779_258_9, 0.182_603_415_044_923_6),
    (0.458_016_777_657_227_4, 0.169_156_519_395_002_54),
    (0.617_876_244_402_643_7, 0.149_595_988_816_576_73),
    (0.755_404_408_355_003, 0.124_628_971_255_533_87),
    (0.865_631_202_387_831_7, 0.095_158_511_682_492_78),
    (0.944_575_023_073_232_6, 0.062_253_523_938_647_89),
    (0.989_400_934_991_65, 0.027_152_459_411_754_095),
];

/// The integral of `f` over `[a, b]` by one 16-point panel: exact for polynomials of degree 31.
pub(crate) fn panel(a: f64, b: f64, f: &mut impl FnMut(f64) -> f64) -> f64 {
    let (middle, half) = (0.5 * (a + b), 0.5 * (b - a));
    RULE.iter().map(|&(x, w)| w * (f(middle - half * x) + f(middle + half * x))).sum::<f64>() * half
}

/// The integral of `f` over `[a, b]` by equal panels no longer than `longest`.
pub(crate) fn composite(a: f64, b: f64, longest: f64, mut f: impl FnMut(f64) -> f64) -> f64 {
    let panels = ((b - a) / longest).ceil().max(1.0);
    let edge = |k: f64| if k == panels { b } else { a + (b - a) * (k / panels) };
    (0..panels as u64).map(|k| panel(edge(k as f64), edge(k as f64 + 1.0), &mut f)).sum()
}

/// Edges of the panels for an integral against a mixture of Gaussians with the given (mean, standard
/// deviation).
///
/// Where the integrand is a smooth function of the components' densities, its nearest poles are where two of
/// them cancel: at a distance of about π/(2|x|) standard deviations from a point x standard deviations out,
/// where the density has fallen by exp(-x²/2). Panels of about half the least standard deviation of the
/// components within 10 of theirs leave, with 16 points, less than 1e-15.
pub(super) fn edges(components: &[(f64, f64)]) -> Vec<f64> {
    const REACH: i32 = 20;
    let mut candidates: Vec<(f64, f64)> = components
        .iter()
        .flat_map(|&(mean, sd)| (-REACH..=REACH).map(move |k| (mean + 0.5 * f64::from(k) * sd, 0.5 * sd)))
        .collect();
    candidates.sort_by(|a, b| a.0.total_cmp(&b.0));
    // A candidate is passed over while the panel up to the next one stays within 1.1 of every width on its
    // way.
    let mut edges = vec![candidates[0].0];
    let (mut last, mut width) = candidates[0];
    for pair in candidates.windows(2) {
        let ((x, here), (next, after)) = (pair[0], pair[1]);
        width = width.min(here);
        if x > last && next - last > 1.1 * width.min(after) {
            edges.push(x);
            (last, width) = (x, here);
        }
    }
    edges.push(candidates[candidates.len() - 1].0);
    edges
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panel_is_exact_to_degree_31() {
        for n in 0..=31 {
            let integral = panel(0.0, 1.0, &mut |x: f64| x.powi(n));
            assert!((integral * f64::from(n + 1) - 1.0).abs() < 4e-15, "{n}: {integral}");
        }
        assert!((composite(0.0, 3.0, 0.25, f64::exp) / 3f64.exp_m1() - 1.0).abs() < 2e-15);
    }

    #[test]
    fn panels_resolve_every_component() {
        let components = [(0.0, 1.0), (0.3, 1e-3), (0.3 + 1e-4, 1e-3), (40.0, 0.1)];
        let edges = edges(&components);
        assert!(edges.windows(2).all(|pair| pair[0] < pair[1]));
        for (mean, sd) in components {
            for pair in edges.windows(2).filter(|p| p[0] >= mean - 9.0 * sd && p[1] <= mean + 9.0 * sd) {
                assert!(pair[1] - pair[0] <= 0.56 * sd);
            }
            let mass: f64 = edges
                .windows(2)
                .map(|pair| panel(pair[0], pair[1], &mut |x| (-0.5 * ((x - mean) / sd).powi(2)).exp()))
                .sum();
            assert!((mass / (sd * (2.0 * std::f64::consts::PI).sqrt()) - 1.0).abs() < 1e-13);
        }
        assert!(edges.len() < 4 * 41, "{}", edges.len());
    }
}
