"""Gram matrices of many layers of any shapes, gathered by size.

A layer of shape (n_o, n_i, *kernel) has up to two unfoldings, each with a Gram matrix of its
smaller side n. Layers of one shape are stacked and unfolded together (a `Piece`); Gram matrices of
one n share a `Block` whatever their shapes, so that eigenvalues, EVBMF and measures run in a few
large batches. Pieces and blocks are cut into slices that fit a core's cache.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import ceil, prod

import torch
from torch import Tensor

from genpredict.schema import UNFOLDINGS
from genpredict.spectral.left_grams import left_grams
from genpredict.spectral.spectrum import gram, gram_eigenvalues, unresolved
from genpredict.spectral.unfold import (
    dead_channels,
    dead_slices,
    may_be_dead,
    sides_left,
    unfold,
    unfolded_shape,
    unfoldings,
    without,
)

#: Elements of a stack of weights, and of a slice of n×n arrays: large enough to hide the cost of
#: a call, small enough to stay in a core's cache.
STACK_ELEMENTS = 1 << 18
SLICE_ELEMENTS = 1 << 19
#: The same two elsewhere than on the CPU, where what costs is the number of calls; 128 MiB of
#: float64, of which EVBMF holds about ten at a time.
DEVICE_ELEMENTS = 1 << 24


class Block:
    """The unfoldings whose smaller side is n, one row each: the full ones and what is left.

    Parameters
    ----------
    n : int
        Size of the Gram matrices.

    Attributes
    ----------
    layer, unfolding, columns : list of int
        Of each row: index of the layer, index in `schema.UNFOLDINGS`, M of the full unfolding.
    full, left : Tensor, shape (N, n, n)
        Gram matrices of the full unfoldings, and of those with dead channels set to zero, which
        is filled in only where `has_dead`.
    has_dead : Tensor, shape (N,), bool
        Whether anything is set aside, that is, whether `left` differs from `full`.
    rows_left, columns_left : Tensor, shape (N,), int64
        L and M of what is left.
    """

    def __init__(self, n: int) -> None:
        self.n = n
        self.layer: list[int] = []
        self.unfolding: list[int] = []
        self.columns: list[int] = []
        self.full: Tensor
        self.left: Tensor
        self.has_dead: Tensor
        self.rows_left: Tensor
        self.columns_left: Tensor

    def __len__(self) -> int:
        return len(self.layer)

    def add(self, layers: Sequence[int], unfolding: str, columns: int) -> slice:
        """Append a row for each layer; return which rows they are."""
        first = len(self)
        self.layer += layers
        self.unfolding += [UNFOLDINGS.index(unfolding)] * len(layers)
        self.columns += [columns] * len(layers)
        return slice(first, len(self))

    def allocate(self, device: torch.device, dtype: torch.dtype) -> None:
        """Make room for all rows, with nothing set aside."""
        count = len(self)
        self.full = torch.empty(count, self.n, self.n, dtype=dtype, device=device)
        self.left = torch.empty_like(self.full)
        self.has_dead = torch.zeros(count, dtype=torch.bool, device=device)
        self.rows_left = torch.full((count,), self.n, device=device)
        self.columns_left = integers_on(device, self.columns)

    def slices(self) -> Iterator[slice]:
        """Cut the rows into equal slices of a bounded number of elements of n×n arrays.

        Unless there is little to do, every thread of the CPU gets as many slices as the others.
        """
        on_cpu = self.full.device.type == "cpu"
        size = len(self) * self.n**2
        count = ceil(size / (SLICE_ELEMENTS if on_cpu else DEVICE_ELEMENTS))
        if on_cpu and size > SLICE_ELEMENTS // 8:
            threads = torch.get_num_threads()
            count = threads * ceil(count / threads)
        step = ceil(len(self) / count)
        for first in range(0, len(self), step):
            yield slice(first, min(first + step, len(self)))


@dataclass(frozen=True)
class Piece:
    """Layers of one shape that are stacked together, and the rows their unfoldings fill."""

    layers: list[int]
    shape: tuple[int, ...]
    targets: tuple[tuple[str, Block, slice], ...]

    @property
    def cost(self) -> int:
        """Multiplications of all Gram matrices."""
        return len(self.layers) * prod(self.shape) * sum(block.n for _, block, _ in self.targets)


@dataclass(frozen=True)
class Inspection:
    """What a look at every weight finds, one entry a layer.

    Attributes
    ----------
    finite, dead_outputs, dead_inputs : Tensor, shape (W,), float64
        1 where no weight is NaN or infinite, else 0; numbers of dead channels.
    """

    finite: Tensor
    dead_outputs: Tensor
    dead_inputs: Tensor


def plan(
    shapes: Sequence[tuple[int, ...]], *, stack_elements: int = STACK_ELEMENTS
) -> tuple[list[Block], list[Piece]]:
    """Give every unfolding of every layer a row in a block.

    Parameters
    ----------
    shapes : sequence of tuple of int
        Of the weights, (n_o, n_i, *kernel).
    stack_elements : int
        Weights to stack at most; a larger layer goes alone.

    Returns
    -------
    tuple of (list of Block, list of Piece)
        The costliest first.
    """
    alike: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for index, shape in enumerate(shapes):
        alike[shape].append(index)
    blocks: dict[int, Block] = {}
    pieces = []
    for shape, layers in alike.items():
        sides = [(name, *unfolded_shape(shape, name)) for name in unfoldings(shape)]
        step = max(1, stack_elements // max(1, prod(shape)))
        for first in range(0, len(layers), step):
            some = layers[first : first + step]
            targets = []
            for name, n, columns in sides:
                block = blocks.setdefault(n, Block(n))
                targets.append((name, block, block.add(some, name, columns)))
            pieces.append(Piece(some, shape, tuple(targets)))
    pieces.sort(key=lambda piece: -piece.cost)
    return sorted(blocks.values(), key=lambda block: -block.n), pieces


def fill(
    weights: Sequence[Tensor],
    piece: Piece,
    found: Inspection,
    *,
    dtype: torch.dtype,
    dead_tolerance: float | None,
) -> None:
    """Stack the weights of a piece, look at them, and put their Gram matrices in place.

    Parameters
    ----------
    weights : sequence of Tensor
        All layers; the piece says which.
    piece : Piece
    found : Inspection
        Where to write down what is found; a layer that is not finite gets Gram matrices of zero.
    dtype : torch.dtype
        Of the arithmetic.
    dead_tolerance : float, optional
        As of `dead_channels`; None sets nothing aside.
    """
    stack = stacked([weights[layer] for layer in piece.layers], found.finite.device, dtype)
    for unfolding, block, rows in piece.targets:
        gram(unfold(stack, unfolding, batch_dims=1), out=block.full[rows])
    outputs, inputs = (_squared_norms(piece, stack, axis) for axis in ("out", "in"))
    finite = torch.isfinite(outputs.sum(-1))
    found.finite[integers_on(finite.device, piece.layers)] = finite.double()
    if perhaps(~finite):
        _drop(piece, stack, ~finite)
    if dead_tolerance is not None and any(
        perhaps(may_be_dead(norms, dead_tolerance)) for norms in (outputs, inputs)
    ):
        dead = dead_slices(outputs, dead_tolerance), dead_slices(inputs, dead_tolerance)
        _set_aside(piece, stack, found, *dead)


def stacked(weights: list[Tensor], device: torch.device, dtype: torch.dtype) -> Tensor:
    """Stack weights of one shape in another dtype, in one pass where they lie on the device."""
    if all(weight.device == device for weight in weights):
        stack = torch.empty(len(weights), *weights[0].shape, dtype=dtype, device=device)
        torch._foreach_copy_(list(stack.unbind()), weights)
        return stack
    return torch.stack([weight.to(device, dtype) for weight in weights])


def _squared_norms(piece: Piece, stack: Tensor, side: str) -> Tensor:
    """Return the squared norms of a stack's slices, where possible off a Gram diagonal."""
    axis = 1 if side == "out" else 2
    for unfolding, block, rows in piece.targets:
        if unfolding == f"{side}_channel" and block.n == stack.shape[axis]:
            return block.full[rows].diagonal(dim1=-2, dim2=-1)
    others = [dim for dim in range(1, stack.ndim) if dim != axis]
    return stack.square().sum(others)


