"""`genpredict multiverse STORE`: a correlation under every convention."""

from __future__ import annotations

from pathlib import Path

from genpredict.cli.exit_codes import ALL_DONE
from genpredict.cli.options import DEFAULT_FLAGS, CoefficientName, Flags, Names, OptionalOutput

MULTIVERSE_EXAMPLES = """
Examples:

`genpredict multiverse scores.zarr --target test_accuracy`

`genpredict multiverse scores.zarr --target generalization_gap --by network -o multiverse.csv`
"""


def multiverse(
    path: Path,
    /,
    *,
    target: str,
    by: Names | None = None,
    coefficient: CoefficientName = "rocc",
    where: str | None = None,
    flags: Flags = DEFAULT_FLAGS,
    output: OptionalOutput = None,
    overwrite: bool = False,
) -> int:
    """Correlate network quality with a target under every choice of conventions.

    Parameters
    ----------
    path
        A scores store.
    target
        test_accuracy, generalization_gap, …
    by
        Within groups too, one for each value of these coordinates (separated by commas).
    coefficient
        Which correlation: rocc, plcc, krocc or one of another package.
    where
        Checkpoints that count, e.g. 'epoch == 90'.
    output
        Write every specification's correlation to this .csv.
    overwrite
        Replace an existing table.
    """
    from genpredict.cli.show_tables import show_frame, show_notes, write_frame
    from genpredict.outputs import check_output
    from genpredict.stats import multiverse as under_every_convention
    from genpredict.stats.curve_tables import curve_table, specification_table
    from genpredict.store.reading import open_scores

    if output is not None:
        check_output(output, overwrite=overwrite, inputs=(path,))
    curves = under_every_convention(
        open_scores(path),
        target,
        by,
        coefficient=coefficient,
        where=where,
        inference=flags.inference(),
    )
    if output is not None:
        write_frame(specification_table(curves), output, overwrite=overwrite, inputs=(path,))
    count = curves.sizes["specification"]
    title = f"Q and {curves.attrs['target']}, {coefficient.upper()} under {count} specifications"
    show_frame(curve_table(curves), title=title)
    show_notes(
        "p: how often a shuffled target has as extreme a median, as many of one sign; the share of "
        "each sign is over specifications",
        *([f"clusters by {curves.attrs['cluster']}"] if curves.attrs["cluster"] else []),
    )
    return ALL_DONE
