"""From a picture as SVG to one as PNG: drawn by resvg with fonts of fixed versions, and with none of the machine's."""

from __future__ import annotations

import html
import importlib.resources
import re

import resvg_py
from rich.cells import cell_len

_FONT_FACE = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)
_BRAILLE = range(0x2800, 0x2900)
_LINE, _ABOVE = 24.4, 18.5
"""Height of a line in the picture, and how much of it is above the foot of its letters."""
_ELEMENT = re.compile(
    r'<text class="(?P<style>[^"]*)" x="(?P<x>[\d.]+)" y="(?P<y>[\d.]+)" textLength="(?P<length>[\d.]+)"'
    r"[^>]*>(?P<text>[^<]*)</text>"
)
_TEXT = re.compile(
    r'x="(?P<x>[\d.]+)" (?P<y>y="[\d.]+") textLength="(?P<length>[\d.]+)"(?P<rest>[^>]*)>(?P<text>[^<]*)<'
)


def png_of(svg: str) -> bytes:
    """Draws a picture that Textual has exported."""
    # It names a font on the web, which nobody here fetches, and for its title one that only some machines have.
    drawn = _FONT_FACE.sub("", svg).replace("font-family: arial", "font-family: Fira Code")
    return bytes(
        resvg_py.svg_to_bytes(
            svg_string=_TEXT.sub(_cell_by_cell, _ELEMENT.sub(_with_dots, drawn)),
            font_files=_fonts(),
            skip_system_fonts=True,
            monospace_family="Fira Code",
        )
    )


def _with_dots(element: re.Match[str]) -> str:
    """Draws Braille, which no font here has, dot by dot."""
    characters = html.unescape(element["text"])
    if not any(ord(c) in _BRAILLE for c in characters):
        return element[0]
    left, top = float(element["x"]), float(element["y"]) - _ABOVE
    cell = float(element["length"]) / cell_len(characters)
    dots = []
    for index, character in enumerate(characters):
        bits = ord(character) - _BRAILLE.start if ord(character) in _BRAILLE else 0
        for bit, (column, row) in enumerate(((0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (0, 3), (1, 3))):
            if bits >> bit & 1:
                x, y = left + (index + 0.25 + column / 2) * cell, top + (row + 0.5) * _LINE / 4
                dots.append(f'<circle class="{element["style"]}" cx="{x:.2f}" cy="{y:.2f}" r="2"/>')
    rest = "".join("\u00a0" if ord(c) in _BRAILLE else c for c in characters)
    return element[0].replace(f">{element['text']}<", f">{html.escape(rest)}<") + "".join(dots)


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
