"""`plot_scatter`: the points, colours, texts and legends drawn are those of the Dataset."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest
import seaborn as sns
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection, PolyCollection
from matplotlib.colors import to_hex
from numpy.typing import NDArray
from placement import check_layout, legends_of
from synthetic_scores import NETWORKS, correlations, scores_of

from genpredict.errors import GenpredictError
from genpredict.figures import plot_scatter
from genpredict.figures.style import GROUP_COLOURS, MISSING
from genpredict.stats import correlate


def points(ax: Axes) -> NDArray[np.float64]:
    """Return the marks of a panel, sorted."""
    marks = [c.get_offsets() for c in ax.collections if isinstance(c, PathCollection)]
    found = np.concatenate(marks) if marks else np.empty((0, 2))
    return found[np.lexsort(found.T)]


def expected(x: xr.DataArray, y: xr.DataArray) -> NDArray[np.float64]:
    """Return the pairs that have both values, sorted."""
    pairs = np.column_stack([x.values, y.values]).astype(float)
    pairs = pairs[np.isfinite(pairs).all(1)]
    return pairs[np.lexsort(pairs.T)]


def legend_texts(grid: sns.FacetGrid) -> list[str]:
    return [text.get_text() for legend in grid.figure.legends for text in legend.get_texts()]


def low_rank(scores: xr.Dataset, name: str = "Q") -> xr.DataArray:
    return scores[name].sel(factorization="low_rank", p=2)


def test_default_panel_is_q_against_test_accuracy() -> None:
    """One panel at column width: low-rank Q with p = 2, test accuracy in percent."""
    scores = scores_of(14)
    grid = plot_scatter(scores)
    assert grid.axes.shape == (1, 1)
    ax = grid.axes[0, 0]
    np.testing.assert_array_equal(points(ax), expected(low_rank(scores), scores["test_accuracy"]))
    assert ax.get_xlabel().replace("\xa0", " ") == "network quality Q, low rank, p = 2 (rad)"
    assert ax.get_ylabel() == "test accuracy (%)"
    assert grid.figure.get_figwidth() == 3.4
    check_layout(grid.figure)


def test_every_measure_against_every_target() -> None:
    """Columns are measures, rows are targets; labels stand on the outer panels only."""
    scores = scores_of(20)
    measures = {
        "Q": low_rank(scores),
        "Q_raw_p1": scores["Q"].sel(factorization="raw", p=1),
        "log_num_parameters": scores["num_parameters"],
    }
    targets = ("test_accuracy", "generalization_gap")
    grid = plot_scatter(scores, measures=list(measures), targets=targets, hue="network")
    for (row, column), ax in np.ndenumerate(grid.axes):
        x, y = list(measures.values())[column], scores[targets[row]]
        np.testing.assert_array_equal(points(ax), expected(x, y))
        assert bool(ax.get_xlabel()) == (row == 1)
        assert bool(ax.get_ylabel()) == (column == 0)
    assert [ax.get_xscale() for ax in grid.axes[0]] == ["linear", "linear", "log"]
    assert len(grid.data) == 20 * 6
    check_layout(grid.figure)


def layered(n: int) -> xr.Dataset:
    """Make scores with kinds of layers, the last one linear, and one more layer measure."""
    scores = scores_of(n)
    rng = np.random.default_rng(5)
    kinds = np.tile(np.array(["conv", "conv", "conv", "linear"], dtype=object), (n, 1))
    scores["layer_kind"] = (("checkpoint", "layer"), kinds)
    rank = rng.uniform(1, 9, (n, 4, 2, 2))
    scores["effective_rank"] = (("checkpoint", "layer", "unfolding", "factorization"), rank)
    return scores.assign_coords(num_train=("checkpoint", 10.0 * (1 + np.arange(n) % 4)))


#: Name, its column in a table of correlations, its label and the scale of its axis.
NAMES = (
    ("effective_rank_raw", "effective_rank_raw", "mean effective rank, raw", "linear"),
    ("effective_rank", "effective_rank_low_rank", "mean effective rank, low rank", "linear"),
    ("quality_p1", "quality_low_rank_p1", "mean quality, low rank, p = 1 (rad)", "linear"),
    ("log_quality_raw_p1", "log_quality_raw_p1", "mean quality, raw, p = 1 (rad)", "log"),
    ("log_effective_rank_raw", "log_effective_rank_raw", "mean effective rank, raw", "log"),
    ("log_num_train", "log_num_train", "number of training images", "log"),
)


@pytest.mark.parametrize(("name", "key", "label", "scale"), NAMES)
def test_takes_the_names_that_correlate_takes_against_correlate(
    name: str, key: str, label: str, scale: str
) -> None:
    """What is drawn has the correlation that the table gives for that name."""
    scores = layered(24)
    table = correlate(scores, measures=name, targets="test_accuracy", interval="fisher")
    ax = plot_scatter(scores, measures=name, correlations=table).axes[0, 0]
    x, y = points(ax).T
    assert ax.get_xscale() == scale
    assert ax.get_xlabel().replace("\xa0", " ").replace("\n", " ") == label
    wanted = float(table["plcc"].sel(measure=key, target="test_accuracy", group="all"))
    found = np.corrcoef(np.log(x) if scale == "log" else x, y)[0, 1]
    assert found == pytest.approx(wanted)
    assert len(x) == 24


def test_layer_measures_are_means_over_convolutions_against_xarray() -> None:
    scores = layered(12)
    ax = plot_scatter(scores, measures="effective_rank_raw").axes[0, 0]
    conv = scores["effective_rank"].sel(factorization="raw").isel(layer=slice(3))
    np.testing.assert_allclose(
        points(ax), expected(conv.mean(("layer", "unfolding")), scores["test_accuracy"])
    )


def test_hue_by_a_measure() -> None:
    """A logarithm has a logarithmic bar over the numbers themselves; layers are averaged."""
    scores = layered(24)
    grid = plot_scatter(scores, hue="log_num_train")
    marks = grid.axes[0, 0].collections[0]
    np.testing.assert_array_equal(np.sort(marks.get_array()), np.sort(scores["num_train"]))
    assert marks.norm.__class__.__name__ == "LogNorm"
    bar = grid.figure.axes[-1]
    assert bar.get_ylabel() == "number of training images"
    assert [text.get_text() for text in bar.get_yticklabels()] == ["10", "20", "30", "40"]
    grid = plot_scatter(scores, hue="effective_rank", factorization="raw")
    assert grid.figure.axes[-1].get_ylabel() == "mean effective rank, raw"


def test_one_choice_is_not_another() -> None:
    """Scores of raw spectra alone never pass for low rank; written out, they are drawn."""
    scores = scores_of(6).sel(factorization=["raw"])
    with pytest.raises(
        ValueError, match=r"factorization must be one of \('raw',\), got 'low_rank'"
    ):
        plot_scatter(scores)
    assert "raw" in plot_scatter(scores, measures="Q_raw").axes[0, 0].get_xlabel()


def test_hue_and_style_by_coordinates() -> None:
    """A colour a network, a shape an optimizer, and both legends outside of the panels."""
    scores = scores_of(12)
    grid = plot_scatter(scores, hue="network", style="optimizer")
    ax = grid.axes[0, 0]
    assert legend_texts(grid) == [*NETWORKS, "adam", "sgd", "not given"]
    found = {
        (*np.round(xy, 9), to_hex(colour))
        for marks in ax.collections
        for xy, colour in zip(marks.get_offsets(), marks.get_facecolor(), strict=True)
    }
    shade = dict(zip(NETWORKS, GROUP_COLOURS, strict=False))
    wanted = zip(
        np.round(low_rank(scores).values, 9),
        np.round(scores["test_accuracy"].values, 9),
        [shade[name].lower() for name in scores["network"].values],
        strict=True,
    )
    assert found == set(wanted)
    assert len(ax.collections) == 3  # one a shape
    check_layout(grid.figure)


def test_hue_and_style_of_one_coordinate_share_a_legend() -> None:
    grid = plot_scatter(scores_of(12), hue="network", style="network")
    assert legend_texts(grid) == list(NETWORKS)
    markers = {handle.get_marker() for handle in grid.figure.legends[0].legend_handles}
    assert len(markers) == 3


def test_missing_level_is_grey() -> None:
    """A checkpoint whose optimizer is not known is drawn, in grey, and the legend says so."""
    scores = scores_of(12)
    grid = plot_scatter(scores, hue="optimizer")
    colours = [to_hex(c) for c in grid.axes[0, 0].collections[0].get_facecolor()]
    assert colours.count(MISSING.lower()) == 4
    assert legend_texts(grid)[-1] == "not given"


def test_numeric_hue_has_a_colour_bar() -> None:
    """Decades get a logarithmic bar, few levels get their own ticks, NaN is grey."""
    scores = scores_of(40)
    grid = plot_scatter(scores, hue="learning_rate")
    marks = grid.axes[0, 0].collections[0]
    np.testing.assert_array_equal(np.sort(marks.get_array()), np.sort(scores["learning_rate"]))
    assert marks.norm.__class__.__name__ == "LogNorm"
    assert grid.figure.axes[-1].get_ylabel() == "learning rate"
    scores["epoch"] = scores["epoch"].astype(float).where(scores["network"] != "vgg16_bn")
    grid = plot_scatter(scores, hue="epoch")
    bar = grid.figure.axes[-1]
    assert [text.get_text() for text in bar.get_yticklabels()] == ["12", "90"]
    assert len(points(grid.axes[0, 0])) == 40
    check_layout(grid.figure)


def test_many_levels_keep_the_frequent_ones() -> None:
    """Nine colours in two shapes can be told apart: the 17 most frequent levels, the rest grey."""
    scores = scores_of(66)
    names = np.repeat([f"net{i:02d}" for i in range(22)], 3).astype(object)
    names[:3] = [*["net21"] * 2, "net00"]
    scores["network"] = ("checkpoint", names)
    grid = plot_scatter(scores, hue="network")
    texts = legend_texts(grid)
    assert len(texts) == 18
    assert texts[-1] == "5 others"
    assert "net21" in texts
    assert "net00" not in texts
    grid = plot_scatter(scores, hue="network", style="network")
    assert legend_texts(grid)[8] == "14 others"  # shapes say something else: one turn of colours


def test_a_colour_taken_twice_has_two_shapes() -> None:
    """The tenth group has the first one's colour, and another mark, in panel and legend."""
    scores = scores_of(44)
    scores["network"] = ("checkpoint", np.repeat([f"net{i:02d}" for i in range(11)], 4))
    grid = plot_scatter(scores, hue="network")
    marks = grid.axes[0, 0].collections
    assert [len(some.get_offsets()) for some in marks] == [36, 8]
    handles = grid.figure.legends[0].legend_handles
    kinds = [(handle.get_color(), handle.get_marker()) for handle in handles]
    assert len(set(kinds)) == 11
    assert kinds[9][0] == kinds[0][0] == GROUP_COLOURS[0]


