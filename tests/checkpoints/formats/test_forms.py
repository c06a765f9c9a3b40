"""Forms other than torch's own, each against the network it was made from."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import h5py
import msgpack
import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

import genpredict
from genpredict.checkpoints.formats import registry
from genpredict.checkpoints.formats.registry import FORMATS, format_of, read_file, register_format
from genpredict.errors import CheckpointError, GenpredictError
from genpredict.layers import sort_tensors


class Net(nn.Module):
    """A network with every kind of layer that Keras and ONNX have too."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 6, (3, 2))
        self.depthwise = nn.Conv2d(6, 12, 3, groups=6)
        self.norm = nn.BatchNorm2d(12)
        self.up = nn.ConvTranspose2d(12, 5, 2)
        self.table = nn.Embedding(9, 4)
        self.lstm = nn.LSTM(4, 3)
        self.gru = nn.GRU(4, 3)
        self.fc = nn.Linear(7, 4)


def measures(tensors: Any) -> dict[tuple[int, ...], list[float]]:
    """Return the singular values of every layer, in order of shape and size."""
    layers = sort_tensors(tensors).layers
    spectra = [
        (tuple(x.weight.shape), torch.linalg.svdvals(x.weight.double().flatten(1))) for x in layers
    ]
    gathered: dict[tuple[int, ...], list[float]] = {}
    for shape, spectrum in spectra:
        gathered.setdefault(shape, []).extend(spectrum.tolist())
    return {shape: sorted(numbers) for shape, numbers in gathered.items()}


def agree(mine: Any, module: nn.Module) -> None:
    """Assert that all layers have the same shapes and, to 1e-12, the same singular values."""
    theirs = genpredict.layers.module_types(module)
    expected = measures_of(module, theirs)
    found = measures(mine)
    assert found.keys() == expected.keys()
    for shape, numbers in expected.items():
        assert found[shape] == pytest.approx(numbers, rel=1e-12, abs=1e-15), shape


def measures_of(module: nn.Module, types: dict[str, str]) -> dict[tuple[int, ...], list[float]]:
    from genpredict.checkpoints.named_tensors import NamedTensors

    return measures(NamedTensors(dict(module.state_dict()), types))


def keras_arrays(net: Net) -> dict[str, dict[str, np.ndarray[Any, Any]]]:
    """Return the arrays of a network as Keras names and lays them out, by layer."""
    a = {name: tensor.numpy() for name, tensor in net.state_dict().items()}

    def gates(weight: Any, order: list[int]) -> Any:
        parts = np.split(weight, len(order), axis=0)
        return np.concatenate([parts[n] for n in order], axis=0).T

    return {
        "conv2d": {"kernel": a["conv.weight"].transpose(2, 3, 1, 0), "bias": a["conv.bias"]},
        "depthwise_conv2d": {
            "depthwise_kernel": a["depthwise.weight"].reshape(6, 2, 3, 3).transpose(2, 3, 0, 1),
            "bias": a["depthwise.bias"],
        },
        "batch_normalization": {
            "gamma": a["norm.weight"], "beta": a["norm.bias"],
            "moving_mean": a["norm.running_mean"], "moving_variance": a["norm.running_var"],
        },
        "conv2d_transpose": {"kernel": a["up.weight"].transpose(2, 3, 1, 0), "bias": a["up.bias"]},
        "embedding": {"embeddings": a["table.weight"]},
        "lstm": {
            "kernel": gates(a["lstm.weight_ih_l0"], [0, 1, 2, 3]),
            "recurrent_kernel": gates(a["lstm.weight_hh_l0"], [0, 1, 2, 3]),
            "bias": a["lstm.bias_ih_l0"],
        },
        "gru": {
            "kernel": gates(a["gru.weight_ih_l0"], [1, 0, 2]),
            "recurrent_kernel": gates(a["gru.weight_hh_l0"], [1, 0, 2]),
            "bias": np.stack([a["gru.bias_ih_l0"], a["gru.bias_hh_l0"]]),
        },
        "dense": {"kernel": a["fc.weight"].T, "bias": a["fc.bias"]},
    }  # fmt: skip


CLASSES = {
    "conv2d": "Conv2D", "depthwise_conv2d": "DepthwiseConv2D", "lstm": "LSTM", "gru": "GRU",
    "batch_normalization": "BatchNormalization", "conv2d_transpose": "Conv2DTranspose",
    "embedding": "Embedding", "dense": "Dense",
}  # fmt: skip


