"""Queries of a virtual Brownian tree in diffrax: the value W(t) of d = 10 coordinates at a time t of [0, 1].

`VirtualBrownianTree.evaluate` bridges down to the tolerance and once more to the time. Two workloads, as in the Rust
bench `brownian`: every row a tree and a time of its own (`vmap` over keys and times), and one time for all rows (one tree of
shape (rows, d), which splits its keys once for all rows). Prints one line of JSON for each workload, number type and
tolerance. Compilation is not timed.
"""

import w1_jax  # first: it sets the number of devices

import argparse
import json
import statistics
from functools import partial

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import PartitionSpec

import common

ROWS, DIM = 16_384, 10
LEVELS = (10, 20)


def own_times(key, times, level):
    """Row i: the value at times[i] of a tree of its own. Shape (rows, 10)."""

    def query(key, time):
        tree = diffrax.VirtualBrownianTree(0.0, 1.0, tol=2.0**-level, shape=(DIM,), key=key)
        return tree.evaluate(time)

    return jax.vmap(query)(jax.random.split(key, len(times)), times)


def one_time(key, times, level):
    """All rows at times[0]."""
    tree = diffrax.VirtualBrownianTree(0.0, 1.0, tol=2.0**-level, shape=(len(times), DIM), key=key)
    return tree.evaluate(times[0])


def variants(simulate, level):
    """{name: run(seed, times)} on one device, and with the rows sharded over two."""
    mesh = jax.make_mesh((2,), ("rows",), axis_types=(jax.sharding.AxisType.Auto,))
    by_rows = PartitionSpec("rows")
    whole = jax.jit(partial(simulate, level=level))
    halves = jax.jit(
        jax.shard_map(
            lambda keys, times: simulate(keys[0], times, level),
            mesh=mesh, in_specs=by_rows, out_specs=by_rows, check_vma=False,
        )
    )

    def on_one(seed, times, generator):
        return jax.block_until_ready(whole(jax.random.key(seed, impl=generator), times))

    def on_two(seed, times, generator):
        keys = jax.random.split(jax.random.key(seed, impl=generator), 2)
        return jax.block_until_ready(halves(keys, times))

    return {
        f"{generator}, {label}": partial(run, generator=generator)
        for generator in w1_jax.GENERATORS
        for label, run in (("2 devices", on_two), ("1 device", on_one))
    }


def main():
    parser = argparse.ArgumentParser(description="queries of a virtual Brownian tree in diffrax")
    parser.add_argument("--dtype", choices=common.DTYPES, action="append", help="default: both")
    parser.add_argument("--runs", type=int, default=7, help="timed runs of the fastest variant (default 7)")
    args = parser.parse_args()
    for dtype in args.dtype or common.DTYPES:
        real = w1_jax.number_type(dtype)
        times = jnp.asarray(np.random.default_rng(1).uniform(size=ROWS), real)
        for workload, simulate in (("own times", own_times), ("one time", one_time)):
            for level in LEVELS:
                at = times if workload == "own times" else jnp.full_like(times, times[0])
                runs = {name: partial(run, times=at) for name, run in variants(simulate, level).items()}
                best, medians, skipped = common.fastest(runs)
                seconds = statistics.median(common.seconds(runs[best], 10 + i) for i in range(args.runs))
                output = np.asarray(runs[best](9), np.float64)
                assert output.shape == (ROWS, DIM) and np.isfinite(output).all()
                report = {
                    "peer": "diffrax",
                    "workload": workload,
                    "dtype": dtype,
                    "tolerance": f"2^-{level}",
                    "variant": best,
                    "ns_per_query": round(seconds / ROWS * 1e9, 1),
                    "variance_over_time": round(float(((output**2).mean(axis=1) / np.asarray(at)).mean()), 3),
                    "versions": {"diffrax": diffrax.__version__, "jax": jax.__version__},
                    "isa": common.isa(),
                    "variants_ns": {name: round(t / ROWS * 1e9, 1) for name, t in medians.items()},
                    "skipped": skipped,
                }
                print(json.dumps(report), flush=True)


if __name__ == "__main__":
    main()
