"""The commands `runs` and `compare`: what a folder of runs has come to."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from genpredict.cli.exit_codes import ALL_DONE
from genpredict.cli.options import OptionalOutput
from genpredict.errors import GenpredictError

RUNS_EXAMPLE = "Example: `genpredict runs runs`"
COMPARE_EXAMPLES = """
Examples:

`genpredict compare runs --rows network --columns optimizer`

`genpredict compare runs --match seconds -o table.tex`

`genpredict compare runs --rows optimizer --columns lr --target validation_accuracy`
"""
#: How a comparison is written, by the ending of the file.
_WRITERS = {".csv": "to_csv", ".md": "to_markdown", ".tex": "to_latex"}


def runs(folder: Path, /) -> int:
    """List runs, a line each: state, epochs, accuracies, the settings in which they differ.

    Parameters
    ----------
    folder
        The folder of all runs, as given to train or sweep with -o.
    """
    from genpredict.cli.show_runs import list_all
    from genpredict.training.run_folders import find_runs

    list_all(find_runs(folder))
    return ALL_DONE


def holds_runs(folder: Path) -> bool:
    """Return whether there are runs in a folder, as train and sweep make them."""
    from genpredict.checkpoints.finding.runs import CHECKPOINT_FOLDER, RUN_FILE

    return any((file.parent / CHECKPOINT_FOLDER).is_dir() for file in folder.glob(f"*/{RUN_FILE}"))


def compare(
    folder: Path,
    /,
    *,
    rows: str = "network",
    columns: str = "optimizer",
    target: str = "test_accuracy",
    match: Literal["epochs", "seconds"] | None = None,
    output: OptionalOutput = None,
    overwrite: bool = False,
) -> int:
    """Compare runs: mean ± standard deviation over seeds, the best of each row marked.

    Parameters
    ----------
    folder
        The folder of all runs, as given to train or sweep with -o.
    rows
        Setting or hyperparameter that makes the rows: network, dataset, optimizer, lr, …
    columns
        Setting or hyperparameter that makes the columns.
    target
        Number of the histories: test_accuracy, validation_accuracy, test_loss, seconds, …
    match
        Take every run after as many epochs, or seconds of training, as the shortest one of its row
        has; default each run's end.
    output
        Write the table to this .csv, .md or .tex.
    overwrite
        Replace an existing file.
    """
    from genpredict.cli.show_runs import show_comparison
    from genpredict.outputs import check_output, new_file
    from genpredict.training import comparison_tables
    from genpredict.training.comparison import compare_runs
    from genpredict.training.reading_runs import open_runs

    if output is not None:
        if output.suffix not in _WRITERS:
            known = ", ".join(_WRITERS)
            raise GenpredictError(f"{output}: must end in one of {known}")
        check_output(output, overwrite=overwrite)
    table = compare_runs(open_runs(folder), rows=rows, columns=columns, target=target, match=match)
    if output is not None:
        text = getattr(comparison_tables, _WRITERS[output.suffix])(table)
        with new_file(output, overwrite=overwrite) as partial:
            partial.write_text(text, encoding="utf-8")
    show_comparison(table)
    return ALL_DONE
