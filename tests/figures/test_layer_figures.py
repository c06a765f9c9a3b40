"""`plot_heatmap` and `plot_evolution`: layers by checkpoints or epochs, as the Dataset has them."""

from __future__ import annotations

from functools import partial
from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray as xr
from matplotlib.collections import QuadMesh
from matplotlib.colors import to_hex
from placement import check_layout, legends_of
from synthetic_scores import scores_of

from genpredict.figures import plot_evolution, plot_heatmap

CHOICE = {"factorization": "low_rank", "p": 2, "unfolding": "out_channel"}


def run_of(epochs: int, *, layers: int = 4) -> xr.Dataset:
    """Make the checkpoints of one run, out of order."""
    scores = scores_of(epochs, layers=layers)
    order = np.random.default_rng(2).permutation(epochs)
    run = np.full(epochs, "sgd-s0", dtype=object)
    return scores.assign_coords(epoch=("checkpoint", 1 + order), run=("checkpoint", run))


def mixed(n: int) -> xr.Dataset:
    """Make scores of three networks and an optimizer that is not always given."""
    names = np.array([f"net{2 + i % 10}" for i in range(n)], dtype=object)
    names[::7] = ""
    return scores_of(n).assign_coords(network=("checkpoint", names))


def test_groups_of_many_columns_are_named_in_the_order_of_people() -> None:
    """Each at the middle of its own columns, those not given last; lines part them."""
    scores = mixed(130)
    ax = plot_heatmap(scores, sort="network")
    texts = [text.get_text() for text in ax.get_xticklabels()]
    assert texts == [f"net{i}" for i in range(2, 12)] + ["not given"]
    counts = [int((scores["network"] == name).sum()) for name in [*texts[:-1], ""]]
    ends = np.cumsum(counts)
    np.testing.assert_allclose(ax.get_xticks(), ends - np.array(counts) / 2 - 0.5)
    np.testing.assert_allclose([line.get_xdata()[0] for line in ax.lines], ends[:-1] - 0.5)
    first = scores["quality"].sel(CHOICE).isel(checkpoint=(scores["network"] == "net2").values)
    np.testing.assert_array_equal(
        ax.images[0].get_array()[:, : counts[0]].filled(np.nan), first.T.values
    )
    check_layout(ax.figure)
    boxes = [text.get_window_extent() for text in ax.get_xticklabels()]
    assert not any(a.overlaps(b) for a, b in pairwise(boxes))


def test_checkpoints_without_a_number_to_order_them_by_are_said() -> None:
    """They stand last, and the label says so."""
    scores = scores_of(60)
    assert "without" not in plot_heatmap(scores, sort="test_accuracy").get_xlabel()
    scores["test_accuracy"][5] = np.nan
    ax = plot_heatmap(scores, sort="test_accuracy")
    assert ax.get_xlabel() == "60 checkpoints in order of test accuracy (those without one last)"
    np.testing.assert_array_equal(
        ax.images[0].get_array()[:, -1].filled(np.nan),
        scores["quality"].sel(CHOICE)[5].values,
    )


@pytest.mark.parametrize("measure", ["quality", "stable"])
def test_logarithmic_colours(measure: str) -> None:
    """Colours are those of the logarithm; what has none has a colour that the legend names."""
    scores = scores_of(6)
    scores["stable"] = scores["quality"].drop_vars([])
    scores["rank"][2, 1], scores["quality"][2, 1], scores["stable"][2, 1] = 0, 0, 0
    ax = plot_heatmap(scores, measure=measure, log=True, palette="cividis")
    image = ax.images[0]
    usual = scores[measure].sel(CHOICE).where(lambda numbers: numbers > 0)
    low, high = float(usual.min()), float(usual.max())
    np.testing.assert_allclose(image.get_clim(), (low, high))
    value = float(usual[0, 0])
    share = np.log(value / low) / np.log(high / low)
    found, wanted = image.to_rgba(value), plt.get_cmap("cividis")(share)
    np.testing.assert_allclose(found, wanted, atol=0.02)
    (legend,) = legends_of(ax.figure)
    names = [text.get_text() for text in legend.get_texts()]
    assert names[0] == ("rank 0 (0)" if measure == "quality" else "0 or below")
    zero = image.to_rgba(image.get_array())[1, 2]
    assert to_hex(zero) == to_hex(legend.get_patches()[0].get_facecolor())
    with pytest.raises(ValueError, match="limits must be above 0 for logarithmic colours"):
        plot_heatmap(scores, log=True, limits=(0, 1))


