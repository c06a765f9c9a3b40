"""Measure many layers of any shapes at once.

Equal shapes are stacked and unfolded together; all Gram matrices of one size n, whatever their
layers' shapes and number of columns, share one batch of eigenvalues, one of EVBMF and one of
measures. Work is cut into slices that fit a core's cache and runs on all cores.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from functools import partial
from math import prod
from typing import Literal, get_args

import torch
from torch import Tensor

from genpredict.schema import POWERS, UNFOLDINGS
from genpredict.spectral import measures
from genpredict.spectral.blocks import Block, find_spectra
from genpredict.spectral.evbmf import NULL_TOLERANCE, LowRank, null_directions, solve_evbmf
from genpredict.spectral.parallel import run_tasks
from genpredict.spectral.released import solve_released
from genpredict.spectral.unfold import (
    DEAD_TOLERANCE,
    dead_channels,
    sides_left,
    unfolded_shape,
    unfoldings,
    without,
)

Estimator = Literal["global", "reference"]
ESTIMATORS: tuple[str, ...] = get_args(Estimator)
#: Elements of weights and Gram matrices held at a time (times 8 bytes in float64).
BATCH_ELEMENTS = 1 << 26


@dataclass(frozen=True)
class LayerMeasures:
    """Measures of W layers; NaN where a layer has no such unfolding.

    U = 2 unfoldings (`schema.UNFOLDINGS`), F = 2 factorizations (`schema.FACTORIZATIONS`),
    P powers (`schema.POWERS`). All float64, on the device of the computation.
    """

    stable_rank: Tensor  # (W, U, F, P)
    quality: Tensor  # (W, U, F, P)
    condition_number: Tensor  # (W, U, F)
    effective_rank: Tensor  # (W, U, F)
    spectral_entropy: Tensor  # (W, U, F)
    spectral_norm: Tensor  # (W, U, F)
    frobenius_norm: Tensor  # (W, U, F)
    rank: Tensor  # (W, U)
    noise_variance: Tensor  # (W, U)
    null_directions: Tensor  # (W, U)
    dead_output_channels: Tensor  # (W,)
    dead_input_channels: Tensor  # (W,)
    finite: Tensor  # (W,), 1 where every weight is finite, else 0 and the rest without meaning

    @classmethod
    def empty(cls, layers: int, device: torch.device) -> LayerMeasures:
        """Make room for that many layers, all NaN."""
        sizes: dict[str, tuple[int, ...]]
        sizes = dict.fromkeys(("stable_rank", "quality"), (2, 2, len(POWERS)))
        sizes |= dict.fromkeys(("rank", "noise_variance", "null_directions"), (2,))
        sizes |= dict.fromkeys(("dead_output_channels", "dead_input_channels", "finite"), ())
        return cls(
            **{
                field.name: torch.full(
                    (layers, *sizes.get(field.name, (2, 2))),
                    torch.nan,
                    dtype=torch.float64,
                    device=device,
                )
                for field in fields(cls)
            }
        )

    def part(self, first: int, stop: int) -> LayerMeasures:
        """View the layers from `first` up to `stop`."""
        return LayerMeasures(**{f.name: getattr(self, f.name)[first:stop] for f in fields(self)})


def measure_weights(
    weights: Sequence[Tensor],
    *,
    estimator: Estimator = "global",
    dtype: torch.dtype = torch.float64,
    device: torch.device | str | None = None,
    dead_tolerance: float = DEAD_TOLERANCE,
    null_tolerance: float = NULL_TOLERANCE,
) -> LayerMeasures:
    """Measure layers: raw and low-rank spectra, rank, noise and all measures of DESIGN 3.4.

    Parameters
    ----------
    weights : sequence of Tensor
        W weights in torch's layout (n_o, n_i, *kernel), floating point, of any shapes and dtypes.
    estimator : {"global", "reference"}
        The exact EVBMF, or the released code's (`spectral.released`), which sets nothing aside.
    dtype : torch.float64 or torch.float32
        Arithmetic of Gram matrices and eigenvalues; EVBMF and measures are always float64.
    device : torch.device, optional
        Where to compute; by default where the first weight lies.
    dead_tolerance, null_tolerance : float
        Which channels and directions EVBMF sets aside (DESIGN 3.3); 0 drops exact zeros only.

    Returns
    -------
    LayerMeasures
        In the order of `weights`.

    Raises
    ------
    ValueError
        For another estimator or dtype, or tolerances outside [0, 1).

    Notes
    -----
    The device is asked twice for a batch of any size: which layers hold dead channels, and which
    spectra a Gram matrix cannot resolve. Everything between runs without synchronisation.

    Examples
    --------
    >>> signal = torch.outer(torch.ones(8), torch.ones(32))
    >>> found = measure_weights([signal + 0.1 * torch.randn(8, 32), torch.zeros(4, 4, 3, 3)])
    >>> found.rank
    tensor([[nan, 1.],
            [0., 0.]], dtype=torch.float64)
    """
    _check(estimator, dtype, dead_tolerance, null_tolerance)
    if device is None:
        device = weights[0].device if weights else "cpu"
    found = LayerMeasures.empty(len(weights), torch.device(device))
    for first, stop in _bounded([tuple(weight.shape) for weight in weights]):
        part = found.part(first, stop)
        if estimator == "global":
            spectra = _global_spectra(weights[first:stop], part, dtype, dead_tolerance)
            solve: Solve = partial(_solve_global, null_tolerance=null_tolerance)
        else:
            spectra = _full_spectra(weights[first:stop], part, dtype)
            solve = _solve_reference
        tasks = [
            partial(_factorize_and_measure, spectrum, rows, solve, part)
            for spectrum in spectra
            for rows in spectrum.block.slices()
        ]
        run_tasks(tasks, device=found.rank.device)
    return found


def _check(
    estimator: str, dtype: torch.dtype, dead_tolerance: float, null_tolerance: float
) -> None:
    if estimator not in ESTIMATORS:
        raise ValueError(f"estimator must be one of {ESTIMATORS}, got {estimator!r}")
    if dtype not in (torch.float64, torch.float32):
        raise ValueError(f"dtype must be torch.float64 or torch.float32, got {dtype}")
    for name, value in (("dead_tolerance", dead_tolerance), ("null_tolerance", null_tolerance)):
        if not 0 <= value < 1:
            raise ValueError(f"{name} must lie in [0, 1), got {value}")


def _bounded(shapes: Sequence[tuple[int, ...]]) -> Iterator[tuple[int, int]]:
    """Cut a sequence of layers into runs that fit in memory."""
    first, held = 0, 0
    for index, shape in enumerate(shapes):
        size = prod(shape) + sum(unfolded_shape(shape, name)[0] ** 2 for name in unfoldings(shape))
        if held and held + size > BATCH_ELEMENTS:
            yield first, index
            first, held = index, 0
        held += size
    if first < len(shapes):
        yield first, len(shapes)


@dataclass
class _Spectra:
    """A block's raw eigenvalues, and those of what is left once dead channels are set aside."""

    block: Block
    left: Tensor  # (N, n), descending
    rows: Tensor  # (N,) L of what is left
    columns: Tensor  # (N,) M of what is left

    @classmethod
    def full(cls, block: Block) -> _Spectra:
        device = block.eigenvalues.device
        columns = torch.tensor(block.columns, device=device)
        rows = torch.full_like(columns, block.n)
        return cls(block, block.eigenvalues, rows, columns)


