"""The house's two themes."""

from __future__ import annotations

from textual.theme import Theme

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
THEMES = (DARK, LIGHT)
