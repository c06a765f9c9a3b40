"""Damage real files of every kind at random and print what reading them ends in.

    python analysis/fuzz_readers.py [--minutes 10] [--seed 0] [--kind archive ...] [--keep FOLDER]

Small files of every kind that genpredict reads are made with the programs that make them, then
mutated: bits, bytes, slices, lengths, opcodes of pickle, tokens of JSON and CSV; compressed
pickles also inside, packed anew so that no checksum stands in the way. A process of its own, with
a bound on its memory, reads each one as `genpredict score` and `genpredict show` do. Good ends
are: read, or refused with a GenpredictError (a failed row that says why). Anything else (another
exception, a crash, no end within 10 s) is a finding: it is counted, printed, and kept in FOLDER;
its number and the seed make it again. The most memory that a process took beyond its start is
printed too.
"""

from __future__ import annotations

import argparse
import bz2
import io
import json
import os
import pickle
import random
import resource
import select
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
import zipfile
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

PATIENCE = 10.0
ROOM = 2 * 2**30
#: Files a process reads before it makes way for a new one, seconds a kind has before the next.
TURN = 60.0
NUMBERS = (0, 1, -1, 127, 255, 256, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1, 2**62, 2**63)
PICKLE_PIECES = (
    b"cos\nsystem\n", b"c__builtin__\neval\n", b"ccollections\nOrderedDict\n", b"(", b"t", b"R",
    b"\x81", b"\x92", b"\x93", b"}", b"]", b")", b"s", b"u", b"a", b"e", b"b", b"0", b"1", b"2",
    b"N", b"\x88", b"K\x00", b"K\xff", b"M\xff\xff", b"J\xff\xff\xff\xff",
    b"\x8a\x08" + b"\xff" * 8,
    b"G\x7f\xf8\x00\x00\x00\x00\x00\x00", b"h\x00", b"h\x05", b"j\x00\x00\x00\x00", b"q\x00",
    b"r\xff\xff\xff\x7f", b"\x94", b"\x85", b"\x86", b"\x87", b"Q", b"\x82\x01", b"\x8c\x01x",
    b"B\x00\x00\x00\x00", b"X\x00\x00\x00\x00", b"\x95" + b"\xff" * 8, b"\x8f", b"\x91", b".",
    b"ctorch._utils\n_rebuild_tensor_v2\n", b"ctorch.storage\n_load_from_bytes\n",
    b"cnumpy\ndtype\n", b"cnumpy._core.multiarray\nscalar\n", b"c_codecs\nencode\n",
)  # fmt: skip
TEXT_PIECES = (
    b"null", b"true", b"-1", b"1e999", b"NaN", b"Infinity", b"9" * 400, b'""', b"[]", b"{}",
    b"[" * 50,
    b"\x00", b"\xff", b"\xed\xa0\x80", b"\n", b"\r", b",", b'"', b"'", b";", b"\t", b"../", b"path",
    b"=1+1", b"\\u0000", b'"shape":[2,2]', b'"data_offsets":[0,0]', b'"dtype":"F32"', b"layer",
    b"checkpoint", b"epoch", b"status", b"100.5", b"[-1]", b"4611686018427387904", b"__metadata__",
)  # fmt: skip

EXPORTED = Path(__file__).parents[1] / "tests/checkpoints/formats/exported/copies.zip"

Files = dict[str, bytes]
Mutate = Callable[[Files, random.Random], Files]