def test_coefficients_are_written_as_given() -> None:
    """PLCC and ROCC with intervals and n over each panel, from the table alone."""
    table = correlations()
    grid = plot_scatter(
        scores_of(30),
        measures=["Q", "log_num_parameters"],
        targets=["test_accuracy", "generalization_gap"],
        correlations=table,
    )
    keys = ("Q_low_rank_p2", "log_num_parameters")
    for (row, column), ax in np.ndenumerate(grid.axes):
        cell = table.isel(target=row).sel(measure=keys[column], group="all")
        value, low, high = (f"{float(cell[f'rocc{e}']):.2f}" for e in ("", "_lower", "_upper"))
        wanted = f"ROCC {value} [{low}, {high}]".replace("-", "−")
        title = ax.get_title(loc="left")
        assert title.split("\n")[1:] == [wanted, "n = 1,234"]
        assert title.startswith(f"PLCC {float(cell['plcc']):.2f}".replace("-", "−"))
    check_layout(grid.figure)


def test_missing_coefficient_is_a_dash() -> None:
    """A group too small for a correlation says so instead of a number."""
    table = correlations()
    for name in ("rocc", "rocc_lower", "rocc_upper"):
        table[name][:] = np.nan
    grid = plot_scatter(scores_of(3), correlations=table)
    assert "\nROCC –\nn = " in grid.axes[0, 0].get_title(loc="left")


