"""What files of weights are called; what they hold is told by their first bytes."""

from __future__ import annotations

SAFETENSORS = ".safetensors"
#: Of Lightning, and of Hugging Face.
CKPT, BIN = ".ckpt", ".bin"
#: Of torch's zip archives; some of these files are pickles, as all were before torch 1.6.
TORCH = (".pt", ".pth", CKPT, BIN)
#: Of pickles alone.
OLD_TORCH = ".th"
#: Of archives of torch before 0.1.10, and of anybody's.
TAR = ".tar"
#: Of Keras 1 and 2, and of weights alone of Keras 3.
HDF5 = (".h5", ".hdf5")
KERAS = ".keras"
NUMPY = ".npy"
ONNX = ".onnx"
MSGPACK = ".msgpack"
