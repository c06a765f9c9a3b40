"""The command line: one subcommand a stage, each a thin call; heavy imports inside."""

from __future__ import annotations

import shlex
import sys
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import App, CycloptsError, Parameter
from cyclopts.validators import Number

from genpredict import __version__
from genpredict.cli_figures import figure
from genpredict.cli_options import Names, OptionalOutput, Output, commas
from genpredict.errors import GenpredictError

if TYPE_CHECKING:
    from genpredict.score_job import Outcome

ALL_DONE, FAILED, USAGE, SOME_FAILED, INTERRUPTED = 0, 1, 2, 3, 130

app = App(
    name="genpredict",
    version=__version__,
    help="Predict from trained weights alone how a network generalizes.\n\n"
    "A first run: `genpredict score checkpoints/ -o scores.zarr`, then "
    "`genpredict show scores.zarr`.",
    help_format="markdown",
    default_parameter=Parameter(negative=()),
    suppress_keyboard_interrupt=False,
)
app.command(figure)
#: The arguments of the command that is running, for the record in a store.
_arguments: ContextVar[tuple[str, ...]] = ContextVar("arguments", default=())

SCORE_EXAMPLES = """
Examples:

`genpredict score checkpoints/ --manifest checkpoints/manifest.csv -o scores.zarr`

`genpredict score NATS-sss-v1_0-50262-full --nats-epochs 12,90 --workers 8 -o nats.zarr`
"""
CORRELATE_EXAMPLES = """
Examples:

`genpredict correlate scores.zarr --targets test_accuracy --by network`

`genpredict correlate scores.zarr --where 'epoch == 90' --partial log_num_parameters -o out.csv`
"""
SHOW_EXAMPLES = """
Examples:

`genpredict show scores.zarr`

`genpredict show resnet20.th`

`genpredict show --layers scores.zarr -o layers.csv`
"""

Sources = Annotated[
    list[Path],
    Parameter(
        name="SOURCE", help="Checkpoint files, folders, NATS-Bench archives.",
        negative=(), consume_multiple=True,
    ),
]  # fmt: skip