def write_keras_2(path: Path, net: Net, *, config: bool, rename: bool = False) -> Path:
    """Write what ``model.save`` of Keras 2 does: layers, their order, an optimizer's slots."""
    with h5py.File(path, "w") as file:
        group = file.create_group("model_weights")
        layers = {f"my_{n}" if rename else n: arrays for n, arrays in keras_arrays(net).items()}
        group.attrs["layer_names"] = [name.encode() for name in layers]
        for layer, arrays in layers.items():
            inner = group.create_group(layer)
            names = [f"{layer}/{leaf}:0".encode() for leaf in arrays]
            inner.attrs["weight_names"] = names
            for leaf, array in arrays.items():
                inner[f"{layer}/{leaf}:0"] = array
        slots = file.create_group("optimizer_weights")
        slots["training/Adam/Variable:0"] = np.ones((3, 2, 3, 6), "f4")
        if config:
            described = [
                {"class_name": kind, "config": {"name": f"my_{name}" if rename else name}}
                for name, kind in CLASSES.items()
            ]
            file.attrs["model_config"] = json.dumps({"config": {"layers": described}})
    return path


def write_keras_3(path: Path, net: Net) -> Path:
    """Write what ``model.save("….keras")`` does: numbered variables in groups of classes."""
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        for layer, arrays in keras_arrays(net).items():
            place = (
                f"layers/{layer}/cell/vars" if layer in ("lstm", "gru") else f"layers/{layer}/vars"
            )
            for number, array in enumerate(arrays.values()):
                file[f"{place}/{number}"] = array
        file["optimizer/vars/0"] = np.ones((4, 4), "f4")
    config = {"config": {"layers": [{"class_name": kind, "config": {"name": name}}
                                    for name, kind in CLASSES.items()]}}  # fmt: skip
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", json.dumps(config))
        archive.writestr("metadata.json", "{}")
        archive.writestr("model.weights.h5", buffer.getvalue())
    return path


@pytest.fixture
def net() -> Net:
    torch.manual_seed(0)
    return Net()


@pytest.mark.parametrize("config", [True, False])
def test_keras_2_against_torch(tmp_path: Path, net: Net, config: bool) -> None:
    """Every layer as torch has it; the optimizer's slots are no layers; statistics do not count."""
    tensors = read_file(write_keras_2(tmp_path / "n.h5", net, config=config))
    agree(tensors, net)
    own = sum(p.numel() for n, p in net.named_parameters() if n != "lstm.bias_hh_l0")
    assert sort_tensors(tensors).num_parameters == own


def test_a_configuration_tells_classes_of_renamed_layers(tmp_path: Path, net: Net) -> None:
    agree(read_file(write_keras_2(tmp_path / "n.h5", net, config=True, rename=True)), net)


def test_keras_3_against_torch(tmp_path: Path, net: Net) -> None:
    agree(read_file(write_keras_3(tmp_path / "n.keras", net)), net)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("layers/sequential/layers/dense", "layers/sequential/layers/sequential/layers/dense"),
        ("block/conv", "block/block/conv"),
        ("layers/dense", "dense"),
    ],
)
def test_groups_of_keras_3_that_repeat_names_are_layers_each(
    tmp_path: Path, first: str, second: str
) -> None:
    """A model in a model of the same name, as a Sequential in a Sequential: no layer is lost."""
    kernels = {first: np.full((3, 5), 2.0), second: np.full((4, 3), 3.0)}
    with h5py.File(tmp_path / "n.weights.h5", "w") as file:
        for place, kernel in kernels.items():
            file[f"{place}/vars/0"] = kernel
            file[f"{place}/vars/1"] = kernel[0]
    tensors = read_file(tmp_path / "n.weights.h5")
    weights = {name: array for name, array in tensors.items() if name.endswith("weight")}
    assert sorted(map(np.shape, weights.values())) == [(3, 4), (5, 3)]
    for name, weight in weights.items():
        bias = tensors[name.removesuffix("weight") + "bias"]
        assert torch.equal(bias, weight[:, 0])  # beside its own weight


@pytest.mark.parametrize("bytes_before", [512, 1024, 8192])
@pytest.mark.parametrize("archived", [False, True])
def test_hdf5_with_a_block_of_the_user_in_front_against_torch(
    tmp_path: Path, net: Net, bytes_before: int, archived: bool
) -> None:
    """HDF5 begins at 0, 512, 1024 and so on; what is before is the user's own."""
    plain = write_keras_2(tmp_path / "plain.h5", net, config=True)
    path = tmp_path / "n.h5"
    with (
        h5py.File(plain) as source,
        h5py.File(path, "w", userblock_size=bytes_before) as copy,
    ):
        for name in source:
            source.copy(name, copy)
        copy.attrs["model_config"] = source.attrs["model_config"]
    if archived:
        with zipfile.ZipFile(tmp_path / "n.keras", "w") as archive:
            archive.write(path, "model.weights.h5")
        path = tmp_path / "n.keras"
    agree(read_file(path), net)


