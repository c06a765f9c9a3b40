"""`genpredict merge …` and `genpredict cache …`: stores and archives into others of their kind."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter
from cyclopts.validators import Number

from genpredict.cli.exit_codes import ALL_DONE, FAILED, SOME_FAILED
from genpredict.cli.options import Output, commas
from genpredict.cli.score import ARGUMENTS, Sources

MERGE_EXAMPLES = """
Example: `genpredict merge monday.zarr tuesday.zarr -o week.zarr`
"""
CACHE_EXAMPLES = """
Example: `genpredict cache NATS-sss-v1_0-50262-full --nats-epochs 12,90 -o cache`, then
`genpredict score cache -o nats.zarr`
"""

Stores = Annotated[
    list[Path],
    Parameter(name="STORE", help="Scores stores.", negative=(), consume_multiple=True),
]


def merge(
    stores: Stores,
    /,
    *,
    output: Output,
    prefer: Literal["error", "first", "last"] = "error",
    overwrite: bool = False,
) -> int:
    """Join scores stores that were made apart into a new one.

    Estimator, dtype, layer patterns and tolerances must agree. A checkpoint in several stores is
    taken once: done before failed before pending. Stores of the same checkpoints with different
    measures give one with all of them; a measure that some checkpoint has in none is left out.

    Parameters
    ----------
    stores
        Scores stores; their order is that of the rows.
    output
        The new store, a folder that ends in .zarr. It is there only when it is complete.
    prefer
        Which store counts where a checkpoint was measured twice with different results.
    overwrite
        Replace an existing store.
    """
    from genpredict.cli import console
    from genpredict.jobs.merge import merge_stores

    command = shlex.join(["genpredict", *ARGUMENTS.get()])
    merged = merge_stores(
        stores, output, prefer=prefer, overwrite=overwrite, attrs={"command": command}
    )
    console.note(
        f"{output}: {merged.done} done, {merged.failed} failed, {merged.pending} pending; "
        f"{merged.repeated} were in several stores"
    )
    if merged.left_out:
        console.warn([f"left out, for not every checkpoint has them: {', '.join(merged.left_out)}"])
    if not merged.failed:
        return ALL_DONE
    return SOME_FAILED if merged.done else FAILED


def cache(
    sources: Sources,
    /,
    *,
    output: Output,
    nats_epochs: Annotated[tuple[int, ...] | None, commas(int)] = None,
    nats_datasets: Annotated[tuple[str, ...] | None, commas(str)] = None,
    indices: str | None = None,
    workers: Annotated[int | None, Parameter(validator=Number(gte=1))] = None,
) -> int:
    """Unpack NATS-Bench archives once, into a folder that is then scored at once.

    Run the same command again to go on after an interruption.

    Parameters
    ----------
    sources
        NATS-Bench archives, or folders that hold some.
    output
        The folder: one .safetensors file an architecture, about as large as its archive.
    nats_epochs
        Training epochs to take, e.g. 12,90; default all.
    nats_datasets
        Data sets to take, e.g. cifar10,cifar100; default all.
    indices
        Architectures to take: 0:32768, or 5, or 1,4,9; default all.
    workers
        Processes; default one a core.
    """
    from genpredict.checkpoints import open_checkpoints
    from genpredict.cli import console
    from genpredict.jobs.cache import cache_archives

    found = open_checkpoints(
        sources, nats_epochs=nats_epochs, nats_datasets=nats_datasets, indices=indices
    )
    console.warn(found.warnings)
    selection = f"{sorted(nats_epochs or ())} {sorted(nats_datasets or ())}"
    with console.job_progress(len(found.items)) as progress:
        outcome = cache_archives(
            found, output, selection=selection, workers=workers, progress=progress
        )
    if outcome.passed_over:
        console.warn([f"{outcome.passed_over} files are no archives, passed over"])
    console.note(
        f"{output}: {outcome.networks} networks of {outcome.files} architectures cached, "
        f"{outcome.kept} archives were there already, {len(outcome.failures)} failed; score them "
        f"with `genpredict score {output} -o scores.zarr`"
    )
    for name, reason in outcome.failures:
        console.note(f"failed: {name}: {reason}")
    if not outcome.failures:
        return ALL_DONE
    return SOME_FAILED if outcome.files + outcome.kept else FAILED
