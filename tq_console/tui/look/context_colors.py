"""The colours that contexts have, each with the text that can be read on it."""

from __future__ import annotations

import re

NAMED = {
    "red": "#b3261e",
    "orange": "#c75c00",
    "yellow": "#d9b400",
    "green": "#1f7a3d",
    "cyan": "#0a7e8c",
    "blue": "#1f5fbf",
    "magenta": "#a02c8f",
    "grey": "#5a6470",
    "gray": "#5a6470",
    "white": "#e8e8e8",
}
PREFIX = "on "
"""Of the style of a span that is a block of colour."""
_HEX = re.compile(r"#[0-9a-fA-F]{6}")


def block_style(color: str | None) -> str:
    """The style of a block in a context's colour; "" where it has none that is known.

    Args:
        color: A name of NAMED, or #rrggbb.
    """
    found = hex_of(color)
    return f"{PREFIX}{found}" if found else ""


def hex_of(color: str | None) -> str | None:
    """A colour as #rrggbb; None where it is none."""
    if color is None:
        return None
    return color.lower() if _HEX.fullmatch(color) else NAMED.get(color.strip().lower())


def text_on(background: str) -> str:
    """Black or white, whichever can be read better on a colour.

    Args:
        background: #rrggbb.

    Source: relative luminance and contrast, WCAG 2.1.
    """
    red, green, blue = (int(background[i : i + 2], 16) / 255 for i in (1, 3, 5))
    luminance = 0.2126 * _linear(red) + 0.7152 * _linear(green) + 0.0722 * _linear(blue)
    return "#000000" if (luminance + 0.05) / 0.05 > 1.05 / (luminance + 0.05) else "#ffffff"


def _linear(value: float) -> float:
    return value / 12.92 if value <= 0.04045 else float(((value + 0.055) / 1.055) ** 2.4)
