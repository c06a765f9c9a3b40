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
from genpredict.spectral.spectrum import gram, gram_eigenvalues, unresolved
from genpredict.spectral.unfold import (
    dead_channels,
    unfold,
    unfolded_shape,
    unfoldings,
    without,
)

#: Spectra of up to as many values are factorized together; a few short ones cost as much as many.
SMALLEST_WIDTH = 16
#: Elements of a stack of weights, and of a slice of n×n arrays: large enough to hide the cost of
#: a call, small enough to stay in a core's cache.
STACK_ELEMENTS = 1 << 18
SLICE_ELEMENTS = 1 << 19
#: The same two elsewhere than on the CPU, where what costs is the number of calls; 128 MiB of
#: float64, of which EVBMF holds about ten at a time.
DEVICE_ELEMENTS = 1 << 24

#: Squared norms of the output and input channels of a piece, by its first layer.
SquaredNorms = dict[int, tuple[Tensor, Tensor]]


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
    at : Tensor, shape (2, N), int64
        The first two of these.
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
        self.at: Tensor
        self.full: Tensor
        self.left: Tensor
        self.eigenvalues: Tensor
        self.eigenvalues_left: Tensor
        self.has_dead: Tensor
        self.rows_left: Tensor
        self.columns_left: Tensor

    def __len__(self) -> int:
        return len(self.layer)

    @property
    def width(self) -> int:
        """The number of eigenvalues EVBMF is given: n, of small spectra padded with zeros."""
        return max(self.n, SMALLEST_WIDTH)

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
        self.eigenvalues = torch.empty(count, self.n, dtype=torch.float64, device=device)
        self.eigenvalues_left = torch.empty_like(self.eigenvalues)
        self.has_dead = torch.zeros(count, dtype=torch.bool, device=device)
        self.rows_left = torch.full((count,), self.n, device=device)
        self.at = integers_on(device, self.layer + self.unfolding).reshape(2, count)
        self.columns_left = integers_on(device, self.columns)

    def slices(self, threads: int) -> Iterator[slice]:
        """Cut the rows into equal slices of a bounded number of elements of n×n arrays.

        Unless there is little to do, each of these threads gets as many slices as the others.
        """
        on_cpu = self.full.device.type == "cpu"
        size = len(self) * self.width**2
        count = ceil(size / (SLICE_ELEMENTS if on_cpu else DEVICE_ELEMENTS))
        if on_cpu and size > SLICE_ELEMENTS // 8:
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
    norms: SquaredNorms,
    *,
    device: torch.device,
    dtype: torch.dtype,
) -> None:
    """Stack the weights of a piece, and put their Gram matrices and squared norms in place.

    Parameters
    ----------
    weights : sequence of Tensor
        All layers; the piece says which.
    piece : Piece
    norms : dict of int to tuple of Tensor
        Gets those of output and input channels, by the first layer of the piece.
    device : torch.device
    dtype : torch.dtype
        Of the arithmetic.
    """
    stack = stacked([weights[layer] for layer in piece.layers], device, dtype)
    for unfolding, block, rows in piece.targets:
        gram(unfold(stack, unfolding, batch_dims=1), out=block.full[rows])
    norms[piece.layers[0]] = (
        _squared_norms(piece, stack, "out"),
        _squared_norms(piece, stack, "in"),
    )


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


def find_eigenvalues(
    weights: Sequence[Tensor], block: Block, rows: slice, dead_tolerance: float | None
) -> None:
    """Find σ² of some rows of a block, in full and once dead channels are set aside.

    Parameters
    ----------
    weights : sequence of Tensor
        All layers, for spectra that a Gram matrix cannot resolve.
    block : Block
        Gets `eigenvalues` and `eigenvalues_left` of these rows.
    rows : slice
    dead_tolerance : float, optional
        As of `dead_channels`; without it nothing is set aside.
    """

    def weight(row: int) -> tuple[Tensor, str]:
        return weights[block.layer[row]].to(block.full), UNFOLDINGS[block.unfolding[row]]

    def matrix(row: int) -> Tensor:
        return unfold(*weight(rows.start + row))

    full = _eigenvalues(block.full[rows], matrix)
    block.eigenvalues[rows] = full
    block.eigenvalues_left[rows] = full
    if dead_tolerance is None or len(some := marked(block.has_dead[rows])) == 0:
        return

    def alive(row: int) -> Tensor:
        found, unfolding = weight(rows.start + int(some[row]))
        return unfold(without(found, *dead_channels(found, tolerance=dead_tolerance)), unfolding)

    block.eigenvalues_left[rows.start + some] = _eigenvalues(block.left[rows][some], alive)


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


def marked(mask: Tensor) -> Tensor:
    """Index the marked rows on the CPU, where asking is free; elsewhere all, without asking."""
    if mask.device.type == "cpu":
        return mask.nonzero().squeeze(-1)
    return torch.arange(len(mask), device=mask.device)
