"""P-values of every pair of a sample: by permutation, or asymptotic where that holds."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from genpredict.inference import Inference
from genpredict.stats.coefficients import Array
from genpredict.stats.linear_methods import Spearman
from genpredict.stats.methods import Method, wald_pvalues
from genpredict.stats.permutation import Pairs, permutation_pvalues
from genpredict.stats.sample import Sample

#: Permutations of pairs for which no limit holds, however many checkpoints there are.
SPARSE_PERMUTATIONS = 999


def all_pvalues(
    methods: Mapping[str, Method],
    sample: Sample,
    inference: Inference,
    permutations: tuple[int, int],
) -> dict[str, Array]:
    """Return the p-values of every coefficient, shape (m, t).

    Parameters
    ----------
    methods : mapping of str to Method
    sample : Sample
    inference : Inference
    permutations : pair of int
        As of `permutation_pvalues`; (0, 0) gives no p.

    Returns
    -------
    dict of array, shape (m, t)
    """
    if permutations[1] == 0:
        return {key: np.full(method.estimate.shape, np.nan) for key, method in methods.items()}
    tests = {}
    if inference.permuted(sample.n):
        tests = {key: test for key, method in methods.items() if (test := method.test())}
    rng = np.random.default_rng([inference.seed, 1])
    pvalues = permutation_pvalues(tests, sample, permutations=permutations, rng=rng)
    limits = {key: method for key, method in methods.items() if key not in pvalues}
    if sample.clustered:
        kinds = {key: Inference().interval_for(sample.n, coefficient=key) for key in limits}
        return pvalues | {
            key: wald_pvalues(method.estimate, method.errors(kinds[key]), sample.degrees)
            for key, method in limits.items()
        }
    pvalues |= {key: method.asymptotic_pvalues() for key, method in limits.items()}
    if limits and (sparse := sample.sparse).any():
        of_ranks = _of_ranks(sample, sparse, rng)
        pvalues |= {key: np.where(sparse, of_ranks, pvalues[key]) for key in limits}
    return pvalues


def _of_ranks(sample: Sample, sparse: Pairs, rng: np.random.Generator) -> Array:
    """Return the permutation p of ρ for some pairs, NaN in the others.

    Where nearly all values are equal, every coefficient tells the same: whether the few line up.
    """
    test = Spearman(sample).test()
    test.strength = np.where(sparse, test.strength, np.nan)
    counts = SPARSE_PERMUTATIONS, SPARSE_PERMUTATIONS
    return permutation_pvalues({"": test}, sample, permutations=counts, rng=rng)[""]