@app.command(help_epilogue=SCORE_EXAMPLES)
def score(
    sources: Sources,
    /,
    *,
    output: Output,
    manifest: Path | None = None,
    nats_epochs: Annotated[tuple[int, ...] | None, commas(int)] = None,
    nats_datasets: Annotated[tuple[str, ...] | None, commas(str)] = None,
    indices: str | None = None,
    estimator: Literal["global", "reference"] = "global",
    device: str = "auto",
    dtype: Literal["float64", "float32"] = "float64",
    workers: Annotated[int | None, Parameter(validator=Number(gte=1))] = None,
    chunk_size: Annotated[int, Parameter(validator=Number(gte=1))] = 256,
    include: Annotated[list[str] | None, Parameter(negative=())] = None,
    exclude: Annotated[list[str] | None, Parameter(negative=())] = None,
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
    estimator
        EVBMF at the global minimum of its free energy, or as in the released code.
    device
        auto, cpu or cuda.
    dtype
        Arithmetic of the spectra.
    workers
        Processes; default one a core where there are more than 256 MB to read, else one.
    chunk_size
        Checkpoints to a Zarr chunk of a new store.
    include
        Take only layers whose names match this pattern, e.g. 'layer3.*'; may be repeated.
    exclude
        Leave out layers whose names match this pattern; may be repeated.
    overwrite
        Delete an existing store first.
    retry_failed
        Try failed checkpoints again.
    """
    from genpredict import console
    from genpredict.checkpoints import open_checkpoints
    from genpredict.score_job import score_into
    from genpredict.scoring import Options

    options = Options(
        estimator, dtype, device, include=tuple(include or ()), exclude=tuple(exclude or ())
    )
    found = open_checkpoints(
        sources,
        manifest=manifest,
        nats_epochs=nats_epochs,
        nats_datasets=nats_datasets,
        indices=indices,
    )
    console.warn(found.warnings)
    attrs = {
        "nats_epochs": sorted(nats_epochs or ()),
        "nats_datasets": sorted(nats_datasets or ()),
        "indices": (indices or "") if any(item.is_whole_space for item in found.items) else "",
        "command": shlex.join(["genpredict", *_arguments.get()]),
    }
    with console.job_progress(len(found.items)) as progress:
        outcome = score_into(
            output,
            found,
            options,
            attrs=attrs,
            workers=workers,
            chunk_size=chunk_size,
            overwrite=overwrite,
            retry_failed=retry_failed,
            progress=progress,
        )
    return _report(output, outcome)


def _report(output: Path, outcome: Outcome) -> int:
    """Say what a store holds after a run, and why rows failed; return the exit code."""
    from genpredict import console

    console.note(
        f"{output}: {outcome.done} done, {outcome.failed} failed, {outcome.pending} pending; "
        f"look at it with `genpredict show {output}`"
    )
    if not outcome.done + outcome.failed + outcome.pending:
        raise GenpredictError(
            f"{output}: nothing was scored; no row of these archives matches the --nats options"
        )
    if outcome.pending:
        console.warn([f"{outcome.pending} pending checkpoints are not among these sources"])
    if not outcome.failed:
        return ALL_DONE
    console.describe_failures(output, outcome.failures)
    return SOME_FAILED if outcome.done else FAILED


@app.command(help_epilogue=SHOW_EXAMPLES)
def show(
    path: Path,
    /,
    *,
    layers: bool = False,
    output: OptionalOutput = None,
    include: Annotated[list[str] | None, Parameter(negative=())] = None,
    exclude: Annotated[list[str] | None, Parameter(negative=())] = None,
) -> int:
    """Show what is in a scores store, or in a checkpoint file.

    Parameters
    ----------
    path
        A scores store, or a checkpoint file, folder or archive.
    layers
        Of a store: every measure of every layer. Of a file: which tensors are layers, which are
        not, and why.
    output
        Write the table to this CSV file.
    include
        For a file: patterns on layer names, as for score.
    exclude
        For a file: patterns on layer names, as for score.
    """
    from genpredict.show import show_checkpoints, show_store

    try:
        if (path / "zarr.json").exists():
            show_store(path, layers=layers, output=output)
        else:
            show_checkpoints(path, include=include or (), exclude=exclude or (), output=output)
    except OSError as error:
        raise GenpredictError(str(error)) from error
    return ALL_DONE


@app.command(help_epilogue=CORRELATE_EXAMPLES)
def correlate(
    path: Path,
    /,
    *,
    measures: Names | None = None,
    targets: Names | None = None,
    by: Names | None = None,
    where: str | None = None,
    partial: Names | None = None,
    min_n: int = 5,
    interval: Literal["auto", "bca", "percentile", "fisher"] = "auto",
    resamples: int = 2000,
    seed: int = 0,
    json: bool = False,
    output: OptionalOutput = None,
) -> int:
    """Correlate measures with targets: signed PLCC, ROCC and KROCC with intervals.

    Parameters
    ----------
    path
        A scores store.
    measures
        Separated by commas: Q, Q_adjusted, Q_low_rank_p2, stable_rank, …; default Q, Q_adjusted.
        The baselines (log number of parameters, layers, rank-0 and rank-1 counts) always follow.
    targets
        Separated by commas: test_accuracy, generalization_gap, …; default all there are.
    by
        Also within groups: coordinates separated by commas, such as network,dataset.
    where
        Checkpoints that count, e.g. 'epoch == 90'.
    partial
        Covariates to hold fixed, separated by commas: log_num_parameters, network, …
    min_n
        Smaller groups get no numbers.
    interval
        auto is bca up to 2,000 checkpoints, percentile above.
    resamples
        Of the bootstrap.
    seed
        Of resampling and permutation.
    json
        Print the table as JSON.
    output
        Write the table to this .csv, .nc or .zarr.
    """
    from genpredict.show_correlations import show_correlations, write_correlations
    from genpredict.stats import correlate as correlated
    from genpredict.stats import to_table
    from genpredict.store import open_scores

    found = correlated(
        open_scores(path),
        measures=measures,
        targets=targets,
        by=by,
        where=where,
        partial=partial,
        min_n=min_n,
        interval=interval,
        resamples=resamples,
        seed=seed,
    )
    if output is not None:
        write_correlations(found, output)
    if json:
        print(to_table(found).to_json(orient="records", indent=2))  # noqa: T201  the result itself
    else:
        show_correlations(found)
    return ALL_DONE


def main() -> None:
    """Run the command line and exit: 0 done, 1 failed, 2 usage, 3 some checkpoints failed."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run one command and return its exit code."""
    _arguments.set(tuple(arguments))
    try:
        code = app(arguments, exit_on_error=False, result_action="return_value")
    except CycloptsError:
        return USAGE
    except GenpredictError as error:
        from genpredict import console

        console.note(f"genpredict: error: {error}")
        return FAILED
    except KeyboardInterrupt:
        from genpredict import console

        console.note("genpredict: interrupted; the same command goes on where it stopped")
        return INTERRUPTED
    return code if isinstance(code, int) else ALL_DONE
