"""Coefficients as rows: one that is added at run time stands in every table."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from stats_cases import scores_of

import genpredict
from genpredict import correlate, difference, register_coefficient, to_table
from genpredict.errors import GenpredictError
from genpredict.stats.known_coefficients import COEFFICIENTS

MODULE = '''
import numpy as np

def quadrant(x, y):
    """Return the quadrant correlation: the mean sign product about the medians."""
    signs = np.sign(x - np.median(x)) * np.sign(y - np.median(y))
    return float(signs.mean()) if np.ptp(x) and np.ptp(y) else float("nan")
'''


@pytest.fixture
def quadrant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Register a coefficient of a module outside the package, for one test."""
    (tmp_path / "outside_coefficient.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))
    row = register_coefficient("quadrant", "outside_coefficient:quadrant", person="Mosteller's q")
    yield row.key
    del COEFFICIENTS[row.key]


def test_a_registered_coefficient_stands_in_every_table(quadrant: str) -> None:
    """Estimate, jackknife interval, permutation p, adjusted; long form and titles as well."""
    scores = scores_of(24)
    asked = {"measures": "Q_low_rank_p2", "targets": "test_accuracy", "permutations": 99}
    table = correlate(scores, **asked).isel(group=0, target=0).sel(measure="Q_low_rank_p2")
    x = scores["Q"].values[:, 1, 1]
    y = scores["test_accuracy"].values
    expected = np.mean(np.sign(x - np.median(x)) * np.sign(y - np.median(y)))
    assert float(table["quadrant"]) == pytest.approx(expected)
    assert float(table["quadrant_lower"]) < expected < float(table["quadrant_upper"])
    assert 0.01 <= float(table["quadrant_pvalue_holm"]) <= 1
    assert table["quadrant"].attrs["long_name"] == "Mosteller's q (QUADRANT)"
    assert "quadrant_lower" in to_table(correlate(scores, **asked))
    pair = difference(scores, "Q_low_rank_p2", "num_layers", targets="test_accuracy").squeeze()
    assert float(pair["quadrant_a"]) == pytest.approx(expected)


def test_without_it_nothing_is_left() -> None:
    """A table has the three coefficients that every table has."""
    names = [str(name) for name in correlate(scores_of(12), permutations=0).data_vars]
    assert [name for name in names if name.isalpha() and name in COEFFICIENTS] == [*COEFFICIENTS]
    assert list(genpredict.stats.COEFFICIENTS) == ["plcc", "rocc", "krocc"]


@pytest.mark.parametrize(
    ("key", "method", "text"),
    [
        ("rocc", "a:b", "key: a coefficient 'rocc' is registered already"),
        ("my_gamma", "a:b", "key must be one word of letters and digits"),
        ("gamma", "nowhere", 'method must be written as "module:function"'),
    ],
)
def test_what_a_registry_refuses(key: str, method: str, text: str) -> None:
    """The error names the parameter and the rule."""
    with pytest.raises(GenpredictError, match=text):
        register_coefficient(key, method, person="nobody")
