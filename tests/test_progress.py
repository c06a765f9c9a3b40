"""Bars in Python: shown when asked for or where somebody looks on, never in scripts."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

import genpredict
from genpredict.progress import is_shown, tracked


def test_scripts_are_silent_and_notebooks_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """A choice goes before what the session is."""
    monkeypatch.delitem(sys.modules, "ipykernel", raising=False)
    monkeypatch.delattr(sys, "ps1", raising=False)
    assert not is_shown(None)
    assert is_shown(True)
    monkeypatch.setitem(sys.modules, "ipykernel", sys)
    assert is_shown(None)
    assert not is_shown(False)


def test_items_pass_unchanged(capsys: pytest.CaptureFixture[str]) -> None:
    """With a bar or without; the bar goes to stderr."""
    for progress in (True, False):
        assert list(tracked("abc", title="at work", total=3, progress=progress)) == ["a", "b", "c"]
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "at work" in shown.err
    assert "3/3" in shown.err


def test_score_and_train_show_a_bar(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """When asked for."""
    genpredict.score({"a": {"weight": torch.eye(4)}}, progress=True)
    assert "1/1" in capsys.readouterr().err
    run = genpredict.train(tmp_path, epochs=1, num_train=64, progress=True)
    assert run.id[:20] in capsys.readouterr().err
