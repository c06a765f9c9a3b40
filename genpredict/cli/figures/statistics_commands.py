"""`genpredict figure forest`, `multiverse` and `predictions`; heavy imports inside."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from genpredict.cli.figures.drawing import (
    AS_DRAWN,
    LabelNames,
    PaletteName,
    Picture,
    drawn,
    figure,
)
from genpredict.cli.options import DEFAULT_FLAGS, CoefficientName, Flags, Names, Output

FOREST_EXAMPLE = "Example: `genpredict figure forest scores.zarr --cluster network -o forest.pdf`"
MULTIVERSE_EXAMPLE = (
    "Example: `genpredict figure multiverse scores.zarr --target test_accuracy -o curve.pdf`"
)
PREDICTIONS_EXAMPLE = (
    "Example: `genpredict figure predictions scores.zarr --leave-out network -o predicted.pdf`"
)


@figure.command(help_epilogue=FOREST_EXAMPLE)
def forest(
    path: Path,
    /,
    *,
    output: Output,
    overwrite: bool = False,
    coefficient: CoefficientName = "rocc",
    measures: Names | None = None,
    targets: Names | None = None,
    where: str | None = None,
    partial: Names | None = None,
    simultaneous: bool = False,
    palette: PaletteName = None,
    flags: Flags = DEFAULT_FLAGS,
    picture: Picture = AS_DRAWN,
) -> int:
    """Draw correlations with their intervals, strongest first, baselines apart.

    Parameters
    ----------
    path
        A scores store.
    output
        The figure: .png (300 dpi), .pdf or .svg.
    overwrite
        Replace an existing figure.
    coefficient
        Which correlation: rocc, plcc, krocc or one of another package.
    measures
        Names, and groups (a section each), separated by commas; default Q, low-rank Q_adjusted and
        the baselines.
    targets
        One or more, separated by commas; default all there are.
    where
        Checkpoints that count, e.g. 'epoch == 90'.
    partial
        Covariates to hold fixed, separated by commas.
    simultaneous
        Intervals that hold for all measures at once.
    """

    def draw(scores: Any) -> Any:
        from genpredict.cli.correlate import warnings_noted
        from genpredict.figures import plot_forest
        from genpredict.stats import correlate

        with warnings_noted():
            table = correlate(
                scores, measures=measures, targets=targets, where=where, partial=partial,
                simultaneous=simultaneous, inference=flags.inference(),
            )  # fmt: skip
        return plot_forest(table, coefficient=coefficient, palette=palette)

    return drawn(path, output, draw, overwrite=overwrite, picture=picture)


@figure.command(help_epilogue=MULTIVERSE_EXAMPLE)
def multiverse(
    path: Path,
    /,
    *,
    target: str,
    output: Output,
    overwrite: bool = False,
    coefficient: CoefficientName = "rocc",
    where: str | None = None,
    flags: Flags = DEFAULT_FLAGS,
    picture: Picture = AS_DRAWN,
) -> int:
    """Draw the specification curve: a correlation under every choice of conventions.

    Parameters
    ----------
    path
        A scores store.
    target
        test_accuracy, generalization_gap, …
    output
        The figure: .png (300 dpi), .pdf or .svg.
    overwrite
        Replace an existing figure.
    coefficient
        Which correlation: rocc, plcc, krocc or one of another package.
    where
        Checkpoints that count, e.g. "network == 'resnet20'".
    """

    def draw(scores: Any) -> Any:
        from genpredict.figures import plot_multiverse
        from genpredict.stats import multiverse as under_every_convention

        curves = under_every_convention(
            scores, target, coefficient=coefficient, where=where, inference=flags.inference()
        )
        return plot_multiverse(curves)

    return drawn(path, output, draw, overwrite=overwrite, picture=picture)


@figure.command(help_epilogue=PREDICTIONS_EXAMPLE)
def predictions(
    path: Path,
    /,
    *,
    output: Output,
    overwrite: bool = False,
    target: str = "test_accuracy",
    features: Names | None = None,
    model: Literal["ridge", "random_forest", "gradient_boosting", "gaussian_process"] = "ridge",
    leave_out: Names = ("network",),
    where: str | None = None,
    labels: LabelNames = None,
    palette: PaletteName = None,
    flags: Flags = DEFAULT_FLAGS,
    picture: Picture = AS_DRAWN,
) -> int:
    """Draw predictions of held-out groups against the truth, beside those of the baselines.

    Parameters
    ----------
    path
        A scores store.
    output
        The figure: .png (300 dpi), .pdf or .svg.
    overwrite
        Replace an existing figure.
    target
        What to predict.
    features
        Measures, separated by commas; default Q, low-rank Q_adjusted and the baselines.
    model
        Which model.
    leave_out
        Coordinates whose values are held out in turn.
    where
        Checkpoints that count, e.g. 'epoch == 90'.
    """

    def draw(scores: Any) -> Any:
        from genpredict.figures import plot_predictions
        from genpredict.stats import cross_validate

        judged = cross_validate(
            scores, target, features, model, leave_out, where=where, inference=flags.inference()
        )
        return plot_predictions(judged, labels=labels, palette=palette, **picture.placed)

    return drawn(path, output, draw, overwrite=overwrite, picture=picture)
