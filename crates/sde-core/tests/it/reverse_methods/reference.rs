//! Every method once more, for one coordinate of `u = x/α` at given ratios `r = σ/α`, as its paper or the reference
//! implementation of its authors writes it, with integrals by Simpson's rule: nothing is shared with the library.

/// A run: the nodes, the start, the normals of step k, of its middle and of corrector j in it, and the denoiser `m(u, r)`.
pub(crate) struct Case<'a> {
    pub(crate) r: &'a [f64],
    pub(crate) start: f64,
    pub(crate) z: &'a dyn Fn(usize) -> f64,
    pub(crate) middle_z: &'a dyn Fn(usize) -> f64,
    pub(crate) corrector_z: &'a dyn Fn(usize, usize) -> f64,
    pub(crate) m: &'a dyn Fn(f64, f64) -> f64,
}

/// ∫_a^b f by Simpson's rule on 2n intervals.
fn integral(a: f64, b: f64, n: i32, f: impl Fn(f64) -> f64) -> f64 {
    let n = 2 * n;
    let h = (b - a) / f64::from(n);
    let weight = |i: i32| if i == 0 || i == n { 1.0 } else { f64::from(2 + 2 * (i % 2)) };
    (0..=n).map(|i| weight(i) * f(a + f64::from(i) * h)).sum::<f64>() * h / 3.0
}

/// Enough of them for what varies on a scale of 1.
fn intervals(length: f64) -> i32 {
    (1000.0 * length.abs()).ceil() as i32
}

/// The polynomial through (nodes, values), at s.
fn lagrange(nodes: &[f64], values: &[f64], s: f64) -> f64 {
    let basis = |j: usize| -> f64 {
        let others = nodes.iter().enumerate().filter(|&(i, _)| i != j);
        others.map(|(_, c)| (s - c) / (nodes[j] - c)).product()
    };
    (0..nodes.len()).map(|j| values[j] * basis(j)).sum()
}

/// Solves A x = b by elimination.
#[expect(clippy::needless_range_loop, reason = "as elimination is written")]
fn solve(mut a: Vec<Vec<f64>>, mut b: Vec<f64>) -> Vec<f64> {
    let n = b.len();
    for k in 0..n {
        let pivot = (k..n).max_by(|&i, &j| a[i][k].abs().total_cmp(&a[j][k].abs())).expect("rows");
        a.swap(k, pivot);
        b.swap(k, pivot);
        for i in k + 1..n {
            let factor = a[i][k] / a[k][k];
            for j in k..n {
                a[i][j] -= factor * a[k][j];
            }
            b[i] -= factor * b[k];
        }
    }
    for k in (0..n).rev() {
        let known: f64 = (k + 1..n).map(|j| a[k][j] * b[j]).sum();
        b[k] = (b[k] - known) / a[k][k];
    }
    b
}

/// From the mean and variance of `du = (1 + λ²)(m − u) ds + λ √2 r dW` for a constant m, by Runge–Kutta.
fn sde_step(u: f64, m: f64, (r, r_to): (f64, f64), lambda: f64, z: f64) -> f64 {
    if r_to == 0.0 {
        return m;
    }
    let l2 = lambda * lambda;
    let h = (r / r_to).ln();
    // The variance forgets at the rate 2 (1 + λ²), so that what varies does so faster.
    let n = intervals((1.0 + l2) * h);
    let dt = h / f64::from(n);
    let slope = |s: f64, (mean, variance): (f64, f64)| {
        let r2 = r * r * (-2.0 * s).exp();
        ((1.0 + l2) * (m - mean), -2.0 * (1.0 + l2) * variance + 2.0 * l2 * r2)
    };
    let mut y = (u, 0.0);
    for i in 0..n {
        let s = f64::from(i) * dt;
        let plus = |k: (f64, f64), c: f64| (y.0 + c * dt * k.0, y.1 + c * dt * k.1);
        let k1 = slope(s, y);
        let k2 = slope(s + 0.5 * dt, plus(k1, 0.5));
        let k3 = slope(s + 0.5 * dt, plus(k2, 0.5));
        let k4 = slope(s + dt, plus(k3, 1.0));
        y.0 += dt / 6.0 * (k1.0 + 2.0 * k2.0 + 2.0 * k3.0 + k4.0);
        y.1 += dt / 6.0 * (k1.1 + 2.0 * k2.1 + 2.0 * k3.1 + k4.1);
    }
    y.0 + y.1.sqrt() * z
}

