"""Names, units and meanings of every dimension and variable of a scores Dataset.

The vocabulary of genpredict lives here and nowhere else: readers, the store, statistics and
figures take labels and units from these tables. A measure is one row that names its function as
text, so that a row costs no import; `genpredict.registry` adds rows of other packages
(docs/design.md 2 to 4).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

UNFOLDINGS = ("in_channel", "out_channel")
FACTORIZATIONS = ("raw", "low_rank")
POWERS = (1, 2)
KINDS = ("conv", "linear")
#: Number of the definitions of all measures; raised when one of them changes its values.
DEFINITIONS = 1
#: Labels of the dimensions that do not grow.
AXES: dict[str, tuple[str, ...] | tuple[int, ...]] = {
    "unfolding": UNFOLDINGS,
    "factorization": FACTORIZATIONS,
    "p": POWERS,
}
#: Of weight statistics, in percent.
QUANTILES = (0, 25, 50, 75, 100)
#: Labels of those that some measures have besides, in a Dataset that holds one of these.
EXTRA_AXES: dict[str, tuple[str, ...]] = {
    "tensor": ("weight", "bias"),
    "statistic": ("mean", "variance", *(f"quantile_{percent}" for percent in QUANTILES)),
}


@dataclass(frozen=True)
class Variable:
    """A variable of the Dataset: dimensions, label, unit and fill value."""

    dims: tuple[str, ...]
    long_name: str
    units: str = "1"
    dtype: Literal["float64", "str"] = "float64"

    @property
    def attrs(self) -> dict[str, str]:
        """Return the label and unit as xarray attributes."""
        return {"long_name": self.long_name, "units": self.units}


@dataclass(frozen=True, kw_only=True)
class Measure(Variable):
    """A row of the table of layer measures.

    Parameters
    ----------
    name : str
        Of the variable.
    function : str
        "module:function", imported where it is called. Its arguments are given by name: see
        `genpredict.measure_calls`. Empty for what the factorization itself gives.
    output : str
        Field of the named tuple that the function returns; rows that name several fields of one
        function share one call. Empty where it returns a tensor.
    group : str
        "default" for those that every score has; others are asked for by group or name.
    """

    name: str
    function: str = ""
    output: str = ""
    group: str = "default"


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

    needs: Literal["network", "initial", "data"]


_LAYER = ("checkpoint", "layer")
_ENTRY = (*_LAYER, "unfolding")
_SPECTRUM = (*_ENTRY, "factorization")

LAYER_LABELS: dict[str, Variable] = {
    "layer_name": Variable(_LAYER, "layer name", "", "str"),
    "layer_kind": Variable(_LAYER, "layer kind: conv or linear", "", "str"),
    "layer_shape": Variable(
        _LAYER, "weight shape, output channels first, e.g. 16x3x3x3", "", "str"
    ),
}
_SPECTRAL = "genpredict.spectral.measures"
#: The measures of every score, each from those above it.
_DEFAULT = (
    Measure(
        (*_SPECTRUM, "p"), "stable rank", name="stable_rank", function=f"{_SPECTRAL}:stable_rank"
    ),
    Measure(
        _SPECTRUM,
        "condition number",
        name="condition_number",
        function=f"{_SPECTRAL}:condition_number",
    ),
    Measure(
        (*_SPECTRUM, "p"), "quality", "rad", name="quality", function=f"{_SPECTRAL}:quality_angle"
    ),
    Measure(
        _SPECTRUM,
        "effective rank",
        name="effective_rank",
        function=f"{_SPECTRAL}:effective_rank",
    ),
    Measure(
        _SPECTRUM,
        "spectral entropy",
        "nat",
        name="spectral_entropy",
        function=f"{_SPECTRAL}:spectral_entropy",
    ),
    Measure(
        _SPECTRUM, "spectral norm", name="spectral_norm", function=f"{_SPECTRAL}:spectral_norm"
    ),
    Measure(
        _SPECTRUM, "Frobenius norm", name="frobenius_norm", function=f"{_SPECTRAL}:frobenius_norm"
    ),
    Measure(_ENTRY, "low-rank rank (EVBMF)", name="rank"),
    Measure(_ENTRY, "noise variance (EVBMF)", name="noise_variance"),
    Measure(_ENTRY, "null directions set aside", name="null_directions"),
    Measure(_LAYER, "dead output channels set aside", name="dead_output_channels"),
    Measure(_LAYER, "dead input channels set aside", name="dead_input_channels"),
    Measure(
        _SPECTRUM,
        "participation ratio",
        name="participation_ratio",
        function=f"{_SPECTRAL}:participation_ratio",
    ),
    Measure(
        _ENTRY,
        "Hill estimate of the tail exponent",
        name="hill_alpha",
        function=f"{_SPECTRAL}:hill_alpha",
    ),
    Measure(
        _ENTRY,
        "eigenvalues above the Marchenko-Pastur edge",
        name="mp_spikes",
        function="genpredict.spectral.marchenko_pastur:mp_spikes",
    ),
)
LAYER_MEASURES: dict[str, Measure] = {row.name: row for row in _DEFAULT}
#: What a store holds that says nothing of its measures.
FIRST_MEASURES = tuple(LAYER_MEASURES)[:12]
#: Of eigenvalues λ = σ² of the raw unfoldings, in the order in which they build on each other.
_HEAVY_TAIL = {
    "alpha_xmin": "eigenvalue where the power law begins",
    "alpha": "power-law exponent α",
    "alpha_distance": "Kolmogorov-Smirnov distance of the power law",
    "alpha_weighted": "α log10 of the largest eigenvalue",
    "log_alpha_norm": "log10 of the sum of eigenvalues to the power α",
}
#: Named as WeightWatcher names them, with ``ww_`` in front.
_WEIGHTWATCHER = {
    "alpha": "power-law exponent α",
    "alpha_weighted": "α log10 of the largest eigenvalue",
    "log_alpha_norm": "log10 of the sum of eigenvalues to the power α",
    "log_norm": "log10 of the sum of eigenvalues",
    "log_spectral_norm": "log10 of the largest eigenvalue",
    "stable_rank": "stable rank",
    "entropy": "entropy over the log of the rank",
    "xmin": "eigenvalue where the power law begins",
    "D": "Kolmogorov-Smirnov distance of the power law",
    "num_evals": "number of eigenvalues",
}
#: Measures of the other groups, by name; each may build on those of every score and those above.
EXTRA_MEASURES: dict[str, Measure] = {
    row.name: row
    for row in (
        *(
            Measure(
                _ENTRY,
                long_name,
                name=name,
                function=f"genpredict.spectral.heavy_tail:{name}",
                group="heavy_tail",
            )
            for name, long_name in _HEAVY_TAIL.items()
        ),
        *(
            Measure(
                _LAYER,
                f"WeightWatcher's {long_name}",
                name=f"ww_{output}",
                function="genpredict.spectral.weightwatcher:weightwatcher_measures",
                output=output,
                group="weightwatcher",
            )
            for output, long_name in _WEIGHTWATCHER.items()
        ),
        Measure(
            (*_LAYER, *EXTRA_AXES),
            "statistics of weights and biases",
            name="weight_statistics",
            function="genpredict.spectral.weight_statistics:weight_statistics",
            group="statistics",
        ),
    )
}
STATE: dict[str, Variable] = {
    "status": Variable(("checkpoint",), "state: pending, done or failed", "", "str"),
    "error": Variable(("checkpoint",), "why the checkpoint failed", "", "str"),
}
COORDINATES: dict[str, Variable] = {
    "network": Variable(("checkpoint",), "network", "", "str"),
    "dataset": Variable(("checkpoint",), "data set", "", "str"),
    "optimizer": Variable(("checkpoint",), "optimizer", "", "str"),
    "epoch": Variable(("checkpoint",), "training epochs", "epoch"),
    "seed": Variable(("checkpoint",), "seed"),
    "source": Variable(("checkpoint",), "file the weights were read from", "", "str"),
    "num_parameters": Variable(("checkpoint",), "number of parameters"),
}
#: Coordinates that count something, integers where every checkpoint has them.
INTEGERS = (
    *("epoch", "seed", "num_parameters", "architecture_index"),
    *("num_train", "batch_size", "flip", "crop_padding", "cutout_holes"),
)
# Known where a source gives them; a store holds those that occur.
EXTRA_COORDINATES: dict[str, Variable] = {
    "architecture_index": Variable(("checkpoint",), "architecture index in its search space"),
    "search_space": Variable(("checkpoint",), "search space", "", "str"),
    "flops": Variable(("checkpoint",), "multiply-adds of one forward pass", "MFLOP"),
    "learning_rate": Variable(("checkpoint",), "learning rate"),
    "weight_decay": Variable(("checkpoint",), "weight decay"),
    "label_noise": Variable(("checkpoint",), "share of training labels replaced at random"),
    "run": Variable(("checkpoint",), "training run", "", "str"),
    "recipe": Variable(("checkpoint",), "training recipe", "", "str"),
    "schedule": Variable(("checkpoint",), "learning-rate schedule", "", "str"),
    "num_train": Variable(("checkpoint",), "number of training images"),
    "batch_size": Variable(("checkpoint",), "batch size", "images"),
    "momentum": Variable(("checkpoint",), "momentum"),
    # Of whichever optimizer: RMSGD's gains β and ζ (docs/design.md 3.7), the ρ of SAM.
    "beta": Variable(("checkpoint",), "optimizer's β"),
    "zeta": Variable(("checkpoint",), "optimizer's ζ"),
    "rho": Variable(("checkpoint",), "optimizer's ρ"),
    "flip": Variable(("checkpoint",), "random horizontal flips: 1 with, 0 without"),
    "crop_padding": Variable(("checkpoint",), "padding before random crops", "pixel"),
    "cutout_holes": Variable(("checkpoint",), "squares cut out of each training image"),
    "manifest_source": Variable(("checkpoint",), "source, as the manifest has it", "", "str"),
}
TARGETS: dict[str, Variable] = {
    "train_accuracy": Variable(("checkpoint",), "train accuracy", "%"),
    "test_accuracy": Variable(("checkpoint",), "test accuracy", "%"),
    "validation_accuracy": Variable(("checkpoint",), "validation accuracy", "%"),
    "generalization_gap": Variable(("checkpoint",), "generalization gap", "%-points"),
    "train_loss": Variable(("checkpoint",), "train loss", "nat"),
    "test_loss": Variable(("checkpoint",), "test loss", "nat"),
    "validation_loss": Variable(("checkpoint",), "validation loss", "nat"),
}
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
Need = Literal["network", "initial", "data"]
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


#: The group of a store that lists the files taken in; no coordinate can have this name.
LEDGER = "files"


def coordinate(name: str, *, numeric: bool) -> Variable:
    """Return the description of a coordinate along `checkpoint`, known or a manifest's own.

    Examples
    --------
    >>> coordinate("test_accuracy", numeric=True).units
    '%'
    >>> coordinate("num_workers", numeric=True).long_name
    'num workers'
    """
    known = COORDINATES | EXTRA_COORDINATES | TARGETS
    if name in known:
        return known[name]
    return Variable(("checkpoint",), name.replace("_", " "), "", "float64" if numeric else "str")
