"""Curvature of the loss: trace and largest eigenvalue of its Hessian, by products with vectors.

References
----------
.. [1] B. Pearlmutter, "Fast exact multiplication by the Hessian", Neural Computation 6 (1994).
.. [2] M. Hutchinson, "A stochastic estimator of the trace of the influence matrix for Laplacian
   smoothing splines", Communications in Statistics 18 (1989).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh
from torch import Tensor, nn

from genpredict.network_measures.labelled_batches import LabelledInputs

#: Random vectors of the trace; a network with no more parameters has its trace exactly.
PROBES = 30
#: Relative accuracy of the largest eigenvalue, and the most restarts of its search.
TOLERANCE, RESTARTS = 1e-4, 300
Product = Callable[[Tensor], Tensor]


def hessian_product(network: nn.Module, examples: LabelledInputs) -> tuple[Product, int]:
    """Return the map v ↦ H·v and the number P of parameters.

    H is the Hessian of the mean cross entropy by all parameters, one vector of length P in the
    order of `network.parameters()` [1]_.

    Parameters
    ----------
    network : nn.Module
        In evaluation mode, twice differentiable where it matters.
    examples : LabelledInputs

    Returns
    -------
    tuple of callable and int
    """
    parameters = [p for p in network.parameters() if p.requires_grad]

    def multiply(vector: Tensor) -> Tensor:
        product = torch.zeros_like(vector)
        with torch.enable_grad():
            for inputs, labels in examples.batches():
                loss = nn.functional.cross_entropy(network(inputs), labels, reduction="sum")
                gradient = torch.autograd.grad(loss / len(examples), parameters, create_graph=True)
                slope = torch.cat([part.flatten() for part in gradient]) @ vector
                parts = torch.autograd.grad(slope, parameters, materialize_grads=True)
                product += torch.cat([part.flatten() for part in parts])
        return product

    return multiply, sum(parameter.numel() for parameter in parameters)


def hessian_trace(
    network: nn.Module, examples: LabelledInputs, *, probes: int = PROBES, seed: int = 0
) -> float:
    """Return the trace of the Hessian, the mean of vᵀHv over random vectors of ±1 [2]_.

    Parameters
    ----------
    network : nn.Module
        In evaluation mode.
    examples : LabelledInputs
    probes : int
        Number of vectors; where there are no more parameters than this, unit vectors, one each:
        the exact trace.
    seed : int
        Of the vectors, drawn on the CPU.

    Returns
    -------
    float
    """
    multiply, count = hessian_product(network, examples)
    place = next(network.parameters())
    if count <= probes:
        return float(
            torch.stack(
                [multiply(row)[i] for i, row in enumerate(torch.eye(count).to(place))]
            ).sum()
        )
    generator = torch.Generator().manual_seed(seed)
    total = 0.0
    for _ in range(probes):
        vector = (2.0 * torch.randint(2, (count,), generator=generator) - 1).to(place)
        total += float(vector @ multiply(vector))
    return total / probes


def hessian_largest_eigenvalue(
    network: nn.Module, examples: LabelledInputs, *, seed: int = 0
) -> float:
    """Return the largest eigenvalue of the Hessian, by Lanczos iterations.

    Parameters
    ----------
    network : nn.Module
        In evaluation mode.
    examples : LabelledInputs
    seed : int
        Of the first vector.

    Returns
    -------
    float
        NaN where the search does not converge.
    """
    multiply, count = hessian_product(network, examples)
    place = next(network.parameters())

    def on_host(vector: NDArray[np.float64]) -> NDArray[np.float64]:
        product: NDArray[np.float64] = (
            multiply(torch.from_numpy(vector.ravel()).to(place)).double().cpu().numpy()
        )
        return product

    operator = LinearOperator((count, count), matvec=on_host, dtype=np.float64)
    first = np.random.default_rng(seed).standard_normal(count)
    try:
        values = eigsh(
            operator,
            k=1,
            which="LA",
            v0=first,
            tol=TOLERANCE,
            maxiter=RESTARTS,
            return_eigenvectors=False,
        )
    except ArpackNoConvergence:
        return float("nan")
    return float(values[0])
