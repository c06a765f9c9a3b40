"""How to measure, and which rows of archives: one object, from which everything derives.

The store, the spool of shards, the command line and `score` take their choices from the fields of
`Options`: which of them make two runs the same, how they are written down, and what they may be.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

from genpredict._version import __version__
from genpredict.errors import GenpredictError
from genpredict.estimators import (
    DEAD_TOLERANCE,
    ESTIMATION,
    NULL_TOLERANCE,
    PRECISIONS,
    check_method,
)
from genpredict.registry import (
    choose_measures,
    choose_network_measures,
    known_network_measures,
    measures_named,
)
from genpredict.schema import (
    DEFINITIONS,
    FIRST_MEASURES,
    LAYER_MEASURES,
    NETWORK_MEASURES,
    Measure,
    NetworkMeasure,
    Probe,
)

if TYPE_CHECKING:
    import torch

#: What a choice decides: the numbers of a row, which rows there are, or neither.
_NUMBERS, _ROWS = {"decides": "numbers"}, {"decides": "rows"}
#: As `_NUMBERS`, of network measures alone that need more than weights.
_PROBES = {"decides": "probes"}
#: Training images that measures which need data are taken on.
NUM_IMAGES = 500


@dataclass(frozen=True)
class Options:
    """How to measure, and which rows to take.

    Parameters
    ----------
    estimator : {"global", "reference"}
        The exact EVBMF or the released code's.
    dtype : {"float64", "float32"}
        Arithmetic of Gram matrices and eigenvalues.
    device : str
        "auto" takes CUDA where there is one. Of no account for a store's identity.
    include, exclude, also : tuple of str
        Patterns on layer names, as of `select_layers`.
    dead_tolerance, null_tolerance : float
        What EVBMF sets aside.
    measures : tuple of str
        Names of the layer measures, all of them; see `measuring`.
    network_measures : tuple of str
        Names of the network measures that are stored with the rows.
    data, data_folder : str
        Data set, and folder of its files, for measures that need images; as of `load_dataset`.
    num_images : int
        So many of its training images, the classes in proportion, drawn with seed 0.
    initial : str
        File of the weights before training, where a run does not keep them itself.
    nats_epochs, nats_datasets, indices
        Which rows of archives, as of `open_checkpoints`.

    Attributes
    ----------
    rows : tuple of Measure
        What `measures` names, and what these build on; travels to worker processes.
    network_rows : tuple of NetworkMeasure
        What `network_measures` names.
    """

    estimator: str = field(default="global", metadata=_NUMBERS)
    dtype: str = field(default="float64", metadata=_NUMBERS)
    device: str = "auto"
    include: tuple[str, ...] = field(default=(), metadata=_NUMBERS)
    exclude: tuple[str, ...] = field(default=(), metadata=_NUMBERS)
    also: tuple[str, ...] = field(default=(), metadata=_NUMBERS, kw_only=True)
    dead_tolerance: float = field(default=DEAD_TOLERANCE, metadata=_NUMBERS)
    null_tolerance: float = field(default=NULL_TOLERANCE, metadata=_NUMBERS)
    measures: tuple[str, ...] = field(default=tuple(LAYER_MEASURES), metadata=_NUMBERS)
    network_measures: tuple[str, ...] = field(default=tuple(NETWORK_MEASURES), metadata=_NUMBERS)
    data: str = field(default="", metadata=_PROBES)
    data_folder: str = ""
    num_images: int = field(default=NUM_IMAGES, metadata=_PROBES)
    initial: str = field(default="", metadata=_PROBES)
    nats_epochs: tuple[int, ...] = field(default=(), metadata=_ROWS)
    nats_datasets: tuple[str, ...] = field(default=(), metadata=_ROWS)
    indices: str = field(default="", metadata=_ROWS)
    rows: tuple[Measure, ...] = field(init=False, repr=False, compare=False)
    network_rows: tuple[NetworkMeasure, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Check every choice, so that a typo fails before any work."""
        if self.dtype not in PRECISIONS:
            raise GenpredictError(f"dtype must be one of {PRECISIONS}, got {self.dtype!r}")
        try:
            check_method(self.estimator, self.dead_tolerance, self.null_tolerance)
        except ValueError as error:
            raise GenpredictError(str(error)) from error
        object.__setattr__(self, "rows", measures_named(self.measures))
        object.__setattr__(self, "measures", tuple(row.name for row in self.rows))
        object.__setattr__(self, "network_rows", _network_rows(self.network_measures))
        self._check_data()
        for name in ("nats_epochs", "nats_datasets"):
            object.__setattr__(self, name, tuple(sorted(getattr(self, name))))

    def _check_data(self) -> None:
        """Raise where measures need images and no data set is named, or too few images."""
        if self.num_images < 1:
            raise GenpredictError(f"num_images must be at least 1, got {self.num_images}")
        if not self.data and (names := [row.name for row in self.probes if row.needs == "data"]):
            raise GenpredictError(
                f"measures: {names[0]} needs images; name a data set (--data), such as digits"
            )

    @property
    def probes(self) -> tuple[Probe, ...]:
        """The network measures that are taken when a checkpoint is loaded."""
        return tuple(row for row in self.network_rows if isinstance(row, Probe))

    @property
    def needs_data(self) -> bool:
        """Whether a measure needs images."""
        return any(map(_needs_data, self.probes))

    @classmethod
    def measuring(cls, wanted: Sequence[str] | str = (), **choices: Any) -> Options:
        """Return options with measures that are asked for by name or group, and other choices.

        Parameters
        ----------
        wanted : sequence of str
            Added to the measures of every score. Where a data set is named and none of them needs
            one, all that do.
        **choices
            As of the class.

        Raises
        ------
        GenpredictError
            For an unknown measure, or a choice that is none.
        """
        layers, networks = choose_measures(wanted), choose_network_measures(wanted)
        if choices.get("data") and not any(map(_needs_data, networks)):
            every = known_network_measures().values()
            networks = (*networks, *(row for row in every if _needs_data(row)))
        names: dict[str, Any] = {
            "measures": tuple(row.name for row in layers),
            "network_measures": tuple(row.name for row in networks),
        }
        return cls(**names, **choices)

    @classmethod
    def from_attrs(cls, attrs: Mapping[str, Any]) -> Options:
        """Return the options by which a Dataset or store was made, as its attributes say.

        Raises
        ------
        GenpredictError
            Where these are no options, or a measure is not known here.
        """
        names = [name for name in _choices() if attrs.get(name, MIXED) != MIXED]
        given: dict[str, Any] = {name: attrs[name] for name in names}
        given |= {n: tuple(value) for n, value in given.items() if isinstance(value, list)}
        held = {"measures": measures_of(attrs), "network_measures": network_measures_of(attrs)}
        return cls(**given | held)

    def torch_device(self) -> torch.device:
        """Return the device to compute on.

        Raises
        ------
        GenpredictError
            When torch has no such device here.
        """
        import torch

        if self.device == "auto":
            return torch.device("cuda" if torch.cuda.is_available() else "cpu")
        try:
            return torch.empty(0, device=self.device).device
        except (RuntimeError, AssertionError) as error:
            raise GenpredictError(
                f"device {self.device!r} is not available here; use --device cpu or auto"
            ) from error

    def attrs(self) -> dict[str, Any]:
        """Return the choices as they are written into a Dataset."""
        choices = {name: getattr(self, name) for name in _choices()}
        plain = {n: list(v) if isinstance(v, tuple) else v for n, v in choices.items()}
        made_by = {"genpredict_version": __version__, "definitions": DEFINITIONS}
        return made_by | plain | {"device": str(self.torch_device())}

    def chosen(self, names: Iterable[str]) -> dict[str, Any]:
        """Return some choices by their names."""
        return {name: getattr(self, name) for name in names}

    def identity(self) -> dict[str, Any]:
        """Return what must agree between rows that stand in one store."""
        return identity_of(self.attrs())

    def continuing(self, attrs: Mapping[str, Any]) -> Options:
        """Return these options with the measures of a store that is to be continued.

        A store holds the same measures in every row: those it was made with.

        Parameters
        ----------
        attrs : mapping
            Of the store.

        Raises
        ------
        GenpredictError
            Where measures are asked for besides those of every score, which it does not hold.
        """
        held, of_networks = measures_of(attrs), network_measures_of(attrs)
        always = {*held, *of_networks, *LAYER_MEASURES, *NETWORK_MEASURES}
        extra = [name for name in (*self.measures, *self.network_measures) if name not in always]
        if extra:
            raise GenpredictError(
                f"made without the measures {', '.join(extra)}; score the same sources into "
                f"another store, then add them with `genpredict merge`"
            )
        return replace(self, measures=held, network_measures=of_networks)


