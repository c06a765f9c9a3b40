"""The command `train`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from genpredict.cli.exit_codes import ALL_DONE, FAILED
from genpredict.cli.run_settings import Given, RunsFolder

if TYPE_CHECKING:
    from genpredict.training import Run

TRAIN_EXAMPLES = """
Examples:

`genpredict train`

`genpredict train --optimizer sgd -H lr=0.05 -H nesterov=true --epochs 30 --seed 1 -o runs`

`genpredict train --recipe nats --network sss:8:8:8:8:8 --data-folder cifar10 -o runs`

`genpredict train --recipe nats --data-folder cifar10 --seed 777 --nats-archive archives`
"""
_NOTHING = Given()


def train(
    *,
    output: RunsFolder = Path("runs"),
    given: Given = _NOTHING,
    tensorboard: Path | None = None,
    nats_archive: Path | None = None,
) -> int:
    """Train a network into a run folder, which `genpredict score` reads.

    Without any option: a small CNN on the digits with RMSGD, in under a minute. Run the same
    command again to go on after an interruption.

    Parameters
    ----------
    output
        The folder of all runs; this one gets a folder in it, named by its settings.
    tensorboard
        Also write TensorBoard's event files to this folder.
    nats_archive
        Also add the run to its architecture's archive in this folder, in NATS-Bench's full form;
        for networks sss:… and tss:…. A run that is over is added without being trained again.
    """
    from genpredict.cli.show_training import describe_run, watch
    from genpredict.training import train as train_network

    settings = given.settings()
    if nats_archive is not None:
        _check_archive(settings, nats_archive)
    with watch(tensorboard) as watcher:
        run = train_network(output, watcher=watcher, **settings)
    describe_run(run, output)
    if run.summary["status"] != "finished":
        return FAILED
    if nats_archive is not None:
        _add_to_archive(run, nats_archive)
    return ALL_DONE


def _check_archive(given: dict[str, Any], folder: Path) -> None:
    """Refuse a run that no NATS archive can hold before it is trained."""
    from genpredict.training import complete
    from genpredict.training.nats_archives import archive_path

    archive_path(complete(given), folder)


def _add_to_archive(run: Run, folder: Path) -> None:
    """Write a finished run to its NATS archive, and say where that is."""
    from genpredict.cli.console import note
    from genpredict.training.nats_archives import export_archive

    note(f"NATS archive: {export_archive([run], folder)}")
