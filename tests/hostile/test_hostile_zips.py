"""Zip files of which two readers see two things: what is checked is what is loaded."""

from __future__ import annotations

import struct
import tomllib
import zlib
from pathlib import Path

import pytest
from guarded import Case, read_guarded
from hostile_files import state_dict, torch_zip, window
from hostile_pickles import PROTOCOL, plain_global, text

ROOT = Path(__file__).resolve().parents[2]
GOOD = state_dict(c_weight=window(0, (2, 2), (2, 1), elements=4))
SIXTEEN = struct.pack("<4f", 1, 2, 3, 5)
DEEP = PROTOCOL + b"}(N" + b"q\x00h\x00h\x00\x86" * 60 + b"tK\x01s."
#: Beside good weights ``set([deep] * 60_000)``, fifteen tuples deep: two thousand million steps.
WIDE = PROTOCOL + b"}" + text("x") + plain_global("builtins", "set") + b"](N"
WIDE += b"q\x00h\x00h\x00\x86" * 15 + b"q\x01" + b"h\x01" * 60_000 + b"e\x85Rs"
WIDE += text("c.weight") + window(0, (2, 2), (2, 1), elements=4) + b"s."
#: Seconds of the processor that any of them may take; two steps in a nanosecond would take years.
SOON = 5


class _Zip:
    """Bytes of a zip file with directories of one's own."""

    def __init__(self) -> None:
        self.content = b""

    def add(self, name: str, stored: bytes) -> bytes:
        """Add an entry; return its line of a directory."""
        facts = (0, 0, 33, zlib.crc32(stored), len(stored), len(stored), len(name))
        line = struct.pack("<4s6H3I5H2I", b"PK\1\2", 20, 20, 0, *facts, 0, 0, 0, 0, 0,
                           len(self.content))  # fmt: skip
        local = struct.pack("<4s2H3H3I2H", b"PK\3\4", 20, 0, *facts, 0)
        self.content += local + name.encode() + stored
        return line + name.encode()

    def close(self, *lines: bytes) -> int:
        """Add a directory and its end in the 64-bit form; return where that end is."""
        first, size = len(self.content), sum(map(len, lines))
        end = struct.pack("<4sQ2H2I4Q", b"PK\6\6", 44, 45, 45, 0, 0, len(lines), len(lines), size,
                          first)  # fmt: skip
        self.content += b"".join(lines) + end
        return len(self.content) - len(end)

    def finish(self, end: int) -> bytes:
        """Add the locator, which says where the end of the directory is, and the last record."""
        locator = struct.pack("<4sIQI", b"PK\6\7", 0, end, 1)
        last = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 2**16 - 1, 2**16 - 1, 2**32 - 1, 2**32 - 1,
                           0)  # fmt: skip
        return self.content + locator + last


def two_directories(located: bytes, adjacent: bytes) -> bytes:
    """Return a file of two directories: one that the locator names, one that lies before it."""
    made = _Zip()
    shared = [made.add("net/data/0", SIXTEEN), made.add("net/version", b"3\n")]
    one, other = (made.add("net/data.pkl", pickled) for pickled in (located, adjacent))
    end = made.close(one, *shared)
    made.close(other, *shared)
    return made.finish(end)


def test_a_file_of_two_directories_hides_nothing(tmp_path: Path) -> None:
    """CVE-2025-8291: refused, or the directory that was checked is the one that is loaded."""
    cases = []
    for name, (located, adjacent) in {
        "innocent": (GOOD, GOOD), "located": (DEEP, GOOD), "adjacent": (GOOD, DEEP),
    }.items():  # fmt: skip
        path = tmp_path / f"{name}.pt"
        path.write_bytes(two_directories(located, adjacent))
        cases.append(Case(name, "checkpoints", str(path)))
    for name, outcome in read_guarded(cases, patience=8).items():
        assert outcome.end in (("refused",) if name == "adjacent" else ("read", "refused")), outcome
        assert outcome.seconds < SOON, (name, outcome)


@pytest.mark.parametrize("name", ["net/DATA.PKL", "NET/data.pkl", "net/Data.pkl"])
def test_a_pickle_of_other_letters_is_not_loaded(tmp_path: Path, name: str) -> None:
    """What torch loads is the last entry of a name, whatever its case."""
    path = torch_zip(tmp_path / "n.pt", GOOD, {"0": SIXTEEN}, extra={name: DEEP})
    (outcome,) = read_guarded([Case("n", "checkpoints", str(path))], patience=8).values()
    assert outcome.end == "refused"
    assert "twice" in outcome.message or "outside its own folder" in outcome.message
    assert outcome.seconds < SOON


def test_work_is_bounded_not_its_shape(tmp_path: Path) -> None:
    """A set of many equal tuples of tuples costs in line with the file's length, and too much."""
    path = torch_zip(tmp_path / "n.pt", WIDE, {"0": SIXTEEN})
    (outcome,) = read_guarded([Case("n", "checkpoints", str(path))], patience=8).values()
    assert outcome.end in ("read", "refused")
    assert outcome.seconds < SOON


def test_bounds_that_are_for_safety_are_required() -> None:
    """Those that the page on security lists are those of the package."""
    page = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    bounds = [line.split("`")[1] for line in page.splitlines() if line.startswith("| `")]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert "torch>=2.10" in bounds
    for bound in bounds:
        assert any(needed.startswith(bound) for needed in project["dependencies"]), bound
