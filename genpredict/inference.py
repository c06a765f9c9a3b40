"""How intervals and p-values are made: the settings that travel together, as one object."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, TypeAlias, TypedDict, get_args

from genpredict.errors import GenpredictError

IntervalKind: TypeAlias = Literal["auto", "bca", "percentile", "fisher", "jackknife", "influence"]
#: Kinds that are made of resamples.
BOOTSTRAP = ("bca", "percentile")
#: Coordinates whose values are clusters; None for none, "auto" for `run` where it repeats.
Cluster: TypeAlias = str | Sequence[str] | None
#: Up to this many checkpoints "auto" leaves out and permutes; above it, influence functions.
MOST_RESAMPLED = 2000
#: Up to this many checkpoints, all pairs are compared at once, and KROCC is bootstrapped.
MOST_PAIRWISE = 1000
#: Permutations of every table; further ones are for stars alone.
BASE_PERMUTATIONS = 9999
#: The most demanding star: p below 0.001 after Holm.
STRICTEST = 0.001


class InferenceOptions(TypedDict, total=False):
    """The fields of `Inference`, as keyword options of the functions that take one."""

    interval: IntervalKind
    resamples: int
    permutations: int | Literal["auto"]
    level: float
    min_n: int
    seed: int
    cluster: Cluster


@dataclass(frozen=True)
class Inference:
    """How intervals and p-values are made.

    Parameters
    ----------
    interval : {"auto", "bca", "percentile", "fisher", "jackknife", "influence"}
        "auto" is the jackknife (without each checkpoint, or each cluster, in turn; Student's t on
        Fisher's scale) for up to 2,000 checkpoints, influence functions above. BCa and the
        percentile interval resample clusters where there are some, and take at least 10 draws;
        Fisher's knows nothing of clusters and is refused.
    resamples : int
        Of the bootstrap; the same ones for all measures and targets of the same checkpoints.
    permutations : int or "auto"
        For p-values. "auto" is 9,999, and further ones, for the small p-values alone, until every
        star can be earned in a table of this size; above 2,000 checkpoints p is asymptotic. 0 gives
        no p.
    level : float
        Coverage of the intervals.
    min_n : int
        Groups (and pairs) of fewer checkpoints, plus one a covariate, give NaN.
    seed : int
        Resamples and permutations are functions of it and of the number of checkpoints alone.
    cluster : str or sequence of str, optional
        Coordinates; checkpoints that share all their values are no independent draws. "auto":
        those that share their `run`. None: every checkpoint is a draw of its own.

    Examples
    --------
    >>> Inference(level=0.9).interval_for(90), Inference().interval_for(9000)
    ('jackknife', 'influence')
    """

    interval: IntervalKind = "auto"
    resamples: int = 2000
    permutations: int | Literal["auto"] = "auto"
    level: float = 0.95
    min_n: int = 5
    seed: int = 0
    cluster: Cluster = "auto"

    def __post_init__(self) -> None:
        """Check every choice, so that a typo fails before any work."""
        if self.interval not in get_args(IntervalKind):
            raise GenpredictError(
                f"interval must be one of {get_args(IntervalKind)}, got {self.interval!r}"
            )
        if not 0 < self.level < 1:
            raise GenpredictError(f"level must lie in (0, 1), such as 0.95, got {self.level}")
        if isinstance(self.permutations, str) and self.permutations != "auto":
            raise GenpredictError(
                f'permutations must be "auto" or a number, got {self.permutations!r}'
            )
        for name, least in (("resamples", 2), ("permutations", 0), ("min_n", 0), ("seed", 0)):
            value = getattr(self, name)
            if value != "auto" and value < least:
                raise GenpredictError(f"{name} must be at least {least}, got {value}")

    def interval_for(self, n: int, *, coefficient: str = "rocc") -> str:
        """Return the kind of interval of a coefficient of n checkpoints.

        Of more than 1,000 checkpoints KROCC has the jackknife's in place of the bootstrap's, and a
        coefficient that was registered has it always.
        """
        kind: str = self.interval
        if kind == "auto":
            kind = "influence" if n > MOST_RESAMPLED else "jackknife"
        drawn = kind in BOOTSTRAP
        if coefficient in ("plcc", "rocc"):
            return kind
        if coefficient != "krocc":
            return "jackknife"
        return "jackknife" if drawn and n > MOST_PAIRWISE else kind

    def permuted(self, n: int) -> bool:
        """Say whether p-values of n checkpoints come from permutations."""
        return self.permutations != "auto" or n <= MOST_RESAMPLED

    def permutations_for(self, tests: int) -> tuple[int, int]:
        """Return how many permutations every test gets, and how many those with a small p.

        The smallest p is 1/(1 + permutations), and Holm's adjustment multiplies it by up to the
        number of tests; it must still lie below 0.001.

        Examples
        --------
        >>> Inference().permutations_for(10), Inference().permutations_for(500)
        ((9999, 10000), (9999, 500000))
        """
        if self.permutations != "auto":
            return self.permutations, self.permutations
        return BASE_PERMUTATIONS, max(BASE_PERMUTATIONS, round(tests / STRICTEST))


def inference_of(inference: Inference | None, options: InferenceOptions) -> Inference:
    """Return settings with some of them replaced.

    Parameters
    ----------
    inference : Inference, optional
        Default: `Inference()`.
    options : mapping
        Fields by name.

    Returns
    -------
    Inference

    Raises
    ------
    TypeError
        For a name that is no field.
    """
    known = {field.name for field in fields(Inference)}
    if unknown := set(options) - known:
        raise TypeError(
            f"got unexpected options {', '.join(sorted(unknown))}; those of inference are "
            f"{', '.join(field.name for field in fields(Inference))}"
        )
    chosen: dict[str, Any] = dict(options)
    return replace(inference or Inference(), **chosen)
