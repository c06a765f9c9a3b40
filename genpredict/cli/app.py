"""The command line: one subcommand a stage, each a thin call; heavy imports inside."""

from __future__ import annotations

import sys
import traceback
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, CycloptsError, Parameter

from genpredict import __version__
from genpredict.cli.correlate import CORRELATE_EXAMPLES, correlate
from genpredict.cli.exit_codes import ALL_DONE, FAILED
from genpredict.cli.figures import figure
from genpredict.cli.loading import end_without_search, loading
from genpredict.cli.multiverse import MULTIVERSE_EXAMPLES, multiverse
from genpredict.cli.options import OptionalOutput
from genpredict.cli.predict import predict
from genpredict.cli.report import REPORT_EXAMPLES, report
from genpredict.cli.runs import COMPARE_EXAMPLES, RUNS_EXAMPLE, compare, runs
from genpredict.cli.score import ARGUMENTS, SCORE_EXAMPLES, score
from genpredict.cli.stores import CACHE_EXAMPLES, MERGE_EXAMPLES, cache, merge
from genpredict.cli.sweep import SWEEP_EXAMPLES, sweep
from genpredict.cli.train import TRAIN_EXAMPLES, train
from genpredict.cli.yardsticks import YARDSTICKS_EXAMPLES, yardsticks
from genpredict.errors import GenpredictError
from genpredict.extensions import withhold_dask

USAGE, INTERRUPTED = 2, 130
_QUIET, _VERBOSE = ("-q", "--quiet"), ("-v", "--verbose")

app = App(
    name="genpredict",
    version=__version__,
    help="Predict from trained weights alone how a network generalizes.\n\n"
    "A first run: `genpredict score checkpoints/ -o scores.zarr`, then "
    "`genpredict show scores.zarr`.\n\n"
    "Every command takes -q (say only what is wrong) and -v (all warnings and failures, causes of "
    "errors, time and memory).",
    help_format="markdown",
    default_parameter=Parameter(negative=()),
    suppress_keyboard_interrupt=False,
)
app.command(figure)
app.command(report, help_epilogue=REPORT_EXAMPLES)
app.command(score, help_epilogue=SCORE_EXAMPLES)
app.command(correlate, help_epilogue=CORRELATE_EXAMPLES)
app.command(multiverse, help_epilogue=MULTIVERSE_EXAMPLES)
app.command(predict)
app.command(yardsticks, help_epilogue=YARDSTICKS_EXAMPLES)
app.command(merge, help_epilogue=MERGE_EXAMPLES)
app.command(cache, help_epilogue=CACHE_EXAMPLES)
app.command(train, help_epilogue=TRAIN_EXAMPLES)
app.command(sweep, help_epilogue=SWEEP_EXAMPLES)
app.command(runs, help_epilogue=RUNS_EXAMPLE)
app.command(compare, help_epilogue=COMPARE_EXAMPLES)

COMPLETION_EXAMPLES = """
Examples:

`eval "$(genpredict completion bash)"` in ~/.bashrc, or with zsh in ~/.zshrc

`genpredict completion fish > ~/.config/fish/completions/genpredict.fish`
"""


@app.command(help_epilogue=COMPLETION_EXAMPLES)
def completion(shell: Literal["bash", "zsh", "fish"], /) -> int:
    """Print the script that completes commands and options with the Tab key.

    Parameters
    ----------
    shell
        Which shell's.
    """
    print(app.generate_completion(shell=shell))  # noqa: T201  the result itself
    return ALL_DONE


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
    json: bool = False,
    output: OptionalOutput = None,
    include: Annotated[list[str] | None, Parameter(negative=())] = None,
    exclude: Annotated[list[str] | None, Parameter(negative=())] = None,
    also: Annotated[list[str] | None, Parameter(negative=())] = None,
    network: str = "",
    overwrite: bool = False,
) -> int:
    """Show what is in a scores store, in a checkpoint file, or in a folder of runs.

    Parameters
    ----------
    path
        A scores store; a checkpoint file, folder or archive; a folder of runs, as for runs; or the
        history.nc of a run.
    layers
        Of a store: every measure of every layer. Of a file: which tensors are layers, which are
        not, and why.
    json
        Of a store: print the table as JSON, with all that is known of each checkpoint.
    output
        Write the table to this CSV file, with all that is known of each checkpoint.
    include
        For a file: patterns on layer names, as for score.
    exclude
        For a file: patterns on layer names, as for score.
    also
        For a file: patterns on layer names, as for score.
    network
        For a file that holds several networks: the one to show.
    overwrite
        Replace a CSV file that this command has made.
    """
    with loading():
        from genpredict.cli import console
        from genpredict.cli.history import is_history, show_history
        from genpredict.cli.runs import holds_runs
        from genpredict.cli.show import show_store
        from genpredict.cli.show_files import show_checkpoints
        from genpredict.outputs import check_output

    if output is not None:
        check_output(output, overwrite=overwrite, inputs=(path,))
    try:
        patterns = {"include": include or (), "exclude": exclude or (), "also": also or ()}
        if (path / "zarr.json").exists():
            show_store(path, layers=layers, json=json, output=output, overwrite=overwrite)
        elif is_history(path):
            show_history(path, output, overwrite=overwrite)
        elif holds_runs(path) and not (output or network or any(patterns.values())):
            runs(path)
            console.note("the layers of a run: `genpredict show` and its folder")
        else:
            show_checkpoints(path, **patterns, network=network, output=output, overwrite=overwrite)
    except BrokenPipeError:  # the reader of a pipe has gone, as `head` does: no error
        raise
    except OSError as error:
        raise GenpredictError(str(error)) from error
    return ALL_DONE


def main() -> None:
    """Run the command line and exit: 0 done, 1 failed, 2 usage, 3 some checkpoints failed."""
    from genpredict.cli.console import piped

    end_without_search()
    if not any("dask" in word for word in sys.argv[1:]):
        withhold_dask()
    sys.exit(piped(run, sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run one command and return its exit code."""
    from genpredict.cli import console

    words, loudness = _loudness(arguments)
    ARGUMENTS.set(tuple(words))
    token = console.LOUDNESS.set(loudness)
    try:
        with console.costs_told():
            code = app(words, exit_on_error=False, result_action="return_value")
    except CycloptsError:
        return USAGE
    except GenpredictError as error:
        if loudness == "verbose":
            console.tell_error("".join(traceback.format_exception(error)).rstrip())
        console.tell_error(f"genpredict: error: {error}")
        return FAILED
    except KeyboardInterrupt:
        console.tell_error("genpredict: interrupted; the same command goes on where it stopped")
        return INTERRUPTED
    finally:
        console.LOUDNESS.reset(token)
    return code if isinstance(code, int) else ALL_DONE


def _loudness(arguments: list[str]) -> tuple[list[str], Literal["quiet", "normal", "verbose"]]:
    """Take -q and -v, which every command has, out of the words of a command line."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    options, rest = arguments[:end], arguments[end:]
    words = [word for word in options if word not in (*_QUIET, *_VERBOSE)]
    if set(options) & set(_VERBOSE):
        return words + rest, "verbose"
    return words + rest, "quiet" if set(options) & set(_QUIET) else "normal"
