"""Make the library of the page anew: ``python -m genpredict.report.bundling``.

Needs vl-convert, which holds Vega, Vega-Lite and Vega-Embed and bundles them; the package ships
what it made (``vega.js.gz``, with its licences beside it), so that writing a page need not.
"""

from __future__ import annotations

import gzip
from pathlib import Path

#: What made the file that is shipped, and the Vega-Lite that it took of those it holds.
VL_CONVERT = "1.9.0"
VEGA_LITE = "6.4"
FILE = "vega.js.gz"
_EXPORTED = "window.vegaEmbed = vegaEmbed; window.vega = vega;"


def bundled() -> str:
    """Return Vega, Vega-Lite and Vega-Embed as one script.

    Returns
    -------
    str
        Of this vl-convert; another version makes another text.
    """
    import vl_convert

    script: str = vl_convert.javascript_bundle(_EXPORTED, vl_version=VEGA_LITE)
    return script


def main() -> None:
    """Write the file anew, the same bytes for the same script."""
    content = gzip.compress(bundled().encode("utf-8"), compresslevel=9, mtime=0)
    (Path(__file__).parent / FILE).write_bytes(content)


if __name__ == "__main__":
    main()
