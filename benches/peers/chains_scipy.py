"""Exact laws of chains in SciPy, the workloads of the Rust bench `chains`; one line of JSON a task.

`evolve`: `scipy.sparse.linalg.expm_multiply` on the generator of a birth-death chain of 100,000 states. `kernels`:
`scipy.linalg.expm` in a loop over 1,000 times for 256 states, timed on a part of them.
"""

import argparse
import json
import statistics
import time

import numpy as np
import scipy
import scipy.linalg
import scipy.sparse
import scipy.sparse.linalg

STATES, TIMES = 100_000, 1000


def birth_death():
    """The transposed generator with all rates 1, in CSR form: columns are the laws."""
    off = np.ones(STATES - 1)
    exits = np.full(STATES, 2.0)
    exits[[0, -1]] = 1.0
    return scipy.sparse.diags_array([off, -exits, off], offsets=[-1, 0, 1], format="csr")


def gaussian(states=256, centre=127.0, sigma=512.0, width=6.0):
    """The discretised Gaussian of the continuous-time paper, row convention."""
    law = np.exp(-((np.arange(states) - centre) ** 2) / (2 * sigma**2))
    rates = np.zeros((states, states))
    for i in range(states):
        for j in range(i + 1, states):
            outer, inner = (i, j) if j < states - i else (j, i)
            rates[outer, inner] = np.exp(-(((j - i - 1) / width) ** 2))
            rates[inner, outer] = rates[outer, inner] * law[outer] / law[inner]
    np.fill_diagonal(rates, -rates.sum(axis=1))
    return rates


def median(runs, work):
    seconds = []
    for _ in range(runs):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--part", type=int, default=20, help="how many of the 1,000 kernels are timed")
    args = parser.parse_args()

    def report(task, seconds):
        print(json.dumps({"task": task, "peer": "scipy", "version": scipy.__version__, "seconds": seconds}), flush=True)

    generator = birth_death()
    start = np.zeros(STATES)
    start[STATES // 2] = 1.0
    trace = generator.diagonal().sum()
    for span in (10.0, 1000.0):
        multiply = scipy.sparse.linalg.expm_multiply
        report(f"evolve/{span:g}", median(args.runs, lambda: multiply(span * generator, start, traceA=span * trace)))
    images = gaussian()
    times = 0.003 * np.linspace(1, TIMES, args.part)
    seconds = median(args.runs, lambda: [scipy.linalg.expm(t * images) for t in times])
    report("kernels/256", seconds * TIMES / args.part)


if __name__ == "__main__":
    main()
