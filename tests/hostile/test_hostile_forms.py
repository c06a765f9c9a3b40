"""Hostile files of Keras, ONNX, numpy, flax, stable-baselines and TorchScript."""

from __future__ import annotations

import io
import json
import os
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import msgpack
import numpy as np
import pytest
import torch
from guarded import Case, Outcome, read_guarded
from hostile_files import torch_zip
from hostile_pickles import PROTOCOL, call, plain_global, text
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper

KERNEL = np.ones((4, 3), "f4")
ATTACK = PROTOCOL + call(plain_global("os", "system"), text("touch canary")) + b"."
PARSE_ROOM = 3 * 2**29


def hdf5(path: Path, fill: Callable[[h5py.File], object], *, kernel: bool = True) -> None:
    with h5py.File(path, "w", libver="latest") as file:
        if kernel:
            file["dense/dense/kernel:0"] = KERNEL
        fill(file)


def nested(file: h5py.File, depth: int) -> None:
    group = file
    for _ in range(depth):
        group = group.create_group("a")
    group["kernel:0"] = KERNEL


def unstored(file: h5py.File) -> None:
    """Write data sets of 64 MB each, of which nothing is stored."""
    for number in range(100):
        file.create_dataset(f"d{number}/kernel:0", (4096, 4096), "f4", chunks=(64, 64))


def cycle(file: h5py.File) -> None:
    file["dense/again"] = file["/"]
    file["dense/dense/again"] = file["dense"]


def elsewhere(file: h5py.File) -> None:
    """Keep numbers in another file, in both of the ways that HDF5 has."""
    layout = h5py.VirtualLayout((4, 3), "f4")
    layout[:] = h5py.VirtualSource("other.h5", "w", (4, 3))
    file.create_virtual_dataset("v/kernel:0", layout)


def stored_outside(file: h5py.File) -> None:
    file.create_dataset("x/kernel:0", (4, 3), "f4", external=[("/etc/passwd", 0, 48)])


def attributes(file: h5py.File) -> None:
    """Lie in everything that Keras notes."""
    file.attrs["model_config"] = "[" * 50_000
    file.attrs["layer_names"] = [b"dense", b"../x", b"/", b"\xff" * 50]
    file["dense"].attrs["weight_names"] = np.arange(5)
    file["dense"].attrs["name"] = np.arange(5)


def endless(path: Path) -> None:
    """Write a heap of texts whose free part, of size 0, would be followed by itself for ever."""
    with h5py.File(path, "w") as file:
        file["dense/dense/kernel:0"] = KERNEL
        file.attrs["model_config"] = "{}"
    content = bytearray(path.read_bytes())
    first = content.index(b"GCOL") + 16
    content[first : first + 16] = bytes(16)
    path.write_bytes(content)


def other_sizes(path: Path) -> None:
    """Write a file whose sizes take four bytes, so that its heaps look otherwise."""
    hdf5(path, attributes)
    content = bytearray(path.read_bytes())
    content[9:11] = b"\x04\x04"
    path.write_bytes(content)


def keras_archive(path: Path, *, config: bytes = b"{}", weights: bytes | None = None) -> None:
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        file["layers/dense/vars/0"] = KERNEL
        file["layers/dense/vars"].attrs["name"] = "x" * 50_000
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("config.json", config)
        archive.writestr("metadata.json", b"{}")
        archive.writestr("model.weights.h5", buffer.getvalue() if weights is None else weights)


def one_name(file: h5py.File) -> None:
    """Note one name for thousands of layers."""
    for number in range(4_000):
        variables = file.create_group(f"layers/dense_{number}/vars")
        variables.attrs["name"] = "n" * 100
        variables["0"] = KERNEL


def circular_config() -> bytes:
    """Describe models in models, each with a thousand layers of one name."""
    layer: dict[str, Any] = {"class_name": "Dense", "config": {"name": "dense"}}
    for _ in range(60):
        layer = {"class_name": "Functional", "config": {"name": "m", "layers": [layer] * 2}}
        if len(json.dumps(layer)) > 2**20:
            break
    return json.dumps(layer).encode()


