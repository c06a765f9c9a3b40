"""Time and memory of `genpredict score` on NATS-Bench archives, end to end.

    python analysis/benchmarks/archives.py [--count 2000] [--workers 2] [--folder KEPT]
    python analysis/benchmarks/archives.py --ladder 100 500 1000 5000

With the package indexed_bzip2 installed both use it.

Archives of the size space are generated in full form: random weights in the shapes of the real
networks, real metadata, a few to 20 MB compressed. The command line scores them in processes of
its own; the same files are then only unpacked and unpickled on the same number of processes. The
ratio of the two is what scoring costs beyond what no program that reads these files can avoid. CPU
seconds are counted beside wall seconds, since on a machine that does other work only they mean
anything. Memory is the sum, over all processes, of each one's largest resident set.

The ladder scores growing numbers of checkpoints, small archives of one network each, and prints
time and memory against their number.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from functools import partial
from pathlib import Path

import numpy as np
import torch

from genpredict.checkpoints import open_checkpoints
from genpredict.checkpoints.nats_unpickling import load_nats_pickle
from genpredict.engine import available_cores, run_in_order
from genpredict.jobs.units import cut, measure_unit
from genpredict.scoring import Options

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))
from nats_archives import write_size_space_archive

WHOLE_SPACE = 32_768
CORES = (1, 16, 64)
FEW = 12
SCORE = [sys.executable, "-c", "from genpredict.cli import main; main()", "score"]
UNPACK = """
import sys
from pathlib import Path
from genpredict.checkpoints import nats_unpickling
from genpredict.engine import run_in_order

def unpack(path):
    nats_unpickling.load_nats_pickle(path)

if __name__ == "__main__":
    files = sorted(Path(sys.argv[1]).glob("*.pbz2"))[: int(sys.argv[3])]
    for _ in run_in_order(unpack, files, workers=int(sys.argv[2])):
        pass
"""


def main() -> None:
    """Generate, score, unpack; print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=24, help="archives")
    parser.add_argument("--epochs", type=int, nargs="+", default=[12, 90])
    parser.add_argument("--datasets", nargs="+", default=["cifar10", "cifar100", "ImageNet16-120"])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--folder", type=Path, help="generate here, and keep the archives")
    parser.add_argument("--ladder", type=int, nargs="+", help="numbers of checkpoints")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary, "archives")
        if arguments.ladder:
            ladder(folder, sorted(arguments.ladder), arguments.workers)
            return
        generate(folder, arguments.count, arguments.epochs, arguments.datasets)
        report(folder, Path(temporary), arguments.workers)


def generate(
    folder: Path, count: int, epochs: list[int], datasets: list[str], *, small: bool = False
) -> None:
    """Write archives on all cores, those missing from the folder; the same ones every time."""
    folder.mkdir(parents=True, exist_ok=True)
    indices = np.random.default_rng(0).permutation(WHOLE_SPACE)
    if small:  # the narrow networks first, so that a ladder takes minutes
        indices = np.arange(WHOLE_SPACE)
    missing = [
        int(index)
        for index in indices[:count]
        if not (folder / f"{index:06d}.pickle.pbz2").exists()
    ]
    write = partial(write_archive, folder=folder, epochs=epochs, datasets=datasets)
    for _ in run_in_order(write, missing, workers=available_cores()):
        pass


def write_archive(index: int, *, folder: Path, epochs: list[int], datasets: list[str]) -> None:
    """Write one archive."""
    rng = np.random.default_rng(index)
    write_size_space_archive(folder, index, epochs=epochs, datasets=datasets, rng=rng)


