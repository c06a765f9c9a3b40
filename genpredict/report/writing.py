"""`write_report`: what is on the page, gathered from a Dataset."""

from __future__ import annotations

import shlex
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Unpack

import numpy as np
import xarray as xr

import genpredict
from genpredict.errors import GenpredictError, GenpredictWarning
from genpredict.inference import Inference, InferenceOptions, inference_of
from genpredict.outputs import new_file
from genpredict.report import beyond, charts, layers, marks, tables
from genpredict.report.commands import commands_of, inference_options, scored_with, settings_of
from genpredict.report.page import page_of
from genpredict.schema import TARGETS
from genpredict.stats import correlate
from genpredict.stats.columns import Column, measure_columns, target_columns
from genpredict.stats.groups import ALL, selected
from genpredict.stats.known_coefficients import COEFFICIENTS
from genpredict.stats.power import power_sentence
from genpredict.stats.tables import STARS
from genpredict.store.reading import open_scores

#: Groups of checkpoints are looked at by themselves where there are at most this many.
MOST_GROUPS = 12
#: Checkpoints that a group needs for a number.
MIN_N = Inference().min_n
#: Up to this many marks are SVG elements; more are painted on a canvas.
MOST_SVG = 2000
#: What tells a report from other pages: stands near the top of the template.
_MARK = b'content="genpredict '
_FIRST = ("Q_low_rank_p2", "Q_adjusted_low_rank_p2")


