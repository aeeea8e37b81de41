"""General equations in diffrax: `Euler` with a constant step, `ControlTerm` with diagonal noise, inside `jax.jit`.

The workload of `benches/sde.rs`: 10,000 paths of dX_j = -(a + b^2 X_j)(1 - X_j^2) dt + b (1 - X_j^2) dW_j in 10
dimensions, a = 0.4, b = 0.6, from 0.3, 1,000 steps on [0, 1]. Prints nanoseconds per path, dimension and step: the
median of 5 runs of each variant. As in `w1_diffrax.py` the noise is UnsafeBrownianPath, the cheapest one.
"""

import w1_jax  # first: it sets the number of devices

import statistics
import sys
import time

import diffrax
import jax
import jax.numpy as jnp
import lineax

ROWS, DIM, STEPS, A, B = 10_000, 10, 1_000, 0.4, 0.6


def solver(real):
    def simulate(key, rows):
        def drift(t, y, args):
            return -(A + B * B * y) * (1 - y * y)

        def diffusion(t, y, args):
            return lineax.DiagonalLinearOperator(B * (1 - y * y))

        y0 = jnp.full((rows, DIM), 0.3, real)
        noise = diffrax.UnsafeBrownianPath(shape=jax.ShapeDtypeStruct(y0.shape, real), key=key)
        terms = diffrax.MultiTerm(diffrax.ODETerm(drift), diffrax.ControlTerm(diffusion, noise))
        return diffrax.diffeqsolve(
            terms, diffrax.Euler(), t0=0.0, t1=1.0, dt0=1.0 / STEPS, y0=y0,
            adjoint=diffrax.ForwardMode(), max_steps=None, throw=False,
        ).ys[0]

    return simulate


if __name__ == "__main__":
    import common

    common.ROWS = ROWS
    for dtype in sys.argv[1:] or ("f32", "f64"):
        variants = w1_jax.runners(solver(w1_jax.number_type(dtype)), ("threefry2x32", "unsafe_rbg"))
        for name, run in variants.items():
            y = run(0)
            assert abs(float(y.mean()) + 0.055) < 0.02, float(y.mean())
            times = []
            for seed in range(1, 6):
                begin = time.perf_counter()
                run(seed)
                times.append(time.perf_counter() - begin)
            print(f"diffrax {dtype} {name}: {statistics.median(times) / (ROWS * DIM * STEPS) * 1e9:.2f} ns")