def mutated(data: bytes, rng: random.Random, pieces: tuple[bytes, ...] = ()) -> bytes:
    """Change a text of bytes in one to six places."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 3, 6))):
        at = rng.randrange(len(changed) + 1)
        if rng.random() < 0.4:  # headers are short and matter most
            at = min(at, rng.randrange(600))
        length = rng.choice((1, 1, 2, 4, 8, rng.randrange(1, 200)))
        match rng.randrange(8 if pieces else 6):
            case 0:
                changed[at : at + 1] = bytes(
                    b ^ 1 << rng.randrange(8) for b in changed[at : at + 1]
                )
            case 1:
                changed[at : at + length] = rng.randbytes(length)
            case 2:
                del changed[at : at + length]
            case 3:
                other = rng.randrange(len(changed) + 1)
                changed[at:at] = changed[other : other + length]
            case 4:
                width = rng.choice((1, 2, 4, 8))
                number = rng.choice(NUMBERS) % 256**width
                changed[at : at + width] = number.to_bytes(width, rng.choice(("little", "big")))
            case 5 if rng.random() < 0.3:
                del changed[at:]
            case _:
                piece = rng.choice(pieces) if pieces else b"\x00"
                changed[at : at + rng.choice((0, 0, len(piece)))] = piece
    return bytes(changed)


def any_file(pieces: tuple[bytes, ...] = ()) -> Mutate:
    """Mutate one of the files."""

    def mutate(files: Files, rng: random.Random) -> Files:
        name = rng.choice(sorted(files))
        return {**files, name: mutated(files[name], rng, pieces)}

    return mutate


def one_file(pieces: tuple[bytes, ...] = ()) -> Mutate:
    """Mutate one of the files and leave the others away."""

    def mutate(files: Files, rng: random.Random) -> Files:
        name = rng.choice(sorted(files))
        return {name: mutated(files[name], rng, pieces)}

    return mutate


def inside_bz2(files: Files, rng: random.Random) -> Files:
    """Mutate what is compressed."""
    return {
        name: bz2.compress(mutated(bz2.decompress(data), rng, PICKLE_PIECES), 1)
        for name, data in files.items()
    }


def inside_zip(files: Files, rng: random.Random) -> Files:
    """Mutate one entry of a zip file, or of one inside it, checksums made anew."""
    return {name: _inside_zip(data, rng) for name, data in files.items()}


def _inside_zip(data: bytes, rng: random.Random) -> bytes:
    """Mutate one entry, most often the pickle where there is one."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(buffer, "w") as new:
        names = old.namelist()
        pickles = [name for name in names if name.endswith("data.pkl")]
        chosen = rng.choice(pickles if pickles and rng.random() < 0.6 else names)
        for name in names:
            entry = old.read(name)
            if name == chosen and entry.startswith(b"PK") and rng.random() < 0.8:
                entry = _inside_zip(entry, rng)
            elif name == chosen:
                entry = mutated(entry, rng, _pieces_of(name))
            new.writestr(name, entry)
    return buffer.getvalue()


def _pieces_of(name: str) -> tuple[bytes, ...]:
    """Return what is put into an entry of this name."""
    return {"pkl": PICKLE_PIECES, "json": TEXT_PIECES}.get(name.rpartition(".")[2], ())


def inside_header(files: Files, rng: random.Random) -> Files:
    """Mutate the header of a safetensors file, its length made anew."""
    changed = {}
    for name, data in files.items():
        if name.endswith(".safetensors"):
            end = 8 + int.from_bytes(data[:8], "little")
            header = mutated(data[8:end], rng, TEXT_PIECES)
            changed[name] = len(header).to_bytes(8, "little") + header + data[end:]
    return {**files, **changed}


#: Kind: the files it begins with, how they are mutated, how they are read.
KINDS: dict[str, tuple[str, Mutate, str]] = {
    "archive": ("archive", any_file(), "score"),
    "archive, pickle inside": ("archive", inside_bz2, "score"),
    "torch zip": ("torch zip", any_file(), "score"),
    "torch zip, entries inside": ("torch zip", inside_zip, "score"),
    "torch legacy": ("torch legacy", any_file(PICKLE_PIECES), "score"),
    "safetensors": ("safetensors", any_file(), "score"),
    "safetensors, header inside": ("safetensors", inside_header, "score"),
    "shards": ("shards", any_file(TEXT_PIECES), "score"),
    "manifest": ("manifest", any_file(TEXT_PIECES), "manifest"),
    "run folder, header inside": ("run", inside_header, "score"),
    "cache, header inside": ("cache", inside_header, "score"),
    "cache": ("cache", any_file(TEXT_PIECES), "score"),
    "CIFAR pickle": ("CIFAR pickle", any_file(PICKLE_PIECES), "cifar"),
    "store": ("store", any_file(TEXT_PIECES), "store"),
    "run, files beside weights": ("run files", any_file(TEXT_PIECES), "run"),
    "run, state": ("state", any_file(), "run"),
    "run, state, inside": ("state", inside_zip, "run"),
    "whole module": ("module", inside_zip, "score"),
    "plain pickle": ("plain", any_file(PICKLE_PIECES), "score"),
    "TorchScript": ("scripted", inside_zip, "score"),
    "Keras, HDF5": ("keras", one_file(TEXT_PIECES), "score"),
    "Keras, archive": ("keras zip", inside_zip, "score"),
    "ONNX": ("onnx", one_file(), "score"),
    "numpy archive": ("npz", inside_zip, "score"),
    "numpy array": ("npy", any_file(TEXT_PIECES), "score"),
    "flax": ("msgpack", any_file(), "score"),
    "stable-baselines": ("sb3", inside_zip, "score"),
    "rows of a shard": ("part", any_file(TEXT_PIECES), "part"),
}


