"""What docs/contributing.md shows is added to genpredict, from outside of it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ZOO = ROOT / "data" / "digits-zoo"
#: Language, name of the file where the first line says one, and text of each block.
BLOCK = re.compile(r"```(python|toml)\n(?:# (\S+\.(?:py|toml))\n)?(.*?)```", re.DOTALL)


def blocks(section: str) -> list[tuple[str, str]]:
    """Return the file's name ("" for none) and the text of the blocks below a heading."""
    page = (ROOT / "docs" / "contributing.md").read_text(encoding="utf-8")
    (text,) = re.findall(rf"^## {section}\n(.*?)(?=^## )", page, re.DOTALL | re.MULTILINE)
    return [(name, body) for _, name, body in BLOCK.findall(text)]


def run_python(code: str, folder: Path, path: Path) -> str:
    """Run a program with a folder on its path; return what it prints."""
    program = folder / "program.py"
    program.write_text(code, encoding="utf-8")
    environment = os.environ | {"PYTHONPATH": str(path), "MPLBACKEND": "agg"}
    done = subprocess.run(
        [sys.executable, str(program)],
        capture_output=True, text=True, cwd=ROOT, env=environment, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the package that the page shows, and install it into a folder of its own."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("site")
    for name, body in blocks("A measure"):
        (source / name).write_text(body, encoding="utf-8")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    command += ["--no-build-isolation", "--disable-pip-version-check", "--target", str(target)]
    subprocess.run([*command, str(source)], check=True, capture_output=True, text=True)
    return target


def test_the_package_has_under_fifteen_lines() -> None:
    """Of code and settings together, blank lines apart."""
    files = dict(blocks("A measure"))
    assert sorted(files) == ["nuclear_norm.py", "pyproject.toml"]
    lines = [line for body in files.values() for line in body.splitlines() if line.strip()]
    assert len(lines) < 15


MEASURED = """
import genpredict, genpredict.jobs.units as units, numpy as np
from genpredict.cli import run
from pathlib import Path

if __name__ == "__main__":
    units.UNIT_ITEMS = 8  # so that there is work for two
    zoo, folder = {zoo!r}, Path({folder!r})
    source = [zoo, "--manifest", zoo + "/manifest.csv", "--measures", "nuclear_norm"]
    memory = genpredict.score(zoo, manifest=zoo + "/manifest.csv", measures="nuclear_norm")
    dask = ["--engine", "dask", "--workers", "1"]
    ways = {{"workers.zarr": ["--workers", "2"], "dask.zarr": dask}}
    for name, options in ways.items():
        assert run(["score", *source, *options, "-o", str(folder / name)]) == 0
        scores = genpredict.open_scores(folder / name)
        assert scores["nuclear_norm"].equals(memory["nuclear_norm"]), name
    store, chosen = str(folder / "workers.zarr"), ["--measures", "nuclear_norm"]
    assert run(["correlate", store, *chosen, "--targets", "test_accuracy"]) == 0
    assert run(["figure", "scatter", store, *chosen, "-o", str(folder / "f.png")]) == 0
    assert run(["report", store, *chosen, "-o", str(folder / "r.html")]) == 0
    assert "nuclear_norm" in (folder / "r.html").read_text(encoding="utf-8")
    raw = memory["nuclear_norm"].sel(factorization="raw").isel(checkpoint=0, layer=0)
    print("checked", raw["checkpoint"].item(), float(raw.sel(unfolding="out_channel")))
"""


def test_an_installed_measure_is_everywhere_against_numpy(installed: Path, tmp_path: Path) -> None:
    """In memory, by two workers and by Dask; in store, table, figure and report."""
    import numpy as np

    from genpredict import open_checkpoints, select_layers

    code = MEASURED.format(zoo=str(ZOO), folder=str(tmp_path))
    printed = run_python(code, tmp_path, installed).splitlines()
    assert any("nuclear_norm, low rank" in line for line in printed)
    _, name, number = printed[-1].split()
    (checkpoint,) = open_checkpoints(ZOO / name)
    weight = select_layers(checkpoint.tensors())[0][0].weight.double().numpy()
    expected = np.linalg.svd(weight.reshape(len(weight), -1), compute_uv=False).sum()
    assert float(number) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    "section",
    [
        "A measure of networks",
        "A file format",
        "A coefficient of correlation",
        "An optimizer",
        "A network",
        "A figure",
    ],
)
def test_what_the_page_shows_runs(section: str, tmp_path: Path) -> None:
    """Files where they are importable, the rest as a program."""
    program = ""
    for name, body in blocks(section):
        if name:
            (tmp_path / name).write_text(body, encoding="utf-8")
        else:
            program += body
    assert program
    run_python(program, tmp_path, tmp_path)
