"""Tables on terminals of any width, to pipes, without colour and in ASCII."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest
from rich.console import Console

from genpredict.cli.tables import print_folding

STORE = Path(__file__).resolve().parents[2] / "data" / "results" / "digits-sweep.zarr"
HEADINGS = ["measure", "n", "PLCC", "ROCC"]
ROWS = [
    ["Q, low rank, p = 2", "90", "+0.23 [+0.06, +0.34] ***", "-0.15 [-0.18, +0.26]"],
    ["log_prod_frobenius_norm", "90", "", "+0.71 [+0.41, +0.88]"],
]


def printed(width: int) -> str:
    """Print the rows on a console of that width."""
    out = Console(width=width, color_system=None)
    with out.capture() as capture:
        print_folding(out, HEADINGS, ROWS, title="test_accuracy", right=["n"], keep=2)
    return capture.get()


@pytest.mark.parametrize("width", [20, 40, 60, 80, 100, 160])
def test_no_width_cuts_a_name_or_a_number(width: int) -> None:
    """Every cell is there whole at every width, and no line is longer than the terminal."""
    text = printed(width)
    assert max(map(len, text.splitlines())) <= width
    flat = re.sub(r"\s+", "", text)
    for cell in (cell for row in ROWS for cell in row if cell):
        assert re.sub(r"\s+", "", cell) in flat


def test_wide_terminals_keep_columns_side_by_side() -> None:
    """Where there is room, a row is a line; else each coefficient has one, with its name."""
    assert "PLCC" in printed(160).splitlines()[2]
    narrow = printed(60).splitlines()
    assert sum("PLCC" in line for line in narrow) == 1  # the other network has none
    assert sum("ROCC" in line for line in narrow) == 2


def run_on_terminal(arguments: list[str], columns: int, **environment: str) -> str:
    """Run a command on a pseudo-terminal of that many columns and return what it shows."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    kept = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LINES", "NO_COLOR")}
    with subprocess.Popen(
        [sys.executable, "-m", "genpredict", *arguments],
        stdin=theirs,
        stdout=theirs,
        stderr=subprocess.DEVNULL,
        env={**kept, "TERM": "xterm-256color", **environment},
    ) as process:
        os.close(theirs)
        shown = b""
        while True:
            try:
                block = os.read(ours, 65536)
            except OSError:  # the other end is closed
                break
            if not block:
                break
            shown += block
    os.close(ours)
    assert process.returncode == 0
    return shown.decode(environment.get("PYTHONIOENCODING", "utf-8"))


CORRELATE = [
    *("correlate", str(STORE), "--measures", "Q_low_rank_p2", "--targets", "test_accuracy"),
    *("--resamples", "20", "--permutations", "99", "--cluster", "none"),
]


@pytest.mark.parametrize("columns", [60, 80])
def test_correlate_on_a_terminal(columns: int) -> None:
    """Names, n and intervals are all there, and no line is longer than the terminal."""
    shown = re.sub(r"\x1b\[[0-9;]*m", "", run_on_terminal(CORRELATE, columns))
    lines = [line.rstrip() for line in shown.splitlines()]
    assert max(map(len, lines)) <= columns
    text = " ".join(lines)
    assert re.search(r"Q, low rank, p = 2 +(n +)?90 +PLCC +[+-]0\.\d\d \[", text)


def test_no_colour_and_ascii() -> None:
    """NO_COLOR leaves out every style, bold too; an ASCII terminal gets ASCII alone."""
    shown = run_on_terminal(CORRELATE, 100, NO_COLOR="1", PYTHONIOENCODING="ascii")
    assert "\x1b" not in shown
    assert shown.isascii()
    assert "log_num_parameters" in shown
