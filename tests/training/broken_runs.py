"""Break runs off, and compare what they come to."""

from __future__ import annotations

from collections.abc import Mapping

import xarray as xr

from genpredict.training import Run, Watcher


class Interrupter(Watcher):
    """Interrupts the run after some epochs, as Ctrl-C would."""

    def __init__(self, epoch: int, step: int) -> None:
        self.epoch, self.step, self.now = epoch, step, 0

    def started(self, run: Run, *, epochs: int, done: int) -> None:
        """Remember where it starts."""
        self.now = done

    def stepped(self, *, step: int, steps: int) -> None:
        """Interrupt in the middle of an epoch."""
        if self.now == self.epoch and step == self.step:
            raise KeyboardInterrupt

    def epoch_done(self, epoch: int, numbers: Mapping[str, float]) -> None:
        """Count."""
        self.now = epoch


def assert_same_result(one: Run, other: Run) -> None:
    """Weights and history, bit for bit; wall-clock times apart."""
    assert [path.name for path in one.checkpoints] == [path.name for path in other.checkpoints]
    for here, there in zip(one.checkpoints, other.checkpoints, strict=True):
        assert here.read_bytes() == there.read_bytes()
    xr.testing.assert_identical(
        one.history.drop_vars("seconds"), other.history.drop_vars("seconds")
    )
    times = {"seconds"}
    assert {k: v for k, v in one.summary.items() if k not in times} == {
        k: v for k, v in other.summary.items() if k not in times
    }
