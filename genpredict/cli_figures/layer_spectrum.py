"""Both spectra of one layer, with the levels that part signal from noise."""

from __future__ import annotations

from math import isclose, sqrt
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from genpredict import console
from genpredict.cli_figures.weights import Chosen, Method
from genpredict.figures import plot_spectrum
from genpredict.figures.labels import shortened, told_apart
from genpredict.spectral import (
    dead_channels,
    evbmf,
    null_directions,
    signal_threshold,
    singular_values,
    unfold,
)
from genpredict.spectral.unfold import sides_left, without

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Relative difference of a noise variance, above that of float32, that tells other weights.
SAME_NOISE = 1e-3
_MOST = 48  # characters of a line of the title
_RELEASED_TAU = 2.5129  # τ̄/√α in the released code (DESIGN 3.3)


class LayerSpectrum(NamedTuple):
    """What `plot_spectrum` draws.

    Parameters
    ----------
    raw : Tensor, shape (n,)
        Singular values of the full unfolding.
    low_rank : Tensor, shape (n,)
        Shrunk singular values, then zeros.
    rank : int
    noise_variance : float
        s, in squared weights.
    rows, columns : int
        L and M, the sides of what is left of the unfolding.
    threshold : float
        x̄: signal is what exceeds √(M s x̄).
    """

    raw: Tensor
    low_rank: Tensor
    rank: int
    noise_variance: float
    rows: int
    columns: int
    threshold: float


def layer_spectrum(weight: Tensor, unfolding: str, method: Method) -> LayerSpectrum:
    """Factorize one unfolding of a layer.

    Parameters
    ----------
    weight : Tensor, shape (n_o, n_i, *kernel)
    unfolding : {"in_channel", "out_channel"}
    method : Method

    Returns
    -------
    LayerSpectrum
        In double precision.

    Raises
    ------
    ValueError
        For weights that are not finite.
    """
    weight = weight.detach().double()
    found = evbmf(
        weight,
        unfolding,
        estimator=method.estimator,
        dead_tolerance=method.dead_tolerance,
        null_tolerance=method.null_tolerance,
    )
    rows, columns = _sides(weight, unfolding, method)
    alpha = max(rows, 1) / max(columns, 1)
    return LayerSpectrum(
        singular_values(unfold(weight, unfolding)),
        found.singular_values,
        int(found.rank),
        float(found.noise_variance),
        rows,
        columns,
        _threshold(alpha, method.estimator),
    )


def drawn_spectrum(chosen: Chosen, *, log: bool = False) -> Axes:
    """Draw the spectra of a layer; warn where they are not those that a store was made of.

    Parameters
    ----------
    chosen : Chosen
        As of `choose_layer`.
    log : bool
        Logarithmic singular values.

    Returns
    -------
    Axes
    """
    network, layer, unfolding, measures = chosen
    found = layer_spectrum(layer.weight, unfolding, network.method)
    rank, noise = (float(measures[name]) for name in ("rank", "noise_variance"))
    if rank != found.rank or not isclose(noise, found.noise_variance, rel_tol=SAME_NOISE):
        console.warn(
            [
                f"{network.checkpoint.source}: {layer.name} has rank {found.rank} and noise "
                f"variance {found.noise_variance:.4g} now, {rank:.0f} and {noise:.4g} when it was "
                f"scored; what is drawn is the weights of now"
            ]
        )
    return plot_spectrum(
        found.raw,
        found.low_rank,
        noise_variance=found.noise_variance,
        columns=found.columns,
        threshold=found.threshold,
        name=_title(chosen, found),
        log=log,
    )


def _title(chosen: Chosen, found: LayerSpectrum) -> str:
    """Return what is drawn, in two lines: network and layer, matrix and estimator."""
    network, layer, unfolding, _ = chosen
    name = shortened(layer.name.removesuffix(".weight"), 28)
    (short,) = told_apart([network.checkpoint.id], max(12, _MOST - len(name) - 2))
    full = " × ".join(map(str, unfold(layer.weight, unfolding).shape))
    left = f"{found.rows} × {found.columns}"
    left = full if left == full else f"{left} left of {full}"
    how = "" if network.method.estimator == "global" else f", {network.method.estimator} estimator"
    return f"{short}, {name}\n{unfolding}, {left}{how}"


def _sides(weight: Tensor, unfolding: str, method: Method) -> tuple[int, int]:
    """Return L and M of what EVBMF looks at; the released code sets nothing aside."""
    if method.estimator == "reference":
        rows, columns = unfold(weight, unfolding).shape
        return rows, columns
    dead = dead_channels(weight, tolerance=method.dead_tolerance)
    left_rows, left_columns = sides_left(tuple(weight.shape), unfolding, *dead)
    eigenvalues = singular_values(unfold(without(weight, *dead), unfolding)).square()
    null = null_directions(eigenvalues, left_rows, tolerance=method.null_tolerance)
    return int(left_rows - null), int(left_columns)


def _threshold(alpha: float, estimator: str) -> float:
    """Return x̄ at α = L/M, at the released code's τ̄ where that is the estimator."""
    if estimator == "global":
        return float(signal_threshold(torch.tensor(alpha, dtype=torch.float64)))
    tau = _RELEASED_TAU * sqrt(alpha)
    return (1 + tau) * (1 + alpha / tau)