def _drop(piece: Piece, stack: Tensor, broken: Tensor) -> None:
    """Set layers that hold NaN or infinity to zero, and their Gram matrices."""
    stack.masked_fill_(broken.reshape(-1, *[1] * (stack.ndim - 1)), 0.0)
    for _, block, rows in piece.targets:
        block.full[rows].masked_fill_(broken[:, None, None], 0.0)


def _set_aside(
    piece: Piece, stack: Tensor, found: Inspection, outputs: Tensor, inputs: Tensor
) -> None:
    """Put the Gram matrices of what is left without dead channels in place."""
    layers = integers_on(stack.device, piece.layers)
    found.dead_outputs[layers] = outputs.sum(-1).double()
    found.dead_inputs[layers] = inputs.sum(-1).double()
    has_dead = outputs.any(-1) | inputs.any(-1)
    some = _marked(has_dead)
    if len(some) == 0:
        return
    alike = len(some) == len(has_dead)
    weights, *dead = ((t if alike else t[some]) for t in (stack, outputs, inputs))
    for unfolding, block, rows in piece.targets:
        block.has_dead[rows] = has_dead
        block.rows_left[rows], block.columns_left[rows] = sides_left(
            piece.shape, unfolding, outputs, inputs
        )
        full = block.full[rows]
        left = left_grams(full if alike else full[some], weights, unfolding, *dead)
        block.left[rows].index_copy_(0, some, left)


