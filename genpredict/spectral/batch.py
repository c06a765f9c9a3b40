"""Measure many layers of any shapes at once.

Equal shapes are stacked and unfolded together; all Gram matrices of one size n, whatever their
layers' shapes and number of columns, share one batch of eigenvalues, one of EVBMF and one of
measures. Work is cut into slices that fit a core's cache and runs on all cores.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

import torch
from torch import Tensor
from torch.nn.functional import pad

from genpredict.estimators import DEAD_TOLERANCE, NULL_TOLERANCE, Estimator, check_method
from genpredict.registry import choose_measures
from genpredict.schema import Measure
from genpredict.spectral.blocks import (
    DEVICE_ELEMENTS,
    SLICE_ELEMENTS,
    SMALLEST_WIDTH,
    STACK_ELEMENTS,
    Block,
    Piece,
    SquaredNorms,
    fill,
    find_eigenvalues,
    integers_on,
    perhaps,
    plan,
    stacked,
)
from genpredict.spectral.calls import Calls, Spectra, measure_layers, measure_spectra, sizes_of_axes
from genpredict.spectral.evbmf import LowRank, factorize
from genpredict.spectral.inspection import (
    Inspection,
    ends,
    fill_left,
    inspect,
    note_sides,
    with_dead,
)
from genpredict.spectral.layer_measures import LayerMeasures
from genpredict.spectral.parallel import runner
from genpredict.spectral.released import solve_released
from genpredict.spectral.unfold import unfolded_shape, unfoldings

#: Elements of Gram matrices held at a time, times 8 bytes in float64; a larger layer goes alone.
BATCH_ELEMENTS = 1 << 26
#: Of n×n arrays, from which on EVBMF and measures gain from several threads.
MANY_ELEMENTS = 1 << 23
_SIDES = ("output", "input")
_Slice: TypeAlias = tuple[Block, slice]


def measure_weights(
    weights: Sequence[Tensor],
    *,
    measures: Sequence[str] | str | Sequence[Measure] = (),
    biases: Sequence[Tensor | None] | None = None,
    estimator: Estimator = "global",
    dtype: torch.dtype = torch.float64,
    device: torch.device | str | None = None,
    dead_tolerance: float = DEAD_TOLERANCE,
    null_tolerance: float = NULL_TOLERANCE,
) -> LayerMeasures:
    """Measure layers: raw and low-rank spectra, rank, noise and everything read off them.

    Parameters
    ----------
    weights : sequence of Tensor
        W weights in torch's layout (n_o, n_i, *kernel), floating point, of any shapes and dtypes.
    measures : sequence of str
        Names and groups of measures, added to those of every score. Rows of the table are taken
        as they are.
    biases : sequence of (Tensor of shape (n_o,) or None), optional
        For measures of biases.
    estimator : {"global", "reference"}
        The exact EVBMF, or the released code's (`spectral.released`), which sets nothing aside.
    dtype : torch.float64 or torch.float32
        Arithmetic of Gram matrices and eigenvalues; EVBMF and measures are always float64.
    device : torch.device, optional
        Where to compute; by default where the first weight lies.
    dead_tolerance, null_tolerance : float
        What EVBMF sets aside (docs/design.md 3.3); 0 drops exact zeros only.

    Returns
    -------
    LayerMeasures
        In the order of `weights`.

    Raises
    ------
    ValueError
        For another estimator or dtype, or tolerances outside [0, 1).
    GenpredictError
        For an unknown measure, or one whose function cannot be called or returns another shape.

    Notes
    -----
    On the CPU, layers without dead channels are factorized once. Elsewhere the full and the
    remaining spectrum are computed for all, so that nothing waits for the device but one question
    a slice: which float64 spectra, if any, a Gram matrix cannot resolve.

    Examples
    --------
    >>> signal = torch.outer(torch.ones(8), torch.ones(32))
    >>> found = measure_weights([signal + 0.1 * torch.randn(8, 32), torch.zeros(4, 4, 3, 3)])
    >>> found.rank
    tensor([[nan, 1.],
            [0., 0.]], dtype=torch.float64)
    """
    check_method(estimator, dead_tolerance, null_tolerance)
    if dtype not in (torch.float64, torch.float32):
        raise ValueError(f"dtype must be torch.float64 or torch.float32, got {dtype}")
    if device is None:
        device = weights[0].device if weights else "cpu"
    calls = Calls.of(_rows(measures))
    found = LayerMeasures.empty(calls.rows, len(weights), torch.device(device))
    set_aside = dead_tolerance if estimator == "global" else None
    method = _Method(dtype, set_aside, null_tolerance, calls)
    for first, stop in _bounded([tuple(weight.shape) for weight in weights]):
        some = None if biases is None else biases[first:stop]
        _measure_part(weights[first:stop], some, method, found.part(first, stop))
    return found


def _rows(measures: Sequence[str] | str | Sequence[Measure]) -> tuple[Measure, ...]:
    """Return the rows that are meant: given as such, or by names beside those of every score."""
    if isinstance(measures, str):
        return choose_measures(measures)
    rows = tuple(row for row in measures if isinstance(row, Measure))
    return rows or choose_measures([name for name in measures if isinstance(name, str)])


def _bounded(shapes: Sequence[tuple[int, ...]]) -> Iterator[tuple[int, int]]:
    """Cut a sequence of layers into runs whose Gram matrices fit in memory."""
    first, held = 0, 0
    for index, shape in enumerate(shapes):
        size = sum(2 * unfolded_shape(shape, name)[0] ** 2 for name in unfoldings(shape))
        if held and held + size > BATCH_ELEMENTS:
            yield first, index
            first, held = index, 0
        held += size
    if first < len(shapes):
        yield first, len(shapes)


@dataclass(frozen=True)
class _Method:
    """How to measure; without a `dead_tolerance` by the released code's estimator."""

    dtype: torch.dtype
    dead_tolerance: float | None
    null_tolerance: float
    calls: Calls


