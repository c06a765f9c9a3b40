"""The README's example does what the README says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from genpredict.cli import run

ROOT = Path(__file__).resolve().parents[1]


def test_the_example_prints_what_is_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Code and output of the README belong together."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    (shown,) = re.findall(r"```text\n(.*?)```", text, re.DOTALL)
    monkeypatch.chdir(ROOT)
    exec(compile(code, "README.md", "exec"), {})
    assert capsys.readouterr().out == shown


def test_the_table_is_what_the_command_prints(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The correlations of the bundled networks, as `genpredict correlate` shows them."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    (shown,) = re.findall(r"```console\n(.*?)```", text, re.DOTALL)
    monkeypatch.setenv("COLUMNS", "100")
    zoo, store = ROOT / "data" / "digits-zoo", tmp_path / "scores.zarr"
    assert run(["score", str(zoo), "--manifest", str(zoo / "manifest.csv"), "-o", str(store)]) == 0
    capsys.readouterr()
    assert run(["correlate", str(store), "--targets", "generalization_gap"]) == 0
    printed = [line.rstrip() for line in capsys.readouterr().out.rstrip().splitlines()]
    assert printed == shown.splitlines()
