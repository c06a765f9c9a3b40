"""Write the files beside this script with Keras 3.15 on torch; by hand: ``python make.py``."""

from __future__ import annotations

import os
from pathlib import Path

os.environ["KERAS_BACKEND"] = "torch"

import keras
import numpy as np
from keras import layers

HERE = Path(__file__).parent


def build() -> keras.Model:
    """Return a network with a layer of every kind that has weights."""
    first = keras.Input((8, 8, 3))
    x = layers.Conv2D(6, (3, 2), name="first")(first)
    x = layers.BatchNormalization()(layers.DepthwiseConv2D(3, depth_multiplier=2)(x))
    x = layers.Conv2DTranspose(4, 2)(layers.SeparableConv2D(5, 3)(x))
    inner = [layers.Conv2D(4, 1, name="inside"), layers.LayerNormalization()]
    x = layers.Reshape((-1, 4))(keras.Sequential(inner, name="nested")(x))
    x = layers.LSTM(3, return_sequences=True)(x)
    x = layers.Bidirectional(layers.GRU(3, return_sequences=True))(x)
    x = layers.MultiHeadAttention(2, 3)(x, x)
    return keras.Model(first, layers.Dense(5)(layers.Flatten()(x)))


if __name__ == "__main__":
    keras.utils.set_random_seed(0)
    model = build()
    model.compile("adam", "mse")
    model.fit(np.zeros((2, 8, 8, 3)), np.zeros((2, 5)), verbose=0)
    model.save(HERE / "keras3.keras")
    model.save(HERE / "keras_legacy.h5")
    arrays = {w.path.replace("/", "|"): keras.ops.convert_to_numpy(w) for w in model.weights}
    np.savez(HERE / "keras_arrays.npz", **arrays)
