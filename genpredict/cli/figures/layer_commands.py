"""`genpredict figure heatmap`, `evolution` and `spectrum`: layers; heavy imports inside."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from genpredict.cli.figures.drawing import (
    AS_DRAWN,
    LogNumbers,
    PaletteName,
    Picture,
    drawn,
    figure,
    saved,
)
from genpredict.cli.options import Factorization, Output, Power

HEATMAP_EXAMPLE = (
    "Example: `genpredict figure heatmap scores.zarr --sort test_accuracy --names network -o q.png`"
)
EVOLUTION_EXAMPLE = (
    "Example: `genpredict figure evolution runs.zarr --where 'seed == 1' -o evolution.png`"
)
SPECTRUM_EXAMPLES = """
Examples:

`genpredict figure spectrum resnet20.th --layer layer3.0.conv2 -o spectrum.pdf`

`genpredict figure spectrum scores.zarr --checkpoint akamaster/resnet56-4bfd9763.th -o spectrum.png`
"""


@figure.command(help_epilogue=HEATMAP_EXAMPLE)
def heatmap(
    path: Path,
    /,
    *,
    output: Output,
    overwrite: bool = False,
    measure: str = "quality",
    columns: str = "checkpoint",
    sort: str | None = None,
    names: str | None = None,
    where: str | None = None,
    unfolding: Literal["in_channel", "out_channel"] = "out_channel",
    factorization: Factorization = "low_rank",
    p: Power = 2,
    depth: Literal["layer", "relative"] = "layer",
    log: LogNumbers = False,
    palette: PaletteName = None,
    picture: Picture = AS_DRAWN,
) -> int:
    """Draw a layer measure over layers and checkpoints, or layers and epochs.

    Parameters
    ----------
    path
        A scores store.
    output
        The figure: .png (300 dpi), .pdf or .svg.
    overwrite
        Replace an existing figure.
    measure
        A layer measure: quality, stable_rank, rank, effective_rank or another.
    columns
        checkpoint, or a coordinate that tells the checkpoints apart, such as epoch of one run.
    sort
        Coordinate that orders checkpoints, such as test_accuracy, the least left.
    names
        Coordinate that names checkpoints under their columns, such as network; default their ids.
    where
        Checkpoints to draw, e.g. 'network == "resnet20" and seed == 1'.
    unfolding
        Which matrix of each layer is measured.
    factorization
        Which spectrum of it, for measures that have both.
    p
        Power of the stable rank, for measures that have one.
    depth
        Rows by layer, or by share of each network's depth, for networks of unlike depth.
    """

    def draw(scores: Any) -> Any:
        from genpredict.figures import plot_heatmap

        return plot_heatmap(
            scores,
            measure=measure,
            columns=columns,
            sort=sort,
            names=names,
            unfolding=unfolding,
            factorization=factorization,
            p=p,
            depth=depth,
            log=log,
            palette=palette,
        )

    return drawn(path, output, draw, where, overwrite=overwrite, picture=picture)


@figure.command(help_epilogue=EVOLUTION_EXAMPLE)
def evolution(
    path: Path,
    /,
    *,
    output: Output,
    overwrite: bool = False,
    measure: str = "stable_rank",
    x: str = "epoch",
    where: str | None = None,
    unfolding: Literal["in_channel", "out_channel"] = "out_channel",
    factorization: Factorization = "low_rank",
    p: Power = 2,
    log: LogNumbers = False,
    palette: PaletteName = None,
    picture: Picture = AS_DRAWN,
) -> int:
    """Draw a layer measure over the epochs of one run; deeper layers are darker.

    Parameters
    ----------
    path
        A scores store that holds checkpoints of several epochs of a run (of `genpredict train
        --checkpoint-epochs 1,2,5,10`, say).
    output
        The figure: .png (300 dpi), .pdf or .svg.
    overwrite
        Replace an existing figure.
    measure
        A layer measure: quality, stable_rank, rank, effective_rank or another.
    x
        Coordinate along the x axis, which tells the checkpoints apart.
    where
        Checkpoints to draw, those of one run, e.g. 'optimizer == "sgd" and seed == 1'.
    unfolding
        Which matrix of each layer is measured.
    factorization
        Which spectrum of it, for measures that have both.
    p
        Power of the stable rank, for measures that have one.
    """

    def draw(scores: Any) -> Any:
        from genpredict.figures import plot_evolution

        return plot_evolution(
            scores,
            measure=measure,
            x=x,
            unfolding=unfolding,
            factorization=factorization,
            p=p,
            log=log,
            palette=palette,
        )

    return drawn(path, output, draw, where, overwrite=overwrite, picture=picture)


@figure.command(help_epilogue=SPECTRUM_EXAMPLES)
def spectrum(
    source: Path,
    /,
    *,
    output: Output,
    overwrite: bool = False,
    checkpoint: str | None = None,
    layer: str | None = None,
    unfolding: Literal["in_channel", "out_channel"] | None = None,
    estimator: Literal["global", "reference"] | None = None,
    log: LogNumbers = False,
    picture: Picture = AS_DRAWN,
) -> int:
    """Draw raw and low-rank singular values of one layer, with noise level and threshold.

    Parameters
    ----------
    source
        A checkpoint file, folder or archive; or a scores store, whose weights are read again from
        where they were.
    output
        The figure: .png (300 dpi), .pdf or .svg.
    overwrite
        Replace an existing figure.
    checkpoint
        Its id, or a part that no other id has; default the first.
    layer
        Its name; default the convolution with the most signal (highest rank).
    unfolding
        Default out_channel, where the layer has it.
    estimator
        Default that of the store, global for weights.
    """

    def draw() -> Any:
        from genpredict.cli import console
        from genpredict.cli.figures.layer_spectrum import drawn_spectrum
        from genpredict.cli.figures.weights import choose_layer, open_network

        network = open_network(source, checkpoint, estimator)
        if checkpoint is None and network.others:
            console.note(f"{network.checkpoint.id}: the first of several, see --checkpoint")
        return drawn_spectrum(choose_layer(network, layer, unfolding), log=log)

    return saved(source, output, draw, overwrite=overwrite, picture=picture)
