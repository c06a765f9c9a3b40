"""Throughput of `genpredict score --engine dask` with one worker process and with two.

    python analysis/benchmarks/dask_workers.py [--count 40] [--rounds 3] [--folder KEPT]

Archives of NATS-Bench's size space are generated as by archives.py: random weights in the shapes
of the real networks, a few MB each. Clusters of local processes score them, one worker and two in
turn, in this process; a cluster's start (processes, imports, a first archive on each worker) is
timed apart. Every store must equal that of the local engine to the byte, or the script ends with
an error. Each worker computes on one thread.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from archives import WHOLE_SPACE, generate

from genpredict.checkpoints import CheckpointSources, open_checkpoints
from genpredict.jobs.dask_engine import connected, score_on_dask
from genpredict.jobs.score_job import score_into
from genpredict.jobs.units import Unit, cut, measure_unit
from genpredict.scoring import Options

WORKERS = (1, 2)
#: What two workers are asked to reach, by the throughput of one.
ASKED = 1.5
OPTIONS = Options(device="cpu")
ATTRS = {"command": "benchmark"}


@dataclass(frozen=True)
class Times:
    """Seconds that a cluster took to start, and to score."""

    start: float
    work: float


def main() -> None:
    """Generate, score, compare; print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=40, help="archives")
    parser.add_argument("--epochs", type=int, nargs="+", default=[12, 90])
    parser.add_argument("--datasets", nargs="+", default=["cifar10", "cifar100", "ImageNet16-120"])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="generate here, and keep the archives")
    arguments = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"  # of the workers
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary, "archives")
        indices = np.random.default_rng(0).permutation(WHOLE_SPACE)[: arguments.count].tolist()
        generate(folder, indices, arguments.epochs, arguments.datasets)
        compare(folder, indices, Path(temporary), arguments.rounds)


def compare(folder: Path, indices: list[int], temporary: Path, rounds: int) -> None:
    """Score archives of a folder with every number of workers, in turn."""
    sources = open_checkpoints(folder, indices=",".join(map(str, indices)))
    size = sum(item.size for item in sources.items) / 1e6
    local = temporary / "local.zarr"
    rows = score_into(local, sources, OPTIONS, attrs=ATTRS, workers=1).done
    units = len(list(cut(sources.items)))
    print(f"{len(indices)} archives, {size:.0f} MB, {rows} networks in {units} units of work")
    found: dict[int, list[Times]] = {workers: [] for workers in WORKERS}
    for number in range(rounds):
        for workers in WORKERS:
            store = temporary / f"{number}-{workers}.zarr"
            found[workers].append(score(sources, store, workers))
            check_equal(store, local)
    print("workers  start s  work s  MB/s  MB/s with the start")
    for workers, times in found.items():
        start, work = (statistics.median(t) for t in zip(*map(pair, times), strict=True))
        whole = size / (start + work)
        print(f"{workers:7d}  {start:7.1f}  {work:6.1f}  {size / work:4.1f}  {whole:4.1f}")
    print(f"all stores equal the local engine's to the byte ({rounds} rounds)")
    one, two = (found[workers] for workers in WORKERS)
    ratio = middle_ratio([t.work for t in one], [t.work for t in two])
    whole = middle_ratio([sum(pair(t)) for t in one], [sum(pair(t)) for t in two])
    print(f"two workers: {ratio:.2f} times the throughput of one (asked: {ASKED})")
    print(f"  with the start of the cluster: {whole:.2f} times")


def pair(times: Times) -> tuple[float, float]:
    """Return start and work."""
    return times.start, times.work


def middle_ratio(slow: list[float], fast: list[float]) -> float:
    """Return the median of the ratios of the rounds."""
    return statistics.median(a / b for a, b in zip(slow, fast, strict=True))


def score(sources: CheckpointSources, store: Path, workers: int) -> Times:
    """Score on a cluster of its own; return how long that took."""
    begin = time.perf_counter()
    with connected(None, workers) as client:
        client.run(warm, Unit(tuple(sources.items[:1])))
        address = client.scheduler_info()["address"]
        ready = time.perf_counter()
        score_on_dask(store, sources, OPTIONS, scheduler=address, attrs=ATTRS)
        return Times(ready - begin, time.perf_counter() - ready)


def warm(unit: Unit) -> None:
    """Import and measure on a worker what it would import at its first task."""
    import torch

    torch.set_num_threads(1)
    measure_unit(unit, options=OPTIONS)


def check_equal(found: Path, expected: Path) -> None:
    """End the script where two stores differ in any file."""
    stores: list[dict[str, Any]] = [
        {str(f.relative_to(path)): f.read_bytes() for f in path.rglob("*") if f.is_file()}
        for path in (found, expected)
    ]
    names = stores[0].keys() | stores[1].keys()
    if different := sorted(n for n in names if stores[0].get(n) != stores[1].get(n)):
        sys.exit(f"{found}: differs from the local engine's store: {different}")


if __name__ == "__main__":
    main()
