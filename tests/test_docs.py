"""The site holds every public name, and what its guide shows runs."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path
from types import ModuleType

import matplotlib as mpl
import pytest
from cyclopts import CycloptsError

import genpredict
from genpredict.cli import app
from genpredict.errors import GenpredictError

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
GUIDE = sorted((DOCS / "guide").glob("*.md"))


@pytest.fixture
def reference_pages(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Import the module of docs/ that lists what is public."""
    monkeypatch.syspath_prepend(str(DOCS))
    monkeypatch.delitem(sys.modules, "reference_pages", raising=False)
    import reference_pages

    return reference_pages


def test_every_public_name_is_in_the_reference(reference_pages: ModuleType) -> None:
    """Names of genpredict and of its subpackages, in sections that have a heading each."""
    listed = re.findall(r"^   (genpredict\.\S+)$", reference_pages.reference_text(), re.MULTILINE)
    assert len(listed) == len(set(listed))
    assert {f"genpredict.{name}" for name in genpredict.__all__} <= set(listed)
    for package in ("checkpoints", "spectral", "stats", "figures", "training", "networks"):
        module = getattr(genpredict, package)
        short = {name.rpartition(".")[2] for name in listed}
        assert set(module.__all__) <= short


def test_what_is_listed_exists(reference_pages: ModuleType) -> None:
    """No name of the reference is a misspelling; some need a package that is not installed."""
    for name in reference_pages.public_names():
        parent, _, last = name.removeprefix("genpredict.").rpartition(".")
        package = getattr(genpredict, parent) if parent else genpredict
        try:
            assert getattr(package, last) is not None
        except GenpredictError as error:
            if "pip install" not in str(error):
                raise


@pytest.mark.parametrize("page", GUIDE, ids=lambda page: page.stem)
def test_the_guide_runs(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The Python of each page, its blocks one after another, from the repository's folder."""
    blocks = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    assert blocks
    monkeypatch.chdir(ROOT)
    with mpl.rc_context({"backend": "agg"}):
        exec(compile("\n".join(blocks), str(page), "exec"), {})


def test_pages_link_to_pages_that_exist() -> None:
    """Links between files, which code hosts follow too."""
    pages = [*DOCS.glob("*.md"), *GUIDE, ROOT / "README.md"]
    broken = [
        f"{page.name}: {target}"
        for page in pages
        for target in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
        if not (page.parent / target).exists()
    ]
    assert not broken


def commands() -> list[str]:
    """Return the lines of the pages and the README that call genpredict, without comments."""
    pages = [*DOCS.rglob("*.md"), ROOT / "README.md"]
    text = "\n".join(page.read_text(encoding="utf-8") for page in pages).replace("\\\n", " ")
    lines = re.findall(r"^ {4,}.*?\b(genpredict [a-z].*)$", text, re.MULTILINE)
    return sorted({re.split(r"\s+#|&\s*$", line)[0].strip() for line in lines})


def test_commands_that_the_pages_show_exist() -> None:
    """Every command, every option and every choice: the command line takes them as shown."""
    shown = [line for line in commands() if "…" not in line]
    assert len(shown) > 20
    refused = [line for line in shown if not takes(line)]
    assert not refused


def takes(command: str) -> bool:
    """Return whether the command line's parser takes a command, which does not run."""
    plain = re.sub(r"\$\(\(.*?\)\)|\$\w+", "1", command)
    try:
        app.parse_args(shlex.split(plain)[1:], exit_on_error=False, print_error=False)
    except CycloptsError:
        return False
    return True


def test_the_citation_is_of_this_version() -> None:
    """The version to cite is the version that runs."""
    text = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert re.findall(r"^version: (.*)$", text, re.MULTILINE) == [genpredict.__version__]