def _needs_data(row: NetworkMeasure) -> bool:
    return isinstance(row, Probe) and row.needs == "data"


def _network_rows(names: Sequence[str]) -> tuple[NetworkMeasure, ...]:
    table = known_network_measures()
    if unknown := [name for name in names if name not in table]:
        raise GenpredictError(
            f"measures: there is no {unknown[0]!r}; is the package that adds it installed?"
        )
    return tuple(row for name, row in table.items() if name in names)


def _choices() -> list[str]:
    return [choice.name for choice in fields(Options) if choice.init]


#: Choices that decide which tensors are layers.
PATTERNS = ("include", "exclude", "also")
#: Choices of how layers are measured, `score`'s arguments of the same names.
METHOD = (*ESTIMATION, "dtype", *PATTERNS)
#: What a store says of its selection where it was merged from several: equals no run's.
MIXED = "mixed"
#: Choices that decide which rows a store holds: stores that differ in them can be merged.
SELECTIONS = tuple(f.name for f in fields(Options) if f.metadata == _ROWS)
#: Choices of measures that need more than weights, of no account for stores without such.
PROBE_CHOICES = {f.name: f.default for f in fields(Options) if f.metadata == _PROBES}
#: What must agree between a store and a run that continues it.
IDENTITY = (
    "definitions",
    *(f.name for f in fields(Options) if f.metadata == _NUMBERS),
    *PROBE_CHOICES,
    *SELECTIONS,
)


def measures_of(attrs: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the layer measures that a store holds by its attributes; once there were twelve."""
    return tuple(attrs.get("measures", FIRST_MEASURES))


def network_measures_of(attrs: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the network measures that a store holds by its attributes; once there were none."""
    return tuple(attrs.get("network_measures", ()))


def identity_of(attrs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of a store's attributes that must agree with a run that continues it.

    Parameters
    ----------
    attrs : mapping
        What is not in there is as by default, but for what stores of old do not say: the
        definitions 1, and the measures of `measures_of`.
    """
    defaults = {choice.name: choice.default for choice in fields(Options) if choice.init}
    known = {"definitions": 1, **defaults, **attrs}
    known["measures"] = sorted(measures_of(attrs))
    known["network_measures"] = sorted(network_measures_of(attrs))
    plain = {n: list(v) if isinstance(v, tuple) else v for n, v in known.items()}
    return {name: plain[name] for name in IDENTITY}
