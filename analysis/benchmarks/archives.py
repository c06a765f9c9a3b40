"""Time and memory of `genpredict score` on NATS-Bench archives, end to end.

    python analysis/benchmarks/archives.py [--count 2000] [--workers 2] [--folder KEPT]

With the package indexed_bzip2 installed all of it unpacks with that.

Archives of the size space are generated in full form: random weights in the shapes of the real
networks, real metadata, a few to 20 MB compressed. The command line scores them in processes of
its own; the same files are then only unpacked and unpickled on the same number of processes, once
by genpredict's reader and once as nats_bench reads them, by `bz2` and `pickle.load`. The ratio to
the first is what scoring costs beyond what no program that reads these files can avoid. Then
`genpredict cache` unpacks them for good, and the cache is scored.

CPU seconds are counted beside wall seconds, since on a machine that does other work only they
mean anything. Memory is the sum, over all processes, of each one's largest resident set.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
from processes import GENPREDICT, Usage, run

from genpredict.engine import available_cores, run_in_order

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))
from nats_archives import write_size_space_archive

WHOLE_SPACE = 32_768
CORES = (1, 16, 64)
FEW = 12
UNPACK = """
import bz2, pickle, sys
from pathlib import Path
from genpredict.checkpoints.nats.unpickling import load_nats_pickle
from genpredict.engine import run_in_order

def by_genpredict(path):
    load_nats_pickle(path)

def by_pickle(path):
    import torch
    torch.set_num_threads(1)
    with bz2.open(path) as file:
        pickle.load(file)

if __name__ == "__main__":
    folder, workers, count, reader = sys.argv[1:]
    files = sorted(Path(folder).glob("*.pbz2"))[: int(count)]
    for _ in run_in_order(globals()[reader], files, workers=int(workers)):
        pass
"""


def main() -> None:
    """Generate, score, unpack, cache; print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=24, help="archives")
    parser.add_argument("--epochs", type=int, nargs="+", default=[12, 90])
    parser.add_argument("--datasets", nargs="+", default=["cifar10", "cifar100", "ImageNet16-120"])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--folder", type=Path, help="generate here, and keep the archives")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary, "archives")
        indices = np.random.default_rng(0).permutation(WHOLE_SPACE)[: arguments.count]
        generate(folder, indices.tolist(), arguments.epochs, arguments.datasets)
        report(folder, Path(temporary), arguments.workers)


def generate(folder: Path, indices: Sequence[int], epochs: list[int], datasets: list[str]) -> None:
    """Write archives on all cores, those missing from the folder; the same ones every time."""
    folder.mkdir(parents=True, exist_ok=True)
    missing = [i for i in indices if not (folder / f"{i:06d}.pickle.pbz2").exists()]
    write = partial(write_archive, folder=folder, epochs=epochs, datasets=datasets)
    for _ in run_in_order(write, missing, workers=available_cores()):
        pass


def write_archive(index: int, *, folder: Path, epochs: list[int], datasets: list[str]) -> None:
    """Write one archive."""
    rng = np.random.default_rng(index)
    write_size_space_archive(folder, index, epochs=epochs, datasets=datasets, rng=rng)


def report(folder: Path, temporary: Path, workers: int) -> None:
    """Score the archives of a folder, only unpack them, cache them; print what it took.

    What a run costs however little it does is seen by a run over the first `FEW` archives, and
    taken out of the second ratio.
    """
    files = sorted(folder.glob("*.pbz2"))
    size = sum(file.stat().st_size for file in files) / 1e6
    few = ",".join(file.name[:6] for file in files[:FEW])
    store, cache, script = temporary / "s.zarr", temporary / "cache", temporary / "unpack.py"
    script.write_text(UNPACK)
    on = ["--workers", str(workers)]
    score = [*GENPREDICT, "score", str(folder), "-o", str(store), *on]
    score += ["--device", "cpu", "--overwrite"]
    unpack = [sys.executable, str(script), str(folder), str(workers)]
    few_scored = run([*score, "--indices", few])
    few_floor = run([*unpack, str(FEW), "by_genpredict"])
    scored, floor = run(score), run([*unpack, str(len(files)), "by_genpredict"])
    rows = json.loads((store / "checkpoint" / "zarr.json").read_text())["shape"][0]
    print(f"{len(files)} archives of {size / len(files):.1f} MB, {size:.0f} MB, {rows} networks")
    show("score", scored)
    show("unpack", floor, scored)
    if len(files) > FEW:
        show("  both without start-up", floor.less(few_floor), scored.less(few_scored))
    show("by pickle.load", run([*unpack, str(len(files)), "by_pickle"]), scored)
    print(f"speed: {rows / scored.wall:.1f} checkpoints/s, {size / scored.wall:.1f} MB/s")
    peaks = ", ".join(f"{peak:.0f}" for peak in scored.peaks)
    print(f"memory: {sum(scored.peaks):.0f} MB in all: {peaks}")
    for cores in CORES:
        hours = scored.cpu / len(files) * WHOLE_SPACE / cores / 3600
        print(f"all {WHOLE_SPACE:,} archives on {cores:2d} cores: {hours:6.1f} hours")
    show(
        "genpredict cache", run([*GENPREDICT, "cache", str(folder), "-o", str(cache), *on]), scored
    )
    score[len(GENPREDICT) + 1] = str(cache)
    few_again, again = run([*score, "--indices", few]), run(score)
    show("score the cache", again, scored)
    if len(files) > FEW:
        show("  both without start-up", again.less(few_again), scored.less(few_scored))


def show(name: str, used: Usage, scored: Usage | None = None) -> None:
    """Print what something took, and how many times that scoring the archives takes."""
    line = f"{name:24s} {used.wall:8.1f} s wall, {used.cpu:8.1f} s CPU"
    if scored is not None:
        line += f"; score takes {scored.wall / used.wall:6.2f}, {scored.cpu / used.cpu:6.2f} times"
    print(line, flush=True)


if __name__ == "__main__":
    main()
