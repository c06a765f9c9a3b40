"""Policies of stable-baselines3: a zip archive of the network, its optimizer and options."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

from genpredict.checkpoints.choosing import find_state_dict
from genpredict.checkpoints.formats.torch_containers import check_sizes, opened_bytes, reading
from genpredict.checkpoints.named_tensors import NamedTensors

POLICY = "policy.pth"


def read_stable_baselines(path: Path) -> NamedTensors:
    """Read the policy of an archive; the optimizer's state and the options are put aside.

    Raises
    ------
    CheckpointError
        When it is damaged, or asks to run code.
    """
    with reading(path):
        with zipfile.ZipFile(path) as archive:
            check_sizes(path, archive.infolist())
            policy = archive.read(POLICY)
        with opened_bytes(io.BytesIO(policy), path) as tree:
            return find_state_dict(tree, path)
