"""Time and memory that small hostile files, stores and sidecars take, and what is said of them.

    python analysis/benchmarks/hostile.py [--patience 60] [--csv FILE]

Each is read by a process of its own, as `genpredict score`, `show` or training read it, killed
after PATIENCE seconds or beyond 6 GB. Peak memory is beyond that of the process at its start.
"""

from __future__ import annotations

import argparse
import bz2
import csv
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

#: Seconds that a process may take to start.
STARTING = 60
ROOM = 6 * 2**30


def size_constructor(folder: Path, *, side: int) -> str:
    """A square tensor without a byte of it."""
    import torch

    class Sized:
        def __reduce__(self) -> tuple[Any, ...]:
            return torch.Tensor, (side, side)

    torch.save({"fc.weight": Sized()}, folder / "n.pt")
    return "score"


def deep_keys(folder: Path, *, run: bool) -> str:
    """A tuple of tuples, fifteen levels deep, sixty thousand times in a set."""
    import torch

    class Bomb:
        def __reduce__(self) -> tuple[Any, ...]:
            deep: Any = ()
            for _ in range(15):
                deep = (deep, deep)
            return set, ([deep] * 60_000,)

    torch.save({"w": torch.ones(3, 3), "done": Bomb()}, folder / ("state.pt" if run else "n.pt"))
    return "state" if run else "score"


def second_pickle(folder: Path) -> str:
    """An innocent data.pkl and, in other letters, one that takes for ever."""
    import zipfile

    import torch

    deep_keys(folder, run=False)
    with zipfile.ZipFile(folder / "n.pt") as archive:
        bomb = archive.read("n/data.pkl")
    torch.save({"w": torch.ones(3, 3)}, folder / "n.pt")
    with zipfile.ZipFile(folder / "n.pt", "a") as archive:
        archive.writestr("n/DATA.PKL", bomb)
    return "score"


def many_layers(folder: Path) -> str:
    """100,001 layers of 2 x 2 in a safetensors file."""
    entries = {
        f"l{n}.weight": {"dtype": "F32", "shape": [2, 2], "data_offsets": [16 * n, 16 * n + 16]}
        for n in range(100_001)
    }
    safetensors(folder / "n.safetensors", entries, b"\x01\x02\x03\x3f" * 4 * 100_001)
    return "score"


def long_prefix(folder: Path) -> str:
    """``module.`` 150,000 times, in a name of a megabyte that packs into kilobytes."""
    import torch

    names = {"module." * 150_000 + f"l{n}.weight": torch.ones(3, 3) for n in range(2)}
    torch.save(names, folder / "n.pt")
    return "score"


def long_names(folder: Path) -> str:
    """600 names of 20,000 characters, which pack into kilobytes."""
    import zipfile

    import torch

    names = [f"{'layer.' * 3_300}{number}.weight" for number in range(600)]
    plain, packed = folder / "plain.pt", folder / "n.pt"
    torch.save(dict.fromkeys(names, torch.ones(2, 2)), plain)
    with (
        zipfile.ZipFile(plain) as source,
        zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as target,
    ):
        for name in source.namelist():
            target.writestr(name, source.read(name))
    plain.unlink()
    return "score"


def long_header(folder: Path) -> str:
    """A safetensors header of 95 MB."""
    entry = '"%d":{"dtype":"F32","shape":[1],"data_offsets":[0,0]}'
    text = "{" + ",".join(entry % n for n in range(1_600_000)) + "}"
    data = text.encode()[:95_000_000]
    (folder / "n.safetensors").write_bytes(len(data).to_bytes(8, "little") + data)
    return "score"


def many_names(folder: Path) -> str:
    """8,000 settings in the header of a run's checkpoint."""
    (folder / "r" / "checkpoints").mkdir(parents=True)
    (folder / "r" / "config.toml").write_text("")
    entry = {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]}
    known = json.dumps({f"setting_{n}": n for n in range(8000)})
    header = {"__metadata__": {"genpredict": known}, "c.weight": entry}
    safetensors(
        folder / "r" / "checkpoints" / "epoch-001.safetensors", header, b"\x00\x00\x80?" * 4
    )
    return "job"


def bz2_bomb(folder: Path) -> str:
    """An archive of some kilobytes that unpacks to 3.9 GB."""
    packer = bz2.BZ2Compressor()
    parts = [packer.compress(b"\x80\x04B" + (39 * 10**8).to_bytes(4, "little"))]
    parts += [packer.compress(bytes(10**7)) for _ in range(390)]
    parts.append(packer.compress(b".") + packer.flush())
    (folder / "000001.pickle.pbz2").write_bytes(b"".join(parts))
    return "score"


def store_of(folder: Path) -> Path:
    """Make a store of one network."""
    import torch

    from genpredict.cli import run

    torch.save({"fc.weight": torch.randn(6, 4)}, folder / "n.pt")
    assert run(["score", str(folder / "n.pt"), "-o", str(folder / "s.zarr")]) == 0
    (folder / "n.pt").unlink()
    return folder / "s.zarr"


def claimed(folder: Path, name: str, **entries: Any) -> None:
    """Change the metadata of all arrays along checkpoint, or entries of one."""
    for file in store_of(folder).glob("*/zarr.json"):
        found = json.loads(file.read_text())
        if found.get("dimension_names", [""])[0] == "checkpoint":
            found["shape"][0] = entries["rows"]
            if found["data_type"] == "string" and "fill" in entries and name == "fill":
                found["fill_value"] = entries["fill"]
            file.write_text(json.dumps(found))


def claimed_rows(folder: Path) -> str:
    """A store of one row that claims ten million."""
    claimed(folder, "rows", rows=10**7)
    return "show"


