"""Write runs as NATS-Bench archives in full form: one file per architecture, weights inside.

``<folder>/000011.pickle.pbz2`` holds every training budget, data set and seed of one architecture;
nats_bench's own API and `open_checkpoints` read it. The form has no place for the optimizer, the
augmentation, label noise or a limited number of training images: only the run's folder tells.
"""

from __future__ import annotations

import bz2
import pickle
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch

from genpredict.atomic import replacement
from genpredict.checkpoints.nats.archives import ARCHIVE_SUFFIX, META_NAME
from genpredict.checkpoints.nats.storages import read_tensors
from genpredict.checkpoints.nats.unpickling import load_nats_pickle
from genpredict.errors import CheckpointError, GenpredictError
from genpredict.locking import locked
from genpredict.training.nats_results import check_dataset, result_of_run
from genpredict.training.nats_spaces import Architecture, find_architecture
from genpredict.training.run_folder import Run
from genpredict.training.settings import Settings

#: Of NATS-Bench's own files.
_PROTOCOL = 4

#: By budget ("01", "12", …), as NATS-Bench orders its results.
Archive = OrderedDict[str, dict[str, Any]]


def export_archives(runs: Iterable[Run], folder: str | Path) -> list[Path]:
    """Write runs of NATS-Bench networks as its archives in full form, sorted by architecture.

    Parameters
    ----------
    runs : iterable of Run
        As of `export_archive`, but of any number of architectures, such as those of a sweep.
    folder : path
        Of the archives; as of `export_archive`.

    Returns
    -------
    list of Path
        One file per architecture, in the order of their first runs; empty without runs.

    Raises
    ------
    GenpredictError
        As `export_archive`; archives written before the error stay.

    Examples
    --------
    >>> outcomes = sweep("sweep.toml", "runs")  # doctest: +SKIP
    >>> export_archives([outcome.run for outcome in outcomes], "archives")  # doctest: +SKIP
    """
    groups: dict[str, list[Run]] = {}
    for run in runs:
        groups.setdefault(run.settings.network, []).append(run)
    return [export_archive(group, folder) for group in groups.values()]


def export_archive(runs: Sequence[Run], folder: str | Path) -> Path:
    """Write runs of one NATS-Bench architecture to its archive, beside what that holds already.

    nats_bench's own API and `open_checkpoints` read the file. Runs that it holds already are not
    written again. For runs of several architectures see `export_archives`.

    Parameters
    ----------
    runs : sequence of Run
        Of one network of NATS-Bench, ``sss:…`` or ``tss:…``, finished, on a data set of
        NATS-Bench; they differ in epochs, data set or seed.
    folder : path
        Of the archives; made if need be. For the topology space it holds the benchmark's
        ``meta.pickle.pbz2``, which tells the index; for the size space that file is written where
        it is missing.

    Returns
    -------
    Path
        ``<folder>/<index>.pickle.pbz2``.

    Raises
    ------
    GenpredictError
        When a run is not finished or not of NATS-Bench, two runs have the same epochs, data set
        and seed, the archive holds another architecture or cannot be written, or another process
        is writing it. What was there before stays.

    Notes
    -----
    The split ``ori-test`` is the whole test set. NATS-Bench also halves that of CIFAR-100 into
    ``x-valid`` and ``x-test``, which runs do not: nats_bench's query_info_str_by_arch, which wants
    both, cannot describe an archive that holds a run on CIFAR-100; its other calls can.

    Examples
    --------
    >>> runs = [train(recipe="nats", seed=seed) for seed in (777, 888)]  # doctest: +SKIP
    >>> export_archive(runs, "archives").name  # doctest: +SKIP
    '000000.pickle.pbz2'
    """
    folder = Path(folder)
    architecture = _architecture(runs, folder)
    path = archive_path(runs[0].settings, folder)
    results = [(run, result_of_run(run, architecture.config)) for run in runs]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with locked(folder / f".{path.name}.lock"):
            archive = _read(path, architecture) if path.exists() else OrderedDict()
            added = [_add(archive, architecture, run, result, path) for run, result in results]
            _write_meta(folder, architecture)
            if any(added):
                _write(path, OrderedDict(sorted(archive.items(), key=lambda item: int(item[0]))))
    except OSError as error:
        raise GenpredictError(
            f"{path}: cannot be written: {error}; free some space or choose another folder"
        ) from error
    return path


