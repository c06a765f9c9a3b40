"""Checkpoints in, labelled measures out.

Layers of many checkpoints are gathered until they fill a batch and measured in one call, equal
shapes together (`genpredict.spectral.measure_weights`); the numbers then go back to their
(checkpoint, layer) in an xarray Dataset by the names of `genpredict.schema`.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import xarray as xr
from torch import Tensor, nn

import genpredict
from genpredict.checkpoints import Checkpoint, CheckpointSources, open_checkpoints
from genpredict.checkpoints.finding.sources import expanded
from genpredict.checkpoints.named_tensors import NamedTensors, strip_prefixes, without_prefixes
from genpredict.errors import CheckpointError, GenpredictError
from genpredict.estimators import DEAD_TOLERANCE, NULL_TOLERANCE
from genpredict.layers import module_types
from genpredict.network_columns import with_network_measures
from genpredict.options import NUM_IMAGES, Options
from genpredict.progress import tracked
from genpredict.row_checks import Row
from genpredict.rows import join_rows
from genpredict.targets import Targets, with_targets

if TYPE_CHECKING:
    import pandas as pd
from genpredict.measuring import AT_HAND, BATCH_WEIGHTS, measure_checkpoints, read_items

Network: TypeAlias = nn.Module | Mapping[str, Tensor]
Scorable: TypeAlias = str | Path | Network


def score(
    sources: Scorable | Sequence[Scorable] | Mapping[str, Network],
    *,
    manifest: str | Path | pd.DataFrame | None = None,
    targets: Targets | None = None,
    output: str | Path | None = None,
    overwrite: bool = False,
    progress: bool | None = None,
    measures: Sequence[str] | str = (),
    data: str = "",
    data_folder: str | Path = "",
    num_images: int = NUM_IMAGES,
    initial: str | Path = "",
    estimator: str = "global",
    dtype: str = "float64",
    device: str = "auto",
    include: Sequence[str] | str = (),
    exclude: Sequence[str] | str = (),
    also: Sequence[str] | str = (),
    network: str = "",
    dead_tolerance: float = DEAD_TOLERANCE,
    null_tolerance: float = NULL_TOLERANCE,
) -> xr.Dataset:
    """Measure networks in memory.

    Parameters
    ----------
    sources : path, Module, state dict, or a sequence or mapping of them
        Files, folders, patterns such as ``"runs/*.pt"`` and archives as of `open_checkpoints`;
        networks at hand are named by the keys of a mapping, else "0", "1", ….
    manifest : path or DataFrame, optional
        CSV with metadata and targets of the files; or the table itself, with a column ``path``.
    targets : mapping or DataFrame, optional
        Accuracies by checkpoint, e.g. ``{"a.pt": 91.2}``, as of `with_targets`.
    output : path, optional
        Also write the scores to this store, as `write_scores` does; every command opens it.
    overwrite : bool
        Replace a store that is there.
    progress : bool, optional
        Show a bar; by default in Jupyter and at an interactive prompt.
    measures : str or sequence of str
        Names and groups of measures, added to those of every score.
    data, data_folder : str
        Data set and folder of its files, as of `load_dataset`, for measures that need images; where
        none is asked for, all of them.
    num_images : int
        So many of its training images, the classes in proportion, drawn with seed 0.
    initial : path
        File of the weights before training; runs of `train` keep theirs.
    estimator : {"global", "reference"}
        The exact EVBMF or the released code's.
    dtype : {"float64", "float32"}
        Arithmetic of Gram matrices and eigenvalues.
    device : str
        "auto" takes CUDA where there is one.
    include, exclude, also : str or sequence of str
        Patterns on layer names: only these, not these, these too.
    network : str
        Which network to take of files that hold several.
    dead_tolerance, null_tolerance : float
        What EVBMF sets aside (docs/design.md 3.3).

    Returns
    -------
    Dataset
        Dims checkpoint, layer, unfolding, factorization, p; network measures (Q first) and layer
        measures as variables; metadata and targets as coordinates. A checkpoint that cannot be
        read or measured is a row with `status` "failed" and the reason in `error`.

    Raises
    ------
    GenpredictError
        When a source does not exist, an option, a measure or a checkpoint of `targets` is unknown,
        or the store cannot be made.

    Warns
    -----
    UserWarning
        Of rows of the manifest without a file, files without a row, files that are passed over,
        and of what cannot be measured or told of a network.

    Examples
    --------
    >>> scores = score({"tiny": nn.Sequential(nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3))})
    >>> scores["layer_name"].values.tolist()
    [['0.weight', '1.weight']]
    >>> dict(scores["Q"].sizes)
    {'checkpoint': 1, 'factorization': 2, 'p': 2}
    """
    options = Options.measuring(
        measures,
        data=data,
        data_folder=str(data_folder),
        num_images=num_images,
        initial=str(initial),
        estimator=estimator,
        dtype=dtype,
        device=device,
        include=_several(include),
        exclude=_several(exclude),
        also=_several(also),
        dead_tolerance=dead_tolerance,
        null_tolerance=null_tolerance,
    )
    attrs = options.attrs()
    known = len(sources) if isinstance(sources, Mapping) and not _is_state_dict(sources) else None
    checkpoints = tracked(
        _checkpoints(sources, manifest, network), title="scoring", total=known, progress=progress
    )
    at_hand = isinstance(sources, nn.Module | Mapping)
    factor = AT_HAND if at_hand else 1
    parts = list(measure_checkpoints(checkpoints, options, batch_weights=factor * BATCH_WEIGHTS))
    if not parts:
        raise GenpredictError("sources: nothing to score in them")
    scores = with_network_measures(join_rows(parts).assign_attrs(attrs), options.network_rows)
    if targets is not None:
        scores = with_targets(scores, targets)
    if output is not None:
        genpredict.write_scores(scores, output, overwrite=overwrite)
    return scores


def _several(patterns: Sequence[str] | str) -> tuple[str, ...]:
    return (patterns,) if isinstance(patterns, str) else tuple(patterns)


def _checkpoints(
    sources: Scorable | Sequence[Scorable] | Mapping[str, Network],
    manifest: str | Path | pd.DataFrame | None,
    network: str,
) -> Iterator[Checkpoint | Row]:
    """Yield the checkpoints of paths and of networks at hand, in order."""
    named = list(_named(sources))
    paths = [source for _, source in named if isinstance(source, str | Path)]
    if manifest is not None and not paths:
        raise GenpredictError("manifest: describes files, but there is no path among the sources")
    found = CheckpointSources([])
    if paths:
        found = open_checkpoints(paths, manifest=manifest, network=network)
    for warning in found.warnings:
        warnings.warn(warning, stacklevel=4)
    items = found.items
    if len(paths) == len(named):
        yield from read_items(items)
        return
    for name, source in named:
        if isinstance(source, str | Path):
            folders = expanded(source)
            yield from read_items(
                item for item in items if any(_is_in(item.path, path) for path in folders)
            )
        else:
            module = source if isinstance(source, nn.Module) else None
            loader = partial(_tensors, str(name), source)
            yield Checkpoint(str(name), str(name), {}, loader, module)


def _is_in(path: Path, source: Path) -> bool:
    return path == source or source in path.parents


def _named(
    sources: Scorable | Sequence[Scorable] | Mapping[str, Network],
) -> Iterable[tuple[str | int, Any]]:
    """Pair every source with its name: the key of a mapping, else its position."""
    if isinstance(sources, str | Path | nn.Module) or _is_state_dict(sources):
        return [(0, sources)]
    if isinstance(sources, Mapping):
        if paths := [name for name, source in sources.items() if isinstance(source, str | Path)]:
            raise GenpredictError(
                f"sources: a mapping names networks at hand, but {paths[0]!r} is a path; give "
                f"paths in a list, they are named by themselves"
            )
        return sources.items()
    return enumerate(sources)


def _is_state_dict(source: object) -> bool:
    return isinstance(source, Mapping) and any(isinstance(v, Tensor) for v in source.values())


def _tensors(name: str, network: Network) -> Mapping[str, Tensor]:
    """Return the tensors of a Module or state dict."""
    if isinstance(network, nn.Module):
        state = network.state_dict()
        tensors = {key: value for key, value in state.items() if isinstance(value, Tensor)}
        return without_prefixes(tensors, module_types(network))
    if isinstance(network, NamedTensors):
        return network
    if _is_state_dict(network):
        return strip_prefixes({k: v for k, v in network.items() if isinstance(v, Tensor)})
    raise CheckpointError(
        name, f"cannot score a {type(network).__name__}; give a path, a Module or a state dict"
    )
