"""Compares the outputs of W1 in law: `python law.py DIR` reads every .npy or .csv of shape (n, 32) in DIR.

The law of 200 Euler-Maruyama steps has no closed form, so the outputs are compared with each other, two at a time: a
two-sample Kolmogorov-Smirnov test on each of the 32 coordinates, on the 3 projections of common.py and on the squared
distance to the nearest mean (the coordinates, of variance 9, hardly see the width 0.25 of a component), and a
chi-squared test that the rows fall to the 8 means in equal proportions. With Bonferroni's correction over all tests of
all pairs, the chance that equal laws fail anywhere is at most ALPHA. Exits with status 1 if one does.
"""

import argparse
import itertools
from pathlib import Path

import numpy as np
from scipy import stats

import common

ALPHA = 1e-3
TESTS_PER_PAIR = common.DIM + 3 + 2


def load(path):
    y = np.load(path) if path.suffix == ".npy" else np.loadtxt(path, delimiter=",")
    if y.ndim != 2 or y.shape[1] != common.DIM or not np.isfinite(y).all():
        raise SystemExit(f"{path}: expected finite rows of {common.DIM}, found shape {y.shape}")
    return y.astype(np.float64)


def p_values(x, y):
    """The p-value of each test of one pair, by name."""
    columns = [np.hstack([sample, common.projections(sample)]).T for sample in (x, y)]
    labels = [f"x_{j}" for j in range(common.DIM)] + ["projection 0", "projection 1", "projection 2"]
    found = {label: stats.ks_2samp(a, b).pvalue for label, a, b in zip(labels, *columns, strict=True)}
    found["distance"] = stats.ks_2samp(common.distances(x), common.distances(y)).pvalue
    found["nearest mean"] = stats.chi2_contingency([common.nearest(x), common.nearest(y)]).pvalue
    return found


def main():
    parser = argparse.ArgumentParser(description="compare outputs of W1 in law")
    parser.add_argument("directory", type=Path)
    directory = parser.parse_args().directory
    outputs = {path.stem: load(path) for path in sorted(directory.iterdir()) if path.suffix in (".npy", ".csv")}
    pairs = list(itertools.combinations(outputs, 2))
    if not pairs:
        raise SystemExit(f"{directory}: nothing to compare; run the peer scripts with --dump {directory}")
    level = ALPHA / (len(pairs) * TESTS_PER_PAIR)
    print(f"{len(pairs)} pairs of {TESTS_PER_PAIR} tests, each at level {level:.1e}")
    failed = 0
    for x, y in pairs:
        found = p_values(outputs[x], outputs[y])
        worst = min(found, key=found.get)
        failed += found[worst] < level
        print(f"{'FAIL' if found[worst] < level else 'ok':4}  {x} / {y}: least p = {found[worst]:.2e} ({worst})")
    raise SystemExit(1 if failed else 0)


if __name__ == "__main__":
    main()
