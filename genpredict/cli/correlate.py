"""`genpredict correlate STORE`: the table of correlations."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from genpredict.cli.exit_codes import ALL_DONE
from genpredict.cli.loading import loading
from genpredict.cli.options import DEFAULT_FLAGS, Flags, Names, OptionalOutput

CORRELATE_EXAMPLES = """
Examples:

`genpredict correlate scores.zarr --targets test_accuracy --by network`

`genpredict correlate scores.zarr --where 'epoch == 90' --partial log_num_parameters -o out.csv`

`genpredict correlate scores.zarr --cluster network,optimizer`

`genpredict correlate nats.zarr --by dataset --family group -o by_dataset.csv`
"""


def correlate(
    path: Path,
    /,
    *,
    measures: Names | None = None,
    targets: Names | None = None,
    by: Names | None = None,
    where: str | None = None,
    partial: Names | None = None,
    family: Literal["table", "group"] = "table",
    simultaneous: bool = False,
    flags: Flags = DEFAULT_FLAGS,
    json: bool = False,
    output: OptionalOutput = None,
    overwrite: bool = False,
) -> int:
    """Correlate measures with targets: signed PLCC, ROCC and KROCC with intervals.

    Parameters
    ----------
    path
        A scores store.
    measures
        One or more, separated by commas: Q, Q_adjusted, Q_low_rank_p2, stable_rank, …; default Q
        and low-rank Q_adjusted. The baselines always follow: log number of parameters, numbers of
        layers and of entries of rank 0 and 1, log products of norms.
    targets
        One or more, separated by commas: test_accuracy, generalization_gap, …; default all there
        are.
    by
        Correlate within groups too, one for each value of these coordinates (separated by commas),
        such as network,dataset.
    where
        Checkpoints that count, e.g. 'epoch == 90'.
    partial
        Covariates to hold fixed, separated by commas: log_num_parameters, network, …
    family
        Which p-values are adjusted together: all of the table, or those of each group of --by
        apart, for groups that are questions of their own.
    simultaneous
        Intervals that hold for the whole family at once, instead of one by one.
    json
        Print the table as JSON.
    output
        Write the table to this .csv, .nc or .zarr, or as text to this .md or .tex.
    overwrite
        Replace a table that this command has made.
    """
    with loading():
        from genpredict.cli import console
        from genpredict.cli.show_correlations import show_correlations, write_correlations
        from genpredict.outputs import check_output
        from genpredict.stats import correlate as correlated
        from genpredict.stats import to_table
        from genpredict.stats.groups import selected
        from genpredict.store.label_noise import noise_note
        from genpredict.store.reading import open_scores

    if output is not None:
        check_output(output, overwrite=overwrite, inputs=(path,))
    scores = open_scores(path)
    with warnings_noted():
        table = correlated(
            scores,
            measures=measures,
            targets=targets,
            by=by,
            where=where,
            partial=partial,
            family=family,
            simultaneous=simultaneous,
            inference=flags.inference(),
        )
    if noise := noise_note(selected(scores, where), table["target"].values.tolist()):
        console.note(f"note: {noise}")
    if output is not None:
        write_correlations(table, output, overwrite=overwrite, inputs=(path,))
    if json:
        print(to_table(table).to_json(orient="records", indent=2))  # noqa: T201  the result itself
    else:
        show_correlations(table)
    return ALL_DONE


@contextmanager
def warnings_noted() -> Iterator[None]:
    """Print what statistics warn of as notes on stderr."""
    from genpredict.cli import console
    from genpredict.errors import GenpredictWarning

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", GenpredictWarning)
        yield
    for warning in caught:
        if issubclass(warning.category, GenpredictWarning):
            console.note(f"note: {warning.message}")
        else:
            warnings.warn_explicit(
                warning.message, warning.category, warning.filename, warning.lineno
            )
