"""Results for the eye, at a prompt and in Jupyter: labelled, rounded, with n and clusters."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

import numpy as np
import pandas as pd
import xarray as xr

from genpredict.errors import GenpredictError
from genpredict.schema import MAIN_CHOICE, MAIN_CHOICE_NAME, TARGETS
from genpredict.stats.known_coefficients import COEFFICIENTS
from genpredict.stats.tables import STARS, choices_text, summary

#: Checkpoints of either end that are shown of many.
_ENDS = 5
_DECIMALS = 4


@dataclass(frozen=True)
class Look:
    """A table with what must be said of it; shows itself at a prompt and in Jupyter.

    Parameters
    ----------
    title : str
    table : DataFrame
    notes : tuple of str
    """

    title: str
    table: pd.DataFrame
    notes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        """Return title, table and notes as text."""
        return "\n".join([self.title, self.table.to_string(na_rep="–"), *self.notes])

    def _repr_html_(self) -> str:
        """Return them as HTML, every text escaped."""
        notes = "".join(f"<p>{escape(note)}</p>" for note in self.notes)
        return f"<p><b>{escape(self.title)}</b></p>{self.table.to_html(na_rep='–')}{notes}"


def look(result: xr.Dataset, *, coefficient: str = "rocc") -> Look:
    """Show scores, or correlations, so that they can be read.

    Parameters
    ----------
    result : Dataset
        As of `score`, `open_scores` or `correlate`.
    coefficient : {"rocc", "plcc", "krocc"}
        Which one, of correlations.

    Returns
    -------
    Look
        Of correlations: estimates with intervals and stars, n and clusters, and how they were made.
        Of scores: how many are done, and Q, counts and targets of the checkpoints by Q, both ends
        of many.

    Raises
    ------
    GenpredictError
        For another Dataset, or a coefficient that a table was not made with.

    Examples
    --------
    >>> look(genpredict.correlate(scores, targets="test_accuracy"))  # doctest: +SKIP
    ROCC (Spearman's ρ), 95 % intervals; * p < 0.05, ** p < 0.01, *** p < 0.001 (Holm)
                           test_accuracy   n
    measure
    Q_low_rank_p2   +0.15 [-0.25, +0.50]  90
    """
    if {"measure", "target", "group"} <= set(result.dims) and "n" in result:
        return _of_correlations(result, coefficient)
    if "checkpoint" in result.dims and "Q" in result:
        return _of_scores(result)
    raise GenpredictError(
        "result: must be what score, open_scores or correlate returned, all dimensions kept; of "
        "another Dataset, print the numbers themselves"
    )


def _of_correlations(correlations: xr.Dataset, coefficient: str) -> Look:
    table = summary(correlations, coefficient=coefficient)
    counts = correlations["n"].transpose("measure", ...).values.reshape(len(table), -1)
    table["n"] = [_span(row) for row in counts]
    notes = [choices_text(correlations), str(correlations.attrs.get("repetition", ""))]
    if correlations.attrs.get("cluster"):
        clusters = int(correlations["n_clusters"].max())
        notes.insert(1, f"{clusters:,} clusters of {int(counts.max()):,} checkpoints")
    level = 100 * float(correlations.attrs.get("level", 0.95))
    stars = ", ".join(f"{'*' * count} p < {limit:g}" for count, limit in enumerate(STARS, start=1))
    name = COEFFICIENTS[coefficient].reversed_name
    title = f"{name}, {level:g} % intervals; {stars} (Holm)"
    return Look(title, table, tuple(note for note in notes if note))


def _span(counts: np.ndarray[tuple[int], np.dtype[np.int64]]) -> str:
    """Return how many checkpoints there are, or from how many to how many.

    Examples
    --------
    >>> _span(np.array([90, 90])), _span(np.array([1200, 90]))
    ('90', '90 to 1,200')
    """
    low, high = int(counts.min()), int(counts.max())
    return f"{high:,}" if low == high else f"{low:,} to {high:,}"


def _of_scores(scores: xr.Dataset) -> Look:
    done = scores
    notes: list[str] = []
    if "status" in scores:
        done = scores.isel(checkpoint=scores["status"].values == "done")
        failed = int((scores["status"] == "failed").sum())
        notes += [f"{failed:,} more checkpoints failed: result['error'] says why"] * (failed > 0)
    columns = {name: done[name].sel(MAIN_CHOICE) for name in ("Q", "Q_adjusted") if name in done}
    names = ("num_parameters", "num_layers", "num_rank_zero", "num_rank_one", *TARGETS)
    columns |= {name: done[name] for name in names if name in done.variables}
    numbers = {name: np.asarray(column.values, dtype=float) for name, column in columns.items()}
    table = pd.DataFrame(numbers, index=pd.Index(done["checkpoint"].values, name="checkpoint"))
    table = table.sort_values("Q", ascending=False)
    table = table.loc[:, table.notna().any() | (table.columns == "Q")]
    if len(table) > 2 * _ENDS:
        notes.insert(0, f"the {_ENDS} of highest and of lowest Q of {len(table):,}")
        table = pd.concat([table.head(_ENDS), table.tail(_ENDS)])
    whole = {name: "Int64" for name in table.columns if name.startswith("num_")}
    title = f"{done.sizes['checkpoint']:,} checkpoints; Q and Q_adjusted: {MAIN_CHOICE_NAME} (rad)"
    return Look(title, table.round(_DECIMALS).astype(whole), tuple(notes))
