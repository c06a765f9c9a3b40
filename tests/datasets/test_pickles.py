import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from dataset_files import python2_pickle

from genpredict.datasets.pickles import load_pickle
from genpredict.errors import GenpredictError

PIXELS = np.arange(24, dtype=np.uint8).reshape(4, 6)


def _write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def test_python_2_pickle_against_numpy(tmp_path):
    """Texts, numbers and an array of bytes, as Python 2 wrote CIFAR; Python's own reader agrees."""
    content = {b"labels": [3, 0, -7], b"data": PIXELS, b"batch_label": b"testing batch 1 of 1"}
    raw = python2_pickle(content)
    oracle = pickle.loads(raw, encoding="bytes")
    result = load_pickle(_write(tmp_path / "batch", raw))
    np.testing.assert_array_equal(oracle[b"data"], PIXELS)
    np.testing.assert_array_equal(result["data"], PIXELS)
    assert result["labels"] == [3, 0, -7]
    assert result["batch_label"] == b"testing batch 1 of 1"


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("dtype", ["u1", "<i8", ">f4", "b1"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_of_python_3_against_numpy(protocol, dtype, order, tmp_path):
    array = np.asarray(PIXELS.astype(dtype), order=order)
    raw = pickle.dumps({"a": array, b"b": b"text", "c": [1.5, "é"]}, protocol=protocol)
    result = load_pickle(_write(tmp_path / "p", raw))
    np.testing.assert_array_equal(result["a"], array)
    assert result["a"].dtype == array.dtype
    assert result["b"] == b"text"


class _Evil:
    """Writes a file when it is unpickled."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def _hostile(canary: Path) -> dict[str, bytes]:
    """Pickles that make the canary file where something runs them."""
    touch = f"open({str(canary)!r}, 'w').close()"
    return {
        "os.system": pickle.dumps({"data": _Evil(os.system, f"touch {canary}")}),
        "builtins.eval": pickle.dumps({"data": _Evil(eval, touch)}),
        "__builtin__.exec": pickle.dumps({"data": _Evil(exec, touch)}, protocol=0),
        "numpy.load": pickle.dumps(_Evil(np.load, str(canary))),
        "builtins.open": pickle.dumps([_Evil(open, str(canary), "w")], protocol=2),
        "numpy.ndarray.tofile": b"\x80\x04\x8c\x05numpy\x8c\x0endarray.tofile\x93.",
        "os.path": b"\x80\x04\x8c\x02os\x8c\x04path\x93.",
        "copyreg._reconstructor": b"ccopyreg\n_reconstructor\n.",
    }


@pytest.mark.parametrize("name", _hostile(Path("canary")))
def test_hostile_pickle_is_refused_and_not_run(name, tmp_path):
    """The canary stays unwritten; the message names what was asked for."""
    canary = tmp_path / "canary"
    path = _write(tmp_path / "batch", _hostile(canary)[name])
    asked = name.replace("os.system", "posix.system").replace("builtins.open", "io.open")
    with pytest.raises(GenpredictError, match=rf"batch: refused.*{asked}.*nothing was run"):
        load_pickle(path)
    assert not canary.exists()


def test_canary_would_be_written(tmp_path):
    """The attacks above are real: Python's own reader runs one of them."""
    canary = tmp_path / "canary"
    pickle.loads(_hostile(canary)["builtins.eval"])
    assert canary.exists()


def _state(state: object) -> bytes:
    """Write an array whose state is of the attacker's making."""
    reduced = _Evil(np._core.multiarray._reconstruct, np.ndarray, (0,), b"b")
    reduced.call = (*reduced.call, state)
    return pickle.dumps({"data": reduced})


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ((1, (10**12,), np.dtype("u1"), False, b"x"), "with 1 bytes"),
        ((1, (-1,), np.dtype("u1"), False, b"x"), "with 1 bytes"),
        ((1, (1,), np.dtype("O"), False, [1]), "holds objects"),
        ((1, (1,), np.dtype("O"), False, b"12345678"), "array of type .O8"),
        ((1, (1,), np.dtype([("a", "u1")]), False, b"x"), "array of type .V1"),
        ((1, 3), "array in an unknown form"),
        ("state", "array in an unknown form"),
    ],
)
def test_forged_arrays_are_refused(state, message, tmp_path):
    with pytest.raises(GenpredictError, match=message):
        load_pickle(_write(tmp_path / "p", _state(state)))


@pytest.mark.parametrize("length", [0, 1, 20, 150, -1])
def test_truncated_pickles(length, tmp_path):
    raw = python2_pickle({b"labels": [1, 2], b"data": PIXELS})
    with pytest.raises(GenpredictError, match=r"p: refused, or damaged .* fetch it again"):
        load_pickle(_write(tmp_path / "p", raw[:length]))


def test_other_encodings_and_no_dict(tmp_path):
    codec = b"c_codecs\nencode\n(Vx\nVzip\ntR."
    with pytest.raises(GenpredictError, match="text in an unknown encoding"):
        load_pickle(_write(tmp_path / "p", codec))
    with pytest.raises(GenpredictError, match="a list instead of a dict"):
        load_pickle(_write(tmp_path / "p", pickle.dumps([1])))
    with pytest.raises(GenpredictError, match="cannot be read"):
        load_pickle(tmp_path / "absent")
