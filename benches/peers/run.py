"""Runs a workload in every peer and prints one table of ratios to the Rust bench: `python benches/peers/run.py`.

The workload is W1, or with `--workload distances` the distances between samples.

The Rust figures are Criterion's medians of the group `w1` (`girsanov/f32`, `floor/f32`, ..), one iteration being all
of W1. `--bench` measures them first; without it those of the last `cargo bench` are read.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

import common
import distances_common

HERE = Path(__file__).resolve().parent
BENCH = ["cargo", "bench", "--manifest-path", str(HERE.parent / "Cargo.toml"), "--"]
DISTANCES = [HERE / f"distances_{name}.py" for name in ("pot", "torch", "geomloss")]
PEERS = {name: HERE / f"w1_{name}.py" for name in ("jax", "torch", "torchsde", "diffrax")}
OURS = "girsanov"
# Each library has its own cap: XLA, the kernels of PyTorch, and the two matrix libraries that PyTorch calls.
CAPS = {
    "avx2": {
        "W1_ISA": "avx2",
        "XLA_FLAGS": "--xla_cpu_max_isa=AVX2",
        "ATEN_CPU_CAPABILITY": "avx2",
        "MKL_ENABLE_INSTRUCTIONS": "AVX2",
        "ONEDNN_MAX_CPU_ISA": "AVX2",
    }
}


def rust(directory):
    """{name: {dtype: ns per element-step}} from Criterion's files of the group `w1`, however its ids are nested."""
    found = {}
    for path in sorted(directory.glob("**/new/benchmark.json")):
        group, *rest = json.loads(path.read_text())["full_id"].split("/")
        if group == "w1" and len(rest) == 2 and rest[1] in common.DTYPES:
            estimates = json.loads(path.with_name("estimates.json").read_text())
            found.setdefault(rest[0], {})[rest[1]] = estimates["median"]["point_estimate"] / common.ELEMENT_STEPS
    return found


def peer(name, script, args):
    """{dtype: report} of one peer, each number type in a process of its own."""
    environment = os.environ | CAPS.get(args.isa, {})
    if args.isa in CAPS and "XLA_FLAGS" in os.environ:
        environment["XLA_FLAGS"] = f"{os.environ['XLA_FLAGS']} {CAPS[args.isa]['XLA_FLAGS']}"
    options = ["--runs", str(args.runs)] + (["--dump", str(args.dump.resolve())] if args.dump else [])
    reports = {}
    for dtype in common.DTYPES:
        print(f"{name} {dtype} ..", file=sys.stderr, flush=True)
        command = [sys.executable, str(script), "--dtype", dtype, *options]
        done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True)
        if done.returncode:
            print(f"{name} {dtype} failed; its message is above", file=sys.stderr)
            continue
        reports[dtype] = json.loads(done.stdout.splitlines()[-1])
    return reports


def table(ours, reports):
    """The Markdown table: ns per element-step, and how many times as long as ours it took."""
    base = ours.get(OURS, {})
    rows = [(name, times, {}) for name, times in sorted(ours.items(), key=lambda item: item[0] != OURS)]
    for of_dtype in reports.values():
        times = {dtype: report["ns_per_element_step"] for dtype, report in of_dtype.items()}
        variants = {dtype: report["variant"] for dtype, report in of_dtype.items()}
        if of_dtype:
            rows.append((next(iter(of_dtype.values()))["peer"], times, variants))

    def number(value, unit=""):
        return "-" if value is None else f"{value:.2f}{unit}"

    def ratio(times, dtype):
        return times[dtype] / base[dtype] if dtype in times and dtype in base else None

    yield "| | f32 ns | f64 ns | f32 ratio | f64 ratio | fastest variant f32; f64 |"
    yield "|---|---:|---:|---:|---:|---|"
    for name, times, variants in rows:
        cells = [number(times.get(dtype)) for dtype in common.DTYPES]
        cells += [number(ratio(times, dtype), "x") for dtype in common.DTYPES]
        cells.append("; ".join(variants.get(dtype, "-") for dtype in common.DTYPES) if variants else "")
        yield f"| {name} | {' | '.join(cells)} |"


def distances(directory, runs):
    """The Markdown table of the workload `distances`: milliseconds, and how many times as long as ours."""
    reports = []
    for script in DISTANCES:
        command = [sys.executable, str(script), "--runs", str(runs)]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        # KeOps prints what it compiles.
        reports += [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    yield "| distance | type | ours ms | peer ms | ratio | peer and its fastest variant |"
    yield "|---|---|---:|---:|---:|---|"
    for report in sorted(reports, key=lambda r: (distances_common.TASKS.index(r["task"]), r["dtype"])):
        path = directory / "distances" / f"{report['task']}_{report['dtype']}" / "new" / "estimates.json"
        ours = json.loads(path.read_text())["median"]["point_estimate"] * 1e-6
        peer = report["seconds"] * 1e3
        name = f"{report['peer']} {report['versions'][report['peer']]}, {report['variant']}"
        yield f"| {report['task']} | {report['dtype']} | {ours:.0f} | {peer:.0f} | {peer / ours:.2f}x | {name} |"


def main():
    parser = argparse.ArgumentParser(description="W1 in the peers, beside the Rust bench")
    parser.add_argument("--workload", choices=("w1", "distances"), default="w1", help="distances: only --bench, --runs")
    parser.add_argument("--bench", action="store_true", help="run the Rust bench first")
    parser.add_argument("--criterion", type=Path, help="Criterion's directory (default benches/target/criterion)")
    parser.add_argument("--peers", nargs="+", choices=PEERS, default=list(PEERS), help="default: all")
    parser.add_argument("--runs", type=int, default=7, help="timed runs of each (default 7)")
    parser.add_argument("--isa", choices=["native", *CAPS], default="native", help="cap the peers' instruction set")
    parser.add_argument("--dump", type=Path, metavar="DIR", help="save the outputs for law.py")
    parser.add_argument("--json", type=Path, metavar="FILE", help="save the peers' full reports")
    args = parser.parse_args()

    if args.bench:
        subprocess.run([*BENCH, args.workload], check=True, stdout=sys.stderr)
    target = Path(os.environ.get("CARGO_TARGET_DIR", HERE.parent / "target"))
    directory = args.criterion or target / "criterion"
    if args.workload == "distances":
        print("\n".join(distances(directory, args.runs)))
        return
    ours = rust(directory)
    reports = {name: peer(name, PEERS[name], args) for name in args.peers}
    if args.json:
        args.json.write_text(json.dumps(reports, indent=1) + "\n")
    print(f"W1, ns per element-step, instruction set {common.isa() if args.isa == 'native' else args.isa}\n")
    print("\n".join(table(ours, reports)))
    if OURS not in ours:
        print(f"\nNo w1/{OURS} in {directory}: run with --bench, or first `{' '.join(BENCH)} w1`.")
    if args.isa in CAPS:
        print(f"\nThe cap holds for the peers only; give --criterion a Rust run limited to {args.isa}.")
    if not all(len(of_dtype) == len(common.DTYPES) for of_dtype in reports.values()):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
