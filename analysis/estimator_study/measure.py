"""Compare the released search with the exact one on every unfolding of a family of checkpoints.

    python analysis/estimator_study/measure.py NAME SOURCE -o analysis/estimator_study/results

SOURCE is a folder of checkpoints, with its manifest.csv where it has one. Writes

- unfoldings-NAME.csv: by smaller side and scale of the weights, how many unfoldings
  there are, and on how many the released search ends elsewhere than in the least free energy, or
  with another rank;
- choices-NAME.nc: Q of every network under every choice of estimator and of what a rank of 1 counts
  as.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import torch
import xarray as xr

import genpredict
from genpredict.spectral import free_energy, singular_values, solve_evbmf, unfold, unfoldings
from genpredict.spectral.released import solve_released

SCALES = (1e-3, 1e-2, 1e-1, 1.0, 1e1, 1e2, 1e3)
#: Upper ends of the classes of sizes.
SIZES = (8, 16, 32, 64, 10**6)
#: Evidence that a search must lose to count as a miss, in nats: far above rounding.
LOST = 1.0
ESTIMATORS = {
    "global": {},
    "global, nothing set aside": {"dead_tolerance": 0.0, "null_tolerance": 0.0},
    "reference": {"estimator": "reference"},
}
RANK_ONE = ("limit", "worst", "skip")
KEPT = ("network", "dataset", "optimizer", "learning_rate", "epoch", "seed",
        "train_accuracy", "test_accuracy", "generalization_gap")  # fmt: skip


def compared(source: Path, manifest: Path | None) -> Iterator[dict[str, float]]:
    """Yield what both searches find on every unfolding of every layer, at every scale."""
    for checkpoint in genpredict.open_checkpoints(source, manifest=manifest):
        for layer in genpredict.select_layers(checkpoint.tensors())[0]:
            for unfolding in unfoldings(tuple(layer.weight.shape)):
                matrix = unfold(layer.weight.double(), unfolding)
                yield from at_scales(singular_values(matrix).square(), matrix.shape[1])


def at_scales(eigenvalues: torch.Tensor, columns: int) -> Iterator[dict[str, float]]:
    """Yield the ranks of both searches at every scale, and the evidence that the released loses."""
    if eigenvalues[0] == 0:
        return
    rows = len(eigenvalues)
    exact = solve_evbmf(eigenvalues[None], torch.tensor([rows]), torch.tensor([columns]))
    least = free_energy(eigenvalues, exact.noise_variance[0], rows, columns)
    for scale in SCALES:
        scaled = eigenvalues * scale**2
        released = solve_released(scaled[None], [columns])
        noise = released.noise_variance[0] / scale**2
        lost = (free_energy(eigenvalues, noise, rows, columns) - least) * columns / 2
        yield {
            "rows": rows,
            "scale": scale,
            "lost_nats": float(lost),
            "rank": int(exact.rank[0]),
            "released_rank": int(released.rank[0]),
        }


def counted(unfoldings: pd.DataFrame) -> pd.DataFrame:
    """Count, by size and scale, where the released search ends elsewhere."""
    sizes = pd.cut(unfoldings["rows"], [0, *SIZES], labels=list(SIZES)).astype(int)
    columns = {
        "misses": unfoldings["lost_nats"] > LOST,
        "other_rank": unfoldings["rank"] != unfoldings["released_rank"],
        "other_rank_at_the_minimum": (unfoldings["rank"] != unfoldings["released_rank"])
        & (unfoldings["lost_nats"] <= LOST),
        "lost_nats": unfoldings["lost_nats"],
        "rank_difference": (unfoldings["released_rank"] - unfoldings["rank"]).abs(),
    }
    groups = pd.DataFrame(columns).groupby([sizes.rename("rows_up_to"), unfoldings["scale"]])
    table = groups[["misses", "other_rank", "other_rank_at_the_minimum"]].sum()
    table.insert(0, "unfoldings", groups.size())
    table["largest_lost_nats"] = groups["lost_nats"].max()
    table["largest_rank_difference"] = groups["rank_difference"].max()
    return table.reset_index()


def choices(source: Path, manifest: Path | None) -> xr.Dataset:
    """Return Q and counts of ranks, over (choice, rank_one, checkpoint, p)."""
    parts = []
    for options in ESTIMATORS.values():
        scores = genpredict.score(source, manifest=manifest, **options)
        rules = [genpredict.aggregate(scores, rank_one=rule) for rule in RANK_ONE]
        quality = xr.concat(rules, pd.Index(RANK_ONE, name="rank_one"))
        counts = scores[["num_rank_zero", "num_rank_one"]]
        parts.append(counts.assign(Q=quality.sel(factorization="low_rank", drop=True)))
    joined = xr.concat(parts, pd.Index(list(ESTIMATORS), name="choice"))
    plain = joined.drop_vars(set(joined.coords) - {*joined.dims})
    return plain.assign_coords({name: scores[name] for name in KEPT if name in scores.coords})


def main() -> None:
    """Read the family off the command line, measure, and save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name")
    parser.add_argument("source", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()
    manifest = options.source / "manifest.csv"
    source = (options.source, manifest if manifest.is_file() else None)
    options.output.mkdir(exist_ok=True)
    table = counted(pd.DataFrame(compared(*source)))
    table.to_csv(
        options.output / f"unfoldings-{options.name}.csv", index=False, float_format="%.6g"
    )
    qualities = choices(*source).drop_attrs()
    qualities.attrs = {"genpredict_version": genpredict.__version__}
    qualities.to_netcdf(options.output / f"choices-{options.name}.nc", engine="scipy")


if __name__ == "__main__":
    main()