def make_seeds(folder: Path) -> dict[str, Files]:
    """Make small files of every kind; the folder is scratch."""
    import torch
    from safetensors.torch import save, save_file

    from genpredict.checkpoints import open_checkpoints
    from genpredict.checkpoints.nats.cache_files import write_cached
    from genpredict.jobs.score_job import score_into
    from genpredict.networks import build_network
    from genpredict.scoring import Options

    torch.manual_seed(0)
    net = build_network("sss:8:8:8:8:8").state_dict()
    few = OrderedDict(list(net.items())[:12])
    wrapped = {"state_dict": few, "epoch": 3, "args": argparse.Namespace(lr=0.1)}
    seeds: dict[str, Files] = {"archive": {"000000.pickle.pbz2": _archive(few)}}
    for kind, new_format in {"torch zip": True, "torch legacy": False}.items():
        buffer = io.BytesIO()
        torch.save(wrapped, buffer, _use_new_zipfile_serialization=new_format)
        seeds[kind] = {"net.pth": buffer.getvalue()}
    plain = {name: tensor.clone() for name, tensor in few.items()}
    known = json.dumps({"network": "x", "epoch": 3, "test_accuracy": 80.5, "flip": True})
    seeds["safetensors"] = {"net.safetensors": save(plain)}
    run = "checkpoints/epoch-003.safetensors"
    seeds["run"] = {"config.toml": b"", run: save(plain, metadata={"genpredict": known})}
    seeds["shards"] = _shards(plain)
    table = "path,network,epoch,test_accuracy,note\n"
    table += "".join(f"n{i}.safetensors,a,{i},{90 + i / 8},t\n" for i in range(4))
    seeds["manifest"] = {"m.csv": table.encode()}
    (folder / "000000.pickle.pbz2").write_bytes(seeds["archive"]["000000.pickle.pbz2"])
    found = list(open_checkpoints(folder))
    cached = folder / "000000.cache.safetensors"
    write_cached(cached, "NATS-sss/000000", found, source_size=1, selection="")
    seeds["cache"] = {cached.name: cached.read_bytes(), "cache.json": b'{"front": "NATS-sss"}'}
    images = torch.zeros(4, 3072, dtype=torch.uint8).numpy()
    batch = {b"data": images, b"labels": [1, 2, 3, 4], b"batch_label": b"one"}
    seeds["CIFAR pickle"] = {"data_batch_1": pickle.dumps(batch, protocol=2)}
    (folder / "nets").mkdir()
    for number in range(4):
        save_file(plain, folder / "nets" / f"n{number}.safetensors")
    (folder / "nets" / "m.csv").write_text(table)
    scored = open_checkpoints(folder / "nets", manifest=folder / "nets" / "m.csv")
    score_into(folder / "s.zarr", scored, Options(), workers=1)
    seeds["store"] = {
        f"s.zarr/{path.relative_to(folder / 's.zarr')}": path.read_bytes()
        for path in sorted((folder / "s.zarr").rglob("*"))
        if path.is_file()
    }
    return seeds | _of_jobs(folder, plain) | _of_forms(plain)


