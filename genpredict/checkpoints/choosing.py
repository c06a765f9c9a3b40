"""Choose one of the networks that a file holds, and say why where there is none."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from genpredict.checkpoints.contents import networks_in
from genpredict.checkpoints.formats.inert_pickles import StandIn
from genpredict.checkpoints.module_trees import is_scripted
from genpredict.checkpoints.named_tensors import NamedTensors, stripped_names
from genpredict.checkpoints.state_dicts import EMPTY_TENSORS, FROZEN, SAVE, Contents, Network
from genpredict.errors import CheckpointError


class NoNetworkError(CheckpointError):
    """A file that can be read and holds no network."""


def find_state_dict(loaded: object, source: str | Path, network: str = "") -> NamedTensors:
    """Return the tensors of one network by name, in the order of the file, read.

    Parameters
    ----------
    loaded : object
        What the file holds.
    source : str or Path
        Names the file in errors.
    network : str
        Which of several.

    Raises
    ------
    CheckpointError
        When there is no network, several to choose from, or tensors that are larger than what is
        stored of them.
    """
    return load(choose(networks_in(loaded), loaded, source, network))


def choose(contents: Contents, loaded: object, source: str | Path, name: str = "") -> Network:
    """Return the network of a name, or the only one.

    Raises
    ------
    CheckpointError
        When there is none, or several and no name.
    """
    if name and (network := contents.named(name)) is not None:
        return network
    names = ", ".join(n.name for n in contents.networks)[:400]
    if name and len(contents.networks) != 1:
        known = names or "none"
        raise CheckpointError(source, f"holds no network {name!r}; its networks are: {known}")
    if len(contents.networks) > 1:
        raise CheckpointError(
            source, f"holds several networks ({names}); name one as FILE#NAME or with --network"
        )
    if not contents.networks:
        raise NoNetworkError(source, why_none(contents, loaded))
    return contents.networks[0]


def why_none(contents: Contents, loaded: object) -> str:
    """Say what a file holds that has no network."""
    if isinstance(loaded, StandIn) and f"{loaded.module}.{loaded.name}" == "builtins.getattr":
        method = loaded.args[1] if len(loaded.args) > 1 else "state_dict"
        return (
            f"holds the method {method!s:.80} of a network instead of its weights: parentheses are "
            "missing; save them with torch.save(model.state_dict(), path)"
        )
    if isinstance(loaded, StandIn) and is_scripted(loaded):
        return f"{FROZEN}; {SAVE}"
    aside = [reason for _, reason in contents.put_aside]
    if any("optimizer" in reason for reason in aside):
        return f"holds the state of an optimizer and no network; {SAVE}"
    tensors = [t for network, _ in contents.put_aside for t in network.tensors.values()]
    if tensors and all(tensor.numel() == 0 for tensor in tensors):
        return EMPTY_TENSORS
    if isinstance(loaded, Mapping):
        keys = ", ".join(sorted(map(str, type(loaded).keys(loaded)))[:8])[:400] or "none"
        if any(network.tensors for network, _ in contents.put_aside):
            return f"holds no weights, no tensor of two axes or more (keys seen: {keys}); {SAVE}"
        return f"holds no tensors by name (keys seen: {keys}); {SAVE}"
    kind = type(loaded).__name__.removeprefix("Stored")
    if isinstance(loaded, StandIn):
        kind = f"{loaded.module}.{loaded.name}"
    return f"holds a {kind:.120}, not tensors by name; {SAVE}"


def load(network: Network) -> NamedTensors:
    """Read the numbers of a network; prefixes that wrappers put before names go."""
    import torch

    names = stripped_names(network.tensors)
    tensors = {
        new: tensor if isinstance(tensor, torch.Tensor) else tensor.load()
        for new, tensor in zip(names, network.tensors.values(), strict=True)
    }
    renamed = dict(zip(network.tensors, names, strict=True))
    types = {renamed[name]: kind for name, kind in network.types.items() if name in renamed}
    return NamedTensors(tensors, types, network.notes)
