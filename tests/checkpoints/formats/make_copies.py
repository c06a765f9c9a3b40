"""Write exported/copies.zip: five networks by the exporters of torch and of Keras.

By hand, where torch 2.13, onnx 1.23, onnxscript 0.7 and Keras 3.15 are installed::

    python make_copies.py

Every copy in Keras is checked to compute what the original computes before it is saved. Comments
and traces, which torch's exporters write beside every operator, are taken out, but for the names of
modules: they are large and name this machine's folders. The weights stay as they were written.
"""

from __future__ import annotations

import io
import os
import tempfile
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ["KERAS_BACKEND"] = "torch"

import keras
import numpy as np
import onnx
import torch
from keras import layers, ops
from originals import NETWORKS, STAGES, example_of, initialized
from safetensors.torch import save_file
from torch import nn

ARCHIVE = Path(__file__).parent / "exported" / "copies.zip"
SCOPES, RULE = "pkg.torch.onnx.name_scopes", "pkg.onnxscript.rewriter.rule_name"
FOLDING = ("resnet18", "mobilenetv2")
"""Networks whose normalizations the exporters fold into convolutions, unless told not to."""


def write_torch(name: str, network: nn.Module, folder: Path) -> None:
    """Write the original's state dict and what torch's exporters make of the network."""
    example = (example_of(name),)
    save_file(network.state_dict(), folder / f"{name}.safetensors")
    write_compiled(torch.jit.trace(network, example), folder / f"{name}.traced.pt")
    if name == "unet":
        write_compiled(torch.jit.script(network), folder / f"{name}.scripted.pt")
    older = folder / f"{name}.torchscript.onnx"
    keep = torch.onnx.TrainingMode.PRESERVE
    torch.onnx.export(network, example, older, dynamo=False, training=keep)
    newer = folder / f"{name}.dynamo.onnx"
    plain = name not in FOLDING
    torch.onnx.export(network, example, newer, dynamo=True, optimize=plain, external_data=False)
    shorten(newer)
    if name == "resnet18":
        folded = folder / f"{name}.folded.onnx"
        torch.onnx.export(network, example, folded, dynamo=True, external_data=False)
        shorten(folded)


def write_compiled(module: torch.jit.ScriptModule, path: Path) -> None:
    """Write a compiled network without the places in its source."""
    buffer = io.BytesIO()
    torch.jit.save(module, buffer)
    with zipfile.ZipFile(buffer) as whole, zipfile.ZipFile(path, "w") as short:
        for name in whole.namelist():
            if not name.endswith(".debug_pkl"):
                short.writestr(zipfile.ZipInfo(name), whole.read(name))
    torch.jit.load(path)


def shorten(path: Path) -> None:
    """Take out comments and traces, but for the names of modules."""
    model = onnx.load(path)
    model.metadata_props.clear()
    for node in model.graph.node:
        kept = [(e.key, e.value) for e in node.metadata_props if e.key in (SCOPES, RULE)]
        node.doc_string = ""
        del node.metadata_props[:]
        for key, value in kept:
            node.metadata_props.add(key=key, value=value)
    for value in (*model.graph.value_info, *model.graph.input, *model.graph.output):
        del value.metadata_props[:]
    for tensor in model.graph.initializer:
        del tensor.metadata_props[:]
    del model.graph.metadata_props[:], model.graph.value_info[:]
    onnx.save(model, path)


def keras_name(path: str) -> str:
    """Return the name of a module for Keras, which takes no dots."""
    return path.replace(".", "-")


def conv(x: Any, network: nn.Module, path: str) -> Any:
    """Add the copy of a convolution, transposed or not."""
    module = network.get_submodule(path)
    options: dict[str, Any] = {"strides": module.stride, "name": keras_name(path)}
    options["use_bias"] = module.bias is not None
    if isinstance(module, nn.ConvTranspose2d):
        return layers.Conv2DTranspose(module.out_channels, module.kernel_size, **options)(x)
    if module.padding != (0, 0):
        x = layers.ZeroPadding2D(module.padding)(x)
    if module.groups > 1:
        return layers.DepthwiseConv2D(module.kernel_size, **options)(x)
    return layers.Conv2D(module.out_channels, module.kernel_size, **options)(x)


