"""Table 1: test accuracy by optimizer and network.

    python analysis/table1_optimizers/study.py

Reads epochs.csv (all of CIFAR-10) and runs_10k.nc (10,000 training images, three seeds) of
analysis/results; writes results/ beside this file.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

import genpredict
from genpredict.figures import save
from genpredict.training import curve_bands, mean_intervals

HERE = Path(__file__).parent
DPI = 150
EPOCHS = HERE.parent / "results" / "epochs.csv"
RUNS = HERE.parent / "results" / "runs_10k.nc"
#: Of RMSGD, as the paper has it; other values are in fig3_rmsgd_dynamics.
BETA = 0.98


def main(output: Path = HERE / "results") -> None:
    """Take the last epoch of every finished run, and the mean and spread over seeds."""
    output.mkdir(exist_ok=True)
    epochs = pd.read_csv(EPOCHS)
    ends = epochs[(epochs["epoch"] == epochs["epochs"]) & (epochs["recipe"] == "paper")]
    groups = ends.groupby(["network", "optimizer"])["test_accuracy"]
    table = groups.agg(seeds="count", mean="mean", spread="std").reset_index()
    table["highest"] = best(epochs).reindex(table[["network", "optimizer"]]).to_numpy()
    table["rank"] = table.groupby("network")["mean"].rank(ascending=False).astype(int)
    table = table.sort_values(["network", "rank"])
    table.to_csv(output / "accuracy.csv", index=False, float_format="%.5g")
    text = table.round(2).astype(object).fillna("–").to_string(index=False)
    (output / "accuracy.txt").write_text(text + "\n", encoding="utf-8")
    runs = timed(of_the_recipe(xr.load_dataset(RUNS, engine="scipy")))
    matched(runs).to_csv(output / "accuracy_10k.csv", index=False, float_format="%.5g")
    plain = runs.isel(run=(runs["cutout_holes"] == 0).values)
    bands = curve_bands(plain, y="test_accuracy", by=["optimizer"])
    ax = genpredict.plot_curves(bands, y_label="test accuracy (%)")
    save(ax, output / "accuracy_10k.png", dpi=DPI)


def of_the_recipe(runs: xr.Dataset) -> xr.Dataset:
    """Leave out runs of RMSGD with another β than the paper's."""
    return runs.isel(run=(runs["beta"].isnull() | np.isclose(runs["beta"], BETA)).values)


def timed(runs: xr.Dataset) -> xr.Dataset:
    """Let an epoch of an optimizer take the least seconds that any of its epochs took.

    The runs shared two cores with other work, and what they took beyond that is the others'.
    """
    least = runs["seconds"].min("epoch").groupby("optimizer").min()
    seconds = least.sel(optimizer=runs["optimizer"]).drop_vars("optimizer")
    return runs.assign(elapsed=(seconds * runs["epoch"]).transpose("run", "epoch"))


def matched(runs: xr.Dataset) -> pd.DataFrame:
    """Compare after equal epochs, and after the seconds of the quickest; intervals over seeds."""
    tables = []
    for match in ("epochs", "seconds"):
        cells = mean_intervals(genpredict.compare_runs(runs, rows="cutout_holes", match=match))
        tables.append(cells.assign(matched=match).sort_values("mean", ascending=False))
    table = pd.concat(tables).sort_values(["matched", "cutout_holes"], kind="stable")
    return table[["matched", "cutout_holes", "optimizer", "n", "mean", "sd", "lower", "upper"]]


def best(epochs: pd.DataFrame) -> pd.Series:
    """Return the highest test accuracy of any epoch, the mean over seeds of finished runs."""
    finished = epochs.groupby("run").filter(lambda run: run["epoch"].max() == run["epochs"].max())
    highest = finished.groupby(["network", "optimizer", "seed"])["test_accuracy"].max()
    return highest.groupby(["network", "optimizer"]).mean()


if __name__ == "__main__":
    main()
