"""`genpredict figure scatter` and `ranking`: numbers per network; heavy imports inside."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from genpredict.cli.figures.drawing import (
    AS_DRAWN,
    LabelNames,
    PaletteName,
    Picture,
    drawn,
    figure,
)
from genpredict.cli.options import CoefficientName, Factorization, Names, Output, Power

SCATTER_EXAMPLES = """
Examples:

`genpredict figure scatter scores.zarr --hue network --correlations -o scatter.png`

`genpredict figure scatter scores.zarr --columns epoch --where 'epoch in (12, 90)' -o two.pdf`
"""
RANKING_EXAMPLE = "Example: `genpredict figure ranking scores.zarr -o ranking.pdf`"


@figure.command(help_epilogue=SCATTER_EXAMPLES)
def scatter(
    path: Path,
    /,
    *,
    output: Output,
    overwrite: bool = False,
    measures: Names = ("Q",),
    targets: Names = ("test_accuracy",),
    hue: str | None = None,
    style: str | None = None,
    columns: str | None = None,
    where: str | None = None,
    correlations: bool = False,
    trend: bool = False,
    labels: LabelNames = None,
    palette: PaletteName = None,
    factorization: Factorization = "low_rank",
    p: Power = 2,
    picture: Picture = AS_DRAWN,
) -> int:
    """Draw measures against targets, one mark a checkpoint.

    Parameters
    ----------
    path
        A scores store.
    output
        The figure: .png (300 dpi), .pdf or .svg.
    overwrite
        Replace an existing figure.
    measures
        One or more, separated by commas: Q, Q_adjusted, log_num_parameters, num_rank_one and
        others.
    targets
        One or more, separated by commas: test_accuracy, generalization_gap and others.
    hue
        Coordinate that colours the marks: network, optimizer, label_noise or another.
    style
        Coordinate that shapes the marks.
    columns
        Coordinate with a panel for each of its values, such as epoch.
    where
        Checkpoints to draw, e.g. 'epoch == 90'.
    correlations
        Write PLCC and ROCC with 95 % intervals above each panel.
    trend
        Draw a least-squares line through each group.
    factorization
        Which spectrum, for measures that have both.
    p
        Power of the stable rank, for measures that have one.
    """

    def draw(scores: Any) -> Any:
        from genpredict.figures import plot_scatter
        from genpredict.stats import correlate

        table = None
        if correlations:
            named = [m for m in measures if m not in ("Q", "Q_adjusted")]
            named += [f"{m}_{factorization}_p{p}" for m in measures if m in ("Q", "Q_adjusted")]
            table = correlate(scores, measures=named, targets=targets, by=columns)
        return plot_scatter(
            scores,
            measures=measures,
            targets=targets,
            factorization=factorization,
            p=p,
            hue=hue,
            style=style,
            columns=columns,
            correlations=table,
            trend=trend,
            labels=labels,
            palette=palette,
            **picture.placed,
        )

    return drawn(path, output, draw, where, overwrite=overwrite, picture=picture)


@figure.command(help_epilogue=RANKING_EXAMPLE)
def ranking(
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
    palette: PaletteName = None,
    picture: Picture = AS_DRAWN,
) -> int:
    """Draw the correlations of measures with targets, those that may be chance in grey.

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
    """

    def draw(scores: Any) -> Any:
        from genpredict.figures import plot_ranking
        from genpredict.stats import correlate

        table = correlate(scores, measures=measures, targets=targets, where=where, partial=partial)
        return plot_ranking(table, coefficient=coefficient, palette=palette)

    return drawn(path, output, draw, overwrite=overwrite, picture=picture)