def norm(x: Any, path: str) -> Any:
    """Add the copy of a batch normalization."""
    return layers.BatchNormalization(epsilon=1e-5, name=keras_name(path))(x)


def conv_norm(x: Any, network: nn.Module, path: str, *, relu: bool = False) -> Any:
    """Add the copy of a convolution with its normalization."""
    x = norm(conv(x, network, f"{path}.0"), f"{path}.1")
    return ops.relu(x) if relu else x


def resnet18(network: nn.Module) -> keras.Model:
    """Return the copy of the ResNet-18."""
    images = keras.Input((16, 16, 3))
    x = ops.relu(norm(conv(images, network, "conv1"), "bn1"))
    for path in [f"layer{stage}.{block}" for stage in (1, 2, 3, 4) for block in (0, 1)]:
        inner = ops.relu(norm(conv(x, network, f"{path}.conv1"), f"{path}.bn1"))
        inner = norm(conv(inner, network, f"{path}.conv2"), f"{path}.bn2")
        if len(network.get_submodule(f"{path}.shortcut")):
            x = conv_norm(x, network, f"{path}.shortcut")
        x = ops.relu(inner + x)
    logits = layers.Dense(10, name="linear")(ops.mean(x, (1, 2)))
    return keras.Model(images, logits)


def mobilenetv2(network: nn.Module) -> keras.Model:
    """Return the copy of the MobileNetV2."""
    images = keras.Input((16, 16, 3))
    x = conv_norm(images, network, "stem", relu=True)
    for number in range(sum(repeats for _, _, repeats, _ in STAGES)):
        path = f"blocks.{number}"
        inner = conv_norm(x, network, f"{path}.body.0", relu=True)
        inner = conv_norm(inner, network, f"{path}.body.1", relu=True)
        inner = conv_norm(inner, network, f"{path}.body.2")
        shortcut = network.get_submodule(path).shortcut
        if shortcut is not None:
            inner = inner + (conv_norm(x, network, f"{path}.shortcut") if len(shortcut) else x)
        x = inner
    x = conv_norm(x, network, "last", relu=True)
    return keras.Model(images, layers.Dense(10, name="head")(ops.mean(x, (1, 2))))


def lstm(network: nn.Module) -> keras.Model:
    """Return the copy of the network with two LSTM layers."""
    tokens = keras.Input((None,), dtype="int32")
    x = layers.Embedding(11, 6, name="table")(tokens)
    for number in (0, 1):
        x = layers.LSTM(5, return_sequences=True, name=f"lstm_l{number}")(x)
    return keras.Model(tokens, layers.Dense(11, name="head")(x))


def transformer(network: nn.Module) -> keras.Model:
    """Return the copy of the Transformer block."""
    tokens = keras.Input((None, 12))
    normed = layers.LayerNormalization(epsilon=1e-5, name="norm1")(tokens)
    x = tokens + layers.MultiHeadAttention(3, 4, name="attention")(normed, normed)
    normed = layers.LayerNormalization(epsilon=1e-5, name="norm2")(x)
    wide = layers.Dense(24, activation="relu", name="widen")(normed)
    return keras.Model(tokens, x + layers.Dense(12, name="narrow")(wide))


