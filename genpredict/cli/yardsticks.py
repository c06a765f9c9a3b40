"""`genpredict yardsticks STORE`: granulated Kendall, robust sign error, conditional information."""

from __future__ import annotations

from pathlib import Path

from genpredict.cli.exit_codes import ALL_DONE
from genpredict.cli.options import Names, OptionalOutput

YARDSTICKS_EXAMPLES = """
Example: `genpredict yardsticks scores.zarr --hyperparameters network,optimizer,learning_rate`
"""
NO_ENVIRONMENTS = (
    "; none here: no pair of settings has 12 effective pairs of networks that differ by more than "
    "the noise of 10,000 test images"
)


def yardsticks(
    path: Path,
    /,
    *,
    hyperparameters: Names | None = None,
    measures: Names | None = None,
    targets: Names | None = None,
    where: str | None = None,
    output: OptionalOutput = None,
    overwrite: bool = False,
) -> int:
    """Score measures one hyperparameter at a time: Ψ, worst sign error, conditional information.

    Parameters
    ----------
    path
        A scores store.
    hyperparameters
        Coordinates, separated by commas; default the settings that differ.
    measures
        As for correlate.
    targets
        As for correlate.
    where
        Checkpoints that count, e.g. 'epoch == 90'.
    output
        Write the table to this .csv.
    overwrite
        Replace an existing table.
    """
    from genpredict.cli.show_tables import show_frame, show_notes, write_frame
    from genpredict.outputs import check_output
    from genpredict.stats.yardsticks import YARDSTICKS, yardstick_table
    from genpredict.store.reading import open_scores

    if output is not None:
        check_output(output, overwrite=overwrite, inputs=(path,))
    frame = yardstick_table(open_scores(path), measures, targets, hyperparameters, where=where)
    names = frame.attrs["hyperparameters"]
    if output is not None:
        write_frame(frame, output, overwrite=overwrite, inputs=(path,))
    titles = {row.column: row.title for row in YARDSTICKS}
    titles |= {f"psi_{name}": f"ψ {name}" for name in names}
    for target, rows in frame.groupby("target", sort=False):
        show_frame(rows.drop(columns="target").rename(columns=titles), title=str(target))
    show_notes(
        f"hyperparameters: {', '.join(names)}",
        "τ over all pairs; ψ over pairs that differ in one hyperparameter alone, Ψ their mean",
        "error: share of wrong signs over pairs of settings; 0 is perfect, .5 a coin"
        + ("" if frame["environments"].any() else NO_ENVIRONMENTS),
        "K: information beyond hyperparameters; 0 is none, 1 all",
    )
    return ALL_DONE
