"""Columns of a page in little room."""

from __future__ import annotations

import base64
import json
import zlib
from typing import Any

import numpy as np
import pytest
import vl_convert
import xarray as xr
from numpy.typing import NDArray

from genpredict.report.bundling import VEGA_LITE, VL_CONVERT, bundled
from genpredict.report.charts import charts
from genpredict.report.marks import colour_columns, first_colour
from genpredict.report.packing import BITS, MOST_EXACT, Columns, packed_texts, rounded
from genpredict.report.page import library

EDGES = [0.0, -0.0, np.nan, np.inf, -np.inf, 5e-324, -1.7e308, 1 / 3, 1e-300, 2.0**53 + 2, 0.1]


def unpacked(packed: dict[str, Any]) -> NDArray[np.float64]:
    """Undo the planes, an independent way: byte by byte."""
    content = zlib.decompress(base64.b64decode(packed["text"]))
    count = len(content) // packed["planes"]
    rows = [content[i::count].ljust(8, b"\0") for i in range(count)]
    return np.frombuffer(b"".join(rows), dtype=">f8").astype(np.float64)


def packed_alone(numbers: NDArray[Any]) -> dict[str, Any]:
    columns = Columns()
    assert columns.place_of(numbers) == 0
    return columns.packed[0]


def test_few_numbers_come_back_as_they_were() -> None:
    """Every bit of up to 2,000 numbers; what is not finite is NaN."""
    numbers = np.array(EDGES)
    expected = np.where(np.isfinite(numbers), numbers, np.nan)
    assert unpacked(packed_alone(numbers)).tobytes() == expected.tobytes()


@pytest.mark.parametrize("scale", [1e-200, 1e-3, 1.0, 1e6, 1e200])
def test_many_numbers_are_rounded_to_a_part_in_65536(scale: float) -> None:
    """The error is at most 2**-16 of the number itself, whatever else is in its column."""
    rng = np.random.default_rng(0)
    numbers = scale * rng.standard_normal(MOST_EXACT + 500) * 10 ** rng.uniform(-6, 6, 2500)
    numbers[[0, 9]] = np.nan, np.inf
    back = unpacked(packed_alone(numbers))
    known = np.isfinite(numbers)
    assert np.isnan(back[~known]).all()
    assert (np.abs(back - numbers)[known] <= 2.0**-BITS * np.abs(numbers[known])).all()
    assert (back[known] != numbers[known]).mean() > 0.9


def test_whole_numbers_are_exact_however_many() -> None:
    """Counts and seeds keep every digit, with gaps among them."""
    numbers = np.random.default_rng(0).integers(0, 2**50, 3000).astype(float)
    numbers[5] = np.nan
    assert np.array_equal(unpacked(packed_alone(numbers)), numbers, equal_nan=True)


def test_rounding_is_to_the_nearest_against_numpy() -> None:
    """As halves and float32 of numpy round, whose significant bits are 11 and 24."""
    numbers = np.random.default_rng(1).uniform(-2, 2, 5000)
    for kind, bits in ((np.float16, 11), (np.float32, 24)):
        normal = numbers[np.abs(numbers) > 1e-3]
        assert np.array_equal(rounded(normal, bits), normal.astype(kind).astype(float))


def test_a_column_is_kept_once() -> None:
    """However often, and under whatever name, it is asked for."""
    columns = Columns()
    first, other = np.arange(9.0), np.arange(9.0) + 0.5
    places = [columns.place_of(c) for c in (first, other, first.astype(int), other.copy())]
    assert places == [0, 1, 0, 1]
    assert len(columns.packed) == 2


def test_texts_come_back_as_they_were() -> None:
    """Few as a list, many deflated; line ends, quotes and other scripts among them."""
    few = ["a\nb", 'c"d', "</script>", "\u202eé"]
    assert packed_texts(few) == few
    many = few * MOST_EXACT
    text = packed_texts(many)
    assert isinstance(text, str)
    assert json.loads(zlib.decompress(base64.b64decode(text))) == many


def test_the_library_against_vl_convert() -> None:
    """Vega and its kin are of the version that the charts are written for, and as bundled."""
    assert f"/vega-lite/v{VEGA_LITE}." in charts()["scatter"]["$schema"]
    if vl_convert.__version__ != VL_CONVERT:
        pytest.skip(f"the library was made by vl-convert {VL_CONVERT}; another one bundles anew")
    assert bundled() == library()


@pytest.mark.parametrize(("networks", "first"), [(3, "network"), (200, "epoch")])
def test_what_colours_the_marks_at_first(networks: int, first: str) -> None:
    """A few networks do; of 200, most marks would be grey, so that another coordinate does."""
    names = np.array([f"n{i % networks}" for i in range(400)], dtype=object)
    scores = xr.Dataset(
        coords={
            "checkpoint": np.arange(400),
            "network": ("checkpoint", names),
            "epoch": ("checkpoint", np.arange(400) % 2),
        }
    )
    assert first_colour(colour_columns(scores, Columns())) == first