def _full_spectra(
    weights: Sequence[Tensor], found: LayerMeasures, dtype: torch.dtype
) -> list[_Spectra]:
    """Find the spectra, nothing set aside."""

    def inspect(layers: Sequence[int], stack: Tensor) -> None:
        found.finite[list(layers)] = _finite(stack)

    found.dead_output_channels.zero_()
    found.dead_input_channels.zero_()
    device = found.rank.device
    blocks = find_spectra(weights, device=device, dtype=dtype, inspect=inspect)
    return [_Spectra.full(block) for block in blocks]


def _global_spectra(
    weights: Sequence[Tensor], found: LayerMeasures, dtype: torch.dtype, tolerance: float
) -> list[_Spectra]:
    """Find the spectra of all layers, then those of what is left of layers with dead channels."""
    masks: dict[int, tuple[Tensor, Tensor]] = {}

    def inspect(layers: Sequence[int], stack: Tensor) -> None:
        outputs, inputs = dead_channels(stack, tolerance=tolerance, batch_dims=1)
        index = list(layers)
        found.finite[index] = _finite(stack)
        found.dead_output_channels[index] = outputs.sum(-1).double()
        found.dead_input_channels[index] = inputs.sum(-1).double()
        masks.update(zip(layers, zip(outputs, inputs, strict=True), strict=True))

    device = found.rank.device
    blocks = find_spectra(weights, device=device, dtype=dtype, inspect=inspect)
    spectra = [_Spectra.full(block) for block in blocks]
    some_dead = found.dead_output_channels + found.dead_input_channels > 0
    dead = some_dead.nonzero().flatten().tolist()
    if dead:
        _replace(spectra, weights, {layer: masks[layer] for layer in dead}, dtype)
    return spectra


