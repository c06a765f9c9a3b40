"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter


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
