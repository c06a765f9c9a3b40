"""The page itself: template, style and scripts put together, and what it may do.

The content security policy names the page's two scripts by their hashes and forbids all else: no
request, and no script that a text of the store might smuggle in. The library (Vega, Vega-Lite and
Vega-Embed) goes deflated; the page's own script unpacks it.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from genpredict.report.bundling import FILE

_FILES = files("genpredict.report")
#: In JSON inside a script element, characters that HTML or old scripts could take for markup.
_ESCAPES = {
    "<": "\\u003c",
    ">": "\\u003e",
    "&": "\\u0026",
    "\u2028": "\\u2028",
    "\u2029": "\\u2029",
}
#: Parts of the page's script, in the order in which they need each other.
_SCRIPTS = ("columns", "texts", "filters", "scatter", "heatmap", "tables", "start")


#: Characters that turn the direction of text, and what stands for them: a name must read as it is.
_DIRECTIONS = {
    code: f"[U+{code:04X}]"
    for code in (0x61C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A))
}


def page_of(context: Mapping[str, Any], content: Mapping[str, Any]) -> str:
    """Return the page as HTML.

    Parameters
    ----------
    context : mapping
        What the template shows; every text is escaped.
    content : mapping
        What the script draws, as JSON.

    Returns
    -------
    str
    """
    code = script()
    environment = Environment(
        loader=FunctionLoader(_read),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = environment.get_template("page.html").render(
        **context,
        library=base64.b64encode(_FILES.joinpath(FILE).read_bytes()).decode("ascii"),
        script=Markup(code),
        style=Markup(_read("page.css")),
        policy=policy((library(), code)),
        data=Markup(json_of(content)),
    )
    return page.translate(_DIRECTIONS)


def json_of(content: Mapping[str, Any]) -> str:
    r"""Return compact JSON that can stand in a script element.

    Examples
    --------
    >>> json_of({"id": "</script>"})
    '{"id":"\\u003c/script\\u003e"}'
    """
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.translate({ord(character): other for character, other in _ESCAPES.items()})


def policy(scripts: Any) -> str:
    """Return the content security policy: these scripts, no others, and no request.

    Parameters
    ----------
    scripts : iterable of str

    Returns
    -------
    str
    """
    hashes = " ".join(f"'sha256-{_digest(script)}'" for script in scripts)
    return (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; "
        "img-src data: blob:; base-uri 'none'; form-action 'none'"
    )


def _digest(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


@cache
def library() -> str:
    """Return Vega, Vega-Lite and Vega-Embed as one script."""
    return gzip.decompress(_FILES.joinpath(FILE).read_bytes()).decode("utf-8")


@cache
def script() -> str:
    """Return the page's own script, all its parts in one scope."""
    parts = "".join(_read(f"scripts/{name}.js") for name in _SCRIPTS)
    return f'"use strict";\n(() => {{\n{parts}}})();\n'


def _read(name: str) -> str:
    return _FILES.joinpath(name).read_text(encoding="utf-8")
