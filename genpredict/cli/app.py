"""The command line: one subcommand a stage, each a thin call; heavy imports inside."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, CycloptsError, Parameter

from genpredict import __version__
from genpredict.cli.figures import figure
from genpredict.cli.options import Names, OptionalOutput
from genpredict.cli.report import REPORT_EXAMPLES, report
from genpredict.cli.score import ALL_DONE, ARGUMENTS, FAILED, SCORE_EXAMPLES, score
from genpredict.cli.stores import CACHE_EXAMPLES, MERGE_EXAMPLES, cache, merge
from genpredict.cli.training import SWEEP_EXAMPLES, TRAIN_EXAMPLES, sweep, train
from genpredict.errors import GenpredictError

USAGE, INTERRUPTED = 2, 130

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
app.command(report, help_epilogue=REPORT_EXAMPLES)
app.command(score, help_epilogue=SCORE_EXAMPLES)
app.command(merge, help_epilogue=MERGE_EXAMPLES)
app.command(cache, help_epilogue=CACHE_EXAMPLES)
app.command(train, help_epilogue=TRAIN_EXAMPLES)
app.command(sweep, help_epilogue=SWEEP_EXAMPLES)

CORRELATE_EXAMPLES = """
Examples:

`genpredict correlate scores.zarr --targets test_accuracy --by network`

`genpredict correlate scores.zarr --where 'epoch == 90' --partial log_num_parameters -o out.csv`

`genpredict correlate nats.zarr --by dataset --family group -o by_dataset.csv`
"""
SHOW_EXAMPLES = """
Examples:

`genpredict show scores.zarr`

`genpredict show resnet20.th`

`genpredict show --layers scores.zarr -o layers.csv`
"""


@app.command(help_epilogue=SHOW_EXAMPLES)
def show(
    path: Path,
    /,
    *,
    layers: bool = False,
    output: OptionalOutput = None,
    include: Annotated[list[str] | None, Parameter(negative=())] = None,
    exclude: Annotated[list[str] | None, Parameter(negative=())] = None,
    overwrite: bool = False,
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
    overwrite
        Replace a CSV file that this command has made.
    """
    from genpredict.cli.show import show_checkpoints, show_store
    from genpredict.outputs import check_output

    if output is not None:
        check_output(output, overwrite=overwrite, inputs=(path,))
    try:
        if (path / "zarr.json").exists():
            show_store(path, layers=layers, output=output, overwrite=overwrite)
        else:
            patterns = {"include": include or (), "exclude": exclude or ()}
            show_checkpoints(path, **patterns, output=output, overwrite=overwrite)
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
    family: Literal["table", "group"] = "table",
    seed: int = 0,
    json: bool = False,
    output: OptionalOutput = None,
    overwrite: bool = False,
) -> int:
    """Correlate measures with targets: signed PLCC, ROCC and KROCC with intervals.

    Parameters
    ----------
    path
        A scores store.
    measures
        One or more, separated by commas: Q, Q_adjusted, Q_low_rank_p2, stable_rank, …; default Q
        and low-rank Q_adjusted. The baselines always follow: log number of parameters, numbers of
        layers and of entries of rank 0 and 1.
    targets
        One or more, separated by commas: test_accuracy, generalization_gap, …; default all there
        are.
    by
        Correlate within groups too, one for each value of these coordinates (separated by commas),
        such as network,dataset.
    where
        Checkpoints that count, e.g. 'epoch == 90'.
    partial
        Covariates to hold fixed, separated by commas: log_num_parameters, network, …
    min_n
        Groups of fewer checkpoints get no numbers.
    interval
        How the 95 % intervals are made: auto is bca up to 2,000 checkpoints, percentile above.
    resamples
        Number of bootstrap resamples that the intervals are made of.
    family
        Which p-values are adjusted together: all of the table, or those of each group of --by
        apart, for groups that are questions of their own.
    seed
        Of resampling and permutation.
    json
        Print the table as JSON.
    output
        Write the table to this .csv, .nc or .zarr.
    overwrite
        Replace a table that this command has made.
    """
    from genpredict.cli.show_correlations import show_correlations, write_correlations
    from genpredict.outputs import check_output
    from genpredict.stats import correlate as correlated
    from genpredict.stats import to_table
    from genpredict.store.reading import open_scores

    if output is not None:
        check_output(output, overwrite=overwrite, inputs=(path,))
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
        family=family,
        seed=seed,
    )
    if output is not None:
        write_correlations(found, output, overwrite=overwrite, inputs=(path,))
    if json:
        print(to_table(found).to_json(orient="records", indent=2))  # noqa: T201  the result itself
    else:
        show_correlations(found)
    return ALL_DONE


def main() -> None:
    """Run the command line and exit: 0 done, 1 failed, 2 usage, 3 some checkpoints failed."""
    from genpredict.cli.console import piped

    sys.exit(piped(run, sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run one command and return its exit code."""
    ARGUMENTS.set(tuple(arguments))
    try:
        code = app(arguments, exit_on_error=False, result_action="return_value")
    except CycloptsError:
        return USAGE
    except GenpredictError as error:
        from genpredict.cli import console

        console.note(f"genpredict: error: {error}")
        return FAILED
    except KeyboardInterrupt:
        from genpredict.cli import console

        console.note("genpredict: interrupted; the same command goes on where it stopped")
        return INTERRUPTED
    return code if isinstance(code, int) else ALL_DONE
