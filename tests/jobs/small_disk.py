"""A disk of its own for a test, to be filled up or made read-only; root alone can mount one."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

AMPLE = 64 << 20
PAGE = os.sysconf("SC_PAGE_SIZE")


class Disk:
    """A mounted tmpfs.

    Parameters
    ----------
    path : Path
        Where it is mounted.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def used(self) -> int:
        """Bytes in use."""
        found = os.statvfs(self.path)
        return (found.f_blocks - found.f_bfree) * found.f_frsize

    def leave(self, free: int) -> None:
        """Leave so many bytes free, in whole pages; a disk is one page large at least."""
        mount("-o", f"remount,size={max(PAGE, self.used + free // PAGE * PAGE)}", str(self.path))

    @contextmanager
    def read_only(self) -> Iterator[None]:
        """Let nothing be written for the time of a block; root as well heeds that."""
        mount("-o", "remount,ro", str(self.path))
        try:
            yield
        finally:
            mount("-o", "remount,rw", str(self.path))


def mount(*arguments: str) -> None:
    """Mount something."""
    subprocess.run(["mount", *arguments], check=True, capture_output=True)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    """Give a small disk, where mounting is allowed."""
    path = tmp_path / "disk"
    path.mkdir()
    try:
        mount("-t", "tmpfs", "-o", f"size={AMPLE}", "tmpfs", str(path))
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"mounting a tmpfs is not allowed here ({error})")
    try:
        yield Disk(path)
    finally:
        subprocess.run(["umount", "-l", str(path)], check=True)
