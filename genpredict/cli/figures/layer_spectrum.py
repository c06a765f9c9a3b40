"""Draw the spectra of one layer of a network, with a title; warn of weights that changed."""

from __future__ import annotations

from math import isclose
from typing import TYPE_CHECKING, Any

from genpredict.cli import console
from genpredict.cli.figures.weights import Chosen
from genpredict.estimators import ESTIMATION
from genpredict.figures import plot_spectrum
from genpredict.figures.labels import shortened, told_apart
from genpredict.spectral import LayerSpectrum, layer_spectrum, unfold

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Relative difference of a noise variance, above that of float32, that tells other weights.
SAME_NOISE = 1e-3
_MOST = 48  # characters of a line of the title


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
    choices: dict[str, Any] = network.method.chosen(ESTIMATION)
    spectrum = layer_spectrum(layer.weight, unfolding, **choices)
    rank, noise = (float(measures[name]) for name in ("rank", "noise_variance"))
    if rank != spectrum.rank or not isclose(noise, spectrum.noise_variance, rel_tol=SAME_NOISE):
        console.warn(
            [
                f"{network.checkpoint.source}: {layer.name} has rank {spectrum.rank} and noise "
                f"variance {spectrum.noise_variance:.4g} now, {rank:.0f} and {noise:.4g} when it "
                f"was scored; what is drawn is the weights of now"
            ]
        )
    return plot_spectrum(spectrum, name=_title(chosen, spectrum), log=log)


def _title(chosen: Chosen, spectrum: LayerSpectrum) -> str:
    """Return what is drawn, in two lines: network and layer, matrix and estimator."""
    network, layer, unfolding, _ = chosen
    name = shortened(layer.name.removesuffix(".weight"), 28)
    (short,) = told_apart([network.checkpoint.id], max(12, _MOST - len(name) - 2))
    full = " × ".join(map(str, unfold(layer.weight, unfolding).shape))
    left = f"{spectrum.rows} × {spectrum.columns}"
    left = full if left == full else f"{left} left of {full}"
    how = "" if network.method.estimator == "global" else f", {network.method.estimator} estimator"
    return f"{short}, {name}\n{unfolding}, {left}{how}"
