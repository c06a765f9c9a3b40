"""Kill jobs at random moments, go on, and compare with what an undisturbed job leaves.

    python analysis/kills.py [--kills 1000] [--folder kills] [--seed 0] [--jobs score merge ...]

Each round kills a job up to eight times at random moments (SIGKILL), looks at what has a final
name, then runs the same command to its end and compares: stores, caches, merged stores and tables
byte for byte, runs but for seconds; nothing may lie there that an undisturbed job does not leave.
Counts are kept in FOLDER/counts.json after every round, so that the script itself goes on where it
was stopped. A difference is a finding: its round is kept in FOLDER, and printed.

Jobs run in forked processes of one thread: what is imported once is not imported a thousand times,
and kills meet the work, not the imports. Moments are drawn by the job's own CPU time, so that they
meet all of it on a busy machine too. A FOLDER in memory (/dev/shm) spares the disk.
"""

from __future__ import annotations

import argparse
import bz2
import contextlib
import importlib
import io
import json
import os
import pickle
import random
import shutil
import signal
import sys
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"  # before torch is there: a fork has no threads

ZOO = Path(__file__).resolve().parents[1] / "data" / "digits-zoo"
SWEEP = """
[settings]
recipe = "digits"
num_train = 20
epochs = 2
threads = 1
checkpoint_epochs = [1]

[grid]
optimizer = ["sgd", "rmsgd"]
"""
TABLE = ["correlate", "a.zarr", "--targets", "test_accuracy", "--resamples", "20"]
#: Between two looks at a clock, in seconds.
SHORTEST = 5e-4
#: Wall-clock times: all that may differ.
SECONDS = ("seconds",)


@dataclass(frozen=True)
class Job:
    """A command and what it leaves.

    Parameters
    ----------
    command : tuple of str
        Run in the folder of a round.
    outputs : tuple of str
        What has a final name afterwards.
    is_whole : bool
        Whether an output must be the old one or the new one after a kill; a job that goes on
        fills its own bit by bit.
    before : tuple of str
        A command that makes the old output.
    """

    command: tuple[str, ...]
    outputs: tuple[str, ...]
    is_whole: bool = False
    before: tuple[str, ...] = field(default=())


def _table(name: str) -> Job:
    """Return a job that writes correlations over older ones."""
    command = [*TABLE, "-o", name, "--overwrite"]
    return Job((*command, "--seed", "2"), (name,), True, (*command, "--seed", "1"))


REPORT = ("report", "a.zarr", "-o", "r.html", "--overwrite", "--resamples", "20")
JOBS: dict[str, Job] = {
    "score": Job(
        ("score", "nets", "--manifest", "nets/manifest.csv", "-o", "s.zarr", "--workers", "1",
         "--chunk-size", "4", "--device", "cpu"), ("s.zarr",),
    ),
    "score archives": Job(
        ("score", "nats", "-o", "n.zarr", "--workers", "1", "--chunk-size", "2", "--device", "cpu"),
        ("n.zarr",),
    ),
    "sweep": Job(("sweep", "sweep.toml", "-o", "runs", "--workers", "1"), ("runs",)),
    "merge": Job(
        ("merge", "a.zarr", "b.zarr", "-o", "m.zarr", "--overwrite"), ("m.zarr",), True,
        ("merge", "b.zarr", "b.zarr", "-o", "m.zarr", "--overwrite"),
    ),
    "cache": Job(("cache", "nats", "-o", "cached", "--workers", "1"), ("cached",)),
    "report": Job((*REPORT, "--seed", "2"), ("r.html",), True, (*REPORT, "--seed", "1")),
    "correlate csv": _table("t.csv"),
    "correlate zarr": _table("t.zarr"),
    "correlate nc": _table("t.nc"),
}  # fmt: skip


def started(command: tuple[str, ...], folder: Path) -> int:
    """Fork a process that runs a command in a folder; return its id."""
    process = os.fork()
    if process:
        return process
    code = 1
    try:
        os.setsid()
        code = run_in(command, folder)
    finally:
        os._exit(code)


