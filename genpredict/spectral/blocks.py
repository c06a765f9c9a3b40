"""Spectra of many layers of any shapes, gathered by the size of their Gram matrices.

A layer of shape (n_o, n_i, *kernel) has up to two unfoldings, each with a Gram matrix of its
smaller side n. Layers of one shape are stacked and unfolded together (a `Piece`); Gram matrices of
one n share a `Block` whatever their shapes, so that eigenvalues, EVBMF and measures run in a few
large batches. Blocks are cut into slices that fit a core's cache.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from math import prod

import torch
from torch import Tensor

from genpredict.schema import UNFOLDINGS
from genpredict.spectral.parallel import run_tasks
from genpredict.spectral.spectrum import gram, gram_eigenvalues, unresolved
from genpredict.spectral.unfold import unfold, unfolded_shape, unfoldings

#: Elements of a stack of weights, and of a slice of n×n arrays: large enough to hide the cost of
#: a call, small enough to stay in a core's cache.
STACK_ELEMENTS = 1 << 19
SLICE_ELEMENTS = 1 << 16


class Block:
    """The unfoldings whose smaller side is n, one row each.

    Parameters
    ----------
    n : int
        Size of the Gram matrices.

    Attributes
    ----------
    layer, unfolding, columns : list of int
        Of each row: index of the layer, index in `schema.UNFOLDINGS`, M.
    grams : Tensor, shape (N, n, n)
    nonzero : Tensor, shape (N,), int64
        Rows of the unfolding that are not zero.
    eigenvalues : Tensor, shape (N, n), float64
        σ² in descending order; exactly 0 beyond `nonzero`.
    """

    def __init__(self, n: int) -> None:
        self.n = n
        self.layer: list[int] = []
        self.unfolding: list[int] = []
        self.columns: list[int] = []
        self.grams: Tensor
        self.nonzero: Tensor
        self.eigenvalues: Tensor

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
        """Make room for all rows."""
        self.grams = torch.empty(len(self), self.n, self.n, dtype=dtype, device=device)
        self.nonzero = torch.empty(len(self), dtype=torch.int64, device=device)
        self.eigenvalues = torch.empty(len(self), self.n, dtype=torch.float64, device=device)

    def slices(self) -> Iterator[slice]:
        """Cut the rows into slices of about SLICE_ELEMENTS elements of n×n arrays."""
        step = max(1, SLICE_ELEMENTS // self.n**2)
        for first in range(0, len(self), step):
            yield slice(first, min(first + step, len(self)))

    def find_eigenvalues(self, rows: slice) -> None:
        """Fill in the eigenvalues of these rows."""
        inside = torch.arange(self.n, device=self.nonzero.device) < self.nonzero[rows, None]
        self.eigenvalues[rows] = gram_eigenvalues(self.grams[rows]) * inside


@dataclass(frozen=True)
class Piece:
    """Layers of one shape that are stacked together, and the rows their unfoldings fill."""

    layers: tuple[int, ...]
    shape: tuple[int, ...]
    targets: tuple[tuple[str, Block, slice], ...]

    @property
    def cost(self) -> int:
        """Multiplications of all Gram matrices."""
        return len(self.layers) * prod(self.shape) * sum(block.n for _, block, _ in self.targets)


#: Called with the layers of a piece and their stacked weights, in float64 or float32.
Inspect = Callable[[Sequence[int], Tensor], None]


def find_spectra(
    weights: Sequence[Tensor],
    *,
    device: torch.device,
    dtype: torch.dtype,
    inspect: Inspect | None = None,
) -> list[Block]:
    """Return the raw spectra of every unfolding of every layer.

    Parameters
    ----------
    weights : sequence of Tensor
        Layers in torch's layout, of any shapes and floating dtypes.
    device : torch.device
        Where to compute.
    dtype : torch.float64 or torch.float32
        Arithmetic of Gram matrices and eigenvalues.
    inspect : callable, optional
        Sees each stack of weights once, as long as it is at hand.

    Returns
    -------
    list of Block
        With `eigenvalues` filled in and Gram matrices dropped. A layer that holds NaN or infinity
        has eigenvalues of zero.

    Notes
    -----
    Where a float64 Gram matrix cannot resolve the smallest eigenvalue, singular values are
    computed from the matrix itself. Asking for such rows is the one synchronisation.
    """
    blocks, pieces = _plan([tuple(weight.shape) for weight in weights])
    for block in blocks:
        block.allocate(device, dtype)
    pieces.sort(key=lambda piece: -piece.cost)
    run_tasks(
        [partial(_fill_grams, weights, piece, dtype, inspect) for piece in pieces], device=device
    )
    run_tasks(
        [partial(block.find_eigenvalues, rows) for block in blocks for rows in block.slices()],
        device=device,
    )
    for block in blocks:
        del block.grams
        if dtype == torch.float64:
            _resolve(weights, block)
    return blocks


def _plan(shapes: Sequence[tuple[int, ...]]) -> tuple[list[Block], list[Piece]]:
    """Give every unfolding of every layer a row in a block, largest blocks first."""
    alike: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for index, shape in enumerate(shapes):
        alike[shape].append(index)
    blocks: dict[int, Block] = {}
    pieces = []
    for shape, layers in alike.items():
        step = max(1, STACK_ELEMENTS // max(1, prod(shape)))
        for first in range(0, len(layers), step):
            some = layers[first : first + step]
            targets = []
            for name in unfoldings(shape):
                n, columns = unfolded_shape(shape, name)
                block = blocks.setdefault(n, Block(n))
                targets.append((name, block, block.add(some, name, columns)))
            pieces.append(Piece(tuple(some), shape, tuple(targets)))
    return sorted(blocks.values(), key=lambda block: -block.n), pieces


def _fill_grams(
    weights: Sequence[Tensor], piece: Piece, dtype: torch.dtype, inspect: Inspect | None
) -> None:
    """Stack a piece's weights and put the Gram matrices of their unfoldings in place."""
    device = piece.targets[0][1].grams.device if piece.targets else weights[0].device
    stack = torch.stack([weights[layer] for layer in piece.layers]).to(device, dtype)
    if inspect is not None:
        inspect(piece.layers, stack)
    for unfolding, block, rows in piece.targets:
        place = gram(unfold(stack, unfolding, batch_dims=1), out=block.grams[rows])
        norms = place.diagonal(dim1=-2, dim2=-1)
        block.nonzero[rows] = (norms > 0).sum(-1)
        place.masked_fill_(~torch.isfinite(norms.sum(-1))[:, None, None], 0.0)


def _resolve(weights: Sequence[Tensor], block: Block) -> None:
    """Compute anew, from the matrix itself, the spectra that a Gram matrix cannot resolve."""
    for row in unresolved(block.eigenvalues, block.nonzero).nonzero().flatten().tolist():
        weight = weights[block.layer[row]].to(block.eigenvalues)
        matrix = unfold(weight, UNFOLDINGS[block.unfolding[row]])
        block.eigenvalues[row] = torch.linalg.svdvals(matrix).square()
