"""The pages on trust name tests that exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = ("docs/promises.md", "tests/hostile/README.md")


@pytest.mark.parametrize("page", PAGES)
def test_every_promise_names_a_test_that_exists(page: str) -> None:
    """By its file below tests/ and its function."""
    text = (ROOT / page).read_text(encoding="utf-8")
    named = re.findall(r"`([\w/]+\.py)::(test_\w+)`", text)
    assert len(named) > 20
    for file, name in named:
        tree = ast.parse((ROOT / "tests" / file).read_text(encoding="utf-8"))
        functions = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
        assert name in functions, f"{page}: {file}::{name}"


def test_every_promise_of_a_table_names_one() -> None:
    """No row without."""
    text = (ROOT / "docs" / "promises.md").read_text(encoding="utf-8")
    lines = text.partition("## What was tried at random")[0].splitlines()
    promises = [line for line in lines if line.startswith("|") and line.count("|") == 4]
    rows = [line for line in promises if not line.startswith(("|---", "| what may happen"))]
    assert len(rows) > 20
    assert all("::test_" in row for row in rows)
