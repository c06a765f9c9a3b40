"""Run the notebooks, and put them with their outputs where Sphinx finds them."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import nbformat
from nbclient import NotebookClient

#: Seconds that one cell may take.
LIMIT = 600


def write_tutorials(notebooks: Path, folder: Path) -> None:
    """Run every notebook whose text has changed since it was last run.

    Parameters
    ----------
    notebooks : Path
        Folder of .ipynb files without outputs; they run in it, as readers run them.
    folder : Path
        Where they go with their outputs; its other notebooks are deleted.
    """
    folder.mkdir(exist_ok=True)
    sources = sorted(notebooks.glob("*.ipynb"))
    for stale in {page.name for page in folder.glob("*.ipynb")} - {path.name for path in sources}:
        (folder / stale).unlink()
    for source in sources:
        digest = hashlib.sha256(source.read_bytes()).hexdigest()
        page = folder / source.name
        if not page.exists() or nbformat.read(page, as_version=4).metadata.get("made_of") != digest:
            nbformat.write(_run(source, digest), page)


def _run(source: Path, digest: str) -> nbformat.NotebookNode:
    """Return a notebook with its outputs, and the digest of what it was made of."""
    notebook = nbformat.read(source, as_version=4)
    environment = os.environ | {"GENPREDICT_SHARED": str(source.parent / "absent")}
    client = NotebookClient(
        notebook, timeout=LIMIT, resources={"metadata": {"path": source.parent}}
    )
    client.execute(env=environment)
    notebook.metadata["made_of"] = digest
    return notebook
