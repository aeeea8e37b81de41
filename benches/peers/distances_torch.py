"""Energy distance and squared MMD in PyTorch on 2 threads: `cdist`, and blocked matrix products worked on in place.

Blocks within a sample are those on and above the diagonal only, so that each pair is evaluated once.
"""

import itertools

import torch

import distances_common as common

SIZES = (256, 512, 1024, 2500)


def sum_of_distances(squares):
    return squares.clamp_min_(0).sqrt_().sum(dtype=torch.float64)


def sum_of_kernels(squares):
    return squares.mul_(-0.5 / common.BANDWIDTH**2).exp_().sum(dtype=torch.float64)


def fused_distances(products, of_rows, of_columns):
    return (of_rows + of_columns - 2 * products).clamp_min(0).sqrt().sum()


def fused_kernels(products, of_rows, of_columns):
    return ((2 * products - of_rows - of_columns) * (0.5 / common.BANDWIDTH**2)).exp().sum()


def pairs(a, b, size):
    """Slices of two samples that cover all their pairs, or each pair of one sample with weight 2 off the diagonal."""
    for i, j in itertools.product(range(0, len(a), size), range(0, len(b), size)):
        if a is not b or i <= j:
            yield slice(i, i + size), slice(j, j + size), 1 + (a is b and i < j)


def blocked(a, b, total, size):
    """Sum over all pairs by matrix products into one buffer and operations in place."""
    norms_a, norms_b = (a * a).sum(1, keepdim=True), (b * b).sum(1)
    buffer = a.new_empty(size * size)
    sums = 0.0
    for rows, columns, weight in pairs(a, b, size):
        left, right = a[rows], b[columns]
        out = buffer[: len(left) * len(right)].view(len(left), len(right))
        torch.addmm(norms_b[columns], left, right.T, alpha=-2, out=out)
        sums += weight * total(out.add_(norms_a[rows]))
    return sums


def with_fused(a, b, fused, size):
    """The same with everything after the product in one compiled pass."""
    norms_a, norms_b = (a * a).sum(1, keepdim=True), (b * b).sum(1)
    buffer = a.new_empty(size * size)
    sums = 0.0
    for rows, columns, weight in pairs(a, b, size):
        left, right = a[rows], b[columns]
        out = buffer[: len(left) * len(right)].view(len(left), len(right))
        torch.mm(left, right.T, out=out)
        sums += weight * fused(out, norms_a[rows], norms_b[columns]).double()
    return sums


def by_cdist(a, b, total):
    """Row blocks of `cdist`, whole rows at a time."""
    sums = 0.0
    for rows in torch.split(a, 1000):
        sums += total(torch.cdist(rows, b).pow_(2))
    return sums


def cdist_of_distances(a, b):
    return sum(torch.cdist(rows, b).sum(dtype=torch.float64) for rows in torch.split(a, 1000))


def variants(dtype):
    torch.set_num_threads(2)
    x, y = (torch.from_numpy(sample) for sample in common.samples(dtype))
    center = 0.5 * (x.mean(0) + y.mean(0))
    x, y = x - center, y - center
    n = common.ROWS

    def statistic(sum_of_pairs, diagonal):
        @torch.inference_mode()
        def run():
            within = sum((sum_of_pairs(a, a) - n * diagonal) / (n * (n - 1)) for a in (x, y))
            return within - 2 * sum_of_pairs(x, y) / n**2

        return run

    def all_of(total, fused, diagonal):
        runs = {
            f"blocks of {size}": statistic(lambda a, b, size=size: blocked(a, b, total, size), diagonal) for size in SIZES
        }
        compiled = torch.compile(fused, dynamic=True)
        runs |= {
            f"compiled, blocks of {size}": statistic(
                lambda a, b, size=size: with_fused(a, b, compiled, size), diagonal
            )
            for size in SIZES
        }
        return runs

    energy = all_of(sum_of_distances, fused_distances, 0) | {"cdist": statistic(cdist_of_distances, 0)}
    kernels = all_of(sum_of_kernels, fused_kernels, 1) | {
        "cdist": statistic(lambda a, b: by_cdist(a, b, sum_of_kernels), 1)
    }
    negated = {name: lambda run=run: -run() for name, run in energy.items()}
    return {"energy_distance": negated, "mmd2": kernels}


if __name__ == "__main__":
    common.main("torch", variants, {"torch": torch.__version__, "capability": torch.backends.cpu.get_cpu_capability()})
