"""`genpredict figure curves`: the course of training, from run folders; heavy imports inside."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from genpredict.cli.figures.drawing import AS_DRAWN, Picture, figure, saved
from genpredict.cli.options import Names, Output

CURVES_EXAMPLES = """
Examples:

`genpredict figure curves runs -o curves.png`

`genpredict figure curves runs --y train_loss --x seconds --log -o loss.pdf`

`genpredict figure curves runs --y seconds -o seconds.png` draws bars of seconds an epoch
"""


@figure.command(help_epilogue=CURVES_EXAMPLES)
def curves(
    folder: Path,
    /,
    *,
    output: Output,
    overwrite: bool = False,
    y: str = "test_accuracy",
    x: Literal["epoch", "seconds"] = "epoch",
    hue: Names = ("optimizer",),
    where: str | None = None,
    log: bool = False,
    picture: Picture = AS_DRAWN,
) -> int:
    """Draw the course of training: a line a group, a band of one standard deviation over seeds.

    Parameters
    ----------
    folder
        The folder of all runs, as given to train or sweep with -o.
    output
        The figure: .png (300 dpi), .pdf or .svg.
    overwrite
        Replace an existing figure.
    y
        test_accuracy, train_accuracy, train_loss, running_loss, learning_rate (mean over layers),
        …; seconds draws bars, a group's mean seconds an epoch.
    x
        Epochs, or seconds of training.
    hue
        Settings that make the groups, separated by commas.
    where
        Runs that count, as name=value, such as network=resnet20.
    log
        Logarithmic y.
    """

    def draw() -> Any:
        from genpredict.figures.curves import plot_curves
        from genpredict.training.comparison import curve_averages, curve_bands
        from genpredict.training.reading_runs import open_runs, runs_where

        runs = runs_where(open_runs(folder), where)
        along: Literal["epoch", "elapsed"] = "elapsed" if x == "seconds" else "epoch"
        bands = curve_bands(runs, y=y, x=along, by=list(hue))
        attrs = runs[y].attrs
        return plot_curves(
            curve_averages(bands) if y == "seconds" else bands,
            x_label="seconds of training" if x == "seconds" else "epoch",
            y_label=f"{attrs.get('long_name', y)} ({attrs['units']})"
            if attrs.get("units", "1") != "1"
            else str(attrs.get("long_name", y)),
            bars=y == "seconds",
            log=log,
        )

    return saved(folder, output, draw, overwrite=overwrite, picture=picture)
