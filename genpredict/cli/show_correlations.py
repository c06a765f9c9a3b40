"""Correlations as a table for the terminal and for files."""

from __future__ import annotations

import io
import math
from collections.abc import Hashable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import xarray as xr
from rich.console import Console

from genpredict.cli.console import results_console
from genpredict.cli.spreadsheets import defused
from genpredict.cli.tables import print_folding
from genpredict.cli.text_tables import TEXT_TABLES
from genpredict.errors import GenpredictError
from genpredict.output_kinds import KIND
from genpredict.outputs import new_file, new_folder
from genpredict.stats import to_table
from genpredict.stats.known_coefficients import COEFFICIENTS
from genpredict.stats.power import power_sentence
from genpredict.stats.tables import choices_text, disagreements, stars

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
        if sentence := power_sentence(correlations, str(target), str(group)):
            out.print(sentence, markup=False)
    for line in _legend(correlations):
        out.print(line, markup=False)


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


def _legend(correlations: xr.Dataset) -> Iterator[str]:
    """Say what the cells mean."""
    intervals = sorted({str(kind) for kind in correlations["interval"].values})
    attrs = correlations.attrs
    at_once = ", all at once" if "rocc_simultaneous_lower" in correlations else ""
    yield (
        f"signed estimate [{attrs['level'] * 100:g} % interval{at_once}]; * ** *** adjusted p "
        f"(Holm, {_FAMILIES[attrs['family']]}) below .05 .01 .001; "
        f"intervals: {', '.join(intervals)}"
    )
    if at_once:
        return
    without_star, with_star = disagreements(correlations)
    if without_star:
        yield (
            f"intervals that exclude 0 without a star: {without_star}; an interval speaks of one "
            f"pair, a star of all {attrs['tests']} tests of a coefficient"
        )
    if with_star:
        yield (
            f"stars beside an interval that holds 0: {with_star}; a star speaks against "
            "independence, an interval of the size"
        )


def write_correlations(
    correlations: xr.Dataset, path: Path, *, overwrite: bool = False, inputs: Iterable[Path] = ()
) -> None:
    """Write correlations to .csv (long form), .nc, .zarr, or as text to .md or .tex.

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
            in_memory = io.BytesIO()  # HDF5 would want the lock that the file has already
            marked.to_netcdf(in_memory, engine="h5netcdf")
            partial.write_bytes(in_memory.getvalue())
    elif path.suffix == ".zarr":
        with new_folder(path, overwrite=overwrite, inputs=inputs) as folder:
            marked.to_zarr(folder, mode="w", consolidated=False, zarr_format=3)
    elif path.suffix in TEXT_TABLES:
        with new_file(path, overwrite=overwrite, inputs=inputs) as partial:
            partial.write_text(TEXT_TABLES[path.suffix](*_short(correlations)), encoding="utf-8")
    else:
        known = ", ".join([".csv", ".nc", ".zarr", *TEXT_TABLES])
        raise GenpredictError(f"{path}: the output must end in one of {known}")


def _short(correlations: xr.Dataset) -> tuple[list[str], list[list[str]], str]:
    """Return headings, rows and a caption, as they stand on the terminal."""
    rows = [
        [
            *(str(row["target"]), str(row["group"]), _measure(row), str(int(row["n"]))),
            *(_cell(row, name) for name in COEFFICIENTS),
        ]
        for row in to_table(correlations).to_dict("records")
    ]
    headings = ["target", "group", "measure", "n", *(name.upper() for name in COEFFICIENTS)]
    return headings, rows, " ".join([choices_text(correlations), *_legend(correlations)]).strip()


def _measure(row: Mapping[Hashable, Any]) -> str:
    power = "" if pd.isna(row["p"]) else f"p = {row['p']}"
    parts = [str(row["measure"]), str(row["factorization"]).replace("_", " "), power]
    return ", ".join(part for part in parts if part)


def _cell(row: Mapping[Hashable, Any], name: str) -> str:
    """Return estimate, interval and stars."""
    kind = "_simultaneous" if f"{name}_simultaneous_lower" in row else ""
    parts = ("", f"{kind}_lower", f"{kind}_upper", "_pvalue_holm")
    estimate, lower, upper, p = (float(row[f"{name}{part}"]) for part in parts)
    if math.isnan(estimate):
        return ""
    interval = "" if math.isnan(lower) else f" [{lower:+.2f}, {upper:+.2f}]"
    return f"{estimate:+.2f}{interval} {stars(p)}"
