"""Processor time of `genpredict score` in this version against another one.

    python analysis/benchmarks/versions.py OTHER [--pairs 5] [--only files,archives,cache]

OTHER is the Python of an environment in which the other version is installed, or of a worktree's
virtual environment. Sources are made anew: networks of the size space at random, half torch files,
half safetensors, and archives of the size space in full form; each version caches the archives
itself. A process of one thread imports genpredict, scores two files, which loads whatever is loaded
on demand, and then scores everything into new stores, REPEATS times. The least processor time of
these, user and system, is compared, in pairs of one process of each version in turn: on a machine
that does other work wall time means nothing, and processor time is too long rather than too short.
Start-up, all before, stands beside it.

``same`` leaves out the measures that versions before `FIRST_MEASURES` were told apart had not;
``default`` is the command as it is.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from archives import WHOLE_SPACE, generate
from processes import GENPREDICT

EPOCHS, DATASETS = [12, 90], ["cifar10", "cifar100", "ImageNet16-120"]
WIDTHS = range(8, 72, 8)
WORK = r"""
import json, resource, sys
from genpredict.cli import run

def used():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime

few, everything, store, measures, repeats = sys.argv[1:]
if measures == "same":
    from genpredict import schema
    if first := getattr(schema, "FIRST_MEASURES", ()):
        from genpredict.options import Options
        before = Options.__init__
        def of_old(self, *given, **choices):
            before(self, *given, **choices | {"measures": first, "network_measures": ()})
        Options.__init__ = of_old

def score(source, name):
    start = used()
    store_and_how = ["-o", f"{store}/{name}.zarr", "--workers", "1", "--device", "cpu"]
    assert run(["score", source, *store_and_how]) == 0
    return used() - start

score(few, "few")
start = used()
print("ANSWER" + json.dumps([start, min(score(everything, n) for n in range(int(repeats)))]))
"""
FEW = 2


def main() -> None:
    """Make the sources, measure in pairs, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("other", help="Python of the environment of the other version")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--repeats", type=int, default=3, help="in each process")
    parser.add_argument("--networks", type=int, default=512, help="of the plain files")
    parser.add_argument("--archives", type=int, default=24)
    parser.add_argument("--only", default="files,archives,cache")
    parser.add_argument("--measures", default="same,default")
    parser.add_argument("--folder", type=Path, help="make the sources here, and keep them")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = (arguments.folder or Path(temporary)).resolve()
        make_sources(folder, arguments.networks, arguments.archives, arguments.other)
        for kind in arguments.only.split(","):
            for measures in arguments.measures.split(","):
                compare(folder, kind, measures, arguments)


def make_sources(folder: Path, networks: int, archives: int, other: str) -> None:
    """Write files and archives where they are missing, few of them linked beside, and caches."""
    indices = np.random.default_rng(0).permutation(WHOLE_SPACE)[:archives].tolist()
    generate(folder / "archives", indices, EPOCHS, DATASETS)
    write_files(folder / "files", networks)
    for kind in ("archives", "files"):
        few = folder / f"{kind}-few"
        few.mkdir(exist_ok=True)
        for path in sorted((folder / kind).iterdir())[:FEW]:
            if not (few / path.name).exists():
                os.link(path, few / path.name)
    for version, python in (("this", sys.executable), ("other", other)):
        for source, name in (("archives", "cache"), ("archives-few", "cache-few")):
            cache = folder / f"{name}-{version}"
            command = [python, *GENPREDICT[1:], "cache", str(folder / source), "-o", str(cache)]
            subprocess.run(command, check=True, capture_output=True)


def write_files(folder: Path, count: int) -> None:
    """Write small networks of the size space, half torch's own files, half safetensors."""
    import torch
    from safetensors.torch import save_file

    from genpredict.networks import build_network

    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    for number in range(count):
        widths = ":".join(map(str, rng.choice(WIDTHS, 5)))
        suffix = "safetensors" if number % 2 else "pt"
        path = folder / f"{number:04d}.{suffix}"
        if path.exists():
            continue
        torch.manual_seed(number)
        tensors = build_network(f"sss:{widths}").state_dict()
        if number % 2:
            save_file(tensors, path)
        else:
            torch.save(tensors, path)


def compare(folder: Path, kind: str, measures: str, arguments: argparse.Namespace) -> None:
    """Measure pairs, the first of each in turn, and print least times and ratios."""
    times: dict[str, list[tuple[float, float]]] = {"this": [], "other": []}
    for number in range(arguments.pairs):
        for version in sorted(times, reverse=bool(number % 2)):
            few, everything = (f"{kind}{part}" for part in ("-few", ""))
            if kind == "cache":
                few, everything = (f"{name}-{version}" for name in (few, everything))
            python = sys.executable if version == "this" else arguments.other
            sources = [str(folder / few), str(folder / everything)]
            choices = [measures, str(arguments.repeats)]
            times[version].append(measured(python, sources, choices))
    ratios = sorted(t[1] / o[1] for t, o in zip(times["this"], times["other"], strict=True))
    starts, whole = (
        [min(row[part] for row in times[version]) for version in ("this", "other")]
        for part in (0, 1)
    )
    print(
        f"{kind:9s} {measures:8s} {whole[0]:6.2f} s / {whole[1]:6.2f} s = {whole[0] / whole[1]:.3f}"
        f"; pairs {statistics.median(ratios):.3f} ({ratios[0]:.3f} to {ratios[-1]:.3f}); "
        f"start-up {starts[0]:.2f} s / {starts[1]:.2f} s",
        flush=True,
    )


def measured(python: str, sources: list[str], choices: list[str]) -> tuple[float, float]:
    """Return the processor seconds of start-up and of scoring in one process."""
    with tempfile.TemporaryDirectory() as store:
        command = [python, "-c", WORK, *sources, store, *choices]
        threads = {**os.environ, "OMP_NUM_THREADS": "1"}
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=threads)
    answers = [line for line in done.stdout.splitlines() if line.startswith("ANSWER")]
    if not answers:
        raise SystemExit(f"{python} ended with {done.returncode}:\n{done.stderr}")
    start, seconds = json.loads(answers[-1].removeprefix("ANSWER"))
    return start, seconds


if __name__ == "__main__":
    main()