def write_onnx(path: Path, net: Net, *, external: bool = False) -> Path:
    """Write the layers as operators, gates in ONNX's order."""
    a = {name: tensor.numpy() for name, tensor in net.state_dict().items()}

    def gates(name: str, order: list[int]) -> Any:
        parts = np.split(a[name], len(order), axis=0)
        return np.concatenate([parts[n] for n in order], axis=0)[None]

    arrays = {
        "conv.weight": a["conv.weight"], "onnx::Conv_7": a["depthwise.weight"],
        "up.weight": a["up.weight"], "onnx::MatMul_9": a["fc.weight"].T,
        "table": a["table.weight"], "shape": np.array([1, -1]),
        "W": gates("lstm.weight_ih_l0", [0, 3, 1, 2]),
        "R": gates("lstm.weight_hh_l0", [0, 3, 1, 2]),
        "W2": gates("gru.weight_ih_l0", [1, 0, 2]), "R2": gates("gru.weight_hh_l0", [1, 0, 2]),
    }  # fmt: skip
    nodes = [
        helper.make_node("Conv", ["x", "conv.weight"], ["y1"]),
        helper.make_node("Conv", ["y1", "onnx::Conv_7"], ["y2"], group=6),
        helper.make_node("ConvTranspose", ["y2", "up.weight"], ["y3"]),
        helper.make_node("Reshape", ["y3", "shape"], ["y4"]),
        helper.make_node("MatMul", ["y4", "onnx::MatMul_9"], ["y5"]),
        helper.make_node("Gather", ["table", "ids"], ["y6"]),
        helper.make_node("LSTM", ["y6", "W", "R"], ["y7"], name="lstm", hidden_size=3),
        helper.make_node("GRU", ["y6", "W2", "R2"], ["y8"], name="gru", hidden_size=3),
    ]
    tensors = [numpy_helper.from_array(np.ascontiguousarray(v), n) for n, v in arrays.items()]
    graph = helper.make_graph(nodes, "g", [], [], tensors)
    model = helper.make_model(graph)
    onnx.save(model, path, save_as_external_data=external, size_threshold=0)
    return path


@pytest.mark.parametrize("external", [False, True])
def test_onnx_against_torch(tmp_path: Path, net: Net, external: bool) -> None:
    agree(read_file(write_onnx(tmp_path / "n.onnx", net, external=external)), net)


def test_onnx_does_not_read_outside_its_folder(tmp_path: Path, net: Net) -> None:
    (tmp_path / "in").mkdir()
    path = write_onnx(tmp_path / "in" / "n.onnx", net)
    model = onnx.load(path)
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "../secret"
    (tmp_path / "secret").write_bytes(bytes(1000))
    path.write_bytes(model.SerializeToString())
    with pytest.raises(CheckpointError, match="data lie outside its folder"):
        read_file(path)


@pytest.mark.filterwarnings("ignore:.*torch.jit.* is deprecated:DeprecationWarning")
def test_torchscript_against_torch(tmp_path: Path) -> None:
    """The attributes of compiled modules; their classes are known."""
    module = nn.Sequential(nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ConvTranspose2d(6, 6, 2))
    torch.jit.save(torch.jit.script(module), tmp_path / "n.pt")
    tensors = read_file(tmp_path / "n.pt")
    agree(tensors, module)
    assert tensors.types["2.weight"] == "ConvTranspose2d"  # type: ignore[attr-defined]


def test_numpy_archives_against_torch(tmp_path: Path, net: Net) -> None:
    arrays = {name: tensor.numpy() for name, tensor in net.state_dict().items()}
    np.savez_compressed(tmp_path / "n.npz", **arrays)
    read = read_file(tmp_path / "n.npz")
    assert all(np.array_equal(read[name].numpy(), array) for name, array in arrays.items())


