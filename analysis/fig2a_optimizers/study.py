"""Figure 2a: measures and test accuracy over optimizers, networks and seeds.

    python analysis/fig2a_optimizers/study.py

Reads analysis/results/optimizers.zarr and, for the other families on CIFAR-10, the stores that
families.toml there names; writes results/ beside this file.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import xarray as xr

import genpredict
from genpredict.figures import save

HERE = Path(__file__).parent
DPI = 150
STORES = HERE.parent / "results"
FAMILIES = STORES / "families.toml"
#: Families in which what trains the networks varies; the architectures' are in fig2b_nats.
BY_OPTIMIZER = ["optimizers", "optimizers_10k", "published", "resnet20_300"]
#: Families of fewer networks are in the table alone.
LEAST_DRAWN = 5
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
    scores = genpredict.open_scores(STORES / "optimizers.zarr")
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
    over_families(output)


def over_families(output: Path) -> None:
    """Correlate within each family on CIFAR-10, whoever trained it; draw Q and the ranking."""
    scores, names, cluster = genpredict.open_families(FAMILIES)
    scores = scores.isel(checkpoint=(scores["dataset"] == "cifar10").values)
    about = genpredict.describe_families(scores, cluster=cluster)
    about.to_csv(output / "families.csv", float_format="%.5g")
    chosen = {"targets": TARGETS, "by": "family", "family": "group", "cluster": cluster}
    table = genpredict.correlate(scores, measures=MEASURES, **chosen)
    table = table.sel(group=[f"family={name}" for name in about.index])
    frame = genpredict.to_table(table)
    frame.to_csv(output / "family_correlations.csv", index=False, float_format="%.5g")
    large = about[about["networks"] >= LEAST_DRAWN]
    columns = genpredict.families_as_targets(table, large, names=names)
    ax = genpredict.plot_ranking(columns, sort=False)
    ax.set_title(f"test accuracy of {about['networks'].sum()} networks on CIFAR-10")
    save(ax, output / "families.png", dpi=DPI)
    part = scores.isel(checkpoint=scores["family"].isin(BY_OPTIMIZER).values)
    grid = genpredict.plot_scatter(
        part, measures=DRAWN[:1], targets=TARGETS, columns="family", correlations=table,
        style="network", share=False,
    )  # fmt: skip
    save(grid, output / "family_scatter.png", dpi=DPI)


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
