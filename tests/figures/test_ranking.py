"""`plot_ranking`: the coefficients drawn are those of the table, insignificant ones in grey."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from matplotlib.axes import Axes
from numpy.typing import NDArray
from placement import check_layout, legends_of
from synthetic_scores import correlations, scores_of

from genpredict.figures import plot_ranking
from genpredict.stats import correlate

HEADINGS = ["heavy tail", "weightwatcher", "baselines"]


def cells(ax: Axes, shape: tuple[int, int]) -> NDArray[np.object_]:
    """Return the texts of the cells."""
    found = np.full(shape, "", dtype=object)
    for text in ax.texts:
        column, row = text.get_position()
        found[row, column] = text.get_text().replace("−", "-")
    return found


@pytest.mark.parametrize("coefficient", ["plcc", "rocc", "krocc"])
@pytest.mark.parametrize("adjust", ["holm", "bh", "none"])
def test_cells_are_the_table(coefficient: str, adjust: str) -> None:
    """Values by sign, intervals beneath, and a colour only where the p-value is below 0.05."""
    table = correlations()
    ax = plot_ranking(table, coefficient=coefficient, adjust=adjust, sort=False)
    one = table.sel(group="all")
    suffix = "" if adjust == "none" else f"_{adjust}"
    significant = one[f"{coefficient}_pvalue{suffix}"].values < 0.05
    shown = ax.images[0].get_array()
    np.testing.assert_array_equal(np.ma.getmaskarray(shown), ~significant)
    np.testing.assert_array_equal(shown.data[significant], one[coefficient].values[significant])
    assert ax.images[0].get_clim() == (-1, 1)
    texts = cells(ax, shown.shape)
    for at, value in np.ndenumerate(one[coefficient].values):
        low, high = (one[f"{coefficient}_{end}"].values[at] for end in ("lower", "upper"))
        assert texts[at] == f"{value:.2f}\n[{low:.2f}, {high:.2f}]".replace("-0.00", "0.00")
    check_layout(ax.figure)


def test_names_of_rows_and_columns() -> None:
    """Measures carry factorization and p, targets carry n."""
    ax = plot_ranking(correlations(), sort=False)
    rows = [t.get_text().replace("\n", " ").replace("\xa0", " ") for t in ax.get_yticklabels()]
    assert rows[:2] == ["network quality Q, low rank, p = 2", "network quality Q, raw, p = 1"]
    assert rows[3:] == ["log number of parameters", "number of layers"]
    columns = [t.get_text() for t in ax.get_xticklabels()]
    assert columns == ["test accuracy\nn = 1,234", "generalization\ngap\nn = 1,234"]


def test_strongest_correlation_with_test_accuracy_on_top() -> None:
    """Whatever its sign; a note says in which order the rows are."""
    table = correlations()
    for targets in (None, ["generalization_gap"]):
        ax = plot_ranking(table, targets=targets, intervals=False)
        first = "test_accuracy" if targets is None else targets[0]
        values = table["rocc"].sel(target=first, group="all").values
        values = values[np.argsort(-abs(values))]
        texts = cells(ax, ax.images[0].get_array().shape)[:, 0]
        np.testing.assert_allclose([float(t) for t in texts], values, atol=0.0051)
        note = ax.get_xlabel().replace("\n", " ")
        assert note.endswith(f"in order of |ROCC| with {first.replace('_', ' ')}")


def with_groups() -> xr.Dataset:
    """Make a table in which two measures are of groups, out of order."""
    table = correlations()
    names = table["name"].values.astype(object)
    names[[0, 2]] = "ww_alpha", "alpha"
    return table.assign_coords(name=("measure", names.astype(str)))


def test_measures_of_groups_stand_in_sections() -> None:
    """Those of every score, each group under its name, baselines; the strongest first in each."""
    table = with_groups()
    ax = plot_ranking(table, targets=["test_accuracy"], intervals=False)
    values = table["rocc"].sel(target="test_accuracy", group="all").values
    labels = zip(ax.get_yticks(), [label.get_text() for label in ax.get_yticklabels()], strict=True)
    headings = {text: place for place, text in labels if text in HEADINGS}
    assert sorted(headings, key=headings.__getitem__) in (HEADINGS, [*HEADINGS[1::-1], HEADINGS[2]])
    places = {text.get_position()[1]: text.get_text().replace("−", "-") for text in ax.texts}
    texts = {"weightwatcher": values[[0]], "heavy tail": values[[2]], "baselines": values[3:]}
    for heading, held in texts.items():
        first = int(headings[heading]) + 1
        shown = [float(places[first + row]) for row in range(len(held))]
        np.testing.assert_allclose(shown, held[np.argsort(-abs(held))], atol=0.0051)
    assert places.keys().isdisjoint(headings.values())
    assert len(ax.images) == 1 + len(HEADINGS)
    check_layout(ax.figure)


def test_choice_of_measures_and_group() -> None:
    table = correlations()
    ax = plot_ranking(table, measures=["num_layers"], group="epoch=90", intervals=False)
    assert ax.images[0].get_array().shape == (1, 2)
    value = float(table["rocc"].sel(measure="num_layers", group="epoch=90")[0])
    assert cells(ax, (1, 2))[0, 0] == f"{value:.2f}"
    assert ax.get_xlabel() == "epoch: 90"


def without_value(*measures: int) -> xr.Dataset:
    """Make a table in which some measures have no value, as constants have."""
    table = correlations()
    for name in ("rocc", "rocc_lower", "rocc_upper", "rocc_pvalue_holm"):
        table[name][list(measures)] = np.nan
    return table


def test_no_value_is_a_grey_dash() -> None:
    """A measure that was asked for stays; having no correlation is not a zero."""
    table = without_value(1)
    ax = plot_ranking(table, measures=table["measure"].values.tolist())
    texts = cells(ax, (5, 2))
    assert list(texts[-1]) == ["–", "–"]
    assert np.ma.getmaskarray(ax.images[0].get_array())[-1].all()
    (text,) = [text for legend in legends_of(ax.figure) for text in legend.get_texts()]
    assert text.get_text() == "p (Holm) ≥ 0.05 or no value"
    assert "without a value" not in ax.get_xlabel()


def test_measures_without_any_value_are_named_in_a_note() -> None:
    """Unasked, they take no row; a measure that lacks one target keeps its row."""
    table = without_value(3, 4)
    table["rocc"][1, 0] = np.nan
    ax = plot_ranking(table, group="epoch=12")
    assert ax.images[0].get_array().shape == (3, 2)
    note = "without a value: log number of parameters, number of layers"
    note = f"in order of |ROCC| with test accuracy {note}"
    group, _, found = ax.get_xlabel().partition("\n")
    assert (group, found.replace("\n", " ")) == ("epoch: 12", note)
    check_layout(ax.figure)
    assert plot_ranking(without_value(*range(5))).images[0].get_array().shape == (5, 2)


@pytest.mark.parametrize("grey", [False, True])
def test_a_colour_bar_only_where_there_are_colours(grey: bool) -> None:
    """Of a table all grey, the legend says which coefficient it is."""
    table = correlations()
    if grey:
        table["rocc_pvalue_holm"] = table["rocc_pvalue_holm"] * 0 + 0.5
    ax = plot_ranking(table)
    assert len(ax.figure.axes) == 2 - grey
    text = legends_of(ax.figure)[0].get_texts()[0].get_text()
    assert text == ("ROCC (Spearman's ρ), all p (Holm) ≥ 0.05" if grey else "p (Holm) ≥ 0.05")
    check_layout(ax.figure)


def test_takes_what_correlate_returns() -> None:
    """The real table, groups and baselines included."""
    table = correlate(scores_of(60), by="epoch", interval="fisher", permutations=99)
    ax = plot_ranking(table, coefficient="plcc", group="epoch=12")
    assert ax.images[0].get_array().shape == (table.sizes["measure"], table.sizes["target"])
    check_layout(ax.figure)


BAD = {
    "coefficient must be one of plcc, rocc, krocc, got 'pearson'": {"coefficient": "pearson"},
    "adjust must be one of holm, bh, none, got 'bonferroni'": {"adjust": "bonferroni"},
    "group must be one of all, epoch=12, epoch=90, got 'network=a'": {"group": "network=a"},
    "measures must be one of Q_low_rank_p2, .*, got 'Q'": {"measures": ["Q"]},
    "targets must be one or more different names": {"targets": []},
}


@pytest.mark.parametrize(("message", "options"), BAD.items(), ids=list(BAD))
def test_errors_name_parameter_and_remedy(message: str, options: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=message):
        plot_ranking(correlations(), **options)


def test_table_without_adjusted_pvalues() -> None:
    table = correlations().drop_vars("rocc_pvalue_holm")
    with pytest.raises(ValueError, match="correlations hold no rocc_pvalue_holm; call correlate"):
        plot_ranking(table)
    with pytest.raises(ValueError, match="correlations must be a Dataset over"):
        plot_ranking(xr.Dataset())
