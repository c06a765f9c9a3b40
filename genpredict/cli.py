"""The command line: one subcommand a stage, each a thin call; heavy imports inside."""

from __future__ import annotations

import shlex
import sys
from contextvars import ContextVar
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, CycloptsError, Parameter
from cyclopts.validators import Number

from genpredict import __version__
from genpredict.errors import GenpredictError

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
#: The arguments of the command that is running, for the record in a store.
_arguments: ContextVar[tuple[str, ...]] = ContextVar("arguments", default=())

SCORE_EXAMPLES = """
Examples:

`genpredict score checkpoints/ --manifest checkpoints/manifest.csv -o scores.zarr`

`genpredict score NATS-sss-v1_0-50262-full --nats-epochs 12,90 --workers 8 -o nats.zarr`
"""
SHOW_EXAMPLES = """
Examples:

`genpredict show scores.zarr`

`genpredict show resnet20.th`

`genpredict show --layers scores.zarr -o layers.csv`
"""

SCATTER_EXAMPLES = """
Examples:

`genpredict figure scatter scores.zarr --hue network -o scatter.png`

`genpredict figure scatter scores.zarr --measures Q,Q_adjusted --targets test_accuracy -o two.pdf`
"""


def _commas(kind: type) -> object:
    """Return a converter for values separated by commas, each of one kind."""

    def convert(_: object, tokens: object) -> tuple[object, ...]:
        parts = [part for token in tokens for part in token.value.split(",")]  # type: ignore[attr-defined]
        try:
            return tuple(kind(part) for part in parts)
        except ValueError:
            raise ValueError(f"{','.join(parts)!r} is no list of {kind.__name__}") from None

    return convert


Sources = Annotated[
    list[Path],
    Parameter(
        name="SOURCE", help="Checkpoint files, folders, NATS-Bench archives.",
        negative=(), consume_multiple=True,
    ),
]  # fmt: skip
Output = Annotated[Path, Parameter(name=["--output", "-o"])]


@app.command(help_epilogue=SCORE_EXAMPLES)
def score(
    sources: Sources,
    /,
    *,
    output: Output,
    manifest: Path | None = None,
    nats_epochs: Annotated[
        tuple[int, ...] | None, Parameter(converter=_commas(int), n_tokens=1)
    ] = None,
    nats_datasets: Annotated[
        tuple[str, ...] | None, Parameter(converter=_commas(str), n_tokens=1)
    ] = None,
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

    Examples
    --------
    `genpredict score checkpoints/ --manifest checkpoints/manifest.csv -o scores.zarr`

    `genpredict score NATS-sss-v1_0-50262-full --nats-epochs 12,90 --workers 8 -o nats.zarr`

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
        "indices": indices or "" if any(item.is_whole_space for item in found.items) else "",
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
    output: Annotated[Path | None, Parameter(name=["--output", "-o"])] = None,
    include: Annotated[list[str] | None, Parameter(negative=())] = None,
    exclude: Annotated[list[str] | None, Parameter(negative=())] = None,
) -> int:
    """Show what is in a scores store, or in a checkpoint file.

    Examples
    --------
    `genpredict show scores.zarr`

    `genpredict show --layers resnet20.th`

    `genpredict show --layers scores.zarr -o layers.csv`

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


figure = App(name="figure", help="Draw figures from a scores store.", help_format="markdown")
app.command(figure)


@figure.command(help_epilogue=SCATTER_EXAMPLES)
def scatter(
    path: Path,
    /,
    *,
    output: Output,
    measures: Annotated[tuple[str, ...], Parameter(converter=_commas(str), n_tokens=1)] = ("Q",),
    targets: Annotated[tuple[str, ...], Parameter(converter=_commas(str), n_tokens=1)] = (
        "test_accuracy",
    ),
    hue: str | None = None,
    style: str | None = None,
    columns: str | None = None,
    factorization: Literal["raw", "low_rank"] = "low_rank",
    p: Literal[1, 2] = 2,
) -> int:
    """Draw measures against targets, one mark a checkpoint.

    Parameters
    ----------
    path
        A scores store.
    output
        The figure: .png (300 dpi), .pdf or .svg.
    measures
        One or more, separated by commas: Q, Q_adjusted, log_num_parameters, num_rank_one, …
    targets
        One or more, separated by commas: test_accuracy, generalization_gap, …
    hue
        Coordinate that colours the marks: network, optimizer, label_noise, …
    style
        Coordinate that shapes the marks.
    columns
        Coordinate with a panel for each of its values, such as epoch.
    factorization
        Of measures that have one.
    p
        Power of measures that have one.
    """
    import matplotlib as mpl

    mpl.use("Agg")
    from genpredict import console
    from genpredict.figures import plot_scatter, save
    from genpredict.store import open_scores

    scores = open_scores(path)
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        drawn = plot_scatter(
            scores,
            measures=measures,
            targets=targets,
            hue=hue,
            style=style,
            columns=columns,
            factorization=factorization,
            p=p,
        )
        console.note(f"drawn: {save(drawn, output)}")
    except (ValueError, OSError) as error:
        raise GenpredictError(str(error)) from error
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
