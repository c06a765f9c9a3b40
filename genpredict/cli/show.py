"""What is in a scores store or a checkpoint, as tables for the terminal and for CSV files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import xarray as xr
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from genpredict.cli import console
from genpredict.cli.spreadsheets import defused
from genpredict.errors import CheckpointError
from genpredict.options import measures_of
from genpredict.outputs import new_file
from genpredict.row_checks import plain
from genpredict.schema import MAIN_CHOICE, MAIN_CHOICE_NAME
from genpredict.store.label_noise import noise_note
from genpredict.store.reading import check_store, open_scores

if TYPE_CHECKING:
    from genpredict.checkpoints import Checkpoint

#: Rows of a table on the terminal; a CSV file holds all.
MOST_ROWS = 40
#: Networks listed from the top and the bottom by Q.
ENDS = 5
_HEADINGS = {
    "Q_adjusted": "Q adjusted",
    "num_parameters": "parameters",
    "num_layers": "layers",
    "num_rank_zero": "rank 0",
    "num_rank_one": "rank 1",
    "train_accuracy": "train %",
    "test_accuracy": "test %",
    "generalization_gap": "gap",
}
#: Columns of the layer table that fit on a terminal, and their headings there.
_LAYER_HEADINGS = {
    "checkpoint": "checkpoint",
    "layer_name": "layer",
    "layer_shape": "shape",
    "unfolding": "unfolding",
    "rank": "rank",
    "noise_variance": "noise variance",
    "stable_rank_low_rank_p2": "stable rank",
    "condition_number_low_rank": "condition",
    "quality_low_rank_p2": "quality",
}
_FORMATS = dict.fromkeys(("Q", "Q adjusted", "stable rank", "condition", "quality"), ".4f")
_FORMATS |= dict.fromkeys(("train %", "test %", "gap"), ".2f")
_FORMATS |= dict.fromkeys(("parameters", "layers", "rank 0", "rank 1", "rank"), ".0f")
#: What goes first where a terminal is too narrow, and how narrow texts may become.
_LESS_NEEDED = (
    "parameters",
    "layers",
    "train %",
    "noise variance",
    "rank 0",
    "shape",
    "gap",
    "condition",
    "rank 1",
    "stable rank",
)
NARROWEST_TEXT = 12
_NUMBERS = ("Q", "Q_adjusted", "num_parameters", "num_layers", "num_rank_zero", "num_rank_one")
_TARGETS = ("train_accuracy", "test_accuracy", "generalization_gap")


def show_store(
    path: Path,
    *,
    layers: bool = False,
    json: bool = False,
    output: Path | None = None,
    overwrite: bool = False,
) -> None:
    """Print what a store holds: counts, failures, the ends of the ranking by Q, or all layers.

    Parameters
    ----------
    path : Path
        A scores store.
    layers : bool
        List every measure of every layer instead of networks.
    json : bool
        Print the whole table as JSON, with what is known of the checkpoints; the rest to stderr.
    output : Path, optional
        Write the whole table here as CSV, likewise.
    overwrite : bool
        Replace such a table.
    """
    scores = open_scores(path)
    out = console.stderr if json else console.results_console()
    noise = noise_note(scores)
    for line in [_summary(path, scores), *failure_lines(scores), *([noise] if noise else [])]:
        out.print(line, markup=False, soft_wrap=not out.is_terminal)
    whole = json or output is not None
    table = layer_table(scores) if layers else network_table(scores, metadata=whole)
    if json:
        print(table.reset_index().to_json(orient="records", indent=2))  # noqa: T201  the result
    if output is not None:
        with new_file(output, overwrite=overwrite, inputs=(path,), make_folder=False) as partial:
            defused(table).to_csv(partial)
        out.print(f"{len(table)} rows written to {output}", markup=False)
    elif json:
        return
    elif layers:
        shown = table.reset_index()[list(_LAYER_HEADINGS)].rename(columns=_LAYER_HEADINGS)
        _print(out, shown, title=f"layers ({MAIN_CHOICE_NAME})", most=MOST_ROWS)
    else:
        _print_ends(out, table)


def network_table(scores: xr.Dataset, *, metadata: bool = False) -> pd.DataFrame:
    """Return one row a scored checkpoint: Q (low rank, p = 2), counts and targets, best Q first.

    Parameters
    ----------
    scores : Dataset
        As of `open_scores`.
    metadata : bool
        Whatever else is known of the checkpoints, too: network, optimizer, epoch, ….

    Returns
    -------
    DataFrame, indexed by checkpoint
        Accuracies in percent.
    """
    done = scores.isel(checkpoint=(scores["status"] == "done").values)
    chosen = done.sel(MAIN_CHOICE)
    names = [name for name in (*_NUMBERS, *_TARGETS) if name in chosen.variables]
    if metadata:
        known = [str(n) for n, v in chosen.coords.items() if v.dims == ("checkpoint",)]
        names += [name for name in known if name not in (*names, "checkpoint")]
    table = pd.DataFrame(
        {name: chosen[name].values for name in names},
        index=pd.Index(chosen["checkpoint"].values, name="checkpoint"),
    )
    return table.sort_values("Q", ascending=False, kind="stable")


def layer_table(scores: xr.Dataset) -> pd.DataFrame:
    """Return one row an entry (checkpoint, layer, unfolding), a column a measure.

    Measures of a factorization and a power carry them in their names: ``quality_low_rank_p2``.

    Parameters
    ----------
    scores : Dataset
        As of `open_scores`.

    Returns
    -------
    DataFrame, indexed by checkpoint, layer and unfolding
    """
    columns: dict[str, xr.DataArray] = {
        name: scores[name] for name in ("layer_name", "layer_kind", "layer_shape")
    }
    for name in measures_of(scores.attrs):
        columns |= dict(_spread(name, scores[name]))
    table = xr.Dataset({k: v.reset_coords(drop=True) for k, v in columns.items()}).to_dataframe(
        dim_order=["checkpoint", "layer", "unfolding"]
    )
    return table[table["rank"].notna()]


def _spread(name: str, values: xr.DataArray) -> Iterator[tuple[str, xr.DataArray]]:
    """Yield a measure once for each factorization, power, … it has."""
    for dim in map(str, values.dims):
        if dim not in ("checkpoint", "layer", "unfolding"):
            prefix = "_p" if dim == "p" else "_"
            for label in values[dim].values:
                yield from _spread(f"{name}{prefix}{label}", values.sel({dim: label}))
            return
    yield name, values


def failure_lines(scores: xr.Dataset) -> list[str]:
    """Group failed checkpoints by reason, the commonest first."""
    failed = scores.isel(checkpoint=(scores["status"] == "failed").values)
    errors = pd.Series(failed["error"].values, index=failed["checkpoint"].values, dtype=object)
    reasons = errors.map(lambda text: text.partition(": ")[2] or text)
    once = ~reasons.duplicated(keep=False)
    reasons[once] = errors[once]  # a reason of its own keeps its file
    lines = []
    for reason, count in reasons.value_counts().items():
        names = list(reasons.index[reasons == reason])
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        firsts = ", ".join(map(console.printable, names[:3]))
        lines.append(f"failed ({count}): {console.printable(reason)}\n    {firsts}{more}")
    return lines


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
        _print(out, table, title="tensors", most=len(table))


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


def _summary(path: Path, scores: xr.Dataset) -> str:
    """Return the counts and choices of a store, in two lines."""
    counts = pd.Series(scores["status"].values).value_counts()
    states = ", ".join(f"{counts.get(state, 0)} {state}" for state in ("done", "failed", "pending"))
    choices = ", ".join(f"{k} {scores.attrs.get(k)}" for k in ("estimator", "dtype", "device"))
    return (
        f"{path}: {scores.sizes['checkpoint']} checkpoints ({states}), up to "
        f"{scores.sizes['layer']} layers\n{choices}; genpredict "
        f"{scores.attrs.get('genpredict_version')}; made by: "
        f"{console.printable(scores.attrs.get('command'))}{_extra_measures(scores)}"
    )


def _extra_measures(scores: xr.Dataset) -> str:
    """Return a line that names the measures besides those of every score, by group."""
    from genpredict.registry import known_measures, known_network_measures

    group_of = {name: row.group for name, row in known_measures().items()}
    group_of |= {name: row.group for name, row in known_network_measures().items()}
    groups: dict[str, list[str]] = {}
    for name, group in group_of.items():
        if name in scores.data_vars and group != "default":
            groups.setdefault(group, []).append(name)
    texts = [f"{group} ({', '.join(names)})" for group, names in groups.items()]
    return f"\nmeasures besides: {'; '.join(texts)}" if texts else ""


def _print_ends(out: Console, table: pd.DataFrame) -> None:
    """Print the networks with the highest and the lowest Q."""
    rows = table.reset_index().rename(columns=_HEADINGS)
    if len(rows) <= 2 * ENDS + 10:
        _print(out, rows, title=f"checkpoints by Q ({MAIN_CHOICE_NAME})", most=len(rows))
        return
    _print(out, rows.head(ENDS), title=f"highest Q ({MAIN_CHOICE_NAME})", most=ENDS)
    _print(out, rows.tail(ENDS), title=f"lowest Q ({MAIN_CHOICE_NAME})", most=ENDS)


def _print(out: Console, table: pd.DataFrame, *, title: str, most: int) -> None:
    """Print the first rows of a table; texts give way where the terminal is too narrow."""
    whole, table = table, _fitting(table, out.width)
    shown = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for name in table.columns:
        numeric = pd.api.types.is_numeric_dtype(table[name])
        shown.add_column(
            str(name), justify="right" if numeric else "left", no_wrap=numeric, overflow="fold"
        )
    for row in table.head(most).itertuples(index=False):
        shown.add_row(*[_cell(*pair) for pair in zip(table.columns, row, strict=True)])
    out.print(shown)
    if len(table) > most:
        out.print(f"and {len(table) - most} more rows; write all of them with -o FILE.csv")
    if absent := [str(name) for name in whole.columns if name and name not in table.columns]:
        line = f"no room for {', '.join(absent)}: a wider terminal shows them, and -o FILE.csv"
        out.print(line, markup=False)


def _fitting(table: pd.DataFrame, width: int) -> pd.DataFrame:
    """Leave out columns until the others fit, so that no number is cut."""
    for name in ("", *_LESS_NEEDED):
        table = table.drop(columns=name, errors="ignore")
        needs = [
            max(len(str(column)), *(len(_cell(column, value)) for value in table[column]), 0)
            for column in table.columns
            if pd.api.types.is_numeric_dtype(table[column])
        ]
        texts = len(table.columns) - len(needs)
        if sum(needs) + 3 * len(table.columns) + NARROWEST_TEXT * texts <= width:
            break
    return table


def _cell(column: str, value: object) -> str:
    if isinstance(value, float):
        return "" if pd.isna(value) else format(value, _FORMATS.get(column, ".4g"))
    return console.printable(value).replace("[", "\\[")
