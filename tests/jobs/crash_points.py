"""Kill jobs at random operations on files: ``python crash_points.py KIND FOLDER SEED ROUNDS``.

A job runs in a forked process and is killed for good (SIGKILL) just before its n-th operation that
changes a file or folder of its store, of the parts of shards, or of a lock: one to four times, at
a random n each. Then the job is run to its end, and the store must hold the bytes of an undisturbed
one. Forks start at once, so that hundreds of kills take a minute. This process itself opens no
store, for Zarr's threads do not outlive a fork.
"""

from __future__ import annotations

import os
import pickle
import random
import shutil
import signal
import sys
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import xarray.backends.zarr
import zarr.codecs
from test_score_job import contents, open_if_whole, save_archive, save_networks

from genpredict.checkpoints import open_checkpoints
from genpredict.jobs import score_job, sharding, units
from genpredict.jobs.merge import merge_stores
from genpredict.jobs.sharding import Shard, score_shard
from genpredict.scoring import Options

LOADED = (xarray.backends.zarr, zarr.codecs)  # once, and not in every fork
STORE = "s.zarr"
CHANGES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link"}
_bomb = {"left": 0}


def explode(event: str, arguments: tuple[Any, ...]) -> None:
    """Count operations that change files of the job; kill this process at the last of them."""
    writes = event == "open" and len(arguments) == 3 and arguments[2] & (os.O_WRONLY | os.O_RDWR)
    if not _bomb["left"] or not (event in CHANGES or writes) or STORE not in str(arguments[0]):
        return
    _bomb["left"] -= 1
    if not _bomb["left"]:
        os.kill(os.getpid(), signal.SIGKILL)


def fork(job: Callable[[], object], bomb: int = 0) -> int:
    """Run a job in a forked process; return 0, 9 where it was killed, else another number."""
    if not (pid := os.fork()):
        _bomb["left"] = bomb
        try:
            job()
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    return os.waitpid(pid, 0)[1]


def must(job: Callable[[], object]) -> None:
    """Run a job in a forked process; end where it fails."""
    if status := fork(job):
        sys.exit(f"ended with {status}")


def measure_once(folder: Path) -> None:
    """Keep what was measured, for it is not the measuring that is tested here."""
    real = units.measure_unit

    def measure(unit: units.Unit, *, options: Options) -> Any:
        file = folder / unit.items[0].id.replace("/", "-")
        if not file.exists():
            file.write_bytes(pickle.dumps(real(unit, options=options)))
        return pickle.loads(file.read_bytes())

    folder.mkdir()
    for module in (score_job, sharding):
        module.measure_unit = measure  # type: ignore[attr-defined]


def whole(store: Path, source: Path, rng: random.Random, **settings: Any) -> None:
    """Score everything."""
    score_job.score_into(store, open_checkpoints(source), Options(device="cpu"), **settings)


def shards(store: Path, source: Path, rng: random.Random, **settings: Any) -> None:
    """Score one share of two after the other."""
    order = [1, 2]
    rng.shuffle(order)
    for index in order:
        shard, found = Shard(index, 2), open_checkpoints(source)
        score_shard(store, found, Options(device="cpu"), shard, **settings)


def merge(store: Path, source: Path, rng: random.Random, **_: Any) -> None:
    """Join the store of some files with that of all."""
    merge_stores([store.parent / "part", store.parent / "all"], store, overwrite=True)


def prepare(folder: Path) -> Path:
    """Write networks and archives, a broken one among them, and stores to merge."""
    source = save_networks(folder / "nets", 8)
    (source / "n004.pt").write_bytes(b"no checkpoint")
    save_archive(source / "nats", 3, seeds=(777, 888))
    save_archive(source / "nats", 77)
    return source


def check(store: Path) -> None:
    """Assert that nothing marked done is incomplete."""
    if (store / "status").exists() and (scores := open_if_whole(store)) is not None:
        done = scores.isel(checkpoint=(scores["status"] == "done").values)
        assert bool(done["Q"].notnull().all())


def main(kind: str, folder: Path, seed: int, rounds: int) -> None:
    """Kill jobs of a kind; write how many were."""
    torch.set_num_threads(1)
    warnings.simplefilter("error")
    units.UNIT_ITEMS = 2
    rng, source, store = random.Random(seed), prepare(folder), folder / STORE
    measure_once(folder / "measured")
    settings = {"workers": 1, "attrs": {"command": "test"}, "chunk_size": 2}
    must(lambda: whole(folder / "all", source, rng, **settings))
    must(lambda: whole(folder / "part", source / "nats", rng, **settings))
    job = {"whole": whole, "shards": shards, "merge": merge}[kind]
    must(lambda: job(folder / "expected", source, rng, **settings))
    expected, beside, kills = contents(folder / "expected"), set(folder.iterdir()), 0
    sys.addaudithook(explode)
    for _ in range(rounds):
        shutil.rmtree(store, ignore_errors=True)
        for _ in range(rng.randrange(1, 5)):
            bomb = rng.randrange(1, rng.choice([60, 400, 2000]))
            rng.random()  # and so another order of shards in every fork
            status = fork(lambda: job(store, source, rng, **settings), bomb)
            kills += status == signal.SIGKILL
            assert status in (0, signal.SIGKILL), status
            must(lambda: check(store))
        must(lambda: job(store, source, rng, **settings))
        found = contents(store)
        different = [n for n in found.keys() | expected.keys() if found.get(n) != expected.get(n)]
        assert not different, different
        assert set(folder.iterdir()) == beside | {store}
    sys.stdout.write(f"{kills}\n")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
