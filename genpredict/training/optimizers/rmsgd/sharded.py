"""Parameters of which a process holds a part: FSDP2's DTensors, FSDP1's flat ones."""

from __future__ import annotations

from collections.abc import Iterable

from torch import Tensor

from genpredict.errors import GenpredictError

#: What FullyShardedDataParallel sets on parameters that it keeps in a flat one.
FLATTENED = "_fsdp_flattened"


def whole(parameter: Tensor) -> Tensor:
    """Return a parameter detached, put together from all processes where it is a DTensor.

    Every process has to ask for the same parameters in the same order, and gets the same bits.
    """
    detached = parameter.detach()
    gather = getattr(detached, "full_tensor", None)  # of DTensor alone: no import of it
    return detached if gather is None else gather()


def check_not_flat(parameters: Iterable[Tensor]) -> None:
    """Refuse parameters that FullyShardedDataParallel (FSDP1) has flattened.

    Raises
    ------
    GenpredictError
        With the two ways out.
    """
    if any(getattr(parameter, FLATTENED, False) for parameter in parameters):
        raise GenpredictError(
            "params: FullyShardedDataParallel has flattened them, so that no layer can be "
            "measured; use fully_shard (FSDP2), or, with use_orig_params=True, call epoch_step() "
            "within `with FullyShardedDataParallel.summon_full_params(network):`"
        )
