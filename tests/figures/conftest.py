"""No screen, no figure and no setting left behind."""

from __future__ import annotations

from collections.abc import Iterator

import matplotlib as mpl
import matplotlib.pyplot as plt
import pytest


@pytest.fixture(autouse=True)
def _closed_figures() -> Iterator[None]:
    """Draw without a screen; a figure leaves the settings of matplotlib as they were."""
    mpl.use("Agg")
    before = dict(mpl.rcParams)
    yield
    plt.close("all")
    changed = [name for name, value in mpl.rcParams.items() if before[name] != value]
    assert not changed