def test_columns_put_epochs_side_by_side() -> None:
    """Each panel holds its epoch, writes its epoch's correlation, on common axes."""
    scores = scores_of(30)
    grid = plot_scatter(scores, columns="epoch", hue="network", correlations=correlations())
    assert grid.axes.shape == (1, 2)
    for ax, epoch in zip(grid.axes[0], (12, 90), strict=True):
        chosen = scores.isel(checkpoint=scores["epoch"].values == epoch)
        np.testing.assert_array_equal(
            points(ax), expected(low_rank(chosen), chosen["test_accuracy"])
        )
        cell = correlations().sel(
            measure="Q_low_rank_p2", target="test_accuracy", group=f"epoch={epoch}"
        )
        title = ax.get_title(loc="left").replace("−", "-")
        assert title.startswith(f"training epochs: {epoch}\nPLCC {float(cell['plcc']):.2f}")
        assert title.endswith("\npooled: n = 1,234")
    assert grid.axes[0, 0].get_xlim() == grid.axes[0, 1].get_xlim()
    assert grid.axes[0, 0].get_ylim() == grid.axes[0, 1].get_ylim()
    free = plot_scatter(scores, columns="epoch", share=False)
    assert free.axes[0, 0].get_xlim() != free.axes[0, 1].get_xlim()
    check_layout(grid.figure)