def weight(name: str = "w", dims: tuple[int, ...] = (4, 3), **fields: Any) -> TensorProto:
    tensor = TensorProto(name=name, dims=dims, data_type=TensorProto.FLOAT)
    if "data_location" not in fields:
        tensor.raw_data = KERNEL.tobytes()
    for field, content in fields.items():
        setattr(tensor, field, content)
    return tensor


def model(path: Path, *tensors: TensorProto, nodes: tuple[NodeProto, ...] = ()) -> None:
    takers = [helper.make_node("MatMul", ["x", t.name], [f"y {t.name}"]) for t in tensors]
    graph = GraphProto(name="g", initializer=tensors, node=(*takers, *nodes))
    path.write_bytes(ModelProto(ir_version=8, graph=graph).SerializeToString())


def external(path: Path, location: str, **facts: int) -> None:
    tensor = weight(data_location=TensorProto.EXTERNAL)
    for key, fact in {"location": location, **facts}.items():
        tensor.external_data.add(key=key, value=str(fact))
    model(path, tensor)


def sparse_beside(path: Path) -> None:
    """Point into a file of a terabyte of which nothing is stored."""
    with (path.parent / "big").open("wb") as file:
        file.truncate(2**40)
    external(path, "big", length=2**40)


def backwards_beside(path: Path) -> None:
    """Ask for a negative number of bytes of a file that has as many as are needed."""
    (path.parent / "w").write_bytes(KERNEL.tobytes())
    external(path, "w", length=-1)


def pipe_beside(path: Path) -> None:
    os.mkfifo(path.parent / "pipe")
    external(path, "pipe", length=48)


def link_beside(path: Path) -> None:
    (path.parent / "link").symlink_to("/etc/passwd")
    external(path, "link", length=48)


def message(number: int, content: bytes) -> bytes:
    """Encode a message in a field of another, whatever a writer's limits are."""
    length, size = b"", len(content)
    while size > 127:
        length, size = length + bytes([size % 128 + 128]), size // 128
    return bytes([8 * number + 2]) + length + bytes([size]) + content


def write_graph(path: Path, graph: bytes) -> None:
    """Write a model with a graph already encoded."""
    path.write_bytes(ModelProto(ir_version=8).SerializeToString() + message(7, graph))


def graphs_in_graphs(path: Path) -> None:
    graph = GraphProto(name="g", initializer=[weight()]).SerializeToString()
    for _ in range(500):  # a node's attribute's graph
        graph = message(1, message(5, message(6, graph)))
    write_graph(path, graph)


def million_operators(path: Path) -> None:
    """Write a million empty operators in two million bytes."""
    write_graph(path, message(1, b"") * 1_000_000)


def tangled(path: Path) -> None:
    """Have thousands of products with the same result, which thousands take, in circles."""
    tensors = [weight(f"val_{n}") for n in range(2_000)]
    products = [NodeProto(op_type="MatMul", input=["x", t.name], output=["y"]) for t in tensors]
    takers = [NodeProto(op_type="Reshape", input=["y", "y"], output=["y"]) for _ in range(2_000)]
    graph = GraphProto(name="g", initializer=tensors, node=[*products, *takers])
    path.write_bytes(ModelProto(ir_version=8, graph=graph).SerializeToString())


def npy(shape: str, dtype: str = "<f4", content: bytes = KERNEL.tobytes()) -> bytes:
    header = f"{{'descr': {dtype!r}, 'fortran_order': False, 'shape': {shape}}}".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + content


def npz(path: Path, **entries: bytes) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, entry in entries.items():
            archive.writestr(f"{name}.npy", entry)


def flax(path: Path, tree: Any) -> None:
    def packed(array: np.ndarray[Any, Any]) -> msgpack.ExtType:
        return msgpack.ExtType(1, msgpack.packb((array.shape, "float32", array.tobytes())))

    path.write_bytes(msgpack.packb(tree, default=packed))


def array(shape: Any, dtype: str = "float32") -> msgpack.ExtType:
    return msgpack.ExtType(1, msgpack.packb((shape, dtype, KERNEL.tobytes())))


