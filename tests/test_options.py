"""Options: what two runs must have in common, and how it is written down."""

from __future__ import annotations

import json
from dataclasses import fields, replace

import pytest

from genpredict import schema
from genpredict.errors import GenpredictError
from genpredict.options import IDENTITY, MIXED, SELECTIONS, Options, identity_of

#: Another value of each choice.
OTHERS = {
    "estimator": "reference",
    "dtype": "float32",
    "include": ("conv*",),
    "exclude": ("fc*",),
    "also": ("odd*",),
    "data": "digits",
    "num_images": 100,
    "initial": "before.pt",
    "dead_tolerance": 0.0,
    "null_tolerance": 0.02,
    "measures": schema.FIRST_MEASURES,
    "network_measures": ("Q",),
    "nats_epochs": (12, 90),
    "nats_datasets": ("cifar10",),
    "indices": "0:5",
}
OPTIONS = Options(device="cpu")


def test_every_choice_but_places_is_part_of_the_identity() -> None:
    """Each has a value of its own here, so that none is left out of the tests."""
    choices = {choice.name for choice in fields(Options) if choice.init}
    assert choices - {"device", "data_folder"} == set(OTHERS) == set(IDENTITY) - {"definitions"}
    assert set(SELECTIONS) == {"nats_epochs", "nats_datasets", "indices"}


@pytest.mark.parametrize("name", OTHERS)
def test_another_choice_is_another_identity(name: str) -> None:
    """Under that name alone; and it comes back from the attributes."""
    other = replace(OPTIONS, **{name: OTHERS[name]})
    mine, theirs = OPTIONS.identity(), other.identity()
    assert [key for key in mine if mine[key] != theirs[key]] == [name]
    assert Options.from_attrs(json.loads(json.dumps(other.attrs()))) == other


def test_order_and_device_do_not_count() -> None:
    """Of epochs, data sets and measures; a store made on another device goes on."""
    turned = Options(
        device="auto",
        measures=tuple(reversed(OPTIONS.measures)),
        nats_epochs=(90, 12),
        nats_datasets=("b", "a"),
    )
    assert (
        turned.identity()
        == replace(OPTIONS, nats_epochs=(12, 90), nats_datasets=("a", "b")).identity()
    )


def test_attributes_of_old_have_what_there_was_then() -> None:
    """Defaults, the definitions 1, the first twelve measures, no stored network measures."""
    identity = identity_of({})
    assert identity["definitions"] == 1
    assert identity["measures"] == sorted(schema.FIRST_MEASURES)
    assert identity["network_measures"] == []
    assert identity["estimator"] == "global"
    assert Options.from_attrs({"nats_epochs": MIXED}).nats_epochs == ()


def test_a_store_is_continued_with_its_own_measures() -> None:
    """Those of every score may be more by now; others that it lacks are refused."""
    old = {"measures": list(schema.FIRST_MEASURES)}
    continued = OPTIONS.continuing(old)
    assert continued.measures == schema.FIRST_MEASURES
    assert continued.network_measures == ()
    assert replace(continued, measures=OPTIONS.measures, network_measures=("Q",)) == replace(
        OPTIONS, network_measures=("Q",)
    )
    extra = next(name for name, row in schema.EXTRA_MEASURES.items() if not row.dims[2:])
    asked = Options.measuring(extra, device="cpu")
    assert extra in asked.measures
    assert asked.continuing(asked.attrs()) == asked
    with pytest.raises(GenpredictError, match=f"made without the measures .*{extra}"):
        asked.continuing(old)


@pytest.mark.parametrize("names", [{"measures": ("none",)}, {"network_measures": ("none",)}])
def test_unknown_measures_are_refused(names: dict[str, tuple[str, ...]]) -> None:
    """With the question that helps."""
    with pytest.raises(GenpredictError, match="no 'none'; is the package that adds it installed"):
        Options(**names)  # type: ignore[arg-type]
