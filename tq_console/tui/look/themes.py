"""The house's themes: dark, light, two for eyes that tell fewer colours apart, and the terminal's own colours."""

from __future__ import annotations

from textual.theme import BUILTIN_THEMES, Theme

PREFIX = "tq-"

DARK = Theme(
    name="tq-dark",
    primary="#6cb6ff",
    secondary="#9ecbff",
    accent="#b9a3ff",
    success="#7ad391",
    warning="#f0b849",
    error="#ff7b72",
    foreground="#d6dbe1",
    background="#12161b",
    surface="#171c22",
    panel="#242b33",
    dark=True,
    variables={"border": "#3a4450", "footer-key-foreground": "#b9a3ff"},
)
LIGHT = Theme(
    name="tq-light",
    primary="#0b5cad",
    secondary="#244b76",
    accent="#6b3fb3",
    success="#1a7236",
    warning="#8a5a00",
    error="#b3261e",
    foreground="#1c2127",
    background="#fbfbf9",
    surface="#f3f3f0",
    panel="#e4e5e1",
    dark=False,
    variables={"border": "#b9bdb8", "footer-key-foreground": "#6b3fb3"},
)
# Source: M. Okabe and K. Ito, Color Universal Design, 2008: blue, yellow and vermilion stay apart for eyes that lack
# the red or the green cones. Yellow and vermilion are lighter here, for text on a dark ground.
DEUTERANOPIA = Theme(
    name="tq-deuteranopia",
    primary="#8fc7ff",
    secondary="#b5d9ff",
    accent="#cc9fe8",
    success="#56b4e9",
    warning="#ffe94d",
    error="#e0600f",
    foreground="#d6dbe1",
    background="#12161b",
    surface="#171c22",
    panel="#242b33",
    dark=True,
    variables={"border": "#3a4450", "footer-key-foreground": "#cc9fe8"},
)
# For eyes that lack the blue cones blue and green, yellow and pink are alike: teal, salmon and red are not.
TRITANOPIA = Theme(
    name="tq-tritanopia",
    primary="#9fd8d8",
    secondary="#c4e6e6",
    accent="#e8a0b8",
    success="#2bc4c4",
    warning="#ffb199",
    error="#ff4040",
    foreground="#d6dbe1",
    background="#12161b",
    surface="#171c22",
    panel="#242b33",
    dark=True,
    variables={"border": "#3a4450", "footer-key-foreground": "#e8a0b8"},
)
ANSI = Theme(
    name="tq-ansi",
    ansi=True,
    primary="ansi_blue",
    secondary="ansi_cyan",
    accent="ansi_magenta",
    success="ansi_green",
    warning="ansi_yellow",
    error="ansi_red",
    foreground="ansi_default",
    background="ansi_default",
    surface="ansi_default",
    panel="ansi_default",
    boost="ansi_default",
    dark=True,
    variables={**BUILTIN_THEMES["ansi-dark"].variables, "footer-key-foreground": "ansi_magenta"},
)
THEMES = (DARK, LIGHT, DEUTERANOPIA, TRITANOPIA, ANSI)


def short_name(theme: Theme | str) -> str:
    """What a theme is called by people."""
    return (theme if isinstance(theme, str) else theme.name).removeprefix(PREFIX)


def after(name: str) -> str:
    """The theme that comes after another; Textual's own are followed by the first."""
    names = [theme.name for theme in THEMES]
    return names[(names.index(name) + 1) % len(names)] if name in names else names[0]
