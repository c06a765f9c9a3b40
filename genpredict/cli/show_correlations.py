"""Correlations as a table for the terminal and for files."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray
from rich.console import Console

from genpredict.cli.show import results_console
from genpredict.cli.spreadsheets import defused
from genpredict.cli.tables import print_folding
from genpredict.errors import GenpredictError
from genpredict.outputs import KIND, new_file, new_folder
from genpredict.stats import to_table
from genpredict.stats.known_coefficients import COEFFICIENTS
from genpredict.stats.tables import choices_text, intervals_without_star, stars

#: What made a table, noted in its netCDF and Zarr forms.
_KIND = "correlations"
#: Over what the p-values are adjusted, by `family`.
_FAMILIES = {"table": "over the table", "group": "over each group"}


def show_correlations(correlations: xr.Dataset) -> None:
    """Print a table for each target and group, baselines included.

    Parameters
    ----------
    correlations : Dataset
        As of `stats.correlate`.
    """
    out = results_console()
    table = to_table(correlations)
    chosen = choices_text(correlations)
    for (group, target), rows in table.groupby(["group", "target"], sort=False):
        if rows[list(COEFFICIENTS)].isna().all(axis=None):
            n = int(rows["n"].max())
            out.print(f"{target}, {group}: nothing to tell from {n} checkpoints", markup=False)
            continue
        title = ", ".join(part for part in (str(target), str(group), chosen) if part)
        headings = ["measure", "n", *(name.upper() for name in COEFFICIENTS)]
        cells = [
            [_measure(row), str(int(row["n"])), *(_cell(row, name) for name in COEFFICIENTS)]
            for row in rows.to_dict("records")
        ]
        print_folding(out, headings, cells, title=title, right=["n"], keep=2)
        _print_clusters(out, rows)
    _print_legend(out, correlations)


def _print_clusters(out: Console, rows: pd.DataFrame) -> None:
    """Say how many clusters a table has and how alike they are, and why numbers are missing."""
    clusters, n = int(rows["n_clusters"].max()), int(rows["n"].max())
    if clusters < n:
        alike = [rows[f"icc_{which}"].max() for which in ("measure", "target")]
        out.print(
            f"{clusters} clusters of {n} checkpoints; intraclass correlation up to "
            f"{alike[0]:.2f} (measures), {alike[1]:.2f} (target)",
            markup=False,
        )
    for note, noted in rows[rows["note"] != ""].groupby("note", sort=False):
        names = ", ".join(str(label) for label in noted["label"])
        out.print(f"{names}: {note}", markup=False)


def _print_legend(out: Console, correlations: xr.Dataset) -> None:
    intervals = sorted({str(kind) for kind in correlations["interval"].values})
    attrs = correlations.attrs
    out.print(
        f"signed estimate [{attrs['level'] * 100:g} % interval]; * ** *** adjusted p "
        f"(Holm, {_FAMILIES[attrs['family']]}) below .05 .01 .001; "
        f"intervals: {', '.join(intervals)}",
        markup=False,
    )
    alone = intervals_without_star(correlations)
    if alone:
        out.print(
            f"{alone} intervals exclude 0 without a star: an interval speaks of one pair, "
            f"a star of all {attrs['tests']} tests of a coefficient",
            markup=False,
        )


def write_correlations(
    correlations: xr.Dataset, path: Path, *, overwrite: bool = False, inputs: Iterable[Path] = ()
) -> None:
    """Write correlations to .csv (long form), .nc or .zarr.

    Parameters
    ----------
    correlations : Dataset
        As of `stats.correlate`.
    path : Path
    overwrite : bool
        Replace such a table.
    inputs : iterable of Path
        What the correlations are of.

    Raises
    ------
    GenpredictError
        For another suffix, or where the file may not or cannot be written.
    """
    marked = correlations.assign_attrs({KIND: _KIND})
    if path.suffix == ".csv":
        with new_file(path, overwrite=overwrite, inputs=inputs) as partial:
            defused(to_table(correlations)).to_csv(partial, index=False)
    elif path.suffix == ".nc":
        mark = KIND.encode()
        with new_file(path, overwrite=overwrite, inputs=inputs, mark=mark) as partial:
            _with_plain_texts(marked).to_netcdf(partial, engine="scipy")
    elif path.suffix == ".zarr":
        with new_folder(path, overwrite=overwrite, inputs=inputs) as folder:
            marked.to_zarr(folder, mode="w", consolidated=False, zarr_format=3)
    else:
        raise GenpredictError(f"{path}: the output must end in .csv, .nc or .zarr")


def _with_plain_texts(correlations: xr.Dataset) -> xr.Dataset:
    """Make texts bytes of UTF-8, which is what netCDF 3 can hold."""
    texts = {
        name: (variable.dims, _encoded(variable.values))
        for name, variable in correlations.variables.items()
        if variable.dtype.kind in "OUT"
    }
    coords = {name: texts[name] for name in texts if name in correlations.coords}
    return correlations.assign({n: t for n, t in texts.items() if n not in coords}).assign_coords(
        coords
    )


def _encoded(texts: NDArray[Any]) -> NDArray[np.bytes_]:
    flat = [str(text).encode() for text in texts.ravel()]
    return np.array(flat, dtype=np.bytes_).reshape(texts.shape)


def _measure(row: Mapping[Hashable, Any]) -> str:
    power = "" if pd.isna(row["p"]) else f"p = {row['p']}"
    parts = [str(row["measure"]), str(row["factorization"]).replace("_", " "), power]
    return ", ".join(part for part in parts if part)


def _cell(row: Mapping[Hashable, Any], name: str) -> str:
    """Return estimate, interval and stars."""
    estimate, lower, upper, p = (
        float(row[f"{name}{part}"]) for part in ("", "_lower", "_upper", "_pvalue_holm")
    )
    if math.isnan(estimate):
        return ""
    interval = "" if math.isnan(lower) else f" [{lower:+.2f}, {upper:+.2f}]"
    return f"{estimate:+.2f}{interval} {stars(p)}"