def test_layers_that_coincide_take_turns_on_their_line() -> None:
    """Three layers at rank 0 in every epoch: each is seen, by dashes and marks of its own."""
    run = run_of(9, layers=5)
    run["rank"][:, :3] = 0.0
    run["rank"][:, 3:] = np.arange(1, 10)[:, None, None] * np.array([1.0, 2.0])[:, None]
    ax = plot_evolution(run, measure="rank", palette=["red", "green", "blue", "black", "grey"])
    dashes = [line._dash_pattern for line in ax.lines]
    assert [pattern for _, pattern in dashes[3:]] == [None, None]
    starts = [offset for offset, _ in dashes[:3]]
    shown, hidden = dashes[0][1]
    assert hidden == pytest.approx(2 * shown)
    np.testing.assert_allclose(np.diff(starts), shown)
    assert [line.get_markevery() for line in ax.lines[:3]] == [(0, 3), (1, 3), (2, 3)]
    assert len({to_hex(line.get_color()) for line in ax.lines}) > 2


def luminance(colour: tuple[float, ...]) -> float:
    return float(np.dot(colour[:3], (0.2126, 0.7152, 0.0722)))


def test_heatmap_over_checkpoints() -> None:
    """Rows are layers, the input on top; columns are checkpoints in the order asked for."""
    scores = scores_of(9)
    ax = plot_heatmap(scores, sort="test_accuracy")
    ordered = scores["quality"].sel(CHOICE).sortby("test_accuracy")
    shown = ax.images[0].get_array()
    np.testing.assert_array_equal(shown.filled(np.nan), ordered.T.values)
    assert [t.get_text() for t in ax.get_yticklabels()] == ["conv0", "conv1", "conv2", "conv3"]
    names = [str(name)[5:-4] for name in ordered["checkpoint"].values]
    assert [t.get_text() for t in ax.get_xticklabels()] == names
    assert ax.get_xlabel() == "checkpoints in order of test accuracy"
    assert ax.get_ylim()[0] > ax.get_ylim()[1]
    check_layout(ax.figure)


def test_heatmap_names_columns_by_a_coordinate() -> None:
    """Each column by its own checkpoint's value, in the order asked for."""
    scores = scores_of(9)
    ordered = scores.sortby("test_accuracy")
    for names, wanted, label in (
        ("network", ordered["network"].values.tolist(), "network"),
        ("test_accuracy", [f"{a:g}" for a in ordered["test_accuracy"].values], "test accuracy (%)"),
    ):
        ax = plot_heatmap(scores, sort="test_accuracy", names=names)
        assert [t.get_text() for t in ax.get_xticklabels()] == wanted
        text = ax.get_xlabel().replace("\n", " ")
        assert text == f"checkpoints by {label} in order of test accuracy"
        check_layout(ax.figure)


def test_heatmap_over_epochs() -> None:
    """Columns are the epochs in ascending order, named."""
    run = run_of(12)
    ax = plot_heatmap(run, columns="epoch", measure="quality")
    np.testing.assert_array_equal(
        ax.images[0].get_array().filled(np.nan),
        run["quality"].sel(CHOICE).sortby("epoch").T.values,
    )
    assert [t.get_text() for t in ax.get_xticklabels()] == [str(i) for i in range(1, 13)]
    assert ax.get_xlabel() == "training epochs"


def test_heatmap_sets_ranks_zero_and_one_apart() -> None:
    """A quality of π/2 by definition neither stretches the scale nor passes for a high quality."""
    scores = scores_of(6)
    scores["rank"][1, 0], scores["quality"][1, 0] = 1, np.pi / 2
    scores["rank"][2, 1], scores["quality"][2, 1] = 0, 0
    scores["rank"][3, :, 0] = 1  # of the other unfolding: not drawn
    ax = plot_heatmap(scores)
    image = ax.images[0]
    low, high = image.get_clim()
    usual = scores["quality"].sel(CHOICE).where(scores["rank"].sel(unfolding="out_channel") >= 2)
    assert low == usual.min()
    assert high == usual.max()
    texts = [text.get_text() for text in legends_of(ax.figure)[0].get_texts()]
    assert texts == ["rank 1 (π/2)", "rank 0 (0)", "no such layer"]
    patches = [to_hex(p.get_facecolor()) for p in legends_of(ax.figure)[0].get_patches()]
    cells = [image.to_rgba(image.get_array())[at] for at in ((0, 1), (1, 2), (3, 0))]
    assert patches == [to_hex(cell) for cell in cells]
    check_layout(ax.figure)


