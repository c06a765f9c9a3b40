"""Predict from trained weights alone how a network generalizes.

The public names in the order of the work: checkpoints are opened, their layers unfolded,
factorized and measured; networks scored and read back; layer measures aggregated to network
measures, correlated and drawn; networks trained and exported. Each loads what it needs at its
first use, so that ``import genpredict`` is instant. So do the subpackages: `genpredict.networks`,
`genpredict.stats` and the others are there without an import of their own.

>>> import genpredict
>>> scores = genpredict.score("checkpoints/")  # doctest: +SKIP
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from genpredict._version import __version__ as __version__

if TYPE_CHECKING:
    from genpredict import (  # noqa: F401 - reachable, see _SUBPACKAGES
        checkpoints,
        datasets,
        errors,
        figures,
        jobs,
        layers,
        network_measures,
        networks,
        report,
        schema,
        spectral,
        stats,
        store,
        training,
    )
    from genpredict.aggregation import aggregate
    from genpredict.checkpoints import Checkpoint, open_checkpoints, register_format
    from genpredict.errors import CheckpointError, GenpredictError, GenpredictWarning, StoreError
    from genpredict.figures import (
        plot_evolution,
        plot_forest,
        plot_heatmap,
        plot_multiverse,
        plot_predictions,
        plot_ranking,
        plot_scatter,
        plot_spectrum,
    )
    from genpredict.layers import select_layers
    from genpredict.networks import build_network, list_networks, register_network
    from genpredict.registry import register_measure, register_network_measure
    from genpredict.report import write_report
    from genpredict.scoring import score
    from genpredict.spectral import (
        condition_number,
        dead_channels,
        effective_rank,
        evbmf,
        free_energy,
        frobenius_norm,
        hill_alpha,
        layer_spectrum,
        measure_weights,
        mp_spikes,
        participation_ratio,
        quality,
        signal_threshold,
        singular_values,
        spectral_entropy,
        spectral_norm,
        stable_rank,
        unfold,
    )
    from genpredict.stats import (
        Inference,
        apply_predictor,
        conditional_mutual_information,
        correlate,
        cross_validate,
        describe_families,
        detectable_correlation,
        difference,
        families_as_targets,
        fit_predictor,
        granulated_kendall,
        increment,
        load_predictor,
        look,
        multiverse,
        register_coefficient,
        robust_sign_error,
        save_predictor,
        summary,
        to_table,
        top_fraction,
        within_groups,
    )
    from genpredict.store import join_scores, open_families, open_scores, write_scores
    from genpredict.targets import with_targets
    from genpredict.training import (
        RMSGD,
        Watcher,
        export_archive,
        export_archives,
        sweep,
        train,
    )

_MODULES = {
    "checkpoints": ("Checkpoint", "open_checkpoints", "register_format"),
    "layers": ("select_layers",),
    "spectral": (
        "unfold",
        "dead_channels",
        "singular_values",
        "evbmf",
        "signal_threshold",
        "free_energy",
        "layer_spectrum",
        "stable_rank",
        "condition_number",
        "quality",
        "effective_rank",
        "spectral_entropy",
        "spectral_norm",
        "frobenius_norm",
        "participation_ratio",
        "hill_alpha",
        "mp_spikes",
        "measure_weights",
    ),
    "registry": ("register_measure", "register_network_measure"),
    "scoring": ("score",),
    "targets": ("with_targets",),
    "store": ("open_scores", "write_scores", "join_scores", "open_families"),
    "aggregation": ("aggregate",),
    "stats": (
        "correlate",
        "difference",
        "describe_families",
        "families_as_targets",
        "top_fraction",
        "within_groups",
        "increment",
        "detectable_correlation",
        "granulated_kendall",
        "robust_sign_error",
        "conditional_mutual_information",
        "multiverse",
        "cross_validate",
        "fit_predictor",
        "apply_predictor",
        "save_predictor",
        "load_predictor",
        "Inference",
        "register_coefficient",
        "look",
        "summary",
        "to_table",
    ),
    "figures": (
        "plot_scatter",
        "plot_ranking",
        "plot_forest",
        "plot_multiverse",
        "plot_predictions",
        "plot_heatmap",
        "plot_evolution",
        "plot_spectrum",
        "plot_curves",
    ),
    "report": ("write_report",),
    "networks": ("build_network", "list_networks", "register_network"),
    "errors": ("GenpredictError", "CheckpointError", "StoreError", "GenpredictWarning"),
    "training": (
        "RMSGD",
        "Watcher",
        "train",
        "sweep",
        "open_runs",
        "compare_runs",
        "export_archives",
        "export_archive",
    ),
}
#: Reachable as attributes, imported at their first use.
_SUBPACKAGES = (
    *("errors", "schema", "checkpoints", "layers", "spectral", "networks", "datasets", "store"),
    *("jobs", "stats", "figures", "report", "training", "network_measures", "integrations"),
)
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}

__all__ = [
    "Checkpoint",
    "open_checkpoints",
    "register_format",
    "select_layers",
    "unfold",
    "dead_channels",
    "singular_values",
    "evbmf",
    "signal_threshold",
    "free_energy",
    "layer_spectrum",
    "stable_rank",
    "condition_number",
    "quality",
    "effective_rank",
    "spectral_entropy",
    "spectral_norm",
    "frobenius_norm",
    "participation_ratio",
    "hill_alpha",
    "mp_spikes",
    "measure_weights",
    "register_measure",
    "register_network_measure",
    "score",
    "with_targets",
    "open_scores",
    "join_scores",
    "open_families",
    "write_scores",
    "aggregate",
    "correlate",
    "difference",
    "describe_families",
    "families_as_targets",
    "top_fraction",
    "within_groups",
    "increment",
    "detectable_correlation",
    "granulated_kendall",
    "robust_sign_error",
    "conditional_mutual_information",
    "multiverse",
    "cross_validate",
    "fit_predictor",
    "apply_predictor",
    "save_predictor",
    "load_predictor",
    "Inference",
    "register_coefficient",
    "look",
    "summary",
    "to_table",
    "plot_scatter",
    "plot_ranking",
    "plot_forest",
    "plot_multiverse",
    "plot_predictions",
    "plot_heatmap",
    "plot_evolution",
    "plot_spectrum",
    "plot_curves",
    "write_report",
    "build_network",
    "list_networks",
    "register_network",
    "RMSGD",
    "Watcher",
    "train",
    "sweep",
    "open_runs",
    "compare_runs",
    "export_archives",
    "export_archive",
    "GenpredictError",
    "CheckpointError",
    "StoreError",
    "GenpredictWarning",
]


def __getattr__(name: str) -> object:
    """Import a public name or a subpackage at its first use."""
    if name in _SUBPACKAGES:
        return import_module(f"genpredict.{name}")
    if name in _MODULE_OF:
        return getattr(import_module(f"genpredict.{_MODULE_OF[name]}"), name)
    raise AttributeError(f"module 'genpredict' has no attribute {name!r}")


def __dir__() -> list[str]:
    """List the public names and subpackages, loaded or not."""
    return [*__all__, *_SUBPACKAGES, "__version__"]