def _replace(
    spectra: list[_Spectra],
    weights: Sequence[Tensor],
    masks: dict[int, tuple[Tensor, Tensor]],
    dtype: torch.dtype,
) -> None:
    """Put the spectra of what is left of some layers in place of their full ones."""
    layers = list(masks)
    device = spectra[0].left.device
    alive = [without(weights[layer].to(device), *masks[layer]) for layer in layers]
    places = {
        (layer, unfolding): (spectrum, row)
        for spectrum in spectra
        for row, (layer, unfolding) in enumerate(
            zip(spectrum.block.layer, spectrum.block.unfolding, strict=True)
        )
    }
    for spectrum in spectra:
        spectrum.left = spectrum.left.clone()
    for block in find_spectra(alive, device=device, dtype=dtype):
        for row, (index, unfolding) in enumerate(zip(block.layer, block.unfolding, strict=True)):
            layer = layers[index]
            spectrum, place = places[layer, unfolding]
            spectrum.left[place] = block.eigenvalues[row]
            spectrum.rows[place], spectrum.columns[place] = sides_left(
                tuple(weights[layer].shape), UNFOLDINGS[unfolding], *masks[layer]
            )


def _finite(stack: Tensor) -> Tensor:
    """Return 1 for every weight of a stack without NaN or infinity, else 0."""
    return torch.isfinite(stack.flatten(1).sum(-1)).double()


#: (spectra, rows) → low-rank factorization and number of null directions of these rows.
Solve = Callable[[_Spectra, slice], tuple[LowRank, Tensor]]


def _solve_global(
    spectra: _Spectra, rows: slice, *, null_tolerance: float
) -> tuple[LowRank, Tensor]:
    left, L = spectra.left[rows], spectra.rows[rows]
    null = null_directions(left, L, tolerance=null_tolerance)
    return solve_evbmf(left, L - null, spectra.columns[rows]), null


def _solve_reference(spectra: _Spectra, rows: slice) -> tuple[LowRank, Tensor]:
    low_rank = solve_released(spectra.left[rows], spectra.block.columns[rows])
    return low_rank, torch.zeros_like(low_rank.rank)


def _factorize_and_measure(
    spectra: _Spectra, rows: slice, solve: Solve, found: LayerMeasures
) -> None:
    """Factorize some rows of a block and write down every measure of theirs."""
    block = spectra.block
    device = block.eigenvalues.device
    at = (
        torch.tensor(block.layer[rows], device=device),
        torch.tensor(block.unfolding[rows], device=device),
    )
    low_rank, null = solve(spectra, rows)
    found.rank[at] = low_rank.rank.double()
    found.noise_variance[at] = low_rank.noise_variance
    found.null_directions[at] = null.double()
    raw = block.eigenvalues[rows].sqrt()
    for index, (values, rank) in enumerate(
        ((raw, None), (low_rank.singular_values, low_rank.rank))
    ):
        _measure(values, rank, found, (*at, torch.full_like(at[0], index)))


def _measure(
    values: Tensor, rank: Tensor | None, found: LayerMeasures, at: tuple[Tensor, ...]
) -> None:
    """Write down the measures of spectra of one factorization."""
    condition = measures.condition_number(values, rank=rank)
    found.condition_number[at] = condition
    found.effective_rank[at] = measures.effective_rank(values)
    found.spectral_entropy[at] = measures.spectral_entropy(values)
    found.spectral_norm[at] = measures.spectral_norm(values)
    found.frobenius_norm[at] = measures.frobenius_norm(values)
    stable = torch.stack([measures.stable_rank(values, p=p) for p in POWERS], dim=-1)
    found.stable_rank[at] = stable
    found.quality[at] = torch.atan2(stable, condition.unsqueeze(-1))
