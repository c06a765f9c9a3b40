"""Print the peak memory of `genpredict score` for more and more networks.

    python analysis/benchmarks/memory.py [--counts 200 2000] [--workers 1]

Freshly initialized networks of NATS-Bench's size space are written to a temporary folder, then
each count of them is scored by the command line in a process of its own. Peak memory is the
operating system's account of that process (its largest resident set; with several workers, that
of the largest process).
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

from genpredict.networks import build_network

WIDTHS = range(8, 72, 8)


def main() -> None:
    """Score growing numbers of networks and print time and peak memory."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--counts", type=int, nargs="+", default=[200, 2000])
    parser.add_argument("--workers", type=int, default=1)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        print("networks  seconds  peak MB")
        for count in sorted(arguments.counts):
            networks = Path(folder, "networks")
            write_networks(networks, count)
            store = Path(folder, f"{count}.zarr")
            seconds, peak = score(networks, store, arguments.workers)
            print(f"{count:8d}  {seconds:7.1f}  {peak:7.0f}")


def write_networks(folder: Path, count: int) -> None:
    """Write networks of random widths, those missing from the folder."""
    folder.mkdir(exist_ok=True)
    for index in range(len(list(folder.iterdir())), count):
        torch.manual_seed(index)
        widths = np.random.default_rng(index).choice(WIDTHS, 5)
        network = build_network("sss:" + ":".join(map(str, widths)))
        save_file(network.state_dict(), folder / f"{index:06d}.safetensors")


def score(networks: Path, store: Path, workers: int) -> tuple[float, float]:
    """Run the command; return its wall time in seconds and its peak memory in MB."""
    command = [sys.executable, "-c", "from genpredict.cli import main; main()", "score"]
    command += [str(networks), "-o", str(store), "--workers", str(workers)]
    start = time.perf_counter()
    process = os.posix_spawn(sys.executable, command, os.environ)
    _, status, usage = os.wait4(process, 0)
    if status:
        raise SystemExit(f"genpredict score ended with status {status}")
    return time.perf_counter() - start, usage.ru_maxrss / 1024


if __name__ == "__main__":
    main()