def _of_forms(tensors: dict[str, Any]) -> dict[str, Files]:
    """Make files of the other forms that weights are saved in."""
    import msgpack
    import numpy as np
    import torch

    arrays = {name: tensor.numpy() for name, tensor in tensors.items() if tensor.ndim}
    seeds: dict[str, Files] = {"plain": {"n.pkl": pickle.dumps(arrays, protocol=2)}}
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4))
    for kind, thing in {"module": {"model": net, "epoch": 3}, "policy": net.state_dict()}.items():
        buffer = io.BytesIO()
        torch.save(thing, buffer)
        seeds[kind] = {"n.pt": buffer.getvalue()}
    buffer = io.BytesIO()
    torch.jit.save(torch.jit.script(net), buffer)
    seeds["scripted"] = {"n.pt": buffer.getvalue()}
    policy = seeds.pop("policy")["n.pt"]
    seeds["sb3"] = {"n.zip": _zipped({"data": b"{}", "policy.pth": policy})}
    with zipfile.ZipFile(EXPORTED) as archive:  # as torch and Keras have written them
        copies = {name: archive.read(name) for name in archive.namelist()}
    seeds["keras"] = {"n.h5": copies["lstm.h5"], "w.weights.h5": copies["unet.weights.h5"]}
    seeds["keras zip"] = {"n.keras": copies["transformer.keras"]}
    names = ("lstm.torchscript", "transformer.dynamo", "unet.dynamo")
    seeds["onnx"] = {f"{name}.onnx": copies[f"{name}.onnx"] for name in names}
    buffer = io.BytesIO()
    np.savez(buffer, **dict(list(arrays.items())[:4]))
    seeds["npz"] = {"n.npz": buffer.getvalue()}
    buffer = io.BytesIO()
    np.save(buffer, np.ones((4, 5)))
    seeds["npy"] = {"n.npy": buffer.getvalue()}
    kernel = np.ones((4, 5), "f4")
    packed = msgpack.packb((kernel.shape, "float32", kernel.tobytes()))
    tree = {"params": {"Dense_0": {"kernel": msgpack.ExtType(1, packed)}}}
    seeds["msgpack"] = {"n.msgpack": msgpack.packb(tree)}
    return seeds


