"""The sliced W2 distance of POT, on its numpy and its torch backend."""

import numpy as np
import ot
import torch

import distances_common as common


def variants(dtype):
    torch.set_num_threads(2)
    arrays = common.samples(dtype)
    tensors = [torch.from_numpy(array) for array in arrays]

    def numpy():
        return ot.sliced_wasserstein_distance(*arrays, n_projections=common.PROJECTIONS, seed=3)

    @torch.inference_mode()
    def on_torch():
        return ot.sliced_wasserstein_distance(*tensors, n_projections=common.PROJECTIONS, seed=3)

    return {"sliced_w2": {"numpy": numpy, "torch": on_torch}}


if __name__ == "__main__":
    common.main("POT", variants, {"POT": ot.__version__, "numpy": np.__version__, "torch": torch.__version__})
