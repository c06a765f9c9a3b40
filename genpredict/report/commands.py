"""How a page was made, and how to make its numbers again."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields

import numpy as np
import xarray as xr

from genpredict.inference import Inference

#: Options with these values are not written out.
DEFAULTS: dict[str, object] = {field.name: field.default for field in fields(Inference)}
#: Options of `genpredict figure ranking`.
_RANKING = ("measures", "targets", "where")
_MADE = ("genpredict_version", "estimator", "dtype", "device")


def command_line(words: Sequence[str], options: Mapping[str, object], output: str = "") -> str:
    """Return a command as it is typed, options at their defaults left out.

    Parameters
    ----------
    words : sequence of str
        The command and the store.
    options : mapping
        Names to values; several values are separated by commas, None is left out.
    output : str
        "" for none.

    Returns
    -------
    str

    Examples
    --------
    >>> command_line(["genpredict", "report", "a b.zarr"], {"by": ("x", "y"), "seed": 0}, "r.html")
    "genpredict report 'a b.zarr' --by x,y -o r.html"
    """
    typed = list(words)
    for name, value in options.items():
        if value is not None and value != DEFAULTS.get(name):
            text = ",".join(map(str, value)) if isinstance(value, tuple | list) else str(value)
            typed += [f"--{name}", text]
    return shlex.join([*typed, *(["-o", output] if output else [])])


def inference_options(inference: Inference) -> dict[str, object]:
    """Return settings of inference as options of the command line."""
    options = asdict(inference)
    if inference.cluster is None:
        options["cluster"] = "none"
    return options


def commands_of(
    store: xr.Dataset, name: str, options: Mapping[str, object], by: Sequence[str], command: str
) -> dict[str, str]:
    """Return the commands on a page.

    Parameters
    ----------
    store : Dataset
    name : str
        Of the store.
    options : mapping
        As of `write_report`.
    by : sequence of str
        What groups were made by in the end.
    command : str
        What made the page, where that is known.

    Returns
    -------
    dict
        `command` (of the scores, "" where unknown), `report_command`, `correlate_command`,
        `ranking_command`, and `correlate_again`, which a reader's own condition follows.
    """
    grouped = dict(options) | {"by": list(by) or None}
    ranking = {key: value for key, value in options.items() if key in _RANKING}
    again = {key: value for key, value in grouped.items() if key != "where"}
    return {
        "command": str(store.attrs.get("command", "")),
        "report_command": command
        or command_line(["genpredict", "report", name], options, "report.html"),
        "correlate_command": command_line(
            ["genpredict", "correlate", name], grouped, "correlations.csv"
        ),
        "correlate_again": command_line(["genpredict", "correlate", name], again),
        "ranking_command": command_line(
            ["genpredict", "figure", "ranking", name], ranking, "ranking.pdf"
        ),
    }


def settings_of(store: xr.Dataset) -> list[tuple[str, str]]:
    """Return the attributes of a store but its command, as texts."""
    settings = []
    for key, value in store.attrs.items():
        listed = value.tolist() if isinstance(value, np.ndarray) else value
        text = ", ".join(map(str, listed)) if isinstance(listed, list | tuple) else str(listed)
        settings.append((str(key).replace("_", " "), text or "–"))
    return [(key, text) for key, text in settings if key != "command"]


def scored_with(store: xr.Dataset) -> str:
    """Say in a line what made the scores; "" where a Dataset does not tell."""
    attrs = {key: str(store.attrs[key]) for key in _MADE if key in store.attrs}
    if len(attrs) < len(_MADE):
        return ""
    return (
        f"Scored with genpredict {attrs['genpredict_version']}, {attrs['estimator']} estimator, "
        f"{attrs['dtype']} on {attrs['device']}"
    )