def fill_texts(folder: Path) -> str:
    """A store that claims 100,000 rows, with texts of 10 KB where none is."""
    claimed(folder, "fill", rows=10**5, fill="x" * 10**4)
    return "show"


def chunk_bomb(folder: Path) -> str:
    """A chunk of 120 KB that unpacks to 4 GB."""
    from numcodecs.zstd import Zstd

    store = store_of(folder)
    (store / "checkpoint" / "c" / "0").write_bytes(Zstd(level=1).encode(bytes(2 * 10**9)))
    return "show"


def pipe_for_a_chunk(folder: Path) -> str:
    """A pipe where a chunk belongs."""
    chunk = store_of(folder) / "status" / "c" / "0"
    chunk.unlink()
    os.mkfifo(chunk)
    return "show"


def metadata(folder: Path, *, deep: bool) -> str:
    """A zarr.json that is a sparse file of a terabyte, or lists in lists."""
    path = store_of(folder) / "zarr.json"
    path.write_bytes(b"[" * 10**6 if deep else b"{")
    if not deep:
        os.truncate(path, 1 << 40)
    return "show"


def giant_sidecar(folder: Path) -> str:
    """A summary.json that is a sparse file of a terabyte."""
    (folder / "r").mkdir()
    with (folder / "r" / "summary.json").open("wb") as file:
        file.truncate(1 << 40)
    return "summary"


INPUTS: dict[str, Callable[[Path], str]] = {
    "tensor of 9,000 x 9,000 without data": lambda folder: size_constructor(folder, side=9_000),
    "tensor of 30,000 x 30,000 without data": lambda folder: size_constructor(folder, side=30_000),
    "set of tuples in tuples, 120 KB": lambda folder: deep_keys(folder, run=False),
    "the same in state.pt": lambda folder: deep_keys(folder, run=True),
    "the same in DATA.PKL after data.pkl": second_pickle,
    "100,001 layers": many_layers,
    "module. 150,000 times in a name": long_prefix,
    "600 names of 20,000 characters": long_names,
    "safetensors header of 95 MB": long_header,
    "8,000 names in a header": many_names,
    "bz2 of 3.9 GB": bz2_bomb,
    "store that claims 10 million rows": claimed_rows,
    "store with fill texts of 10 KB": fill_texts,
    "chunk that unpacks to 2 GB": chunk_bomb,
    "pipe for a chunk": pipe_for_a_chunk,
    "zarr.json of a terabyte": lambda folder: metadata(folder, deep=False),
    "zarr.json of lists in lists": lambda folder: metadata(folder, deep=True),
    "summary.json of a terabyte": giant_sidecar,
}


def safetensors(path: Path, header: dict[str, Any], data: bytes) -> None:
    """Write a file with a header of one's own."""
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)


def read(how: str, folder: Path) -> str:
    """Read what lies in a folder; return what is said of it."""
    import genpredict
    from genpredict.cli import run

    if how == "score":
        scores = genpredict.score(folder)
        return str(scores["error"].values[0]) or "done"
    if how == "job":
        return f"exit code {run(['score', str(folder), '-o', str(folder / 't.zarr')])}"
    if how == "show":
        from genpredict.cli.show import show_store

        show_store(folder / "s.zarr")
        return "shown"
    from genpredict.training.run_folder import Run

    place = folder / "r" if how == "summary" else folder
    return str(Run(place).summary if how == "summary" else Run(place).read_state())


def status(field: str) -> int:
    """Return a field of /proc/self/status in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(field))


def work(how: str, folder: Path) -> None:
    """Read, and print seconds, peak memory and what is said."""
    import torch

    import genpredict.cli.show
    import genpredict.training.run_folder

    genpredict.score({"warm": torch.nn.Linear(3, 3)})
    Path("/proc/self/clear_refs").write_text("5")
    used, start = status("VmRSS"), time.perf_counter()
    resource.setrlimit(resource.RLIMIT_AS, (status("VmSize") + ROOM,) * 2)
    try:
        said = read(how, folder)
    except BaseException as error:
        said = f"{type(error).__name__}: {error}"
    seconds, peak = time.perf_counter() - start, status("VmHWM") - used
    print("\nANSWER" + json.dumps([seconds, peak / 1e6, said.replace(str(folder), "")[:300]]))


def measured(name: str, patience: float) -> tuple[str, str, str, str]:
    """Return a row of the table: input, seconds, MB, what is said."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "x"
        folder.mkdir()
        how = INPUTS[name](folder)
        command = [sys.executable, __file__, "--work", how, str(folder)]
        try:
            limit = patience + STARTING
            done = subprocess.run(command, capture_output=True, text=True, timeout=limit)
        except subprocess.TimeoutExpired:
            return name, f"> {patience:.0f}", "", "no end"
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    answer = [line for line in done.stdout.splitlines() if line.startswith("ANSWER")]
    if not answer:
        return name, "", "", f"exit status {done.returncode}"
    seconds, peak, said = json.loads(answer[-1].removeprefix("ANSWER"))
    return name, f"{seconds:.1f}", f"{peak:.0f}", said


def main() -> None:
    """Measure all and print a table."""
    if sys.argv[1:2] == ["--work"]:
        work(sys.argv[2], Path(sys.argv[3]))
        return
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--patience", type=float, default=60)
    parser.add_argument("--csv", type=Path)
    parser.add_argument("--only", default="", help="a part of the names of inputs")
    arguments = parser.parse_args()
    rows = []
    for name in (name for name in INPUTS if arguments.only in name):
        rows.append(measured(name, arguments.patience))
        print("{:38s} {:>6s} s {:>6s} MB  {:.110s}".format(*rows[-1]), flush=True)
    if arguments.csv:
        with arguments.csv.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(("input", "seconds", "peak_mb", "said"))
            writer.writerows(rows)


if __name__ == "__main__":
    main()
