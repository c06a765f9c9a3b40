"""Options that several commands share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from genpredict.inference import Cluster, Inference, IntervalKind

_DEFAULTS = Inference()


def commas(kind: type) -> Parameter:
    """Return the declaration of an option whose values are separated by commas.

    Parameters
    ----------
    kind : type
        Of each value.

    Returns
    -------
    Parameter
        To annotate a tuple with.
    """

    def convert(_: Any, tokens: Any) -> tuple[Any, ...]:
        parts = [part for token in tokens for part in token.value.split(",") if part]
        try:
            return tuple(kind(part) for part in parts)
        except ValueError:
            what = "whole numbers" if kind is int else "values"
            raise ValueError(f"must be {what} separated by commas, not {','.join(parts)}") from None

    return Parameter(converter=convert, n_tokens=1)


Names = Annotated[tuple[str, ...], commas(str)]
Output = Annotated[Path, Parameter(name=["--output", "-o"])]
OptionalOutput = Annotated[Path | None, Parameter(name=["--output", "-o"])]
Factorization = Literal["raw", "low_rank"]
Power = Literal[1, 2]


def _known_coefficient(_type: object, name: str) -> None:
    from genpredict.stats.known_coefficients import COEFFICIENTS

    if name not in COEFFICIENTS:  # cyclopts wants a ValueError
        raise ValueError(f"must be one of {', '.join(COEFFICIENTS)}")


#: The key of a coefficient, be it of another package.
CoefficientName = Annotated[str, Parameter(validator=_known_coefficient)]


@dataclass(frozen=True)
class InferenceFlags:
    """Options of intervals and p-values, the same for every command that correlates.

    Parameters
    ----------
    interval
        How intervals are made: auto is jackknife up to 2,000 checkpoints, influence above.
    resamples
        Number of bootstrap resamples that bca and percentile intervals are made of.
    permutations
        For p-values: auto goes as far as the stars take; 0 for no p.
    level
        Coverage of the intervals.
    min_n
        Groups of fewer checkpoints get no numbers.
    cluster
        Coordinates, separated by commas: checkpoints that share their values are no independent
        draws, such as run, or network,optimizer for seeds of one setting. auto: run; none: all are
        independent.
    seed
        Of resampling and permutation.
    """

    interval: IntervalKind = _DEFAULTS.interval
    resamples: int = _DEFAULTS.resamples
    permutations: Literal["auto"] | int = _DEFAULTS.permutations
    level: float = _DEFAULTS.level
    min_n: int = _DEFAULTS.min_n
    cluster: Annotated[Names, Parameter(show_default=lambda _: "auto")] = ("auto",)
    seed: int = _DEFAULTS.seed

    def inference(self) -> Inference:
        """Return what statistics take."""
        cluster: Cluster = self.cluster
        if self.cluster in ((), ("none",)):
            cluster = None
        elif self.cluster == ("auto",):
            cluster = "auto"
        return Inference(
            self.interval,
            self.resamples,
            self.permutations,
            self.level,
            self.min_n,
            self.seed,
            cluster,
        )


Flags = Annotated[InferenceFlags, Parameter(name="*")]
DEFAULT_FLAGS = InferenceFlags()
