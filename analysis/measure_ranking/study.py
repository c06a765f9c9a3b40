"""Ranking of measures: which predicts, in which family, by which yardstick.

    python analysis/measure_ranking/study.py

Reads the stores of analysis/results that FAMILIES names, and data/results/digits-sweep.zarr;
writes results/ beside this file.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes

import genpredict
from genpredict.figures import save

HERE = Path(__file__).parent
DPI = 150
STORES = HERE.parent / "results"
#: The store of each family, and how a figure names it.
FAMILIES = {
    "optimizers": (STORES / "optimizers.zarr", "optimizers × networks"),
    "size": (STORES / "size.zarr", "size space"),
    "size_10k": (STORES / "size_10k.zarr", "size space, 10,000 images"),
    "topology_10k": (STORES / "topology_10k.zarr", "topology space, 10,000 images"),
    "published": (STORES / "published.zarr", "published CNNs and ResNets"),
    "resnet20_300": (STORES / "resnet20_300.zarr", "ResNet-20 of others, 300 epochs"),
    "digits": (HERE.parents[1] / "data" / "results" / "digits-sweep.zarr", "digits"),
}
#: Checkpoints that share all of these are one draw: seeds of one setting.
CLUSTER = ["family", "network", "optimizer", "learning_rate", "schedule", "weight_decay"]
TARGETS = ["test_accuracy", "generalization_gap"]
MEASURES = [
    "Q_low_rank_p2",
    "Q_raw_p2",
    "Q_adjusted_low_rank_p2",
    "stable_rank_low_rank_p2",
    "stable_rank_raw_p2",
    "condition_number_raw",
    "effective_rank_low_rank",
    "effective_rank_raw",
    "spectral_norm_raw",
    "frobenius_norm_raw",
    "rank",
    "log_prod_spectral_norm",
    "log_prod_frobenius_norm",
    "fro_over_spec",
    "param_norm",
    "participation_ratio_raw",
    "hill_alpha",
    "mp_spikes",
    "alpha",
    "alpha_weighted",
    "log_alpha_norm",
    "ww_alpha",
    "ww_alpha_weighted",
    "ww_log_norm",
    "ww_entropy",
    "train_accuracy",
]
#: What predicts beside the baselines.
PREDICTORS = ["Q_low_rank_p2", "Q_adjusted_low_rank_p2", "log_prod_spectral_norm"]
#: What is held out, and of which checkpoints.
HELD_OUT = {"family": "dataset == 'cifar10'", "optimizer": "family == 'optimizers'"}
#: Families in which more than one hyperparameter varies, and which.
GRIDS = {"optimizers": ["network", "optimizer"], "digits": ["network", "optimizer"]}


def main(output: Path = HERE / "results") -> None:
    """Correlate within each family, score by the other yardsticks, and draw."""
    output.mkdir(exist_ok=True)
    scores = joined()
    table = genpredict.correlate(
        scores, measures=MEASURES, targets=TARGETS, by="family", family="group", cluster=CLUSTER
    ).sel(group=[f"family={name}" for name in present(scores)])
    about = families(scores, table)
    about.to_csv(output / "families.csv", index=False, float_format="%.5g")
    genpredict.to_table(table).to_csv(output / "correlations.csv", index=False, float_format="%.5g")
    signs(table).to_csv(output / "signs.csv", float_format="%.5g")
    yardsticks(scores).to_csv(output / "yardsticks.csv", index=False, float_format="%.5g")
    predictions(scores).to_csv(output / "predictions.csv", index=False, float_format="%.5g")
    conventions(scores).to_csv(output / "multiverse.csv", index=False, float_format="%.5g")
    for target in TARGETS:
        save(drawn(table, about, target), output / f"{target}.png", dpi=DPI)


def joined() -> xr.Dataset:
    """Open the families that there are."""
    stores = {name: path for name, (path, _) in FAMILIES.items() if path.exists()}
    return genpredict.join_scores({n: genpredict.open_scores(p) for n, p in stores.items()})


def present(scores: xr.Dataset) -> list[str]:
    """List the families of scores in the order of the table."""
    here = set(scores["family"].values.tolist())
    return [name for name in FAMILIES if name in here]


def families(scores: xr.Dataset, table: xr.Dataset) -> pd.DataFrame:
    """Tell how many networks and clusters each family has, and over which accuracies."""
    frame = scores[TARGETS].to_dataframe()[["family", *TARGETS]]
    rows = frame.groupby("family", sort=False)[TARGETS]
    ends = rows.agg(["min", "max"])
    ends.columns = [f"{end}_{name}" for name, end in ends.columns]
    counts = table.sel(measure=MEASURES[0], target="test_accuracy")
    ends.insert(0, "networks", counts["n"].values)
    ends.insert(1, "clusters", counts["n_clusters"].values)
    return ends.reset_index()


def signs(table: xr.Dataset) -> pd.DataFrame:
    """Count, for each measure, the families in which its ROCC is above and below 0, surely or not.

    Surely: the interval by cluster leaves out 0.
    """
    part = table.sel(target="test_accuracy")
    counts = {
        "families": part["rocc"].notnull(),
        "positive": part["rocc"] > 0,
        "negative": part["rocc"] < 0,
        "surely_positive": part["rocc_lower"] > 0,
        "surely_negative": part["rocc_upper"] < 0,
    }
    return xr.Dataset({n: c.sum("group") for n, c in counts.items()}).to_dataframe()[[*counts]]


def yardsticks(scores: xr.Dataset) -> pd.DataFrame:
    """Return Ψ, the sign error and K of every measure in the families that are grids."""
    parts = []
    for family, axes in GRIDS.items():
        chosen = {"hyperparameters": axes, "where": f"family == '{family}'"}
        arguments = (scores, MEASURES, ["test_accuracy"])
        kendall = genpredict.granulated_kendall(*arguments, **chosen)
        error = genpredict.robust_sign_error(*arguments, least_effective=1.0, **chosen)
        information = genpredict.conditional_mutual_information(*arguments, **chosen)
        numbers = {
            "n": kendall["n"],
            "Psi": kendall["Psi"],
            "tau": kendall["tau"],
            "sign_error_mean": error["mean"],
            "sign_error_maximum": error["maximum"],
            "environments": error["environments"],
            "K": information["K"],
        }
        flat = {name: number.squeeze("target", drop=True) for name, number in numbers.items()}
        frame = xr.Dataset(flat).to_dataframe()[[*flat]].reset_index()
        frame.insert(0, "family", family)
        parts.append(frame)
    return pd.concat(parts)


def predictions(scores: xr.Dataset) -> pd.DataFrame:
    """Predict test accuracy where it is not known: for another family, for another optimizer."""
    rows = []
    for held_out, where in HELD_OUT.items():
        part = genpredict.cross_validate(
            scores, "test_accuracy", PREDICTORS, leave_out=held_out, where=where, cluster=CLUSTER
        )
        names = [
            f"{q}{end}" for q in ("r2", "kendall", "error") for end in ("", "_lower", "_upper")
        ]
        frame = part[names].to_dataframe()[names].reset_index()
        gains = {name: float(part[name]) for name in ("gain", "gain_lower", "gain_upper")}
        rows.append(frame.assign(held_out=held_out, n=int(part["n"]), **gains))
    return pd.concat(rows)


def conventions(scores: xr.Dataset) -> pd.DataFrame:
    """Tell how Q's rank correlation with test accuracy depends on the conventions of measuring."""
    curve = genpredict.multiverse(scores, "test_accuracy", by="family", cluster=CLUSTER)
    names = ["n", "n_clusters", "median", "share_positive", "share_negative", "median_pvalue",
             "sign_pvalue"]  # fmt: skip
    frame = curve[names].to_dataframe()[names]
    extremes = {"least": curve["estimate"].min("specification").values}
    extremes["most"] = curve["estimate"].max("specification").values
    frame = frame.assign(**extremes).reset_index()
    return frame[frame["group"] != "all"]


def drawn(table: xr.Dataset, about: pd.DataFrame, target: str) -> Axes:
    """Draw the rank correlations with a target, one column a family of at least five networks."""
    about = about[about["networks"] >= 5]
    unit = "%" if target == "test_accuracy" else "points"
    labels = [
        f"{FAMILIES[row.family][1]}: {row.clusters:.0f} clusters, "
        f"{getattr(row, f'min_{target}'):.0f} to {getattr(row, f'max_{target}'):.0f} {unit}"
        for row in about.itertuples()
    ]
    columns = table.sel(target=target, group=[f"family={name}" for name in about["family"]])
    columns = columns.drop_vars(
        [name for name, variable in columns.variables.items() if variable.dims in ((), ("group",))]
    )
    names = ("target", np.array(labels, dtype=object))
    columns = columns.rename(group="target").assign_coords(target=names, target_long_name=names)
    columns = columns.expand_dims(group=["all"]).transpose("measure", "target", "group")
    return genpredict.plot_ranking(columns, sort=False)


if __name__ == "__main__":
    main()
