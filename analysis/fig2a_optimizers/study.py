"""Figure 2a: measures and test accuracy over optimizers, networks and seeds.

    python analysis/fig2a_optimizers/study.py

Reads analysis/results/optimizers.zarr; writes results/ beside this file.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import xarray as xr

import genpredict
from genpredict.figures import save

HERE = Path(__file__).parent
DPI = 150
SCORES = HERE.parent / "results" / "optimizers.zarr"
#: Networks that diverged are left out of correlations; none has here.
TRAINED = "test_accuracy >= 20"
TARGETS = ["test_accuracy", "generalization_gap"]
MEASURES = [
    "Q_low_rank_p2",
    "Q_low_rank_p1",
    "Q_raw_p2",
    "Q_adjusted_low_rank_p2",
    "stable_rank_low_rank_p2",
    "stable_rank_raw_p2",
    "condition_number_raw",
    "effective_rank_low_rank",
    "effective_rank_raw",
    "rank",
    "log_prod_spectral_norm",
    "log_prod_frobenius_norm",
    "fro_over_spec",
    "hill_alpha",
    "alpha",
    "ww_alpha",
    "train_accuracy",
    "train_loss",
]
DRAWN = ["Q_low_rank_p2", "Q_adjusted_low_rank_p2", "log_prod_spectral_norm", "train_accuracy"]


def main(output: Path = HERE / "results") -> None:
    """Correlate over all networks, with the network held fixed, and within each; draw."""
    output.mkdir(exist_ok=True)
    scores = genpredict.open_scores(SCORES)
    chosen = {"measures": MEASURES, "targets": TARGETS, "where": TRAINED, "cluster": "optimizer"}
    within = genpredict.correlate(scores, by="network", family="group", **chosen)
    fixed = genpredict.correlate(scores, partial="network", **chosen)
    tables = [genpredict.to_table(within), genpredict.to_table(fixed)]
    tables[1]["group"] = "network held fixed"
    pd.concat(tables).to_csv(output / "correlations.csv", index=False, float_format="%.6g")
    against = [
        genpredict.difference(
            scores, "Q_low_rank_p2", rival, targets=TARGETS, where=TRAINED, cluster="optimizer",
            partial=partial,
        ).to_dataframe().assign(rival=rival, partial=partial or "")
        for rival in ("log_num_parameters", "log_prod_spectral_norm", "train_accuracy")
        for partial in ("network", None)
        if not (rival == "log_num_parameters" and partial)
    ]  # fmt: skip
    pd.concat(against).to_csv(output / "differences.csv", float_format="%.6g")
    grid = genpredict.plot_scatter(
        scores,
        measures=DRAWN,
        targets=TARGETS,
        hue="optimizer",
        style="network",
        correlations=genpredict.correlate(scores, **chosen | {"measures": DRAWN}),
    )
    save(grid, output / "scatter.png", dpi=DPI)
    ax = genpredict.plot_ranking(fixed, targets=TARGETS)
    ax.set_title(f"Network held fixed: {described(scores)}", fontsize="small")
    save(ax, output / "ranking.png", dpi=DPI)


def described(scores: xr.Dataset) -> str:
    """Say how many networks there are, of how many optimizers, over which accuracies."""
    accuracy = scores["test_accuracy"]
    optimizers = len(set(scores["optimizer"].values.tolist()))
    return (
        f"{accuracy.size} networks, {optimizers} optimizers, "
        f"{float(accuracy.min()):.0f} to {float(accuracy.max()):.0f} %"
    )


if __name__ == "__main__":
    main()
