"""Read hostile files in a process of their own, watched and bounded.

Run as a program it reads one case a line (JSON: name, how, path) from its standard input and
answers with one `Outcome` a line. Its address space is bounded, and an audit hook notes what no
reader of weights ever does: start a program, call another machine, write, delete or rename a file,
compile a text.
"""

from __future__ import annotations

import json
import os
import resource
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

ROOM = 3 * 2**29
"""Bytes of address space that a reader may take beyond what it has at its start."""
PATIENCE = 30.0
"""Seconds without an answer after which the process is killed."""
START = 300.0
"""Seconds that it may take to begin: to import torch and warm up, on a machine with other work."""
_STARTED = "ready"
_FORBIDDEN = (
    "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.startfile", "os.fork", "os.forkpty",
    "os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.symlink", "os.link", "os.chmod",
    "os.putenv", "os.unsetenv", "os.truncate", "os.kill", "pty.spawn", "subprocess.Popen",
    "shutil.", "socket.connect", "socket.bind",
    "socket.send", "socket.get", "urllib.Request", "webbrowser.open", "ctypes.", "code.__new__",
    "builtins.input", "cpython.run_", "pdb.Pdb", "tempfile.", "ftplib.", "smtplib.", "http.client",
)  # fmt: skip
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


@dataclass(frozen=True)
class Case:
    """A file to be read: how is one of `READERS`."""

    name: str
    how: str
    path: str


@dataclass(frozen=True)
class Outcome:
    """What reading a file ended in.

    Parameters
    ----------
    end : str
        ``read``, ``refused`` (a GenpredictError), ``escaped`` (any other exception), ``killed``
        (no answer in time) or ``crashed``.
    message : str
        Of the error; what was read otherwise.
    seconds : float
        Of CPU time, which other work on the machine does not change.
    peak : int
        Bytes of memory in use at the worst moment, beyond those at the start.
    events : list of str
        What the audit hook has noted.
    """

    end: str
    message: str = ""
    seconds: float = 0.0
    peak: int = 0
    events: tuple[str, ...] = ()


def read_guarded(cases: Iterable[Case], *, patience: float = PATIENCE) -> dict[str, Outcome]:
    """Read the files one after another; a process that dies is replaced."""
    outcomes: dict[str, Outcome] = {}
    left = list(cases)
    while left:
        done, last = _one_process(left, patience)
        outcomes |= done
        left = left[len(done) :]
        if left:
            outcomes[left.pop(0).name] = last
    return outcomes


def _one_process(cases: Sequence[Case], patience: float) -> tuple[dict[str, Outcome], Outcome]:
    """Return the outcomes up to the one that ended the process, and how it ended."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
    command = [sys.executable, __file__]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, env=environment) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        answers = _Answers(process.stdout.fileno())
        assert answers.wait(START) == _STARTED, "the reading process did not start"
        done: dict[str, Outcome] = {}
        for case in cases:
            process.stdin.write(json.dumps(asdict(case)).encode() + b"\n")
            process.stdin.flush()
            answer = answers.wait(patience)
            if answer is None:
                process.kill()
                end = "crashed" if process.wait() != -9 else "killed"
                return done, Outcome(end, f"exit status {process.returncode}")
            done[case.name] = Outcome(**{**answer, "events": tuple(answer["events"])})
        process.stdin.close()
        process.wait()
    return done, Outcome("crashed")


class _Answers:
    """Lines of JSON from a pipe."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.buffer = b""

    def wait(self, patience: float) -> Any:
        """Return the next answer, or None where the pipe closes or is silent for too long."""
        while b"\n" not in self.buffer:
            if not select.select([self.descriptor], [], [], patience)[0]:
                return None
            piece = os.read(self.descriptor, 1 << 16)
            if not piece:
                return None
            self.buffer += piece
        line, _, self.buffer = self.buffer.partition(b"\n")
        return json.loads(line)


def read_checkpoints(path: str) -> object:
    """Open a source, load every tensor and choose the layers, as scoring does."""
    from genpredict import open_checkpoints, select_layers

    loaded = {c.id: (dict(c.metadata), c.tensors()) for c in open_checkpoints(path)}
    return {k: (m, len(select_layers(t)[0])) for k, (m, t) in loaded.items()}


def score_checkpoints(path: str) -> object:
    """Score a source; failed rows speak as errors do."""
    import genpredict
    from genpredict import GenpredictError

    scores = genpredict.score(path)
    failed = [str(text) for text in scores["error"].values if text]
    if len(failed) == scores.sizes["checkpoint"]:
        raise GenpredictError(failed[0])
    return scores["status"].values.tolist()


