"""Train a network, epoch by epoch, so that any epoch can be the last of one process."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from genpredict.checkpoints.finding.runs import HISTORY
from genpredict.errors import GenpredictError
from genpredict.layers import Layer, select_layers
from genpredict.spectral import LayerMeasures, measure_weights
from genpredict.training.epochs import EpochMeans
from genpredict.training.history import epoch_dataset, join_epochs
from genpredict.training.metadata import checkpoint_metadata
from genpredict.training.preparing import prepare_run
from genpredict.training.run_folder import Run
from genpredict.training.run_folders import run_of
from genpredict.training.schedules import rate_factor
from genpredict.training.settings import Settings, complete
from genpredict.training.thinning import describe, plan_evaluations
from genpredict.training.training_state import TrainingState
from genpredict.training.watching import Watcher, watching

if TYPE_CHECKING:
    import xarray as xr

FINISHED, DIVERGED = "finished", "diverged"


def train(
    output: str | Path = "runs",
    *,
    watcher: Watcher | None = None,
    progress: bool | None = None,
    **given: Any,
) -> Run:
    """Train a network, or go on with a run that was broken off.

    Parameters
    ----------
    output : path
        The folder of all runs; this one gets ``output/<id>``.
    watcher : Watcher, optional
        Told of every step and epoch.
    progress : bool, optional
        Without a watcher, show a bar; by default in Jupyter and at an interactive prompt.
    **given
        Fields of `Settings`: ``network``, ``dataset``, ``optimizer``, ``epochs``, ``seed``,
        ``hyperparameters``, …; the rest is filled up by ``recipe``.

    Returns
    -------
    Run
        Its folder: history, summary, checkpoints. A run of these settings that is over is
        returned as it is.

    Raises
    ------
    GenpredictError
        For settings that make no sense, a data set that is not there, a folder that cannot be
        written to, or a run that another process is at.

    Notes
    -----
    On the CPU, with one number of threads, a run that was broken off and taken up again ends with
    the same bits as one that was not; wall-clock times apart.

    Examples
    --------
    >>> run = train("runs", optimizer="adam", epochs=5)  # doctest: +SKIP
    >>> run.history["test_accuracy"]  # doctest: +SKIP
    """
    settings = complete(given)
    with watching(watcher, progress) as looking_on:
        return train_settings(settings, Path(output), watcher=looking_on)


def train_settings(settings: Settings, output: Path, *, watcher: Watcher) -> Run:
    """Train by settings that are complete; see `train`."""
    run = run_of(settings, output)
    if run.is_over:
        run.leave_no_lock()
        return run
    with _threads(settings.threads):
        materials = prepare_run(settings)
        with run.held(), materials.randomness():
            if not run.is_over:  # another process may have ended it since
                run.begin(settings)
                _Training(settings, run, materials, watcher).go()
    return run


@dataclass
class Costs:
    """Seconds of this process."""

    training: float = 0.0
    between: float = 0.0
    whole: float = 0.0

    def add(self, seconds: float, *, is_whole: bool) -> None:
        """Add those of an evaluation and of measuring layers."""
        if is_whole:
            self.whole += seconds
        else:
            self.between += seconds

    def __str__(self) -> str:
        """Say what share of the time of training evaluation has taken."""
        return (
            f"evaluating and measuring took {100 * self.between / self.training:.0f} % of the "
            f"{self.training:.1f} s of training; evaluating the weights that are kept "
            f"{self.whole:.1f} s more"
        )


#: What putting back a state of another network or optimizer raises.
_MISFITS = (KeyError, TypeError, ValueError, RuntimeError, AttributeError, IndexError)


class _Training:
    """A run in memory: what `materials` do not know of its course."""

    def __init__(
        self, settings: Settings, run: Run, materials: TrainingState, watcher: Watcher
    ) -> None:
        self.settings, self.run, self.materials, self.watcher = settings, run, materials, watcher
        self.done = 0
        self.seconds = 0.0
        self.is_lost = False
        self.history: xr.Dataset | None = None
        self.last: dict[str, float] = {}
        self.shared: tuple[list[Layer], LayerMeasures] | None = None
        self.plan = plan_evaluations(settings, materials)
        self.parts = materials.part_sizes()
        self.costs = Costs()

    def go(self) -> None:
        """Train from where the run stands to its end."""
        self._resume()
        self.watcher.started(self.run, epochs=self.settings.epochs, done=self.done)
        thinning = describe(
            self.plan, self.parts, epochs=self.settings.epochs, unit=self.materials.unit
        )
        if thinning:
            self.watcher.noted(thinning)
        if self.history is None:
            self.run.write_initial(self.materials.network.state_dict())
            self._record(None, 0.0, self._layer_rates(), is_whole=False)
        while not self._is_last():
            self._epoch()
            if self.is_lost:
                self._end(DIVERGED)
                return
            self.run.write_state(self._state())
        self._end(FINISHED)

    def _epoch(self) -> None:
        """Train for one epoch, measure, write down."""
        materials = self.materials
        materials.multiply_rates(rate_factor(self.settings, self.done))
        rates = self._layer_rates()
        start = time.perf_counter()
        means = materials.train_epoch(self.settings.batch_size, self.watcher)
        self.is_lost = not (math.isfinite(means.loss) and materials.has_finite_weights())
        self.shared = None if self.is_lost else materials.epoch_step()
        seconds = time.perf_counter() - start
        self.done += 1
        self.seconds += seconds
        is_kept = self._is_last() or self.done in self.settings.checkpoint_epochs
        self.costs.training += seconds
        self._record(means, seconds, rates, is_whole=is_kept or self.is_lost)
        if is_kept and not self.is_lost:
            self._keep_weights()

    def _is_last(self) -> bool:
        budget = self.settings.budget_seconds
        spent = budget is not None and self.seconds >= budget
        return self.done >= self.settings.epochs or spent

    def _record(
        self,
        means: EpochMeans | None,
        seconds: float,
        rates: list[float],
        *,
        is_whole: bool,
    ) -> None:
        """Evaluate, where it is time to, and measure the network; write the history."""
        start = time.perf_counter()
        self.last = {}
        if is_whole or self.plan.is_due(self.done):
            counts = None if is_whole else self.plan.counts
            self.last = self.materials.evaluate(counts)
            sizes = counts or self.parts
            self.last |= {f"{part}_count": float(size) for part, size in sizes.items()}
        layers, measures = self._measured()
        self.costs.add(time.perf_counter() - start, is_whole=is_whole)
        if means is not None:
            self.last |= {"running_accuracy": means.accuracy, "running_loss": means.loss}
            self.last |= {"seconds": seconds, **means.more}
        latest = epoch_dataset(
            self.done, self.last, layers, measures, rates, self.materials.variables
        )
        self.history = join_epochs(self.history, latest)
        self.run.write_history(self.history)
        if means is not None:
            self.watcher.epoch_done(self.done, self.last)

    def _measured(self) -> tuple[list[Layer], LayerMeasures]:
        """Measure all layers, unless the optimizer has just done so."""
        layers, _ = select_layers(self.materials.network.state_dict())
        if self.shared is not None:
            measured, measures = self.shared
            if [layer.name for layer in measured] == [layer.name for layer in layers]:
                return layers, measures
        return layers, measure_weights([layer.weight for layer in layers])

    def _layer_rates(self) -> list[float]:
        """Return the learning rate of each layer."""
        layers, _ = select_layers(self.materials.network.state_dict())
        rates = self.materials.rates()
        return [rates[layer.name.partition("[")[0]] for layer in layers]

    def _keep_weights(self) -> None:
        """Write the weights as a checkpoint."""
        num_train = self.materials.num_train
        metadata = checkpoint_metadata(self.settings, self.run.id, self.done, num_train, self.last)
        self.run.write_checkpoint(self.materials.network.state_dict(), metadata)

    def _state(self) -> dict[str, Any]:
        return {"done": self.done, "seconds": self.seconds, **self.materials.state()}

    def _resume(self) -> None:
        """Take up a run that was broken off, at the end of its last full epoch."""
        state = self.run.read_state()
        if state is None:
            return
        self.done, self.seconds = state.pop("done"), state.pop("seconds")
        try:
            self.materials.load_state(state)
        except _MISFITS as error:  # of torch, and of optimizers of one's own
            raise self.run.bad_state(error) from error
        self.history = _history_until(self.done, self.run)
        latest = self.history.isel(epoch=-1)
        self.last = {str(name): float(latest[name]) for name in latest if latest[name].ndim == 0}

    def _end(self, status: str) -> None:
        """Write the last word."""
        summary: dict[str, Any] = {"status": status, "epochs": self.done, "seconds": self.seconds}
        summary |= {name: value for name, value in self.last.items() if math.isfinite(value)}
        summary["seconds"] = self.seconds
        self.run.finish(summary)
        if self.plan.counts is not None and self.costs.training:
            self.watcher.noted(str(self.costs))
        self.watcher.ended(self.run)


def _history_until(done: int, run: Run) -> xr.Dataset:
    """Read a run's history up to the epoch that it goes on after."""
    path = run.path / HISTORY
    kept = run.history if path.exists() else None
    if kept is None or done not in kept["epoch"].values:
        raise GenpredictError(
            f"{path}: lacks epoch {done}, after which the run goes on; delete the folder "
            f"{run.path} and train with the same settings to have the run anew"
        )
    return kept.isel(epoch=kept["epoch"].values <= done)


@contextmanager
def _threads(count: int | None) -> Iterator[None]:
    """Compute on that many CPU threads for the time of a block."""
    before = torch.get_num_threads()
    if count is not None:
        torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
