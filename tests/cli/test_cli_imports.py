"""What a command loads: a small one must not pay for packages that it does not use."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

#: Runs the command line as a process of its own does, and tells what it had loaded at its end.
CODE = """
import atexit, sys
kept = sys.modules
atexit.register(lambda: print("LOADED", *(n for n, m in kept.items() if m is not None and
                                          n in ("dask", "scipy", "matplotlib", "distributed"))))
from genpredict.cli import main
main()
"""


def loaded_by(*arguments: str) -> list[str]:
    """Run a command in a fresh interpreter; return those of the heavy packages it has loaded."""
    done = subprocess.run(
        [sys.executable, "-c", CODE, *arguments], capture_output=True, text=True, check=True
    )
    return done.stdout.rpartition("LOADED")[2].split()


def test_score_and_show_load_no_dask_scipy_or_matplotlib(tmp_path: Path) -> None:
    """Scoring a file and showing the store: xarray would load Dask for its first array."""
    torch.save({"conv.weight": torch.randn(8, 3, 3, 3)}, tmp_path / "net.pt")
    store = str(tmp_path / "s.zarr")
    assert loaded_by("score", str(tmp_path / "net.pt"), "-o", store) == []
    assert loaded_by("show", store) == []


@pytest.mark.skipif(find_spec("dask") is None, reason="Dask is not installed")
def test_dask_is_given_back_to_other_packages() -> None:
    """A function of another package may import Dask, also in a process of the command line."""
    code = (
        "from genpredict.extensions import resolve, withhold_dask\n"
        "withhold_dask()\n"
        "import xarray; xarray.Variable((), 0)\n"
        "import importlib.util; print(importlib.util.find_spec('dask'))\n"
        "print(resolve('dask.base:tokenize', 'a measure').__name__)\n"
        "xarray.Dataset({'a': ('x', [1.0])}).mean()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["None", "tokenize"]
