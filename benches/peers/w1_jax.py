"""W1 in JAX: one `jax.jit` of a `lax.scan` over the steps, on one CPU device and sharded by rows over two."""

from functools import partial

import jax

# Before anything else touches a device. One device runs its kernels on both cores only where XLA chooses to.
jax.config.update("jax_num_cpu_devices", 2)

import jax.numpy as jnp
from jax import lax
from jax.sharding import NamedSharding, PartitionSpec

import common

GENERATORS = ("threefry2x32", "rbg", "unsafe_rbg")


def number_type(dtype):
    """Selects the JAX default precision, which fixes that of random bits and of times too."""
    jax.config.update("jax_enable_x64", dtype == "f64")
    return jnp.float64 if dtype == "f64" else jnp.float32


def runners(simulate, generators):
    """{name: run(seed)} for `simulate(key, rows)`: each generator, on one device and on both."""
    mesh = jax.make_mesh((2,), ("rows",), axis_types=(jax.sharding.AxisType.Auto,))
    by_rows = PartitionSpec("rows")
    whole = jax.jit(partial(simulate, rows=common.ROWS))
    halves = jax.jit(
        jax.shard_map(
            lambda keys: simulate(keys[0], rows=common.ROWS // 2),
            mesh=mesh, in_specs=by_rows, out_specs=by_rows, check_vma=False,
        )
    )

    def on_one(seed, generator):
        return jax.block_until_ready(whole(jax.random.key(seed, impl=generator)))

    def on_two(seed, generator):
        keys = jax.random.split(jax.random.key(seed, impl=generator), 2)
        return jax.block_until_ready(halves(jax.device_put(keys, NamedSharding(mesh, by_rows))))

    return {
        f"{generator}, {label}": partial(run, generator=generator)
        for generator in generators
        for label, run in (("2 devices", on_two), ("1 device", on_one))
    }


def variants(dtype):
    real = number_type(dtype)
    means = jnp.asarray(common.MEANS, real)
    half_squares = jnp.asarray(common.HALF_SQUARES, real)
    rows_of_coefficients = jnp.asarray(common.coefficients(), real)

    def simulate(key, rows):
        shape = (rows, common.DIM)
        first, rest = jax.random.split(key)

        def step(y, inputs):
            (a, b, c, p, q), key = inputs
            r = jax.nn.softmax(p * (y @ means.T) - q * half_squares)
            return a * y + b * (r @ means) + c * jax.random.normal(key, shape, real), None

        inputs = (rows_of_coefficients, jax.random.split(rest, common.STEPS))
        return lax.scan(step, jax.random.normal(first, shape, real), inputs)[0]

    return runners(simulate, GENERATORS)


if __name__ == "__main__":
    common.main("jax.jit", variants, {"jax": jax.__version__, "jaxlib": jax.lib.__version__})
