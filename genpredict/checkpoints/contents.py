"""What a file holds: its networks, and what is put aside (optimizers, averages, copies)."""

from __future__ import annotations

from collections.abc import Sequence

from genpredict.checkpoints.named_tensors import shared_front
from genpredict.checkpoints.roles import WRAPPERS, words
from genpredict.checkpoints.state_dicts import Contents, Network, Walk, as_tensor


def networks_in(tree: object) -> Contents:
    """Sort what a file holds into networks and the rest.

    Parameters
    ----------
    tree : object
        As of `genpredict.checkpoints.formats.torch_containers.opened`, or plain dicts of tensors.
    """
    walk = Walk()
    walk.visit(tree, ())
    contents = _put_aside(walk)
    if (lone := as_tensor(tree)) is not None:
        contents.put_aside.append((Network("", {"": lone}), "a tensor without a name"))
    known = contents.put_aside or contents.networks
    contents.is_strange = not known and not (type(tree) is dict and not tree)
    return contents


def _put_aside(walk: Walk) -> Contents:
    """Decide which of the networks found are to be scored."""
    contents = Contents(numbers=walk.numbers)
    contents.put_aside = [
        (Network(name, {}), "the state of an optimizer") for name in walk.optimizers
    ]
    weighty = [n for n in walk.networks if n.has_weight() and n.role != "optimizer"]
    for network in walk.networks:
        if network.role == "optimizer":
            contents.put_aside.append((network, "the state of an optimizer or of its schedule"))
        elif not network.has_weight():
            contents.put_aside.append((network, "holds no weights"))
    whole = [n for n in weighty if len(n.tensors) > 1 or not _is_loose(n)]
    for network in weighty:
        reason = _why_aside(network, whole) if whole else None
        if reason is None:
            contents.networks.append(network)
        else:
            contents.put_aside.append((network, reason))
    _short_names(contents)
    return contents


def _is_loose(network: Network) -> bool:
    """Return whether it is a single tensor under a key that calls it no weight."""
    (name,) = list(network.tensors)
    return network.name.rpartition(".")[2] == name


def _why_aside(network: Network, others: Sequence[Network]) -> str | None:
    """Return why one of several networks is not scored, None where it is."""
    if len(network.tensors) == 1 and _is_loose(network):
        return "a loose tensor beside a network"
    live = [o for o in others if o is not network and o.role in ("network", "teacher")]
    mains = [o for o in live if o.role == "network"]
    if network.role == "extra" and mains:
        return "stands beside the network: by its name no network"
    if network.role == "average" and live:
        return "a moving average of a network that stands beside it"
    equal = any(o.shapes() == network.shapes() for o in mains)
    if network.role == "copy" and equal:
        return "a copy that follows a network of the same shapes beside it"
    student = any("student" in words(other.name) for other in mains)
    if network.role == "teacher" and equal and not student:
        return "a copy that follows a network of the same shapes beside it"
    return _why_repeated(network, mains)


def _why_repeated(network: Network, others: Sequence[Network]) -> str | None:
    """Return a reason where the same network stands under two keys that mean the network."""
    front, _, key = network.name.rpartition(".")
    if key not in WRAPPERS:
        return None
    for other in others:
        above, _, name = other.name.rpartition(".")
        earlier = name in WRAPPERS and WRAPPERS.index(name) < WRAPPERS.index(key)
        if above == front and earlier and other.shapes() == network.shapes():
            return f"the same network again, beside {name}"
    return None


def _short_names(contents: Contents) -> None:
    """Leave out the keys that all networks share; a single network needs no name of its own."""
    names = [network.name for network in contents.networks]
    shared = shared_front([f"{name}." for name in names]) if len(names) > 1 else ""
    for network in contents.networks:
        network.name = network.name.removeprefix(shared) or network.name
