"""What the template of a page shows: counts, tables, settings, and how the numbers were made."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

import genpredict
from genpredict.inference import Inference
from genpredict.report import beyond, layers, tables
from genpredict.report.commands import scored_with, settings_of
from genpredict.report.measure_groups import groups_ranked
from genpredict.report.packing import BITS, MOST_EXACT
from genpredict.stats.column import Column
from genpredict.stats.groups import ALL
from genpredict.stats.known_coefficients import COEFFICIENTS
from genpredict.stats.power import power_sentence
from genpredict.stats.tables import STARS
from genpredict.store.label_noise import noise_note


def context_of(
    store: xr.Dataset,
    done: xr.Dataset,
    rows: Sequence[Column],
    columns: Sequence[Column],
    correlations: xr.Dataset | None,
    others: xr.Dataset | None,
    *,
    name: str,
    where: str | None,
) -> dict[str, Any]:
    """Return what the template shows.

    Parameters
    ----------
    store : Dataset
        All checkpoints of the scores.
    done : Dataset
        Those that count.
    rows, columns : sequence of Column
        Measures and targets.
    correlations, others : Dataset, optional
        The table of the ranking, and that of the other groups of measures.
    name : str
        Of the store.
    where : str, optional

    Returns
    -------
    dict
    """
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
        "measure_groups": groups_ranked(done, others),
        "ranked_by": "" if correlations is None else tables.ranked_by(correlations),
        "correlations": _settings(correlations),
        "as_set": _as_set(correlations, where),
        "noise": noise_note(done, [column.label for column in columns]),
        "rounding": f"one part in {2**BITS:,}" if done.sizes["checkpoint"] > MOST_EXACT else "",
        "coefficients": {key: row.reversed_name for key, row in COEFFICIENTS.items()},
        "checkpoints": tables.checkpoint_table(done) if rows and "Q" in done else None,
        "heatmap": layers.heatmap_of(done) if "Q" in done else None,
        "most_compared": beyond.MOST_COMPARED,
        "failures": failures[: tables.MOST_REASONS],
        "more_reasons": failures[tables.MOST_REASONS :],
        "settings": settings_of(store),
        "scored_with": scored_with(store),
        "quoted_name": shlex.quote(name),
    }


def _settings(correlations: xr.Dataset | None) -> dict[str, Any]:
    """Return how the correlations were made; nothing where there are none."""
    return {} if correlations is None else dict(correlations.attrs) | _intervals(correlations)


def _as_set(correlations: xr.Dataset | None, where: str | None) -> list[tuple[str, str]]:
    """Return what the numbers of the tables hold for, as name and text."""
    if correlations is None:
        return []
    return [
        ("where", where or "all checkpoints that are done"),
        ("clusters", _clusters(correlations) or "none: every checkpoint is a draw of its own"),
        ("held fixed (partial)", str(correlations.attrs["partial"]) or "nothing"),
    ]


def beyond_of(
    done: xr.Dataset,
    columns: Sequence[Column],
    correlations: xr.Dataset | None,
    by: Sequence[str],
    inference: Inference,
) -> dict[str, Any]:
    """Return what stands beside the ranking, of test accuracy or the first target.

    Parameters
    ----------
    done : Dataset
    columns : sequence of Column
        The targets.
    correlations : Dataset, optional
    by : sequence of str
    inference : Inference

    Returns
    -------
    dict
    """
    if correlations is None:
        return {"curves": None, "yardsticks": None, "power": "", "beyond_target": ""}
    target = tables.main_target(columns)
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
