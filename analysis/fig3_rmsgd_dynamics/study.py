"""Figures 3, 5 and 6: stable rank, condition number, quality and rates of RMSGD's layers.

    python analysis/fig3_rmsgd_dynamics/study.py

Reads histories.nc (layers of four runs) and runs_10k.nc (β) of analysis/results; writes results/
beside this file.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
import xarray as xr

import genpredict
from genpredict.figures import save, share_legend
from genpredict.figures.style import styled
from genpredict.training import compare_runs, curve_bands, mean_intervals

HERE = Path(__file__).parent
DPI = 150
HISTORIES = HERE.parent / "results" / "histories.nc"
RUNS = HERE.parent / "results" / "runs_10k.nc"
NETWORK = "resnet20"
#: Of every run that there is.
BETA = 0.98
MEASURES = {
    "stable_rank": "stable rank, p = 2",
    "condition_number": "condition number",
    "quality": "quality (rad), p = 2",
    "learning_rate": "learning rate",
}


def main(output: Path = HERE / "results") -> None:
    """Tell what the rates do in each run of RMSGD, and draw the layers of one."""
    output.mkdir(exist_ok=True)
    histories = xr.load_dataset(HISTORIES, engine="scipy")
    runs = histories.isel(run=(histories["optimizer"] == "rmsgd").values)
    rows = [rates(runs.sel(run=run)) for run in runs["run"].values]
    pd.DataFrame(rows).to_csv(output / "rates.csv", index=False, float_format="%.4g")
    run = runs.isel(run=int((runs["network"] == NETWORK).values.argmax()))
    save(drawn(run.dropna("layer", subset=["learning_rate"])), output / "layers.png", dpi=DPI)
    by_beta = plain_rmsgd(xr.load_dataset(RUNS, engine="scipy"))
    effects(by_beta).to_csv(output / "beta.csv", float_format="%.4g")
    save(drawn_by_beta(by_beta), output / "beta.png", dpi=DPI)


def plain_rmsgd(runs: xr.Dataset) -> xr.Dataset:
    """Keep RMSGD's runs without cutout, by β."""
    chosen = (runs["optimizer"] == "rmsgd") & (runs["cutout_holes"] == 0)
    return runs.isel(run=chosen.values).sortby(["beta", "seed"])


def effects(runs: xr.Dataset) -> pd.DataFrame:
    """Tell, for each β, test accuracy over seeds, and the course of the mean rate."""
    ends = mean_intervals(compare_runs(runs, rows="network", columns="beta"))
    ends = ends.set_index("beta")[["n", "mean", "sd", "lower", "upper"]]
    rate = runs["learning_rate"]  # the mean over layers
    course = {
        "highest_test_accuracy": runs["test_accuracy"].max("epoch"),
        "highest_mean_rate": rate.max("epoch"),
        "last_mean_rate": rate.isel(epoch=-1),
        "peak_epoch": rate["epoch"][rate.argmax("epoch")],
    }
    means = pd.DataFrame({name: numbers.to_series() for name, numbers in course.items()})
    return ends.join(means.groupby(runs["beta"].to_series()).mean())


def drawn_by_beta(runs: xr.Dataset) -> plt.Figure:
    """Draw mean rate and test accuracy over the epochs, a curve with a band for each β."""
    labels = {
        "learning_rate": "learning rate, mean over layers",
        "test_accuracy": "test accuracy (%)",
    }
    with styled():
        figure, axes = plt.subplots(1, 2, figsize=(7, 2.6), layout="constrained")
        for ax, (name, label) in zip(axes, labels.items(), strict=True):
            bands = curve_bands(runs, y=name, by=["beta"])
            bands["group"] = "β = " + bands["group"]
            genpredict.plot_curves(bands, y_label=label, ax=ax)
        share_legend(axes)
    return figure


def rates(run: xr.Dataset) -> dict[str, str | float]:
    """Tell when the rates of a run's layers peak, and what share of their gain is the first jump.

    A gain is what η_ℓ(t) has more than β·η_ℓ(t−1); its first one falls in the epoch in which the
    layer's low-rank spectrum has its first signal.
    """
    rate = run["learning_rate"].dropna("layer", how="all")

    gain = (rate.shift(epoch=-1) - BETA * rate).isel(epoch=slice(0, -1))
    waiting = rate.isel(epoch=slice(0, -1)) == rate.shift(epoch=-1).isel(epoch=slice(0, -1))
    gain = gain.where(~waiting, 0).clip(min=0)
    first = gain.isel(epoch=(gain > 0).argmax("epoch"))
    peak = rate["epoch"][rate.argmax("epoch")]
    last = rate.isel(epoch=-1)
    return {
        **{name: run[name].item() for name in ("network", "seed")},
        "beta": BETA,
        "test_accuracy": float(run["test_accuracy"][-1]),
        "highest_test_accuracy": float(run["test_accuracy"].max()),
        "layers": rate.sizes["layer"],
        "median_first_rate": float(rate.isel(epoch=0).median()),
        "median_last_rate": float(last.median()),
        "median_peak_epoch": float(peak.median()),
        "layers_at_peak_at_the_end": int((last == rate.max("epoch")).sum()),
        "share_of_gain_in_first_jump": float(first.sum() / gain.sum()),
    }


def drawn(run: xr.Dataset) -> plt.Figure:
    """Draw four numbers of every layer over the epochs of a run."""
    figure, axes = plt.subplots(2, 2, figsize=(7, 4.5), sharex=True, layout="constrained")
    for place, (ax, (measure, title)) in enumerate(zip(axes.flat, MEASURES.items(), strict=True)):
        bar = axes if place == axes.size - 1 else False
        genpredict.plot_evolution(run, measure=measure, ax=ax, bar=bar)
        ax.set_ylabel(title)
        ax.set_xlabel("epoch" if place > 1 else "")
    figure.suptitle(
        f"RMSGD, β = 0.98, {run['network'].item()}, one of four runs; out-channel, low rank",
        fontsize="small",
    )
    return figure


if __name__ == "__main__":
    main()