def full_eigenvalues(weights: Sequence[Tensor], block: Block, rows: slice) -> Tensor:
    """Return σ² of the full unfoldings of some rows of a block.

    Parameters
    ----------
    weights : sequence of Tensor
        All layers, for spectra that a Gram matrix cannot resolve.
    block : Block
    rows : slice

    Returns
    -------
    Tensor, shape (B, n), float64
        In descending order.
    """

    def matrix(row: int) -> Tensor:
        weight = weights[block.layer[rows.start + row]].to(block.full)
        return unfold(weight, UNFOLDINGS[block.unfolding[rows.start + row]])

    return _eigenvalues(block.full[rows], matrix)


def left_eigenvalues(
    weights: Sequence[Tensor], block: Block, rows: slice, full: Tensor, dead_tolerance: float
) -> Tensor:
    """Return σ² of what is left of some rows of a block once dead channels are set aside.

    Parameters
    ----------
    weights, block, rows
        As of `full_eigenvalues`.
    full : Tensor, shape (B, n)
        What that returned; kept where nothing is dead.
    dead_tolerance : float
        As of `fill`.

    Returns
    -------
    Tensor, shape (B, n), float64
        In descending order, zeros beyond the number of rows that are left.
    """
    some = _marked(block.has_dead[rows])
    if len(some) == 0:
        return full

    def alive(row: int) -> Tensor:
        at = rows.start + int(some[row])
        weight = weights[block.layer[at]].to(full)
        dead = dead_channels(weight, tolerance=dead_tolerance)
        return unfold(without(weight, *dead), UNFOLDINGS[block.unfolding[at]])

    return full.index_put((some,), _eigenvalues(block.left[rows][some], alive))


def _eigenvalues(grams: Tensor, matrix: Callable[[int], Tensor]) -> Tensor:
    """Return eigenvalues of Gram matrices; where these cannot resolve them, of the matrix."""
    nonzero = (grams.diagonal(dim1=-2, dim2=-1) > 0).sum(-1)
    inside = torch.arange(grams.shape[-1], device=grams.device) < nonzero.unsqueeze(-1)
    eigenvalues = (gram_eigenvalues(grams) * inside).double()
    if grams.dtype == torch.float64:
        for row in unresolved(eigenvalues, nonzero).nonzero().flatten().tolist():
            eigenvalues[row] = torch.linalg.svdvals(matrix(row)).square()
    return eigenvalues


def integers_on(device: torch.device, integers: Sequence[int]) -> Tensor:
    """Return whole numbers on a device, shape (N,), int64; on CUDA without waiting for the copy."""
    here = torch.tensor(integers, dtype=torch.int64)
    if device.type != "cuda":
        return here.to(device)
    return here.pin_memory().to(device, non_blocking=True)  # only pinned memory copies alongside


def perhaps(mask: Tensor) -> bool:
    """Return whether anything is marked; elsewhere than on the CPU assume so, without asking."""
    return mask.device.type != "cpu" or bool(mask.any())


def _marked(mask: Tensor) -> Tensor:
    """Index the marked rows on the CPU, where asking is free; elsewhere all, without asking."""
    if mask.device.type == "cpu":
        return mask.nonzero().squeeze(-1)
    return torch.arange(len(mask), device=mask.device)
