"""`genpredict show RUN/history.nc`: what every epoch of a run has come to."""

from __future__ import annotations

from pathlib import Path

#: Columns of the table on the terminal; a file has all.
_SHOWN = (
    "epoch",
    *("train_accuracy", "validation_accuracy", "test_accuracy", "generalization_gap"),
    *("train_loss", "validation_loss", "test_loss", "seconds"),
)


def is_history(path: Path) -> bool:
    """Return whether a file is called as the history of a run is."""
    from genpredict.checkpoints.finding.runs import HISTORY

    return path.name == HISTORY


def show_history(path: Path, output: Path | None = None, *, overwrite: bool = False) -> None:
    """Print a line an epoch: accuracies, losses, seconds.

    Parameters
    ----------
    path : Path
        The file, in the folder of a run.
    output : Path, optional
        Write every number here as CSV.
    overwrite : bool
        Replace such a table.
    """
    import pandas as pd

    from genpredict.cli import console
    from genpredict.cli.show_tables import show_frame, write_frame
    from genpredict.training.run_folder import Run

    history = Run(path.absolute().parent).history
    numbers = {
        str(name): variable.values
        for name, variable in history.data_vars.items()
        if variable.dims == ("epoch",) and bool(variable.notnull().any())
    }
    frame = pd.DataFrame({"epoch": history["epoch"].values.astype(int), **numbers})
    if output is not None:
        write_frame(frame, output, overwrite=overwrite, inputs=(path,))
        console.note(f"written: {output}")
    shown = frame[[name for name in _SHOWN if name in frame.columns]]
    titles = {name: name.replace("_", " ") for name in shown.columns}
    show_frame(shown.rename(columns=titles), title=path.absolute().parent.name)
    console.note(
        f"layers over epochs: `genpredict figure evolution`; curves: `genpredict figure "
        f"curves {path.absolute().parent.parent}`"
    )
