"""Formats that are known and not read: what they are, and what to do about it."""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn

from genpredict.checkpoints.formats.unpickling import RESAVE
from genpredict.errors import CheckpointError


def refuse_gguf(path: Path) -> NoReturn:
    """Raise CheckpointError: weights of llama.cpp are quantized."""
    raise CheckpointError(
        path,
        "a GGUF file of llama.cpp, whose weights are quantized as a rule; measure the network that "
        "it was made from, as .safetensors",
    )


def refuse_exported(path: Path) -> NoReturn:
    """Raise CheckpointError: a traced program, its weights among constants."""
    raise CheckpointError(
        path,
        "a program of torch.export, not weights alone; load it with torch.export.load and save "
        "torch.save(program.state_dict, path)",
    )


def refuse_distributed(path: Path) -> NoReturn:
    """Raise CheckpointError: pieces of tensors in several files."""
    raise CheckpointError(
        path,
        "a part of a torch.distributed.checkpoint, which spreads tensors over files; join them "
        "with torch.distributed.checkpoint.format_utils.dcp_to_torch_save(folder, file)",
    )


def refuse_shards(path: Path) -> NoReturn:
    """Raise CheckpointError: model-parallel parts of one network, without an index."""
    raise CheckpointError(
        path,
        "one model-parallel shard of several: each holds a slice of every weight; merge them with "
        "the tools of their framework (transformers' convert scripts, zero_to_fp32.py) first",
    )


def refuse_unzipped(path: Path) -> NoReturn:
    """Raise CheckpointError: what a browser or archiver has made of a file of torch."""
    raise CheckpointError(
        path,
        "an unzipped file of torch.save: zip its folder again without compression (zip -0 -r "
        "model.pt FOLDER), or fetch the file itself",
    )


def refuse_tar(path: Path) -> NoReturn:
    """Raise CheckpointError: an archive of files, or a form of torch that cannot be read safely."""
    raise CheckpointError(
        path,
        "a tar archive: unpack it, or, where torch before 0.1.10 wrote it, load it with such a "
        f"torch and {RESAVE}; that format cannot be loaded safely",
    )
