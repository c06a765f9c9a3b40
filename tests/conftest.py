"""Fixtures that all tests share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# on a machine that does other work an example may take any time
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")
#: Written by frameworks that are not installed here; run by hand.
collect_ignore_glob = ["checkpoints/formats/*/make.py", "checkpoints/formats/make_copies.py"]
SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture
def shared() -> Path:
    """Give the folder of real data that lies beside the checkout."""
    if not (SHARED / "data").is_dir():
        pytest.skip(f"the real data of {SHARED} is not on this machine")
    return SHARED


@pytest.fixture(params=[1, 2, 3])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    """Set torch to this many threads for the time of a test."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)
