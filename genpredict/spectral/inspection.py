"""A look at every weight: what is finite, which channels are dead, and what that leaves.

Norms of all channels are looked at together, whatever the shapes of the layers, and only layers
with dead channels are stacked once more, for the Gram matrices of what is left of them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from math import prod

import torch
from torch import Tensor
from torch.nn.functional import pad

from genpredict.spectral.blocks import (
    Block,
    Piece,
    SquaredNorms,
    integers_on,
    perhaps,
    stacked,
)
from genpredict.spectral.left_grams import left_grams
from genpredict.spectral.unfold import dead_slices


@dataclass(frozen=True)
class Inspection:
    """What a look at every weight finds, one entry a layer.

    Attributes
    ----------
    finite, dead_outputs, dead_inputs : Tensor, shape (W,), float64
        1 where no weight is NaN or infinite, else 0; numbers of dead channels.
    masks : dict of int to tuple of Tensor
        Which output and input channels are dead, by the first layer of a piece.
    """

    finite: Tensor
    dead_outputs: Tensor
    dead_inputs: Tensor
    masks: dict[int, tuple[Tensor, Tensor]] = field(default_factory=dict)


def inspect(
    look: Inspection, pieces: Sequence[Piece], norms: SquaredNorms, tolerance: float | None
) -> None:
    """Look at the norms of all channels.

    Parameters
    ----------
    look : Inspection
        Where to write down what is found.
    pieces : sequence of Piece
        The Gram matrices of a layer that is not finite become zero.
    norms : dict of int to tuple of Tensor
        As of `blocks.fill`.
    tolerance : float, optional
        As of `dead_channels`; None sets nothing aside.
    """
    device = look.finite.device
    layers = integers_on(device, [layer for piece in pieces for layer in piece.layers])
    outputs, inputs = zip(*(norms[piece.layers[0]] for piece in pieces), strict=True)
    finite = torch.cat([squares.sum(-1) for squares in outputs]).isfinite()
    look.finite[layers] = finite.double()
    if perhaps(~finite):
        _drop(pieces, look.finite == 0)
    if tolerance is None:
        return
    stacks = outputs + inputs
    of_each: tuple[Tensor, ...] = finite.repeat(2).tensor_split(ends(stacks))
    masks = _dead(stacks, of_each, tolerance)
    for number, piece in enumerate(pieces):
        look.masks[piece.layers[0]] = masks[number], masks[len(pieces) + number]
    counts = torch.cat([mask.sum(-1) for mask in masks]).double()
    look.dead_outputs[layers], look.dead_inputs[layers] = counts.chunk(2)


def _drop(pieces: Sequence[Piece], broken: Tensor) -> None:
    """Set the Gram matrices of layers that hold NaN or infinity to zero."""
    for piece in pieces:
        for _, block, rows in piece.targets:
            block.full[rows].masked_fill_(broken[block.at[0, rows], None, None], 0.0)


def _dead(stacks: Sequence[Tensor], finite: Sequence[Tensor], tolerance: float) -> list[Tensor]:
    """Mark dead slices, those of stacks of like numbers of channels at once; none of broken layers.

    Zeros that pad a row count for nothing: the median is that of what is not zero.
    """
    alike: dict[int, list[int]] = defaultdict(list)
    for number, squares in enumerate(stacks):
        alike[(squares.shape[-1] - 1).bit_length()].append(number)
    masks = list(stacks)
    for numbers in alike.values():
        width = max(stacks[number].shape[-1] for number in numbers)
        rows = [pad(stacks[number], (0, width - stacks[number].shape[-1])) for number in numbers]
        dead = dead_slices(torch.cat(rows), tolerance)
        dead &= torch.cat([finite[number] for number in numbers]).unsqueeze(-1)
        for number, mask in zip(numbers, dead.tensor_split(ends(rows)), strict=True):
            masks[number] = mask[:, : stacks[number].shape[-1]]
    return masks


def ends(stacks: Sequence[Tensor]) -> list[int]:
    """Return where each stack but the last ends, one behind the other."""
    return list(accumulate(map(len, stacks)))[:-1]


def note_sides(
    look: Inspection, blocks: Sequence[Block], shapes: Sequence[tuple[int, ...]]
) -> None:
    """Count the rows L and columns M of every unfolding once dead channels are gone.

    Parameters
    ----------
    look : Inspection
    blocks : sequence of Block
        Get `has_dead`, `rows_left` and `columns_left`.
    shapes : sequence of tuple of int
        Of the weights.
    """
    device = look.finite.device
    channels = torch.stack([integers_on(device, [s[axis] for s in shapes]) for axis in (1, 0)])
    dead = torch.stack([look.dead_inputs, look.dead_outputs]).long()
    alive, has_dead = channels - dead, (dead > 0).any(0)
    positions = integers_on(device, [prod(shape[2:]) for shape in shapes])
    for block in blocks:
        layer, side = block.at
        rows, columns = alive[side, layer], alive[1 - side, layer] * positions[layer]
        block.has_dead = has_dead[layer]
        block.rows_left, block.columns_left = rows.minimum(columns), rows.maximum(columns)


def with_dead(look: Inspection, pieces: Sequence[Piece]) -> Iterator[tuple[Piece, list[int]]]:
    """Yield the pieces in which something is dead, and the places there of layers that have it.

    Elsewhere than on the CPU all of them, without asking.
    """
    if look.finite.device.type != "cpu":
        yield from ((piece, list(range(len(piece.layers)))) for piece in pieces)
        return
    has_dead = (look.dead_outputs + look.dead_inputs).tolist()
    for piece in pieces:
        some = [place for place, layer in enumerate(piece.layers) if has_dead[layer]]
        if some:
            yield piece, some


def fill_left(
    weights: Sequence[Tensor],
    piece: Piece,
    some: Sequence[int],
    look: Inspection,
    *,
    dtype: torch.dtype,
) -> None:
    """Put the Gram matrices of what is left without dead channels in place.

    Parameters
    ----------
    weights : sequence of Tensor
        All layers; the piece says which.
    piece : Piece
    some : sequence of int
        Places in the piece of the layers that have dead channels.
    look : Inspection
    dtype : torch.dtype
        Of the arithmetic.
    """
    device = look.finite.device
    layers, at = [piece.layers[place] for place in some], integers_on(device, some)
    stack = stacked([weights[layer] for layer in layers], device, dtype)
    broken = look.finite[integers_on(device, layers)] == 0
    if perhaps(broken):
        stack.masked_fill_(broken.reshape(-1, *[1] * (stack.ndim - 1)), 0.0)
    outputs, inputs = (mask[at] for mask in look.masks[piece.layers[0]])
    alike = len(some) == len(piece.layers)
    for unfolding, block, rows in piece.targets:
        full = block.full[rows]
        left = left_grams(full if alike else full[at], stack, unfolding, outputs, inputs)
        block.left[rows].index_copy_(0, at, left)
