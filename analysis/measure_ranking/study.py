"""Ranking of measures: which predicts, in which family, by which yardstick.

    python analysis/measure_ranking/study.py

Reads the stores that analysis/results/families.toml names; writes results/ beside this file.
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
#: Families of fewer networks are in the tables alone.
LEAST_DRAWN = 5
TARGETS = ["test_accuracy", "generalization_gap"]
#: What is drawn; tables have `REST` too.
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
REST = [
    "Q_low_rank_p1",
    "Q_raw_p1",
    "Q_adjusted_low_rank_p1",
    "Q_mean_low_rank_p2",
    "Q_geometric_mean_low_rank_p2",
    "Q_skip_empty_low_rank_p2",
    "Q_all_layers_low_rank_p2",
    "quality_low_rank_p2",
    "condition_number_low_rank",
    "spectral_entropy_low_rank",
    "spectral_entropy_raw",
    "spectral_norm_low_rank",
    "frobenius_norm_low_rank",
    "participation_ratio_low_rank",
    "noise_variance",
    "log_sum_frobenius_norm",
    "log_sum_spectral_norm",
    "alpha_distance",
    "ww_log_alpha_norm",
    "ww_log_spectral_norm",
    "ww_stable_rank",
    "ww_D",
    "train_loss",
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
    scores, names, cluster = genpredict.open_families(FAMILIES)
    about = genpredict.describe_families(scores, cluster=cluster)
    about.to_csv(output / "families.csv", float_format="%.5g")
    chosen = {"targets": TARGETS, "by": "family", "family": "group", "cluster": cluster}
    table = genpredict.correlate(scores, measures=MEASURES + REST, **chosen)
    table = table.sel(group=[f"family={name}" for name in about.index])
    genpredict.to_table(table).to_csv(output / "correlations.csv", index=False, float_format="%.5g")
    signs(table).to_csv(output / "signs.csv", float_format="%.5g")
    yardsticks(scores).to_csv(output / "yardsticks.csv", index=False, float_format="%.5g")
    predictions(scores, cluster).to_csv(
        output / "predictions.csv", index=False, float_format="%.5g"
    )
    conventions(scores, cluster).to_csv(output / "multiverse.csv", index=False, float_format="%.5g")
    large = about[about["networks"] >= LEAST_DRAWN]
    for target in TARGETS:
        columns = genpredict.families_as_targets(table, large, target, names=names)
        rest = columns["measure"].isin(REST)
        ax = genpredict.plot_ranking(columns.isel(measure=~rest.values), sort=False)
        save(ax, output / f"{target}.png", dpi=DPI)


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


def predictions(scores: xr.Dataset, cluster: list[str]) -> pd.DataFrame:
    """Predict test accuracy where it is not known: for another family, for another optimizer."""
    rows = []
    for held_out, where in HELD_OUT.items():
        part = genpredict.cross_validate(
            scores, "test_accuracy", PREDICTORS, leave_out=held_out, where=where, cluster=cluster
        )
        names = [
            f"{q}{end}" for q in ("r2", "kendall", "error") for end in ("", "_lower", "_upper")
        ]
        frame = part[names].to_dataframe()[names].reset_index()
        gains = {name: float(part[name]) for name in ("gain", "gain_lower", "gain_upper")}
        rows.append(frame.assign(held_out=held_out, n=int(part["n"]), **gains))
    return pd.concat(rows)


def conventions(scores: xr.Dataset, cluster: list[str]) -> pd.DataFrame:
    """Tell how Q's rank correlation with test accuracy depends on the conventions of measuring."""
    curve = genpredict.multiverse(scores, "test_accuracy", by="family", cluster=cluster)
    names = ["n", "n_clusters", "median", "share_positive", "share_negative", "median_pvalue",
             "sign_pvalue"]  # fmt: skip
    frame = curve[names].to_dataframe()[names]
    extremes = {"least": curve["estimate"].min("specification").values}
    extremes["most"] = curve["estimate"].max("specification").values
    frame = frame.assign(**extremes).reset_index()
    return frame[frame["group"] != "all"]


if __name__ == "__main__":
    main()
