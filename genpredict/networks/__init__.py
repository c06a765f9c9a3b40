"""Torch modules by name."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from genpredict.errors import GenpredictError
from genpredict.networks.digits_cnn import DigitsCNN

__all__ = ["build_network", "DigitsCNN"]


def _digits_cnn(num_classes: int) -> nn.Module:
    return DigitsCNN(num_classes=num_classes)


# Lower-case name → builder that takes the number of classes.
_BUILDERS: dict[str, Callable[[int], nn.Module]] = {
    "digits_cnn": _digits_cnn,
}


def build_network(name: str, *, num_classes: int = 10) -> nn.Module:
    """Build a network by its name, freshly initialized.

    Initial weights come from torch's default generator: call `torch.manual_seed` before.

    Parameters
    ----------
    name : str
        Lower-case name of the network, as it stands in the `network` column of a manifest.
    num_classes : int
        Number of outputs.

    Returns
    -------
    nn.Module
        The network, in training mode, float32, on the CPU.

    Raises
    ------
    GenpredictError
        If no network has this name, or `num_classes` is below 1.

    Examples
    --------
    >>> network = build_network("digits_cnn")
    >>> sum(parameter.numel() for parameter in network.parameters())
    23738
    """
    if name not in _BUILDERS:
        known = ", ".join(sorted(_BUILDERS))
        raise GenpredictError(f"name: no network is called {name!r}; known names: {known}")
    if num_classes < 1:
        raise GenpredictError(f"num_classes: must be at least 1, not {num_classes}")
    return _BUILDERS[name](num_classes)