def archive_path(settings: Settings, folder: str | Path) -> Path:
    """Return the file to which a run of these settings goes, trained or not.

    Raises
    ------
    GenpredictError
        When no archive can hold such a run.

    Examples
    --------
    >>> from genpredict.training import complete
    >>> archive_path(complete({"recipe": "nats"}), "archives").name
    '000000.pickle.pbz2'
    """
    check_dataset(settings)
    index = find_architecture(settings.network, Path(folder)).index
    return Path(folder) / f"{index:06d}{ARCHIVE_SUFFIX}"


def _architecture(runs: Sequence[Run], folder: Path) -> Architecture:
    """Find the architecture that all runs share."""
    if not runs:
        raise GenpredictError("runs: there must be at least one")
    architectures = [find_architecture(run.settings.network, folder) for run in runs]
    for run, architecture in zip(runs, architectures, strict=True):
        check_dataset(run.settings)
        if architecture.index != architectures[0].index:
            raise GenpredictError(
                f"{run.path}: of architecture {architecture.text}, not {architectures[0].text} as "
                f"{runs[0].path}; an archive holds one: export_archives sorts runs"
            )
    return architectures[0]


def _add(
    archive: Archive, architecture: Architecture, run: Run, result: dict[str, Any], path: Path
) -> bool:
    """Put a result into its place; return False where it is there already."""
    settings = run.settings
    info = archive.setdefault(f"{settings.epochs:02d}", _empty(architecture))
    key = (settings.dataset, settings.seed)
    if key in info["all_results"]:
        if _same(info["all_results"][key], result):
            return False
        raise GenpredictError(
            f"{run.path}: {path} already holds another run with {settings.epochs} epochs, "
            f"{settings.dataset} and seed {settings.seed}; choose another folder or another seed"
        )
    info["all_results"][key] = result
    seeds = set(info["dataset_seed"].get(settings.dataset, ())) | {settings.seed}
    info["dataset_seed"][settings.dataset] = sorted(seeds)
    info["clear_net_done"] = False
    return True


def _empty(architecture: Architecture) -> dict[str, Any]:
    """Return the results of a budget before any run, by the names of nats_bench's ArchResults."""
    return {
        "arch_index": architecture.index,
        "arch_str": architecture.text,
        "all_results": {},
        "dataset_seed": {},
        "clear_net_done": False,
    }


def _same(old: dict[str, Any], new: dict[str, Any]) -> bool:
    """Return whether two results are of the same run: equal losses and equal weights."""
    ours, theirs = new["net_state_dict"], old["net_state_dict"]
    return (
        old["train_losses"] == new["train_losses"]
        and theirs is not None
        and theirs.keys() == ours.keys()
        and all(torch.equal(theirs[name], tensor) for name, tensor in ours.items())
    )


def _read(path: Path, architecture: Architecture) -> Archive:
    """Read an archive that is there, its tensors unpacked; check that it is of the architecture."""
    archive: Archive = load_nats_pickle(path)
    try:
        for info in archive.values():
            held = (info["arch_index"], info["arch_str"])
            if held != (architecture.index, architecture.text):
                raise CheckpointError(
                    path,
                    f"holds architecture {held[0]}, {held[1]}, not {architecture.index}, "
                    f"{architecture.text}; choose another folder",
                )
            for result in info["all_results"].values():
                result["net_state_dict"] = _unpack(result.get("net_state_dict"))
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        raise CheckpointError(
            path, f"no NATS-Bench archive of one architecture ({error!r:.160}); move it away"
        ) from error
    return archive


def _unpack(stored: dict[str, Any] | None) -> OrderedDict[str, torch.Tensor] | None:
    """Turn packed weights into tensors, each by itself; None stays."""
    if stored is None:
        return None
    tensors = read_tensors(stored)
    return OrderedDict((name, tensor.clone()) for name, tensor in tensors.items())


def _write_meta(folder: Path, architecture: Architecture) -> None:
    """Write the file without which nats_bench opens no folder, unless it is there."""
    meta = folder / META_NAME
    if not meta.exists():
        names = architecture.names
        content = {"meta_archs": list(names), "total_archs": len(names)}
        _write(meta, {**content, "arch2infos": None, "evaluated_indexes": set()})


def _write(path: Path, content: Any) -> None:
    """Pickle and compress under another name, then put the file in its place."""
    # the meta file is written under no lock of its own, so another process may be at it too
    with replacement(path) as partial, bz2.open(partial, "wb") as file:
        pickle.dump(content, file, protocol=_PROTOCOL)
