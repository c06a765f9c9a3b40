"""The table of network measures, and of those that need more than weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from genpredict.schema.variables import Variable

Need = Literal["network", "initial", "data"]


@dataclass(frozen=True, kw_only=True)
class NetworkMeasure(Variable):
    """A row of the table of network measures.

    Parameters
    ----------
    name : str
        Of the variable.
    function : str
        "module:function" of a scores Dataset with layer measures, labels and coordinates. It
        returns a DataArray over `checkpoint`, and `factorization` and `p` where these apply.
    group : str
        "default" for those that every score has; others are asked for by group or name.
    """

    name: str
    function: str
    group: str = "default"


@dataclass(frozen=True, kw_only=True)
class Probe(NetworkMeasure):
    """A network measure that is taken when the checkpoint is loaded.

    Parameters
    ----------
    function : str
        "module:function" of a `network_measures.subject.Subject`. It returns a float.
    needs : {"network", "initial", "data"}
        What it needs besides weights: the module; the weights before training; both the module
        and labelled images.
    """

    needs: Need


_NETWORK = ("checkpoint", "factorization", "p")
_AGGREGATION, _NORMS = "genpredict.aggregation", "genpredict.norms"
_QUALITIES = {
    "Q": ("network_quality", "network quality Q"),
    "Q_adjusted": ("adjusted_network_quality", "network quality Q, rank-1 entries as worst"),
}
_COUNTS = {
    "num_layers": "number of layers",
    "num_rank_zero": "number of entries of rank 0",
    "num_rank_one": "number of entries of rank 1",
}
_NORM_NAMES = {
    "log_prod_frobenius_norm": "log product of squared Frobenius norms",
    "log_prod_spectral_norm": "log product of squared spectral norms",
    "log_sum_frobenius_norm": "log of the layers times their mean squared Frobenius norm",
    "log_sum_spectral_norm": "log of the layers times their mean squared spectral norm",
    "fro_over_spec": "sum of squared Frobenius over squared spectral norms",
    "param_norm": "sum of squared Frobenius norms",
}
#: The network measures of every score.
NETWORK_MEASURES: dict[str, NetworkMeasure] = {
    row.name: row
    for row in (
        *(
            NetworkMeasure(_NETWORK, long, "rad", name=name, function=f"{_AGGREGATION}:{function}")
            for name, (function, long) in _QUALITIES.items()
        ),
        *(
            NetworkMeasure(("checkpoint",), long, name=name, function=f"{module}:{name}")
            for module, names in ((_AGGREGATION, _COUNTS), (_NORMS, _NORM_NAMES))
            for name, long in names.items()
        ),
    )
}
#: By group and what they need.
_PROBES: dict[tuple[str, Need], dict[str, str]] = {
    ("network", "network"): {
        "path_norm": "path norm",
        "log_path_norm": "log path norm",
    },
    ("initialization", "initial"): {
        "distance_from_initialization": "distance from initialization (Frobenius)",
        "spectral_distance_from_initialization": "distance from initialization (spectral)",
    },
    ("margins", "data"): {
        "cross_entropy": "cross entropy on training images",
        "margin": "output margin, 10th percentile",
        "margin_over_frobenius_norms": "margin over the product of Frobenius norms",
        "margin_over_spectral_norms": "margin over the product of spectral norms",
        "margin_over_param_norm": "margin over the norm of all weights",
        "margin_over_path_norm": "margin over the root of the path norm",
    },
    ("sharpness", "data"): {
        "average_sharpness": "average-case sharpness relative to the weights",
        "worst_sharpness": "worst-case sharpness relative to the weights",
    },
    ("hessian", "data"): {
        "hessian_trace": "trace of the Hessian",
        "hessian_largest_eigenvalue": "largest eigenvalue of the Hessian",
    },
    ("gradients", "data"): {
        "gradient_snr": "signal-to-noise ratio of gradients of batches",
    },
}
_NATS = ("cross_entropy", "average_sharpness", "worst_sharpness")
#: Network measures of the other groups, by name.
EXTRA_NETWORK_MEASURES: dict[str, NetworkMeasure] = {
    name: Probe(
        ("checkpoint",),
        long_name,
        "nat" if name in _NATS else "1",
        name=name,
        function=f"genpredict.network_measures.probes:{name}",
        group=group,
        needs=needs,
    )
    for (group, needs), names in _PROBES.items()
    for name, long_name in names.items()
}
