"""The runs of a folder."""

from __future__ import annotations

from pathlib import Path

from genpredict.checkpoints.finding.runs import RUN_FILE
from genpredict.errors import GenpredictError
from genpredict.training.run_folder import Run
from genpredict.training.settings import Settings


def run_of(settings: Settings, output: Path) -> Run:
    """Return the run of some settings, that of an earlier version, which named it otherwise, too.

    Parameters
    ----------
    settings : Settings
    output : Path
        The folder of all runs.

    Returns
    -------
    Run
        Its folder need not be there.
    """
    path = output / settings.id
    if path.exists() or not output.is_dir():
        return Run(path)
    same = (
        one
        for one in sorted(output.glob(f"{settings.stem}-*{settings.digest}"))
        if (one / RUN_FILE).is_file()
    )
    return Run(next(same, path))


def find_runs(folder: Path) -> list[Run]:
    """List the runs of a folder by name.

    Raises
    ------
    GenpredictError
        If the folder is none, or holds no runs.
    """
    runs = [Run(path.parent) for path in sorted(folder.glob(f"*/{RUN_FILE}"))]
    if not runs:
        raise GenpredictError(f"{folder}: no runs; make some with genpredict train or sweep")
    return runs