def test_trend_of_each_group_against_theory() -> None:
    """Through points on a line, the trend is that line; a constant group has none."""
    scores = scores_of(30)
    q = low_rank(scores)
    scores["test_accuracy"] = ("checkpoint", (50 + 100 * q).values)
    flat = scores["network"] == "resnet20"
    scores["Q"] = scores["Q"].where(~flat, 0.2)
    grid = plot_scatter(scores, hue="network", trend=True)
    lines = grid.axes[0, 0].lines
    assert len(lines) == 2
    for line in lines:
        x, y = line.get_data()
        np.testing.assert_allclose(y, 50 + 100 * x)


@pytest.mark.parametrize("hue", [None, "network", "learning_rate"])
def test_five_thousand_points_are_rasterised(hue: str | None) -> None:
    """All are drawn, as pixels in a vector file, in an order that hides no group."""
    scores = scores_of(5000)
    ax = plot_scatter(scores, hue=hue).axes[0, 0]
    assert all(marks.get_rasterized() for marks in ax.collections)
    np.testing.assert_array_equal(points(ax), expected(low_rank(scores), scores["test_accuracy"]))
    drawn = np.asarray(ax.collections[0].get_offsets())[:, 0]
    assert not np.array_equal(drawn, low_rank(scores).values)


def test_32768_points_become_hexagons_on_one_scale() -> None:
    """Counts add up to the checkpoints in every panel; one colour bar holds for all."""
    scores = scores_of(32_768)
    targets = ["test_accuracy", "generalization_gap"]
    grid = plot_scatter(scores, measures=["Q", "log_num_parameters"], targets=targets)
    hexagons = [ax.collections[0] for ax in grid.axes.flat]
    for one in hexagons:
        assert isinstance(one, PolyCollection)
        assert np.sum(one.get_array()) == 32_768
    assert len({id(one.norm) for one in hexagons}) == 1
    assert hexagons[0].norm.vmax >= max(one.get_array().max() for one in hexagons)
    assert grid.figure.axes[-1].get_ylabel() == "checkpoints per hexagon"
    for ax in grid.axes[:, 0]:  # and none is cut by the frame
        low, high = np.array([ax.get_xlim(), ax.get_ylim()]).T
        half = np.ptp(ax.collections[0].get_paths()[0].vertices, axis=0) / 2
        centres = ax.collections[0].get_offsets()
        assert (centres - half >= low).all()
        assert (centres + half <= high).all()


def test_32768_points_keep_their_hue() -> None:
    grid = plot_scatter(scores_of(32_768), hue="network")
    assert len(points(grid.axes[0, 0])) == 32_768


def test_many_counts_are_cells_against_numpy() -> None:
    """Whole numbers have bars of cells in their place, which together hold every checkpoint."""
    scores = scores_of(12_000)
    grid = plot_scatter(scores, measures=["num_layers", "Q"])
    (cells,) = grid.axes[0, 0].collections
    counts = cells.get_array()
    edges = cells.get_coordinates()[0, :, 0]
    levels, expected = np.unique(scores["num_layers"], return_counts=True)
    np.testing.assert_allclose((edges[::2] + edges[1::2]) / 2, levels)
    np.testing.assert_array_equal(counts.sum(axis=0)[::2], expected)
    assert not counts[:, 1::2].count()
    assert grid.figure.axes[-1].get_ylabel() == "checkpoints per cell"
    ticks = grid.axes[0, 0].get_xticks()
    assert (ticks == ticks.round()).all()
    check_layout(grid.figure)


