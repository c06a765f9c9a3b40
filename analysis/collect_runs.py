"""Keep of a sweep's runs what a study draws: numbers of every epoch, without weights.

    python analysis/collect_runs.py RUNS -o analysis/STUDY/results/runs.nc

Over (run, epoch), in single precision: every number of the histories that any run has, and in how
many layers EVBMF finds a signal; along run the settings that studies go by.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import xarray as xr

import genpredict
from genpredict.training.run_folders import find_runs

SETTINGS = ("network", "optimizer", "seed", "lr", "beta", "cutout_holes", "status")


def collect(folder: Path) -> xr.Dataset:
    """Open all runs, and count layers with a signal."""
    runs = genpredict.open_runs(folder)
    begun = [run for run in find_runs(folder) if run.id in runs["run"]]
    signals = [layers_with_signal(run.history) for run in begun]
    runs["layers_with_signal"] = xr.concat(signals, "run", join="outer").assign_coords(
        run=runs["run"]
    )
    kept = runs.dropna("epoch", how="all").drop_vars(
        [name for name in runs.data_vars if not runs[name].notnull().any()]
    )
    others = [name for name in kept.coords if name not in (*SETTINGS, "run", "epoch")]
    kept = kept.drop_vars(others).astype(dict.fromkeys(kept.data_vars, np.float32))
    return kept.assign_coords({name: ("run", kept[name].values.astype(str))
                               for name in ("network", "optimizer", "status")})  # fmt: skip


def layers_with_signal(history: xr.Dataset) -> xr.DataArray:
    """Count, for each epoch, the layers of which an unfolding has a rank above 0."""
    ranks = history["rank"].max("unfolding")
    counts = (ranks > 0).sum("layer").astype(np.float64)
    counts.attrs = {"long_name": "layers with a signal", "units": "1"}
    return counts


def main() -> None:
    """Read the folder off the command line, and save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()
    options.output.parent.mkdir(exist_ok=True)
    collect(options.runs).to_netcdf(options.output, engine="scipy")


if __name__ == "__main__":
    main()
