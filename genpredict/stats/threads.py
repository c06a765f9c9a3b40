"""How many threads the linear algebra of a table may take."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # ships no types


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Keep BLAS to the calling thread for a while.

    The bootstrap is thousands of short matrix products. OpenBLAS splits each over all cores and
    waits actively; where another program holds one of them (a shared node, a second notebook), each
    product waits for a time slice: 2,000 resamples of 20 measures at n = 32,768 took 0.5 s on one
    thread and up to 97 s on two.

    Examples
    --------
    >>> import numpy as np
    >>> with one_blas_thread():
    ...     print(float((np.ones((2, 2)) @ np.ones(2)).sum()))
    4.0
    """
    with threadpool_limits(limits=1, user_api="blas"):
        yield
