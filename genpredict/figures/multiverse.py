"""The specification curve: a correlation under every convention, and which conventions these are.

References
----------
.. [1] U. Simonsohn, J. P. Simmons, L. D. Nelson, "Specification curve analysis", Nature Human
   Behaviour 4 (2020) 1208-1214.
"""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from genpredict.figures.coefficients import conditions_text, sample_text
from genpredict.figures.labels import signed, wrapped
from genpredict.figures.style import (
    GROUP_COLOURS,
    INK,
    MISSING,
    PAGE_WIDTH,
    SMALL_FONT,
    spaced,
    styled,
    tidy,
)
from genpredict.stats.known_coefficients import COEFFICIENTS
from genpredict.stats.specifications import CONVENTIONS

#: What choices are called under the curve.
_CALLED = {
    "low_rank": "low rank",
    "l2": "root mean square",
    "geometric_mean": "geometric mean",
    "conv": "convolutions",
    "all": "all layers",
    "in_channel": "in channel",
    "out_channel": "out channel",
}
_TITLES = {"empty": "rank 0", "rank_one": "rank 1", "kinds": "layers", "factorization": "spectrum"}


def plot_multiverse(curves: xr.Dataset, *, group: str = "all", width: float = PAGE_WIDTH) -> Figure:
    """Draw a correlation under every specification, in order of size, above the choices made.

    Parameters
    ----------
    curves : Dataset
        As of `genpredict.multiverse`.
    group : str
        A label along `group`.
    width : float
        In inches; by default a journal's page.

    Returns
    -------
    Figure
        Two Axes: the curve with its median, and a row a choice with a mark under every
        specification that makes it.

    Raises
    ------
    ValueError
        For a group that there is not, or what is no multiverse.

    Examples
    --------
    >>> plot_multiverse(multiverse(scores, "test_accuracy"))  # doctest: +SKIP
    """
    if "specification" not in curves.dims or "estimate" not in curves:
        raise ValueError("curves must be a Dataset as genpredict.multiverse returns")
    groups = [str(label) for label in curves["group"].values]
    if group not in groups:
        raise ValueError(f"group must be one of {', '.join(groups)}, got {group!r}")
    part = curves.sel(group=group)
    part = part.isel(specification=np.isfinite(part["estimate"].values))
    part = part.isel(specification=np.argsort(part["estimate"].values, kind="stable"))
    rows = [(name, choice) for name in CONVENTIONS for choice in _levels(part, name)]
    with styled():
        figure, (above, below) = plt.subplots(
            2,
            1,
            figsize=(width, 2.0 + 0.13 * len(rows)),
            sharex=True,
            height_ratios=[1.5, 0.13 * len(rows)],
            layout="constrained",
        )
        spaced(figure)
        _draw_curve(above, part, group)
        _draw_choices(below, part, rows)
    return figure


def _levels(part: xr.Dataset, name: str) -> list[object]:
    return list(dict.fromkeys(part[name].values.tolist()))


def _draw_curve(ax: Axes, part: xr.Dataset, group: str) -> None:
    values = part["estimate"].values
    colours = np.where(values > 0, GROUP_COLOURS[0], GROUP_COLOURS[1])
    ax.scatter(np.arange(len(values)), values, s=5, c=colours, linewidths=0)
    ax.axhline(0.0, color=INK, linewidth=0.6)
    median = float(part["median"])
    ax.axhline(median, color=MISSING, linewidth=1.0, zorder=0)
    ax.text(
        1.005, median, "median", transform=ax.get_yaxis_transform(), va="center",
        fontsize=SMALL_FONT - 1, clip_on=False,
    )  # fmt: skip
    attrs = part.attrs
    ax.set_ylabel(f"{attrs['coefficient'].upper()} of Q with\n{attrs['target_long_name']}")
    said = [
        "" if group == "all" else group.replace("=", ": "),
        sample_text(part),
        f"{len(values)} specifications, median {signed(median)} "
        f"(p = {float(part['median_pvalue']):.3f}), {float(part['share_positive']):.0%} above 0",
        conditions_text(part),
    ]
    title = "; ".join(text for text in said if text)
    ax.set_title(wrapped(title, 110), loc="left", fontsize=SMALL_FONT)
    tidy(ax)
    ax.tick_params(axis="x", length=0)
    ax.spines[["top", "right", "bottom"]].set_visible(False)


def _draw_choices(ax: Axes, part: xr.Dataset, rows: list[tuple[str, object]]) -> None:
    """Draw a mark under every specification that makes a choice."""
    for height, (name, choice) in enumerate(rows):
        made = np.flatnonzero(part[name].values == choice)
        ax.scatter(made, np.full(len(made), height), marker="|", s=14, color=INK, linewidths=0.6)
    ax.set_yticks(range(len(rows)), [_called(name, choice) for name, choice in rows])
    ax.set_ylim(len(rows) - 0.4, -0.6)
    starts = [i for i in range(1, len(rows)) if rows[i][0] != rows[i - 1][0]]
    for start in starts:
        ax.axhline(start - 0.5, color=MISSING, linewidth=0.4)
    ax.set_xlabel(f"specifications, in order of {COEFFICIENTS[part.attrs['coefficient']].title}")
    tidy(ax)
    ax.tick_params(axis="both", length=0, labelsize=SMALL_FONT - 1)
    ax.set_xticks([])
    ax.spines[:].set_visible(False)


def _called(name: str, choice: object) -> str:
    title = _TITLES.get(name, name)
    return f"{title}: {_CALLED.get(str(choice), choice)}"
