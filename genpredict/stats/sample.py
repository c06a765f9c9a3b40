"""Measures, targets and covariates of the same checkpoints, and which of these are one cluster."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from genpredict.stats.coefficients import Array, covariate_basis
from genpredict.stats.ranked import RankedColumn
from genpredict.stats.resampling import Resampler, bootstrap_counts, jackknife_counts

Codes = NDArray[np.intp]


@dataclass(frozen=True)
class Sample:
    """Columns without missing values, rows in order of their clusters.

    Parameters
    ----------
    x : array, shape (m, n)
        Measures.
    y : array, shape (t, n)
        Targets.
    z : array, shape (k, n)
        Covariates, possibly none.
    sizes : array of int, shape (clusters,)
        Checkpoints of each cluster, in order; all 1 where checkpoints are independent.
    """

    x: Array
    y: Array
    z: Array
    sizes: Codes

    @property
    def n(self) -> int:
        """Number of checkpoints."""
        return int(self.x.shape[1])

    @property
    def clusters(self) -> int:
        """Number of clusters, which is n where checkpoints are independent."""
        return len(self.sizes)

    @property
    def clustered(self) -> bool:
        """Whether some checkpoints share a cluster."""
        return self.clusters < self.n

    @cached_property
    def starts(self) -> Codes:
        """First row of each cluster."""
        return np.concatenate([[0], np.cumsum(self.sizes)[:-1]]).astype(np.intp)

    @cached_property
    def codes(self) -> Codes:
        """Cluster of each row, from 0."""
        return np.repeat(np.arange(self.clusters), self.sizes)

    @cached_property
    def independent(self) -> int:
        """How many covariates are left when constant and redundant ones are not counted."""
        return len(covariate_basis(self.z, self.n)) - 1

    @cached_property
    def resampler(self) -> Resampler:
        """The columns made ready for counts."""
        return Resampler(self.x, self.y, self.z)

    @cached_property
    def ranked(self) -> tuple[list[RankedColumn], list[RankedColumn], list[RankedColumn]]:
        """Measures, targets and covariates, sorted once."""
        x, y, z = ([RankedColumn(row) for row in rows] for rows in (self.x, self.y, self.z))
        return x, y, z

    @property
    def degrees(self) -> int:
        """Degrees of freedom of a standard error between clusters."""
        return max(self.clusters - 1 - (0 if self.clustered else self.independent), 1)

    @cached_property
    def sparse(self) -> NDArray[np.bool_]:
        """Pairs of which fewer than one checkpoint is expected to differ in both, shape (m, t).

        To differ from a column's commonest value; no limit theorem holds for these. Constants are
        none of them.
        """
        x, y = (
            np.array([self.n - column.sizes.max(initial=0) for column in columns])
            for columns in self.ranked[:2]
        )
        both = x[:, None] * y[None]
        return np.asarray((both > 0) & (both < self.n))

    @cached_property
    def mostly_one_value(self) -> NDArray[np.bool_]:
        """Pairs of which a column has at least half its values equal, shape (m, t)."""
        x, y = (
            np.array([2 * column.sizes.max(initial=0) >= self.n for column in columns])
            for columns in self.ranked[:2]
        )
        return np.asarray(x[:, None] | y[None])

    def per_cluster(self, values: Array) -> Array:
        """Sum the last axis over the members of each cluster, shape (..., clusters)."""
        return np.asarray(np.add.reduceat(values, self.starts, axis=-1))

    def bootstrap(self, resamples: int, rng: np.random.Generator) -> Iterator[NDArray[np.intp]]:
        """Yield blocks of counts, shape (n, some), of resampled clusters."""
        for counts in bootstrap_counts(self.clusters, resamples, rng, rows=self.n):
            yield counts[self.codes] if self.clustered else counts

    def left_out(self, which: Codes) -> Iterator[NDArray[np.intp]]:
        """Yield blocks of counts, shape (n, some), without each of some clusters in turn."""
        for counts in jackknife_counts(self.clusters, which, rows=self.n):
            yield counts[self.codes] if self.clustered else counts


def sample_of(x: Array, y: Array, z: Array, codes: NDArray[np.intp] | None = None) -> Sample:
    """Sort columns by cluster.

    Parameters
    ----------
    x : array, shape (m, n)
    y : array, shape (t, n)
    z : array, shape (k, n)
    codes : array of int, shape (n,), optional
        Cluster of each checkpoint; None where all are independent.

    Returns
    -------
    Sample
        Independent checkpoints keep their order.
    """
    n = x.shape[1]
    if codes is not None:
        _, codes, sizes = np.unique(codes, return_inverse=True, return_counts=True)
        if len(sizes) < n:
            order = np.argsort(codes, kind="stable")
            return Sample(x[:, order], y[:, order], z[:, order], sizes.astype(np.intp))
    return Sample(x, y, z, np.ones(n, dtype=np.intp))
