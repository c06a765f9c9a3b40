"""The studies: every table and figure is made anew from what is committed."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
import pytest

ANALYSIS = Path(__file__).parents[2] / "analysis"
STUDIES = sorted(ANALYSIS.glob("*/study.py"))
#: Of numbers that are made by resampling, by the last word of their column's name.
RESAMPLED = {"lower", "upper", "pvalue", "holm", "bh"}
RESAMPLING = 0.05
#: Of all others: tables have four digits and more.
TOLERANCE = 1e-3

every_study = pytest.mark.parametrize("script", STUDIES, ids=lambda path: path.parent.name)


def main_of(script: Path) -> Callable[[Path], None]:
    """Import a study as a module of its own, and return its main function."""
    spec = spec_from_file_location(f"study_{script.parent.name}", script)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.main


def made_by_study(folder: Path) -> set[str]:
    """Name the tables and figures of a folder that a study makes, not what they are made of."""
    names = {path.name for path in folder.iterdir()}
    return {name for name in names if "-" not in name and not name.endswith(".nc")}


@every_study
def test_tables_made_anew_equal_those_committed(script: Path, tmp_path: Path) -> None:
    """A study run again writes the same files; every number of every table is unchanged.

    Intervals and p-values are resampled: other draws may move them a little.
    """
    main_of(script)(tmp_path)
    plt.close("all")
    committed = script.parent / "results"
    assert made_by_study(tmp_path) == made_by_study(committed)
    for table in sorted(tmp_path.glob("*.csv")):
        anew, before = pd.read_csv(table), pd.read_csv(committed / table.name)
        for name in before:
            resampled = name.rpartition("_")[2] in RESAMPLED
            tolerance = RESAMPLING if resampled else TOLERANCE
            pd.testing.assert_series_equal(
                anew[name], before[name], rtol=TOLERANCE, atol=tolerance, obj=f"{table.name}"
            )


def test_every_study_has_question_and_finding() -> None:
    """The README of each study with a script holds its question, what counts against, a finding."""
    assert len(STUDIES) >= 10
    for script in STUDIES:
        text = (script.parent / "README.md").read_text(encoding="utf-8")
        for heading in ("**Question.**", "**What would count against", "**Finding."):
            assert heading in text, f"{script.parent.name}: {heading}"


def test_results_are_small() -> None:
    """All committed results together stay below 6 MB."""
    folders = [*ANALYSIS.glob("results"), *ANALYSIS.glob("*/results")]
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 6e6
