"""The GPU script: what it checks on a card, run here on the CPU."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "analysis" / "benchmarks"))
import gpu  # noqa: E402

CPU = torch.device("cpu")


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a CUDA device")
def test_without_cuda_it_says_so_and_ends_well() -> None:
    """No card: one line, exit 0."""
    script = ROOT / "analysis" / "benchmarks" / "gpu.py"
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True)
    assert "no CUDA device here" in done.stdout


def test_measures_and_rates_of_one_device_are_equal() -> None:
    """On the CPU against itself every difference is 0, and every measure is compared."""
    weights = list(gpu.layers_to_check(Path("absent")))
    differences = gpu.compare_measures(weights, CPU)
    assert {"stable_rank", "rank", "noise_variance", "ranks"} <= set(differences)
    assert set(differences.values()) == {0}
    assert set(gpu.compare_rates(CPU).values()) == {0}


def test_a_difference_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """A measure that is off by a millionth fails the check."""
    weights = list(gpu.layers_to_check(Path("absent")))[:6]
    right, calls = gpu.measure_weights, []

    def wrong(*arguments: object, **options: object) -> object:
        measures = right(*arguments, **options)
        calls.append(measures)
        if len(calls) > 1:
            measures["spectral_norm"].mul_(1 + 1e-6)
        return measures

    monkeypatch.setattr(gpu, "measure_weights", wrong)
    differences = gpu.compare_measures(weights, CPU)
    assert differences["spectral_norm"] > gpu.TOLERANCE >= differences["quality"]