def test_a_constant_count_is_one_bar() -> None:
    """Among 12,000 networks of 20 layers: one bar at 20, with room beside it."""
    scores = scores_of(12_000)
    scores["num_layers"] = scores["num_layers"] * 0 + 20
    ax = plot_scatter(scores, measures="num_layers").axes[0, 0]
    counts = ax.collections[0].get_array()
    assert counts.sum() == 12_000
    assert counts[:, [0, 1, 3, 4]].count() == 0
    low, high = ax.get_xlim()
    assert (low, high) == (pytest.approx(20 - 1.5, abs=0.1), pytest.approx(20 + 1.5, abs=0.1))


def test_a_log_axis_of_less_than_a_decade_has_two_ticks_with_texts() -> None:
    """300k and 400k where 1, 2 and 5 times a power of ten give fewer than two."""
    scores = scores_of(9)
    for span, texts in (((2.7e5, 8.6e5), {"300k", "400k", "600k", "800k"}), ((1e5, 6e5), {"200k"})):
        scores["num_parameters"] = ("checkpoint", np.geomspace(*span, 9))
        grid = plot_scatter(scores, measures="log_num_parameters")
        grid.figure.draw_without_rendering()
        axis = grid.axes[0, 0].xaxis
        shown = {t.get_text() for t in [*axis.get_majorticklabels(), *axis.get_minorticklabels()]}
        assert texts <= shown


def test_trends_lie_under_few_marks_and_over_many() -> None:
    """A line hides none of a dozen checkpoints, and is seen over thousands."""
    for n, over in ((12, False), (2_500, True)):
        ax = plot_scatter(scores_of(n), trend=True).axes[0, 0]
        assert (ax.lines[0].get_zorder() > ax.collections[0].get_zorder()) == over


def test_failed_checkpoints_are_not_drawn() -> None:
    scores = scores_of(10)
    scores["status"][:4] = "failed"
    grid = plot_scatter(scores, measures="num_parameters")
    assert len(points(grid.axes[0, 0])) == 6


@pytest.mark.parametrize("hue", [None, "network", "epoch"])
@pytest.mark.parametrize("style", [None, "optimizer"])
def test_nothing_to_draw_says_so(hue: str | None, style: str | None) -> None:
    """All NaN, or all failed: an empty panel with its labels, and no warning."""
    nothing, failed = scores_of(6), scores_of(6)
    nothing["Q"] = nothing["Q"] * np.nan
    failed["status"][:] = "failed"
    for scores in (nothing, failed):
        ax = plot_scatter(scores, hue=hue, style=style, trend=True).axes[0, 0]
        assert [text.get_text() for text in ax.texts] == ["no values"]


@pytest.mark.parametrize("n", [1, 5, 12_000])
def test_constant_columns_and_few_points(n: int) -> None:
    """One point, five points and constants have axes around them."""
    scores = scores_of(n)
    scores["Q"] = scores["Q"] * 0 + 0.3
    grid = plot_scatter(scores, trend=True)
    low, high = grid.axes[0, 0].get_xlim()
    assert low < 0.3 < high
    check_layout(grid.figure)


def test_long_names_are_cut_in_the_middle() -> None:
    """The legend stays on the page and the ends, where names differ, stay readable."""
    scores = scores_of(9)
    names = [f"{name}_{'very_' * 12}long_{i}" for i, name in enumerate("abc")] * 3
    scores["network"] = ("checkpoint", np.array(names, dtype=object))
    grid = plot_scatter(scores, hue="network")
    assert {text[-1] for text in legend_texts(grid)} == {"0", "1", "2"}
    assert max(map(len, legend_texts(grid))) <= 32
    assert legends_of(grid.figure)
    check_layout(grid.figure)


