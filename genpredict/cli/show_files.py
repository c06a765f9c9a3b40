"""What is in a checkpoint file, folder or archive."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from genpredict.cli import console
from genpredict.cli.listings import MOST_ROWS, print_listing
from genpredict.cli.spreadsheets import defused
from genpredict.errors import CheckpointError
from genpredict.outputs import new_file
from genpredict.row_checks import plain
from genpredict.store.reading import check_store

if TYPE_CHECKING:
    from genpredict.checkpoints import Checkpoint


def show_checkpoints(
    path: Path,
    *,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    also: Sequence[str] = (),
    network: str = "",
    output: Path | None = None,
    overwrite: bool = False,
) -> None:
    """Print which networks a checkpoint holds, which of its tensors are layers, and why not.

    Parameters
    ----------
    path : Path
        A checkpoint file, or a folder or archive, whose first checkpoint is shown.
    include, exclude, also : sequence of str
        Patterns on layer names.
    network : str
        Which of several networks in a file.
    output : Path, optional
        Write the table here as CSV.
    overwrite : bool
        Replace such a table.

    Raises
    ------
    CheckpointError
        When it cannot be read.
    StoreError
        When it is no checkpoint but a scores store that is damaged, or not there yet.
    """
    from genpredict.checkpoints import open_checkpoints  # and with it torch

    if looks_like_store(path):
        check_store(path)  # says what is wrong with it
    found = open_checkpoints(path, network=network)
    console.warn(found.warnings)
    checkpoint = next(iter(found), None)
    if checkpoint is None:
        raise CheckpointError(path, "holds no checkpoint")
    table = tensor_table(checkpoint, include=include, exclude=exclude, also=also)
    console.warn([f"{checkpoint.source}: {note}" for note in table.attrs["notes"]])
    out = console.results_console()
    for line in contents_lines(found.items[0].path):
        out.print(line, markup=False, soft_wrap=True)
    taken = int((table["taken as"] != "").sum())
    out.print(
        f"{checkpoint.id}: {taken} layers, {len(table) - taken} tensors left out", markup=False
    )
    if len(found.items) > 1:
        out.print(
            f"the first of {len(found.items)} networks in {path}; name another to see it",
            markup=False,
        )
    for name, value in checkpoint.metadata.items():
        out.print(f"  {name}: {console.printable(value)}", markup=False)
    if output is not None:
        with new_file(output, overwrite=overwrite, inputs=(path,), make_folder=False) as partial:
            defused(table).to_csv(partial, index=False)
        out.print(f"{len(table)} rows written to {output}", markup=False)
    else:
        print_listing(out, table, title="tensors", most=len(table))


def contents_lines(path: Path) -> list[str]:
    """Say which networks a file holds, what is put aside and why, and which numbers stand in it.

    Numbers such as ``best_acc`` are shown, and never taken as targets unless that is asked for.
    """
    from genpredict.checkpoints.file_targets import targets_in
    from genpredict.checkpoints.formats.registry import peek_file

    contents = peek_file(path)
    if contents is None:
        return []
    lines = [f"  network {network.name}" for network in contents.networks if network.name]
    lines += [
        f"  put aside: {console.printable(network.name) or 'the file itself'}: {reason}"
        for network, reason in contents.put_aside[:MOST_ROWS]
    ]
    targets = targets_in(contents.numbers)
    lines += [
        f"  says {console.printable(key)} = {value:g}"
        + (f": --targets-from-file takes it as {targets[key]}" if key in targets else "")
        for key, value in list(contents.numbers.items())[:MOST_ROWS]
    ]
    return lines


def looks_like_store(path: Path) -> bool:
    """Return whether a path is, or is to be, a scores store rather than a checkpoint."""
    is_group = any((path / name).exists() for name in ("zarr.json", ".zgroup"))
    return is_group or (path.suffix == ".zarr" and not path.is_file())


def tensor_table(
    checkpoint: Checkpoint,
    *,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    also: Sequence[str] = (),
) -> pd.DataFrame:
    """Return one row a layer, then one a tensor left out, with the reason.

    Parameters
    ----------
    checkpoint : Checkpoint
    include, exclude, also : sequence of str
        Patterns on layer names.

    Returns
    -------
    DataFrame
        Columns name, taken as ("conv", "linear" or ""), shape, dtype, reason; what must be said of
        the network in ``attrs["notes"]``.
    """
    from genpredict.layers import sort_tensors
    from genpredict.measuring import network_notes

    tensors = checkpoint.tensors()
    chosen = sort_tensors(tensors, include=include, exclude=exclude, also=also)
    rows: list[tuple[str, str, str, str, str]] = [
        (layer.name, layer.kind, _shape(layer.weight.shape), _dtype(layer.weight.dtype), "")
        for layer in chosen.layers
    ]
    rows += [(one.name, "", _shape(one.shape), one.dtype, one.reason) for one in chosen.left_out]
    texts = [tuple(map(plain, row)) for row in rows]
    table = pd.DataFrame(texts, columns=["name", "taken as", "shape", "dtype", "reason"])
    table.attrs["notes"] = network_notes(tensors, chosen)
    return table


def _shape(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape)) or "scalar"


def _dtype(dtype: object) -> str:
    return str(dtype).removeprefix("torch.")
