"""Figures in a session: a notebook shows all of them, and settings are the caller's."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import matplotlib as mpl
import pytest

from genpredict.figures.style import styled

#: No magic: Jupyter's backend is loaded by the first figure, inside of a genpredict function.
CELLS = (
    "import numpy as np, xarray as xr, genpredict\n"
    "rates = xr.Dataset({'rate': (('epoch', 'layer'), np.ones((3, 2)))})\n"
    "names = {'checkpoint': ['a', 'b'], 'test_accuracy': ('checkpoint', [80.0, 90.0])}\n"
    "scores = xr.Dataset({'norm': ('checkpoint', [1.0, 2.0])}, coords=names)",
    "ax = genpredict.plot_evolution(rates, measure='rate')",
    "grid = genpredict.plot_scatter(scores, measures='norm')",
    "ax = genpredict.plot_evolution(rates, measure='rate')",
)
# In a process of its own: jupyter_client warns of matters that are not ours.
RUN = """
import json, sys, nbformat
from nbclient import NotebookClient
cells = [nbformat.v4.new_code_cell(source) for source in json.loads(sys.argv[1])]
notebook = nbformat.v4.new_notebook(cells=cells)
NotebookClient(notebook, kernel_name="python3", timeout=120).execute()
drawn = [sum("image/png" in o.get("data", {}) for o in cell.outputs) for cell in notebook.cells]
print(json.dumps(drawn))
"""


def test_every_figure_of_a_notebook_is_shown(tmp_path: Path) -> None:
    """Once each, without a magic command before them."""
    environment = {k: v for k, v in os.environ.items() if k not in ("MPLBACKEND", "PYTHONWARNINGS")}
    done = subprocess.run(
        [sys.executable, "-c", RUN, json.dumps(CELLS)],
        env=environment | {"IPYTHONDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert json.loads(done.stdout) == [0, 1, 1, 1]


@pytest.mark.parametrize("fails", [False, True])
def test_settings_are_back_but_for_what_a_backend_turned_on(fails: bool) -> None:
    """Also where drawing fails."""
    before, size = mpl.is_interactive(), mpl.rcParams["font.size"]
    try:
        with styled():
            mpl.interactive(True)
            assert mpl.rcParams["font.size"] != size
            if fails:
                raise ValueError("no such column")
    except ValueError:
        assert fails
    assert mpl.is_interactive()
    assert mpl.rcParams["font.size"] == size
    mpl.interactive(before)
