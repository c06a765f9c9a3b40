"""Loading of packages in a process of the command line, and its end, without garbage collection.

Python looks for unreachable cycles each time that objects enough have been made, among all there
are, and three times more when a process ends. The packages of a command make half a million that
stay: a third of the time of a small command went into looking through them.
"""

from __future__ import annotations

import atexit
import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def loading() -> Iterator[None]:
    """Import packages without looking for garbage; later searches leave out what they made.

    Nothing is left out where nothing new was imported: in a process that runs several commands
    the garbage of earlier ones would stay.
    """
    was_enabled, before = gc.isenabled(), len(sys.modules)
    gc.disable()
    try:
        yield
    finally:
        if len(sys.modules) > before:
            gc.freeze()
        if was_enabled:
            gc.enable()


def end_without_search() -> None:
    """Let the process end without looking for garbage: the system takes its memory back anyway."""
    atexit.register(gc.freeze)
