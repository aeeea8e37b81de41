"""The bench `sde` in torchsde: `sdeint` with diagonal Ito noise by `euler`, `milstein` and `srk` (strong order 1.5).

As in w1_torchsde.py time is the clock of steps u = 0, 1, .., 1000: with dt = 1, the drift times h and the diffusion
times sqrt(h), single precision represents every time and no step is interpolated.
"""

import torch
import torchsde

import sde_common
import w1_torch
import w1_torchsde


class Tanh(torch.nn.Module):
    noise_type, sde_type = "diagonal", "ito"

    def f(self, u, y):
        a, b, h = sde_common.A, sde_common.B, sde_common.H
        return (-h * a - (h * b * b) * y) * (1 - y * y)

    def g(self, u, y):
        b = sde_common.B * sde_common.H**0.5
        return b - b * y * y

    def g_prod(self, u, y, v):
        return self.g(u, y) * v

    def g_prod_and_gdg_prod(self, u, y, v1, v2):
        """g v1, and g g' v2 for Milstein's method: by hand, which saves torchsde a backward pass."""
        b = sde_common.B * sde_common.H**0.5
        g = self.g(u, y)
        return g * v1, g * (-2 * b * y) * v2


def methods(dtype):
    real = w1_torch.number_type(dtype)
    torch.set_num_threads(w1_torch.THREADS)
    end = float(sde_common.STEPS)

    def solver(noise, method):
        @torch.inference_mode()
        def simulate(seed, rows=sde_common.ROWS):
            size = (rows, sde_common.DIM)
            y0 = torch.full(size, sde_common.START, dtype=real)
            ts = torch.tensor([0.0, end], dtype=real)
            return torchsde.sdeint(Tanh(), y0, ts, bm=noise(size, seed), method=method, dt=1.0)[-1]

        return simulate

    def fresh(size, seed):
        return w1_torchsde.FreshIncrements(size, real, seed)

    def interval(**options):
        return lambda size, seed: torchsde.BrownianInterval(0.0, end, size, real, entropy=seed, **options)

    def variants(method, **options):
        hinted = interval(dt=1.0, cache_size=None, **options)
        increments_only = {} if options else {
            "fresh increments, 2 threads of rows": w1_torch.over_two_threads(solver(fresh, method)),
            "fresh increments": solver(fresh, method),
        }
        return {
            **increments_only,
            "BrownianInterval (default)": solver(interval(**options), method),
            "BrownianInterval, dt hint, unbounded cache": solver(hinted, method),
            "BrownianInterval, dt hint, 2 threads of rows": w1_torch.over_two_threads(solver(hinted, method)),
        }

    return {
        "euler": variants("euler"),
        "milstein": variants("milstein"),
        "srk": variants("srk", levy_area_approximation="space-time"),
    }


if __name__ == "__main__":
    sde_common.main("torchsde", methods, {"torchsde": torchsde.__version__, "torch": torch.__version__})
