"""What torch's own classes hold the tensors of a module, where the module itself is at hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

from genpredict.layers.evidence import BUFFER

if TYPE_CHECKING:
    from torch import nn

_OF_TORCH = "torch.nn.modules."


def module_types(network: nn.Module) -> dict[str, str]:
    """Return the class of torch that holds each tensor of a network, by the tensor's name.

    A class of the user's own counts as the nearest class of torch that it derives from, where it is
    more than `nn.Module`. Tensors that a module keeps without training them are buffers.

    Examples
    --------
    >>> from torch import nn
    >>> types = module_types(nn.Sequential(nn.Embedding(9, 4), nn.Linear(4, 2)))
    >>> types["0.weight"], types["1.weight"]
    ('Embedding', 'Linear')
    """
    types: dict[str, str] = {}
    for path, module in network.named_modules():
        front = f"{path}." if path else ""
        kind = _class_of_torch(module)
        if kind:
            # a parametrized weight is no parameter of its module, but has its name once it is made
            names = {"weight", *module._parameters}
            types |= {f"{front}{name}": kind for name in names}
        types |= {f"{front}{name}": BUFFER for name in module._buffers}
    return types


def _class_of_torch(module: nn.Module) -> str:
    """Return the name of the nearest class of torch; empty where that says nothing."""
    for base in type(module).__mro__:
        if base.__module__.startswith(_OF_TORCH):
            says_nothing = base.__module__.endswith((".module", ".container"))
            return "" if says_nothing else base.__name__
    return ""
