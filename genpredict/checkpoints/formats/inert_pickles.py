"""Unpickle without importing or running anything that a pickle names.

Python's own unpickler does the reading, and asks for every class and function by name. It is given
stand-ins: classes made on the spot whose instances keep what they are given and do nothing else.
Tensors, storages, numpy arrays and the plain containers of Python's library are known by name and
become inert descriptions or plain values (`stored_tensors`).
"""

from __future__ import annotations

import io
import pickle
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, NoReturn

from genpredict.checkpoints.formats.acting_globals import (
    acts,
    acts_when_called,
    is_of_python,
    is_plain_attribute,
)
from genpredict.checkpoints.formats.pickle_costs import RefusedPickleError

MOST_GLOBALS = 10_000
"""Different names in one pickle; a large module has some 200. Each costs a class of 1 KB."""
MOST_STAND_INS = 1_000_000
"""Stand-ins in one pickle, at some 100 bytes each; a large module has some 10,000."""
_ATOMS = (str, bytes, int, float, bool, type(None))
_SIZED = frozenset(("builtins.bytearray", "builtins.bytes"))


class ActingPickleError(RefusedPickleError):
    """A pickle that asks to run code; the text is the name of what it asks for."""


class Budget:
    """How many stand-ins a pickle may still make."""

    __slots__ = ("left",)

    def __init__(self) -> None:
        self.left = MOST_STAND_INS

    def take(self) -> None:
        """Count one more.

        Raises
        ------
        RefusedPickleError
            When there were too many.
        """
        self.left -= 1
        if self.left < 0:
            raise RefusedPickleError(f"more than {MOST_STAND_INS:,} objects of other kinds")


class StandIn:
    """In the place of an object of any class: keeps what it is given.

    Attributes
    ----------
    args : tuple
        Arguments of the call that would have made it.
    state : object
        What would have become its attributes; None where nothing was given.
    pairs, members : list or None
        What would have been set by key, and appended.
    """

    __slots__ = ("args", "members", "pairs", "state")
    module: ClassVar[str] = ""
    name: ClassVar[str] = ""
    budget: ClassVar[Budget | None] = None

    args: tuple[Any, ...]
    state: Any
    pairs: list[tuple[Any, Any]] | None
    members: list[Any] | None

    def __new__(cls, *args: Any, **kwargs: Any) -> StandIn:
        """Keep the arguments.

        Raises
        ------
        RefusedPickleError
            Where a function of Python's library would have been run.
        """
        if cls.budget is None or acts_when_called(cls.module, cls.name):
            raise ActingPickleError(f"{cls.module}.{cls.name}")
        cls.budget.take()
        whole = f"{cls.module}.{cls.name}"
        if whole == "builtins.getattr" and args and _is_of_python(args[0]):
            raise ActingPickleError(f"a method of {args[0].module}.{args[0].name}")
        if whole in _SIZED and args and isinstance(args[0], int):
            raise RefusedPickleError(f"a {whole} of {args[0]:,} bytes that are not stored")
        self = object.__new__(cls)
        self.args = args if not kwargs else (*args, kwargs)
        self.state = self.pairs = self.members = None
        return self

    def __call__(self, *args: Any) -> StandIn:
        """Keep what a method of the user's own class is given; refuse what asks to run code."""
        if f"{self.module}.{self.name}" != "builtins.getattr" or not _is_harmless(self.args):
            raise ActingPickleError(f"what {self.module}.{self.name} returns")
        made = type(self)(*self.args)
        made.members = list(args)
        return made

    def __setstate__(self, state: Any) -> None:
        """Keep the state."""
        self.state = state

    def __setitem__(self, key: Any, value: Any) -> None:
        """Keep a pair, in order; keys are never hashed."""
        if self.pairs is None:
            self.pairs = []
        self.pairs.append((key, value))

    def append(self, member: Any) -> None:
        """Keep a member."""
        if self.members is None:
            self.members = []
        self.members.append(member)

    def extend(self, members: Any) -> None:
        """Keep members."""
        for member in members if type(members) is list else []:
            self.append(member)

    add = append


def _is_harmless(args: tuple[Any, ...]) -> bool:
    """Return whether calling ``getattr(*args)`` only makes a value, or is a user's own doing."""
    owner = args[0] if args else None
    kind = owner if isinstance(owner, type) else type(owner)
    if len(args) < 2 or not issubclass(kind, StandIn) or not isinstance(args[1], str):
        return False
    return not is_of_python(kind.module) or is_plain_attribute(args[1])


def _is_of_python(owner: Any) -> bool:
    """Return whether a thing is an object, not a class, of Python's own library."""
    return isinstance(owner, StandIn) and is_of_python(owner.module)