def unet(network: nn.Module) -> keras.Model:
    """Return the copy of the U-Net."""
    images = keras.Input((16, 16, 3))
    fine = ops.relu(conv(images, network, "down1"))
    coarse = ops.relu(conv(ops.max_pool(fine, 2), network, "down2"))
    lowest = ops.relu(conv(ops.max_pool(coarse, 2), network, "middle"))
    joined = ops.concatenate([conv(lowest, network, "up2"), coarse], -1)
    joined = ops.relu(conv(joined, network, "join2"))
    joined = ops.concatenate([conv(joined, network, "up1"), fine], -1)
    return keras.Model(images, conv(ops.relu(conv(joined, network, "join1")), network, "mask"))


COPIES: dict[str, Callable[[nn.Module], keras.Model]] = {
    "resnet18": resnet18, "mobilenetv2": mobilenetv2, "lstm": lstm, "transformer": transformer,
    "unet": unet,
}  # fmt: skip


def arrays_of(layer: Any, network: nn.Module) -> list[Any]:
    """Return what a layer of Keras holds, in its order, from the original."""
    own = {n: t.detach().numpy() for n, t in network.state_dict().items()}
    if layer.name.startswith("lstm_l"):
        n = layer.name.removeprefix("lstm_")
        bias = own[f"lstm.bias_ih_{n}"] + own[f"lstm.bias_hh_{n}"]
        return [own[f"lstm.weight_ih_{n}"].T, own[f"lstm.weight_hh_{n}"].T, bias]
    if layer.name == "attention":
        return attention_arrays(own)
    path = layer.name.replace("-", ".")
    module, weight = network.get_submodule(path), own[f"{path}.weight"]
    if isinstance(module, nn.Embedding | nn.LayerNorm | nn.BatchNorm2d):
        names = [f"{path}.{leaf}" for leaf in ("bias", "running_mean", "running_var")]
        return [weight, *(own[name] for name in names if name in own)]
    if isinstance(module, nn.Linear):
        weight = weight.T
    elif isinstance(layer, layers.DepthwiseConv2D):
        weight = weight.transpose(2, 3, 0, 1)
    else:
        weight = weight.transpose(2, 3, 1, 0)
    return [weight] if module.bias is None else [weight, own[f"{path}.bias"]]


def attention_arrays(own: dict[str, Any]) -> list[Any]:
    """Return the arrays of attention with three heads of four, in Keras' order."""
    arrays = []
    weights = np.split(own["attention.in_proj_weight"], 3)
    for weight, bias in zip(weights, np.split(own["attention.in_proj_bias"], 3), strict=True):
        arrays += [weight.T.reshape(12, 3, 4), bias.reshape(3, 4)]
    out = own["attention.out_proj.weight"].T.reshape(3, 4, 12)
    return [*arrays, out, own["attention.out_proj.bias"]]


def write_keras(name: str, network: nn.Module, folder: Path) -> None:
    """Write the network's copy in Keras, whole, and for one network in all its forms."""
    model = COPIES[name](network)
    for layer in model.layers:
        if layer.weights:
            layer.set_weights(arrays_of(layer, network))
    example = example_of(name)
    with torch.no_grad():
        expected = network(example)
        images = example.ndim == 4
        given = example.permute(0, 2, 3, 1) if images else example
        answer = model(given, training=False)
        answer = answer.permute(0, 3, 1, 2) if answer.ndim == 4 else answer
    np.testing.assert_allclose(answer.cpu().numpy(), expected.numpy(), rtol=1e-4, atol=1e-5)
    model.save(folder / f"{name}.keras")
    if name in ("lstm", "unet"):
        model.save(folder / f"{name}.h5")
        model.save_weights(folder / f"{name}.weights.h5")


def pack(folder: Path) -> None:
    """Pack the files of a folder, always alike."""
    with zipfile.ZipFile(ARCHIVE, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for path in sorted(folder.iterdir()):
            entry = zipfile.ZipInfo(path.name)
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, path.read_bytes())


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as scratch:
        for network_name in NETWORKS:
            original = initialized(network_name)
            write_torch(network_name, original, Path(scratch))
            write_keras(network_name, original, Path(scratch))
        pack(Path(scratch))