def run_in(command: tuple[str, ...], folder: Path) -> int:
    """Run a command in a folder, where said.txt takes what it says; return its exit code."""
    from genpredict.cli import run

    os.chdir(folder)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.dup2(os.open("said.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND), 2)
    return run(list(command))


def finished(command: tuple[str, ...], folder: Path) -> tuple[int, float]:
    """Run a command to its end; return its exit code, and the CPU time it took in seconds."""
    _, status, usage = os.wait4(started(command, folder), 0)
    return os.waitstatus_to_exitcode(status), usage.ru_utime + usage.ru_stime


def killed_after(seconds: float, command: tuple[str, ...], folder: Path) -> bool:
    """Run a command, kill it when it has taken so much CPU time; return whether it lived so long.

    The clock of another process: clock_getcpuclockid(3), as the C library of Linux computes it.
    """
    process = started(command, folder)
    clock = (~process << 3) | 2
    while not (ended := os.waitpid(process, os.WNOHANG))[0]:
        left = seconds - time.clock_gettime(clock)
        if left <= 0:
            os.kill(process, signal.SIGKILL)
            ended = os.waitpid(process, 0)
            break
        time.sleep(max(left, SHORTEST))
    return os.WIFSIGNALED(ended[1])


def in_fork(work: Callable[[], str]) -> str:
    """Return the text that some work returns in a process of its own."""
    reader, writer = os.pipe()
    process = os.fork()
    if not process:
        with os.fdopen(writer, "w") as pipe:
            try:
                pipe.write(work())
            except Exception as error:  # is a finding
                pipe.write(f"{type(error).__name__}: {error}")
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        text = pipe.read()
    os.waitpid(process, 0)
    return text


def modules_of(command: tuple[str, ...], folder: Path) -> str:
    """Run a command; return the names of all modules that are there then, as text."""
    run_in(command, folder)
    return "\n".join(sys.modules)


def import_all(names: list[str]) -> None:
    """Import modules; those that other modules make while they are imported have no file."""
    for name in names:
        with contextlib.suppress(ImportError, AttributeError):
            importlib.import_module(name)


def names_in(folder: Path) -> set[str]:
    """Return the names of everything in a folder."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def contents(path: Path) -> dict[str, bytes]:
    """Return the bytes of every file of an output, but for locks and what bears seconds."""
    files = [path] if path.is_file() else sorted(f for f in path.rglob("*") if f.is_file())
    left_out = ("history.nc", "summary.json", ".lock")
    return {
        str(f.relative_to(path.parent)): f.read_bytes()
        for f in files
        if not f.name.endswith(left_out)
    }


def histories(folder: Path) -> str:
    """Return all numbers of all runs but seconds, as text."""
    from genpredict.training import open_runs

    lines = []
    for run in open_runs(folder):
        summary = {k: v for k, v in run.summary.items() if k not in SECONDS}
        history = run.history.drop_vars(SECONDS)
        lines.append(f"{run.id} {summary} {history.to_dict()}")
    return "\n".join(lines)


def prepare(folder: Path) -> None:
    """Make sources and what undisturbed jobs leave of them."""
    from genpredict.networks import build_network

    source = folder / "source"
    (source / "nets").mkdir(parents=True)
    for file in [*sorted(ZOO.glob("*.safetensors"))[::5], ZOO / "manifest.csv"]:
        shutil.copy(file, source / "nets")
    (source / "nats").mkdir()
    import torch

    torch.manual_seed(0)
    for index in range(6):
        weights = OrderedDict(list(build_network("sss:8:8:8:8:8").state_dict().items())[:12])
        (source / "nats" / f"{index:06d}.pickle.pbz2").write_bytes(archive(index, weights))
    (source / "sweep.toml").write_text(SWEEP)
    score = JOBS["score"].command
    for name in ("a.zarr", "b.zarr"):
        command = tuple(name if part == "s.zarr" else part for part in score)
        assert finished(command, source)[0] == 0, (source / "said.txt").read_text()


def archive(index: int, weights: OrderedDict[str, Any]) -> bytes:
    """Return a NATS-Bench archive in full form."""
    result = {
        "net_state_dict": weights, "epochs": 12, "flop": 7.5, "train_acc1es": {11: 90.0},
        "train_losses": {11: 0.1}, "eval_acc1es": {"ori-test@11": 80.0},
        "eval_losses": {"ori-test@11": 0.5},
    }  # fmt: skip
    results = OrderedDict({("cifar10", seed): result for seed in (777, 888)})
    info = {"arch_str": "8:8:8:8:8", "arch_index": index, "all_results": results}
    return bz2.compress(pickle.dumps(OrderedDict({"12": info}), protocol=4), 1)


def round_of(name: str, folder: Path, rng: random.Random, length: float) -> tuple[int, str]:
    """Kill a job some times and let it end; return the kills and what was found, if anything."""
    job, place, whole = JOBS[name], folder / "round", folder / "whole" / name
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(folder / "source", place)
    old = [{} for _ in job.outputs]
    if job.before:
        for output in job.outputs:
            copy(folder / "old" / name / output, place / output)
        old = [contents(place / output) for output in job.outputs]
    new = [contents(whole / output) for output in job.outputs]
    kills = 0
    for _ in range(rng.randint(2, 8)):
        if killed_after(rng.uniform(0, 1.1 * length), job.command, place):
            kills += 1
        elif not job.is_whole:
            break
        if job.is_whole:
            here = [contents(place / output) for output in job.outputs]
            if any(h not in (o, n) for h, o, n in zip(here, old, new, strict=True)):
                return kills, f"{name}: half an output under a final name"
    if code := finished(job.command, place)[0]:
        return kills, f"{name}: exit code {code} after a kill: {(place / 'said.txt').read_text()}"
    for output, expected in zip(job.outputs, new, strict=True):
        if contents(place / output) != expected:
            return kills, f"{name}: {output} differs from that of a job that was not killed"
    if name == "sweep" and in_fork(lambda: histories(place / "runs")) != in_fork(
        lambda: histories(whole / "runs")
    ):
        return kills, f"{name}: numbers of runs differ from those of a sweep that was not killed"
    if left := sorted(names_in(place) - names_in(whole)):
        return kills, f"{name}: left behind: {left[:3]}"
    return kills, ""


def copy(source: Path, target: Path) -> None:
    """Copy a file or folder."""
    if source.is_dir():
        shutil.copytree(source, target)
    else:
        shutil.copy(source, target)


def warm_up(jobs: list[str], folder: Path) -> None:
    """Run every job once; write down, in FOLDER/modules.txt, what it imports."""
    modules: dict[str, None] = {}
    for name in jobs:
        shutil.copytree(folder / "source", folder / "warm")
        modules |= dict.fromkeys(
            in_fork(lambda job=JOBS[name]: modules_of(job.command, folder / "warm")).split()
        )
        shutil.rmtree(folder / "warm")
    (folder / "modules.txt").write_text("\n".join(modules))


def undisturbed(name: str, folder: Path) -> float:
    """Run a job to its end and keep what it leaves; return the CPU time it took in seconds."""
    job, place = JOBS[name], folder / "whole" / name
    shutil.copytree(folder / "source", place)
    if job.before:
        assert finished(job.before, place)[0] == 0, (place / "said.txt").read_text()
        (folder / "old" / name).mkdir(parents=True)
        for output in job.outputs:
            copy(place / output, folder / "old" / name / output)
    code, seconds = finished(job.command, place)
    assert code == 0, (place / "said.txt").read_text()
    return seconds


def all_rounds(arguments: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Yield the counts after every round until there were enough kills."""
    folder: Path = arguments.folder
    file = folder / "counts.json"
    if file.exists():
        state = json.loads(file.read_text())
        import_all((folder / "modules.txt").read_text().split())
    else:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        prepare(folder)
        warm_up(arguments.jobs, folder)
        import_all((folder / "modules.txt").read_text().split())
        lengths = {name: undisturbed(name, folder) for name in arguments.jobs}
        state = {"rounds": 0, "kills": dict.fromkeys(arguments.jobs, 0), "lengths": lengths}
        state["findings"] = []
    yield state
    while sum(state["kills"].values()) < arguments.kills:
        name = min(state["kills"], key=lambda job: state["kills"][job])
        rng = random.Random(f"{arguments.seed}/{state['rounds']}")
        kills, finding = round_of(name, folder, rng, state["lengths"][name])
        state["rounds"] += 1
        state["kills"][name] += kills
        if finding:
            state["findings"].append(f"round {state['rounds']}, {finding}")
            shutil.move(folder / "round", folder / f"finding-{state['rounds']}")
        partial = file.with_suffix(".partial")
        partial.write_text(json.dumps(state))
        partial.replace(file)
        yield state


def main() -> None:
    """Kill until there were enough kills; print counts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, default=Path("kills"))
    parser.add_argument("--jobs", nargs="+", choices=JOBS, default=list(JOBS))
    arguments = parser.parse_args()
    arguments.folder = arguments.folder.resolve()
    import torch

    import genpredict.cli.show_correlations
    import genpredict.jobs.cache
    import genpredict.jobs.merge
    import genpredict.jobs.score_job
    import genpredict.report.page
    import genpredict.report.writing
    import genpredict.training.sweeps

    torch.set_num_threads(1)
    genpredict.report.page.library()
    state: dict[str, Any] = {"kills": {}, "rounds": 0, "findings": []}
    for state in all_rounds(arguments):
        if state["rounds"] % 20 == 0:
            print(state["rounds"], "rounds,", sum(state["kills"].values()), "kills", flush=True)
    print(f"{'job':16s} {'kills':>6s} {'CPU seconds, undisturbed':>26s}")
    for name, kills in state["kills"].items():
        print(f"{name:16s} {kills:6d} {state['lengths'][name]:26.2f}")
    print(f"all {sum(state['kills'].values()):18d}; rounds {state['rounds']}")
    print("findings:", len(state["findings"]))
    for finding in state["findings"]:
        print(finding)
    sys.exit(1 if state["findings"] else 0)


if __name__ == "__main__":
    sys.stdout = io.TextIOWrapper(sys.stdout.buffer, line_buffering=True)
    main()
