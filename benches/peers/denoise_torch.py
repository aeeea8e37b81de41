"""Reverse tau-leaping of tokens in PyTorch, the workload of the Rust bench `denoise`; one line of JSON a variant.

64 rows of 1,024 tokens of 64 values, the uniform chain with 5 refreshes in the mean until time 1, 100 equal steps from 1 to
0.01, an exact denoiser of independent tokens in f32. Variants: `authors` draws a Poisson number for each token and value, as
the public code of tau-leaping does; `totals` is the algorithm of the Rust bench: the total rates as sums over clean values,
one uniform a token, a destination for those that jump; the fastest way that we found to say it in tensors. Each also through
`torch.compile`.
"""

import argparse
import json
import math
import statistics
import time
from functools import partial

import torch

ROWS, DIM, STATES, STEPS, CLOCK = 64, 1024, 64, 100, 5.0


def coefficients(t):
    """The share of kept tokens, that of refreshed ones, and the rate to another value."""
    keep = math.exp(-CLOCK * t)
    return keep, 1.0 - keep, CLOCK / STATES


def kernel(t, device=None):
    keep, fresh, _ = coefficients(t)
    return torch.full((STATES, STATES), fresh / STATES).fill_diagonal_(keep + fresh / STATES)


def posterior(laws, x, q):
    """p(x_0 | x) of every token, (N, D, S)."""
    p = laws * q.T[x]
    return p / p.sum(-1, keepdim=True)


def reverse_rates(laws, x, q, rate):
    """The general formula, for any kernel and any denoiser: (N, D, S)."""
    p = posterior(laws, x, q)
    ratios = (p / q.T[x]).reshape(-1, STATES) @ q
    rates = rate * ratios.reshape(x.shape[0], DIM, STATES)
    return rates.scatter(-1, x.unsqueeze(-1), 0.0)


def authors_step(laws, x, q, rate, tau):
    rates = reverse_rates(laws, x, q, rate)
    jumps = torch.poisson(rates * tau)
    once = jumps.sum(-1) == 1
    return torch.where(once, jumps.argmax(-1), x)


def totals(laws, x, q, rate):
    """What the total rates are sums of, (N, D, S), and the sums: the posterior times a table of the kernel alone."""
    p = posterior(laws, x, q)
    flow = rate * (1.0 - q)
    weights = p * (flow / q).T[x]
    return weights, weights.sum(-1)


def totals_step(laws, x, q, rate, tau, totals=totals):
    weights, total = totals(laws, x, q, rate)
    mean = tau * total
    moves = (torch.rand_like(mean) < mean * torch.exp(-mean)).nonzero(as_tuple=True)
    own = x[moves].unsqueeze(-1)
    clean = torch.multinomial(weights[moves], 1).squeeze(-1)
    x = x.clone()
    x[moves] = torch.multinomial(q[clean].scatter(-1, own, 0.0), 1).squeeze(-1)
    return x


def runner(step, laws):
    @torch.no_grad()
    def run():
        x = torch.randint(STATES, (ROWS, DIM))
        h = 0.99 / STEPS
        for k in range(STEPS):
            t = 1.0 - k * h
            x = step(laws, x, kernel(t), coefficients(t)[2], h)
        return x

    return run


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--variants", nargs="+", help="default: all")
    args = parser.parse_args()
    torch.manual_seed(1)
    torch.set_num_threads(2)
    laws = -torch.rand(DIM, STATES).log()
    laws /= laws.sum(-1, keepdim=True)
    variants = {
        "authors": authors_step,
        "totals": totals_step,
        "authors, compiled": torch.compile(authors_step, dynamic=False),
        "totals, compiled": partial(totals_step, totals=torch.compile(totals, dynamic=False)),
    }
    if args.variants:
        variants = {name: variants[name] for name in args.variants}
    for name, step in variants.items():
        run = runner(step, laws)
        run()
        seconds = []
        for _ in range(args.runs):
            start = time.perf_counter()
            run()
            seconds.append(time.perf_counter() - start)
        best = statistics.median(seconds)
        report = {
            "task": "denoise",
            "peer": "torch",
            "version": torch.__version__,
            "capability": torch.backends.cpu.get_cpu_capability(),
            "variant": name,
            "seconds": best,
            "ns_per_token_step": best / (ROWS * DIM * STEPS) * 1e9,
        }
        print(json.dumps(report), flush=True)


if __name__ == "__main__":
    main()
