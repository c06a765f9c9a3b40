"""Find the state dict inside what a checkpoint file holds.

Training scripts save bare state dicts or wrap them among optimizer states, epochs and options.
Only the weights are taken: numbers that stand beside them (an epoch, a best accuracy) are not
trusted, because every script means something else by them; a manifest says them better.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genpredict.errors import CheckpointError

if TYPE_CHECKING:
    from torch import Tensor

WRAPPERS = (
    "state_dict", "model_state_dict", "model", "state_dict_network", "net_state_dict", "net",
    "network", "network_state_dict", "model_state", "module", "weights", "params",
)  # fmt: skip
"""Keys under which scripts keep the state dict, in the order they are tried."""

PREFIXES = ("module.", "_orig_mod.", "model.")
"""What DataParallel, torch.compile and Lightning put before every name."""

MOST_REPEATED = 2**20
"""Elements from which on a tensor may not have more of them than its storage holds: a few bytes
can say that they are a matrix of any size."""

_NOT_WEIGHTS = ("optim", "sched", "ema", "scaler", "loop", "callback", "hyper", "rng", "arg")
_REMEDY = "save the weights with torch.save(model.state_dict(), path)"


def find_state_dict(loaded: object, source: str | Path) -> dict[str, Tensor]:
    """Return the tensors by name, in the order of the file, common prefixes stripped.

    Parameters
    ----------
    loaded : object
        What the file holds: a state dict, or a dict that wraps one, at most two levels deep.
    source : str or Path
        Names the file in errors.

    Raises
    ------
    CheckpointError
        When there are no tensors by name, several state dicts to choose from, or tensors that
        are larger than what is stored of them.
    """
    if not isinstance(loaded, Mapping):
        kind = type(loaded).__name__
        raise CheckpointError(source, f"holds a {kind}, not tensors by name; {_REMEDY}")
    found = _unwrap(loaded, source, depth=2)
    if found is None:
        keys = ", ".join(sorted(map(str, _entries(loaded)))[:8])[:400] or "none"
        raise CheckpointError(source, f"holds no tensors by name (keys seen: {keys}); {_REMEDY}")
    check_stored(found, source)
    return strip_prefixes(found)


def check_stored(tensors: Mapping[str, Tensor], source: str | Path) -> None:
    """Raise CheckpointError on a large tensor that repeats or overlaps what is stored of it."""
    import torch

    for name, tensor in tensors.items():
        if tensor.layout != torch.strided or tensor.device.type == "meta":
            continue
        stored = tensor.untyped_storage().nbytes() // tensor.element_size()
        if tensor.numel() > max(stored, MOST_REPEATED):
            shape = "x".join(map(str, tensor.shape))
            reason = f"refused: {name} is {shape}, of which {stored:,} elements are stored"
            raise CheckpointError(source, f"{reason}; do not trust this file, or {_REMEDY}")


def _entries(mapping: Mapping[Any, Any]) -> dict[Any, Any]:
    """Return what a mapping holds; its class says how, not an attribute that a file has set."""
    return dict(type(mapping).items(mapping))


def strip_prefixes(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Remove the prefixes that all names share, as often as they do.

    Examples
    --------
    >>> list(strip_prefixes({"module.model.fc.weight": 1, "module.model.fc.bias": 2}))
    ['fc.weight', 'fc.bias']
    >>> list(strip_prefixes({"model.weight": 1, "head.weight": 2}))
    ['model.weight', 'head.weight']
    """
    stripped = dict(tensors)
    while prefix := _shared_prefix(stripped):
        stripped = {name[len(prefix) :]: tensor for name, tensor in stripped.items()}
    return stripped


def _shared_prefix(tensors: Mapping[str, Tensor]) -> str | None:
    """Return the known prefix that every name has, with something left after it."""
    for prefix in PREFIXES:
        if tensors and all(n.startswith(prefix) and len(n) > len(prefix) for n in tensors):
            return prefix
    return None


def _unwrap(loaded: Mapping[Any, Any], source: str | Path, depth: int) -> dict[str, Tensor] | None:
    """Look under the known wrapper keys, then for bare tensors, then under any one key."""
    loaded = _entries(loaded)
    wrapped = [loaded[key] for key in WRAPPERS if isinstance(loaded.get(key), Mapping)]
    for inner in wrapped if depth else ():
        if (found := _unwrap(inner, source, depth - 1)) is not None:
            return found
    tensors = dict(_tensors(loaded))
    return tensors or (_only_candidate(loaded, source) if depth else None)


def _tensors(entries: Mapping[Any, Any]) -> Iterator[tuple[str, Tensor]]:
    """Yield the named tensors, and those inside tuples (packed quantized weights)."""
    import torch

    for name, value in _entries(entries).items():
        if not isinstance(name, str):
            continue
        if isinstance(value, torch.Tensor):
            yield name, value
        elif isinstance(value, tuple):
            for index, part in enumerate(value):
                if isinstance(part, torch.Tensor):
                    yield f"{name}.{index}", part


def _only_candidate(loaded: Mapping[Any, Any], source: str | Path) -> dict[str, Tensor] | None:
    """Return the tensors under an unknown key where there is just one such key."""
    found = {
        str(key): tensors
        for key, value in loaded.items()
        if isinstance(value, Mapping)
        and not any(word in str(key).lower() for word in _NOT_WEIGHTS)
        and (tensors := dict(_tensors(value)))
    }
    if len(found) > 1:
        keys = ", ".join(found)
        raise CheckpointError(
            source,
            f"holds several state dicts ({keys}); save the one you mean in a file of its own",
        )
    return next(iter(found.values()), None)
