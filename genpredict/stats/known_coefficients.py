"""Coefficients of correlation, one row each: names, titles and where the arithmetic stands.

Tables, figures, the report and the command line take what they call a coefficient from here; so
does every loop over coefficients. A row names its functions as text, so that it costs no import.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from genpredict.errors import GenpredictError
from genpredict.extensions import resolve


@dataclass(frozen=True)
class Coefficient:
    """A coefficient of correlation.

    Parameters
    ----------
    key : str
        In tables and on the command line, e.g. "rocc".
    person : str
        Whose it is, e.g. "Spearman's ρ".
    method : str
        "module:class" of a `genpredict.stats.methods.Method`, or "module:function" of a function
        of two columns, shape (n,) each, that returns a number in [−1, 1].
    """

    key: str
    person: str
    method: str

    @property
    def title(self) -> str:
        """Return what stands over its column, e.g. "ROCC"."""
        return self.key.upper()

    @property
    def long_name(self) -> str:
        """Return the name with whose it is, e.g. "Spearman's ρ (ROCC)"."""
        return f"{self.person} ({self.title})"

    @property
    def reversed_name(self) -> str:
        """Return the name as an axis has it, e.g. "ROCC (Spearman's ρ)"."""
        return f"{self.title} ({self.person})"

    def resolve(self) -> Callable[..., Any]:
        """Import and return the class or function that `method` names."""
        return resolve(self.method, f"coefficient {self.key}")


COEFFICIENTS: dict[str, Coefficient] = {
    row.key: row
    for row in (
        Coefficient("plcc", "Pearson's r", "genpredict.stats.linear_methods:Pearson"),
        Coefficient("rocc", "Spearman's ρ", "genpredict.stats.linear_methods:Spearman"),
        Coefficient("krocc", "Kendall's τ-b", "genpredict.stats.kendall_method:Kendall"),
    )
}
#: What a table says of each coefficient, by suffix of its variable.
STATISTICS: dict[str, str] = {
    "": "",
    "_lower": ", lower bound",
    "_upper": ", upper bound",
    "_pvalue": ", p-value",
}
#: What corrections for several tests add to them.
CORRECTIONS: dict[str, str] = {
    "_pvalue_holm": ", p-value adjusted by Holm",
    "_pvalue_bh": ", p-value adjusted by Benjamini-Hochberg",
    "_simultaneous_lower": ", lower bound of the simultaneous interval",
    "_simultaneous_upper": ", upper bound of the simultaneous interval",
}


def register_coefficient(key: str, method: str, *, person: str) -> Coefficient:
    """Add a coefficient to every table that is made from now on.

    Parameters
    ----------
    key : str
        A word, e.g. "gamma".
    method : str
        "module:function": a function of two columns, shape (n,), that returns a number in [−1, 1],
        or NaN where it is undefined. Its intervals are the jackknife's, its p-values come from
        permutations.
    person : str
        Whose it is, for titles: "Goodman and Kruskal's γ".

    Returns
    -------
    Coefficient

    Raises
    ------
    GenpredictError
        For a key that is taken or no word, or a method that is not written as "module:function".

    Examples
    --------
    >>> row = register_coefficient("cosine", "scipy.spatial.distance:cosine", person="cosine")
    >>> del COEFFICIENTS["cosine"]  # as if it had never been
    >>> row.title
    'COSINE'
    """
    if not key.isidentifier() or "_" in key:
        raise GenpredictError(f"key must be one word of letters and digits, got {key!r}")
    if key in COEFFICIENTS:
        raise GenpredictError(f"key: a coefficient {key!r} is registered already; choose another")
    if method.count(":") != 1:
        raise GenpredictError(f'method must be written as "module:function", got {method!r}')
    row = COEFFICIENTS[key] = Coefficient(key, person, method)
    return row


def coefficient_of(name: str) -> Coefficient | None:
    """Return the coefficient that a variable of a table belongs to, e.g. of "rocc_lower"."""
    return COEFFICIENTS.get(name.split("_")[0])


def check_coefficient(name: str) -> Coefficient:
    """Return a coefficient by its key.

    Raises
    ------
    GenpredictError
        For one that is not registered; the message lists those that are.
    """
    if name not in COEFFICIENTS:
        raise GenpredictError(f"coefficient must be one of {tuple(COEFFICIENTS)}, got {name!r}")
    return COEFFICIENTS[name]
