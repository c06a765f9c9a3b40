"""Predicted against true values of groups that were held out."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from genpredict.figures.coefficients import conditions_text, sample_text
from genpredict.figures.groups import Levels, grouping, recoloured
from genpredict.figures.labels import signed, wrapped
from genpredict.figures.legends import draw_legends
from genpredict.figures.marks import draw_points
from genpredict.figures.palettes import Palette
from genpredict.figures.panels import SMALL_CHARACTER, Panels, size_figure
from genpredict.figures.point_labels import label_marks, names_of_marks
from genpredict.figures.scatter import TURNS
from genpredict.figures.style import (
    GROUP_COLOURS,
    INK,
    PAGE_WIDTH,
    SMALL_FONT,
    spaced,
    styled,
    tidy,
)

#: Groups that are told apart by colour, and by shape where colours repeat; of more, all have one.
MOST_GROUPS = TURNS * len(GROUP_COLOURS)
_MARGIN = 0.05  # of the true values, on either side


def plot_predictions(
    judged: xr.Dataset,
    *,
    labels: str | None = None,
    palette: Palette | None = None,
    title: str = "",
    width: float = PAGE_WIDTH,
    height: float | None = None,
) -> Figure:
    """Draw held-out predictions against the truth: by measures, and by the baselines alone.

    Parameters
    ----------
    judged : Dataset
        As of `genpredict.cross_validate`.
    labels : str, optional
        "checkpoint" or "held_out", written beside the marks of up to 200 checkpoints, where they
        hide nothing.
    palette : str or sequence of str, optional
        Colours of the held-out groups, as of `plot_scatter`.
    title : str
        Over both panels.
    width, height : float, optional
        In inches; by default a journal's page wide, and as high as it takes.

    Returns
    -------
    Figure
        An Axes each for measures and baselines, with R², Kendall's τ, their intervals, and what
        was held out of how many checkpoints; the line is a perfect prediction, colours are
        held-out groups where there are at most 18.

    Raises
    ------
    ValueError
        For what is no cross-validation, a palette that there is not, and labels of more than 200
        checkpoints.

    Examples
    --------
    >>> plot_predictions(cross_validate(scores, "test_accuracy"))  # doctest: +SKIP
    """
    if "prediction" not in judged or "held_out" not in judged:
        raise ValueError("judged must be a Dataset as genpredict.cross_validate returns")
    colour = recoloured(_held_out(judged), palette)
    names = names_of_marks(judged, labels)
    with styled():
        panels = _panels(judged, width)
        low, high = judged["truth"].min().item(), judged["truth"].max().item()
        margin = _MARGIN * ((high - low) or 1.0)
        for column, name in enumerate(panels.columns):
            ax = panels.axes[0, column]
            ax.axline((low, low), slope=1.0, color=INK, linewidth=0.6, zorder=0.5)
            draw_points(ax, panels.drawn_in(0, column), colour, None)
            ax.update_datalim([(low, low), (high, high)])
            ax.set_xlim(low - margin, high + margin)
            ax.set_title(_said(judged, name, panels), loc="left", fontsize=SMALL_FONT)
        _label(panels, judged)
        draw_legends(panels, colour, None)
        size_figure(panels, height)
        if title:
            panels.figure.suptitle(title)
        label_marks(panels, names)
    return panels.figure


def _held_out(judged: xr.Dataset) -> Levels | None:
    """Return the held-out groups, where they are few enough for a colour each."""
    groups = [str(group) for group in judged["group"].values]
    if len(groups) > MOST_GROUPS:
        return None
    of_one = len({group.partition("=")[0] for group in groups}) == 1
    texts = [str(text).partition("=")[2] if of_one else text for text in judged["held_out"].values]
    named = judged.assign_coords(held=("checkpoint", np.array(texts, dtype=object)))
    named["held"].attrs["long_name"] = f"held out: {_leave_out(judged)}"
    colour = grouping(named, "held", parameter="held_out", turns=TURNS)
    assert isinstance(colour, Levels)
    return colour


def _leave_out(judged: xr.Dataset) -> str:
    return str(judged.attrs.get("leave_out", "group")).replace(",", ", ")


def _panels(judged: xr.Dataset, width: float) -> Panels:
    """Return a panel each for the predictions of every set of features."""
    columns = [str(name) for name in judged["features"].values]
    data = pd.concat(
        pd.DataFrame(
            {
                "column": name,
                "y": "prediction",
                "position": np.arange(judged.sizes["checkpoint"]),
                "x_value": judged["truth"].values,
                "y_value": judged["prediction"].sel(features=name).values,
            }
        )
        for name in columns
    )
    figure, axes = plt.subplots(
        1, len(columns), figsize=(width, width / len(columns)), sharex=True, sharey=True,
        squeeze=False, layout="constrained",
    )  # fmt: skip
    spaced(figure)
    return Panels(axes, data, columns, ["prediction"])


def _said(judged: xr.Dataset, name: str, panels: Panels) -> str:
    """Return how well a set of features does, and of whom that is told."""
    part = judged.sel(features=name)
    sample = sample_text(xr.Dataset({count: judged[count] for count in ("n", "n_clusters")}))
    model = str(judged.attrs.get("model", "")).replace("_", " ")
    said = [sample, model, f"{_leave_out(judged)} held out", conditions_text(judged)]
    most = int(panels.size[0] / SMALL_CHARACTER)
    lines = [f"{name}   {_quality(part, 'r2', 'R²')}", _quality(part, "kendall", "τ")]
    return "\n".join([*lines, wrapped("; ".join(text for text in said if text), most)])


def _label(panels: Panels, judged: xr.Dataset) -> None:
    unit = f" ({judged.attrs['units']})" if judged.attrs["units"] not in ("", "1") else ""
    target = f"{judged.attrs['target_long_name']}{unit}"
    panels.axes[0, 0].set_ylabel(f"predicted {target}")
    for ax in panels.axes.flat:
        ax.set_xlabel(target)
        _finish(ax)


def _finish(ax: Axes) -> None:
    ax.spines[["top", "right"]].set_visible(False)
    tidy(ax)


def _quality(part: xr.Dataset, key: str, title: str) -> str:
    value, low, high = (float(part[key + end]) for end in ("", "_lower", "_upper"))
    ends = "" if np.isnan(low) else f" [{signed(low)}, {signed(high)}]"
    return f"{title} {signed(value)}{ends}"
