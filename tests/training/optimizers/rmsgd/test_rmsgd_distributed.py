"""Two processes beside one: what each parameter's rate is must not depend on how many there are."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch.distributed

pytestmark = pytest.mark.skipif(
    not (torch.distributed.is_available() and torch.distributed.is_gloo_available()),
    reason="torch was built without gloo",
)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """Run two processes once for all tests."""
    folder = tmp_path_factory.mktemp("processes")
    script = str(Path(__file__).with_name("two_processes.py"))
    workers = [
        subprocess.Popen(
            [sys.executable, script, str(folder)],
            env={**os.environ, "RANK": str(rank)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    for worker in workers:
        _, said = worker.communicate(timeout=300)
        assert worker.returncode == 0, said
    return [json.loads((folder / f"{rank}.json").read_text(encoding="utf-8")) for rank in range(2)]


@pytest.mark.parametrize("kind", ["DDP", "FSDP2", "ZeRO"])
def test_rates_of_two_processes_against_one(results: list[dict[str, Any]], kind: str) -> None:
    """Same bits on both; FSDP2's through torch.distributed.checkpoint in the middle."""
    expected = results[0]["one process"]
    assert len(set(expected.values())) >= 3
    for found in results:
        assert found[kind].keys() == expected.keys()
        assert found[kind] == pytest.approx(expected, rel=1e-6)  # sums in another order
    assert results[0][kind] == results[1][kind]


def test_parts_without_a_network_warn(results: list[dict[str, Any]]) -> None:
    """Biases that ZeroRedundancyOptimizer parts from their weights go by a guess."""
    said = " ".join(found["ZeRO without network"] for found in results)
    assert "several processes without names" in said
    assert "give network=network" in said


def test_flattened_parameters_are_refused_by_name(results: list[dict[str, Any]]) -> None:
    """FSDP1 leaves vectors; within summon_full_params the layers are there."""
    for found in results:
        assert found["FSDP1"].startswith("4 layers; params: FullyShardedDataParallel has flattened")
        assert "use fully_shard (FSDP2)" in found["FSDP1"]
