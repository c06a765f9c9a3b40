"""How far images that a generator makes are from real ones.

References
----------
.. [1] D. C. Dowson, B. V. Landau, "The Fréchet distance between multivariate normal distributions",
   Journal of Multivariate Analysis 12 (1982) 450-455.
.. [2] M. Heusel, H. Ramsauer, T. Unterthiner, B. Nessler, S. Hochreiter, "GANs trained by a two
   time-scale update rule converge to a local Nash equilibrium", NeurIPS 2017.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

#: Images are averaged down to this side at most, so that moments are of few numbers.
_SIDE = 8


def frechet_distance(made: Tensor, real: Tensor) -> float:
    """Return the squared Fréchet distance between two sets of images, each taken as Gaussian.

    d² = |μ₁ − μ₂|² + tr(C₁ + C₂ − 2·(C₁C₂)^½) [1]_, of pixels averaged down to 8 × 8. Where no
    trained network's features are taken as in [2]_, nothing but the images decides.

    Parameters
    ----------
    made, real : Tensor, shape (N, channels, side, side)
        In one scale; at least two images each, and better several times as many as pixels.

    Returns
    -------
    float
        In squared units of a pixel, summed over pixels; 0 for the same moments. NaN where a
        moment is not finite: of one image, or of a generator that is lost.

    Examples
    --------
    >>> images = torch.rand(50, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    >>> round(abs(frechet_distance(images + 1, images)), 3)  # every one of 16 pixels is off by 1
    16.0
    """
    if min(len(made), len(real)) < 2:
        return math.nan
    first, second = _moments(made), _moments(real)
    if not all(bool(moment.isfinite().all()) for moment in (*first, *second)):
        return math.nan
    values, vectors = torch.linalg.eigh(first[1])
    root = vectors * values.clamp(min=0).sqrt() @ vectors.T
    # C₁C₂ and C₁^½·C₂·C₁^½ have the same eigenvalues; the latter is symmetric
    product = root @ second[1] @ root
    if not bool(product.isfinite().all()):
        return math.nan
    shared = torch.linalg.eigvalsh(product).clamp(min=0).sqrt().sum()
    means = (first[0] - second[0]).square().sum()
    return float(means + first[1].trace() + second[1].trace() - 2 * shared)


def _moments(images: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean, shape (D,), and covariance, shape (D, D), of small versions of images."""
    side = min(images.shape[-1], _SIDE)
    pixels = nn.functional.adaptive_avg_pool2d(images.double(), side).flatten(1)
    return pixels.mean(0), torch.cov(pixels.T)
