"""Put the histories of runs together: epochs.csv, and histories.nc of some of them, by layer.

    python analysis/collect_histories.py RUNS… -o analysis/results --layers resnet20 --layers …

epochs.csv has a row for every epoch of every run, also of runs that were cut off before their last
epoch; histories.nc the measures of every layer, over (run, epoch, layer, …), in single precision,
of the finished runs whose optimizer --layers names.
"""

from __future__ import annotations

import argparse
import tomllib
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

SETTINGS = ("network", "dataset", "optimizer", "seed", "recipe", "epochs")
NUMBERS = ("train_accuracy", "test_accuracy", "train_loss", "test_loss", "running_accuracy",
           "seconds")  # fmt: skip
LAYER_NUMBERS = ("quality", "stable_rank", "condition_number", "rank", "learning_rate")


def opened(folder: Path) -> xr.Dataset:
    """Open the history of a run, with its settings as coordinates."""
    settings = tomllib.loads((folder / "config.toml").read_text(encoding="utf-8"))
    history = xr.load_dataset(folder / "history.nc", engine="scipy")
    named = {name: settings[name] for name in SETTINGS}
    return history.assign_coords(run=folder.name, **named)


def epochs(histories: list[xr.Dataset]) -> pd.DataFrame:
    """Return a row an epoch."""
    tables = [h[list(NUMBERS)].to_dataframe() for h in histories]
    table = pd.concat([table.reset_index() for table in tables])
    return table[["run", *SETTINGS, "epoch", *NUMBERS]].sort_values(["run", "epoch"])


def by_layer(histories: list[xr.Dataset]) -> xr.Dataset:
    """Join the measures of layers over runs; networks of fewer layers are padded."""
    parts = [h[[*LAYER_NUMBERS, "test_accuracy"]].sel(p=[2]) for h in histories]
    joined = xr.concat(parts, "run", join="outer", coords="different", compat="equals")
    for name in ("layer_name", "layer_kind", "layer_shape"):
        joined[name] = joined[name].fillna("")
    return joined.astype(dict.fromkeys(joined.data_vars, np.float32))


def main() -> None:
    """Read the runs off the command line, and save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--layers", nargs="*", default=[], metavar="OPTIMIZER")
    options = parser.parse_args()
    folders = [path.parent for runs in options.runs for path in sorted(runs.glob("*/history.nc"))]
    histories = [opened(folder) for folder in folders]
    options.output.mkdir(exist_ok=True)
    epochs(histories).to_csv(options.output / "epochs.csv", index=False, float_format="%.6g")
    finished = [
        history
        for history in histories
        if history["optimizer"] in options.layers and history["epoch"][-1] == history["epochs"]
    ]
    by_layer(finished).to_netcdf(options.output / "histories.nc", engine="scipy")


if __name__ == "__main__":
    main()
