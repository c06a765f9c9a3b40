from __future__ import annotations

import re
from pathlib import Path

TESTS = Path(__file__).parents[1]


def test_every_family_has_the_test_that_the_table_names() -> None:
    """The README's table and the tests agree."""
    table = (TESTS / "hostile" / "README.md").read_text(encoding="utf-8")
    named = re.findall(r"\| `([\w/]+\.py)::(\w+)` \|", table)
    assert len(named) >= 25
    for file, test in named:
        source = (TESTS / file).read_text(encoding="utf-8")
        assert f"def {test}(" in source, f"{file}::{test}"


def test_every_test_of_hostile_files_is_in_the_table() -> None:
    table = (TESTS / "hostile" / "README.md").read_text(encoding="utf-8")
    for file in ("test_hostile_pickles.py", "test_hostile_tensors.py", "test_hostile_tables.py"):
        source = (TESTS / "hostile" / file).read_text(encoding="utf-8")
        for test in re.findall(r"^def (test_\w+)", source, re.MULTILINE):
            assert test in table, f"{file}::{test}"