def read_cifar(path: str) -> object:
    """Read a pickle of CIFAR."""
    from genpredict.datasets.pickles import load_pickle

    return sorted(load_pickle(Path(path)))


def join_manifest(path: str) -> object:
    """Join a manifest to the checkpoints beside it."""
    from genpredict import open_checkpoints

    found = open_checkpoints(Path(path).parent, manifest=path)
    return [dict(item.metadata) for item in found.items], found.warnings


def show_store(path: str) -> object:
    """Open a store as ``genpredict show`` does."""
    from genpredict import open_scores
    from genpredict.cli.show import network_table

    return len(network_table(open_scores(path)))


def run_pickle(path: str) -> object:
    """Do what no reader must do: the control that shows an attack to be real."""
    import pickle

    with Path(path).open("rb") as file:
        return str(type(pickle.load(file)))


READERS: dict[str, Callable[[str], object]] = {
    "checkpoints": read_checkpoints,
    "score": score_checkpoints,
    "cifar": read_cifar,
    "manifest": join_manifest,
    "store": show_store,
    "pickle": run_pickle,
}


#: What torch with CUDA looks for when it is asked for a device.
_NVML = "libnvidia-ml.so.1"


class _Watch:
    """An audit hook; on only while a file is read."""

    def __init__(self) -> None:
        self.on = False
        self.events: list[str] = []
        sys.addaudithook(self._note)

    def _note(self, event: str, args: tuple[Any, ...]) -> None:
        if self.on and _is_forbidden(event, args):
            self.events.append(f"{event} {args!r:.200}")


def _is_forbidden(event: str, args: tuple[Any, ...]) -> bool:
    """Return whether an event is more than reading."""
    if event == "open":
        flags = args[2] if len(args) > 2 and isinstance(args[2], int) else 0
        writes = isinstance(args[1], str) and any(letter in args[1] for letter in "wax+")
        return writes or bool(flags & _WRITING)
    if event == "compile":  # what is imported is read from caches, or has the name of its file
        return args[0] is not None and str(args[1]).startswith("<")
    if event == "ctypes.dlopen" and args == (_NVML,):
        return False
    return event.startswith(_FORBIDDEN)


def _answer(case: Case, watch: _Watch) -> Outcome:
    """Read one file."""
    from genpredict import GenpredictError

    before, start = _resident(), time.process_time()
    _reset_peak()
    watch.events.clear()
    watch.on = True
    try:
        end, message = "read", f"{READERS[case.how](case.path)!r:.500}"
    except GenpredictError as error:
        end, message = "refused", str(error)
    except BaseException as error:
        end, message = "escaped", f"{type(error).__name__}: {error}"
    finally:
        watch.on = False
    seconds, peak = time.process_time() - start, _peak() - before
    return Outcome(end, message[:2000], seconds, peak, tuple(watch.events))


def _status(field: str) -> int:
    """Return a field of /proc/self/status in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) * 1024
    return 0


def _resident() -> int:
    return _status("VmRSS:")


def _peak() -> int:
    return _status("VmHWM:")


def _reset_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def _warm_up() -> None:
    """Let torch and numpy make what they make at their first use, with eval and exec."""
    import io

    import h5py  # noqa: F401
    import msgpack  # noqa: F401
    import onnx.numpy_helper  # noqa: F401
    import torch

    import genpredict.cli.show
    import genpredict.datasets.pickles
    from genpredict.checkpoints.formats.registry import FORMATS, resolve

    for row in FORMATS.values():  # imported at their first use
        for function in filter(None, (row.recognizer, row.reader, row.peek)):
            resolve(function, row.name)
    for new_format in (True, False):
        buffer = io.BytesIO()
        torch.save({}, buffer, _use_new_zipfile_serialization=new_format)
        torch.load(io.BytesIO(buffer.getvalue()), weights_only=True)
    genpredict.score({"network": torch.nn.Linear(3, 3)})


def main() -> None:
    """Answer the cases of standard input."""
    _warm_up()
    watch = _Watch()
    limit = _status("VmSize:") + ROOM
    resource.setrlimit(resource.RLIMIT_AS, (limit, resource.getrlimit(resource.RLIMIT_AS)[1]))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # libraries may write what they like on standard output: answers go to a pipe of their own
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    print(json.dumps(_STARTED), file=answers)
    for line in sys.stdin:
        print(json.dumps(asdict(_answer(Case(**json.loads(line)), watch))), file=answers)


if __name__ == "__main__":
    main()
