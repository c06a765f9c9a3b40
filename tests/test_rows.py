"""Rows: numbers go to their (checkpoint, layer), metadata to coordinates, parts to one whole."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
import xarray as xr

from genpredict import schema
from genpredict.row_checks import Row
from genpredict.rows import join_rows, to_dataset


def row(name: str, *layers: str, error: str = "", **metadata: Any) -> Row:
    """Make a row whose layers are convolutions 4x2x3x3."""
    return Row(name, f"{name}.pt", metadata, [(one, "conv", "4x2x3x3") for one in layers], error)


def numbered(layers: int, start: int = 0) -> dict[str, np.ndarray[Any, Any]]:
    """Make measures whose every number tells which layer it belongs to."""
    sizes = {"unfolding": 2, "factorization": 2, "p": 2}
    arrays = {}
    for name, variable in schema.LAYER_MEASURES.items():
        inner = [sizes[dim] for dim in variable.dims[2:]]
        numbers = np.arange(start, start + layers, dtype=float)
        arrays[name] = np.broadcast_to(
            numbers.reshape(-1, *[1] * len(inner)), (layers, *inner)
        ).copy()
    return arrays


def test_numbers_go_to_their_layers() -> None:
    """In order, past failed rows; NaN and "" where a network has no such layer."""
    rows = [row("a", "x"), row("bad", "u", "v", error="bad: why"), row("b", "y", "z")]
    found = to_dataset(rows, numbered(3))
    expected = np.array([[0, np.nan], [np.nan, np.nan], [1, 2]])
    for name, variable in schema.LAYER_MEASURES.items():
        assert found[name].dims == variable.dims
        inner = found[name].values.reshape(3, 2, -1)
        np.testing.assert_array_equal(inner, np.broadcast_to(expected[..., None], inner.shape))
    assert found["layer_name"].values.tolist() == [["x", ""], ["u", "v"], ["y", "z"]]
    assert found["status"].values.tolist() == ["done", "failed", "done"]
    assert found["error"].values.tolist() == ["", "bad: why", ""]
    assert found["checkpoint"].values.tolist() == ["a", "bad", "b"]


def test_every_variable_is_labelled_against_schema() -> None:
    """Dims, long_name and units of every measure, label, state and coordinate; axis labels."""
    found = to_dataset([row("a", "x", learning_rate=0.1, batch=8)], numbered(1))
    tables = schema.LAYER_MEASURES | schema.LAYER_LABELS | schema.STATE | schema.COORDINATES
    assert set(tables) <= set(found.variables)
    for name, variable in (
        tables | {"learning_rate": schema.coordinate("learning_rate", numeric=True)}
    ).items():
        assert found[name].dims == variable.dims
        assert found[name].attrs == variable.attrs
    assert found["batch"].attrs == {"long_name": "batch", "units": ""}
    assert tuple(found["unfolding"].values) == schema.UNFOLDINGS
    assert tuple(found["factorization"].values) == schema.FACTORIZATIONS
    assert tuple(found["p"].values) == schema.POWERS
    assert set(schema.COORDINATES) <= set(found.coords)


def test_rows_that_all_failed() -> None:
    """No layer at all is a Dataset without layers, not an error."""
    found = to_dataset([row("a", error="a: gone"), row("b", error="b: gone")], numbered(0))
    assert found.sizes["layer"] == 0
    assert found["quality"].shape == (2, 0, 2, 2, 2)


def test_metadata_become_coordinates() -> None:
    """Numbers with NaN, texts with "", where a row does not know them."""
    rows = [row("a", "x", epoch=90, schedule="step"), row("b", "y", network="net", tag=1.5)]
    found = to_dataset(rows, numbered(2)).coords
    np.testing.assert_array_equal(found["epoch"], [90, np.nan])
    np.testing.assert_array_equal(found["tag"], [np.nan, 1.5])
    assert found["schedule"].values.tolist() == ["step", ""]
    assert found["network"].values.tolist() == ["", "net"]
    assert found["source"].values.tolist() == ["a.pt", "b.pt"]


def test_numbers_for_a_text_coordinate_are_written_out() -> None:
    """A network that is called 20 is called "20"."""
    found = to_dataset([row("a", "x", network=20)], numbered(1))
    assert found["network"].values.tolist() == ["20"]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("last", r"a\.pt: epoch must be a number, got 'last'; correct the manifest or the file"),
        ([1], r"a\.pt: epoch must be a number, got \[1\]; correct"),
        (10**400, r"a\.pt: epoch is a number of too many digits; correct"),
    ],
)
def test_what_is_no_number_fails_its_row_alone(value: object, said: str) -> None:
    """The error names file, coordinate, value and remedy; the other rows keep their numbers."""
    rows = [row("b", "x"), row("a", "x", "y", epoch=value, seed=3), row("c", "z", epoch=2)]
    found = to_dataset(rows, numbered(4))
    assert found["status"].values.tolist() == ["done", "failed", "done"]
    assert re.match(said, found["error"].values[1])
    np.testing.assert_array_equal(found["epoch"], [np.nan, np.nan, 2])
    np.testing.assert_array_equal(found["seed"], [np.nan, 3, np.nan])
    np.testing.assert_array_equal(found["dead_input_channels"][:, 0], [0, np.nan, 3])


def test_a_column_of_ones_own_takes_texts_and_numbers_only() -> None:
    """Both in one column are texts; a list is neither."""
    rows = [row("a", "x", tag=1), row("b", "y", tag="one"), row("c", "z", tag=[1])]
    found = to_dataset(rows, numbered(3))
    assert found["tag"].values.tolist() == ["1", "one", ""]
    assert found["error"].values.tolist()[:2] == ["", ""]
    assert "c.pt: tag must be a text or number, got [1]" in found["error"].values[2]


def test_a_failed_row_keeps_its_reason() -> None:
    """What failed first is said."""
    (error,) = to_dataset([row("a", error="a: gone", epoch="x")], numbered(0))["error"].values
    assert error == "a: gone"


def test_texts_and_numbers_of_two_parts_join_as_texts() -> None:
    """As in one part: numbers are written out."""
    parts = [
        to_dataset([row("a", "x", tag=1), row("b", "x", tag=2.5), row("c", "x")], numbered(3)),
        to_dataset([row("d", "x", tag="one")], numbered(1)),
    ]
    for some in (parts, parts[::-1]):
        joined = join_rows(some)["tag"].to_series()
        assert joined.sort_index().tolist() == ["1", "2.5", "", "one"]


def test_join_of_parts_equals_the_whole() -> None:
    """Batches of different depth and metadata, joined, are the rows measured at once."""
    rows = [
        row("a", "x", epoch=1),
        row("b", "x", "y", "z", seed=3, schedule="step"),
        row("c", error="c: gone"),
        row("d", "x", "y", test_accuracy=90.0),
    ]
    whole = to_dataset(rows, numbered(6))
    parts = [
        to_dataset(rows[:1], numbered(1)),
        to_dataset(rows[1:3], numbered(3, 1)),
        to_dataset(rows[3:], numbered(2, 4)),
    ]
    joined = join_rows(parts)
    xr.testing.assert_identical(
        joined[sorted(map(str, joined.data_vars))], whole[sorted(map(str, whole.data_vars))]
    )
    assert set(joined.coords) == set(whole.coords)


def test_join_of_one_part_is_that_part() -> None:
    """Nothing is copied where there is nothing to join."""
    part = to_dataset([row("a", "x")], numbered(1))
    assert join_rows([part]) is part


def test_join_of_failed_rows_alone() -> None:
    """Parts without any layer join as well."""
    parts = [to_dataset([row(name, error="gone")], numbered(0)) for name in "ab"]
    joined = join_rows(parts)
    assert joined["status"].values.tolist() == ["failed", "failed"]
    assert joined.sizes["layer"] == 0
