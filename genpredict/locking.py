"""One writer at a time: a lock file that names its owner and outlives no crash."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from genpredict.errors import StoreError

#: A lock of another host whose owner has not shown itself for this long (seconds) is dead.
STALE_AFTER = 3600.0


@contextmanager
def locked(path: Path) -> Iterator[Path]:
    """Hold a lock file for the time of a block.

    Parameters
    ----------
    path : Path
        The lock file; its folder exists. Touch it now and then during a long block.

    Raises
    ------
    StoreError
        When another process holds it. A lock whose owner is dead is taken over.
    """
    _acquire(path)
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)


def _acquire(path: Path) -> None:
    """Create the lock file, or fail; never two owners."""
    for _ in range(3):
        try:
            handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
        except FileExistsError:
            _take_over(path)
            continue
        owner = {"host": socket.gethostname(), "pid": os.getpid(), "started": _start_time()}
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(owner, file)
        return
    raise StoreError(f"{path}: cannot take the lock; other processes keep taking it")


def _take_over(path: Path) -> None:
    """Remove the lock of a dead owner; raise where it lives.

    The file is first renamed: of two processes that find the same dead owner, one succeeds.
    """
    try:
        owner = json.loads(path.read_text(encoding="utf-8") or "{}")
        age = time.time() - path.stat().st_mtime
    except FileNotFoundError:
        return
    except ValueError:
        owner, age = {}, time.time() - path.stat().st_mtime
    if _is_alive(owner, age):
        who = f"process {owner.get('pid', '?')} on host {owner.get('host', '?')}"
        raise StoreError(
            f"{path.with_suffix('')}: {who} is writing to it (last sign of life {age:.0f} s ago); "
            f"wait for it to end, or if you are sure it is dead, delete {path}"
        )
    aside = path.with_name(f"{path.name}.{os.getpid()}.dead")
    try:
        path.rename(aside)
    except FileNotFoundError:
        return
    aside.unlink(missing_ok=True)


def _is_alive(owner: dict[str, object], age: float) -> bool:
    """Return whether the owner of a lock lives, as far as this host can tell."""
    pid = owner.get("pid")
    if owner.get("host") != socket.gethostname() or not isinstance(pid, int):
        return age < STALE_AFTER
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return owner.get("started") in (None, _start_time(pid))


def _start_time(pid: int | None = None) -> str | None:
    """Return when a process started, to tell it from a later one of the same number (Linux)."""
    try:
        text = Path(f"/proc/{pid or os.getpid()}/stat").read_text(encoding="utf-8")
    except OSError:
        return None
    return text.rpartition(")")[2].split()[19]
