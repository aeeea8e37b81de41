"""The adaptive probability flow in diffrax: `Tsit5` with `PIDController`, each row for itself by `vmap`, inside `jax.jit`.

1,000 rows x 32 dimensions of the mixture of W1 (see common.py), from N(0, I) at noise time 4 to 1e-3, both tolerances
1e-6, double precision. Two formulations, in the time of the process and in the angle phi = arctan(sigma/alpha):

    dx/dtau = -x - s(x, tau),        dx/dphi = cos(phi) eps - sin(phi) x_0,

and two controllers: the default (I) and the PI controller of the documentation. One device, or the rows sharded over
two. `python benches/peers/ode_diffrax.py` prints one line of JSON: seconds, steps and the error of each variant against
the same flow at tolerances of 1e-12; `--dump FILE` writes the rows at the start and at the end (.npy) for a comparison.
"""

import argparse
import json

import w1_jax  # first: it sets the number of devices

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import PartitionSpec

import common

ROWS, TOLERANCE = 1_000, 1e-6
w1_jax.number_type("f64")
MEANS = jnp.asarray(common.MEANS)
HALF_SQUARES = jnp.asarray(common.HALF_SQUARES)


def denoised(x, alpha, variance):
    lam = common.COMPONENT_VARIANCE * alpha**2 + variance
    p = alpha / lam
    mean = jax.nn.softmax(p * (x @ MEANS.T) - p * alpha * HALF_SQUARES) @ MEANS
    return (alpha * common.COMPONENT_VARIANCE / lam) * (x - alpha * mean) + mean


def in_time(tau, x, args):
    alpha, variance = jnp.exp(-tau), -jnp.expm1(-2 * tau)
    return -x - (alpha * denoised(x, alpha, variance) - x) / variance


def in_angle(phi, x, args):
    alpha, sigma = jnp.cos(phi), jnp.sin(phi)
    x0 = denoised(x, alpha, sigma**2)
    return alpha * (x - alpha * x0) / sigma - sigma * x0


ENDS = {
    "time": (in_time, common.T, common.DELTA),
    "angle": (in_angle, *(float(np.arccos(np.exp(-tau))) for tau in (common.T, common.DELTA))),
}
CONTROLLERS = {"I": {}, "PI": {"pcoeff": 0.4, "icoeff": 0.3}}


def solver(field, start, end, controller, tolerance):
    def solve(x):
        solution = diffrax.diffeqsolve(
            diffrax.ODETerm(field), diffrax.Tsit5(), t0=start, t1=end, dt0=None, y0=x,
            stepsize_controller=diffrax.PIDController(rtol=tolerance, atol=tolerance, **controller),
            adjoint=diffrax.ForwardMode(), max_steps=None, throw=False,
        )
        return solution.ys[0], solution.stats["num_accepted_steps"], solution.stats["num_rejected_steps"]

    return jax.vmap(solve)


def on_two(solve):
    mesh = jax.make_mesh((2,), ("rows",), axis_types=(jax.sharding.AxisType.Auto,))
    by_rows = PartitionSpec("rows")
    return jax.jit(jax.shard_map(solve, mesh=mesh, in_specs=by_rows, out_specs=by_rows, check_vma=False))


def main():
    parser = argparse.ArgumentParser(description="the adaptive probability flow in diffrax")
    parser.add_argument("--runs", type=int, default=15, help="timed runs of each variant (default 15)")
    parser.add_argument("--dump", metavar="FILE", help="write start and end, (2, 1000, 32)")
    args = parser.parse_args()
    x = jax.random.normal(jax.random.key(0), (ROWS, common.DIM))
    exact = jax.jit(solver(*ENDS["angle"], {}, 1e-12))(x)[0]
    report = {"peer": "diffrax", "versions": {"diffrax": diffrax.__version__, "jax": jax.__version__}}
    for variable, ends in ENDS.items():
        for controller, coefficients in CONTROLLERS.items():
            solve = solver(*ends, coefficients, TOLERANCE)
            for devices, run in (("1 device", jax.jit(solve)), ("2 devices", on_two(solve))):
                call = lambda seed: jax.block_until_ready(run(x))
                y, accepted, rejected = call(0)
                times = [common.seconds(call, i) for i in range(args.runs)]
                report[f"{variable}, {controller}, {devices}"] = {
                    "ms": round(1e3 * float(np.median(times)), 2),
                    "min": round(1e3 * min(times), 2),
                    "accepted": round(float(accepted.mean()), 2),
                    "rejected": round(float(rejected.mean()), 2),
                    "rms_error": float(f"{float(jnp.sqrt(jnp.mean((y - exact) ** 2))):.2g}"),
                    "max_error": float(f"{float(jnp.abs(y - exact).max()):.2g}"),
                }
    if args.dump:
        np.save(args.dump, np.stack([np.asarray(x), np.asarray(exact)]))
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
