"""Make reStructuredText of docstrings that are written to be read in the source.

They cite the references of their module, and write stars and bars as mathematics does.
"""

from __future__ import annotations

import inspect
import re

from sphinx.application import Sphinx
from sphinx.ext.autodoc.mock import mock
from sphinx.ext.autosummary import Autosummary, import_by_name

_CITATION = re.compile(r"\[(\d+)\]_")
_CITATION_IN_SENTENCE = re.compile(r"\s*\[\d+\]_")
_REFERENCE = re.compile(r"^\.\. \[(\d+)\] .*(?:\n(?:   .*)?)*", re.MULTILINE)
#: A star or bar where emphasis or a substitution could begin; the first two alternatives are
#: ``literals`` and *emphasis* that is meant.
_MARKUP = re.compile(
    r"(`+[^`]*`+|(?<![\w\\*])\*\w[^*]*[\w.:,]\*(?!\w))|(?<![\w\\*|])([*|]{1,2})(?=\S)"
)
#: numpydoc knows these by itself: a parameter's line, ``*args`` or ``**options``.
_STARRED_PARAMETER = re.compile(r"^\s*\*{1,2}\w+( :.*)?$")


def setup(app: Sphinx) -> dict[str, bool]:
    """Register what is below, to run before numpydoc."""
    app.connect("autodoc-process-docstring", prepare, priority=100)
    app.add_directive("autosummary", Summaries, override=True)
    return {"parallel_read_safe": True}


def prepare(
    app: Sphinx, what: str, name: str, documented: object, options: object, lines: list[str]
) -> None:
    """Escape stars and bars, and bring along the references that are cited."""
    if what == "data" and documented.__doc__ == type(documented).__doc__:
        lines[:] = []  # what float and tuple say of themselves
    lines[:] = [line if _is_code(line) else _MARKUP.sub(_escape, line) for line in lines]
    text = "\n".join(lines)
    cited = dict.fromkeys(_CITATION.findall(text))
    missing = [number for number in cited if f".. [{number}]" not in text]
    module = inspect.getmodule(documented)
    known = (
        {match[1]: match[0] for match in _REFERENCE.finditer(module.__doc__ or "")}
        if module
        else {}
    )
    references = [line for n in missing if n in known for line in known[n].rstrip().splitlines()]
    if references and "References" not in lines:
        lines += ["", "References", "----------", *references, ""]
    elif references:
        at = lines.index("References") + 2
        lines[at:at] = references


def _is_code(line: str) -> bool:
    return line.lstrip().startswith((">>>", "...")) or bool(_STARRED_PARAMETER.match(line))


def _escape(match: re.Match[str]) -> str:
    return match[1] or "".join(f"\\{character}" for character in match[2])


class Summaries(Autosummary):
    """The table of names and first lines; of constants, their values."""

    def get_items(self, names: list[str]) -> list[tuple[str, str | None, str, str]]:
        """Return names, signatures and first lines."""
        mocked = self.config.autodoc_mock_imports
        return [
            (name, signature, _first_line(full, mocked), full)
            for name, signature, _, full in super().get_items(names)
        ]


def _first_line(name: str, mocked: list[str]) -> str:
    """Return the first line of what a name documents, which cites nothing in a table."""
    with mock(mocked):
        documented = import_by_name(name)[1]
    if not callable(documented):
        value = " ".join(repr(documented).replace("`", "'").split())
        return f"``{value[:77].rstrip()}…``" if len(value) > 80 else f"``{value}``"
    line = (inspect.getdoc(documented) or "").partition("\n")[0]
    return _MARKUP.sub(_escape, _CITATION_IN_SENTENCE.sub("", line))
