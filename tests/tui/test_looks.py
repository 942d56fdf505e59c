"""Themes that can be read by everybody, a console of ASCII only, and what is said the first time."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest
from rich.cells import cell_len
from textual.theme import Theme

from tests.queue_driver import QueueDriver
from tests.tui.pty_terminal import Pty
from tq_console.tui.look import glyphs
from tq_console.tui.look.ascii import to_ascii
from tq_console.tui.look.context_colors import NAMED, hex_of, text_on
from tq_console.tui.look.themes import DARK, DEUTERANOPIA, LIGHT, THEMES, TRITANOPIA, short_name
from tq_console.view.preferences import THEME_NAMES

# Source: Machado, Oliveira, Fernandes, A Physiologically-based Model for Simulation of Color Vision Deficiency, 2009.
SEEN = {
    "deuteranopia": (
        (0.367322, 0.860646, -0.227968),
        (0.280085, 0.672501, 0.047413),
        (-0.011820, 0.042940, 0.968881),
    ),
    "tritanopia": ((1.255528, -0.076749, -0.178779), (-0.078411, 0.930809, 0.147602), (0.004733, 0.691367, 0.303900)),
}
RGB = tuple[float, ...]


def linear(color: str) -> RGB:
    values = (int(color[i : i + 2], 16) / 255 for i in (1, 3, 5))
    return tuple(v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in values)


def luminance(color: str) -> float:
    red, green, blue = linear(color)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def lab(rgb: RGB) -> RGB:
    red, green, blue = (min(1.0, max(0.0, v)) for v in rgb)
    x = (0.4124 * red + 0.3576 * green + 0.1805 * blue) / 0.95047
    y = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    z = (0.0193 * red + 0.1192 * green + 0.9505 * blue) / 1.08883
    a, b, c = (v ** (1 / 3) if v > 0.008856 else 7.787 * v + 16 / 116 for v in (x, y, z))
    return 116 * b - 16, 500 * (a - b), 200 * (b - c)


def apart(one: str, other: str, eyes: str) -> float:
    """How far two colours are apart for such eyes: CIE76, where 2 is just seen."""
    seen = [
        lab(tuple(sum(m * v for m, v in zip(row, linear(c), strict=True)) for row in SEEN[eyes])) for c in (one, other)
    ]
    return math.dist(*seen)


@pytest.mark.parametrize("theme", [DARK, LIGHT, DEUTERANOPIA, TRITANOPIA], ids=short_name)
def test_every_colour_of_text_can_be_read(theme: Theme) -> None:
    assert theme.background
    for name in ("primary", "secondary", "accent", "success", "warning", "error", "foreground"):
        assert contrast(getattr(theme, name), theme.background) >= 4.5, name


@pytest.mark.parametrize("theme", [DEUTERANOPIA, TRITANOPIA], ids=short_name)
def test_good_warning_and_bad_stay_apart_for_the_eyes_that_a_theme_is_for(theme: Theme) -> None:
    colors = [theme.success, theme.warning, theme.error]
    for one, other in zip(colors, [*colors[1:], colors[0]], strict=True):
        assert one
        assert other
        assert apart(one, other, short_name(theme)) >= 30


def test_the_text_on_the_colour_of_a_context_can_be_read() -> None:
    for color in (*NAMED.values(), "#8844ff", "#777777"):
        assert contrast(text_on(color), color) >= 4.5, color
    assert (hex_of("Red"), hex_of("#ABCDEF"), hex_of("reddish"), hex_of(None)) == ("#b3261e", "#abcdef", None, None)


def test_every_theme_has_the_name_that_the_configuration_knows() -> None:
    assert tuple(map(short_name, THEMES)) == THEME_NAMES


def test_every_state_has_a_sign_of_its_own_width_in_ascii_and_a_word_beside_it() -> None:
    signs = [*glyphs.TASK_SIGNS.values(), *glyphs.MEMBER_SIGNS.values(), *glyphs.QUEUE_SIGNS.values()]
    assert all(sign.word for sign in signs)
    for text in (*map(str, signs), glyphs.BLOCKS, "╭─ ⏎ │ …", "⠁⣿", "漢字", "e\u0301", "é"):
        plain = to_ascii(text)
        assert plain.isascii()
        assert cell_len(plain) == cell_len(text), text
    assert to_ascii("\x1b[1mé▶\x1b[0m") == "\x1b[1me>\x1b[0m"


@pytest.mark.server
def test_a_locale_without_utf8_gets_ascii_and_the_first_time_the_keys_that_lead_on(
    q: QueueDriver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    q.put_many(1)
    monkeypatch.setenv("TQ_URL", q.url)
    monkeypatch.setenv("LC_ALL", "de_DE.ISO-8859-1")
    for name in ("TMUX", "STY"):
        monkeypatch.delenv(name, raising=False)
    for is_first in (True, False):
        with Pty(["console", "--low-bandwidth"], folder=tmp_path, size=(80, 24)) as terminal:
            terminal.until(b"mail")
            if is_first:
                terminal.until(b"shows every key")
            terminal.press("2")
            terminal.until(b"QUEUE")
            terminal.press("c")
            terminal.until(b"\x1b]52;c;bWFpbA==")
            terminal.press("\x11")
            assert terminal.end() == 0
        assert terminal.got.isascii(), re.findall(rb"[^\x00-\x7f]+", terminal.got)[:5]
        assert (b"shows every key" in terminal.got) == is_first
