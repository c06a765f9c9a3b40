"""The table of layer measures: a row each, and the labels of layers beside them."""

from __future__ import annotations

from dataclasses import dataclass

from genpredict.schema.variables import EXTRA_AXES, Variable

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
