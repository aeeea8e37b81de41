"""Workload W1, its timing and its report: what every peer script shares.

W1 is the reverse Ornstein-Uhlenbeck diffusion by Euler-Maruyama. The forward process dX = -X dtau + sqrt(2) dB
starts from the mixture of 8 equally weighted N(m_i, 0.25 I) in 32 dimensions. At noise time tau its law is the mixture
with means e^-tau m_i and variance lam = 0.25 e^-2tau + 1 - e^-2tau, so its score is

    s(x, tau) = sum_i r_i (e^-tau m_i - x) / lam,    r = softmax_i(-|x - e^-tau m_i|^2 / (2 lam)).

From y_0 ~ N(0, I) at tau_0 = T = 4 the sampler takes 200 steps down to tau = 1e-3,

    y_{k+1} = y_k + g (y_k + 2 s(y_k, tau_k)) + sqrt(2 g) z_k,    g = tau_k - tau_{k+1},    z_k ~ N(0, I).

Dropping from the softmax the terms that do not depend on i leaves two products with the matrix of means,

    r = softmax(p y m^T - q h),  h_i = |m_i|^2 / 2,        p = e^-tau / lam,  q = e^-2tau / lam,
    y_{k+1} = a y_k + b r m + c z_k,                       a = 1 + g - 2 g / lam,  b = 2 g p,  c = sqrt(2 g),

and every peer is given this form, with the coefficients computed once in double precision.
"""

import argparse
import json
import os
import statistics
import time
from pathlib import Path

import numpy as np

ROWS, DIM, COMPONENTS, STEPS = 10_000, 32, 8, 200
T, DELTA, COMPONENT_VARIANCE = 4.0, 1e-3, 0.25
ELEMENT_STEPS = ROWS * DIM * STEPS
DTYPES = ("f32", "f64")
MEANS = np.loadtxt(Path(__file__).with_name("means.csv"), delimiter=",")
HALF_SQUARES = 0.5 * (MEANS**2).sum(axis=1)

# A variant this many times slower than the fastest is timed once; the fastest is the only one that is reported.
HOPELESS = 2.0
SCREENING_RUNS = 3


def two_phase():
    """The 201 noise times: uniform from T down to 1 in 100 steps, then geometric down to DELTA in 100 steps."""
    half = STEPS // 2
    k = np.arange(half + 1)
    return np.concatenate([T - (T - 1) * k / half, DELTA ** (k[1:] / half)])


def coefficients():
    """The columns a, b, c, p, q of the module's recursion, one row a step, shape (200, 5)."""
    tau = two_phase()
    g, tau = tau[:-1] - tau[1:], tau[:-1]
    decay = np.exp(-tau)
    lam = COMPONENT_VARIANCE * decay**2 + 1 - decay**2
    p = decay / lam
    return np.stack([1 + g - 2 * g / lam, 2 * g * p, np.sqrt(2 * g), p, decay**2 / lam], axis=1)


def projections(y):
    """Three fixed projections of the rows: x_0, sum_j x_j / sqrt(32), and along m_0 - m_1. Shape (n, 3)."""
    along = MEANS[0] - MEANS[1]
    return np.stack([y[:, 0], y.sum(axis=1) / np.sqrt(DIM), y @ along / np.linalg.norm(along)], axis=1)


def nearest_mean(y):
    """Which of the 8 means each row is nearest to."""
    return np.argmin(HALF_SQUARES - y @ MEANS.T, axis=1)


def nearest(y):
    """How many rows are nearest to each of the 8 means."""
    return np.bincount(nearest_mean(y), minlength=COMPONENTS)


def distances(y):
    """The squared distance of each row to the nearest mean, over the dimension."""
    return ((y - MEANS[nearest_mean(y)]) ** 2).mean(axis=1)


def law(y):
    """A summary of the output for comparison by eye; law.py does the tests."""
    y = np.asarray(y, dtype=np.float64)
    z = projections(y)
    return {
        "projection_means": z.mean(axis=0).round(4).tolist(),
        "projection_variances": z.var(axis=0, ddof=1).round(4).tolist(),
        "component_variance": round(float(distances(y).mean()), 5),
        "nearest_fractions": (nearest(y) / len(y)).round(4).tolist(),
    }


def isa():
    """The instruction set the machine offers, or the cap that run.py put on the peers."""
    if "W1_ISA" in os.environ:
        return os.environ["W1_ISA"]
    try:
        return "avx512" if "avx512f" in Path("/proc/cpuinfo").read_text().split() else "avx2 or less"
    except OSError:
        return "native"


def seconds(run, seed):
    start = time.perf_counter()
    run(seed)
    return time.perf_counter() - start


def fastest(variants):
    """Warms up and times every variant; returns the name of the fastest and the median seconds of each.

    A variant that cannot run here (torch.compile without a C++ compiler, say) is reported with its error.
    """
    medians, skipped = {}, {}
    for name, run in variants.items():
        try:
            run(0)
        except (RuntimeError, NotImplementedError) as error:
            skipped[name] = f"{type(error).__name__}: {error}"[:200]
            continue
        times = [seconds(run, 1)]
        if not medians or times[0] < HOPELESS * min(medians.values()):
            times += [seconds(run, 2 + i) for i in range(SCREENING_RUNS - 1)]
        medians[name] = statistics.median(times)
    return min(medians, key=medians.get), medians, skipped


def main(peer, variants, versions):
    """The command line of a peer script: times the peer and prints one line of JSON for each number type.

    `variants(dtype)` returns {name: run}, where `run(seed)` does all of W1 and returns the finished (10000, 32) output.
    Compilation happens in the first call of each, which is not timed.
    """
    parser = argparse.ArgumentParser(description=f"W1 in {peer}")
    parser.add_argument("--dtype", choices=DTYPES, action="append", help="default: both")
    parser.add_argument("--runs", type=int, default=7, help="timed runs of the fastest variant (default 7)")
    parser.add_argument("--dump", type=Path, metavar="DIR", help="save the output as DIR/PEER-DTYPE.npy for law.py")
    args = parser.parse_args()
    for dtype in args.dtype or DTYPES:
        runs = variants(dtype)
        best, medians, skipped = fastest(runs)
        times = [seconds(runs[best], 10 + i) for i in range(args.runs)]
        output = np.asarray(runs[best](9))
        assert output.shape == (ROWS, DIM) and output.dtype == {"f32": np.float32, "f64": np.float64}[dtype]
        assert np.isfinite(output).all()
        if args.dump:
            args.dump.mkdir(parents=True, exist_ok=True)
            np.save(args.dump / f"{peer}-{dtype}.npy", output)
        median = statistics.median(times)
        report = {
            "peer": peer,
            "dtype": dtype,
            "variant": best,
            "seconds": round(median, 5),
            "min": round(min(times), 5),
            "ns_per_element_step": round(median / ELEMENT_STEPS * 1e9, 3),
            "versions": versions,
            "isa": isa(),
            "law": law(output),
            "variants_ns": {name: round(t / ELEMENT_STEPS * 1e9, 3) for name, t in medians.items()},
            "skipped": skipped,
        }
        print(json.dumps(report), flush=True)