def test_arrays_of_numpy_in_every_form(tmp_path: Path) -> None:
    """Orders, types and byte orders; texts, empty arrays and tables of fields beside them."""
    numbers = np.arange(12.0).reshape(3, 4)
    arrays = {
        "c": numbers, "fortran": np.asfortranarray(numbers), "big": numbers.astype(">f4"),
        "half": numbers.astype("f2"), "every_second": numbers[:, ::2],
        "deep": numbers[None, :, None], "vector": numbers[0], "scalar": np.float32(3),
        "empty": np.zeros((0, 3)),
    }  # fmt: skip
    table = np.zeros(3, dtype=[("a", "f4"), ("b", "i4")])
    np.savez(tmp_path / "n.npz", **arrays, text=np.array("x"), table=table)
    read = read_file(tmp_path / "n.npz")
    assert read.keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(read[name].numpy(), array)
    np.savez(tmp_path / "o.npz", **arrays, table=np.zeros(3, dtype=[("a", "O")]))
    with pytest.raises(CheckpointError, match="arrays of objects"):
        read_file(tmp_path / "o.npz")


def test_arrays_of_objects_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "n.npz", a=np.array([[1, "x"], [{}, 2]], dtype=object))
    with pytest.raises(CheckpointError, match="arrays of objects"):
        read_file(tmp_path / "n.npz")


def flax_bytes(array: np.ndarray[Any, Any]) -> msgpack.ExtType:
    """Pack an array as ``flax.serialization`` does."""
    return msgpack.ExtType(1, msgpack.packb((array.shape, array.dtype.name, array.tobytes("C"))))


def test_flax_against_torch(tmp_path: Path) -> None:
    module = nn.Sequential(nn.Conv2d(3, 6, (3, 2)), nn.Linear(5, 4))
    a = {name: np.ascontiguousarray(t.numpy()) for name, t in module.state_dict().items()}
    tree = {
        "params": {
            "Conv_0": {"kernel": a["0.weight"].transpose(2, 3, 1, 0), "bias": a["0.bias"]},
            "Dense_0": {"kernel": a["1.weight"].T, "bias": a["1.bias"]},
        },
        "opt_state": {"mu": {"kernel": np.ones((4, 4), "f4")}},
    }
    packed = msgpack.packb(tree, default=flax_bytes)
    (tmp_path / "n.msgpack").write_bytes(packed)
    agree(read_file(tmp_path / "n.msgpack"), module)


