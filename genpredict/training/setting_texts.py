"""Settings as words: parts of a run's name, and what is wrong with them."""

from __future__ import annotations

import re
from collections.abc import Iterable

from pydantic import ValidationError


def file_word(text: str) -> str:
    """Return a text that may be part of a file name."""
    return re.sub(r"[^A-Za-z0-9_.]+", "-", text).strip("-")


def short_value(value: object) -> str:
    """Write a setting's value; a switch that is on goes without saying."""
    if isinstance(value, bool):
        return "" if value else "-off"
    return f"{value:g}" if isinstance(value, float) else str(value)


def faults_of(error: ValidationError, known: Iterable[str]) -> str:
    """Say what is wrong with each field in one line."""
    faults = []
    for fault in error.errors():
        name = ".".join(map(str, fault["loc"])) or "settings"
        if fault["type"] == "extra_forbidden":
            faults.append(f"{name}: no such setting; known settings: {', '.join(known)}")
        elif fault["type"] == "missing":
            faults.append(f"{name}: missing")
        else:
            faults.append(f"{name}: {fault['msg']}, not {fault['input']!r}")
    return "; ".join(faults)
