"""Time and memory of `genpredict score` against the number of checkpoints: table and plot.

    python analysis/benchmarks/ladder.py -o analysis/benchmarks/results/ladder

Small archives of NATS-Bench's size space, one network each, are generated as by `archives.py` and
scored by the command line, so many at a time. CPU seconds and memory are of all processes
together, their start included. Writes a .csv and a .png.
"""

from __future__ import annotations

import argparse
import csv
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from archives import generate
from processes import GENPREDICT, Usage, run

from genpredict.figures.style import GROUP_COLOURS, PAGE_WIDTH, styled

COLUMNS = ("wall_s", "cpu_s", "cpu_ms_each", "memory_mb", "largest_process_mb")
COUNTS = [100, 200, 500, 1000, 2000, 5000]


def main() -> None:
    """Generate, score more and more, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--counts", type=int, nargs="+", default=COUNTS)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("-o", "--output", type=Path, required=True, help="without suffix")
    arguments = parser.parse_args()
    used: dict[int, Usage] = {}
    with tempfile.TemporaryDirectory() as temporary:
        for count in sorted(arguments.counts):
            used[count] = score(Path(temporary), count, arguments.workers)
            print(count, *figures(count, used[count]), flush=True)
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    write_table(used, arguments.output.with_suffix(".csv"))
    draw(used, arguments.output.with_suffix(".png"))


def score(folder: Path, count: int, workers: int) -> Usage:
    """Score the first so many archives, narrow networks all of them."""
    archives, store = folder / "archives", folder / f"{count}.zarr"
    generate(archives, range(count), [12], ["cifar10"])
    command = [*GENPREDICT, "score", str(archives), "--indices", f"0:{count}", "-o", str(store)]
    return run([*command, "--workers", str(workers), "--device", "cpu"])


def figures(count: int, used: Usage) -> tuple[str, ...]:
    """Return wall and CPU seconds, CPU milliseconds a checkpoint, MB in all and of the largest."""
    each = f"{1000 * used.cpu / count:.1f}"
    return (
        f"{used.wall:.1f}",
        f"{used.cpu:.1f}",
        each,
        f"{sum(used.peaks):.0f}",
        f"{used.peaks[0]:.0f}",
    )


def write_table(used: dict[int, Usage], path: Path) -> None:
    """Write the table."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(
            ["checkpoints", "wall_s", "cpu_s", "cpu_ms_each", "memory_mb", "largest_mb"]
        )
        writer.writerows([count, *figures(count, one)] for count, one in used.items())


def draw(used: dict[int, Usage], path: Path) -> None:
    """Draw time, with the line through the first and the last point, and memory."""
    counts = np.array(list(used))
    cpu = np.array([one.cpu for one in used.values()])
    memory = np.array([sum(one.peaks) for one in used.values()])
    line = np.polyfit(counts, cpu, 1)
    with styled():
        figure, (left, right) = plt.subplots(1, 2, figsize=(PAGE_WIDTH, 2.4), layout="constrained")
        left.plot(counts, np.polyval(line, counts), color=GROUP_COLOURS[4], zorder=1)
        left.scatter(counts, cpu, color=GROUP_COLOURS[0], zorder=2)
        left.set(xlabel="checkpoints", ylabel="CPU time (s)", ylim=(0, None), xlim=(0, None))
        text = f"{line[1]:.1f} s + {1000 * line[0]:.1f} ms a checkpoint"
        left.set_title(text, loc="left")
        right.plot(counts, memory, "o-", color=GROUP_COLOURS[1])
        right.axhline(1500, color="0.6", linestyle=":")
        right.set(xlabel="checkpoints", ylabel="memory, all processes (MB)")
        right.set(ylim=(0, 1600), xlim=(0, None))
        figure.savefig(path, dpi=200)


if __name__ == "__main__":
    main()