def _measure_part(
    weights: Sequence[Tensor],
    biases: Sequence[Tensor | None] | None,
    method: _Method,
    found: LayerMeasures,
) -> None:
    """Measure layers that fit in memory together: first all Gram matrices, then the rest."""
    device = found.finite.device
    elements = STACK_ELEMENTS if device.type == "cpu" else DEVICE_ELEMENTS
    shapes = [tuple(weight.shape) for weight in weights]
    blocks, pieces = plan(shapes, stack_elements=elements)
    for block in blocks:
        block.allocate(device, method.dtype)
    zeros = torch.zeros_like(found.finite)
    outputs, inputs = (found.get(f"dead_{s}_channels", zeros.clone()).zero_() for s in _SIDES)
    look = Inspection(found.finite, outputs, inputs)
    norms: SquaredNorms = {}
    filling = partial(fill, weights, norms=norms, device=device, dtype=method.dtype)
    refilling = partial(fill_left, weights, look=look, dtype=method.dtype)
    finding = partial(find_eigenvalues, weights, dead_tolerance=method.dead_tolerance)
    measuring = partial(_measure_rows, method=method, look=look, found=found)
    large = sum(len(block) * block.n**2 for block in blocks) >= MANY_ELEMENTS
    with runner(device) as run:
        run([partial(filling, piece) for piece in pieces])
        with torch.inference_mode():
            inspect(look, pieces, norms, method.dead_tolerance)
            note_sides(look, blocks, shapes)
        run([partial(refilling, *of) for of in with_dead(look, pieces)], side_by_side=False)
        run([partial(finding, *of) for of in _slices(blocks, run.threads)])
        parts = _parts(blocks, run.threads if large else 1)
        run([partial(measuring, part) for part in parts], side_by_side=large)
        if method.calls.layers:
            of_piece = partial(_measure_piece, weights, biases, method=method, found=found)
            run([partial(of_piece, piece) for piece in pieces])


def _slices(blocks: Sequence[Block], threads: int) -> list[_Slice]:
    return [(block, rows) for block in blocks for rows in block.slices(threads)]


def _parts(blocks: Sequence[Block], threads: int) -> list[list[_Slice]]:
    """Cut blocks into slices, and put those of small matrices together where they are few."""
    small = [block for block in blocks if block.n <= SMALLEST_WIDTH]
    large = [block for block in blocks if block.n > SMALLEST_WIDTH]
    if sum(map(len, small)) * SMALLEST_WIDTH**2 > SLICE_ELEMENTS:
        return [[of] for of in _slices(blocks, threads)]
    together = _slices(small, 1)
    return [[of] for of in _slices(large, threads)] + ([together] if together else [])