def long_names(path: Path) -> None:
    """Put twenty thousand arrays below fifty keys of twenty thousand letters each."""
    tree: Any = {str(n): array((4, 3)) for n in range(20_000)}
    for _ in range(50):
        tree = {"k" * 20_000: tree}
    flax(path, {"params": tree})


def policy(path: Path, content: bytes) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("data", b'{"policy_class": {":serialized:": "gASVAAAAAAAAAACULg=="}}')
        archive.writestr("policy.pth", content)


def program(path: Path, *, pickled: bytes) -> None:
    """Write what TorchScript does, with a program and constants that would do harm."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("n/data.pkl", pickled)
        archive.writestr("n/constants.pkl", ATTACK)
        archive.writestr("n/code/__torch__.py", b"import os\nos.system('touch canary')\n")
        archive.writestr("n/version", b"3\n")


def hostile_policy() -> bytes:
    buffer = io.BytesIO()
    torch.save({}, buffer)
    with zipfile.ZipFile(io.BytesIO(buffer.getvalue())) as old:
        names = old.namelist()
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for name in names:
            archive.writestr(name, ATTACK if name.endswith("data.pkl") else b"")
    return made.getvalue()


READ: dict[str, Callable[[Path], object]] = {
    "circle.h5": lambda p: hdf5(p, cycle),
    "attributes.h5": lambda p: hdf5(p, attributes),
    "one_name.weights.h5": lambda p: hdf5(p, one_name, kernel=False),
    "config.keras": lambda p: keras_archive(p, config=circular_config()),
    "brackets.keras": lambda p: keras_archive(p, config=b"[" * 10**6),
    "config_not_utf8.keras": lambda p: keras_archive(p, config=b"\xff\xfe{}"),
    "config_of_lists.keras": lambda p: keras_archive(
        p, config=json.dumps({"config": {"layers": [[], 3, None, {"config": [1]}]}}).encode()
    ),
    "tangled.onnx": tangled,
    "unknown_operator.onnx": lambda p: model(
        p, weight(), nodes=(NodeProto(op_type="X" * 10**5, input=["w"] * 1000, output=[""]),)
    ),
}
REFUSED: dict[str, Callable[[Path], object]] = {
    "deep.h5": lambda p: hdf5(p, lambda file: nested(file, 2000), kernel=False),
    "unstored.h5": lambda p: hdf5(p, unstored),
    "virtual.h5": lambda p: hdf5(p, elsewhere),
    "outside.h5": lambda p: hdf5(p, stored_outside),
    "endless.h5": endless,
    "other_sizes.h5": other_sizes,
    "bomb.keras": lambda p: keras_archive(p, weights=bytes(80 * 2**20)),
    "no_hdf5.keras": lambda p: keras_archive(p, weights=b"\x89HDF\r\n\x1a\n" + bytes(100)),
    "dims.onnx": lambda p: model(p, weight(dims=(2**40, 2**20))),
    "negative.onnx": lambda p: model(p, weight(dims=(-4, 3))),
    "type.onnx": lambda p: model(p, weight(data_type=99)),
    "absolute.onnx": lambda p: external(p, "/etc/passwd", length=48),
    "above.onnx": lambda p: external(p, "../other/x", length=48),
    "beyond.onnx": lambda p: external(p, p.name, offset=2**62, length=48),
    "before.onnx": lambda p: external(p, p.name, offset=-5, length=48),
    "backwards.onnx": backwards_beside,
    "sparse.onnx": sparse_beside,
    "pipe.onnx": pipe_beside,
    "link.onnx": link_beside,
    "graphs.onnx": graphs_in_graphs,
    "operators.onnx": million_operators,
    "negative.npy": lambda p: p.write_bytes(npy("(-1, 3)")),
    "large.npy": lambda p: p.write_bytes(npy("(4000000000, 4000000000)")),
    "brackets.npy": lambda p: p.write_bytes(npy("(" * 5000 + ")" * 5000)),
    "code.npy": lambda p: p.write_bytes(npy("__import__('os').system('touch canary')")),
    "objects.npz": lambda p: npz(p, w=npy("(2, 2)", "|O", ATTACK)),
    "texts.npy": lambda p: p.write_bytes(npy("(2, 2)", "<U1", bytes(16))),
    "bomb.npz": lambda p: npz(p, w=npy("(5000, 5000)", "<f4", bytes(10**8))),
    "negative.msgpack": lambda p: flax(p, {"params": {"kernel": array((-4, -3))}}),
    "large.msgpack": lambda p: flax(p, {"params": {"kernel": array((2**40, 2**40))}}),
    "type.msgpack": lambda p: flax(p, {"params": {"kernel": array((4, 3), "O")}}),
    "no_shape.msgpack": lambda p: flax(p, {"params": {"kernel": array({"a": 1})}}),
    "chunks.msgpack": lambda p: flax(
        p, {"params": {"k": {"__msgpack_chunked_array__": True, "shape": {}, "chunks": {"0": 1}}}}
    ),
    "deep.msgpack": lambda p: p.write_bytes(b"\x81\xa1a" * 5000 + b"\xc0"),
    "claim.msgpack": lambda p: p.write_bytes(b"\x81\xa6params\xdd\xff\xff\xff\xff"),
    "maps.msgpack": lambda p: p.write_bytes(
        b"\x81\xa6params\xdd" + struct.pack(">I", 10_000_000) + b"\x80" * 10_000_000
    ),
    "policy.zip": lambda p: policy(p, hostile_policy()),
    "policy_of_noise.zip": lambda p: policy(p, b"PK\x03\x04" + bytes(500)),
    "scripted.pt": lambda p: program(p, pickled=ATTACK),
}


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Outcome]:
    """Score every file, each in a folder of its own."""
    folder = tmp_path_factory.mktemp("forms")
    (folder / "other").mkdir()
    (folder / "other" / "x").write_bytes(KERNEL.tobytes())
    cases = []
    for name, write in (READ | REFUSED | {"names.msgpack": long_names}).items():
        path = folder / name.replace(".", "_") / name
        path.parent.mkdir()
        write(path)
        cases.append(Case(name, "score", str(path)))
    return read_guarded(cases, patience=120)


@pytest.mark.parametrize("name", READ)
def test_lies_beside_good_weights_change_nothing(outcomes: dict[str, Outcome], name: str) -> None:
    outcome = outcomes[name]
    assert (outcome.end, outcome.events) == ("read", ()), outcome
    assert outcome.peak < 2**29, outcome


@pytest.mark.parametrize("name", REFUSED)
def test_hostile_forms_are_refused_and_run_nothing(outcomes: dict[str, Outcome], name: str) -> None:
    """One clear line that names the file; neither much memory nor much time."""
    outcome = outcomes[name]
    assert (outcome.end, outcome.events) == ("refused", ()), outcome
    assert name in outcome.message, outcome
    assert outcome.peak < PARSE_ROOM, outcome
    assert outcome.seconds < 30, outcome


def test_names_that_grow_with_their_depth_end(outcomes: dict[str, Outcome]) -> None:
    """A million letters before each of twenty thousand names: no memory for that, and said so."""
    outcome = outcomes["names.msgpack"]
    assert outcome.end in ("read", "refused"), outcome
    assert outcome.events == ()
    assert outcome.peak < PARSE_ROOM, outcome


def test_the_program_of_a_network_is_never_compiled(tmp_path: Path) -> None:
    """Constants and code of TorchScript that would do harm stay unread; the weights are read."""
    good = torch_zip(tmp_path / "good.pt", PROTOCOL + b"}.", {})
    with zipfile.ZipFile(good) as archive:
        pickled = archive.read(next(n for n in archive.namelist() if n.endswith("data.pkl")))
    program(tmp_path / "n.pt", pickled=pickled)
    (outcome,) = read_guarded([Case("program", "score", str(tmp_path / "n.pt"))]).values()
    assert (outcome.end, outcome.events) == ("refused", ()), outcome  # it holds no weights
    assert "do not trust" not in outcome.message