class Table(dict[Any, Any]):
    """In the place of ordered dicts and their kin: a dict of which nothing else can be set."""

    __slots__ = ()

    def __init__(self, *args: Any) -> None:
        """Take a dict or a list of pairs, as `collections.OrderedDict` does."""
        super().__init__()
        first = args[-1] if args else None
        pairs: Any = dict.items(first) if isinstance(first, dict) else first
        for pair in pairs if isinstance(first, dict | list | tuple) else ():
            if type(pair) in (tuple, list) and len(pair) == 2 and isinstance(pair[0], _ATOMS):
                self[pair[0]] = pair[1]

    def __setstate__(self, state: Any) -> None:
        """Set nothing: an attribute could hide a method."""


class Step:
    """A known function of a pickle; nothing can be set on it."""

    __slots__ = ("_function", "name")

    def __init__(self, name: str, function: Callable[..., Any]) -> None:
        self.name, self._function = name, function

    def __call__(self, *args: Any) -> Any:
        """Make what it stands for."""
        return self._function(*args)

    def __setstate__(self, state: Any) -> NoReturn:
        """Refuse."""
        raise RefusedPickleError(f"attributes for {self.name}")


def _encode(text: str = "", encoding: str = "") -> bytes:
    """Return the bytes that protocol 2 writes as text."""
    if encoding not in ("latin1", "latin-1"):
        raise RefusedPickleError(f"an encoding named {encoding!r:.60}")
    return text.encode("latin1")


def _rebuild(kind: Any, *args: Any) -> Any:
    """Make an object of a class without calling it."""
    if isinstance(kind, type) and issubclass(kind, StandIn | Table):
        return kind.__new__(kind) if issubclass(kind, Table) else kind(*args)
    raise RefusedPickleError("an object of something that is no class")


PLAIN: Mapping[str, Any] = {
    **dict.fromkeys(
        (
            "collections.OrderedDict", "collections.Counter", "builtins.dict",
            "lightning.fabric.utilities.data.AttributeDict",
            "lightning_fabric.utilities.data.AttributeDict",
            "pytorch_lightning.utilities.parsing.AttributeDict",
        ),
        Table,
    ),
    "collections.defaultdict": Step("collections.defaultdict", lambda *ignored: Table()),
    "_codecs.encode": Step("_codecs.encode", _encode),
    "copyreg._reconstructor": Step("copyreg", lambda kind=None, *ignored: _rebuild(kind)),
    "copyreg.__newobj__": Step("copyreg", _rebuild),
    "copyreg.__newobj_ex__": Step("copyreg", lambda kind, args, kwargs: _rebuild(kind, *args)),
}  # fmt: skip
"""Names of plain containers and helpers, whichever library writes them."""


class InertUnpickler(pickle.Unpickler):
    """Reads one pickle; see the module.

    Parameters
    ----------
    file : BytesIO
        The bytes, checked before by `follow_pickles`.
    known : mapping
        Further names and what stands for them: instances of `Step`, or classes without behaviour.
    storage : callable, optional
        Makes what stands for a persistent id.
    """

    def __init__(
        self,
        file: io.BytesIO,
        known: Mapping[str, Any],
        storage: Callable[[Any], Any] | None = None,
    ) -> None:
        super().__init__(file, encoding="latin1")
        self._known, self._storage = known, storage
        self._budget = Budget()
        self._made: dict[tuple[str, str], Any] = {}

    def find_class(self, module: str, name: str) -> Any:
        """Return what stands for a name; nothing is imported.

        Raises
        ------
        RefusedPickleError
            Where the name asks to run code, and on more names than any file needs.
        """
        stand_in = self._made.get((module, name))
        if stand_in is None:
            if len(self._made) >= MOST_GLOBALS:
                raise RefusedPickleError(f"more than {MOST_GLOBALS:,} names of classes")
            stand_in = self._made[module, name] = self._find(*_modern(module, name))
        return stand_in

    def _find(self, module: str, name: str) -> Any:
        whole = f"{module}.{name}"
        if acts(module, name):
            raise ActingPickleError(whole)
        for known in (self._known, PLAIN):
            if whole in known:
                return known[whole]
        given = {"__slots__": (), "module": module, "name": name, "budget": self._budget}
        return type("StandIn", (StandIn,), given)

    def persistent_load(self, pid: Any) -> Any:
        """Return what stands for a storage.

        Raises
        ------
        UnpicklingError
            Where there are none in such a file.
        """
        if self._storage is None:
            raise pickle.UnpicklingError("persistent ids, which only files of torch.save hold")
        return self._storage(pid)


def _modern(module: str, name: str) -> tuple[str, str]:
    """Return the name in Python 3 of what Python 2 called otherwise."""
    if (module, name) in NAME_MAPPING:
        return NAME_MAPPING[module, name]
    return IMPORT_MAPPING.get(module, module), name
