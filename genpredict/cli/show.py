"""What is in a scores store, as tables for the terminal and for CSV files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import xarray as xr
from rich.console import Console

from genpredict.cli import console
from genpredict.cli.listings import MOST_ROWS, print_listing
from genpredict.cli.spreadsheets import defused
from genpredict.options import measures_of
from genpredict.outputs import new_file
from genpredict.schema import MAIN_CHOICE, MAIN_CHOICE_NAME
from genpredict.store.label_noise import noise_note
from genpredict.store.reading import open_scores

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
        print_listing(out, shown, title=f"layers ({MAIN_CHOICE_NAME})", most=MOST_ROWS)
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
        print_listing(out, rows, title=f"checkpoints by Q ({MAIN_CHOICE_NAME})", most=len(rows))
        return
    print_listing(out, rows.head(ENDS), title=f"highest Q ({MAIN_CHOICE_NAME})", most=ENDS)
    print_listing(out, rows.tail(ENDS), title=f"lowest Q ({MAIN_CHOICE_NAME})", most=ENDS)
