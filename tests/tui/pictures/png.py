"""From a picture as SVG to one as PNG: drawn by resvg with fonts of fixed versions, and with none of the machine's."""

from __future__ import annotations

import html
import importlib.resources
import re

import resvg_py
from rich.cells import cell_len

_FONT_FACE = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)
_TEXT = re.compile(
    r'x="(?P<x>[\d.]+)" (?P<y>y="[\d.]+") textLength="(?P<length>[\d.]+)"(?P<rest>[^>]*)>(?P<text>[^<]*)<'
)


def png_of(svg: str) -> bytes:
    """Draws a picture that Textual has exported."""
    # It names a font on the web, which nobody here fetches, and for its title one that only some machines have.
    drawn = _FONT_FACE.sub("", svg).replace("font-family: arial", "font-family: Fira Code")
    return bytes(
        resvg_py.svg_to_bytes(
            svg_string=_TEXT.sub(_cell_by_cell, drawn),
            font_files=_fonts(),
            skip_system_fonts=True,
            monospace_family="Fira Code",
        )
    )


def _cell_by_cell(text: re.Match[str]) -> str:
    """Gives each character its own place, as a terminal does: else the font would make one sign of two (0x, --)."""
    characters = html.unescape(text["text"])
    left, cell = float(text["x"]), float(text["length"]) / max(1, cell_len(characters))
    places = (f"{left + cell_len(characters[:index]) * cell:.2f}" for index in range(len(characters)))
    return f'x="{" ".join(places)}" {text["y"]}{text["rest"]}>{text["text"]}<'


def _fonts() -> list[str]:
    """Fira Code, and for the signs that it lacks DejaVu Sans Mono, of which python-barcode brings a copy."""
    fira = importlib.resources.files("fontpkg_fira_code") / "files" / "FiraCode[wght].ttf"
    dejavu = importlib.resources.files("barcode") / "fonts" / "DejaVuSansMono.ttf"
    return [str(fira), str(dejavu)]
