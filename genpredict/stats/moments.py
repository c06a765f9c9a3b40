"""Sums of squares and products of many resamples at once, and the correlations they give."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from genpredict.stats.coefficients import Array

#: A variance below this share of the mean square has lost digits to cancellation.
_CANCELLED = 1e-6
#: Eigenvalues of a correlation matrix of covariates below this count as 0.
_SINGULAR = 1e-10


@dataclass(frozen=True)
class Moments:
    """Sums of squares and products of deviations from the mean, for each resample.

    Parameters
    ----------
    xx : array, shape (m, resamples)
    yy : array, shape (t, resamples)
    xy : array, shape (m, t, resamples)
    xz : array, shape (m, k, resamples)
    yz : array, shape (t, k, resamples)
    zz : array, shape (k, k, resamples)
    """

    xx: Array
    yy: Array
    xy: Array
    xz: Array
    yz: Array
    zz: Array

    def correlation(self) -> Array:
        """Return the (partial) correlations, shape (m, t, resamples); NaN where undefined.

        Notes
        -----
        With covariates the moments are those of residuals: xy − xz·zz⁻¹·zy (Schur complement).
        """
        xx, yy, xy = self.xx, self.yy, self.xy
        if len(self.zz):
            xx, yy, xy = self._residual()
        with np.errstate(invalid="ignore", divide="ignore"):  # 0/0 = NaN is meant
            correlations = xy / np.sqrt(xx[:, None] * yy[None])
        return np.clip(correlations, -1.0, 1.0)

    def _residual(self) -> tuple[Array, Array, Array]:
        size = np.sqrt(np.einsum("kkb->kb", self.zz))
        scale = np.divide(1.0, size, out=np.zeros_like(size), where=size > 0)
        zz = np.moveaxis(self.zz * scale[:, None] * scale[None], -1, 0)
        inverse = np.linalg.pinv(zz, rcond=_SINGULAR, hermitian=True)
        xz, yz = self.xz * scale, self.yz * scale
        fit = np.einsum("mkb,bkl->mlb", xz, inverse)
        fit_y = np.einsum("tkb,bkl->tlb", yz, inverse)
        xx = self.xx - np.einsum("mkb,mkb->mb", fit, xz)
        yy = self.yy - np.einsum("tkb,tkb->tb", fit_y, yz)
        xy = self.xy - np.einsum("mkb,tkb->mtb", fit, yz)
        xx = np.where(xx > _SINGULAR * self.xx, xx, np.nan)
        yy = np.where(yy > _SINGULAR * self.yy, yy, np.nan)
        return xx, yy, xy


def moments_of(x: Array, y: Array, z: Array, weights: Array) -> Moments:
    """Sum squares and products of values: matrix products with the counts."""
    total = weights.sum(0)
    sums = [columns @ weights for columns in (x, y, z)]

    def products(a: int, b: int) -> Array:
        left, right = (x, y, z)[a], (x, y, z)[b]
        raw = np.stack([(left * row) @ weights for row in right], axis=1) if len(right) else None
        if raw is None:
            return np.zeros((len(left), 0, len(total)))
        return np.asarray(raw - sums[a][:, None] * sums[b][None] / total)

    def squares(a: int) -> tuple[Array, NDArray[np.bool_]]:
        raw = (x, y, z)[a] ** 2 @ weights
        left = raw - sums[a] ** 2 / total
        return left, (left < _CANCELLED * raw).any(0)

    (xx, lost_x), (yy, lost_y), (_, lost_z) = squares(0), squares(1), squares(2)
    moments = Moments(xx, yy, products(0, 1), products(0, 2), products(1, 2), products(2, 2))
    for b in np.flatnonzero(lost_x | lost_y | lost_z):
        _recentre(moments, int(b), x, y, z, weights[:, b])
    return moments


def _recentre(moments: Moments, b: int, x: Array, y: Array, z: Array, weights: Array) -> None:
    """Sum anew, about the resample's own mean, where digits were lost to cancellation."""
    drawn = weights > 0
    weight = weights[drawn]
    centred = []
    for columns in (x[:, drawn], y[:, drawn], z[:, drawn]):
        left = columns - (columns @ weight / weight.sum())[:, None]
        same = np.ptp(columns, axis=-1, keepdims=True) == 0
        centred.append(np.where(same, 0.0, left))
    cx, cy, cz = centred
    moments.xx[:, b] = cx**2 @ weight
    moments.yy[:, b] = cy**2 @ weight
    moments.xy[..., b] = (cx * weight) @ cy.T
    moments.xz[..., b] = (cx * weight) @ cz.T
    moments.yz[..., b] = (cy * weight) @ cz.T
    moments.zz[..., b] = (cz * weight) @ cz.T
