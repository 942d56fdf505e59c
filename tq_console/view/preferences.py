"""How its user wants the console, as the configuration file says it.

# $XDG_CONFIG_HOME/tq/config.toml
theme = "light"                      # dark, light, deuteranopia, tritanopia or ansi
ascii = false                        # true: nothing but ASCII is drawn
low_bandwidth = false                # true: for slow lines

[keys]
"tasks.retry" = "ctrl+y"             # `tq config keys` lists them all
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

ASCII_VARIABLE = "TQ_ASCII"
THEME_NAMES = ("dark", "light", "deuteranopia", "tritanopia", "ansi")


@dataclass(frozen=True, slots=True)
class Preferences:
    """What is wanted; what is not said is None or empty."""

    theme: str | None = None
    """One of THEME_NAMES."""
    is_ascii: bool | None = None
    is_low_bandwidth: bool = False
    keys: Mapping[str, str] = field(default_factory=dict)
    """Id of a binding -> its keys, separated by commas."""
    has_alerts: bool = False
    """Whether there are alert rules (tq_console.alerts reads them)."""
    problems: tuple[str, ...] = ()
    """What could not be understood, and is as if it were not there."""


def read_preferences(environ: Mapping[str, str] = os.environ) -> Preferences:
    """What the configuration file says; a file that cannot be read is one of the problems."""
    from tq_core.errors import BrokerConfigError
    from tq_core.settings import config_file, read_config

    try:
        return preferences_of(read_config(config_file(environ)))
    except BrokerConfigError as error:
        return Preferences(problems=(error.message,))


def preferences_of(config: Mapping[str, Any]) -> Preferences:
    """What a configuration says."""
    problems: list[str] = []
    theme = config.get("theme")
    if theme is not None and theme not in THEME_NAMES:
        problems.append(f"theme = {theme!r}: there are {', '.join(THEME_NAMES)}")
        theme = None
    flags: dict[str, bool | None] = {}
    for name in ("ascii", "low_bandwidth"):
        flag = config.get(name)
        if flag is not None and not isinstance(flag, bool):
            problems.append(f"{name} = {flag!r}: must be true or false")
            flag = None
        flags[name] = flag
    return Preferences(
        theme=theme,
        is_ascii=flags["ascii"],
        is_low_bandwidth=bool(flags["low_bandwidth"]),
        keys=_keys(config.get("keys", {}), problems),
        has_alerts=bool(config.get("alerts")),
        problems=tuple(problems),
    )


def _keys(table: object, problems: list[str]) -> dict[str, str]:
    if not isinstance(table, Mapping):
        problems.append('keys: must be a table, as [keys] and below it "tasks.retry" = "ctrl+y"')
        return {}
    found = {}
    for name, keys in _flat(table):
        if isinstance(keys, str) and keys.strip():
            found[name] = keys
        else:
            problems.append(f"[keys] {name} = {keys!r}: must be a key in quotes, several separated by commas")
    return found


def _flat(table: Mapping[str, Any], before: str = "") -> list[tuple[str, Any]]:
    """Also `tasks.retry = "r"` without quotes around the name, which TOML reads as a table in a table."""
    found: list[tuple[str, Any]] = []
    for name, value in table.items():
        whole = f"{before}{name}"
        found += _flat(value, f"{whole}.") if isinstance(value, Mapping) else [(whole, value)]
    return found


def needs_ascii(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether to draw in ASCII: TQ_ASCII says so or, where it says nothing, the locale."""
    said = environ.get(ASCII_VARIABLE, "").strip().lower()
    if said:
        return said not in ("0", "no", "false", "off")
    named = environ.get("LC_ALL") or environ.get("LC_CTYPE") or environ.get("LANG") or ""
    # What the variable says counts also where this machine has no such locale: the terminal is somewhere else.
    if not named or "utf8" in named.lower().replace("-", ""):
        return False
    import locale

    return "utf8" not in locale.getencoding().lower().replace("-", "")
