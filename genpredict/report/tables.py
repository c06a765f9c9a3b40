"""Tables of the page: what a store holds, the ranking, the ends of the list, failures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from genpredict.figures.labels import axis_label, name_of, signed, told_apart
from genpredict.report.colours import correlation_colour, ink_on
from genpredict.report.layers import order_of
from genpredict.report.marks import label_of, short_name
from genpredict.schema import MAIN_CHOICE, TARGETS
from genpredict.stats.column import Column
from genpredict.stats.known_coefficients import COEFFICIENTS
from genpredict.stats.tables import stars

#: Up to this many checkpoints are all listed; of more, the ends of the order.
MOST_LISTED = 40
ENDS = 10
#: Failed checkpoints named for a reason, and reasons; the rest is counted.
MOST_NAMES = 100
MOST_REASONS = 30
#: Networks, data sets and so on that are named in the summary.
MOST_VALUES = 6
_COUNTS = ("num_parameters", "num_layers", "num_rank_zero", "num_rank_one")


@dataclass(frozen=True)
class Cell:
    """A coefficient in a table: texts, and colours where it is significant."""

    text: str
    interval: str = ""
    stars: str = ""
    background: str = ""
    ink: str = ""


@dataclass(frozen=True)
class Failures:
    """Checkpoints that failed for one reason; the first names, and how many more."""

    reason: str
    count: int
    names: Sequence[str]

    @property
    def more(self) -> int:
        """Return how many are not named."""
        return self.count - len(self.names)


def summary_rows(columns: Iterable[Column]) -> list[dict[str, str]]:
    """Describe columns: how many checkpoints have them, and where their values lie.

    Parameters
    ----------
    columns : iterable of Column

    Returns
    -------
    list of dict
        label, n, minimum, median, maximum, as texts; of numbers, where the measure is their log.
    """
    rows = []
    for column in columns:
        name = column.name.removeprefix("log_") if column.log else column.name
        label = label_of(replace(column, log=False, name=name))
        known = column.values[np.isfinite(column.values)]
        if column.name.startswith("Q"):
            unit = "" if column.units in ("", "1") else f" ({column.units})"
            label = short_name(column) + unit
        ends = [np.min(known), np.median(known), np.max(known)] if len(known) else [np.nan] * 3
        texts = number_texts(np.array(ends))
        named = dict(zip(("minimum", "median", "maximum"), texts, strict=True))
        rows.append({"label": label, "n": f"{len(known):,}"} | named)
    return rows


def number_texts(numbers: NDArray[np.float64]) -> list[str]:
    """Return numbers of one kind as texts: whole where all are, else with the same digits.

    Examples
    --------
    >>> number_texts(np.array([272474.0, np.nan])), number_texts(np.array([0.5, -0.25]))
    (['272,474', '–'], ['0.5000', '−0.2500'])
    >>> number_texts(np.array([100.0, 93.123])), number_texts(np.array([1e-5, 2e-5]))
    (['100.00', '93.12'], ['1e-05', '2e-05'])
    """
    known = numbers[np.isfinite(numbers)]
    largest = float(np.abs(known).max(initial=0.0))
    whole = bool((known == np.rint(known)).all())
    halves = bool((2 * known == np.rint(2 * known)).all())  # medians of whole numbers
    style = (
        ",.0f"
        if whole
        else ",.1f"
        if halves
        else ",.2f"
        if largest >= 10
        else ".4f"
        if largest >= 0.01
        else ".4g"
    )
    texts = (format(value, style) if np.isfinite(value) else "–" for value in numbers.tolist())
    return [f"−{text[1:]}" if text.startswith("-") else text for text in texts]


def ranking(correlations: xr.Dataset, group: str) -> list[dict[str, Any]]:
    """Return the measures, strongest ROCC with test accuracy (else the first target) first.

    Parameters
    ----------
    correlations : Dataset
        As of `genpredict.stats.correlate`.
    group : str
        A label along `group`.

    Returns
    -------
    list of dict
        key, label, and `targets`: by target, the `Cell` of each coefficient and `n`.
    """
    table = correlations.sel(group=group)
    targets = [str(target) for target in table["target"].values]
    strength = abs(table["rocc"].sel(target=_first_target(correlations)).values)
    order = np.argsort(-strength, kind="stable")
    return [_ranked(table.isel(measure=int(row)), targets) for row in order]


def ranked_by(correlations: xr.Dataset) -> str:
    """Return what the target is called whose correlations order the measures."""
    first = correlations.sel(target=_first_target(correlations))
    return str(first["target_long_name"].item())


def _first_target(correlations: xr.Dataset) -> str:
    targets = [str(target) for target in correlations["target"].values]
    return "test_accuracy" if "test_accuracy" in targets else targets[0]


def _ranked(row: xr.Dataset, targets: Sequence[str]) -> dict[str, Any]:
    texts = [str(row[part].item()) for part in ("measure", "name", "factorization", "long_name")]
    key, name, factorization, long_name = texts
    label = short_name(Column(key, name, np.zeros(0), factorization, float(row["p"]), long_name))
    cells = {
        target: {name: cell_of(row.sel(target=target), name) for name in COEFFICIENTS}
        | {"n": int(row["n"].sel(target=target))}
        for target in targets
    }
    return {"key": key, "label": label, "targets": cells}


def cell_of(row: xr.Dataset, name: str) -> Cell:
    """Return a coefficient as a cell: coloured where its Holm-adjusted p is below 0.05.

    Parameters
    ----------
    row : Dataset, without dimensions
    name : str
        Of a coefficient, such as "rocc".

    Returns
    -------
    Cell
    """
    value, lower, upper, p = (
        float(row[name + part]) for part in ("", "_lower", "_upper", "_pvalue_holm")
    )
    if np.isnan(value):
        return Cell("–")
    interval = "" if np.isnan([lower, upper]).any() else f"[{signed(lower)}, {signed(upper)}]"
    earned = stars(p)
    if not earned:
        return Cell(signed(value), interval)
    background = correlation_colour(value)
    return Cell(signed(value), interval, earned, background, ink_on(background))


def main_target(columns: Sequence[Column]) -> str:
    """Return the label of test accuracy where it is among the targets, else of the first; or ""."""
    labels = [column.label for column in columns]
    return "test_accuracy" if "test_accuracy" in labels else next(iter(labels), "")


def target_names(correlations: xr.Dataset) -> list[tuple[str, str]]:
    """Return label and name of each target."""
    names = correlations["target_long_name"].values
    return [(str(t), str(n)) for t, n in zip(correlations["target"].values, names, strict=True)]


def checkpoint_table(scores: xr.Dataset) -> dict[str, Any]:
    """List checkpoints with their numbers, best first; of many, both ends of the order.

    Parameters
    ----------
    scores : Dataset
        Of checkpoints that are done.

    Returns
    -------
    dict
        `headings`, `rows` (texts; None for the gap between the ends), `order` (a name), `total`.
    """
    name, keys = order_of(scores)
    order = np.argsort(-keys, kind="stable")
    shown = order if len(order) <= MOST_LISTED else np.concatenate([order[:ENDS], order[-ENDS:]])
    part = scores.isel(checkpoint=shown)
    columns = {axis_label(n): part[n] for n in (*TARGETS, *_COUNTS) if _useful(part, n)}
    qualities = {
        "Q (rad)": part["Q"].sel(MAIN_CHOICE),
        "Q_adjusted (rad)": part["Q_adjusted"].sel(MAIN_CHOICE),
    }
    texts = [number_texts(_floats(keys)) for keys in (qualities | columns).values()]
    ids = [str(label) for label in part["checkpoint"].values]
    rows: list[Any] = list(zip(ids, told_apart(ids), *texts, strict=True))
    if len(shown) < len(order):
        rows.insert(ENDS, None)
    return {
        "headings": [*qualities, *columns],
        "rows": rows,
        "order": name,
        "total": len(order),
    }


def _useful(scores: xr.Dataset, name: str) -> bool:
    return name in scores.variables and bool(scores[name].notnull().any())


def _floats(variable: xr.DataArray) -> NDArray[np.float64]:
    return np.asarray(variable.values, dtype=np.float64)


def failures_of(scores: xr.Dataset) -> list[Failures]:
    """Group failed checkpoints by reason, the most common first.

    Parameters
    ----------
    scores : Dataset
        All checkpoints of a store.

    Returns
    -------
    list of Failures
    """
    if "status" not in scores.variables or "error" not in scores.variables:
        return []
    failed = scores.isel(checkpoint=scores["status"].values == "failed")
    ids = [str(label) for label in failed["checkpoint"].values]
    sources = failed["source"].values if "source" in failed.variables else ids
    groups: dict[str, list[str]] = {}
    for name, source, error in zip(ids, sources, failed["error"].values, strict=True):
        reason = str(error).removeprefix(f"{source}: ").removeprefix(f"{name}: ")
        groups.setdefault(reason or "no reason recorded", []).append(name)
    ordered = sorted(groups.items(), key=lambda item: (-len(item[1]), item[0]))
    return [Failures(reason, len(names), names[:MOST_NAMES]) for reason, names in ordered]


def status_counts(scores: xr.Dataset) -> dict[str, int]:
    """Count checkpoints by status: done, failed, pending."""
    total = scores.sizes["checkpoint"]
    if "status" not in scores.variables:
        return {"done": total, "failed": 0, "pending": 0}
    counts = Counter(str(status) for status in scores["status"].values)
    return {status: counts[status] for status in ("done", "failed", "pending")}


def composition(scores: xr.Dataset) -> list[tuple[str, str]]:
    """Say which networks, data sets, optimizers and epochs there are, the most common first."""
    lines = []
    for name in ("network", "dataset", "optimizer", "epoch"):
        if name not in scores.variables:
            continue
        levels = scores[name].values.tolist()
        known = [value for value in levels if value not in ("", None) and value == value]
        counts = Counter(f"{v:g}" if isinstance(v, float) else str(v) for v in known)
        if counts:
            lines.append((name_of(name), _counted(counts)))
    return lines


def _counted(counts: Counter[str]) -> str:
    """Return the most common values with their counts; where each occurs once, how many."""
    if len(counts) > MOST_VALUES and max(counts.values()) == 1:
        return f"{len(counts):,} different ones"
    first = [f"{text} ({n:,})" for text, n in counts.most_common(MOST_VALUES)]
    rest = len(counts) - len(first)
    return ", ".join([*first, *[f"{rest:,} other{'s' * (rest > 1)}"] * (rest > 0)])
