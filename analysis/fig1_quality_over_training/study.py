"""Figures 1a and 1b: raw and low-rank quality of layers over training, by optimizer.

    python analysis/fig1_quality_over_training/study.py

Reads analysis/results/histories.nc; writes results/ beside this file.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
import xarray as xr

import genpredict
from genpredict.figures import save
from genpredict.figures.style import GROUP_COLOURS, styled

HERE = Path(__file__).parent
DPI = 150
HISTORIES = HERE.parent / "results" / "histories.nc"
OPTIMIZERS = ("adam", "adagrad", "sgd", "rmsgd")
NETWORK = "resnet20"
TITLES = {"raw": "raw", "low_rank": "low-rank"}


def main(output: Path = HERE / "results") -> None:
    """Tell how quality changes in each run, and draw the layers of one run an optimizer."""
    output.mkdir(exist_ok=True)
    histories = xr.load_dataset(HISTORIES, engine="scipy")
    table = pd.DataFrame([changes(histories.sel(run=run)) for run in histories["run"].values])
    table.to_csv(output / "changes.csv", index=False, float_format="%.4g")
    save(by_layer(histories), output / "layers.png", dpi=DPI)
    save(by_network(histories), output / "networks.png", dpi=DPI)


def changes(run: xr.Dataset) -> dict[str, str | float]:
    """Compare quality after the first and after the last epoch of a run, entry by entry."""
    quality = run["quality"].sel(p=2)
    first, last = quality.sel(epoch=1), quality.isel(epoch=-1)
    low_rank, raw = ({"factorization": name} for name in ("low_rank", "raw"))
    signal = run["rank"] > 0
    entries = ["layer", "unfolding"]
    both = signal.sel(epoch=1) & signal.isel(epoch=-1)
    rise = last - first
    return {
        **{name: run[name].item() for name in ("network", "optimizer", "seed")},
        "test_accuracy": float(run["test_accuracy"][-1]),
        "entries": int(first.sel(low_rank).notnull().sum()),
        "rank_zero_first": int((run["rank"].sel(epoch=1) == 0).sum()),
        "rank_zero_last": int((run["rank"].isel(epoch=-1) == 0).sum()),
        "low_rank_first": float(first.sel(low_rank).mean(entries)),
        "low_rank_last": float(last.sel(low_rank).mean(entries)),
        "low_rank_share_rising": float((rise.sel(low_rank) > 0).sum() / rise.sel(low_rank).count()),
        "low_rank_rise_with_signal_at_both": float(rise.sel(low_rank).where(both).mean(entries)),
        "raw_first": float(first.sel(raw).mean(entries)),
        "raw_last": float(last.sel(raw).mean(entries)),
    }


def by_layer(histories: xr.Dataset) -> plt.Figure:
    """Draw the quality of every layer of the first run of each optimizer, raw and low rank."""
    figure, axes = plt.subplots(
        2, 4, figsize=(7, 3.8), sharex=True, sharey="row", layout="constrained"
    )
    for column, optimizer in enumerate(OPTIMIZERS):
        chosen = (histories["network"] == NETWORK) & (histories["optimizer"] == optimizer)
        run = histories.isel(run=int(chosen.values.argmax())).dropna(
            "layer", subset=["learning_rate"]
        )
        for row, (factorization, title) in enumerate(TITLES.items()):
            ax = axes[row, column]
            bar = axes if (row, column) == (1, 3) else False
            genpredict.plot_evolution(
                run, measure="quality", factorization=factorization, ax=ax, bar=bar
            )
            ax.set_title(f"{optimizer}, {title}" if row == 0 else title, fontsize="small")
            ax.set_ylabel("quality (rad)" if column == 0 else "")
            ax.set_xlabel("epoch" if row == 1 else "")
    return figure


def by_network(histories: xr.Dataset) -> plt.Figure:
    """Draw the mean quality over layers of every run, one panel a network."""
    networks = sorted(set(histories["network"].values.tolist()))
    quality = histories["quality"].sel(p=2).mean(["layer", "unfolding"])
    with styled():
        figure, axes = plt.subplots(
            2, len(networks), figsize=(7, 4), sharex=True, sharey="row", layout="constrained"
        )
        for column, network in enumerate(networks):
            for row, (factorization, title) in enumerate(TITLES.items()):
                ax = axes[row, column]
                for colour, optimizer in zip(GROUP_COLOURS, OPTIMIZERS, strict=False):
                    chosen = (histories["network"] == network) & (
                        histories["optimizer"] == optimizer
                    )
                    runs = quality.isel(run=chosen.values).sel(factorization=factorization)
                    lines = ax.plot(runs["epoch"], runs.transpose("epoch", "run"), color=colour)
                    lines[0].set_label(optimizer)
                ax.set_title(f"{network}: {number(histories, network)} runs" * (row == 0))
                ax.set_ylabel(f"mean {title} q (rad)" if column == 0 else "")
                ax.set_xlabel("epoch" if row == 1 else "")
        handles = axes[0, 0].get_legend_handles_labels()
        figure.legend(*handles, loc="outside right upper", frameon=False)
    return figure


def number(histories: xr.Dataset, network: str) -> int:
    """Count the runs of a network."""
    return int((histories["network"] == network).sum())


if __name__ == "__main__":
    main()
