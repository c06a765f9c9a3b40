"""Small scores with everything that a page shows, hostile texts among them."""

from __future__ import annotations

import numpy as np
import xarray as xr

HOSTILE = "a/<script>window.hacked=1</script><img src=x onerror='window.hacked=2'>.pth"
#: Tries to end the script element that holds the data, in a text that goes into it.
ENDING = "</script><script>window.hacked=3</script>"
NETWORKS = ("resnet20", ENDING, "vgg{{ 7 * 7 }}")


def scores_of(n: int, *, layers: int = 5, failed: int = 3, seed: int = 0) -> xr.Dataset:
    """Make scores of n checkpoints that are done, one with a hostile id, and some that failed."""
    rng = np.random.default_rng(seed)
    total = n + failed
    done = np.arange(total) < n
    group = np.arange(total) % len(NETWORKS)
    q = np.where(done, 0.3 + 0.1 * group + 0.05 * rng.standard_normal(total), np.nan)
    quality = np.where(
        done[:, None, None, None, None], rng.uniform(0.1, 1, (total, layers, 2, 2, 2)), np.nan
    )
    quality[:, -1, 0] = np.nan  # a linear layer
    rank = np.where(np.isnan(quality[..., 1, 1]), np.nan, 5.0)
    rank[0, 0, 1] = 1.0
    rank[1, 0, 1] = 0.0
    ids = [f"runs/net{i:05d}.pth" for i in range(total)]
    ids[1] = HOSTILE
    if failed:
        ids[-1] = ids[-1] + "<b id='smuggled'>"
    at, entry = "checkpoint", ("checkpoint", "layer", "unfolding")
    names = np.array([f"conv{i}.weight" for i in range(layers)], dtype=object)
    factors = np.array([[1.0, 0.9], [0.8, 0.7]])
    error = np.array(
        [
            "" if ok else f"{name}: no layers <i>at all</i>"
            for ok, name in zip(done, ids, strict=True)
        ],
        dtype=object,
    )
    return xr.Dataset(
        {
            "Q": ((at, "factorization", "p"), q[:, None, None] * factors),
            "Q_adjusted": ((at, "factorization", "p"), (q**2)[:, None, None] * factors),
            "num_layers": (at, np.where(done, layers - 1.0 * (group == 0), np.nan)),
            "num_rank_zero": (at, np.where(done, 1.0 * (np.arange(total) == 1), np.nan)),
            "num_rank_one": (at, np.where(done, 1.0 * (np.arange(total) == 0), np.nan)),
            "quality": ((*entry, "factorization", "p"), quality),
            "rank": (entry, rank),
            "layer_name": ((at, "layer"), np.tile(names, (total, 1))),
            "status": (at, np.where(done, "done", "failed").astype(object)),
            "error": (at, error),
        },
        coords={
            at: np.array(ids, dtype=object),
            "layer": np.arange(layers),
            "unfolding": ["in_channel", "out_channel"],
            "factorization": ["raw", "low_rank"],
            "p": [1, 2],
            "network": (at, np.array(NETWORKS, dtype=object)[group]),
            "optimizer": (at, np.array(["sgd", "adam", ""], dtype=object)[group]),
            "learning_rate": (at, 10 ** rng.uniform(-4, -1, total)),
            "num_parameters": (at, (10.0 ** (5 + group)).astype(np.int64)),
            "source": (at, np.array(ids, dtype=object)),
            "test_accuracy": (at, 60 + 40 * np.nan_to_num(q) + rng.standard_normal(total)),
            "generalization_gap": (at, 10 + rng.standard_normal(total)),
        },
        attrs={
            "genpredict_version": "0.1.0",
            "estimator": "global",
            "dtype": "float64",
            "device": "cpu",
            "include": [],
            "dead_tolerance": 0.03,
            "command": "genpredict score 'a <b>' -o scores.zarr",
        },
    )