pub(crate) fn reverse_sde(case: &Case<'_>, lambda: f64) -> f64 {
    let step = |u: f64, k: usize| {
        let r = (case.r[k], case.r[k + 1]);
        sde_step(u, (case.m)(u, r.0), r, lambda, (case.z)(k))
    };
    (0..case.r.len() - 1).fold(case.start, step)
}

/// (σ_down, σ_up) of an ancestral step.
fn ancestral(r: f64, r_to: f64, eta: f64) -> (f64, f64) {
    let up = r_to.min(eta * (r_to * r_to * (r * r - r_to * r_to) / (r * r)).sqrt());
    ((r_to * r_to - up * up).sqrt(), up)
}

/// As the ancestral Euler step, of which the doc of `Ddim` says that it is the same.
pub(crate) fn euler_ancestral(case: &Case<'_>, eta: f64) -> f64 {
    let step = |u: f64, k: usize| {
        let (r, r_to) = (case.r[k], case.r[k + 1]);
        let (down, up) = ancestral(r, r_to, eta);
        u + (u - (case.m)(u, r)) / r * (down - r) + up * (case.z)(k)
    };
    (0..case.r.len() - 1).fold(case.start, step)
}

/// DDIM by equation 12 for a variance-preserving process, `α = 1/√(1 + r²)`.
pub(crate) fn ddim(case: &Case<'_>, eta: f64) -> f64 {
    let step = |u: f64, k: usize| {
        let bar = |r: f64| 1.0 / (1.0 + r * r);
        let (a, a_to) = (bar(case.r[k]), bar(case.r[k + 1]));
        let x0 = (case.m)(u, case.r[k]);
        let epsilon = (u * a.sqrt() - a.sqrt() * x0) / (1.0 - a).sqrt();
        let sigma = eta * ((1.0 - a_to) / (1.0 - a)).sqrt() * (1.0 - a / a_to).sqrt();
        let direction = (1.0 - a_to - sigma * sigma).max(0.0).sqrt();
        (a_to.sqrt() * x0 + direction * epsilon + sigma * (case.z)(k)) / a_to.sqrt()
    };
    (0..case.r.len() - 1).fold(case.start, step)
}

pub(crate) fn edm(case: &Case<'_>, churn: f64, range: (f64, f64), noise: f64) -> f64 {
    let steps = case.r.len() - 1;
    let step = |u: f64, k: usize| {
        let (t, t_to) = (case.r[k], case.r[k + 1]);
        let churned = range.0 <= t && t <= range.1;
        let gamma = if churned { (churn / steps as f64).min(2.0_f64.sqrt() - 1.0) } else { 0.0 };
        let hat = t + gamma * t;
        let u = if gamma > 0.0 { u + (hat * hat - t * t).sqrt() * noise * (case.z)(k) } else { u };
        let d = (u - (case.m)(u, hat)) / hat;
        let next = u + (t_to - hat) * d;
        if t_to == 0.0 {
            return next;
        }
        let d_to = (next - (case.m)(next, t_to)) / t_to;
        u + (t_to - hat) * (0.5 * d + 0.5 * d_to)
    };
    (0..steps).fold(case.start, step)
}

pub(crate) fn dpm_2s(case: &Case<'_>, eta: f64) -> f64 {
    let step = |u: f64, k: usize| {
        let (r, r_to) = (case.r[k], case.r[k + 1]);
        let (down, up) = ancestral(r, r_to, eta);
        let m = (case.m)(u, r);
        if down == 0.0 {
            return m + up * (case.z)(k);
        }
        let (t, t_to) = (-r.ln(), -down.ln());
        let h = t_to - t;
        let s = (-(t + 0.5 * h)).exp();
        let middle = (s / r) * u - (-0.5 * h).exp_m1() * m;
        (down / r) * u - (-h).exp_m1() * (case.m)(middle, s) + up * (case.z)(k)
    };
    (0..case.r.len() - 1).fold(case.start, step)
}

