"""Predicted against true values of groups that were held out."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from genpredict.figures.labels import signed
from genpredict.figures.style import (
    GROUP_COLOURS,
    INK,
    MARKERS,
    MISSING,
    PAGE_WIDTH,
    SMALL_FONT,
    spaced,
    styled,
    tidy,
)

#: Groups that are told apart by colour; of more, all have one.
MOST_GROUPS = len(GROUP_COLOURS)


def plot_predictions(judged: xr.Dataset, *, width: float = PAGE_WIDTH) -> Figure:
    """Draw held-out predictions against the truth: by measures, and by the baselines alone.

    Parameters
    ----------
    judged : Dataset
        As of `genpredict.cross_validate`.
    width : float
        In inches; by default a journal's page.

    Returns
    -------
    Figure
        An Axes each for measures and baselines, with R² and its interval; the line is a perfect
        prediction, colours are held-out groups.

    Raises
    ------
    ValueError
        For what is no cross-validation.

    Examples
    --------
    >>> plot_predictions(cross_validate(scores, "test_accuracy"))  # doctest: +SKIP
    """
    if "prediction" not in judged or "held_out" not in judged:
        raise ValueError("judged must be a Dataset as genpredict.cross_validate returns")
    with styled():
        count = judged.sizes["features"]
        figure, axes = plt.subplots(
            1, count, figsize=(width, width / count + 0.2), sharex=True, sharey=True,
            squeeze=False, layout="constrained",
        )  # fmt: skip
        spaced(figure)
        for ax, name in zip(axes.flat, judged["features"].values, strict=True):
            _draw(ax, judged.sel(features=name), str(name))
        unit = f" ({judged.attrs['units']})" if judged.attrs["units"] not in ("", "1") else ""
        axes[0, 0].set_ylabel(f"predicted {judged.attrs['target_long_name']}{unit}")
        for ax in axes.flat:
            ax.set_xlabel(f"{judged.attrs['target_long_name']}{unit}")
        groups = judged["group"].values
        if len(groups) <= MOST_GROUPS:
            figure.legend(
                *axes[0, 0].get_legend_handles_labels(),
                loc="outside right upper",
                title="held out",
                handletextpad=0.2,
            )
    return figure


def _draw(ax: Axes, part: xr.Dataset, name: str) -> None:
    truth, predicted = part["truth"].values, part["prediction"].values
    ends = [min(truth.min(), predicted.min()), max(truth.max(), predicted.max())]
    ax.plot(ends, ends, color=INK, linewidth=0.6, zorder=1)
    groups = part["group"].values
    for number, group in enumerate(groups):
        rows = part["held_out"].values == group
        told = len(groups) <= MOST_GROUPS
        ax.scatter(
            truth[rows],
            predicted[rows],
            s=10,
            linewidths=0,
            alpha=0.8,
            color=GROUP_COLOURS[number] if told else MISSING,
            marker=MARKERS[number] if told else MARKERS[0],
            label=str(group).partition("=")[2],
        )
    lines = [f"{name}   {_quality(part, 'r2', 'R²')}", _quality(part, "kendall", "τ")]
    ax.set_title("\n".join(lines), loc="left", fontsize=SMALL_FONT)
    tidy(ax)


def _quality(part: xr.Dataset, key: str, title: str) -> str:
    value, low, high = (float(part[key + end]) for end in ("", "_lower", "_upper"))
    ends = "" if np.isnan(low) else f" [{signed(low)}, {signed(high)}]"
    return f"{title} {signed(value)}{ends}"
