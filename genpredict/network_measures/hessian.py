"""Curvature of the loss: trace and largest eigenvalue of its Hessian, by products with vectors.

References
----------
.. [1] B. Pearlmutter, "Fast exact multiplication by the Hessian", Neural Computation 6 (1994).
.. [2] M. Hutchinson, "A stochastic estimator of the trace of the influence matrix for Laplacian
   smoothing splines", Communications in Statistics 18 (1989).
.. [3] C. C. Paige, "Accuracy and effectiveness of the Lanczos algorithm for the symmetric
   eigenproblem", Linear Algebra and its Applications 34 (1980).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from genpredict.network_measures.labelled_batches import LabelledInputs

#: Random vectors of the trace; up to so many parameters it is taken exactly.
PROBES, EXACT = 30, 1000
#: Relative accuracy of the largest eigenvalue, and the most products to find it.
TOLERANCE, STEPS = 1e-4, 100
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
        Number of vectors. Up to 1,000 parameters unit vectors are taken, one each: the exact trace.
    seed : int
        Of the vectors, drawn on the CPU.

    Returns
    -------
    float
    """
    multiply, count = hessian_product(network, examples)
    place = next(network.parameters())
    if count <= EXACT:
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
    """Return the largest eigenvalue of the Hessian, by Lanczos iterations [3]_.

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
        From below: within the tolerance where that is met before the last step.

    Notes
    -----
    Vectors are not orthogonalized anew: that repeats eigenvalues that have converged, but leaves
    the largest as it is, and three vectors are held, whatever the number of steps.
    """
    from scipy.linalg import eigh_tridiagonal  # .15 s that few commands need

    multiply, count = hessian_product(network, examples)
    generator = torch.Generator().manual_seed(seed)
    vector = torch.randn(count, generator=generator).to(next(network.parameters()))
    vector /= vector.norm()
    before, beta = torch.zeros_like(vector), 0.0
    diagonal: list[float] = []
    beside: list[float] = []
    largest = float("nan")
    for _ in range(min(STEPS, count)):
        product = multiply(vector) - beta * before
        diagonal.append(float(product @ vector))
        product -= diagonal[-1] * vector
        beta = float(product.norm())
        values, vectors = eigh_tridiagonal(diagonal, beside)
        largest = float(values[-1])
        if beta * abs(float(vectors[-1, -1])) <= TOLERANCE * abs(largest):
            break
        beside.append(beta)
        before, vector = vector, product / beta
    return largest
