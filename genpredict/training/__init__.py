"""Train networks whose runs `genpredict.score` reads: optimizers, recipes, loop, sweep."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from genpredict.training.choosing import Choice, best_runs, runs_of_best_settings
    from genpredict.training.comparison import Comparison, compare_runs, mean_intervals
    from genpredict.training.grid import Plan, read_plan, spell_out
    from genpredict.training.loop import train
    from genpredict.training.nats_archives import export_archive, export_archives
    from genpredict.training.optimizers import RMSGD, build_optimizer
    from genpredict.training.reading_runs import open_runs
    from genpredict.training.recipes import RECIPES
    from genpredict.training.run_curves import curve_averages, curve_bands
    from genpredict.training.run_folder import Run
    from genpredict.training.settings import Settings, complete
    from genpredict.training.sweeps import Outcome, sweep
    from genpredict.training.watching import Watcher

__all__ = [
    "RMSGD", "build_optimizer",
    "RECIPES", "Settings", "complete",
    "train", "Run", "Watcher",
    "Plan", "read_plan", "spell_out", "sweep", "Outcome", "Choice", "Comparison",
    "open_runs", "compare_runs", "curve_bands", "curve_averages", "mean_intervals",
    "best_runs", "runs_of_best_settings",
    "export_archives", "export_archive",
]  # fmt: skip

# Names come on demand: whoever wants the optimizer alone loads no more than it needs.
_MODULES = {
    "optimizers": ("RMSGD", "build_optimizer"),
    "recipes": ("RECIPES",),
    "settings": ("Settings", "complete"),
    "loop": ("train",),
    "run_folder": ("Run",),
    "watching": ("Watcher",),
    "grid": ("Plan", "read_plan", "spell_out"),
    "sweeps": ("sweep", "Outcome"),
    "reading_runs": ("open_runs",),
    "comparison": ("Comparison", "compare_runs", "mean_intervals"),
    "run_curves": ("curve_bands", "curve_averages"),
    "choosing": ("Choice", "best_runs", "runs_of_best_settings"),
    "nats_archives": ("export_archives", "export_archive"),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for."""
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
