"""What a row of a store may hold: a checkpoint beyond that fails by itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from numbers import Real
from typing import Any

from genpredict.errors import CheckpointError
from genpredict.registry import is_reserved
from genpredict.schema import (
    KNOWN,
    coordinate,
)

#: Bounds on one checkpoint: a network of 2,000 layers is a deep one, a run has some 30 settings.
MOST_LAYERS = 10**5
MOST_COORDINATES = 200
MOST_CHARACTERS = 10_000
MOST_NAME_BYTES = 200  # of 255 that a file's name can have


@dataclass
class Row:
    """What is known of one checkpoint, measures apart.

    Parameters
    ----------
    id, source : str
        As of `Checkpoint`.
    metadata : mapping
        Coordinates and targets.
    layers : list of (name, kind, shape)
        The layers taken, in the order of depth.
    error : str
        Why it failed; empty where it did not.
    numbers : mapping of str to float
        Network measures taken when it was loaded.
    """

    id: str
    source: str
    metadata: Mapping[str, Any] = field(default_factory=dict)
    layers: list[tuple[str, str, str]] = field(default_factory=list)
    error: str = ""
    numbers: Mapping[str, float] = field(default_factory=dict)


def checked_row(row: Row) -> Row:
    """Return a row, failed and without what is wrong where it cannot be a row of a store."""
    if row.error:
        row = replace(row, error=shortened(row.error))
    if reason := _excess(row):
        known = {name: v for name, v in row.metadata.items() if name in KNOWN}
        row = replace(row, metadata=known, error=row.error or f"{row.source}: {reason}")
    wrong = {name: why for name, value in row.metadata.items() if (why := _misfit(name, value))}
    if not wrong:
        return row
    name, why = next(iter(wrong.items()))
    reason = f"{name:.80} {why}; correct the manifest or the file"
    error = str(CheckpointError(row.source, reason))
    good = {name: value for name, value in row.metadata.items() if name not in wrong}
    return replace(row, metadata=good, error=row.error or error)


def _excess(row: Row) -> str:
    """Say of what a row has more than a store can hold; nothing where it fits."""
    if len(row.layers) > MOST_LAYERS:
        return too_many_layers(len(row.layers))
    longest = max((len(layer[0]) for layer in row.layers), default=0)
    if longest > MOST_CHARACTERS:
        return f"has a layer with a name of {longest:,} characters; rename it"
    if len(row.metadata) > MOST_COORDINATES:
        return f"has {len(row.metadata):,} settings, a row holds up to {MOST_COORDINATES}"
    return ""


def too_many_layers(count: int) -> str:
    """Say that a network has more layers than a store can hold."""
    return f"has {count:,} layers, a store holds up to {MOST_LAYERS:,}; leave some out by --exclude"


def shortened(text: str) -> str:
    """Return a text of at most `MOST_CHARACTERS`."""
    return text if len(text) <= MOST_CHARACTERS else f"{text[: MOST_CHARACTERS - 2]} …"


def _misfit(name: str, value: object) -> str:
    """Say what is wrong with a coordinate; nothing where it is good."""
    if is_reserved(name) or not name.isidentifier():
        return "cannot name a coordinate (a word of letters, digits and _ that a store lacks)"
    if len(plain(name).encode()) > MOST_NAME_BYTES:
        return f"names a coordinate in more than {MOST_NAME_BYTES} bytes"
    if isinstance(value, str) and len(value) > MOST_CHARACTERS:
        return f"is a text of {len(value):,} characters, a store holds up to {MOST_CHARACTERS:,}"
    takes_texts = coordinate(name, numeric=False).dtype == "str"
    if isinstance(value, Real):
        try:
            float(value)
        except OverflowError:
            return "is a number of too many digits"
        return ""
    if value is None or (takes_texts and isinstance(value, str)):
        return ""
    return f"must be a {'text or ' if takes_texts else ''}number, got {value!r:.80}"


def plain(text: object) -> str:
    """Return text that UTF-8 can hold: names in files may carry bytes that are no text."""
    return str(text).encode("utf-8", "backslashreplace").decode("utf-8")
