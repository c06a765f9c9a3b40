"""Jobs killed at random moments: a short form of ``analysis/kills.py``."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "analysis" / "kills.py"


@pytest.mark.parametrize(
    ("kills", "jobs"),
    [
        (6, ("cache", "correlate csv", "score")),
        pytest.param(
            60, ("sweep", "merge", "report", "correlate zarr", "correlate nc", "score"),
            marks=pytest.mark.slow,
        ),
    ],
)  # fmt: skip
def test_nothing_is_lost_and_nothing_is_half(
    tmp_path: Path, kills: int, jobs: tuple[str, ...]
) -> None:
    """What has a final name is whole; gone on with, it has the bytes of a job left alone."""
    command = [sys.executable, str(SCRIPT), "--kills", str(kills), "--folder", str(tmp_path / "k")]
    done = subprocess.run([*command, "--jobs", *jobs], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "findings: 0" in done.stdout