def _zipped(parts: dict[str, bytes]) -> bytes:
    """Pack a zip archive."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in parts.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def _of_jobs(folder: Path, plain: dict[str, Any]) -> dict[str, Files]:
    """Make what runs and shards leave."""
    from genpredict.jobs.spool import Spool
    from genpredict.scoring import Options, score
    from genpredict.training import train
    from genpredict.training.run_folder import Run

    run = train(folder / "runs", epochs=1, num_train=20, threads=1)
    sidecars = ("config.toml", "summary.json", "history.nc")
    state = Run(folder / "runs" / "state")
    state.path.mkdir()
    state.write_state({"done": 1, "seconds": 0.5, "network": plain, "draws": [1, (2, "x")]})
    spool = Spool.of(folder / "p.zarr", Options().attrs())
    spool.prepare()
    spool.put(_unit(), score(folder / "nets" / "n0.safetensors"))
    return {
        "run files": {f"r/{name}": (run.path / name).read_bytes() for name in sidecars},
        "state": {"r/state.pt": (state.path / "state.pt").read_bytes()},
        "part": {f"p.zarr.parts/{f.name}": f.read_bytes() for f in spool.folder.iterdir()},
    }


def _unit() -> Any:
    """Return the unit of work whose rows the shard has left."""
    from genpredict.checkpoints import Item
    from genpredict.jobs.units import Unit

    return Unit((Item("n0", Path("n0"), 1, True, read_nothing),))


def read_nothing(*_: object) -> Iterator[Any]:
    """Stand for the reader of a file that is not read again."""
    yield from ()


def _archive(weights: OrderedDict[str, Any]) -> bytes:
    """Return a NATS-Bench archive in full form with two networks."""
    result = {
        "net_state_dict": weights, "epochs": 12, "flop": 7.5, "train_acc1es": {11: 90.0},
        "train_losses": {11: 0.1}, "eval_acc1es": {"ori-test@11": 80.0},
        "eval_losses": {"ori-test@11": 0.5},
    }  # fmt: skip
    results = OrderedDict({("cifar10", seed): result for seed in (777, 888)})
    info = {"arch_str": "8:8:8:8:8", "arch_index": 0, "all_results": results}
    return bz2.compress(pickle.dumps(OrderedDict({"12": info}), protocol=4))


def _shards(weights: dict[str, Any]) -> Files:
    """Return a checkpoint in two files with their index."""
    from safetensors.torch import save

    names = sorted(weights)
    parts = {f"model-0000{n}-of-00002.safetensors": names[n - 1 :: 2] for n in (1, 2)}
    index = {"weight_map": {name: part for part, some in parts.items() for name in some}}
    files = {part: save({n: weights[n] for n in some}) for part, some in parts.items()}
    return {**files, "model.safetensors.index.json": json.dumps(index).encode()}


def read(how: str, folder: Path) -> str:
    """Read what a folder holds; return "read" or "refused", or raise."""
    from genpredict import GenpredictError, open_checkpoints, score

    try:
        if how == "manifest":
            for number in range(4):
                (folder / f"n{number}.safetensors").write_bytes(b"")
            open_checkpoints(folder, manifest=folder / "m.csv")
        elif how == "cifar":
            from genpredict.datasets.pickles import load_pickle

            load_pickle(folder / "data_batch_1")
        elif how == "run":
            read_run(folder / "r")
        elif how == "part":
            read_part(folder / "p.zarr")
        elif how == "store":
            read_store(folder / "s.zarr")
        else:
            for checkpoint in open_checkpoints(folder):
                checkpoint.tensors()
    except GenpredictError:
        if how != "score":
            return "refused"
    if how == "score":
        try:
            if "failed" in score(folder)["status"].values:
                return "refused"
        except GenpredictError:
            return "refused"
    return "read"


def read_run(path: Path) -> None:
    """Look at all that a run says of itself, as training does that goes on."""
    from genpredict.training.run_folder import Run

    run = Run(path)
    if (path / "state.pt").exists():
        run.read_state()
    else:
        assert run.settings
        assert run.summary
        run.history.load()


def read_part(path: Path) -> None:
    """Take the rows of a shard, as the last one does."""
    from genpredict import GenpredictError
    from genpredict.jobs.spool import Spool
    from genpredict.scoring import Options

    spool = Spool.of(path, Options().attrs())
    spool.check()
    try:
        spool.get(_unit())
    except KeyError as error:  # measured anew
        raise GenpredictError(str(error)) from error


def read_store(path: Path) -> None:
    """Open a store and look at all of it, as show, correlate and merge do."""
    from genpredict import correlate, open_scores
    from genpredict.cli.show import show_store
    from genpredict.store.writing import read_progress

    for layers in (False, True):
        show_store(path, layers=layers)
    scores = open_scores(path).load()
    read_progress(path, scores.attrs)
    if "test_accuracy" in scores.coords:
        correlate(scores, targets=["test_accuracy"], min_n=3, interval="fisher", resamples=10)


def write(files: Files, folder: Path) -> None:
    """Write files into a folder made anew."""
    shutil.rmtree(folder, ignore_errors=True)
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)


def case(kind: str, number: int, seed: int, seeds: dict[str, Files]) -> Files:
    """Make the files of one case."""
    made, mutate, _ = KINDS[kind]
    return mutate(seeds[made], random.Random(f"{seed}/{kind}/{number}"))


def work(kind: str, first: int, seed: int, folder: Path) -> None:
    """Read case after case until killed; say on standard output what each ended in."""
    warnings.simplefilter("ignore")
    seeds: dict[str, Files] = pickle.loads((folder / "seeds").read_bytes())
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.dup2(1, 2)
    write(seeds[KINDS[kind][0]], folder / "case")
    read(KINDS[kind][2], folder / "case")  # imports, before memory is bounded
    used = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (used + ROOM, used + ROOM))
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    start = status("VmRSS")
    print("ready", file=answers)
    while True:
        write(case(kind, first, seed, seeds), folder / "case")
        try:
            end = read(KINDS[kind][2], folder / "case")
        except BaseException as error:
            end = f"escaped: {type(error).__name__} in {_place(error)}: {str(error)[:80]!r}"
        peak = status("VmHWM") - start
        print(end, peak >> 20, sep="\t", file=answers)
        first += 1


def status(field: str) -> int:
    """Return a field of /proc/self/status in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(field))


