"""What the terminal is told, wherever it ends up: files that cannot be written, ASCII, pipes."""

from __future__ import annotations

import errno
import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from genpredict.cli import console, run
from genpredict.errors import GenpredictError
from genpredict.outputs import new_file

ZOO = Path(__file__).resolve().parents[2] / "data" / "digits-zoo"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Score the zoo once."""
    path = tmp_path_factory.mktemp("zoo") / "s.zarr"
    manifest = str(ZOO / "manifest.csv")
    assert run(["score", str(ZOO), "--manifest", manifest, "-o", str(path)]) == 0
    return path


@pytest.mark.parametrize(
    ("code", "remedy"),
    [
        (errno.ENOSPC, "No space left on device; free some space, or name another with -o"),
        (
            errno.EACCES,
            "Permission denied; check the folder and its permissions, or name another",
        ),
    ],
)
def test_writing_names_file_and_remedy(tmp_path: Path, code: int, remedy: str) -> None:
    """The folder is made; an OSError becomes a message that names the file."""
    path = tmp_path / "new" / "f.csv"
    reason = remedy.split(";")[0]
    message = f"f.csv: cannot write: {remedy}"
    with pytest.raises(GenpredictError, match=message), new_file(path):
        raise OSError(code, reason)
    assert path.parent.is_dir()


FULL = Path("/dev/full")


@pytest.mark.skipif(not FULL.exists(), reason="needs /dev/full, a disk without space (Linux)")
@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (["figure", "heatmap"], "f.png"),
        (["figure", "scatter"], "f.pdf"),
        (["show"], "f.csv"),
        (["show", "--layers"], "f.csv"),
        (["correlate", "--targets", "test_accuracy", "--resamples", "100"], "f.csv"),
    ],
)
def test_full_disk_is_told_with_the_file(
    store: Path,
    tmp_path: Path,
    arguments: list[str],
    name: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """On a disk without space every command says which file, and what to do."""
    output = tmp_path / name
    output.symlink_to(FULL)
    assert run([*arguments, str(store), "-o", str(output)]) == 1
    message = " ".join(capsys.readouterr().err.split())
    assert f"{output}: cannot write: No space left on device; free some space" in message


@pytest.mark.parametrize("command", ["figure heatmap", "show"])
def test_a_file_in_place_of_a_folder_is_told(
    store: Path, tmp_path: Path, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A folder that cannot be made is no traceback either."""
    (tmp_path / "taken").write_text("")
    output = tmp_path / "taken" / "f.png"
    assert run([*command.split(), str(store), "-o", str(output)]) == 1
    message = " ".join(capsys.readouterr().err.split())
    assert f"{output}: cannot write: " in message
    assert "name another with -o" in message


def test_ascii_output_does_not_crash(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where standard output knows ASCII alone, other characters are shown by number."""
    for arguments in (["show"], ["show", "--layers"], ["correlate", "--resamples", "100"]):
        stdout = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
        monkeypatch.setattr(sys, "stdout", stdout)
        assert run([*arguments, str(store)]) == 0
        stdout.write("σ")
        stdout.flush()
        assert stdout.buffer.getvalue().endswith(rb"\u03c3")


def test_a_reader_that_leaves_is_no_traceback() -> None:
    """As with `genpredict … | head -1`: nothing on stderr, the exit code of a broken pipe."""
    code = """
import sys
from genpredict.cli.console import piped

def run(arguments):
    for _ in range(9999):
        print("x" * 99)
    return 0

sys.exit(piped(run, []))
"""
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline().startswith(b"xxx")
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait() == console.BROKEN_PIPE


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_a_reader_that_leaves_show_is_no_error(store: Path, options: list[str]) -> None:
    """Where the pipe is closed before a line is read: its exit code, and no word of it."""
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "genpredict", "show", str(store), *options]
    with os.fdopen(writer, "wb") as pipe:
        ended = subprocess.run(command, stdout=pipe, stderr=subprocess.PIPE, check=False)
    assert ended.returncode == console.BROKEN_PIPE
    assert b"pipe" not in ended.stderr.lower()


def test_piped_returns_the_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    """Where all is read it is that of the command."""

    def command(arguments: list[str]) -> int:
        sys.stdout.write(" ".join(arguments) + "\n")
        return 3

    assert console.piped(command, ["a", "b"]) == 3
    assert capsys.readouterr().out == "a b\n"


def test_printable_against_the_terminal() -> None:
    """Nothing that a terminal obeys is left; texts of any language are."""
    steering = "".join(map(chr, [*range(32), *range(127, 160), 0x202E, 0x2066, 0x200B, 0xD800]))
    found = console.printable(steering)
    assert found.isascii()
    assert found.isprintable()
    assert console.printable("ä 数 [b]") == "ä 数 [b]"
    assert console.printable("a\nb\x1b", lines=True) == "a\nb\\x1b"


def test_own_styles_stay_and_others_do_not() -> None:
    """On a terminal a warning is yellow, and what it warns of cannot colour anything."""
    file = io.StringIO()
    out = console.SafeConsole(
        file=file, force_terminal=True, color_system="standard", highlight=False
    )
    out.print("[yellow]warning:[/] \x1b[31mred")
    assert file.getvalue() == "\x1b[33mwarning:\x1b[0m \\x1b[31mred\n"
