"""Tables on terminals of any width, to pipes, without colour and in ASCII."""

from __future__ import annotations

import fcntl
import json
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
from genpredict.training import train

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


#: Runs commands one after the other in one process, each after a line that names it.
SEVERAL = """
import sys, json
from genpredict.cli import run
from genpredict.cli.console import forgive_encodings
forgive_encodings()
for words in json.loads(sys.argv[1]):
    print(f"<<{words[0]}>>", flush=True)
    assert run(words) == 0, words
    sys.stdout.flush()
"""


@pytest.fixture(scope="module")
def commands(tmp_path_factory: pytest.TempPathFactory) -> list[list[str]]:
    """Give the commands whose tables are looked at, and make the runs that two of them take."""
    folder = tmp_path_factory.mktemp("runs")
    for seed in (0, 1):
        for optimizer in ("sgd", "adam"):
            train(folder, optimizer=optimizer, seed=seed, epochs=1, num_train=64, num_test=32)
    correlate = ["correlate", str(STORE), "--measures", "Q_low_rank_p2", "--resamples", "20"]
    correlate += ["--targets", "test_accuracy", "--permutations", "99", "--cluster", "none"]
    show = ["show", str(STORE)]
    return [correlate, show, ["runs", str(folder)], ["compare", str(folder)]]


def environment_of(**changes: str) -> dict[str, str]:
    """Return the environment without what says how wide or colourful a terminal is."""
    kept = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LINES", "NO_COLOR")}
    return {**kept, "TERM": "xterm-256color", **changes}


def shown_on_terminal(
    commands: list[list[str]], columns: int, **environment: str
) -> dict[str, list[str]]:
    """Run commands on a pseudo-terminal of that many columns; return the lines of each."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    with subprocess.Popen(
        [sys.executable, "-c", SEVERAL, json.dumps(commands)],
        stdin=theirs,
        stdout=theirs,
        stderr=subprocess.DEVNULL,
        env=environment_of(**environment),
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
    return parted(shown.decode(environment.get("PYTHONIOENCODING", "utf-8")))


def parted(shown: str) -> dict[str, list[str]]:
    """Return the lines of each command, without what colours them."""
    parts = re.split(r"<<(\w+)>>\r?\n", shown)
    return {
        name: [line.rstrip() for line in text.splitlines()]
        for name, text in zip(parts[1::2], parts[2::2], strict=True)
    }


def without_styles(line: str) -> str:
    """Return a line as it stands on the terminal."""
    return re.sub(r"\x1b\[[0-9;]*m", "", line)


@pytest.mark.parametrize("columns", [60, 80, 100, 160])
def test_four_commands_on_a_terminal(commands: list[list[str]], columns: int) -> None:
    """No line is longer than the terminal; names, n, numbers and intervals are all there whole."""
    shown = {
        name: [without_styles(line) for line in lines]
        for name, lines in shown_on_terminal(commands, columns).items()
    }
    longest = {name: max(map(len, lines)) for name, lines in shown.items()}
    assert list(shown) == ["correlate", "show", "runs", "compare"]
    assert max(longest.values()) <= columns, longest
    text = {name: re.sub(r"\s+", " ", " ".join(lines)) for name, lines in shown.items()}
    assert re.search(r"Q, low rank, p = 2 (n )?90 (PLCC )?[+-]0\.\d\d \[", text["correlate"])
    squeezed = {name: re.sub(r"\s+", "", "".join(lines)) for name, lines in shown.items()}
    best = "resnet20-digits-sam-s1-706982/checkpoints/epoch-020.safetensors"
    assert best in re.sub(r"\d\.\d{4}[\d.]*", "", squeezed["show"]) or columns < 160
    for heading in ("parameters", "layers", "train %", "gap"):
        assert heading in text["show"]  # or said to have no room
    for optimizer in ("adam", "sgd"):
        assert text["runs"].count(optimizer) >= 2
        assert optimizer in text["compare"]
    assert "digits_cnn" in text["compare"]
    assert "…" not in squeezed["correlate"] + squeezed["runs"] + squeezed["compare"]


def test_four_commands_without_colour_and_in_ascii(commands: list[list[str]]) -> None:
    """NO_COLOR leaves out every style, bold too; an ASCII terminal gets ASCII alone."""
    shown = shown_on_terminal(commands, 100, NO_COLOR="1", PYTHONIOENCODING="ascii")
    text = "\n".join(line for lines in shown.values() for line in lines)
    assert "\x1b" not in text
    assert text.isascii()
    assert "\\u" not in text
    assert "log_num_parameters" in text
    assert all(shown.values())


def test_four_commands_to_a_pipe(commands: list[list[str]]) -> None:
    """A pipe gets no styles, and rows whole, each on a line of its own."""
    done = subprocess.run(
        [sys.executable, "-c", SEVERAL, json.dumps(commands)],
        capture_output=True,
        check=True,
        env=environment_of(PYTHONIOENCODING="utf-8"),
    )
    shown = parted(done.stdout.decode())
    assert "\x1b" not in done.stdout.decode()
    [row] = [line for line in shown["correlate"] if line.lstrip().startswith("Q, low rank, p = 2")]
    assert re.search(r" 90 .*\[.*\].*\[.*\]", row)
    rows = [line for line in shown["runs"] if re.search(r"\b(adam|sgd)\b", line)]
    assert len(rows) == 4
    assert [line for line in shown["compare"] if "digits_cnn" in line]