def test_heatmap_of_32768_checkpoints() -> None:
    """They are counted, not named; one in 22 has a column, no narrower than a pixel."""
    scores = scores_of(32_768)
    ax = plot_heatmap(scores, sort="test_accuracy")
    ordered = scores.isel(checkpoint=np.argsort(scores["test_accuracy"].values, kind="stable"))
    quality = ordered["quality"].sel(unfolding="out_channel", factorization="low_rank", p=2)
    drawn = ax.images[0].get_array()
    np.testing.assert_array_equal(drawn.filled(np.nan), quality.values[::22].T)
    assert drawn.shape == (4, 1490)
    assert ax.get_xlabel() == "32,768 checkpoints in order of test accuracy, one in 22 drawn"
    assert len(ax.get_xticks()) == 0
    ax.figure.draw_without_rendering()


def test_heatmap_of_a_deep_network_numbers_its_layers_from_one() -> None:
    ax = plot_heatmap(run_of(3, layers=60), columns="epoch")
    assert [t.get_text() for t in ax.get_yticklabels()][:3] == ["1", "10", "20"]
    assert list(ax.get_yticks())[:3] == [0, 9, 19]


def test_heatmap_names_long_epochs_by_their_value() -> None:
    """Of more epochs than have room, every some are named, by value and not by position."""
    ax = plot_heatmap(run_of(90), columns="epoch")
    named = {
        int(t.get_text()): x for t, x in zip(ax.get_xticklabels(), ax.get_xticks(), strict=True)
    }
    assert 8 <= len(named) <= 16
    assert all(epoch == place + 1 for epoch, place in named.items())


def test_heatmap_without_values() -> None:
    failed = scores_of(4)
    failed["status"][:] = "failed"
    assert plot_heatmap(failed).texts[0].get_text() == "no values"
    constant = scores_of(4)
    low, high = plot_heatmap(constant, measure="rank").images[0].get_clim()
    assert low < 3 < high


def test_evolution_draws_a_line_a_layer_darker_with_depth() -> None:
    run = run_of(12)
    ax = plot_evolution(run, measure="quality")
    ordered = run["quality"].sel(CHOICE).sortby("epoch")
    assert [line.get_label() for line in ax.lines] == ["conv0", "conv1", "conv2", "conv3"]
    for layer, line in enumerate(ax.lines):
        np.testing.assert_array_equal(line.get_xdata(), np.arange(1, 13))
        np.testing.assert_array_equal(line.get_ydata(), ordered[:, layer].values)
    shades = [luminance(line.get_color()) for line in ax.lines]
    assert shades == sorted(shades, reverse=True)
    assert ax.get_xlabel() == "training epochs"
    label = ax.get_ylabel().replace("\xa0", " ").replace("\n", " ")
    assert label == "quality, low rank, p = 2, out-channel (rad)"
    check_layout(ax.figure)


def test_evolution_shows_a_layer_in_one_colour_in_every_unfolding() -> None:
    """Also where a layer before it has no unfolding by input channels."""
    run = run_of(6)
    run["quality"][:, 0, 0] = np.nan  # as of a network for grey images
    by_output = plot_evolution(run, measure="quality")
    by_input = plot_evolution(run, measure="quality", unfolding="in_channel")
    colours = [
        {line.get_label(): to_hex(line.get_color()) for line in ax.lines}
        for ax in (by_output, by_input)
    ]
    assert set(colours[0]) - set(colours[1]) == {"conv0"}
    assert colours[1].items() <= colours[0].items()
    for ax, shades in zip((by_output, by_input), colours, strict=True):
        bar = ax.figure.axes[-1]
        assert [text.get_text() for text in bar.get_yticklabels()] == list(shades)
        (cells,) = [one for one in bar.collections if isinstance(one, QuadMesh)]
        drawn = cells.to_rgba(np.arange(1, len(shades) + 1))
        assert [to_hex(shade) for shade in drawn] == list(shades.values())
    assert "in-channel" in by_input.get_ylabel()


def test_panels_of_evolutions_share_a_bar() -> None:
    """One bar beside them all, and panels of one size."""
    figure, axes = plt.subplots(2, 2, figsize=(7, 5), layout="constrained")
    for ax in axes.flat[:3]:
        plot_evolution(run_of(6), measure="rank", ax=ax, bar=False)
    assert len(figure.axes) == 4
    plot_evolution(run_of(6), measure="quality", ax=axes[1, 1], bar=axes)
    assert len(figure.axes) == 5
    check_layout(figure)
    bar = figure.axes[-1].get_window_extent()
    boxes = [ax.get_window_extent() for ax in axes.flat]
    assert bar.x0 > max(box.x1 for box in boxes)
    assert bar.y0 < boxes[3].y1
    assert bar.y1 > boxes[0].y0
    assert np.ptp([box.width for box in boxes]) < 1