def report(folder: Path, temporary: Path, workers: int) -> None:
    """Score and unpack the archives of a folder, and print what it took.

    What a run costs however little it does is seen by a run over the first `FEW` archives, and
    taken out of the second ratio.
    """
    files = sorted(folder.glob("*.pbz2"))
    size = sum(file.stat().st_size for file in files) / 1e6
    few = ",".join(file.name[:6] for file in files[:FEW])
    store, script = temporary / "scores.zarr", temporary / "unpack.py"
    script.write_text(UNPACK)
    command = [*SCORE, str(folder), "-o", str(store), "--workers", str(workers)]
    command += ["--device", "cpu", "--overwrite"]
    floor = [sys.executable, str(script), str(folder), str(workers)]
    (few_wall, few_cpu, _), (few_floor_wall, few_floor_cpu, _) = (
        run([*command, "--indices", few]),
        run([*floor, str(FEW)]),
    )
    (wall, cpu, memory), (floor_wall, floor_cpu, _) = run(command), run([*floor, str(len(files))])
    rows = json.loads((store / "checkpoint" / "zarr.json").read_text())["shape"][0]
    print(f"{len(files)} archives of {size / len(files):.1f} MB, {size:.0f} MB, {rows} networks")
    print(f"score:  {wall:8.1f} s wall, {cpu:8.1f} s CPU, {workers} workers")
    print(f"unpack: {floor_wall:8.1f} s wall, {floor_cpu:8.1f} s CPU")
    print(f"ratio:  {wall / floor_wall:8.2f} wall,   {cpu / floor_cpu:8.2f} CPU (asked: 1.15)")
    if len(files) > FEW:
        more = (wall - few_wall) / (floor_wall - few_floor_wall)
        more_cpu = (cpu - few_cpu) / (floor_cpu - few_floor_cpu)
        print(f"  start-up apart: {more:.2f} wall,   {more_cpu:8.2f} CPU")
    print(f"  unit by unit in one process: {unit_by_unit(folder, few):.2f} CPU")
    print(f"speed:  {rows / wall:8.1f} checkpoints/s, {size / wall:.1f} MB/s")
    print(f"memory: {sum(memory):8.0f} MB in all: " + ", ".join(f"{m:.0f}" for m in memory))
    for cores in CORES:
        hours = cpu / len(files) * WHOLE_SPACE / cores / 3600
        print(f"all {WHOLE_SPACE:,} archives on {cores:2d} cores: {hours:6.1f} hours")


def unit_by_unit(folder: Path, indices: str) -> float:
    """Return the ratio of scoring to unpacking, each unit of work both ways in turn.

    Other work on the machine slows both by the same; processes and their start are left out.
    """
    torch.set_num_threads(1)
    options, scoring, unpacking = Options(device="cpu"), 0.0, 0.0
    units = list(cut(open_checkpoints(folder, indices=indices).items))
    measure_unit(units[0], options=options)  # the first one pays for what is made once
    for unit in units * 3:
        start = time.process_time()
        for item in unit.items:
            load_nats_pickle(item.path)
        middle = time.process_time()
        measure_unit(unit, options=options)
        unpacking += middle - start
        scoring += time.process_time() - middle
    return scoring / unpacking


def ladder(folder: Path, counts: list[int], workers: int) -> None:
    """Score more and more checkpoints, and print time and memory."""
    print("checkpoints  wall s  CPU s  CPU ms each  memory MB")
    for count in counts:
        generate(folder, count, [12], ["cifar10"], small=True)
        with tempfile.TemporaryDirectory() as temporary:
            store = Path(temporary, "s.zarr")
            command = [*SCORE, str(folder), "--indices", f"0:{count}", "-o", str(store)]
            wall, cpu, memory = run([*command, "--workers", str(workers), "--device", "cpu"])
        each = 1000 * cpu / count
        print(f"{count:11d}  {wall:6.1f}  {cpu:5.1f}  {each:11.1f}  {sum(memory):9.0f}", flush=True)


def run(command: list[str]) -> tuple[float, float, list[float]]:
    """Run a command; return wall and CPU seconds, and each process's peak memory in MB."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as process:
        peaks: dict[int, float] = {}
        watcher = threading.Thread(target=watch, args=(process, peaks))
        watcher.start()
        _, said = process.communicate()
        watcher.join()
    wall = time.perf_counter() - start
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}:\n{said}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return wall, cpu, sorted(peaks.values(), reverse=True)


def watch(process: subprocess.Popen[str], peaks: dict[int, float]) -> None:
    """Note the largest resident set of a process and all below it until it ends (Linux)."""
    while process.poll() is None:
        for pid in descendants(process.pid):
            try:
                status = Path(f"/proc/{pid}/status").read_text()
            except OSError:
                continue
            for line in status.splitlines():
                if line.startswith("VmHWM"):
                    peaks[pid] = int(line.split()[1]) / 1024
        time.sleep(0.2)


def descendants(pid: int) -> list[int]:
    """List a process and all below it."""
    found = [pid]
    for one in found:
        try:
            tasks = list(Path(f"/proc/{one}/task").iterdir())
        except OSError:
            continue
        for task in tasks:
            try:
                found += map(int, (task / "children").read_text().split())
            except OSError:
                continue
    return found


if __name__ == "__main__":
    main()