def test_a_missing_package_is_named_with_its_extra(
    tmp_path: Path, net: Net, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_keras_2(tmp_path / "n.h5", net, config=True)
    monkeypatch.setattr(registry.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(CheckpointError, match=r"needs h5py; install genpredict\[formats\]"):
        read_file(path)


def is_mine(head: bytes, path: Path) -> bool:
    return head.startswith(b"MINE")


def read_mine(path: Path) -> dict[str, Tensor]:
    return {"fc.weight": torch.eye(3) + 1}


def test_a_format_is_registered_at_run_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One row: files of it are found in folders, read and scored like any others."""
    monkeypatch.setattr(registry, "_registered", {})
    register_format("mine", (".mine",), f"{__name__}:is_mine", f"{__name__}:read_mine")
    (tmp_path / "a.mine").write_bytes(b"MINE")
    (tmp_path / "b.dat").write_bytes(b"MINE by its content")
    scores = genpredict.score(tmp_path)
    assert scores["checkpoint"].values.tolist() == ["a.mine", "b.dat"]
    assert scores["status"].values.tolist() == ["done", "done"]


def test_registering_says_what_is_wrong() -> None:
    with pytest.raises(GenpredictError, match="there is a format 'Keras' already"):
        register_format("Keras", (), "a:b", "a:b")
    with pytest.raises(GenpredictError, match="not of the form module:function"):
        register_format("mine", (), "a.b", "a:b")
    with pytest.raises(GenpredictError, match="must begin with a dot"):
        register_format("mine", ("x",), "a:b", "a:b")


def test_every_row_names_functions_that_are_there() -> None:
    for row in FORMATS.values():
        for text in filter(None, (row.recognizer, row.reader, row.peek)):
            registry.resolve(text, row.name)


def test_an_hdf5_file_that_lies_is_refused(tmp_path: Path) -> None:
    """Neither links out of the file are followed, nor is room made for what is not stored."""
    with h5py.File(tmp_path / "other.h5", "w") as other:
        other["dense/kernel:0"] = np.ones((4, 4))
    with h5py.File(tmp_path / "n.h5", "w") as file:
        file["model_weights"] = h5py.ExternalLink(str(tmp_path / "other.h5"), "/")
        file["dense/kernel:0"] = np.ones((3, 2))
    assert [tuple(t.shape) for t in read_file(tmp_path / "n.h5").values()] == [(2, 3)]
    with h5py.File(tmp_path / "big.h5", "w") as file:
        file.create_dataset("dense/kernel:0", (10**6, 10**6), "f4", chunks=(64, 64))
    with pytest.raises(CheckpointError, match="which the file is too small for"):
        read_file(tmp_path / "big.h5")


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("m.gguf", b"GGUF\x03\x00\x00\x00", "GGUF"),
        ("m.distcp", b"x", "distributed"),
        ("m.msgpack", msgpack.packb({"a": 1}), "msgpack"),
    ],
)
def test_forms_that_are_not_read_are_named(
    tmp_path: Path, name: str, content: bytes, said: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(CheckpointError, match=said):
        read_file(tmp_path / name)


@pytest.mark.parametrize("suffix", [".pt", ".h5", ".weights", "", ".safetensors"])
def test_contents_tell_a_form_whatever_the_suffix(tmp_path: Path, suffix: str) -> None:
    torch.save({"fc.weight": torch.ones(2, 3)}, tmp_path / f"n{suffix}")
    row = format_of(tmp_path / f"n{suffix}")
    assert row is not None
    assert row.name == "torch (zip)"


WRITTEN_BY_KERAS = Path(__file__).parent / "keras_3_15"


def matrices_of(key: str, kernel: np.ndarray[Any, Any]) -> list[np.ndarray[Any, Any]]:
    """Return a kernel of Keras as matrices with outputs as columns, one for each gate."""
    if "depthwise" in key:  # (height, width, inputs, outputs of each)
        return [kernel.reshape(9, -1)]
    if "transpose" in key:
        return [np.moveaxis(kernel, 2, -1).reshape(-1, kernel.shape[2])]
    if "attention" in key and "output" not in key:  # (inputs, heads, outputs of each)
        return [kernel.reshape(len(kernel), -1)]
    gates = 4 if "lstm" in key else 3 if "gru" in key else 1
    return np.split(kernel.reshape(-1, kernel.shape[-1]), gates, axis=1)


@pytest.mark.parametrize("name", ["keras3.keras", "keras_legacy.h5"])
def test_files_that_keras_wrote_against_its_arrays(name: str) -> None:
    """Nested models, attention, recurrences: every kernel's singular values, every parameter."""
    with np.load(WRITTEN_BY_KERAS / "keras_arrays.npz") as archive:
        arrays = {key: array for key, array in archive.items() if "moving" not in key}
    chosen = sort_tensors(read_file(WRITTEN_BY_KERAS / name))
    assert len(chosen.layers) == 31
    assert sum(layer.kind == "conv" for layer in chosen.layers) == 6
    assert chosen.num_parameters == sum(array.size for array in arrays.values())
    expected = [
        np.linalg.svd(matrix, compute_uv=False).tolist()
        for key, array in arrays.items()
        if key.endswith("kernel")
        for matrix in matrices_of(key, array.astype("f8"))
    ]
    spectra = [
        torch.linalg.svdvals(layer.weight.double().flatten(1)).tolist() for layer in chosen.layers
    ]
    for mine, theirs in zip(sorted(spectra), sorted(expected), strict=True):
        assert mine == pytest.approx(theirs, rel=1e-12, abs=1e-14)
    (dense,) = [layer for layer in chosen.layers if layer.weight.shape == (5, 72)]
    assert np.array_equal(dense.weight.numpy(), arrays["dense|kernel"].T)


class Exported(nn.Module):
    """A network that torch's own exporter writes without folding anything."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Conv2d(3, 6, 3)
        self.up = nn.ConvTranspose2d(6, 4, 2)
        self.lstm = nn.LSTM(4, 3, bidirectional=True)
        self.gru = nn.GRU(6, 3)
        self.fc = nn.Linear(3, 4)
        self.out = nn.Linear(4, 5, bias=False)

    def forward(self, images: Tensor) -> Tensor:
        features = self.up(self.down(images)).flatten(2).permute(2, 0, 1)
        answer: Tensor = self.out(self.fc(self.gru(self.lstm(features)[0])[0]))
        return answer


@pytest.mark.filterwarnings("ignore")
def test_files_that_torch_exported_against_torch(tmp_path: Path) -> None:
    module = Exported().eval()
    torch.onnx.export(module, (torch.randn(1, 3, 8, 8),), tmp_path / "n.onnx", dynamo=False)
    agree(read_file(tmp_path / "n.onnx"), module)
    names = [layer.name for layer in sort_tensors(read_file(tmp_path / "n.onnx")).layers]
    assert names == [layer.name for layer in sort_tensors(module.state_dict()).layers]
