"""`genpredict figure …`: a scores store in, a figure out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from cyclopts import App

from genpredict.cli_options import Factorization, Names, Output, Power
from genpredict.errors import GenpredictError

figure = App(name="figure", help="Draw figures from a scores store.", help_format="markdown")

SCATTER_EXAMPLES = """
Examples:

`genpredict figure scatter scores.zarr --hue network --correlations -o scatter.png`

`genpredict figure scatter scores.zarr --measures Q,Q_adjusted --targets test_accuracy -o two.pdf`
"""
RANKING_EXAMPLE = "Example: `genpredict figure ranking scores.zarr -o ranking.pdf`"
HEATMAP_EXAMPLE = "Example: `genpredict figure heatmap scores.zarr --sort test_accuracy -o q.png`"
EVOLUTION_EXAMPLE = (
    "Example: `genpredict figure evolution run.zarr --measure stable_rank -o evolution.png`"
)


@figure.command(help_epilogue=SCATTER_EXAMPLES)
def scatter(
    path: Path,
    /,
    *,
    output: Output,
    measures: Names = ("Q",),
    targets: Names = ("test_accuracy",),
    hue: str | None = None,
    style: str | None = None,
    columns: str | None = None,
    correlations: bool = False,
    trend: bool = False,
    factorization: Factorization = "low_rank",
    p: Power = 2,
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
    correlations
        Write PLCC and ROCC with 95 % intervals above each panel.
    trend
        Draw a least-squares line through each group.
    factorization
        Of measures that have one.
    p
        Power of measures that have one.
    """

    def draw(scores: Any) -> Any:
        from genpredict.figures import plot_scatter
        from genpredict.stats import correlate

        named = [m for m in measures if m not in ("Q", "Q_adjusted")]
        named += [f"{m}_{factorization}_p{p}" for m in measures if m in ("Q", "Q_adjusted")]
        found = correlate(scores, measures=named, targets=targets, by=columns)
        return plot_scatter(
            scores,
            measures=measures,
            targets=targets,
            factorization=factorization,
            p=p,
            hue=hue,
            style=style,
            columns=columns,
            correlations=found if correlations else None,
            trend=trend,
        )

    return _drawn(path, output, draw)


@figure.command(help_epilogue=RANKING_EXAMPLE)
def ranking(
    path: Path,
    /,
    *,
    output: Output,
    coefficient: Literal["plcc", "rocc", "krocc"] = "rocc",
    measures: Names | None = None,
    targets: Names | None = None,
    where: str | None = None,
    partial: Names | None = None,
) -> int:
    """Draw the correlations of measures with targets, those that may be chance in grey.

    Parameters
    ----------
    path
        A scores store.
    output
        The figure: .png (300 dpi), .pdf or .svg.
    coefficient
        Which correlation.
    measures
        One or more, separated by commas; default Q, Q_adjusted and the baselines.
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

        found = correlate(scores, measures=measures, targets=targets, where=where, partial=partial)
        return plot_ranking(found, coefficient=coefficient)

    return _drawn(path, output, draw)


@figure.command(help_epilogue=HEATMAP_EXAMPLE)
def heatmap(
    path: Path,
    /,
    *,
    output: Output,
    measure: str = "quality",
    columns: str = "checkpoint",
    sort: str | None = None,
    unfolding: Literal["in_channel", "out_channel"] = "out_channel",
    factorization: Factorization = "low_rank",
    p: Power = 2,
) -> int:
    """Draw a layer measure over layers and checkpoints, or layers and epochs.

    Parameters
    ----------
    path
        A scores store.
    output
        The figure: .png (300 dpi), .pdf or .svg.
    measure
        A layer measure: quality, stable_rank, rank, …
    columns
        checkpoint, or a coordinate such as epoch.
    sort
        Coordinate that orders the columns, such as test_accuracy.
    unfolding
        Of each layer.
    factorization
        Of measures that have one.
    p
        Power of measures that have one.
    """

    def draw(scores: Any) -> Any:
        from genpredict.figures import plot_heatmap

        return plot_heatmap(
            scores,
            measure=measure,
            columns=columns,
            sort=sort,
            unfolding=unfolding,
            factorization=factorization,
            p=p,
        )

    return _drawn(path, output, draw)


@figure.command(help_epilogue=EVOLUTION_EXAMPLE)
def evolution(
    path: Path,
    /,
    *,
    output: Output,
    measure: str = "stable_rank",
    x: str = "epoch",
    unfolding: Literal["in_channel", "out_channel"] = "out_channel",
    factorization: Factorization = "low_rank",
    p: Power = 2,
) -> int:
    """Draw a layer measure over the epochs of one run; deeper layers are darker.

    Parameters
    ----------
    path
        A scores store of the checkpoints of one run.
    output
        The figure: .png (300 dpi), .pdf or .svg.
    measure
        A layer measure: quality, stable_rank, rank, …
    x
        The coordinate to follow.
    unfolding
        Of each layer.
    factorization
        Of measures that have one.
    p
        Power of measures that have one.
    """

    def draw(scores: Any) -> Any:
        from genpredict.figures import plot_evolution

        return plot_evolution(
            scores, measure=measure, x=x, unfolding=unfolding, factorization=factorization, p=p
        )

    return _drawn(path, output, draw)


def _drawn(path: Path, output: Path, draw: Callable[[Any], Any]) -> int:
    """Open a store, draw, save; say where, or what was wrong."""
    import matplotlib as mpl

    mpl.use("Agg")
    from genpredict import console
    from genpredict.figures import save
    from genpredict.store import open_scores

    scores = open_scores(path)
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        console.note(f"drawn: {save(draw(scores), output)}")
    except (ValueError, OSError) as error:
        raise GenpredictError(str(error)) from error
    return 0
