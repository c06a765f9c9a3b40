"""Appendix E.4: perplexity of a language model by optimizer.

    python analysis/language/study.py

Reads results/runs.nc and writes the tables and the figure beside it.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
import xarray as xr

import genpredict
from genpredict.datasets.text import load_text, made_up_perplexity, unigram_perplexity
from genpredict.figures import save, share_legend
from genpredict.figures.style import styled
from genpredict.training import (
    compare_runs,
    curve_bands,
    mean_intervals,
    runs_of_best_settings,
)

HERE = Path(__file__).parent
DPI = 150
RUNS = HERE / "results" / "runs.nc"
CHOSEN_BY, TARGET = "validation_perplexity", "test_perplexity"


def main(output: Path = HERE / "results") -> None:
    """Choose each optimizer's learning rate on the validation text; tell its test perplexity."""
    output.mkdir(exist_ok=True)
    runs = xr.load_dataset(RUNS, engine="scipy")
    best = runs_of_best_settings(runs, by=CHOSEN_BY)
    cells = mean_intervals(compare_runs(best, rows="network", target=TARGET))
    table = cells.merge(inside(best).reset_index(), on=["network", "optimizer"])
    table.to_csv(output / "perplexity.csv", index=False, float_format="%.4g")
    rates = [
        mean_intervals(compare_runs(part, rows="optimizer", columns="lr", target=TARGET)).assign(
            network=network
        )
        for network, part in runs.groupby("network")
    ]
    pd.concat(rates).to_csv(output / "learning_rates.csv", index=False, float_format="%.4g")
    known = bounds()
    pd.Series(known, name=TARGET).to_csv(
        output / "bounds.csv", index_label="bound", float_format="%.4g"
    )
    save(drawn(best, known), output / "perplexity.png", dpi=DPI)


def inside(best: xr.Dataset) -> pd.DataFrame:
    """Tell the rate chosen, what became of it, and in how many layers there is a signal."""
    names = ["network", "optimizer", "lr"]
    frame = pd.DataFrame({name: best[name].to_series() for name in names})
    frame["highest_mean_rate"] = best["learning_rate"].max("epoch").to_series()
    frame["last_mean_rate"] = best["learning_rate"].isel(epoch=-1).to_series()
    frame["layers_with_signal"] = best["layers_with_signal"].isel(epoch=-1).to_series()
    return frame.groupby(["network", "optimizer"]).mean()


def bounds() -> dict[str, float]:
    """Return the least perplexity that the grammar allows, and that of counted words."""
    return {
        "least possible": made_up_perplexity(),
        "words counted": unigram_perplexity(load_text()),
    }


def drawn(best: xr.Dataset, known: dict[str, float]) -> plt.Figure:
    """Draw perplexity above the least possible, and mean learning rate, at the rates chosen."""
    least, counted = known["least possible"], known["words counted"]
    best = best.assign(above_least=best[TARGET] - least)
    labels = {
        "above_least": f"test perplexity above {least:.2f}",
        "learning_rate": "learning rate, mean over layers",
    }
    with styled():
        figure, axes = plt.subplots(1, 2, figsize=(7, 2.6), layout="constrained")
        for ax, (name, label) in zip(axes, labels.items(), strict=True):
            bands = curve_bands(best, y=name, by=["optimizer"])
            genpredict.plot_curves(bands, y_label=label, log=True, ax=ax)
        share_legend(axes)
        axes[0].axhline(counted - least, xmin=0.7, color="0.6", linewidth=0.6, linestyle=":")
        end = int(best["epoch"][-1])
        axes[0].annotate(
            "words counted", (end, counted - least), ha="right", va="bottom", fontsize=7
        )
    return figure


if __name__ == "__main__":
    main()
