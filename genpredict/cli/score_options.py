"""What `genpredict score` takes: which checkpoints, how they are measured, and by whom."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter
from cyclopts.validators import Number

from genpredict.cli.options import commas
from genpredict.errors import GenpredictError
from genpredict.estimators import Estimator, Precision
from genpredict.options import NUM_IMAGES, PATTERNS, Options

if TYPE_CHECKING:
    from collections.abc import Sequence

    from genpredict.checkpoints import CheckpointSources


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Taken:
    """Which checkpoints are taken of the sources, and what is known of them.

    Parameters
    ----------
    manifest
        CSV file with metadata and accuracies (percent), joined by its column `path`.
    nats_epochs
        Training epochs to take from NATS-Bench archives, e.g. 12,90; default all.
    nats_datasets
        Data sets to take from NATS-Bench archives, e.g. cifar10,cifar100; default all.
    indices
        Architectures to take from NATS-Bench archives: 0:32768, or 5, or 1,4,9; default all.
    network
        Of files that hold several networks, take the one of this name, be it a moving average.
    targets_from_file
        Take accuracies that a file says of itself (best_acc, …; `show` lists them) for targets.
    """

    manifest: Path | None = None
    nats_epochs: Annotated[tuple[int, ...] | None, commas(int)] = None
    nats_datasets: Annotated[tuple[str, ...] | None, commas(str)] = None
    indices: str | None = None
    network: str = ""
    targets_from_file: bool = False

    def open(self, sources: Sequence[Path]) -> CheckpointSources:
        """Open the sources."""
        from genpredict.checkpoints import open_checkpoints

        return open_checkpoints(list(sources), **asdict(self))


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Measured:
    """How checkpoints are measured.

    Parameters
    ----------
    measures
        Measures and groups of measures besides those of every score, separated by commas.
    data
        Data set for measures that need images, e.g. digits or cifar10; without --measures that
        need one, all of them are taken.
    data_folder
        Folder of its files.
    num_images
        Training images that they are taken on.
    initial
        File of the weights before training, for the distance from them; runs keep theirs.
    estimator
        EVBMF at the global minimum of its free energy, or as in the released code.
    device
        auto, cpu or cuda.
    dtype
        Arithmetic of the spectra.
    include
        Take only layers whose names match this pattern, e.g. 'layer3.*'; may be repeated.
    exclude
        Leave out layers whose names match this pattern; may be repeated.
    also
        Take tensors in whose names match this pattern, beside the layers; may be repeated.
    """

    measures: Annotated[tuple[str, ...], commas(str)] = ()
    data: str = ""
    data_folder: Path | None = None
    num_images: Annotated[int, Parameter(validator=Number(gte=1))] = NUM_IMAGES
    initial: Path | None = None
    estimator: Estimator = "global"
    device: str = "auto"
    dtype: Precision = "float64"
    include: Annotated[list[str] | None, Parameter(negative=())] = None
    exclude: Annotated[list[str] | None, Parameter(negative=())] = None
    also: Annotated[list[str] | None, Parameter(negative=())] = None

    def options(self, taken: Taken) -> Options:
        """Return what scoring takes."""
        choices: dict[str, Any] = asdict(self)
        for name in ("data_folder", "initial"):
            choices[name] = str(choices[name] or "")
        for name in PATTERNS:
            choices[name] = tuple(choices[name] or ())
        return Options.measuring(
            choices.pop("measures"),
            nats_epochs=taken.nats_epochs or (),
            nats_datasets=taken.nats_datasets or (),
            indices=taken.indices or "",
            **choices,
        )


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Work:
    """Who does the work, and what becomes of a store that is there.

    Parameters
    ----------
    workers
        Processes; default one a core where there are more than 256 MB to read, else one.
    shard
        Do one share of the work, i/n with i from 1 to n, such as 3/16: for job arrays. Any number
        of shares may run at once; the last one done completes the store.
    engine
        local processes, or tasks of a Dask cluster.
    scheduler
        Of dask: an address such as tcp://host:8786, or a scheduler file; default a cluster of
        --workers local processes.
    task_timeout
        Of dask: give up when nothing was done for so many seconds.
    chunk_size
        Checkpoints to a Zarr chunk of a new store.
    overwrite
        Delete an existing store first.
    retry_failed
        Try failed checkpoints again.
    """

    workers: Annotated[int | None, Parameter(validator=Number(gte=1))] = None
    shard: str | None = None
    engine: Literal["local", "dask"] = "local"
    scheduler: str | None = None
    task_timeout: Annotated[float, Parameter(validator=Number(gt=0))] = 3600.0
    chunk_size: Annotated[int, Parameter(validator=Number(gte=1))] = 256
    overwrite: bool = False
    retry_failed: bool = False

    def check(self) -> None:
        """Refuse options that exclude each other."""
        if self.shard is not None and self.overwrite:
            raise GenpredictError(
                "overwrite: a shard cannot start anew what other shards add to; delete the store "
                "and its .parts folder yourself, then start the shards without --overwrite"
            )
        if self.shard is not None and self.engine == "dask":
            raise GenpredictError("shard: a job array needs no Dask; take --shard or --engine dask")
        if self.scheduler is not None and self.engine != "dask":
            raise GenpredictError(f"scheduler: {self.scheduler} is of use with --engine dask alone")
