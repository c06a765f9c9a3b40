"""What the choices in measuring change: ranks, Q, and correlations with accuracy.

    python analysis/estimator_study/study.py

Reads results/unfoldings-*.csv and results/choices-*.nc, which measure.py made; writes the other
files of results/.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import xarray as xr

import genpredict
from genpredict.figures import save
from genpredict.figures.style import GROUP_COLOURS, MARKERS, styled

HERE = Path(__file__).parent
DPI = 150
MEASURED = HERE / "results"
COUNTS = ["unfoldings", "misses", "other_rank", "other_rank_at_the_minimum"]
TARGETS = ["test_accuracy", "generalization_gap"]
USUAL = "global"


def main(output: Path = HERE / "results") -> None:
    """Sum the misses up, compare the orders of Q, and correlate under every choice; draw."""
    output.mkdir(exist_ok=True)
    counts = pd.concat(
        {name: pd.read_csv(path) for name, path in measured("unfoldings-*.csv")}, names=["family"]
    ).reset_index("family")
    by_scale = shares(counts, ["family", "scale"])
    by_scale.to_csv(output / "misses_by_scale.csv", index=False, float_format="%.4g")
    by_size = shares(counts[counts["scale"] == 1], ["rows_up_to"])
    by_size.to_csv(output / "misses_by_size.csv", index=False, float_format="%.4g")
    qualities = {
        name: xr.load_dataset(path, engine="scipy") for name, path in measured("choices-*.nc")
    }
    orders(qualities).to_csv(output / "orders.csv", index=False, float_format="%.4g")
    table = pd.concat(
        {name: genpredict.to_table(correlated(part)) for name, part in qualities.items()},
        names=["family"],
    ).reset_index("family")
    table.to_csv(output / "correlations.csv", index=False, float_format="%.5g")
    save(drawn(by_scale), output / "misses.png", dpi=DPI)


def measured(pattern: str) -> list[tuple[str, Path]]:
    """List the files of the families, by name."""
    return [(path.stem.partition("-")[2], path) for path in sorted(MEASURED.glob(pattern))]


def shares(counts: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """Sum counts up, and give them as shares of the unfoldings, in percent."""
    table = counts.groupby(by)[COUNTS].sum()
    for name in COUNTS[1:]:
        table[f"{name}_percent"] = 100 * table[name] / table["unfoldings"]
    return table.reset_index()


def orders(qualities: dict[str, xr.Dataset]) -> pd.DataFrame:
    """Compare Q of every choice with the usual one in every family."""
    return pd.DataFrame(
        [
            {"family": family, "choice": choice, **compared(part, choice)}
            for family, part in qualities.items()
            for choice in part["choice"].values
            if choice != USUAL
        ]
    )


def compared(qualities: xr.Dataset, choice: str) -> dict[str, float]:
    """Tell how the order of Q and the ranks of a choice differ from the usual one's."""
    quality = qualities["Q"].sel(p=2, rank_one="limit").to_pandas().T
    counts = {
        f"{name}_{which}": float(qualities[f"num_{name}"].sel(choice=row).sum())
        for name in ("rank_zero", "rank_one")
        for which, row in (("usual", USUAL), ("here", choice))
    }
    return {
        "networks": len(quality),
        "rocc_with_usual": quality[USUAL].corr(quality[choice], method="spearman"),
        "largest_difference": (quality[USUAL] - quality[choice]).abs().max(),
        **counts,
    }


def correlated(qualities: xr.Dataset) -> xr.Dataset:
    """Correlate Q (p = 2) of every choice and rule with accuracy and gap; settings are clusters."""
    columns = [
        qualities["Q"].sel(choice=choice, rank_one=rule, p=2, drop=True).rename(f"{choice}; {rule}")
        for choice in qualities["choice"].values
        for rule in qualities["rank_one"].values
    ]
    clusters = [name for name in ("network", "optimizer", "learning_rate") if name in qualities]
    repeated = "seed" in qualities and len(np.unique(qualities["seed"])) > 1
    scores = qualities.drop_dims(["choice"])
    return genpredict.correlate(
        scores, measures=columns, targets=TARGETS, cluster=clusters if repeated else None
    )


def drawn(shares_by_scale: pd.DataFrame) -> plt.Figure:
    """Draw the share of unfoldings with another rank over the scale of the weights."""
    with styled():
        figure, ax = plt.subplots(figsize=(5, 2.6), layout="constrained")
        for place, (family, rows) in enumerate(shares_by_scale.groupby("family")):
            label = f"{family}, {rows['unfoldings'].iloc[0]} unfoldings"
            style = {"color": GROUP_COLOURS[place], "marker": MARKERS[place]}
            ax.plot(rows["scale"], rows["misses_percent"], label=label, **style)
        ax.set_xscale("log")
        ax.set_xlabel("weights times")
        ax.set_ylabel("released search misses (%)")
        figure.legend(loc="outside right upper", frameon=False)
    return figure


if __name__ == "__main__":
    main()
