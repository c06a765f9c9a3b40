"""Units of work: files that one process reads and measures together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import xarray as xr

from genpredict.checkpoints import Item
from genpredict.measuring import measure_checkpoints, read_items
from genpredict.network_columns import add_network_measures
from genpredict.options import Options
from genpredict.rows import join_rows
from genpredict.store.ledger import Stamp

#: A unit of work ends when its files reach this size (bytes) or number.
UNIT_BYTES = 32 << 20
UNIT_ITEMS = 64


@dataclass(frozen=True)
class Unit:
    """Files that one process reads and measures together."""

    items: tuple[Item, ...]

    def __str__(self) -> str:
        first, last = self.items[0].path, self.items[-1].path
        return str(first) if first == last else f"{first} … {last}"


def cut(items: Sequence[Item], *, one_by_one: bool = False) -> Iterator[Unit]:
    """Cut items into units, the same ones for the same items whatever is done already.

    An equal cut makes equal batches, so that a resumed run leaves the same bytes.

    Parameters
    ----------
    items : sequence of Item
    one_by_one : bool
        Make every file a unit, for measures that take up to minutes a network: progress is told,
        and results are written, a unit at a time.

    Yields
    ------
    Unit
    """
    most = 1 if one_by_one else UNIT_ITEMS
    unit: list[Item] = []
    size = 0
    for item in items:
        unit.append(item)
        size += item.size
        if size >= UNIT_BYTES or len(unit) >= most:
            yield Unit(tuple(unit))
            unit, size = [], 0
    if unit:
        yield Unit(tuple(unit))


def measure_unit(unit: Unit, *, options: Options) -> xr.Dataset | None:
    """Read and measure a unit; None where its archives hold no row that is asked for."""
    parts = list(measure_checkpoints(read_items(unit.items), options))
    return add_network_measures(join_rows(parts), options.network_rows) if parts else None


def is_open(
    unit: Unit,
    states: Callable[[Item], set[str]],
    ledger: Mapping[str, Stamp],
    *,
    retry_failed: bool,
) -> bool:
    """Return whether a unit has anything to do.

    An archive's rows are allotted all at once and marked done after they are written, so an
    archive with rows of which none is pending is complete; one without rows is where the ledger
    knows it.

    Parameters
    ----------
    unit : Unit
    states : callable
        As made by `states_of`.
    ledger : mapping of str to Stamp
        What the files were that the store has taken in.
    retry_failed : bool
        Whether failed rows are to be done again.
    """
    wanted = {"pending", "failed"} if retry_failed else {"pending"}
    return any(
        known_states & wanted if (known_states := states(item)) else _is_new(item, ledger)
        for item in unit.items
    )


def _is_new(item: Item, ledger: Mapping[str, Stamp]) -> bool:
    """Return whether an item without rows has not been taken in, or was another then."""
    return item.id not in ledger or ledger[item.id].size != item.size


def states_of(status: Mapping[str, str]) -> Callable[[Item], set[str]]:
    """Return a look-up of the states of the rows that an item has so far.

    The rows of an archive have its id in front of theirs.

    Parameters
    ----------
    status : mapping of str to str
        State of every row by checkpoint id.
    """
    by_id: dict[str, set[str]] = defaultdict(set)
    for name, state in status.items():
        by_id[name].add(state)
        for end, letter in enumerate(name):
            if letter == "/":
                by_id[name[:end]].add(state)

    def look_up(item: Item) -> set[str]:
        if item.rows_known:
            return {status[item.id]} if item.id in status else set()
        return by_id.get(item.id, set())

    return look_up