/// With the noise by itself: up to the middle, and from there to the end.
pub(crate) fn sde_dpm_2s(case: &Case<'_>, lambda: f64) -> f64 {
    let step = |u: f64, k: usize| {
        let (r, r_to) = (case.r[k], case.r[k + 1]);
        let m = (case.m)(u, r);
        if r_to == 0.0 {
            return m;
        }
        let half = (r * r_to).sqrt();
        let noise = sde_step(0.0, 0.0, (r, half), lambda, (case.middle_z)(k));
        let middle = sde_step(u, m, (r, half), lambda, 0.0) + noise;
        let end = sde_step(u, (case.m)(middle, half), (r, r_to), lambda, 0.0);
        end + sde_step(noise, 0.0, (half, r_to), lambda, (case.z)(k))
    };
    (0..case.r.len() - 1).fold(case.start, step)
}

pub(crate) fn dpm_solver(case: &Case<'_>, order: usize) -> f64 {
    let step = |u: f64, k: usize| {
        let (r, r_to) = (case.r[k], case.r[k + 1]);
        let epsilon = |u: f64, r: f64| (u - (case.m)(u, r)) / r;
        let e = epsilon(u, r);
        if order == 1 || r_to == 0.0 {
            return u + (r_to - r) * e;
        }
        let h = (r / r_to).ln();
        let at = |part: f64| (-(-r.ln() + part * h)).exp();
        if order == 2 {
            let s = at(0.5);
            return u - r_to * h.exp_m1() * epsilon(u - s * (0.5 * h).exp_m1() * e, s);
        }
        let (r1, r2) = (1.0 / 3.0, 2.0 / 3.0);
        let (s1, s2) = (at(r1), at(r2));
        let d1 = epsilon(u - s1 * (r1 * h).exp_m1() * e, s1) - e;
        let second =
            u - s2 * (r2 * h).exp_m1() * e - s2 * r2 / r1 * ((r2 * h).exp_m1() / (r2 * h) - 1.0) * d1;
        let d2 = epsilon(second, s2) - e;
        u - r_to * h.exp_m1() * e - r_to / r2 * (h.exp_m1() / h - 1.0) * d2
    };
    (0..case.r.len() - 1).fold(case.start, step)
}

/// 2M, midpoint; if `forgetful`, as if all steps had the same length.
pub(crate) fn dpm_2m(case: &Case<'_>, lambda: f64, forgetful: bool) -> f64 {
    let (mut u, mut old) = (case.start, None);
    for (k, pair) in case.r.windows(2).enumerate() {
        let (r, r_to) = (pair[0], pair[1]);
        let m = (case.m)(u, r);
        if r_to == 0.0 {
            return m;
        }
        let h = r.ln() - r_to.ln();
        let eta_h = lambda * lambda * h;
        let mut next = r_to / r * (-eta_h).exp() * u - (-h - eta_h).exp_m1() * m;
        if let Some((m_old, h_last)) = old {
            let ratio: f64 = if forgetful { 1.0 } else { h_last / h };
            next += 0.5 * -(-h - eta_h).exp_m1() / ratio * (m - m_old);
        }
        u = next + r_to * (-(-2.0 * eta_h).exp_m1()).sqrt() * (case.z)(k);
        old = Some((m, h));
    }
    u
}

/// 3M of DPM-Solver++ as published, whose second difference has half its weight.
pub(crate) fn dpm_3m_as_published(case: &Case<'_>) -> f64 {
    let mut u = case.start;
    let mut past: Vec<(f64, f64)> = vec![];
    for pair in case.r.windows(2) {
        let m = (case.m)(u, pair[0]);
        let h = (pair[0] / pair[1]).ln();
        let phi_2 = (-h).exp_m1() / h + 1.0;
        let phi_3 = phi_2 / h - 0.5;
        u = (-h).exp() * u - (-h).exp_m1() * m;
        if let [.., (m2, h2), (m1, h1)] = past[..] {
            let (r0, r1) = (h1 / h, h2 / h);
            let (d10, d11) = ((m - m1) / r0, (m1 - m2) / r1);
            u += phi_2 * (d10 + (d10 - d11) * r0 / (r0 + r1)) - phi_3 * (d10 - d11) / (r0 + r1);
        } else if let [(m1, h1)] = past[..] {
            u += phi_2 * (m - m1) * h / h1;
        }
        past.push((m, h));
    }
    u
}

