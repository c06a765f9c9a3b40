"""`genpredict score …`: checkpoints in, a scores store out."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from genpredict.cli.exit_codes import ALL_DONE, FAILED, SOME_FAILED
from genpredict.cli.loading import loading
from genpredict.cli.options import Output
from genpredict.cli.score_options import Measured, Taken, Work
from genpredict.errors import GenpredictError

if TYPE_CHECKING:
    from genpredict.jobs.score_job import Outcome
    from genpredict.jobs.sharding import Shard, ShardOutcome

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


_ALL, _AS_USUAL, _HERE = Taken(), Measured(), Work()


def score(
    sources: Sources,
    /,
    *,
    output: Output,
    taken: Taken = _ALL,
    measured: Measured = _AS_USUAL,
    work: Work = _HERE,
) -> int:
    """Measure every layer of every checkpoint into a labelled store.

    Run the same command again to go on after an interruption: what is done is not done again.

    Parameters
    ----------
    sources
        Checkpoint files, folders, NATS-Bench archives.
    output
        The store, a folder that ends in .zarr.
    """
    with loading():
        from genpredict.cli import console
        from genpredict.jobs.sharding import parse_shard

    share = None if work.shard is None else parse_shard(work.shard)
    work.check()
    options = measured.options(taken)
    opened = taken.open(sources)
    console.warn(opened.warnings)
    if not any(item.is_whole_space for item in opened.items):  # files are chosen by their names
        options = replace(options, indices="")
    settings: dict[str, Any] = {"attrs": {"command": _command()}, "workers": work.workers}
    settings |= {"chunk_size": work.chunk_size, "retry_failed": work.retry_failed}
    with console.job_progress(len(opened.items)) as progress, console.warnings_as_lines():
        outcome = _job(work, share)(output, opened, options, progress=progress, **settings)
    return _report(output, outcome) if share is None else _report_shard(output, share, outcome)


def _job(work: Work, share: Shard | None) -> Callable[..., Any]:
    """Return what does the work: a share of it, tasks of a Dask cluster, or processes here."""
    if share is not None:
        from genpredict.jobs.sharding import score_shard

        return partial(score_shard, shard=share)
    if work.engine == "dask":
        from genpredict.jobs.dask_engine import score_on_dask

        dask: dict[str, Any] = {"scheduler": work.scheduler, "task_timeout": work.task_timeout}
        return partial(score_on_dask, overwrite=work.overwrite, **dask)
    from genpredict.jobs.score_job import score_into

    return partial(score_into, overwrite=work.overwrite)


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