BAD = {
    "measures: no 'Qx' in these scores; there are Q, Q_adjusted": {"measures": "Qx"},
    "targets: no 'network' in these scores; there are": {"targets": ["network"]},
    r"measures must be one or more different names, got \[\]": {"measures": []},
    "measures must be one or more different names": {"measures": ["Q", "Q_low_rank_p2"]},
    r"factorization must be one of \('raw', 'low_rank'\), got 'full'": {"factorization": "full"},
    r"p must be one of \(1, 2\), got 3": {"p": 3},
    "hue: 'optimiser' is no coordinate along checkpoint; there are .*optimizer": {
        "hue": "optimiser"
    },
    "style: 'Q' is no coordinate along checkpoint": {"style": "Q"},
    "style='learning_rate' has 12 values, no two checkpoints alike; take": {
        "style": "learning_rate"
    },
    "columns='learning_rate' has 12 levels, must have 1 to 8; choose": {"columns": "learning_rate"},
    r"correlations must be a Dataset over .*, as genpredict.stats.correlate": {
        "correlations": xr.Dataset()
    },
}


@pytest.mark.parametrize(("message", "options"), BAD.items(), ids=list(BAD))
def test_errors_name_parameter_and_remedy(message: str, options: dict[str, object]) -> None:
    with pytest.raises((ValueError, GenpredictError), match=message):
        plot_scatter(scores_of(12), **options)


def test_correlations_without_the_group() -> None:
    """A pooled correlation is never written over a part of the checkpoints."""
    pooled = correlations().sel(group=["all"])
    with pytest.raises(ValueError, match="correlations hold no group 'epoch=12', only all; give"):
        plot_scatter(scores_of(12), columns="epoch", correlations=pooled)


def test_scores_without_checkpoints() -> None:
    with pytest.raises(ValueError, match="scores must have a dimension 'checkpoint'"):
        plot_scatter(xr.Dataset())


def test_pooled_coefficients_are_called_pooled() -> None:
    """Where a panel shows several groups, its coefficients tell of all of them together."""
    table = correlations()
    scores = scores_of(30)
    grid = plot_scatter(scores, hue="network", correlations=table)
    assert grid.axes[0, 0].get_title(loc="left").endswith("\npooled: n = 1,234")
    one = scores.isel(checkpoint=(scores["network"] == "resnet20").values)
    for alone in (plot_scatter(scores, correlations=table),
                  plot_scatter(one, hue="network", correlations=table)):  # fmt: skip
        assert "pooled" not in alone.axes[0, 0].get_title(loc="left")


def test_one_level_needs_no_legend() -> None:
    """A legend of a single value says nothing."""
    scores = scores_of(30)
    one = scores.isel(checkpoint=(scores["network"] == "resnet20").values)
    assert plot_scatter(scores, hue="network").figure.legends
    assert not plot_scatter(one, hue="network").figure.legends


def test_what_is_not_given_has_no_trend() -> None:
    """Checkpoints of which the optimizer is not known are no group of their own."""
    grid = plot_scatter(scores_of(30), hue="optimizer", trend=True)
    assert len(grid.axes[0, 0].lines) == 2  # sgd and adam


def test_coincident_marks_are_counted() -> None:
    """Five networks at Q = 0 and 100 % lie on one spot: ×5 stands beside it."""
    scores = scores_of(12)
    scores["Q"].values[:5] = 0.0
    scores["test_accuracy"].values[:5] = 100.0
    scores["test_accuracy"].values[5:] = np.minimum(scores["test_accuracy"].values[5:], 99.0)
    scores["Q"].values[6:9] = 0.002
    scores["test_accuracy"].values[6:9] = 100.0
    grid = plot_scatter(scores, width=1.8, height=1.8)
    ax = grid.axes[0, 0]
    assert {text.get_text() for text in ax.texts} <= {"×5", "×3"}
    assert "×5" in {text.get_text() for text in ax.texts}
    boxes = [text.get_window_extent() for text in ax.texts]
    frame = ax.get_window_extent()
    assert all(frame.y0 <= box.y0 < box.y1 <= frame.y1 for box in boxes)
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])


def test_numbers_that_are_not_given_are_in_a_legend() -> None:
    """Grey marks are explained, also where the first checkpoint is one."""
    scores = scores_of(40)
    assert not plot_scatter(scores, hue="learning_rate").figure.legends
    scores["learning_rate"][:3] = np.nan
    grid = plot_scatter(scores, hue="learning_rate")
    marks = grid.axes[0, 0].collections[0]
    shades = [to_hex(colour) for colour in marks.to_rgba(marks.get_array())]
    assert shades.count(MISSING.lower()) == 3
    assert legend_texts(grid) == ["learning rate not given"]
    assert to_hex(grid.figure.legends[0].legend_handles[0].get_color()) == MISSING.lower()
    check_layout(grid.figure)


