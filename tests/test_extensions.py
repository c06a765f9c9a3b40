"""What other packages add: entry points are called once, and one that fails harms no other."""

from __future__ import annotations

import sys
from contextlib import suppress
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from genpredict import extensions
from genpredict.errors import GenpredictError
from genpredict.extensions import load_extensions, resolve, withhold_dask
from genpredict.stats.known_coefficients import COEFFICIENTS
from genpredict.training.optimizers.registry import find_optimizer


def point(name: str, action: Any) -> Any:
    """An entry point of a package."""
    return SimpleNamespace(
        name=name,
        value=f"{name}:register",
        load=lambda: action,
        dist=SimpleNamespace(name=f"{name}-package"),
    )


def test_a_package_that_fails_is_named_and_the_others_are_loaded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A warning says which package and why; all are called once a process."""
    called: list[str] = []

    def fails() -> None:
        raise RuntimeError("no such thing")

    points = [point("bad", fails), point("good", lambda: called.append("good"))]
    monkeypatch.setattr(extensions, "entry_points", lambda group: points)
    load_extensions.cache_clear()
    try:
        with pytest.warns(UserWarning, match=r"bad-package: .*RuntimeError: no such thing.*mend"):
            load_extensions("genpredict.tests")
        load_extensions("genpredict.tests")
    finally:
        load_extensions.cache_clear()
    assert called == ["good"]


@pytest.mark.parametrize(
    "text", ["no_such_module:function", "genpredict.spectral:no_such_function", "math:pi.x"]
)
def test_a_function_that_is_not_there_is_named(text: str) -> None:
    """With what asks for it."""
    with pytest.raises(GenpredictError, match=f"measure mine: {text} cannot be imported"):
        resolve(text, "measure mine")


def test_functions_are_resolved_by_their_text() -> None:
    """Attributes of attributes too."""
    assert resolve("genpredict.spectral:stable_rank", "x").__name__ == "stable_rank"
    assert resolve("pathlib:Path.cwd", "x")() is not None


def test_packages_of_others_find_dask(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the command line withholds it: their optimizers and coefficients may need it."""
    pytest.importorskip("dask")
    for use in (
        lambda: find_optimizer("none of these"),
        lambda: replace(COEFFICIENTS["plcc"], method="collections:OrderedDict").resolve(),
    ):
        monkeypatch.delitem(sys.modules, "dask", raising=False)
        load_extensions.cache_clear()
        monkeypatch.setattr(extensions, "entry_points", lambda group: [point("good", lambda: None)])
        withhold_dask()
        with suppress(GenpredictError):
            use()
        assert sys.modules.get("dask", sys) is not None
    load_extensions.cache_clear()