def test_evolution_of_learning_rates() -> None:
    """Any Dataset over layers and epochs does, without checkpoints."""
    rates = np.geomspace(0.1, 0.001, 50)[:, None] * np.arange(1, 10)
    history = xr.Dataset(
        {"learning_rate": (("epoch", "layer"), rates)}, coords={"epoch": np.arange(1, 51)}
    )
    ax = plot_evolution(history, measure="learning_rate", log=True)
    np.testing.assert_array_equal([line.get_ydata() for line in ax.lines], rates.T)
    assert ax.get_yscale() == "log"
    assert ax.get_ylabel() == "learning rate"
    bar = ax.figure.axes[-1]
    assert [t.get_text() for t in bar.get_yticklabels()] == [str(i) for i in range(1, 10)]
    check_layout(ax.figure)


@pytest.mark.parametrize("epochs", [1, 30])
def test_evolution_of_one_epoch_and_of_no_values(epochs: int) -> None:
    run = run_of(epochs, layers=60)
    assert len(plot_evolution(run, measure="quality").lines) >= 59
    run["status"][:] = "failed"
    assert plot_evolution(run, measure="quality").texts[0].get_text() == "no values"


def test_figures_draw_into_given_axes() -> None:
    """Panels can be put together; legends and bars find their room."""
    figure, axes = plt.subplots(1, 2, figsize=(7, 3.5), layout="constrained")
    scores = scores_of(6)
    scores["rank"][1, 0] = 1
    assert plot_heatmap(scores, ax=axes[0]) is axes[0]
    assert plot_evolution(run_of(6), measure="quality", ax=axes[1]) is axes[1]
    assert not figure.legends
    check_layout(figure)


BAD = {
    "measure: 'Q' is no measure of layers here; there are quality, rank": {"measure": "Q"},
    "sort: 'accuracy' is no coordinate along checkpoint; there are": {"sort": "accuracy"},
    "names: 'architecture' is no coordinate along checkpoint; there": {"names": "architecture"},
    "names='network' names checkpoints, but columns is 'seed'": {
        "names": "network",
        "columns": "seed",
    },
    "columns: 'step' is no coordinate along checkpoint": {"columns": "step"},
    "epoch: 3 checkpoints share the value 12; choose those of one run": {"columns": "epoch"},
    r"unfolding must be one of \('in_channel', 'out_channel'\), got 'mean'": {"unfolding": "mean"},
}


@pytest.mark.parametrize(("message", "options"), BAD.items(), ids=list(BAD))
def test_errors_name_parameter_and_remedy(message: str, options: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=message):
        plot_heatmap(scores_of(6).assign_coords(seed=("checkpoint", range(6))), **options)


def test_a_dimension_too_many() -> None:
    history = xr.Dataset({"rate": (("run", "epoch", "layer"), np.ones((2, 3, 4)))})
    with pytest.raises(
        ValueError, match=r"measure 'rate' has dimensions .* select along the others"
    ):
        plot_evolution(history, measure="rate")


def test_runs_are_never_joined() -> None:
    """Epochs of two runs are no history; the error names the runs and what to do."""
    run = run_of(4)
    two = run.assign_coords(run=("checkpoint", ["a", "a", "b", "b"]))
    for draw in (plot_evolution, partial(plot_heatmap, columns="epoch")):
        with pytest.raises(ValueError, match=r"several runs \(run is a, b\).*--where .run == 'a'"):
            draw(two, measure="quality")
    nameless = run.drop_vars("run").assign_coords(network=("checkpoint", ["x", "x", "y", "y"]))
    with pytest.raises(ValueError, match=r"several runs \(network is x, y\)"):
        plot_evolution(nameless, measure="quality")


def test_heatmap_has_epochs_to_scale() -> None:
    """Columns at epochs 1, 2 and 10 meet half-way between them."""
    run = run_of(3).assign_coords(epoch=("checkpoint", [1, 2, 10]))
    ax = plot_heatmap(run, columns="epoch", measure="quality")
    (mesh,) = ax.collections
    assert isinstance(mesh, QuadMesh)
    edges = np.unique(mesh.get_coordinates()[..., 0])
    np.testing.assert_allclose(edges, [0.5, 1.5, 6.0, 14.0])
    assert ax.yaxis_inverted()


def test_heatmap_by_relative_depth_has_no_grey() -> None:
    """Networks of 3 and 4 layers fill the same rows; the middle of each is its own middle."""
    scores = scores_of(6)
    ax = plot_heatmap(scores, depth="relative")
    shown = ax.images[0].get_array()
    assert not np.ma.getmaskarray(shown).any()
    shallow = scores["quality"].sel(unfolding="out_channel", factorization="low_rank", p=2)[0]
    np.testing.assert_array_equal(shown[:, 0], shallow.values[[0, 0, 1, 2]])
    with pytest.raises(ValueError, match="depth must be one of"):
        plot_heatmap(scores, depth="deep")  # type: ignore[arg-type]
