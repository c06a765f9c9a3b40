"""Measure many layers of any shapes at once.

Equal shapes are stacked and unfolded together; all Gram matrices of one size n, whatever their
layers' shapes and number of columns, share one batch of eigenvalues, one of EVBMF and one of
measures. Work is cut into slices that fit a core's cache and runs on all cores.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from functools import partial
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from genpredict.schema import POWERS
from genpredict.spectral import measures
from genpredict.spectral.blocks import (
    Block,
    Inspection,
    fill,
    full_eigenvalues,
    left_eigenvalues,
    plan,
)
from genpredict.spectral.evbmf import NULL_TOLERANCE, null_directions, solve_evbmf
from genpredict.spectral.parallel import run_tasks
from genpredict.spectral.released import solve_released
from genpredict.spectral.unfold import DEAD_TOLERANCE, unfolded_shape, unfoldings

Estimator = Literal["global", "reference"]
ESTIMATORS: tuple[str, ...] = get_args(Estimator)
#: Elements of Gram matrices held at a time, times 8 bytes in float64; a larger layer goes alone.
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
    """Measure layers: raw and low-rank spectra, rank, noise and all measures of docs/design.md 3.4.

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
        What EVBMF sets aside (docs/design.md 3.3); 0 drops exact zeros only.

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
    found = LayerMeasures.empty(len(weights), torch.device(device))
    method = _Method(dtype, dead_tolerance if estimator == "global" else None, null_tolerance)
    for first, stop in _bounded([tuple(weight.shape) for weight in weights]):
        _measure_part(weights[first:stop], method, found.part(first, stop))
    return found


def check_method(estimator: str, dead_tolerance: float, null_tolerance: float) -> None:
    """Raise ValueError for another estimator, or a tolerance outside [0, 1)."""
    if estimator not in ESTIMATORS:
        raise ValueError(f"estimator must be one of {ESTIMATORS}, got {estimator!r}")
    for name, value in (("dead_tolerance", dead_tolerance), ("null_tolerance", null_tolerance)):
        if not 0 <= value < 1:
            raise ValueError(f"{name} must lie in [0, 1), got {value}")


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


def _measure_part(weights: Sequence[Tensor], method: _Method, found: LayerMeasures) -> None:
    """Measure layers that fit in memory together: first all Gram matrices, then the rest."""
    device = found.rank.device
    blocks, pieces = plan([tuple(weight.shape) for weight in weights])
    for block in blocks:
        block.allocate(device, method.dtype)
    found.dead_output_channels.zero_()
    found.dead_input_channels.zero_()
    look = Inspection(found.finite, found.dead_output_channels, found.dead_input_channels)
    options: dict[str, Any] = {"dtype": method.dtype, "dead_tolerance": method.dead_tolerance}
    run_tasks([partial(fill, weights, piece, look, **options) for piece in pieces], device=device)
    run_tasks(
        [
            partial(_measure_rows, weights, block, rows, method, found)
            for block in blocks
            for rows in block.slices()
        ],
        device=device,
    )


def _measure_rows(
    weights: Sequence[Tensor], block: Block, rows: slice, method: _Method, found: LayerMeasures
) -> None:
    """Find the spectra of some rows of a block, factorize them, and write every measure down."""
    full = full_eigenvalues(weights, block, rows)
    if method.dead_tolerance is None:
        low_rank = solve_released(full, block.columns[rows])
        null = torch.zeros_like(low_rank.rank)
    else:
        left = left_eigenvalues(weights, block, rows, full, method.dead_tolerance)
        L = block.rows_left[rows]
        null = null_directions(left, L, tolerance=method.null_tolerance)
        low_rank = solve_evbmf(left, L - null, block.columns_left[rows])
    at = (
        torch.tensor(block.layer[rows], device=full.device),
        torch.tensor(block.unfolding[rows], device=full.device),
    )
    found.rank[at] = low_rank.rank.double()
    found.noise_variance[at] = low_rank.noise_variance
    found.null_directions[at] = null.double()
    spectra = torch.stack([full.sqrt(), low_rank.singular_values], dim=1)  # as FACTORIZATIONS
    rank = torch.stack([torch.full_like(low_rank.rank, block.n), low_rank.rank], dim=1)
    _measure_spectra(spectra, rank, found, at)


def _measure_spectra(
    spectra: Tensor, rank: Tensor, found: LayerMeasures, at: tuple[Tensor, Tensor]
) -> None:
    """Write down the measures of spectra, shape (B, 2, n)."""
    condition = measures.condition_number(spectra, rank=rank)
    stable = torch.stack([measures.stable_rank(spectra, p=p) for p in POWERS], dim=-1)
    found.stable_rank[at] = stable
    found.condition_number[at] = condition
    found.quality[at] = torch.atan2(stable, condition.unsqueeze(-1))  # Eq. 4
    found.effective_rank[at] = measures.effective_rank(spectra)
    found.spectral_entropy[at] = measures.spectral_entropy(spectra)
    found.spectral_norm[at] = measures.spectral_norm(spectra)
    found.frobenius_norm[at] = measures.frobenius_norm(spectra)
