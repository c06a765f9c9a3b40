"""The page itself: template, style and scripts put together, and what it may do.

The content security policy names the page's three scripts by their hashes and forbids all else:
no request, and no script that a text of the store might smuggle in.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

import altair as alt
import vl_convert
from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

_FILES = files("genpredict.report")
#: In JSON inside a script element, characters that HTML or old scripts could take for markup.
_ESCAPES = {
    "<": "\\u003c",
    ">": "\\u003e",
    "&": "\\u0026",
    "\u2028": "\\u2028",
    "\u2029": "\\u2029",
}
_LIBRARY = "window.vegaEmbed = vegaEmbed; window.vega = vega;"


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
    scripts = {"library": library(), "script": _read("page.js")}
    environment = Environment(
        loader=FunctionLoader(_read),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    trusted = {name: Markup(text) for name, text in scripts.items()}
    page = environment.get_template("page.html").render(
        **context,
        **trusted,
        style=Markup(_read("page.css")),
        policy=policy(scripts.values()),
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
    """Return Vega, Vega-Lite and Vega-Embed as one script, in the version altair writes for."""
    version = ".".join(alt.SCHEMA_VERSION.removeprefix("v").split(".")[:2])
    bundle: str = vl_convert.javascript_bundle(_LIBRARY, vl_version=version)
    return bundle.replace("</script", "<\\/script").replace("\r\n", "\n").replace("\r", "\n")


def _read(name: str) -> str:
    return _FILES.joinpath(name).read_text(encoding="utf-8")
