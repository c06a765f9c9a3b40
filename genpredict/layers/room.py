"""Whether a layer can be measured in the memory that is free, told before it fills it.

An allocation that the kernel grants and cannot honour ends the process, with all that it works on.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path

from genpredict.errors import CheckpointError
from genpredict.layers.parts import Layer

#: Bytes of a number in the arithmetic of spectra, at most.
_WIDTH = 8
#: Copies of the weights, and of the square matrix of the shorter side, that measuring takes.
_COPIES, _SQUARES = 2, 3
#: Bytes that any machine has: not worth a look at how many are free.
SMALL = 2**26
#: Bytes an entry of a layer, at most: the square is no larger than the layer.
_MOST_AN_ENTRY = _WIDTH * (_COPIES + _SQUARES)
_MEMINFO = Path("/proc/meminfo")
_CGROUP = Path("/sys/fs/cgroup")


def needed_bytes(shape: tuple[int, ...]) -> int:
    """Return the bytes that measuring a layer takes, at most.

    Examples
    --------
    >>> needed_bytes((30_000, 30_000)) / 1e9
    36.0
    """
    size = math.prod(shape)
    side = max((min(shape[axis], size // shape[axis]) for axis in (0, 1)), default=0)
    return _WIDTH * (_COPIES * size + _SQUARES * side**2)


def free_bytes() -> int | None:
    """Return the bytes of memory that are free, within the limit of a container; None if unknown.

    Source: proc(5), MemAvailable; the kernel's cgroup v2, memory.max and memory.current.
    """
    try:
        lines = dict(line.split(":") for line in _MEMINFO.read_text().splitlines())
        free = int(lines["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        return None
    try:
        limit, used = ((_CGROUP / f"memory.{name}").read_text() for name in ("max", "current"))
        return min(free, int(limit) - int(used))
    except (OSError, ValueError):  # no container, or one without a limit
        return free


def check_room(layers: Iterable[Layer], source: str) -> None:
    """Refuse a checkpoint with a layer that is too large for this machine.

    Raises
    ------
    CheckpointError
        Naming the layer, its size and the remedy.
    """
    for layer in layers:
        if _MOST_AN_ENTRY * layer.weight.numel() <= SMALL:
            continue
        needed = needed_bytes(tuple(layer.weight.shape))
        if needed > SMALL and (free := free_bytes()) is not None and needed > free:
            shape = " x ".join(map(str, layer.weight.shape))
            raise CheckpointError(
                source,
                f"layer {layer.name} of {shape} takes {needed / 1e9:,.1f} GB to measure, and "
                f"{free / 1e9:,.1f} GB are free; score it on a larger machine, or leave the layer "
                f"out with --exclude",
            )