def write_report(
    scores: xr.Dataset | str | Path,
    output: str | Path,
    *,
    overwrite: bool = True,
    measures: Sequence[str] | str | None = None,
    targets: Sequence[str] | str | None = None,
    by: Sequence[str] | str | None = None,
    where: str | None = None,
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
    The same scores and options give the same bytes. Every checkpoint is a mark, and of 32,768 the
    page has about 7 MB; the layer heat map shows 60 checkpoints, evenly spaced in order of test
    accuracy, where there are more.

    Examples
    --------
    >>> write_report("scores.zarr", "report.html")  # doctest: +SKIP
    """
    path = Path(output)
    if path.suffix not in (".html", ".htm"):
        raise GenpredictError(f"{path}: the report must end in .html")
    options: dict[str, object] = {"measures": measures, "targets": targets, "by": by}
    settings = inference_of(inference, short)
    options |= {"where": where} | inference_options(settings)
    name = "scores.zarr" if isinstance(scores, xr.Dataset) else str(scores)
    store = scores if isinstance(scores, xr.Dataset) else open_scores(scores)
    done = selected(store, where or None)
    groups = default_by(done) if by is None else [by] if isinstance(by, str) else list(by)
    rows = measure_columns(done, measures) if done.sizes["checkpoint"] else []
    columns = _targets(done, targets) if rows else []
    correlations = None
    if rows and columns:
        correlations = _correlated(
            done,
            measures=measures,
            targets=targets,
            by=groups,
            inference=settings,
        )
    context = _context(store, done, rows, columns, correlations, name=name, where=where)
    context |= commands_of(store, name, options, groups, command)
    context |= _beyond(done, columns, correlations, groups, settings)
    text = page_of(context, _data(done, rows, columns, correlations))
    inputs = () if isinstance(scores, xr.Dataset) else (Path(scores),)
    with new_file(path, overwrite=overwrite, inputs=inputs, mark=_MARK) as partial:
        partial.write_text(text, encoding="utf-8", newline="\n")
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


def _correlated(done: xr.Dataset, **options: Any) -> xr.Dataset:
    """Correlate; what `correlate` warns of stands on the page, not on the terminal."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GenpredictWarning)
        return correlate(done, **options)


def _targets(done: xr.Dataset, targets: Sequence[str] | str | None) -> list[Column]:
    """Return the targets; none where none are asked for and the scores have none."""
    if targets is None and not any(
        name in done.variables and bool(done[name].notnull().any()) for name in TARGETS
    ):
        return []
    return target_columns(done, targets)


def _context(
    store: xr.Dataset,
    done: xr.Dataset,
    rows: Sequence[Column],
    columns: Sequence[Column],
    correlations: xr.Dataset | None,
    *,
    name: str,
    where: str | None,
) -> dict[str, Any]:
    """Return what the template shows."""
    failures = tables.failures_of(store)
    return {
        "version": genpredict.__version__,
        "name": name,
        "title": Path(name).name or name,
        "where": where or "",
        "counts": tables.status_counts(store),
        "shown": int(done.sizes["checkpoint"]),
        "composition": tables.composition(done),
        "measures": tables.summary_rows(rows),
        "targets": tables.summary_rows(columns),
        "has_q": any(row.name in ("Q", "Q_adjusted") for row in rows),
        "rankings": _rankings(correlations),
        "ranked_by": "" if correlations is None else tables.ranked_by(correlations),
        "correlations": _settings(correlations),
        "coefficients": {key: row.reversed_name for key, row in COEFFICIENTS.items()},
        "checkpoints": tables.checkpoint_table(done) if rows and "Q" in done else None,
        "heatmap": layers.heatmap_of(done) if "Q" in done else None,
        "most_svg": MOST_SVG,
        "failures": failures[: tables.MOST_REASONS],
        "more_reasons": failures[tables.MOST_REASONS :],
        "settings": settings_of(store),
        "scored_with": scored_with(store),
        "quoted_name": shlex.quote(name),
    }


def _settings(correlations: xr.Dataset | None) -> dict[str, Any]:
    """Return how the correlations were made; nothing where there are none."""
    return {} if correlations is None else dict(correlations.attrs) | _intervals(correlations)


def _beyond(
    done: xr.Dataset,
    columns: Sequence[Column],
    correlations: xr.Dataset | None,
    by: Sequence[str],
    inference: Inference,
) -> dict[str, Any]:
    """Return what stands beside the ranking, of test accuracy or the first target."""
    if correlations is None:
        return {"curves": None, "yardsticks": None, "power": "", "beyond_target": ""}
    labels = [column.label for column in columns]
    target = "test_accuracy" if "test_accuracy" in labels else labels[0]
    names = dict(tables.target_names(correlations))
    return {
        "curves": beyond.curves_of(done, target, by, inference),
        "yardsticks": beyond.yardsticks_of(done, target),
        "power": power_sentence(correlations, target),
        "beyond_target": names[target],
    }


def _rankings(correlations: xr.Dataset | None) -> list[dict[str, Any]]:
    """Return a ranking for each group that has numbers, all checkpoints first."""
    if correlations is None:
        return []
    rankings = []
    for group in (str(label) for label in correlations["group"].values):
        part = correlations.sel(group=group)
        if group == ALL or not bool(part["plcc"].isnull().all()):
            rankings.append(
                {
                    "group": group,
                    "targets": tables.target_names(correlations),
                    "rows": tables.ranking(correlations, group),
                    "significant": _significant(part),
                }
            )
    return rankings


def _significant(part: xr.Dataset) -> list[tuple[str, int, int]]:
    """Say for each target how many ROCC differ from zero, and of how many."""
    pvalues = part["rocc_pvalue_holm"].transpose("target", "measure").values
    names = part["target_long_name"].values
    return [
        (str(name), int((row < STARS[0]).sum()), int(np.isfinite(row).sum()))
        for name, row in zip(names, pvalues, strict=True)
    ]


def _clusters(correlations: xr.Dataset) -> str:
    """Say how many clusters there are, "" where checkpoints are independent."""
    if not correlations.attrs["cluster"]:
        return ""
    counts = int(correlations["n_clusters"].max()), int(correlations["n"].max())
    return (
        f"{counts[0]:,} clusters of {counts[1]:,} checkpoints, by {correlations.attrs['cluster']}"
    )


def _intervals(correlations: xr.Dataset) -> dict[str, str]:
    first = correlations.sel(group=ALL)
    return {
        "kind": str(first["interval"].item()),
        "krocc_kind": str(first["krocc_interval"].item()),
        "clusters": _clusters(correlations),
        "left_out": ", ".join(
            f"{group} ({int(n)})"
            for group, n in zip(
                correlations["group"].values,
                correlations["n"].max(("measure", "target")).values,
                strict=True,
            )
            if bool(correlations["plcc"].sel(group=group).isnull().all())
        ),
    }


def _data(
    done: xr.Dataset,
    rows: Sequence[Column],
    columns: Sequence[Column],
    correlations: xr.Dataset | None,
) -> dict[str, Any]:
    """Return what the script draws."""
    colours = marks.colour_columns(done)
    keys = [row.label for row in rows]
    first = [key for key in _FIRST if key in keys] or keys[:1]
    targets = [column.label for column in columns]
    target = "test_accuracy" if "test_accuracy" in targets else next(iter(targets), "")
    return {
        "ids": [str(label) for label in done["checkpoint"].values],
        "measures": marks.axis_columns(rows),
        "targets": marks.axis_columns(columns),
        "columns": colours,
        "readouts": marks.readouts(correlations),
        "first": {
            "measures": [first[0], first[-1]] if first else [],
            "target": target,
            "colour": marks.first_colour(colours),
        },
        "missing": marks.missing_colour(),
        "most_svg": MOST_SVG,
        "heatmap": layers.heatmap_of(done) if "Q" in done else None,
        "charts": charts.charts(),
    }
