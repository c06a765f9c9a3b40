"""Table 1: test accuracy by optimizer and network.

    python analysis/table1_optimizers/study.py

Reads analysis/results/epochs.csv; writes results/ beside this file.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

HERE = Path(__file__).parent
EPOCHS = HERE.parent / "results" / "epochs.csv"


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


def best(epochs: pd.DataFrame) -> pd.Series:
    """Return the highest test accuracy of any epoch, the mean over seeds of finished runs."""
    finished = epochs.groupby("run").filter(lambda run: run["epoch"].max() == run["epochs"].max())
    highest = finished.groupby(["network", "optimizer", "seed"])["test_accuracy"].max()
    return highest.groupby(["network", "optimizer"]).mean()


if __name__ == "__main__":
    main()
