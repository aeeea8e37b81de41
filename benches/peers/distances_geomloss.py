"""Energy distance and squared MMD of GeomLoss, on its two exact backends: whole matrices in PyTorch, and KeOps.

Its losses are half of the squared norm of the difference, with the pairs of a row with itself.
"""

import os

# KeOps compiles its kernels for this CPU and runs them on as many threads as OpenMP is given.
os.environ.setdefault("OMP_NUM_THREADS", "2")

import geomloss
import pykeops
import torch

import distances_common as common


def variants(dtype):
    torch.set_num_threads(2)
    samples = [torch.from_numpy(sample) for sample in common.samples(dtype)]

    def of(loss, blur):
        def with_backend(backend):
            distance = geomloss.SamplesLoss(loss=loss, blur=blur, backend=backend)

            @torch.no_grad()
            def run():
                return 2 * distance(*samples)

            return run

        return {backend: with_backend(backend) for backend in ("tensorized", "online")}

    return {"energy_distance": of("energy", None), "mmd2": of("gaussian", common.BANDWIDTH)}


if __name__ == "__main__":
    common.main(
        "geomloss",
        variants,
        {"geomloss": geomloss.__version__, "pykeops": pykeops.__version__, "torch": torch.__version__},
    )
