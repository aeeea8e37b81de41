"""W1 in PyTorch: eager with in-place operations, the update compiled by `torch.compile`, and two threads of rows."""

from concurrent.futures import ThreadPoolExecutor

import torch

import common

THREADS = 2


def number_type(dtype):
    return torch.float64 if dtype == "f64" else torch.float32


def over_two_threads(simulate):
    """Half of the rows to each of two Python threads, each with its own generator and one thread of its own.

    PyTorch fills normals from one generator on one core only, and releases the interpreter lock meanwhile.
    """
    pool = ThreadPoolExecutor(THREADS, initializer=lambda: torch.set_num_threads(1))

    def run(seed):
        halves = pool.map(lambda i: simulate(THREADS * seed + i, common.ROWS // THREADS), range(THREADS))
        return torch.cat(list(halves))

    return run


def variants(dtype):
    real = number_type(dtype)
    torch.set_num_threads(THREADS)
    means = torch.tensor(common.MEANS, dtype=real)
    half_squares = torch.tensor(common.HALF_SQUARES, dtype=real)
    rows_of_floats = common.coefficients().tolist()
    rows_of_tensors = torch.tensor(common.coefficients(), dtype=real)

    @torch.inference_mode()
    def eager(seed, rows=common.ROWS):
        generator = torch.Generator().manual_seed(seed)
        y = torch.empty(rows, common.DIM, dtype=real).normal_(generator=generator)
        z = torch.empty_like(y)
        logits = torch.empty(rows, common.COMPONENTS, dtype=real)
        r = torch.empty_like(logits)
        for a, b, c, p, q in rows_of_floats:
            torch.addmm(half_squares, y, means.T, beta=-q, alpha=p, out=logits)
            torch.softmax(logits, 1, out=r)
            y.addmm_(r, means, beta=a, alpha=b)
            y.add_(z.normal_(generator=generator), alpha=c)
        return y

    @torch.compile(dynamic=False)
    def update(y, z, coefficients):
        a, b, c, p, q = coefficients.unbind()
        r = torch.softmax(p * (y @ means.T) - q * half_squares, 1)
        return a * y + b * (r @ means) + c * z

    @torch.no_grad()
    def compiled(seed):
        generator = torch.Generator().manual_seed(seed)
        y = torch.empty(common.ROWS, common.DIM, dtype=real).normal_(generator=generator)
        z = torch.empty_like(y)
        for coefficients in rows_of_tensors:
            y = update(y, z.normal_(generator=generator), coefficients)
        return y

    return {"eager, 2 threads of rows": over_two_threads(eager), "eager": eager, "compiled update": compiled}


if __name__ == "__main__":
    common.main("torch", variants, {"torch": torch.__version__, "capability": torch.backends.cpu.get_cpu_capability()})