def test_lines_of_one_colour_differ_in_dashes() -> None:
    """Of groups that share a colour; the legend shows which is which."""
    scores = scores_of(120)
    scores["network"] = ("checkpoint", np.array([f"net{i % 12:02d}" for i in range(120)]))
    grid = plot_scatter(scores, hue="network", trend=True)
    lines = grid.axes[0, 0].lines
    kinds = {(to_hex(line.get_color()), str(line._dash_pattern)) for line in lines}
    assert len(kinds) == len(lines) == 12
    shown = [handle.get_linestyle() for handle in grid.figure.legends[0].legend_handles]
    assert shown == ["-"] * 9 + ["--"] * 3


def test_legend_of_colours_has_one_marker_where_shapes_mean_something_else() -> None:
    """And the rest of many is another grey than what is not given."""
    scores = scores_of(90)
    names = np.array([f"net{i % 11:02d}" for i in range(90)], dtype=object)
    names[::10] = ""
    scores["network"] = ("checkpoint", names)
    grid = plot_scatter(scores, hue="network", style="optimizer")
    handles = grid.figure.legends[0].legend_handles
    assert {handle.get_marker() for handle in handles} == {"o"}
    assert [text.get_text() for text in grid.figure.legends[0].get_texts()][-2:] == [
        "3 others", "not given",
    ]  # fmt: skip
    assert len({to_hex(handle.get_color()) for handle in handles[-2:]}) == 2


@pytest.mark.parametrize("count", [1, 2, 5, 9, 10, 12, 18, 20])
def test_columns_of_a_legend_are_equally_long(count: int) -> None:
    """No entry stands in a row of its own while others have room."""
    scores = scores_of(4 * count)
    names = np.array([f"setting {i % count}" for i in range(4 * count)], dtype=object)
    scores["network"] = ("checkpoint", names)
    grid = plot_scatter(scores, hue="network", measures=["Q", "num_layers"])
    for legend in grid.figure.legends:
        shown = len(legend.get_texts())
        assert shown == min(count, 18)
        rows = -(-shown // legend._ncols)
        assert legend._ncols == -(-shown // rows)
    check_layout(grid.figure)


def test_titles_of_five_columns_are_readable() -> None:
    """Seven tenths of a line's height at least, within their panel."""
    table = correlations().assign_attrs(cluster="run")
    table["n_clusters"] = table["n"] // 3
    names = ["Q", "Q_raw_p1", "Q_adjusted", "log_num_parameters", "num_layers"]
    grid = plot_scatter(scores_of(30), measures=names, hue="network", correlations=table)
    grid.figure.draw_without_rendering()
    boxes = [ax._left_title.get_window_extent() for ax in grid.axes.flat]
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])
    assert all(ax._left_title.get_fontsize() >= 5.9 for ax in grid.axes.flat)
    said = grid.axes[0, 0].get_title(loc="left").replace("\n", " ")
    assert said.endswith("pooled: n = 1,234 in 411 clusters by run")
    check_layout(grid.figure)


def test_one_panel_in_axes_of_the_caller() -> None:
    """Marks, legend and colour bar go where they are asked for; two panels are refused."""
    scores = scores_of(30)
    figure, axes = plt.subplots(1, 3, figsize=(10, 3), layout="constrained")
    for ax, hue in zip(axes, (None, "network", "learning_rate"), strict=True):
        assert plot_scatter(scores, hue=hue, style="optimizer" if hue else None, ax=ax) is ax
        np.testing.assert_array_equal(
            points(ax), expected(low_rank(scores), scores["test_accuracy"])
        )
        assert ax.get_ylabel() == "test accuracy (%)"
    assert [len(legend.get_texts()) for legend in legends_of(figure)] == [6, 3]
    assert tuple(figure.get_size_inches()) == (10, 3)
    check_layout(figure)
    with pytest.raises(ValueError, match="ax holds one panel, and these are 1 × 2; draw one"):
        plot_scatter(scores, measures=["Q", "num_layers"], ax=axes[0])