def _measure_rows(
    part: Sequence[_Slice], method: _Method, look: Inspection, found: LayerMeasures
) -> None:
    """Factorize the spectra of some rows of some blocks, and write every measure down."""
    low_ranks = _factorized(part, method)
    with _gradients_allowed() if method.calls.of_others else nullcontext():
        for of, low_rank in zip(part, low_ranks, strict=True):
            _measure_spectra(*of, low_rank, method, look, found)


@contextmanager
def _gradients_allowed() -> Iterator[None]:
    """Leave inference mode, so that the function of a measure may ask for gradients."""
    with torch.inference_mode(mode=False), torch.no_grad():
        yield


def _factorized(part: Sequence[_Slice], method: _Method) -> list[LowRank]:
    """Factorize the spectra of some rows of some blocks of one width."""
    if method.dead_tolerance is None:
        return [solve_released(block.eigenvalues[at], block.columns[at]) for block, at in part]
    left = [pad(block.eigenvalues_left[at], (0, block.width - block.n)) for block, at in part]
    rows = torch.cat([block.rows_left[at] for block, at in part])
    columns = torch.cat([block.columns_left[at] for block, at in part])
    found = factorize(torch.cat(left), rows, columns, null_tolerance=method.null_tolerance)
    each = zip(*(field.tensor_split(ends(left)) for field in found), strict=True)
    return [
        LowRank(rank, noise_variance, values[:, : block.n], *sides)
        for (block, _), (rank, noise_variance, values, *sides) in zip(part, each, strict=True)
    ]


def _measure_spectra(
    block: Block,
    rows: slice,
    low_rank: LowRank,
    method: _Method,
    look: Inspection,
    found: LayerMeasures,
) -> None:
    """Measure the spectra of some rows of a block, and write everything down."""
    full = block.eigenvalues[rows]
    layer, unfolding = block.at[:, rows]
    factorized: dict[str, tuple[Tensor, tuple[str, ...]]] = {
        "rank": (low_rank.rank, ()),
        "noise_variance": (low_rank.noise_variance, ()),
        "null_directions": (block.rows_left[rows] - low_rank.rows, ()),
        "dead_output_channels": (look.dead_outputs[layer], ()),
        "dead_input_channels": (look.dead_inputs[layer], ()),
    }
    full_rank = torch.full_like(low_rank.rank, block.n)
    spectra = Spectra(
        torch.stack([full.sqrt(), low_rank.singular_values], dim=1),  # as FACTORIZATIONS
        torch.stack([full_rank, low_rank.rank], dim=1),
        full_rank,
        integers_on(full.device, block.columns[rows]),
    )
    results = {name: factorized[name][0] for name in ("rank", "noise_variance", "null_directions")}
    results |= measure_spectra(method.calls.spectra, spectra, factorized)
    for name in results.keys() & found.keys():
        found[name][layer, unfolding] = results[name].double()


@_gradients_allowed()
def _measure_piece(
    weights: Sequence[Tensor],
    biases: Sequence[Tensor | None] | None,
    piece: Piece,
    method: _Method,
    found: LayerMeasures,
) -> None:
    """Measure the weights of layers of one shape; those that are not finite as zeros."""
    at, device = piece.layers, found.finite.device
    stack = stacked([weights[layer] for layer in at], device, torch.float64)
    index = integers_on(device, at)
    broken = found.finite[index] == 0
    if perhaps(broken):
        stack.masked_fill_(broken.reshape(-1, *[1] * (stack.ndim - 1)), 0.0)
    inputs = {"weights": stack, "biases": _stacked_biases(biases, at, stack)}
    asked = {name for call in method.calls.layers for name in call.earlier}
    earlier = {name: found[name][index] for name in asked & found.keys()}
    results = measure_layers(method.calls.layers, inputs, earlier, sizes_of_axes())
    for name, values in results.items():
        found[name][index] = values


def _stacked_biases(
    biases: Sequence[Tensor | None] | None, layers: Sequence[int], stack: Tensor
) -> Tensor:
    """Return the biases of some layers, shape (B, n_o); NaN where there is none of that shape."""
    none = stack.new_full((stack.shape[1],), torch.nan)
    some = [None if biases is None else biases[layer] for layer in layers]
    return torch.stack(
        [none if bias is None or bias.shape != none.shape else bias.to(none) for bias in some]
    )
