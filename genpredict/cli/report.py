"""`genpredict report`: a scores store in, one interactive page out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from genpredict.cli.exit_codes import ALL_DONE
from genpredict.cli.loading import loading
from genpredict.cli.options import DEFAULT_FLAGS, Flags, Names, commas
from genpredict.errors import GenpredictError

REPORT_EXAMPLES = """
Examples:

`genpredict report scores.zarr -o report.html`

`genpredict report nats.zarr --where 'epoch == 90' --by dataset -o report.html`

`genpredict report scores.zarr --partial log_num_parameters --cluster network,optimizer -o r.html`
"""


def report(
    path: Path,
    /,
    *,
    output: Annotated[Path, Parameter(name=["--output", "-o"])],
    overwrite: bool = False,
    measures: Names | None = None,
    targets: Names | None = None,
    by: Annotated[tuple[str, ...] | None, commas(str)] = None,
    where: str | None = None,
    partial: Names | None = None,
    flags: Flags = DEFAULT_FLAGS,
) -> int:
    """Write one self-contained interactive page: ranking, scatter panels, layers, failures.

    It opens offline, in any browser.

    Parameters
    ----------
    path
        A scores store.
    output
        The page, ends in .html.
    overwrite
        Replace an existing report.
    measures
        Separated by commas, as for correlate; default Q, Q_adjusted and the baselines.
    targets
        Separated by commas; default all there are.
    by
        Correlations also within groups: coordinates separated by commas. Default network, where
        there are 2 to 12 networks and one has 5 checkpoints; '' for no groups.
    where
        Checkpoints that count, e.g. 'epoch == 90'.
    partial
        Covariates to hold fixed, separated by commas: log_num_parameters, network, …
    """
    with loading():
        from genpredict.cli import console
        from genpredict.outputs import check_output
        from genpredict.report import write_report
        from genpredict.report.commands import command_line, inference_options

    if not (path / "zarr.json").exists():
        raise GenpredictError(f"{path}: no scores store; make one with `genpredict score`")
    check_output(output, overwrite=overwrite, inputs=(path,))
    options: dict[str, object] = {"measures": measures, "targets": targets, "by": by}
    inference = flags.inference()
    options |= {"where": where, "partial": partial} | inference_options(inference)
    command = command_line(["genpredict", "report", str(path)], options, str(output))
    written = write_report(
        path,
        output,
        overwrite=overwrite,
        measures=measures,
        targets=targets,
        by=by,
        where=where,
        partial=partial,
        command=command,
        inference=inference,
    )
    console.note(f"written: {written}, {written.stat().st_size / 1e6:.1f} MB; open it in a browser")
    return ALL_DONE
