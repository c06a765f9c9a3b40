"""Figure 15: seconds per epoch by optimizer and network.

    python analysis/fig15_epoch_times/study.py

Reads analysis/results/epochs.csv; writes results/ beside this file.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd

from genpredict.figures import save
from genpredict.figures.style import GROUP_COLOURS, styled

HERE = Path(__file__).parent
DPI = 150
EPOCHS = HERE.parent / "results" / "epochs.csv"
OPTIMIZERS = ["sgd", "rmsgd", "sgdp", "sam"]


def main(output: Path = HERE / "results") -> None:
    """Take quartiles over epochs, relative to SGD's median on the same network; draw."""
    output.mkdir(exist_ok=True)
    epochs = pd.read_csv(EPOCHS)
    epochs = epochs[(epochs["recipe"] == "paper") & (epochs["epoch"] > 1)]  # the first warms up
    seconds = epochs.groupby(["network", "optimizer"])["seconds"]
    table = seconds.quantile([0.25, 0.5, 0.75]).unstack()
    table.columns = ["quarter", "median", "three_quarters"]
    table.insert(0, "epochs", seconds.count())
    plain = table.xs("sgd", level="optimizer")["median"]
    table["times_sgd"] = table["median"] / plain.reindex(table.index, level="network")
    table.reset_index().to_csv(output / "seconds.csv", index=False, float_format="%.4g")
    save(drawn(table), output / "seconds.png", dpi=DPI)


def drawn(table: pd.DataFrame) -> plt.Figure:
    """Draw the median of every optimizer of the paper's figure, with quartiles as bars."""
    networks = table.index.unique("network")
    with styled():
        figure, axes = plt.subplots(1, len(networks), figsize=(7, 2.4), layout="constrained")
        for ax, network in zip(axes, networks, strict=True):
            rows = table.loc[network].reindex(OPTIMIZERS)
            bars = [rows["median"] - rows["quarter"], rows["three_quarters"] - rows["median"]]
            ax.bar(OPTIMIZERS, rows["median"], yerr=bars, color=GROUP_COLOURS[0])
            ax.set_title(f"{network}, n = {'/'.join(rows['epochs'].astype(int).astype(str))}")
        axes[0].set_ylabel("seconds per epoch")
    return figure


if __name__ == "__main__":
    main()
