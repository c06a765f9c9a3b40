"""A dispatch mode that fails on operations which make a GPU wait for the host."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

#: Operations whose result (value or shape) the host must wait for, by their aten name.
SYNCHRONISING = frozenset(
    {
        "_local_scalar_dense",
        "item",
        "is_nonzero",
        "equal",
        "allclose",
        "nonzero",
        "nonzero_numpy",
        "argwhere",
        "masked_select",
        "_unique",
        "_unique2",
        "unique_dim",
        "unique_consecutive",
        "bincount",
        "histc",
    }
)


class SynchronisationError(AssertionError):
    """An operation inside the mode would have made a GPU wait."""


class NoSynchronisation(TorchDispatchMode):
    """Fail on item, nonzero, boolean indexing, copies between devices and their kin.

    On the CPU these are free; on a GPU each of them stops the stream. Caught are item, bool(),
    float(), nonzero, boolean indexing, unique, repeat_interleave without output_size, and copies
    to another device. Not seen: what a library call does inside (torch.linalg.eigvalsh looks at
    its error flags), and tolist and numpy, which NoHostReads looks after.
    """

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        name = func._schema.name.removeprefix("aten::")
        if name in SYNCHRONISING:
            raise SynchronisationError(f"{name} waits for the device")
        if name.startswith(("index", "_index", "_unsafe_index")) and len(args) > 1:
            _refuse_boolean_indices(name, args[1])
        if name == "repeat_interleave" and kwargs.get("output_size") is None:
            raise SynchronisationError("repeat_interleave without output_size waits for the device")
        _refuse_copies(name, args, kwargs)
        return func(*args, **kwargs)


def _refuse_boolean_indices(name: str, indices: Any) -> None:
    for index in indices if isinstance(indices, list | tuple) else [indices]:
        if isinstance(index, Tensor) and index.dtype in (torch.bool, torch.uint8):
            raise SynchronisationError(f"{name} with a boolean mask waits for the device")


def _refuse_copies(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    target = kwargs.get("device")
    if name == "_to_copy" and target is not None and torch.device(target) != args[0].device:
        raise SynchronisationError(f"copy from {args[0].device} to {target}")
    if name == "copy_" and args[0].device != args[1].device:
        raise SynchronisationError(f"copy from {args[1].device} to {args[0].device}")


class NoHostReads(TorchFunctionMode):
    """Fail on the methods that read a tensor's memory without passing the dispatcher."""

    def __torch_function__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        if getattr(func, "__name__", "") in {"tolist", "numpy", "__array__", "cpu", "cuda"}:
            raise SynchronisationError(f"{func.__name__} waits for the device")
        return func(*args, **(kwargs or {}))


def refused(action: Callable[[], object]) -> str | None:
    """Run an action under both modes; the message of its refusal, None where it passes."""
    try:
        with NoHostReads(), NoSynchronisation():
            action()
    except SynchronisationError as error:
        return str(error)
    return None