pub(crate) fn exponential_adams(case: &Case<'_>, order: usize, lambda: f64) -> f64 {
    let (mut u, mut nodes, mut values) = (case.start, vec![], vec![]);
    for (k, pair) in case.r.windows(2).enumerate() {
        let (r, r_to) = (pair[0], pair[1]);
        nodes.insert(0, -r.ln());
        values.insert(0, (case.m)(u, r));
        nodes.truncate(order);
        values.truncate(order);
        if r_to == 0.0 {
            return values[0];
        }
        let speed = 1.0 + lambda * lambda;
        let (s, s_to) = (-r.ln(), -r_to.ln());
        let extrapolated = integral(s, s_to, intervals(s_to - s), |x| {
            speed * (-speed * (s_to - x)).exp() * lagrange(&nodes, &values, x)
        });
        let spread = (-(-2.0 * lambda * lambda * (s_to - s)).exp_m1()).sqrt();
        u = (-speed * (s_to - s)).exp() * u + extrapolated + r_to * spread * (case.z)(k);
    }
    u
}

/// `variable` of the ratio; `ends` says that it is infinite at r = 0.
pub(crate) fn deis(case: &Case<'_>, order: usize, variable: &dyn Fn(f64) -> f64, ends: bool) -> f64 {
    let (mut u, mut nodes, mut values) = (case.start, vec![], vec![]);
    for pair in case.r.windows(2) {
        let (r, r_to) = (pair[0], pair[1]);
        let m = (case.m)(u, r);
        if r_to == 0.0 && ends {
            return m;
        }
        nodes.insert(0, variable(r));
        values.insert(0, (u - m) / r);
        nodes.truncate(order);
        values.truncate(order);
        u += integral(r, r_to, 1000, |r| lagrange(&nodes, &values, variable(r)));
    }
    u
}

/// By the linear systems of the paper, with `hh = −h`, in the order of evaluations of its authors.
pub(crate) fn unipc(case: &Case<'_>, order: usize, bh1: bool) -> f64 {
    let mut u = case.start;
    let mut past = vec![(-case.r[0].ln(), (case.m)(u, case.r[0]))];
    for pair in case.r.windows(2) {
        let (r, r_to) = (pair[0], pair[1]);
        let (s, m) = past[0];
        if r_to == 0.0 {
            return m;
        }
        let p = order.min(past.len());
        let (s_to, h) = (-r_to.ln(), (r / r_to).ln());
        let hh = -h;
        let b_h = if bh1 { hh } else { hh.exp_m1() };
        let mut rks: Vec<f64> = past[1..p].iter().map(|(s_old, _)| (s_old - s) / h).collect();
        let mut differences: Vec<f64> =
            past[1..p].iter().zip(&rks).map(|((_, old), rk)| (old - m) / rk).collect();
        rks.push(1.0);
        let (mut matrix, mut b) = (vec![], vec![]);
        let (mut factorial, mut phi) = (1.0, hh.exp_m1() / hh - 1.0);
        for i in 1..=p {
            matrix.push(rks.iter().map(|rk| rk.powi(i as i32 - 1)).collect::<Vec<f64>>());
            b.push(phi * factorial / b_h);
            factorial *= i as f64 + 1.0;
            phi = phi / hh - 1.0 / factorial;
        }
        let free = r_to / r * u - hh.exp_m1() * m;
        let rhos = match p {
            1 => vec![],
            2 => vec![0.5],
            _ => {
                solve(matrix[..p - 1].iter().map(|row| row[..p - 1].to_vec()).collect(), b[..p - 1].to_vec())
            }
        };
        let sum: f64 = rhos.iter().zip(&differences).map(|(rho, d)| rho * d).sum();
        let m_to = (case.m)(free - b_h * sum, r_to);
        differences.push(m_to - m);
        let rhos = if p == 1 { vec![0.5] } else { solve(matrix, b) };
        let sum: f64 = rhos.iter().zip(&differences).map(|(rho, d)| rho * d).sum();
        u = free - b_h * sum;
        past.insert(0, (s_to, m_to));
    }
    u
}

/// Langevin steps after a reverse-SDE predictor with λ = 1, or after none.
pub(crate) fn corrected(case: &Case<'_>, predictor: bool, steps: usize, snr: f64) -> f64 {
    let mut u = case.start;
    for (k, pair) in case.r.windows(2).enumerate() {
        if predictor {
            u = sde_step(u, (case.m)(u, pair[0]), (pair[0], pair[1]), 1.0, (case.z)(k));
        }
        let r = pair[1];
        for j in 0..if r > 0.0 { steps } else { 0 } {
            let score = ((case.m)(u, r) - u) / (r * r);
            let size = 2.0 * (snr * r).powi(2);
            u += size * score + (2.0 * size).sqrt() * (case.corrector_z)(j, k);
        }
    }
    u
}
