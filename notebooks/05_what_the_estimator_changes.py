# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 5. What the estimator changes
#
# The low-rank spectrum of a layer comes from EVBMF, which splits it into signal and noise at the
# noise variance of least free energy. The code released with the paper looks for that minimum
# with a bounded search, `genpredict` solves for it. Does it matter? First on one layer, then on
# all that were measured.

# %%
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch

import genpredict
from genpredict.spectral import free_energy, singular_values, unfold

# %config InlineBackend.figure_formats = ["retina"]
HERE = Path.cwd()
ROOT = HERE if (HERE / "analysis").is_dir() else HERE.parent
RESULTS = ROOT / "analysis" / "estimator_study" / "results"

# %% [markdown]
# ## One layer
#
# We take every convolution of the small networks in `data/digits-zoo` and look for one where the
# two estimators disagree most. Channels that training has driven to nothing would be set aside
# first; here we compare the search alone, on layers that have none.

# %%
layers = [
    (checkpoint.id, layer)
    for checkpoint in genpredict.open_checkpoints(ROOT / "data" / "digits-zoo")
    for layer in genpredict.select_layers(checkpoint.tensors())[0]
    if layer.kind == "conv"
]
layers = [
    (name, layer)
    for name, layer in layers
    if not any(dead.any() for dead in genpredict.dead_channels(layer.weight))
]
settings = {"dead_tolerance": 0.0, "null_tolerance": 0.0}
rows = []
for name, layer in layers:
    exact = genpredict.evbmf(layer.weight, **settings)
    released = genpredict.evbmf(layer.weight, estimator="reference")
    rows.append((name[:24], layer.name, int(exact.rank), int(released.rank)))
table = pd.DataFrame(rows, columns=["network", "layer", "exact rank", "released rank"])
table["difference"] = (table["exact rank"] - table["released rank"]).abs()
print(f"{(table['difference'] > 0).sum()} of {len(table)} layers have another rank")
table.nlargest(5, "difference")

# %%
place = int(table["difference"].idxmax())
weight = layers[place][1].weight.double()
matrix = unfold(weight)
eigenvalues = singular_values(matrix).square()
rows, columns = matrix.shape
noise = {
    "exact": genpredict.evbmf(weight, **settings).noise_variance,
    "released": genpredict.evbmf(weight, estimator="reference").noise_variance,
}
largest = eigenvalues.sum() / (rows * columns)  # no noise variance above it comes into question
grid = torch.linspace(0.75, 1.0, 600, dtype=torch.float64) * largest
least = free_energy(eigenvalues, noise["exact"], rows, columns)


def above_least(variance: torch.Tensor) -> torch.Tensor:
    """Return how many nats a noise variance lies above the least free energy."""
    return (free_energy(eigenvalues, variance, rows, columns) - least) * columns / 2


figure, ax = plt.subplots(figsize=(5, 3), layout="constrained")
ax.plot(grid, above_least(grid), color="0.4")
for name, marker in (("exact", "o"), ("released", "s")):
    ax.plot(noise[name], above_least(noise[name]), marker, label=name)
ax.set(xlabel="noise variance", ylabel="above the least free energy (nats)")
legend = ax.legend(frameon=False)

# %% [markdown]
# The curve has several minima; a search that starts in the middle ends in the one it falls into.
#
# ## The scale of the weights
#
# Multiplying all weights by a constant changes nothing about the structure of a layer, and exact
# EVBMF is unmoved by it. The released search has an absolute tolerance:

# %%
scales = 10.0 ** np.arange(-3, 4)
ranks = {
    "scale": scales,
    "exact": [int(genpredict.evbmf(weight * scale, **settings).rank) for scale in scales],
    "released": [int(genpredict.evbmf(weight * s, estimator="reference").rank) for s in scales],
}
pd.DataFrame(ranks).set_index("scale").T

# %% [markdown]
# ## All layers
#
# The same comparison on every unfolding of the networks of the studies
# (`analysis/estimator_study`). A miss is a search that ends more than one nat above the least
# free energy.

# %%
misses = pd.read_csv(RESULTS / "misses_by_scale.csv")
misses.pivot_table(index="family", columns="scale", values="misses_percent").round(1)

# %% [markdown]
# ## Does it change what we would conclude?
#
# Ranks differ; the order that `Q` gives to networks may not. Rank correlation of `Q` under the
# released estimator with `Q` as `genpredict` measures it:

# %%
orders = pd.read_csv(RESULTS / "orders.csv")
orders.pivot_table(index="family", columns="choice", values="rocc_with_usual").round(2)

# %% [markdown]
# And correlations of `Q` with test accuracy, by estimator (rows) and by what an entry of rank 1
# counts as: "limit" is the highest quality there is, "worst" compares it with nothing:

# %%
correlations = pd.read_csv(RESULTS / "correlations.csv")
correlations = correlations[correlations["label"].str.contains(";")]
correlations[["estimator", "rank 1"]] = correlations["label"].str.split("; ", expand=True)
part = correlations[correlations["target"] == "test_accuracy"]
part.pivot_table(index=["family", "estimator"], columns="rank 1", values="rocc").round(2)

# %% [markdown]
# What a rank of 1 counts as moves correlations more than the estimator does. Both are choices
# that a table has to name.
