"""Networks from weights: the module of a checkpoint whose network is known by name."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from genpredict.errors import GenpredictError
from genpredict.networks import build_network

#: Put in front of an architecture string to name a network of one of NATS-Bench's spaces.
_SPACES = ("", "sss:", "tss:")
#: Counts steps; torch before 0.4.1 wrote none, and no output depends on it.
_COUNTER = "num_batches_tracked"


def rebuild_network(name: str, tensors: Mapping[str, Tensor]) -> nn.Module:
    """Build a network by its name and give it the weights and statistics of a checkpoint.

    Parameters
    ----------
    name : str
        As of `build_network`, or an architecture string of NATS-Bench alone.
    tensors : mapping of str to Tensor
        A state dict. The numbers of input channels and classes are read off its first and last
        weight.

    Returns
    -------
    nn.Module
        In evaluation mode, on the CPU.

    Raises
    ------
    GenpredictError
        When no network has this name, or it has other tensors.

    Examples
    --------
    >>> network = rebuild_network("digits_cnn", build_network("digits_cnn").state_dict())
    >>> network.training
    False
    """
    network = _build(name, tensors)
    missing, unexpected = _mismatch(network, tensors)
    if missing or unexpected:
        what = f"{missing[0]!r} is missing" if missing else f"{unexpected[0]!r} is not its own"
        raise GenpredictError(
            f"network {name!r}: the weights are of another network of that name ({what}, "
            f"{len(missing) + len(unexpected)} tensors differ); hand the module over from Python"
        )
    network.load_state_dict(dict(tensors), strict=False)
    return network.eval()


def _build(name: str, tensors: Mapping[str, Tensor]) -> nn.Module:
    """Build by the name, or by an architecture string, with as many channels and classes."""
    errors = []
    for space in _SPACES:
        try:
            plain = build_network(space + name)
        except GenpredictError as error:
            errors.append(error)
            continue
        weights = {n: p for n, p in plain.named_parameters() if p.ndim > 1}
        first, last = next(iter(weights)), list(weights)[-1]
        if first not in tensors or last not in tensors:
            return plain  # whose mismatch is then told
        classes, channels = len(tensors[last]), tensors[first].shape[1]
        return build_network(space + name, num_classes=classes, in_channels=channels)
    raise errors[0]


def _mismatch(network: nn.Module, tensors: Mapping[str, Tensor]) -> tuple[list[str], list[str]]:
    """List the tensors that either side alone has, or in another shape."""
    own = network.state_dict()
    missing = [
        name
        for name, tensor in own.items()
        if _COUNTER not in name and (name not in tensors or tensors[name].shape != tensor.shape)
    ]
    return missing, [name for name in tensors if name not in own]
