"""W1 in diffrax: `Euler` with `StepTo` on the noise times, `ControlTerm` with diagonal noise, all inside `jax.jit`.

Time runs forward as t = -tau, from -4 to -1e-3, so single precision resolves the short last steps. The noise is
UnsafeBrownianPath, which draws each increment afresh: what the documentation advises for a forward solve with fixed
steps. VirtualBrownianTree bridges down to its tolerance at every step and took twenty times as long; it is not timed.
"""

import w1_jax  # first: it sets the number of devices

import diffrax
import jax
import jax.numpy as jnp
import lineax

import common


def variants(dtype):
    real = w1_jax.number_type(dtype)
    means = jnp.asarray(common.MEANS, real)
    half_squares = jnp.asarray(common.HALF_SQUARES, real)
    times = jnp.asarray(-common.two_phase(), real)

    def drift(t, y, args):
        decay = jnp.exp(t)
        lam = common.COMPONENT_VARIANCE * decay**2 + 1 - decay**2
        p = decay / lam
        r = jax.nn.softmax(p * (y @ means.T) - p * decay * half_squares)
        return (1 - 2 / lam) * y + (2 * p) * (r @ means)

    def solve(y0, key):
        root_two = jnp.full_like(y0, 2**0.5)
        diffusion = lambda t, y, args: lineax.DiagonalLinearOperator(root_two)
        noise = diffrax.UnsafeBrownianPath(shape=jax.ShapeDtypeStruct(y0.shape, real), key=key)
        terms = diffrax.MultiTerm(diffrax.ODETerm(drift), diffrax.ControlTerm(diffusion, noise))
        return diffrax.diffeqsolve(
            terms, diffrax.Euler(), t0=times[0], t1=times[-1], dt0=None, y0=y0,
            stepsize_controller=diffrax.StepTo(ts=times),
            # For a forward solve: a plain while loop, no checkpoints. Exact steps are given, so nothing can fail.
            adjoint=diffrax.ForwardMode(), max_steps=None, throw=False,
        ).ys[0]

    def batched(key, rows):
        first, rest = jax.random.split(key)
        return solve(jax.random.normal(first, (rows, common.DIM), real), rest)

    def mapped(key, rows):
        first, rest = jax.random.split(key)
        y0 = jax.random.normal(first, (rows, common.DIM), real)
        return jax.vmap(solve)(y0, jax.random.split(rest, rows))

    def named(label, runners):
        return {f"{label}, {name}": run for name, run in runners.items()}

    return {
        **named("batched", w1_jax.runners(batched, w1_jax.GENERATORS)),
        **named("vmap over rows", w1_jax.runners(mapped, ("threefry2x32",))),
    }


if __name__ == "__main__":
    common.main("diffrax", variants, {"diffrax": diffrax.__version__, "jax": jax.__version__})
