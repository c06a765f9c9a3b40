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
# # 6. From your models to a table in ten lines
#
# Networks in memory, their accuracies in a dict, no file touched. First some models of "yours":
# twelve small convolutional networks for scikit-learn's digits, trained on more or fewer images,
# for more or fewer steps.

# %%
import torch
from sklearn.datasets import load_digits
from torch import nn

import genpredict

# %config InlineBackend.figure_formats = ["retina"]
torch.set_num_threads(1)  # networks this small gain nothing from more
digits = load_digits()
images = torch.tensor(digits.images, dtype=torch.float32).unsqueeze(1) / 16
labels = torch.tensor(digits.target)


def train(seed: int, num_train: int, steps: int) -> tuple[nn.Module, float, float]:
    """Train a small network; return it with its train and test accuracy in percent."""
    torch.manual_seed(seed)
    network = nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(),
        nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(128, 10),
    )  # fmt: skip
    optimizer = torch.optim.SGD(network.parameters(), lr=0.2, momentum=0.9)
    for _ in range(steps):
        batch = torch.randint(num_train, (64,))
        optimizer.zero_grad()
        nn.functional.cross_entropy(network(images[batch]), labels[batch]).backward()
        optimizer.step()
    right = network(images).argmax(1) == labels
    accuracy = [100 * float(part.float().mean()) for part in (right[:num_train], right[1200:])]
    return network, accuracy[0], accuracy[1]


plans = [(num_train, steps) for num_train in (100, 300, 1200) for steps in (15, 30, 60, 100)]
trained = {f"n{n}_s{s}": train(seed, n, s) for seed, (n, s) in enumerate(plans)}

# %% [markdown]
# What follows needs nothing but the models and a dict.

# %%
models = {name: network for name, (network, _, _) in trained.items()}
accuracies = {
    name: {"train_accuracy": a, "test_accuracy": b} for name, (_, a, b) in trained.items()
}

scores = genpredict.score(models, targets=accuracies, progress=False)
table = genpredict.correlate(scores, measures=["Q", "effective_rank"], targets=["test_accuracy"])
genpredict.look(table)

# %% [markdown]
# Signed rank correlations with 95 % intervals, beside the baselines that a measure must beat.
# Twelve networks tell little, and the intervals say so. `scores` is an xarray Dataset: every number
# by its name.

# %%
scores[["Q", "Q_adjusted", "test_accuracy"]].sel(factorization="low_rank", p=2).to_dataframe()[
    ["Q", "Q_adjusted", "test_accuracy", "generalization_gap"]
].round(3)

# %%
grid = genpredict.plot_scatter(
    scores, measures=["Q", "effective_rank"], targets=["test_accuracy"], correlations=table
)

# %% [markdown]
# `genpredict.write_scores(scores, "mine.zarr")`, or `output="mine.zarr"` in `score`, makes a store
# that every command opens: `genpredict report mine.zarr -o mine.html`.
