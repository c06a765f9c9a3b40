"""Tables for the eye and what their stars rest on."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
from stats_cases import scores_of

import genpredict
from genpredict.errors import GenpredictError
from genpredict.stats import benjamini_hochberg, correlate, holm, summary, to_table
from genpredict.stats.tables import disagreements

#: Options that make a table in no time.
QUICK: dict[str, Any] = {"interval": "fisher", "permutations": 999}
TARGETS = ("test_accuracy", "generalization_gap")
ENDS = ("_lower", "_upper")
LIMITS = (0.05, 0.01, 0.001)


def test_summary_has_the_numbers_of_the_table() -> None:
    """Estimate, interval and stars in one text; groups over targets; a dash for no value."""
    found = correlate(scores_of(), by="network", min_n=11, **QUICK)
    shown = summary(found, coefficient="plcc", adjust="bh")
    assert shown.index.tolist() == found["measure"].values.tolist()
    assert shown.columns.tolist() == [(g, t) for g in found["group"].values for t in TARGETS]
    for row, (group, target) in product(shown.index, shown.columns):
        cell = found.sel(measure=row, group=group, target=target)
        if group != "all":  # 10 checkpoints each
            assert shown.loc[row, (group, target)] == "–"
            continue
        value, low, high, p = (float(cell[f"plcc{e}"]) for e in ("", *ENDS, "_pvalue_bh"))
        text = f"{value:+.2f} [{low:+.2f}, {high:+.2f}] {'*' * sum(p < q for q in LIMITS)}"
        assert shown.loc[row, (group, target)] == ("–" if np.isnan(value) else text.strip())
    assert "*" in shown.loc["Q_low_rank_p2", ("all", "test_accuracy")]


def test_summary_of_one_group_has_plain_columns() -> None:
    found = correlate(scores_of(), **QUICK)
    assert genpredict.summary(found).columns.tolist() == list(TARGETS)


def test_summary_names_what_is_missing() -> None:
    """A coefficient or an adjustment that there is not."""
    found = correlate(scores_of(), adjust=["holm"], **QUICK)
    with pytest.raises(GenpredictError, match=r"coefficient must be one of .* got 'pearson'"):
        summary(found, coefficient="pearson")
    with pytest.raises(
        GenpredictError, match="correlations hold no rocc_pvalue_bh; give what corr"
    ):
        summary(found, adjust="bh")


def test_labels_of_the_table_are_names_of_measures() -> None:
    """What to_table says can be asked for again."""
    table = to_table(correlate(scores_of(), **QUICK))
    again = correlate(scores_of(), measures=table["label"].unique().tolist(), **QUICK)
    assert again["measure"].values.tolist() == table["label"].unique().tolist()


@pytest.mark.parametrize(("name", "adjust"), [("holm", holm), ("bh", benjamini_hochberg)])
def test_family_says_what_is_adjusted_together(name: str, adjust: Any) -> None:
    """The whole table by default; each group apart where it is a question of its own."""
    table, group = (
        correlate(scores_of(), by="network", family=family, **QUICK)
        for family in ("table", "group")
    )
    assert (table["rocc_pvalue"].notnull()).all()
    np.testing.assert_array_equal(table[f"rocc_pvalue_{name}"], adjust(table["rocc_pvalue"].values))
    for one in group["group"].values:
        part = group.sel(group=one)
        np.testing.assert_array_equal(
            part[f"rocc_pvalue_{name}"], adjust(part["rocc_pvalue"].values)
        )
    assert (table.attrs["family"], group.attrs["family"]) == ("table", "group")
    with pytest.raises(GenpredictError, match=r"family must be one of .* got 'all'"):
        correlate(scores_of(), family="all", **QUICK)


def test_where_interval_and_star_part_is_counted() -> None:
    """Both ways, over all coefficients; a missing p or interval counts for neither."""
    table = correlate(scores_of(30), permutations=0, targets="test_accuracy")
    cells = {
        "plcc": [(0.1, 0.5, 0.2), (0.1, 0.5, 0.01), (-0.1, 0.5, 0.01), (-0.1, 0.5, np.nan)],
        "rocc": [(-0.5, -0.1, 0.06), (-0.5, 0.0, 0.04), (np.nan, np.nan, 0.01), (0.1, 0.5, np.nan)],
        "krocc": [(-0.1, 0.5, 0.2)],
    }
    for key, rows in cells.items():
        for place, end in enumerate(("_lower", "_upper", "_pvalue_holm")):
            numbers = np.full(table[key].shape, np.nan)
            numbers[: len(rows), 0, 0] = [row[place] for row in rows]
            table[key + end] = table[key].copy(data=numbers)
    assert disagreements(table) == (2, 2)
