"""Appendix E.5: images of a Wasserstein GAN by optimizer.

    python analysis/gan/study.py

Reads results/runs.nc and writes the tables and the figure beside it.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
import xarray as xr

import genpredict
from genpredict.datasets import load_dataset
from genpredict.figures import save, share_legend
from genpredict.figures.style import styled
from genpredict.training import (
    compare_runs,
    curve_bands,
    mean_intervals,
    runs_of_best_settings,
)
from genpredict.training.frechet import frechet_distance

HERE = Path(__file__).parent
DPI = 150
RUNS = HERE / "results" / "runs.nc"
CHOSEN_BY, TARGET = "train_frechet_distance", "test_frechet_distance"
#: Images that an evaluation makes and looks at.
MADE = 500


def main(output: Path = HERE / "results") -> None:
    """Choose learning rates by training images; tell the distance from test images."""
    output.mkdir(exist_ok=True)
    runs = xr.load_dataset(RUNS, engine="scipy")
    best = runs_of_best_settings(runs, by=CHOSEN_BY)
    cells = mean_intervals(compare_runs(best, rows="network", target=TARGET))
    table = cells.merge(course(best).reset_index(), on="optimizer")
    table.to_csv(output / "distance.csv", index=False, float_format="%.4g")
    rates = mean_intervals(compare_runs(runs, rows="optimizer", columns="lr", target=TARGET))
    rates.to_csv(output / "learning_rates.csv", index=False, float_format="%.4g")
    known = bounds()
    pd.Series(known, name=TARGET).to_csv(
        output / "bounds.csv", index_label="images", float_format="%.4g"
    )
    save(drawn(best, known), output / "distance.png", dpi=DPI)


def course(best: xr.Dataset) -> pd.DataFrame:
    """Tell the rate chosen, what became of it, and how far the end is above the least distance."""
    frame = pd.DataFrame({name: best[name].to_series() for name in ("optimizer", "lr")})
    frame["highest_mean_rate"] = best["learning_rate"].max("epoch").to_series()
    frame["layers_with_signal"] = best["layers_with_signal"].isel(epoch=-1).to_series()
    distance = best[TARGET]
    frame["end_over_least"] = (distance.isel(epoch=-1) / distance.min("epoch")).to_series()
    return frame.groupby("optimizer").mean()


def bounds() -> dict[str, float]:
    """Return how far the mean training image, and training images, are from test images."""
    digits = load_dataset("digits")
    train, test = (2 * part[:MADE] - 1 for part in (digits.train_images, digits.test_images))
    mean = (2 * digits.train_images - 1).mean(0, keepdim=True).expand(MADE, -1, -1, -1)
    known = {"the mean image": mean, "training images": train}
    return {name: frechet_distance(images, test) for name, images in known.items()}


def drawn(best: xr.Dataset, known: dict[str, float]) -> plt.Figure:
    """Draw distance with its bounds, critic's loss and mean learning rate, at the rates chosen."""
    end = int(best["epoch"][-1])
    with styled():
        figure, axes = plt.subplots(1, 3, figsize=(7, 2.4), layout="constrained")
        for ax, name, label in zip(
            axes,
            (TARGET, "test_loss", "learning_rate"),
            ("Fréchet distance from test images", "critic's loss, test images", "learning rate"),
            strict=True,
        ):
            bands = curve_bands(best, y=name, by=["optimizer"])
            genpredict.plot_curves(bands, y_label=label, log=name != "test_loss", ax=ax)
        share_legend(axes)
        for name, bound in known.items():
            axes[0].axhline(bound, color="0.6", linewidth=0.6, linestyle=":")
            axes[0].annotate(name, (end, bound), ha="right", va="bottom", color="0.4", fontsize=7)
    return figure


if __name__ == "__main__":
    main()
