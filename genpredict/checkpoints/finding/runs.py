"""Checkpoints of genpredict's own runs: weights that say themselves what they are.

A run folder holds ``config.toml``, ``initial.safetensors`` and ``checkpoints/*.safetensors``; the
header of each of these files has a JSON text with the coordinates and targets of that epoch.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from genpredict.checkpoints.checkpoint import Checkpoint
from genpredict.checkpoints.finding.folders import Folder, Found
from genpredict.checkpoints.finding.manifest_table import RENAMED
from genpredict.checkpoints.formats.safetensors_files import (
    read_layout,
    read_safetensors,
)
from genpredict.checkpoints.formats.suffixes import SAFETENSORS
from genpredict.checkpoints.formats.unpickling import check_file
from genpredict.errors import CheckpointError
from genpredict.registry import is_reserved
from genpredict.schema import KNOWN

METADATA_KEY = "genpredict"
RUN_FILE = "config.toml"
CHECKPOINT_FOLDER = "checkpoints"
HISTORY = "history.nc"
INITIAL_FILE = "initial.safetensors"
"""The weights before training, beside ``config.toml``; what others are compared with."""
MOST = 2**63
"""Bound on the numbers of a header."""


def recognize_runs(folder: Folder) -> Iterator[Found]:
    """Recognize the checkpoints of a run, in the folder of that name beside ``config.toml``.

    The weights before training are no checkpoint of it.
    """
    if RUN_FILE in folder.names:
        folder.claim([INITIAL_FILE])
    names = [name for name in folder.names if is_of_run(folder.real_path / name)]
    folder.claim(names)
    for name in names:
        yield folder.found(name, read_run_checkpoint)


def is_of_run(path: Path) -> bool:
    """Return whether a file, links resolved, is a checkpoint of a run."""
    in_run = path.parent.name == CHECKPOINT_FOLDER and path.name.endswith(SAFETENSORS)
    return in_run and (path.parent.parent / RUN_FILE).is_file()


def initial_of(path: Path) -> Path | None:
    """Return the file of the weights that a checkpoint of a run started from, where it was kept."""
    run = path.resolve().parent.parent
    initial = run / INITIAL_FILE
    return initial if (run / RUN_FILE).is_file() and initial.is_file() else None


def read_run_checkpoint(item_id: str, path: Path) -> Iterator[Checkpoint]:
    """Yield the checkpoint of a file with what its header says about it.

    Raises
    ------
    CheckpointError
        When the header is damaged, or its text is none of genpredict's.
    """
    yield Checkpoint(item_id, str(path), read_metadata(path), partial(read_safetensors, path))


def read_metadata(path: Path) -> dict[str, str | float | int]:
    """Read coordinates and targets from the header of a file; none where it has no such text.

    Raises
    ------
    CheckpointError
        When the file is missing or damaged, or the text is not a table of names and values.
    """
    check_file(path)
    try:
        text = read_layout(path)[1].get(METADATA_KEY, "{}")
    except CheckpointError as error:
        reason = f"damaged safetensors file ({error.reason}); train again"
        raise CheckpointError(path, reason) from error
    try:
        metadata: dict[str, Any] = json.loads(text)
        wrong = [name for name, value in metadata.items() if not is_plain(name, value)]
    except (ValueError, AttributeError, RecursionError) as error:
        raise CheckpointError(path, "its metadata are no JSON table; train again") from error
    if wrong:
        reason = f"its metadata hold more than names and values ({wrong[0]!r:.60}); train again"
        raise CheckpointError(path, reason)
    return metadata


def is_plain(name: str, value: object) -> bool:
    """Return whether a name and its value can be a coordinate, and mean what the schema says."""
    if not name.isidentifier() or is_reserved(name) or name in RENAMED:
        return False
    is_number = isinstance(value, int | float) and abs(value) < MOST and math.isfinite(value)
    if name in KNOWN:
        return is_number if KNOWN[name].dtype == "float64" else isinstance(value, str)
    return is_number or isinstance(value, str)
