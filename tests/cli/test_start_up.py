"""Packages of a command load, and its process ends, without searches for garbage."""

from __future__ import annotations

import gc
import subprocess
import sys
from pathlib import Path

import pytest

from genpredict.cli.loading import loading

#: A cycle that says when it is found, in a process that ends.
CODE = """
import gc
from genpredict.cli.loading import end_without_search
class Loud:
    def __del__(self):
        print("found")
loud = Loud()
loud.itself = loud
del loud
{}
"""


@pytest.fixture
def new_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the name of a module that nobody has imported; what it holds is looked for in vain."""
    (tmp_path / "never_loaded_before.py").write_text("import gc\nCOLLECTS = gc.isenabled()\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    return "never_loaded_before"


def test_no_garbage_is_looked_for_while_packages_load(
    new_module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Collection rests in the block, goes on behind it, and leaves out what was there."""
    frozen = []
    monkeypatch.setattr(gc, "freeze", lambda: frozen.append(True))
    with loading():
        module = __import__(new_module)
    del sys.modules[new_module]
    assert not module.COLLECTS
    assert gc.isenabled()
    assert frozen == [True]


def test_nothing_is_left_out_where_nothing_was_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that runs several commands frees what the earlier ones left."""
    frozen = []
    monkeypatch.setattr(gc, "freeze", lambda: frozen.append(True))
    with pytest.raises(ZeroDivisionError), loading():
        raise ZeroDivisionError
    assert gc.isenabled()
    assert not frozen


def test_collection_that_was_off_stays_off() -> None:
    """Whoever has switched it off finds it so."""
    gc.disable()
    try:
        with loading():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()


@pytest.mark.parametrize(("last", "said"), [("", "found\n"), ("end_without_search()", "")])
def test_a_process_of_the_command_line_ends_without_a_search(last: str, said: str) -> None:
    """Cycles that are left at the end are not looked for; any other process finds them."""
    code = [sys.executable, "-c", CODE.format(last)]
    done = subprocess.run(code, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == (said, "")
