"""What the commands below `genpredict figure` share: choose, draw, save."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter
from cyclopts.validators import Number

from genpredict.cli.exit_codes import ALL_DONE
from genpredict.cli.figures.refusals import refused
from genpredict.cli.loading import loading
from genpredict.cli.options import commas
from genpredict.errors import GenpredictError

figure: App = App(
    name="figure",
    help="Draw figures from a scores store, or from weights.",
    help_format="markdown",
    error_formatter=lambda error: refused(error, figure),
)


@dataclass(frozen=True)
class PictureFlags:
    """Options of every figure.

    Parameters
    ----------
    title
        Above all panels.
    size
        Width and height in inches, such as 6.5,4; default what the figure needs.
    dpi
        Dots an inch of a PNG, and of what is rasterised in other files.
    describe
        Print what the figure shows, in words, for those who cannot see it, and keep them in the
        file.
    """

    title: str = ""
    size: Annotated[tuple[float, ...] | None, commas(float)] = None
    dpi: Annotated[int, Parameter(validator=Number(gte=10, lte=2400))] = 300
    describe: bool = False

    @property
    def placed(self) -> dict[str, Any]:
        """Return what must be known before names find their places: title, width and height."""
        width, height = self.size or (None, None)
        given = {"title": self.title or None, "width": width, "height": height}
        return {name: value for name, value in given.items() if value is not None}

    def check(self) -> None:
        """Raise GenpredictError where the size is none."""
        if self.size is not None and (
            len(self.size) != 2 or not all(0.5 <= length <= 100 for length in self.size)
        ):
            raise GenpredictError(
                "--size must be width and height in inches, from 0.5 to 100, such as 6.5,4; got "
                f"{','.join(f'{length:g}' for length in self.size)}"
            )


#: Options of the kinds of figures that they mean something for; the others say which take them.
PaletteName = Annotated[
    str | None,
    Parameter(
        help="Colours: a palette of matplotlib or seaborn, such as tab10 or Dark2 of groups, "
        "cividis of numbers."
    ),
]
LogNumbers = Annotated[bool, Parameter(help="Logarithmic numbers.")]
LabelNames = Annotated[
    str | None,
    Parameter(
        help="Coordinate whose values are written beside the marks, such as checkpoint or network."
    ),
]
Picture = Annotated[PictureFlags, Parameter(name="*")]
AS_DRAWN = PictureFlags()


def drawn(
    path: Path,
    output: Path,
    draw: Callable[[Any], Any],
    where: str | None = None,
    *,
    overwrite: bool = False,
    picture: PictureFlags = AS_DRAWN,
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
    picture : PictureFlags
        Title, size, resolution, words.

    Returns
    -------
    int
        Exit code.
    """
    with loading():
        from genpredict.stats.groups import selected
        from genpredict.store.reading import open_scores

    return saved(
        path,
        output,
        lambda: draw(selected(open_scores(path), where)),
        overwrite=overwrite,
        picture=picture,
    )


def saved(
    source: Path,
    output: Path,
    draw: Callable[[], Any],
    *,
    overwrite: bool = False,
    picture: PictureFlags = AS_DRAWN,
) -> int:
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
    picture : PictureFlags
        Title, size, resolution, words.

    Returns
    -------
    int
        Exit code.

    Raises
    ------
    GenpredictError
        When something cannot be drawn or written.
    """
    with loading():
        import matplotlib as mpl

        mpl.use("Agg")
        import matplotlib.pyplot as plt

        from genpredict.cli import console
        from genpredict.cli.correlate import warnings_noted
        from genpredict.figures.describing import describe
        from genpredict.figures.saving import check_suffix, figure_of, save
        from genpredict.figures.style import styled
        from genpredict.outputs import check_output, remedy_named

    picture.check()
    try:
        check_suffix(output)
        check_output(output, overwrite=overwrite, inputs=(source,))
        with warnings_noted():
            panels = draw()
    except ValueError as error:
        raise GenpredictError(str(error)) from error
    with remedy_named(output):
        output.parent.mkdir(parents=True, exist_ok=True)
        if picture.size is not None:
            width, height = picture.size
            figure_of(panels).set_size_inches(width, height)
        if picture.title:
            with styled():
                figure_of(panels).suptitle(picture.title)
        words = describe(panels) if picture.describe else ""
        options: dict[str, Any] = {} if picture.dpi == AS_DRAWN.dpi else {"dpi": picture.dpi}
        if words:
            options["description"] = words
        save(panels, output, **options)
    plt.close(figure_of(panels))
    console.note(f"drawn: {output}")
    if picture.describe:
        console.results_console().print(words, markup=False, soft_wrap=True)
    return ALL_DONE
