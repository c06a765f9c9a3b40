"""The folder of a run: settings, history, checkpoints, and what is needed to go on.

``runs/<id>/`` holds

- ``config.toml``: the settings, in full, and the version that wrote them;
- ``history.nc``: every number of every epoch, a Dataset (`history`);
- ``initial.safetensors``: the weights before training;
- ``checkpoints/epoch-012.safetensors``: weights, with everything known about them in the header;
- ``summary.json``: the last word; a run that has one is over;
- ``state.pt``: weights, optimizer, random states after the last full epoch; gone once it is over;
- ``progress.json``: how far it is, while it goes.

Every file is written under another name first, then put in its place once it is on the disk: a
process that is killed, or a machine that goes down, leaves the old file or the new one.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genpredict.atomic import remove_partials, replacement
from genpredict.checkpoints.finding.runs import (
    CHECKPOINT_FOLDER,
    HISTORY,
    INITIAL_FILE,
    METADATA_KEY,
    RUN_FILE,
)
from genpredict.checkpoints.formats.suffixes import SAFETENSORS
from genpredict.checkpoints.formats.torch_containers import read_values
from genpredict.errors import CheckpointError, GenpredictError
from genpredict.locking import locked
from genpredict.sidecars import check_regular, read_json
from genpredict.training.settings import Settings, read_settings

if TYPE_CHECKING:
    import xarray as xr
    from torch import Tensor

#: Bytes of a history at most: a thousand epochs of a network of a thousand layers take 0.3 GB.
_MOST_HISTORY = 1 << 30
SUMMARY, STATE = "summary.json", "state.pt"
PROGRESS = "progress.json"


@dataclass(frozen=True)
class Run:
    """A run on disk.

    Parameters
    ----------
    path : Path
        Its folder.
    """

    path: Path

    @property
    def id(self) -> str:
        """Name of the folder."""
        return self.path.name

    @property
    def settings(self) -> Settings:
        """What was asked for."""
        return read_settings(self.path / RUN_FILE)

    @property
    def is_over(self) -> bool:
        """Whether nothing is left to do: trained to the end, or diverged."""
        return (self.path / SUMMARY).exists()

    @property
    def summary(self) -> dict[str, Any]:
        """The last word: status, epochs, accuracies (percent), losses (nat), seconds.

        Raises
        ------
        GenpredictError
            When the run is not over, or the file is damaged.
        """
        path = self.path / SUMMARY
        try:
            summary = read_json(path)
        except FileNotFoundError as error:
            state = "the run is not over" if self.path.exists() else "no such run"
            raise GenpredictError(
                f"{self.path}: {state}; train with the same settings to go on"
            ) from error
        except (OSError, ValueError) as error:
            raise self._damaged(path, error) from error
        if not isinstance(summary, dict) or not {"status", "epochs"} <= summary.keys():
            raise self._damaged(path, "no summary of a run")
        return summary

    @property
    def history(self) -> xr.Dataset:
        """Every number of every epoch, over (epoch, layer, unfolding, factorization, p).

        Epoch 0 is the network before training. `learning_rate` is the rate that the steps of an
        epoch took; measures and accuracies are those after it.

        Raises
        ------
        GenpredictError
            When there is none yet, or the file is damaged.
        """
        import xarray as xr

        path = self.path / HISTORY
        if not path.exists():
            raise GenpredictError(f"{path}: no history; train with the same settings to get one")
        try:
            check_regular(path, most=_MOST_HISTORY)
            history = xr.load_dataset(path, engine="scipy")
        except Exception as error:  # scipy's reader raises whatever its parsing trips over
            raise self._damaged(path, error) from error
        if "epoch" not in history.dims:
            raise self._damaged(path, "no history of a run")
        return history

    @property
    def checkpoints(self) -> list[Path]:
        """The weights that were kept, first epoch first."""
        files = (self.path / CHECKPOINT_FOLDER).glob(f"epoch-*{SAFETENSORS}")
        return sorted(files, key=lambda path: (len(path.name), path.name))  # 999 before 1000

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep other processes from the run for the time of a block.

        Raises
        ------
        GenpredictError
            When the folder of runs cannot be written to, or another process is at this one.
        """
        with ExitStack() as stack:
            with _reporting(self.path):
                self.path.parent.mkdir(parents=True, exist_ok=True)
                stack.enter_context(locked(self._lock))
            yield

    @property
    def _lock(self) -> Path:
        return self.path.with_name(f"{self.id}.lock")

    def leave_no_lock(self) -> None:
        """Remove the lock that a process left which was killed once the run was over."""
        if self._lock.exists():
            with suppress(GenpredictError, OSError), locked(self._lock):
                pass

    def begin(self, settings: Settings) -> None:
        """Make the folder and write the settings down.

        Raises
        ------
        GenpredictError
            When it cannot be written to.
        """
        import tomli_w

        from genpredict import __version__

        for folder in (self.path, self.path / CHECKPOINT_FOLDER):
            if folder.is_symlink():  # what is written there may be somebody's own
                raise GenpredictError(f"{folder}: is a link, not the folder of a run; delete it")
        with _reporting(self.path):
            (self.path / CHECKPOINT_FOLDER).mkdir(parents=True, exist_ok=True)
            for folder in (self.path, self.path / CHECKPOINT_FOLDER):
                remove_partials(folder)
        head = f"# Written by genpredict {__version__}.\n"
        text = head + tomli_w.dumps(settings.to_table())
        self._write(RUN_FILE, lambda path: path.write_text(text, encoding="utf-8"))

    def write_history(self, history: xr.Dataset) -> None:
        """Write the numbers of all epochs so far."""
        self._write(HISTORY, lambda path: history.to_netcdf(path, engine="scipy"))

    def write_checkpoint(
        self, tensors: Mapping[str, Tensor], metadata: Mapping[str, str | float | int]
    ) -> None:
        """Write the weights of an epoch, named by ``metadata["epoch"]``."""
        from safetensors.torch import save

        header = {METADATA_KEY: json.dumps(dict(metadata))}
        name = f"{CHECKPOINT_FOLDER}/epoch-{metadata['epoch']:03d}{SAFETENSORS}"
        self._write(name, lambda path: path.write_bytes(save(_on_host(tensors), metadata=header)))

    def write_initial(self, tensors: Mapping[str, Tensor]) -> None:
        """Write the weights before training."""
        from safetensors.torch import save

        self._write(INITIAL_FILE, lambda path: path.write_bytes(save(_on_host(tensors))))

    def write_state(self, state: Mapping[str, Any]) -> None:
        """Write what is needed to go on."""
        import torch

        self._write(STATE, lambda path: torch.save(dict(state), path))

    def read_state(self) -> dict[str, Any] | None:
        """Read what is needed to go on; None where no epoch is done.

        Raises
        ------
        GenpredictError
            When the file is damaged.
        """
        path = self.path / STATE
        if not path.exists():
            return None
        try:
            state = read_values(path)
        except CheckpointError as error:
            raise self.bad_state(error.reason) from error
        if not isinstance(state, dict) or not {"done", "seconds"} <= state.keys():
            raise self.bad_state("no state of a run")
        if type(state["done"]) is not int or type(state["seconds"]) not in (int, float):
            raise self.bad_state("it does not say how far the run is")
        return state

    def bad_state(self, why: Exception | str) -> GenpredictError:
        """Return the error of a state that cannot be gone on from."""
        return GenpredictError(
            f"{self.path / STATE}: damaged ({_first_line(why)}); delete it to start the run anew"
        )

    def write_progress(self, progress: Mapping[str, float]) -> None:
        """Write how far the run is, for whoever looks on from another process."""
        text = json.dumps(dict(progress))
        self._write(PROGRESS, lambda path: path.write_text(text, encoding="utf-8"))

    def read_progress(self) -> dict[str, float]:
        """Read how far the run is; empty where nothing is known."""
        try:
            progress = read_json(self.path / PROGRESS)
        except (OSError, ValueError):  # not begun, over, or being written
            return {}
        return progress if isinstance(progress, dict) else {}

    def finish(self, summary: Mapping[str, Any]) -> None:
        """Write the last word, and drop what is only needed to go on."""
        text = json.dumps(dict(summary), indent=2) + "\n"
        self._write(SUMMARY, lambda path: path.write_text(text, encoding="utf-8"))
        for name in (STATE, PROGRESS):
            (self.path / name).unlink(missing_ok=True)

    def _write(self, name: str, write: Callable[[Path], object]) -> None:
        """Write a file under another name, then put it in its place."""
        path = self.path / name
        with _reporting(path), replacement(path) as partial:
            write(partial)
            with partial.open("rb") as file:
                os.fsync(file.fileno())

    def _damaged(self, path: Path, why: Exception | str) -> GenpredictError:
        return GenpredictError(
            f"{path}: damaged ({_first_line(why)}); delete the folder {self.path} and train with "
            f"the same settings to have the run anew"
        )


def _on_host(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return tensors as safetensors can write them."""
    return {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}


@contextmanager
def _reporting(path: Path) -> Iterator[None]:
    """Name the file when a disk is full or a folder read-only."""
    from safetensors import SafetensorError

    try:
        yield
    except (OSError, SafetensorError) as error:
        raise _not_written(path, error) from error
    except RuntimeError as error:  # what torch.save says when a disk is full
        raise _not_written(path, error) from error


def _first_line(error: Exception | str) -> str:
    """Return what an error says, or its kind where it says nothing."""
    return (str(error).splitlines() or [type(error).__name__])[0]


def _not_written(path: Path, error: Exception) -> GenpredictError:
    return GenpredictError(
        f"{path}: cannot be written: {error}; free some space or choose another folder, then train "
        f"with the same settings to go on"
    )
