"""What the commands below `genpredict figure` share: choose, draw, save."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from cyclopts import App

from genpredict.cli.exit_codes import ALL_DONE
from genpredict.errors import GenpredictError

figure = App(
    name="figure", help="Draw figures from a scores store, or from weights.", help_format="markdown"
)


def drawn(
    path: Path,
    output: Path,
    draw: Callable[[Any], Any],
    where: str | None = None,
    *,
    overwrite: bool = False,
) -> int:
    """Draw checkpoints of a store into a file.

    Parameters
    ----------
    path : Path
        A scores store.
    output : Path
        The figure.
    draw : callable
        Takes the scores, returns an Axes or a grid.
    where : str, optional
        Condition that the checkpoints meet.
    overwrite : bool
        Replace a figure.

    Returns
    -------
    int
        Exit code.
    """
    from genpredict.stats.groups import selected
    from genpredict.store.reading import open_scores

    return saved(
        path, output, lambda: draw(selected(open_scores(path), where)), overwrite=overwrite
    )


def saved(source: Path, output: Path, draw: Callable[[], Any], *, overwrite: bool = False) -> int:
    """Check the name of a file, draw, save, and say where.

    Parameters
    ----------
    source : Path
        What is drawn.
    output : Path
        The figure; its folder is made.
    draw : callable
        Returns an Axes or a grid.
    overwrite : bool
        Replace a figure.

    Returns
    -------
    int
        Exit code.

    Raises
    ------
    GenpredictError
        When something cannot be drawn or written.
    """
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    from genpredict.cli import console
    from genpredict.figures.saving import check_suffix, save
    from genpredict.outputs import check_output, remedy_named

    try:
        check_suffix(output)
        check_output(output, overwrite=overwrite, inputs=(source,))
        picture = draw()
    except ValueError as error:
        raise GenpredictError(str(error)) from error
    with remedy_named(output):
        output.parent.mkdir(parents=True, exist_ok=True)
        save(picture, output)
    plt.close(picture.figure)
    console.note(f"drawn: {output}")
    return ALL_DONE
