"""Optimizers that keep settings as attributes of their own, copied and pickled whole."""

from __future__ import annotations

from typing import Any

from torch.optim import Optimizer

#: What torch leaves out of copies and builds anew.
_HOOKS = "_optimizer_"


class CopiedWhole(Optimizer):
    """Keeps all attributes in copies and pickles.

    torch's `Optimizer` hands on its state and its groups alone. What pytorch-optimizer's classes
    read off themselves at every step (`maximize`, `foreach`, a base optimizer) is lost with that,
    and the copy fails at its next step.
    """

    def __getstate__(self) -> dict[str, Any]:
        """Return all attributes but torch's hooks."""
        return {
            name: value
            for name, value in vars(self).items()
            if not name.startswith(_HOOKS) and name != "_zero_grad_profile_name"
        }
