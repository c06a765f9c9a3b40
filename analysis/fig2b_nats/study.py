"""Figure 2b: quality and test accuracy over the architectures of NATS-Bench.

    python analysis/fig2b_nats/study.py

Reads size.zarr, size_10k.zarr and topology_10k.zarr of analysis/results, and published.csv; writes
results/ beside this file.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

import genpredict
from genpredict.figures import save

HERE = Path(__file__).parent
DPI = 150
STORES = HERE.parent / "results"
#: Families, and the space whose published correlations each is compared with.
SPACES = {"size": "size", "size_10k": "size", "topology_10k": "topology"}
TARGETS = ["test_accuracy", "generalization_gap"]
MEASURES = [
    "Q_raw_p2",
    "Q_low_rank_p2",
    "Q_adjusted_low_rank_p2",
    "effective_rank",
    "spectral_norm",
    "frobenius_norm",
    "stable_rank_low_rank_p2",
    "train_accuracy",
]
DRAWN = ["Q_raw_p2", "Q_low_rank_p2", "frobenius_norm_raw", "log_num_parameters"]


def main(output: Path = HERE / "results") -> None:
    """Correlate within each family, plain and with the number of parameters fixed; compare."""
    output.mkdir(exist_ok=True)
    scores = genpredict.join_scores(
        {name: genpredict.open_scores(STORES / f"{name}.zarr") for name in SPACES}
    )
    chosen = {"targets": TARGETS, "by": "family", "family": "group", "cluster": "network"}
    plain = genpredict.correlate(scores, measures=MEASURES, **chosen)
    partial = genpredict.correlate(
        scores, measures=MEASURES, partial="log_num_parameters", **chosen
    )
    tables = {
        "none": genpredict.to_table(plain),
        "log_num_parameters": genpredict.to_table(partial),
    }
    table = pd.concat(tables, names=["held_fixed"]).reset_index("held_fixed")
    table = table[table["group"] != "all"]  # families are never pooled
    table.to_csv(output / "correlations.csv", index=False, float_format="%.6g")
    beside_published(tables["none"]).to_csv(
        output / "published.csv", index=False, float_format="%.6g"
    )
    drawn = genpredict.correlate(scores, measures=DRAWN, **chosen | {"targets": TARGETS[:1]})
    for family in SPACES:
        part = scores.isel(checkpoint=(scores["family"] == family).values)
        here = drawn.sel(group=[f"family={family}"]).assign_coords(group=["all"])
        grid = genpredict.plot_scatter(
            part, measures=DRAWN, targets=TARGETS[:1], hue="log_num_parameters", correlations=here
        )
        save(grid, output / f"{family}.png", dpi=DPI)


def beside_published(table: pd.DataFrame) -> pd.DataFrame:
    """Put our rank correlations beside the published absolute ones."""
    published = pd.read_csv(HERE / "published.csv")
    ours = table[table["target"] == "test_accuracy"].assign(
        family=table["group"].str.removeprefix("family=")
    )
    ours = ours[ours["family"].isin(list(SPACES))]
    ours["space"] = ours["family"].map(SPACES)
    joined = ours.merge(published, left_on=["space", "label"], right_on=["space", "measure"])
    columns = ["family", "label", "n", "rocc", "rocc_lower", "rocc_upper"]
    return joined[[*columns, "published_absolute_rocc"]].sort_values(["family", "label"])


if __name__ == "__main__":
    main()
