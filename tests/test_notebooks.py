"""The notebooks run, and what is committed of them is paired and free of outputs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.py"))
#: Those that look for published checkpoints beside data/.
WITH_PUBLISHED = [path for path in NOTEBOOKS if "GENPREDICT_SHARED" in path.read_text("utf-8")]
#: Seconds; each takes 10 to 20 on one core.
LIMIT = 300
REMEDY = "edit the .py, then run: jupytext --to ipynb notebooks/*.py"

# In a process of its own: jupyter_client warns of matters that are not ours (pytest would make
# errors of them), and leaves threads and sockets behind.
RUN = """
import sys, nbformat
from nbclient import NotebookClient
notebook = nbformat.read(sys.argv[1], as_version=4)
NotebookClient(notebook, kernel_name="python3", timeout=int(sys.argv[3])).execute()
nbformat.write(notebook, sys.argv[2])
"""

every_notebook = pytest.mark.parametrize("script", NOTEBOOKS, ids=lambda path: path.stem)


def execute(script: Path, folder: Path, shared: Path) -> list[dict[str, Any]]:
    """Run the notebook of a script in its own folder; return the outputs of all cells."""
    import nbformat

    done = folder / "executed.ipynb"
    environment = os.environ | {
        "GENPREDICT_SHARED": str(shared),
        "IPYTHONDIR": str(folder / "ipython"),  # no history in the home folder
    }
    environment.pop("PYTHONWARNINGS", None)  # what Python shows a reader unasked is what counts
    process = subprocess.run(
        [sys.executable, "-c", RUN, str(script.with_suffix(".ipynb")), str(done), str(LIMIT)],
        cwd=script.parent,
        env=environment,
        capture_output=True,
        text=True,
        timeout=LIMIT + 60,
        check=False,
    )
    assert process.returncode == 0, process.stderr[-4000:]
    cells = nbformat.read(done, as_version=4).cells
    return [output for cell in cells for output in cell.get("outputs", [])]


def check_outputs(outputs: list[dict[str, Any]]) -> str:
    """Check that nothing was written to stderr (warnings) and something drawn; return stdout."""
    streams = {"stdout": "", "stderr": ""}
    for output in outputs:
        if output["output_type"] == "stream":
            streams[output["name"]] += output["text"]
    assert streams["stderr"] == ""
    assert any("image/png" in output.get("data", {}) for output in outputs)
    return streams["stdout"]


def test_there_are_notebooks_and_each_has_both_forms() -> None:
    """A .py without its .ipynb, or the other way round, is half a notebook."""
    assert len(NOTEBOOKS) >= 3
    assert len(WITH_PUBLISHED) >= 2
    both = {path.stem for path in (ROOT / "notebooks").glob("*.ipynb")}
    assert both == {path.stem for path in NOTEBOOKS}


@every_notebook
def test_the_two_forms_say_the_same(script: Path) -> None:
    """Cells of the .ipynb equal those of the .py, in kind, order and text."""
    import jupytext

    of_script, of_notebook = (
        [(cell.cell_type, cell.source) for cell in jupytext.read(path).cells]
        for path in (script, script.with_suffix(".ipynb"))
    )
    assert of_script == of_notebook, REMEDY


@every_notebook
def test_no_outputs_are_committed(script: Path) -> None:
    """Outputs and execution counts are stripped."""
    import nbformat

    cells = nbformat.read(script.with_suffix(".ipynb"), as_version=4).cells
    code = [cell for cell in cells if cell.cell_type == "code"]
    assert code
    assert all(cell.outputs == [] and cell.execution_count is None for cell in code), REMEDY


@pytest.mark.notebooks
@every_notebook
def test_it_runs_on_the_bundled_data_alone(script: Path, tmp_path: Path) -> None:
    """Every cell runs where only data/ is at hand; what is skipped says so in a sentence."""
    stdout = check_outputs(execute(script, tmp_path, tmp_path / "absent"))
    assert ("No published checkpoints here" in stdout) == (script in WITH_PUBLISHED)


@pytest.mark.notebooks
@pytest.mark.parametrize("script", WITH_PUBLISHED, ids=lambda path: path.stem)
def test_it_runs_on_the_published_checkpoints(script: Path, tmp_path: Path, shared: Path) -> None:
    """So it does beside the published networks, and then skips nothing."""
    stdout = check_outputs(execute(script, tmp_path, shared))
    assert "No published checkpoints here" not in stdout
