"""Time the bootstrap of ROCC, and that of scipy.

Run it by ``python analysis/benchmarks/bootstrap.py``; ``--n``, ``--measures``, ``--resamples``
change the size, ``--scipy-resamples`` how many resamples scipy is timed on. Its time grows in
proportion to them and to the pairs, so the rest is multiplied out, and said.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from genpredict.stats.coefficients import ranks
from genpredict.stats.estimation import Settings, estimate
from genpredict.stats.intervals import percentile_interval
from genpredict.stats.resampling import Resampler, bootstrap_counts
from genpredict.stats.threads import one_blas_thread

Array = NDArray[np.float64]
T = TypeVar("T")


def main() -> None:
    options = parsed()
    rng = np.random.default_rng(0)
    y = rng.normal(size=(options.targets, options.n))
    strength = np.linspace(0, 2, options.measures)[:, None]
    x = rng.normal(size=(options.measures, options.n)) + strength * y[0]
    pairs = options.measures * options.targets
    print(
        f"n = {options.n:,}, {options.measures} measures × {options.targets} targets, "
        f"{options.resamples:,} resamples"
    )
    before = peak()
    ours, rocc = timed(lambda: bootstrap_rocc(x, y, options.resamples))
    memory = peak() - before
    print(f"genpredict, ROCC alone:              {ours:8.1f} s, peak memory +{memory:.0f} MB")
    whole, _ = timed(lambda: everything(x, y, options.resamples))
    print(f"genpredict, whole table (PLCC, ROCC, KROCC, p by 9,999 permutations): {whole:.1f} s")
    once, by_scipy = timed(lambda: scipy_rocc(x[-1], y[0], options.scipy_resamples))
    scaled = once * options.resamples / options.scipy_resamples * pairs
    print(
        f"scipy.stats.bootstrap, ROCC alone:   {scaled:8.1f} s "
        f"(measured {once:.2f} s: one pair, {options.scipy_resamples} resamples; multiplied out)"
    )
    print(f"ratio: {scaled / ours:.0f} times faster")
    lower, upper = (end[-1, 0] for end in rocc)
    print(
        f"last measure, first target: [{lower:.4f}, {upper:.4f}], "
        f"scipy [{by_scipy.low:.4f}, {by_scipy.high:.4f}] on fewer resamples"
    )


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    for name, value in (("n", 32_768), ("measures", 20), ("targets", 2), ("resamples", 2000)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--scipy-resamples", type=int, default=50)
    return parser.parse_args()


def bootstrap_rocc(x: Array, y: Array, resamples: int) -> tuple[Array, Array]:
    """Return 95 % percentile intervals of every ROCC."""
    n = x.shape[1]
    with one_blas_thread():
        columns = Resampler(x, y, np.empty((0, n)))
        blocks = bootstrap_counts(n, resamples, np.random.default_rng(0))
        found = np.concatenate([columns.spearman(counts) for counts in blocks], axis=-1)
    return percentile_interval(found, 0.95)


def everything(x: Array, y: Array, resamples: int) -> dict[str, Array]:
    with one_blas_thread():
        return estimate(x, y, np.empty((0, x.shape[1])), Settings(resamples=resamples))


def scipy_rocc(x: Array, y: Array, resamples: int) -> Any:
    """Bootstrap one pair with scipy at its best: a vectorised statistic, one resample a batch."""

    def rocc(x: Array, y: Array, axis: int) -> Array:
        assert axis == -1
        left, right = (r - r.mean(-1, keepdims=True) for r in (ranks(x), ranks(y)))
        products = (left * right).sum(-1)
        return np.asarray(products / np.sqrt((left**2).sum(-1) * (right**2).sum(-1)))

    return stats.bootstrap(
        (x, y),
        rocc,
        paired=True,
        vectorized=True,
        n_resamples=resamples,
        batch=1,
        method="percentile",
        rng=np.random.default_rng(0),
    ).confidence_interval


def timed(work: Callable[[], T]) -> tuple[float, T]:
    start = time.perf_counter()
    found = work()
    return time.perf_counter() - start, found


def peak() -> float:
    """Return the most memory this process has held, in MB."""
    scale = 1 << 20 if sys.platform == "darwin" else 1 << 10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / scale


if __name__ == "__main__":
    main()
