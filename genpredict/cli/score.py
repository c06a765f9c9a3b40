"""`genpredict score …`: checkpoints in, a scores store out."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter
from cyclopts.validators import Number

from genpredict.cli.options import Output, commas
from genpredict.errors import GenpredictError
from genpredict.estimators import Estimator, Precision
from genpredict.options import NUM_IMAGES

if TYPE_CHECKING:
    from genpredict.jobs.score_job import Outcome
    from genpredict.jobs.sharding import Shard, ShardOutcome

from genpredict.cli.exit_codes import ALL_DONE, FAILED, SOME_FAILED

#: The arguments of the command that is running, for the record in a store.
ARGUMENTS: ContextVar[tuple[str, ...]] = ContextVar("arguments", default=())

SCORE_EXAMPLES = """
Examples:

`genpredict score checkpoints/ --manifest checkpoints/manifest.csv -o scores.zarr`

`genpredict score NATS-sss-v1_0-50262-full --nats-epochs 12,90 --workers 8 -o nats.zarr`

`genpredict score NATS-sss-v1_0-50262-full --shard $SLURM_ARRAY_TASK_ID/64 -o nats.zarr`

`genpredict score NATS-sss-v1_0-50262-full --engine dask --scheduler s.json -o nats.zarr`
"""
Sources = Annotated[
    list[Path],
    Parameter(
        name="SOURCE", help="Checkpoint files, folders, NATS-Bench archives.",
        negative=(), consume_multiple=True,
    ),
]  # fmt: skip


def score(
    sources: Sources,
    /,
    *,
    output: Output,
    manifest: Path | None = None,
    nats_epochs: Annotated[tuple[int, ...] | None, commas(int)] = None,
    nats_datasets: Annotated[tuple[str, ...] | None, commas(str)] = None,
    indices: str | None = None,
    measures: Annotated[tuple[str, ...], commas(str)] = (),
    data: str = "",
    data_folder: Path | None = None,
    num_images: Annotated[int, Parameter(validator=Number(gte=1))] = NUM_IMAGES,
    initial: Path | None = None,
    estimator: Estimator = "global",
    device: str = "auto",
    dtype: Precision = "float64",
    workers: Annotated[int | None, Parameter(validator=Number(gte=1))] = None,
    shard: str | None = None,
    engine: Literal["local", "dask"] = "local",
    scheduler: str | None = None,
    task_timeout: Annotated[float, Parameter(validator=Number(gt=0))] = 3600.0,
    chunk_size: Annotated[int, Parameter(validator=Number(gte=1))] = 256,
    include: Annotated[list[str] | None, Parameter(negative=())] = None,
    exclude: Annotated[list[str] | None, Parameter(negative=())] = None,
    also: Annotated[list[str] | None, Parameter(negative=())] = None,
    network: str = "",
    targets_from_file: bool = False,
    overwrite: bool = False,
    retry_failed: bool = False,
) -> int:
    """Measure every layer of every checkpoint into a labelled store.

    Run the same command again to go on after an interruption: what is done is not done again.

    Parameters
    ----------
    sources
        Checkpoint files, folders, NATS-Bench archives.
    output
        The store, a folder that ends in .zarr.
    manifest
        CSV file with metadata and accuracies (percent), joined by its column `path`.
    nats_epochs
        Training epochs to take from NATS-Bench archives, e.g. 12,90; default all.
    nats_datasets
        Data sets to take from NATS-Bench archives, e.g. cifar10,cifar100; default all.
    indices
        Architectures to take from NATS-Bench archives: 0:32768, or 5, or 1,4,9; default all.
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
    include
        Take only layers whose names match this pattern, e.g. 'layer3.*'; may be repeated.
    exclude
        Leave out layers whose names match this pattern; may be repeated.
    also
        Take tensors in whose names match this pattern, beside the layers; may be repeated.
    network
        Of files that hold several networks, take the one of this name, be it a moving average.
    targets_from_file
        Take accuracies that a file says of itself (best_acc, …; `show` lists them) for targets.
    overwrite
        Delete an existing store first.
    retry_failed
        Try failed checkpoints again.
    """
    from genpredict.checkpoints import open_checkpoints
    from genpredict.cli import console
    from genpredict.jobs.sharding import parse_shard
    from genpredict.options import Options

    share = None if shard is None else parse_shard(shard)
    _check_together(shard, overwrite, engine, scheduler)
    options = Options.measuring(
        measures, estimator=estimator, dtype=dtype, device=device,
        data=data, data_folder=str(data_folder or ""), num_images=num_images,
        initial=str(initial or ""),
        include=tuple(include or ()), exclude=tuple(exclude or ()), also=tuple(also or ()),
        nats_epochs=nats_epochs or (), nats_datasets=nats_datasets or (), indices=indices or "",
    )  # fmt: skip
    found = open_checkpoints(
        sources,
        manifest=manifest,
        nats_epochs=nats_epochs,
        nats_datasets=nats_datasets,
        indices=indices,
        network=network,
        targets_from_file=targets_from_file,
    )
    console.warn(found.warnings)
    if not any(item.is_whole_space for item in found.items):  # files are chosen by their names
        options = replace(options, indices="")
    settings: dict[str, Any] = {"attrs": {"command": _command()}, "workers": workers}
    settings |= {"chunk_size": chunk_size, "retry_failed": retry_failed}
    job = _job(share, engine, overwrite, scheduler, task_timeout)
    with console.job_progress(len(found.items)) as progress, console.warnings_as_lines():
        outcome = job(output, found, options, progress=progress, **settings)
    return _report(output, outcome) if share is None else _report_shard(output, share, outcome)


def _job(
    share: Shard | None, engine: str, overwrite: bool, scheduler: str | None, task_timeout: float
) -> Callable[..., Any]:
    """Return what does the work: a share of it, tasks of a Dask cluster, or processes here."""
    if share is not None:
        from genpredict.jobs.sharding import score_shard

        return partial(score_shard, shard=share)
    if engine == "dask":
        from genpredict.jobs.dask_engine import score_on_dask

        dask: dict[str, Any] = {"scheduler": scheduler, "task_timeout": task_timeout}
        return partial(score_on_dask, overwrite=overwrite, **dask)
    from genpredict.jobs.score_job import score_into

    return partial(score_into, overwrite=overwrite)


def _check_together(shard: str | None, overwrite: bool, engine: str, scheduler: str | None) -> None:
    """Refuse options that exclude each other."""
    if shard is not None and overwrite:
        raise GenpredictError(
            "overwrite: a shard cannot start anew what other shards add to; delete the store and "
            "its .parts folder yourself, then start the shards without --overwrite"
        )
    if shard is not None and engine == "dask":
        raise GenpredictError("shard: a job array needs no Dask; take --shard or --engine dask")
    if scheduler is not None and engine != "dask":
        raise GenpredictError(f"scheduler: {scheduler} is of use with --engine dask alone")


def _command() -> str:
    """Return the command as a store records it: the same for every shard."""
    arguments = list(ARGUMENTS.get())
    if "--shard" in arguments:
        at = arguments.index("--shard")
        del arguments[at : at + 2]
    return shlex.join(["genpredict", *(a for a in arguments if not a.startswith("--shard="))])


def _report_shard(output: Path, shard: Shard, part: ShardOutcome) -> int:
    """Say what a shard has done, and what is left for others; return the exit code."""
    from genpredict.cli import console

    if part.store is not None:
        console.note(f"{output}: {shard} was the last one")
        return _report(output, part.store)
    left = (
        f"{part.left} units of work of other shards are still to be done; {output} will be there "
        f"when the last shard ends (or run the same command without --shard)"
        if part.left
        else "nothing is left for other shards to do"
    )
    console.note(
        f"{output}: {shard} is complete, {part.done} done and {len(part.failures)} failed in "
        f"this run; {left}"
    )
    if not part.failures:
        return ALL_DONE
    console.describe_failures(output, part.failures)
    return SOME_FAILED


def _report(output: Path, outcome: Outcome) -> int:
    """Say what a store holds after a run, and why rows failed; return the exit code."""
    from genpredict.cli import console

    console.note(
        f"{output}: {outcome.done} done, {outcome.failed} failed, {outcome.pending} pending; "
        f"look at it with `genpredict show {output}`"
    )
    if not outcome.done + outcome.failed + outcome.pending:
        raise GenpredictError(
            f"{output}: nothing was scored; no row of these archives matches the --nats options"
        )
    console.warn(outcome.warnings)
    if outcome.pending:
        console.warn([f"{outcome.pending} pending checkpoints are not among these sources"])
    if not outcome.failed:
        return ALL_DONE
    console.describe_failures(output, outcome.failures)
    return SOME_FAILED if outcome.done else FAILED
