"""Tables as text for papers and pages: Markdown and LaTeX."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

_LATEX = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
_LATEX |= {character: f"\\{character}" for character in "&%$#_{}"}


def markdown(headings: Sequence[str], rows: Sequence[Sequence[str]], caption: str = "") -> str:
    r"""Return a table in Markdown.

    Examples
    --------
    >>> print(markdown(["measure", "n"], [["Q|x", "90"]]), end="")
    | measure | n |
    | --- | --- |
    | Q\|x | 90 |
    """
    lines = [headings, ["---"] * len(headings), *rows]
    table = "".join(
        "| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines
    )
    return f"{table}\n{caption}\n" if caption else table


def latex(headings: Sequence[str], rows: Sequence[Sequence[str]], caption: str = "") -> str:
    r"""Return a LaTeX tabular, its caption as a comment.

    Examples
    --------
    >>> print(latex(["measure"], [["log_num_parameters"]]), end="")
    \begin{tabular}{l}
    \hline
    measure \\
    \hline
    log\_num\_parameters \\
    \hline
    \end{tabular}
    """
    head, *body = (" & ".join(map(_escaped, line)) + r" \\" for line in [headings, *rows])
    columns = "l" * len(headings)
    lines = [rf"\begin{{tabular}}{{{columns}}}", r"\hline", head, r"\hline", *body, r"\hline"]
    comment = [f"% {caption}"] if caption else []
    return "\n".join([*comment, *lines, r"\end{tabular}"]) + "\n"


def _escaped(text: str) -> str:
    return re.sub(r"[\\~^&%$#_{}]", lambda match: _LATEX[match.group()], text)


#: What writes a table as text, by the suffix of the file.
TEXT_TABLES: dict[str, Callable[[Sequence[str], Sequence[Sequence[str]], str], str]] = {
    ".md": markdown,
    ".tex": latex,
}
