"""`genpredict figure curves`: the course of training, from run folders; heavy imports inside."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from genpredict.cli.figures.drawing import AS_DRAWN, LogNumbers, PaletteName, Picture, figure, saved
from genpredict.cli.options import Names, Output

SECONDS_LABEL = "seconds of training an epoch, mean over epochs"
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
    log: LogNumbers = False,
    palette: PaletteName = None,
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
    """

    def draw() -> Any:
        from genpredict.figures.curves import plot_curves
        from genpredict.figures.labels import composed
        from genpredict.training.reading_runs import open_runs, runs_where
        from genpredict.training.run_curves import curve_averages, curve_bands

        runs = runs_where(open_runs(folder), where)
        along: Literal["epoch", "elapsed"] = "elapsed" if x == "seconds" else "epoch"
        bands = curve_bands(runs, y=y, x=along, by=list(hue), log=log)
        bars, attrs = y == "seconds", runs[y].attrs
        return plot_curves(
            curve_averages(bands) if bars else bands,
            x_label="seconds of training" if x == "seconds" else "epoch",
            y_label=SECONDS_LABEL
            if bars
            else composed(attrs.get("long_name", y), attrs.get("units", "1")),
            bars=bars,
            log=log,
            palette=palette,
        )

    return saved(folder, output, draw, overwrite=overwrite, picture=picture)
