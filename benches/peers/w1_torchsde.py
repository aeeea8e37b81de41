"""W1 in torchsde: one `sdeint(method="euler")` with diagonal Ito noise.

torchsde steps by a fixed dt and interpolates between steps, so the non-uniform noise times cannot be its time. We run
it on the clock u = 0, 1, .., 200 that counts steps instead. Per unit of u the drift is g_k (y + 2 s(y, tau_k)) and the
diffusion is sqrt(2 g_k): with dt = 1 its Euler step is exactly W1's, and single precision represents every time.
"""

import torch
import torchsde

import common
import w1_torch


class FreshIncrements(torchsde.BaseBrownian):
    """Independent increments drawn when asked for: right for a solver that asks for each interval once, in order.

    The cheapest noise torchsde can be given; its own BrownianInterval remembers the path by bridging.
    """

    def __init__(self, size, real, seed):
        super().__init__()
        self.size, self.real, self.generator = size, real, torch.Generator().manual_seed(seed)

    def __call__(self, ta, tb=None, return_U=False, return_A=False):
        assert tb is not None and not return_U and not return_A
        z = torch.empty(self.size, dtype=self.real).normal_(generator=self.generator)
        return z.mul_(float(tb - ta) ** 0.5)

    def __repr__(self):
        return f"FreshIncrements(size={self.size})"

    dtype = property(lambda self: self.real)
    device = property(lambda self: torch.device("cpu"))
    shape = property(lambda self: torch.Size(self.size))
    levy_area_approximation = property(lambda self: "none")


class ReverseDiffusion:
    """The SDE on the clock of steps; counts the evaluations of the drift."""

    noise_type, sde_type = "diagonal", "ito"

    def __init__(self, real):
        self.means = torch.tensor(common.MEANS, dtype=real)
        self.half_squares = torch.tensor(common.HALF_SQUARES, dtype=real)
        self.rows = common.coefficients().tolist()
        self.calls, self.last = 0, None

    def f(self, u, y):
        self.calls, self.last = self.calls + 1, int(u)
        a, b, _, p, q = self.rows[self.last]
        r = torch.softmax(torch.addmm(self.half_squares, y, self.means.T, beta=-q, alpha=p), 1)
        return torch.addmm(y, r, self.means, beta=a - 1, alpha=b)

    def g_prod(self, u, y, dw):
        return dw * self.rows[int(u)][2]

    def g(self, u, y):
        return torch.full_like(y, self.rows[int(u)][2])


def variants(dtype):
    real = w1_torch.number_type(dtype)
    torch.set_num_threads(w1_torch.THREADS)

    def solver(noise):
        @torch.inference_mode()
        def simulate(seed, rows=common.ROWS):
            size = (rows, common.DIM)
            y0 = torch.empty(size, dtype=real).normal_(generator=torch.Generator().manual_seed(seed))
            sde = ReverseDiffusion(real)
            ts = torch.tensor([0.0, float(common.STEPS)], dtype=real)
            y = torchsde.sdeint(sde, y0, ts, bm=noise(size, seed), method="euler", dt=1.0)[-1]
            # 200 steps, and one more evaluation at u = 0 by which sdeint checks the shapes.
            assert sde.calls == common.STEPS + 1 and sde.last == common.STEPS - 1, (sde.calls, sde.last)
            return y

        return simulate

    def interval(**options):
        def noise(size, seed):
            return torchsde.BrownianInterval(0.0, float(common.STEPS), size, real, entropy=seed, **options)

        return noise

    # Seeds differ from those of y0, which BrownianInterval and FreshIncrements would otherwise repeat.
    fresh = solver(lambda size, seed: FreshIncrements(size, real, seed + 1_000_003))
    return {
        "fresh increments, 2 threads of rows": w1_torch.over_two_threads(fresh),
        "fresh increments": fresh,
        "BrownianInterval (default)": solver(interval()),
        "BrownianInterval, dt hint, unbounded cache": solver(interval(dt=1.0, cache_size=None)),
    }


if __name__ == "__main__":
    common.main("torchsde", variants, {"torchsde": torchsde.__version__, "torch": torch.__version__})
