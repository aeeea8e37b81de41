"""General equations in torchsde: `sdeint(method="euler")` with diagonal Ito noise.

The workload of `benches/sde.rs`: 10,000 paths of dX_j = -(a + b^2 X_j)(1 - X_j^2) dt + b (1 - X_j^2) dW_j in 10
dimensions, a = 0.4, b = 0.6, from 0.3, 1,000 steps on [0, 1]. Prints nanoseconds per path, dimension and step: the
median of 3 runs of each variant. The noise is torchsde's own, and the cheapest it accepts (see `w1_torchsde.py`).
"""

import statistics
import sys
import time

import torch
import torchsde

import w1_torch
from w1_torchsde import FreshIncrements

ROWS, DIM, STEPS, A, B = 10_000, 10, 1_000, 0.4, 0.6


class Tanh:
    noise_type, sde_type = "diagonal", "ito"

    def f(self, t, y):
        return -(A + B * B * y) * (1 - y * y)

    def g(self, t, y):
        return B * (1 - y * y)


@torch.inference_mode()
def run(seed, real, fresh):
    y0 = torch.full((ROWS, DIM), 0.3, dtype=real)
    noise = (
        FreshIncrements((ROWS, DIM), real, seed)
        if fresh
        else torchsde.BrownianInterval(0.0, 1.0, (ROWS, DIM), real, entropy=seed)
    )
    ts = torch.tensor([0.0, 1.0], dtype=real)
    return torchsde.sdeint(Tanh(), y0, ts, bm=noise, method="euler", dt=1.0 / STEPS)[-1]


if __name__ == "__main__":
    torch.set_num_threads(w1_torch.THREADS)
    for dtype in sys.argv[1:] or ("f32", "f64"):
        for name, fresh in (("fresh increments", True), ("BrownianInterval", False)):
            times = []
            for seed in range(1, 4):
                begin = time.perf_counter()
                y = run(seed, w1_torch.number_type(dtype), fresh)
                times.append(time.perf_counter() - begin)
            assert abs(float(y.mean()) + 0.055) < 0.02, float(y.mean())
            print(f"torchsde {dtype} {name}: {statistics.median(times) / (ROWS * DIM * STEPS) * 1e9:.2f} ns")
