"""What is drawn, in ASCII: for terminals and fonts that have nothing else."""

from __future__ import annotations

import unicodedata

from rich.cells import get_character_cell_size

LEVELS = " ._-=+*%#"
"""The blocks of a sparkline, from nothing to full."""
DOTS = " .:-=+*%#"
"""A sign of Braille dots, by how many it has."""
_BRAILLE = range(0x2800, 0x2900)

_SIGNS = str.maketrans(
    "▶‖■✗✓○●◌◷↻⊘□·▸▾▌▐…\u00d7←→↑↓⏎␣≤≥\u2013—\u2018\u2019“”≈∞│─┌┐└┘├┤┬┴┼╭╮╰╯▔▁▂▃▄▅▆▇█▏▎▍▊▉◆◇▲▼△▽◀★☆•◦",
    ">|#xvo*(@~/..>v||~x<>^v^_<>--''\"\"~8|-+++++++++++++-._-=+*%#|||||*o^v^v<*+*o",
)


class _Table(dict[int, str]):
    """Character -> ASCII of the same width, worked out when it is first met."""

    def __missing__(self, point: int) -> str:
        letter = chr(point)
        if point < 128:
            return letter
        if point in _BRAILLE:
            text = DOTS[(point - _BRAILLE.start).bit_count()]
        else:
            cells = get_character_cell_size(letter)
            plain = unicodedata.normalize("NFKD", letter).encode("ascii", "ignore").decode()
            if not plain.isprintable() or len(plain) != cells:
                plain = _line(letter) if cells == 1 else "?" * cells
            text = plain
        self[point] = text
        return text


def _line(letter: str) -> str:
    """Lines and blocks that have no sign of their own, by what Unicode calls them."""
    name = unicodedata.name(letter, "")
    if name.startswith("BOX DRAWINGS"):
        return "|" if "VERTICAL" in name and "HORIZONTAL" not in name else "+" if "AND" in name else "-"
    return "#" if "BLOCK" in name or "SHADE" in name else "?"


_TABLE = _Table({point: chr(plain) for point, plain in _SIGNS.items()})


def to_ascii(text: str) -> str:
    """The text with a stand-in of the same width for every other sign; terminal codes stay as they are."""
    return text if text.isascii() else text.translate(_TABLE)
