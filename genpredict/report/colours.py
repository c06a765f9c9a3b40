"""Colours of the page, as CSS: the palettes of the figures."""

from __future__ import annotations

from functools import cache

import matplotlib as mpl
from matplotlib.colors import Colormap, to_hex

from genpredict.figures.style import ramp

#: Steps in which a palette of numbers goes to the page.
_STEPS = 17
#: WCAG 2.1's luminance offset of its contrast ratio.
_FLARE = 0.05


def ramp_colours() -> list[str]:
    """Return the palette of numbers, dark is low, as hexadecimal colours."""
    return _sampled(ramp())


def correlation_colour(value: float) -> str:
    """Return the background of a correlation: purple below zero, white at it, orange above.

    Examples
    --------
    >>> correlation_colour(0.0), correlation_colour(-1.0)
    ('#f7f7f6', '#2d004b')
    """
    return to_hex(mpl.colormaps["PuOr_r"]((value + 1) / 2))


@cache
def ink_on(background: str) -> str:
    """Return the text colour, black or white, with the higher contrast by WCAG 2.1.

    Examples
    --------
    >>> ink_on("#f7f7f7"), ink_on("#2d004b")
    ('#000000', '#ffffff')
    """
    return max(("#000000", "#ffffff"), key=lambda ink: contrast(ink, background))


def contrast(first: str, other: str) -> float:
    """Return the contrast ratio of two colours, 1 to 21 (WCAG 2.1).

    Examples
    --------
    >>> round(contrast("#000000", "#ffffff"))
    21
    """
    low, high = sorted((_luminance(first), _luminance(other)))
    return (high + _FLARE) / (low + _FLARE)


def _luminance(colour: str) -> float:
    """Return the relative luminance of sRGB (WCAG 2.1)."""
    parts = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return sum(c * w for c, w in zip(linear, (0.2126, 0.7152, 0.0722), strict=True))


def _sampled(palette: Colormap) -> list[str]:
    return [to_hex(palette(i / (_STEPS - 1))) for i in range(_STEPS)]
