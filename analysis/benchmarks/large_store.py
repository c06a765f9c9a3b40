"""Measure what a store of many rows costs: to open it, and each command on it.

A store of the size of NATS-Bench's size space at two epochs, written by the job's own writer from
rows of random networks of that space's depth. It is opened in a process of its own, and each
command is run on it, a few times.

    python analysis/benchmarks/large_store.py FOLDER [--rows 196608]

prints rows, files and bytes of the store; seconds and memory of each opening, imports apart; and of
each command, imports included, the medians of seconds by the clock and of the processor, the most
memory, and what it wrote.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import xarray as xr

from genpredict.network_columns import add_network_measures
from genpredict.options import Options
from genpredict.row_checks import Row
from genpredict.rows import to_dataset
from genpredict.schema import AXES
from genpredict.store.writing import open_writer

#: Rows that are written together, as the job does.
STEP = 1024
#: Layers of a network of the size space: convolutions, then a classifier.
DEPTH = 25
OPENINGS = 3
#: Runs of each command.
RUNS = 3
COMMANDS = {
    "show": (["show"], ""),
    "scatter": (["figure", "scatter"], "f.png"),
    "correlate by epoch": (["correlate", "--targets", "test_accuracy", "--by", "epoch"], ""),
    "report": (["report"], "r.html"),
}
_OPEN = """
import re, sys, time
from pathlib import Path
import genpredict, genpredict.store, numpy, xarray, zarr, pandas

xarray.DataArray([0.0]) + 1  # xarray loads Dask, where that is installed, with its first array

def peak():
    return int(re.search(r"VmHWM:\\s*(\\d+)", Path("/proc/self/status").read_text())[1]) / 1024

before, start, cpu = peak(), time.perf_counter(), time.process_time()
scores = genpredict.open_scores(sys.argv[1])
best = float(scores["Q"].sel(factorization="low_rank", p=2).max())
seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
print(f"opened in {seconds:.2f} s ({cpu:.2f} s of processor time)", end="; ")
print(f"{peak():.0f} MB at most, {peak() - before:.0f} more than before")
"""


def layers_of(architecture: int) -> list[tuple[str, str, str]]:
    """Name the layers of a network of the size space."""
    width = 8 * (1 + architecture % 8)
    convolutions = [
        (f"cells.{depth}.conv.weight", "conv", f"{width}x{width}x3x3") for depth in range(DEPTH - 1)
    ]
    return [*convolutions, ("classifier.weight", "linear", f"10x{width}")]


def rows_of(count: int, options: Options) -> Iterator[xr.Dataset]:
    """Yield rows of random measures, a step at a time."""
    rng = np.random.default_rng(0)
    sizes = {dim: len(labels) for dim, labels in AXES.items()}
    for first in range(0, count, STEP):
        numbers = range(first, min(first + STEP, count))
        rows = [
            Row(
                f"NATS-sss/{number // 2:06d}/cifar10/{(12, 90)[number % 2]}/777",
                f"NATS-sss-v1_0-50262-full/{number // 2:06d}.pickle.pbz2",
                {
                    "network": ":".join(str(8 * (1 + number // 8**k % 8)) for k in range(5)),
                    "dataset": "cifar10", "optimizer": "sgd", "epoch": (12, 90)[number % 2],
                    "seed": 777, "num_parameters": 100_000 + number,
                    "train_accuracy": 100 * rng.random(), "test_accuracy": 100 * rng.random(),
                },
                layers_of(number // 2),
            )
            for number in numbers
        ]  # fmt: skip
        layers = len(rows) * DEPTH
        measures = {
            row.name: rng.random((layers, *(sizes[dim] for dim in row.dims[2:])))
            for row in options.rows
        }
        measures["rank"] = np.floor(8 * measures["rank"])
        yield add_network_measures(to_dataset(rows, measures, options.rows), options.network_rows)


def write_store(path: Path, count: int) -> None:
    """Write a store of that many rows with the writer of `genpredict score`."""
    options = Options(device="cpu")
    with open_writer(path, {**options.attrs(), "command": "large_store.py"}) as writer:
        for rows in rows_of(count, options):
            writer.write(rows)


def run(words: list[str], output: str, path: Path) -> tuple[float, float, float]:
    """Run a command on the store; return seconds by the clock, of the processor, and megabytes."""
    command = [sys.executable, "-m", "genpredict", *words, str(path)]
    command += ["-o", output, "--overwrite"] if output else []
    start = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)}: exit code {process.returncode}")
    seconds = time.perf_counter() - start
    return seconds, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


def time_commands(path: Path) -> None:
    """Print what each command costs."""
    with tempfile.TemporaryDirectory() as folder:
        for name, (words, file) in COMMANDS.items():
            output = str(Path(folder) / file) if file else ""
            costs = list(zip(*(run(words, output, path) for _ in range(RUNS)), strict=True))
            seconds, cpu = (statistics.median(part) for part in costs[:2])
            written = f"; {Path(output).stat().st_size / 1e6:.2f} MB written" if output else ""
            print(
                f"{name}: {seconds:.2f} s ({cpu:.2f} s of processor time), "
                f"{max(costs[2]):.0f} MB at most{written}"
            )


def main() -> None:
    """Write the store where it is not there, open it, and run the commands on it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="where the store is, or is written to")
    parser.add_argument("--rows", type=int, default=65_536, help="of the store (%(default)s)")
    options = parser.parse_args()
    count = options.rows
    path = options.folder / f"rows-{count}.zarr"
    if not path.exists():
        start = time.perf_counter()
        write_store(path, count)
        print(f"written in {time.perf_counter() - start:.0f} s")
    files = [file for file in path.rglob("*") if file.is_file()]
    size = sum(file.stat().st_size for file in files)
    print(f"{count:,} rows, {len(files):,} files, {size / 1e6:,.0f} MB")
    for _ in range(OPENINGS):
        command = [sys.executable, "-c", _OPEN, str(path)]
        print(subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip())
    time_commands(path)


if __name__ == "__main__":
    main()
