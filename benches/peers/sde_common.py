"""The general equation of the Rust bench `sde`, its exact moments and its report: what sde_*.py share.

Ten coordinates, each by itself, with a = 0.4, b = 0.6 and X_0 = 0.3,

    dX = -(a + b^2 X) (1 - X^2) dt + b (1 - X^2) dW    in the reading of Ito,
    dX = -a (1 - X^2) dt + b (1 - X^2) o dW            in that of Stratonovich,

on [0, 1] in 1,000 steps, 10,000 rows. The solution is X_t = tanh(artanh(X_0) - a t + b W_t), so mean and variance of the
output are known; every report states them beside those that were found.
"""

import argparse
import json
import statistics

import numpy as np

import common

ROWS, DIM, STEPS = common.ROWS, 10, 1_000
A, B, START = 0.4, 0.6, 0.3
H = 1 / STEPS
ELEMENT_STEPS = ROWS * DIM * STEPS


def exact_moments():
    """Mean and variance of X_1, by a Gauss-Hermite rule."""
    z, weights = np.polynomial.hermite_e.hermegauss(80)
    x, weights = np.tanh(np.arctanh(START) - A + B * z), weights / weights.sum()
    mean = weights @ x
    return mean, weights @ (x - mean) ** 2


def main(peer, methods, versions):
    """The command line of a peer script: one line of JSON for each number type and method.

    `methods(dtype)` returns {method: {variant: run}}, where `run(seed)` returns the finished (10000, 10) output.
    Compilation happens in the first call of each, which is not timed. A method's output is asked to have the exact
    moments within five standard errors and 2/1000, twice the step.
    """
    parser = argparse.ArgumentParser(description=f"the bench `sde` in {peer}")
    parser.add_argument("--dtype", choices=common.DTYPES, action="append", help="default: both")
    parser.add_argument("--runs", type=int, default=7, help="timed runs of the fastest variant (default 7)")
    parser.add_argument("--method", action="append", help="only these methods")
    args = parser.parse_args()
    mean, variance = exact_moments()
    for dtype in args.dtype or common.DTYPES:
        for method, runs in methods(dtype).items():
            if args.method and method not in args.method:
                continue
            best, medians, skipped = common.fastest(runs)
            seconds = statistics.median(common.seconds(runs[best], 10 + i) for i in range(args.runs))
            output = np.asarray(runs[best](9))
            assert output.shape == (ROWS, DIM) and output.dtype == {"f32": np.float32, "f64": np.float64}[dtype]
            output = output.astype(np.float64)
            found, spread = output.mean(), output.var()
            fourth = ((output - found) ** 4).mean()
            slack = 2 * H
            assert abs(found - mean) < 5 * (spread / output.size) ** 0.5 + slack, (method, found, mean)
            assert abs(spread - variance) < 5 * ((fourth - spread**2) / output.size) ** 0.5 + slack, (method, spread)
            report = {
                "peer": peer,
                "method": method,
                "dtype": dtype,
                "variant": best,
                "seconds": round(seconds, 4),
                "ns_per_element_step": round(seconds / ELEMENT_STEPS * 1e9, 3),
                "mean": {"found": round(float(found), 5), "exact": round(float(mean), 5)},
                "variance": {"found": round(float(spread), 5), "exact": round(float(variance), 5)},
                "versions": versions,
                "isa": common.isa(),
                "variants_ns": {name: round(t / ELEMENT_STEPS * 1e9, 3) for name, t in medians.items()},
                "skipped": skipped,
            }
            print(json.dumps(report), flush=True)
