"""`write_report`: what is on the page, gathered from a Dataset."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Unpack

import numpy as np
import xarray as xr

from genpredict.errors import GenpredictError, GenpredictWarning
from genpredict.inference import Inference, InferenceOptions, inference_of
from genpredict.outputs import new_file
from genpredict.report.commands import commands_of, inference_options
from genpredict.report.content import content_of
from genpredict.report.context import beyond_of, context_of
from genpredict.report.marks import readouts
from genpredict.report.measure_groups import columns_besides
from genpredict.report.page import page_of
from genpredict.schema import TARGETS
from genpredict.stats import correlate
from genpredict.stats.column import Column
from genpredict.stats.columns import measure_columns, target_columns
from genpredict.stats.groups import selected
from genpredict.store.reading import open_scores

#: Groups of checkpoints are looked at by themselves where there are at most this many.
MOST_GROUPS = 12
#: Checkpoints that a group needs for a number.
MIN_N = Inference().min_n
#: What tells a report from other pages: stands near the top of the template.
_MARK = b'content="genpredict '


def write_report(
    scores: xr.Dataset | str | Path,
    output: str | Path,
    *,
    overwrite: bool = True,
    measures: Sequence[str] | str | None = None,
    targets: Sequence[str] | str | None = None,
    by: Sequence[str] | str | None = None,
    where: str | None = None,
    partial: Sequence[str] | str | None = None,
    command: str = "",
    inference: Inference | None = None,
    **short: Unpack[InferenceOptions],
) -> Path:
    """Write scores as one self-contained interactive HTML page.

    Parameters
    ----------
    scores : Dataset or path
        As of `open_scores`, or a store.
    output : path
        The page, ends in .html.
    overwrite : bool
        Replace an existing report; no other file is replaced.
    measures, targets : sequence of str, optional
        As `correlate` takes them; the panels offer the same ones.
    by : sequence of str, optional
        Coordinates; correlations also within groups. Default: ``network``, where there are several
        networks (at most 12), and one of them has the 5 checkpoints that a number takes; an empty
        sequence for no groups.
    where : str, optional
        Checkpoints that count, such as ``"epoch == 90"``. Failures are always all there are.
    partial : sequence of str, optional
        Covariates that the correlations hold fixed, as `correlate` takes them.
    command : str
        What made the page, to stand on it.
    inference : Inference, optional
        How intervals and p-values are made, clusters included.
    **short
        Fields of `Inference` by name.

    Returns
    -------
    Path
        The page.

    Raises
    ------
    GenpredictError
        For names that the scores do not have; when `output` does not end in .html, or may not or
        cannot be written.

    Notes
    -----
    The same scores and options give the same bytes. Every checkpoint is a mark; of more than 2,000
    their numbers, but for whole ones, are rounded to 16 significant bits, one part in 65,536, which
    the page says: 65,536 checkpoints take less than 4 MB. The layer heat map shows 60 checkpoints,
    evenly spaced in order of test accuracy, where there are more.

    Without `measures`, the measures of other groups that the scores hold (``heavy_tail`` and so on)
    have sections of their own, and p-values adjusted among themselves and the baselines.

    Examples
    --------
    >>> write_report("scores.zarr", "report.html")  # doctest: +SKIP
    """
    path = Path(output)
    if path.suffix not in (".html", ".htm"):
        raise GenpredictError(f"{path}: the report must end in .html")
    settings = inference_of(inference, short)
    covariates = [partial] if isinstance(partial, str) else list(partial or [])
    options: dict[str, object] = {"measures": measures, "targets": targets, "by": by}
    options |= {"where": where, "partial": covariates or None} | inference_options(settings)
    name = "scores.zarr" if isinstance(scores, xr.Dataset) else str(scores)
    store = scores if isinstance(scores, xr.Dataset) else open_scores(scores)
    done = selected(store, where or None)
    groups = default_by(done) if by is None else [by] if isinstance(by, str) else list(by)
    rows = measure_columns(done, measures) if done.sizes["checkpoint"] else []
    besides = columns_besides(done) if rows and measures is None else []
    columns = _targets(done, targets) if rows else []
    correlations, others = _tables(
        done, measures, besides, columns, partial=covariates, by=groups, inference=settings
    )
    context = context_of(store, done, rows, columns, correlations, others, name=name, where=where)
    context |= commands_of(store, name, options, groups, command)
    context |= beyond_of(done, columns, correlations, groups, settings)
    made = {
        "where": where or "",
        "partial": ", ".join(covariates),
        "command": context["correlate_again"],
    }
    told = readouts(correlations) | readouts(others)
    content = content_of(done, [*rows, *besides], columns, told, made) | {
        "heatmap": context["heatmap"]
    }
    inputs = () if isinstance(scores, xr.Dataset) else (Path(scores),)
    with new_file(path, overwrite=overwrite, inputs=inputs, mark=_MARK) as draft:
        draft.write_text(page_of(context, content), encoding="utf-8", newline="\n")
    return path


def default_by(scores: xr.Dataset) -> list[str]:
    """Return the coordinates that groups are made by when none are named.

    Parameters
    ----------
    scores : Dataset
        Of checkpoints that are done.

    Returns
    -------
    list of str
        ``network`` where there are 2 to 12 and one has enough checkpoints, else nothing.
    """
    if "network" not in scores.variables:
        return []
    names = [name for name in scores["network"].values.tolist() if name]
    levels, counts = np.unique(names, return_counts=True)
    useful = 1 < len(levels) <= MOST_GROUPS and counts.max() >= MIN_N
    return ["network"] if useful else []


def _tables(
    done: xr.Dataset,
    measures: Sequence[str] | str | None,
    besides: Sequence[Column],
    columns: Sequence[Column],
    *,
    by: Sequence[str],
    **options: Any,
) -> tuple[xr.Dataset | None, xr.Dataset | None]:
    """Correlate the measures of the ranking, and apart from them those of other groups.

    What `correlate` warns of stands on the page, not on the terminal.
    """
    if not columns:
        return None, None
    targets = [column.label for column in columns]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GenpredictWarning)
        ranked = correlate(done, measures=measures, targets=targets, by=by, **options)
        if not besides:
            return ranked, None
        labels = [column.label for column in besides]
        others = correlate(done, measures=labels, targets=targets, **options)
    return ranked, others.sel(measure=labels)


def _targets(done: xr.Dataset, targets: Sequence[str] | str | None) -> list[Column]:
    """Return the targets; none where none are asked for and the scores have none."""
    if targets is None and not any(
        name in done.variables and bool(done[name].notnull().any()) for name in TARGETS
    ):
        return []
    return target_columns(done, targets)
