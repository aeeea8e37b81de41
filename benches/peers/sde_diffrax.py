"""The bench `sde` in diffrax: fixed steps by `StepTo`, `ControlTerm` with diagonal noise, all inside `jax.jit`.

`Euler` is what the Rust bench times as `EulerMaruyama`. Of the methods of higher order, `ItoMilstein` takes this equation as
it is; it forms the derivative of every column of the diffusion, so it is given each row by itself (`vmap`). `SlowRK` is the
one of strong order 1.5 for noise of this class; it solves the Stratonovich form.

The noise is `UnsafeBrownianPath`, which draws each increment afresh, or the `VirtualBrownianTree` that the documentation
advises for general use, at a tolerance of half a step.
"""

import w1_jax  # first: it sets the number of devices

import diffrax
import jax
import jax.numpy as jnp
import lineax

import sde_common


def methods(dtype):
    real = w1_jax.number_type(dtype)
    times = jnp.linspace(0, 1, sde_common.STEPS + 1, dtype=real)
    a, b = sde_common.A, sde_common.B

    def ito(t, y, args):
        return -(a + b * b * y) * (1 - y * y)

    def stratonovich(t, y, args):
        return -a * (1 - y * y)

    def diffusion(t, y, args):
        return lineax.DiagonalLinearOperator(b * (1 - y * y))

    def fresh(shape, key, area):
        return diffrax.UnsafeBrownianPath(shape=jax.ShapeDtypeStruct(shape, real), key=key, levy_area=area)

    def tree(shape, key, area):
        shape = jax.ShapeDtypeStruct(shape, real)
        return diffrax.VirtualBrownianTree(0.0, 1.0, tol=sde_common.H / 2, shape=shape, key=key, levy_area=area)

    def solver(method, drift, noise, area=diffrax.BrownianIncrement):
        def solve(key, shape):
            terms = diffrax.MultiTerm(diffrax.ODETerm(drift), diffrax.ControlTerm(diffusion, noise(shape, key, area)))
            return diffrax.diffeqsolve(
                terms, method, t0=times[0], t1=times[-1], dt0=None, y0=jnp.full(shape, sde_common.START, real),
                stepsize_controller=diffrax.StepTo(ts=times),
                # For a forward solve: a plain while loop, no checkpoints. Exact steps are given, so nothing can fail.
                adjoint=diffrax.ForwardMode(), max_steps=None, throw=False,
            ).ys[0]

        return solve

    def batched(solve):
        return lambda key, rows: solve(key, (rows, sde_common.DIM))

    def mapped(solve):
        return lambda key, rows: jax.vmap(lambda key: solve(key, (sde_common.DIM,)))(jax.random.split(key, rows))

    def named(label, simulate, generators=w1_jax.GENERATORS[:2]):
        return {f"{label}, {name}": run for name, run in w1_jax.runners(simulate, generators).items()}

    euler = solver(diffrax.Euler(), ito, fresh)
    euler_on_tree = solver(diffrax.Euler(), ito, tree)
    milstein = solver(diffrax.ItoMilstein(), ito, fresh)
    slow = solver(diffrax.SlowRK(), stratonovich, fresh, diffrax.SpaceTimeLevyArea)
    threefry = w1_jax.GENERATORS[:1]
    return {
        "Euler": {
            **named("UnsafeBrownianPath, batched", batched(euler)),
            **named("UnsafeBrownianPath, vmap over rows", mapped(euler), threefry),
        },
        "Euler on VirtualBrownianTree": {
            **named("batched", batched(euler_on_tree), threefry),
            **named("vmap over rows", mapped(euler_on_tree), threefry),
        },
        "ItoMilstein": named("UnsafeBrownianPath, vmap over rows", mapped(milstein), threefry),
        "SlowRK": named("UnsafeBrownianPath, batched", batched(slow)),
    }


if __name__ == "__main__":
    sde_common.main("diffrax", methods, {"diffrax": diffrax.__version__, "jax": jax.__version__})