def _place(error: BaseException) -> str:
    """Name the last line of genpredict on the way to an error."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if "/genpredict/" in f.filename]
    return f"{Path(frames[-1].filename).name}:{frames[-1].name}" if frames else "?"


def ends(kind: str, first: int, seed: int, folder: Path, until: float) -> Iterator[str]:
    """Yield what cases end in, from one process, until a time or until it dies."""
    command = [sys.executable, __file__, "--work", kind, str(first), str(seed), str(folder)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as process:
        assert process.stdout is not None
        buffer, started = b"", False
        while time.monotonic() < until or not started:
            if not select.select([process.stdout], [], [], PATIENCE if started else 120)[0]:
                process.kill()
                yield f"no end within {PATIENCE:.0f} s"
                return
            piece = os.read(process.stdout.fileno(), 1 << 16)
            if not piece:
                yield f"crashed: exit status {process.wait()}"
                return
            *lines, buffer = (buffer + piece).split(b"\n")
            yield from (line.decode() for line in lines if line != b"ready")
            started = True
        process.kill()


def main() -> None:
    """Fuzz every kind in turn and print a table."""
    if sys.argv[1:2] == ["--work"]:
        kind, first, seed, place = sys.argv[2:]
        work(kind, int(first), int(seed), Path(place))
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kind", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--keep", type=Path, help="keep the files of findings here")
    arguments = parser.parse_args()
    print("command: python analysis/fuzz_readers.py", *sys.argv[1:])
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / "scratch").mkdir()
        seeds = make_seeds(folder / "scratch")
        (folder / "seeds").write_bytes(pickle.dumps(seeds))
        counts, findings = fuzz(arguments, folder, seeds)
    report(counts, findings)
    sys.exit(1 if findings else 0)


def fuzz(
    arguments: argparse.Namespace, folder: Path, seeds: dict[str, Files]
) -> tuple[dict[str, Counter[str]], list[tuple[str, int, str]]]:
    """Give each kind its turns until the time is over."""
    counts: dict[str, Counter[str]] = {kind: Counter() for kind in arguments.kind}
    findings: list[tuple[str, int, str]] = []
    end = time.monotonic() + arguments.minutes * 60
    turn = min(TURN, arguments.minutes * 60 / len(counts))
    while time.monotonic() < end:
        for kind, count in counts.items():
            until = min(end, time.monotonic() + turn)
            while time.monotonic() < until:
                for answer in ends(kind, done(count), arguments.seed, folder, until):
                    outcome, _, peak = answer.partition("\t")
                    count["peak"] = max(count["peak"], int(peak or 0))
                    good = outcome in ("read", "refused")
                    if not good:
                        findings.append((kind, done(count), outcome))
                        if arguments.keep:
                            files = case(kind, done(count), arguments.seed, seeds)
                            write(files, arguments.keep / f"{kind}-{done(count)}")
                    count[outcome if good else "finding"] += 1
    return counts, findings


def done(count: Counter[str]) -> int:
    """Return how many files of a kind were read."""
    return count["read"] + count["refused"] + count["finding"]


def report(counts: dict[str, Counter[str]], findings: list[tuple[str, int, str]]) -> None:
    """Print counts by kind, and each sort of finding once with its first case."""
    print(
        f"{'kind':28s} {'files':>8s} {'read':>8s} {'refused':>8s} {'findings':>8s} {'peak MB':>8s}"
    )
    total: Counter[str] = Counter()
    for kind, count in counts.items():
        total = total + count
        total["peak"] = max(one["peak"] for one in counts.values())
        print(_line(kind, count))
    print(_line("all", total))
    sorts: dict[tuple[str, str], list[int]] = {}
    for kind, number, outcome in findings:
        sorts.setdefault((kind, outcome), []).append(number)
    for (kind, outcome), numbers in sorts.items():
        print(f"{kind}, case {numbers[0]}, {len(numbers)} times: {outcome}")


def _line(kind: str, count: Counter[str]) -> str:
    numbers = (done(count), *(count[name] for name in ("read", "refused", "finding", "peak")))
    return f"{kind:28s} " + " ".join(f"{number:8,d}" for number in numbers)


if __name__ == "__main__":
    main()
