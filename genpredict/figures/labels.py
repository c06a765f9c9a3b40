"""Texts of figures: labels with units, short names, numbers; all from the schema."""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from genpredict.schema import (
    KNOWN,
    LAYER_MEASURES,
    NETWORK_MEASURES,
)

_KNOWN = KNOWN | LAYER_MEASURES | NETWORK_MEASURES
_FACTORIZATIONS = {"raw": "raw", "low_rank": "low rank"}
_SUFFIX = re.compile(r"\.(pth|pt|th|tar|bin|ckpt|safetensors|npz)(\.tar)?$")
_FOLDERS = re.compile(r".*/(?=[^/]*[^/\d][^/]*$)")  # a number, as a NATS id ends in, is no name
#: Characters by which names grow until they are told apart.
_STEP = 8
#: What a missing text coordinate is called in a legend.
NOT_GIVEN = "not given"


def name_of(name: str, variable: xr.DataArray | None = None) -> str:
    """Return what a variable is called: by the schema, else its own long name, else its name.

    Examples
    --------
    >>> name_of("test_accuracy")
    'test accuracy'
    >>> name_of("log_num_parameters"), name_of("num_workers")
    ('log number of parameters', 'num workers')
    """
    if name in _KNOWN:
        return _KNOWN[name].long_name
    if name.removeprefix("log_") in _KNOWN:
        return f"log {name_of(name.removeprefix('log_'))}"
    attrs = {} if variable is None else variable.attrs
    return str(attrs.get("long_name") or name.replace("_", " "))


def axis_label(
    name: str,
    variable: xr.DataArray | None = None,
    *,
    factorization: str | None = None,
    p: int | str | None = None,
    unfolding: str | None = None,
) -> str:
    r"""Return the label of an axis: name, the choices that made the numbers, unit.

    Parameters
    ----------
    name : str
        A variable or coordinate of a scores Dataset.
    variable : DataArray, optional
        The variable itself; its attributes name what the schema does not know.
    factorization, p, unfolding : optional
        Choices to name, where the variable has them.

    Returns
    -------
    str

    Examples
    --------
    >>> axis_label("Q", factorization="low_rank", p=2)
    'network quality Q, low rank, p\xa0=\xa02 (rad)'
    >>> axis_label("num_layers")
    'number of layers'
    """
    units = _KNOWN[name].units if name in _KNOWN else ""
    if name not in _KNOWN and variable is not None:
        units = str(variable.attrs.get("units", ""))
    return composed(
        name_of(name, variable), units, factorization=factorization, p=p, unfolding=unfolding
    )


def composed(
    text: str,
    units: str,
    *,
    factorization: str | None = None,
    p: int | str | None = None,
    unfolding: str | None = None,
) -> str:
    """Return the label of an axis from its parts.

    Parameters
    ----------
    text : str
        What is on the axis.
    units : str
        "" and "1" are not written.
    factorization, p, unfolding : optional
        Choices to name.

    Returns
    -------
    str

    Examples
    --------
    >>> composed("mean quality", "rad", factorization="raw")
    'mean quality, raw (rad)'
    >>> composed("quality", "rad", factorization="low_rank", unfolding="out_channel")
    'quality, low rank, out-channel (rad)'
    """
    if factorization is not None:
        text += f", {_FACTORIZATIONS.get(factorization, factorization)}"
    if p is not None:
        text += f", p\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}{p}"
    if unfolding is not None:
        text += f", {unfolding.replace('_', '-')}"
    if units not in ("", "1") and units not in text:
        text += f" ({units})"
    return text


def wrapped(text: str, width: int) -> str:
    r"""Break a label into lines of at most `width` characters, at blanks.

    Examples
    --------
    >>> wrapped("network quality Q, low rank", 20)
    'network quality Q,\nlow rank'
    """
    lines = textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False)
    return "\n".join(lines) or text


def shortened(text: str, most: int = 32) -> str:
    """Cut the middle out of a long name: both ends tell names apart.

    Examples
    --------
    >>> shortened("base_cnn_exp0.10_sgd_lr01_e120_multystepLR_CEloss.pth", 21)
    'base_cnn_e…CEloss.pth'
    """
    if len(text) <= most:
        return text
    tail = (most - 1) // 2
    return f"{text[: most - 1 - tail]}…{text[-tail:]}"


def level_text(value: Any) -> str:
    """Return a level of a coordinate as text, whole numbers without a decimal point.

    Examples
    --------
    >>> level_text(90.0), level_text(0.0015), level_text("sgd"), level_text("")
    ('90', '0.0015', 'sgd', 'not given')
    """
    if isinstance(value, str):
        return value or NOT_GIVEN
    if isinstance(value, bool | np.bool_):
        return str(value)
    if isinstance(value, float) and math.isnan(value):
        return NOT_GIVEN
    try:
        number = float(value)
    except (TypeError, ValueError):
        return str(value)
    return f"{number:.0f}" if number.is_integer() and abs(number) < 1e15 else f"{number:g}"


def signed(value: float, digits: int = 2) -> str:
    """Return a correlation as text, with a true minus; a dash for NaN.

    Examples
    --------
    >>> signed(-0.514), signed(0.66), signed(float("nan")), signed(-0.001)
    ('−0.51', '0.66', '–', '0.00')
    """
    if math.isnan(value):
        return "–"
    text = f"{value:.{digits}f}"
    if float(text) == 0:
        text = text.removeprefix("-")
    return text.replace("-", "−")


def told_apart(ids: Sequence[str], most: int = 36) -> list[str]:
    """Shorten ids of checkpoints: without file suffix and folders, where that keeps them apart.

    Of longer ones the parts of the path that all have go, then the middle; no two that differ
    become one name, though one may be longer than `most` for it.

    Examples
    --------
    >>> told_apart(["a/one.pth", "b/two.pth"]), told_apart(["a/x.pth", "b/x.pth"])
    (['one', 'two'], ['a/x', 'b/x'])
    >>> told_apart(["NATS-sss/000011/cifar10/90/777"])
    ['NATS-sss/000011/cifar10/90/777']
    >>> told_apart(["sgd-seed-1/checkpoints/epoch-9", "sgd-seed-2/checkpoints/epoch-9"], 12)
    ['sgd-seed-1', 'sgd-seed-2']
    """
    names = list(ids)
    for cut in (_SUFFIX, _FOLDERS):
        shorter = [cut.sub("", name) for name in names]
        if len(set(shorter)) == len(names) and all(shorter):
            names = shorter
    longest = max(map(len, names), default=0)
    if longest > most:
        names = _without_shared_parts(names)
    apart = len(set(names))
    while most < longest and len({shortened(name, most) for name in names}) < apart:
        most = min(longest, most + _STEP)
    return [shortened(name, most) for name in names]


def _without_shared_parts(names: list[str]) -> list[str]:
    """Leave out the parts of paths of one depth, but the first, that all names have."""
    parts = [name.split("/") for name in names]
    depth = len(parts[0])
    if len(set(names)) < 2 or any(len(own) != depth for own in parts):
        return names
    kept = [i for i in range(depth) if i == 0 or len({own[i] for own in parts}) > 1]
    return ["/".join(own[i] for i in kept) for own in parts]
