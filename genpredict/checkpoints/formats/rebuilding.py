"""What stands for the functions by which torch and numpy rebuild arrays from a pickle."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from genpredict.checkpoints.formats.inert_pickles import StandIn, Step
from genpredict.checkpoints.formats.pickle_costs import RefusedPickleError
from genpredict.checkpoints.formats.stored_arrays import ArrayType, StoredArray
from genpredict.checkpoints.formats.stored_tensors import (
    Storage,
    StorageType,
    StoredSparse,
    StoredTensor,
    sizes_of,
)


def tensor_of(
    storage: Any, offset: Any, size: Any, stride: Any, *ignored: Any, dtype: Any = None
) -> StoredTensor:
    """Describe what ``torch._utils._rebuild_tensor_v2`` would make.

    Raises
    ------
    ValueError
        When the arguments are none of a tensor.
    """
    if isinstance(storage, StoredTensor):
        storage = storage.storage
    if not isinstance(storage, Storage):
        raise ValueError("a tensor without a storage")
    shape, strides = sizes_of(size), sizes_of(stride)
    if type(offset) is not int or not 0 <= offset < 2**62 or len(shape) != len(strides):
        raise ValueError("a tensor's place in its storage is none")
    return StoredTensor(storage, dtype or storage.dtype, offset, shape, strides)


def _v3(storage: Any, offset: Any, size: Any, stride: Any, *rest: Any) -> StoredTensor:
    return tensor_of(storage, offset, size, stride, dtype=_dtype(rest[2] if len(rest) > 2 else 0))


def _dtype(dtype: Any) -> Any:
    import torch

    if not isinstance(dtype, torch.dtype):
        raise ValueError("a tensor's type is none")
    return dtype


def _quantized(storage: Any, offset: Any, size: Any, stride: Any, *rest: Any) -> StoredTensor:
    tensor = tensor_of(storage, offset, size, stride)
    parameters = rest[0] if rest else ()
    if type(parameters) is not tuple or not 3 <= len(parameters) <= 4:
        raise ValueError("a quantized tensor without its parameters")
    tensor.quantizer = parameters
    return tensor


def _sparse(layout: Any = None, parts: Any = (), *ignored: Any) -> StoredSparse:
    sizes = [part for part in parts if type(part) is tuple]
    numbers = [part.dtype for part in parts if isinstance(part, StoredTensor)]
    if not sizes or not numbers:
        raise ValueError("a sparse tensor without values")
    return StoredSparse(numbers[-1], sizes_of(sizes[-1]))


def _meta(dtype: Any, size: Any, stride: Any, *ignored: Any) -> StoredTensor:
    return StoredTensor(None, _dtype(dtype), 0, sizes_of(size), sizes_of(stride))


def _parameter(data: Any = None, *ignored: Any) -> Any:
    """Return what a parameter wraps."""
    return data


def _from_type(function: Any = None, kind: Any = None, args: Any = (), *ignored: Any) -> Any:
    """Return the plain tensor under one of a subclass."""
    if not isinstance(function, Step | type) or type(args) is not tuple:
        raise ValueError("a tensor of an unknown kind")
    return function(*args)


def _from_array(data: Any = None, *ignored: Any) -> Any:
    return data


def _array_of(raw: Any = None, dtype: Any = None, shape: Any = (), order: Any = "C") -> StoredArray:
    """Describe what ``numpy._core.numeric._frombuffer`` would make (protocol 5)."""
    array = StoredArray()
    array.__setstate__((shape, dtype, order == "F", bytes(raw) if _is_raw(raw) else None))
    return array


def _is_raw(raw: Any) -> bool:
    return isinstance(raw, bytes | bytearray)


def _scalar(dtype: Any = None, raw: Any = None) -> StoredArray:
    array = StoredArray()
    array.__setstate__(((), dtype, False, raw))
    return array


class OldTensor(StandIn):
    """A tensor as torch before 0.4 pickled them: an empty one that is told its storage."""

    __slots__ = ()

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        """Wrap a tensor; refuse a tensor of a size, which would have no stored data."""
        if args and isinstance(args[0], StoredTensor | StoredArray):
            return args[0]
        if args or kwargs:
            raise RefusedPickleError("a tensor without stored data")
        made = object.__new__(cls)
        made.args, made.state, made.pairs, made.members = (), None, None, None
        return made

    @property
    def tensor(self) -> StoredTensor | None:
        """The tensor, once its place is known."""
        if type(self.state) is tuple and len(self.state) == 4:
            return tensor_of(*self.state)
        return None


@lru_cache(maxsize=1)
def known_globals() -> Mapping[str, Any]:
    """Return what stands for the names that torch and numpy write for tensors and arrays."""
    import torch

    known: dict[str, Any] = {}
    for dtype, name in torch.storage._dtype_to_storage_type_map().items():
        for module in ("torch", "torch.cuda", "torch.storage", "torch.sparse"):
            known[f"{module}.{name}"] = StorageType(dtype)
    known |= dict.fromkeys(_UNTYPED, StorageType(torch.uint8))
    dtypes = [value for value in vars(torch).values() if isinstance(value, torch.dtype)]
    known |= {str(dtype): dtype for dtype in dtypes}
    schemes = ("per_tensor_affine", "per_tensor_symmetric", "per_channel_affine",
               "per_channel_symmetric", "per_channel_affine_float_qparams")  # fmt: skip
    known |= {f"torch.{scheme}": getattr(torch, scheme) for scheme in schemes}
    for kind in torch._tensor_classes:
        known[f"{kind.__module__}.{kind.__name__}"] = OldTensor
    known |= dict.fromkeys(_TENSORS, OldTensor)
    return known | {name: Step(name, function) for name, function in _STEPS.items()}


_UNTYPED = (
    "torch.storage.UntypedStorage",
    "torch.storage._UntypedStorage",
    "torch.UntypedStorage",
)
_TENSORS = (
    "torch.Tensor",
    "torch._tensor.Tensor",
    "torch.tensor.Tensor",
    "torch.nn.parameter.Parameter",
    "torch.nn.parameter.Buffer",
)
_STEPS: dict[str, Any] = {
    "torch._utils._rebuild_tensor": tensor_of,
    "torch._utils._rebuild_tensor_v2": tensor_of,
    "torch._utils._rebuild_tensor_v3": _v3,
    "torch._utils._rebuild_qtensor": _quantized,
    "torch._utils._rebuild_sparse_tensor": _sparse,
    "torch._utils._rebuild_meta_tensor_no_storage": _meta,
    "torch._utils._rebuild_parameter": _parameter,
    "torch._utils._rebuild_parameter_with_state": _parameter,
    "torch._utils._rebuild_device_tensor_from_cpu_tensor": _from_array,
    "torch._utils._rebuild_device_tensor_from_numpy": _from_array,
    "torch._tensor._rebuild_from_type_v2": _from_type,
    "torch._tensor._rebuild_from_type": _from_type,
    "torch.Size": lambda sizes=(), *ignored: sizes_of(sizes),
    "torch.serialization._get_layout": lambda *ignored: None,
    **{
        f"numpy.{core}.{name}": function
        for core in ("core", "_core")
        for name, function in {
            "multiarray._reconstruct": StoredArray,
            "multiarray.scalar": _scalar,
            "numeric._frombuffer": _array_of,
        }.items()
    },
    "numpy.dtype": ArrayType,
    "numpy.ndarray": StoredArray,
}  # fmt: skip
