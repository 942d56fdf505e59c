"""Loads the Lua scripts: one file per transition, shared parts named by `--@include`.

A script's name is its file's name without `.lua`. A line `--@include part` is replaced by `scripts/includes/part.lua`;
each part is put in once per script, parts may include parts.
"""

from __future__ import annotations

import functools
import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

_INCLUDE = re.compile(r"^--@include ([a-z_]+)[ \t]*$", re.MULTILINE)
_FOLDER = Path(__file__).with_name("scripts")


@dataclass(frozen=True, slots=True)
class Source:
    """A script ready to be sent: its whole text and the digest by which Redis calls it."""

    name: str
    text: str
    sha: str


def script_names() -> list[str]:
    """The names of all scripts, sorted."""
    return sorted(f.name.removesuffix(".lua") for f in _FOLDER.iterdir() if f.name.endswith(".lua"))


def load_source(name: str) -> str:
    """The text of a script with its parts put in.

    Raises:
        FileNotFoundError: there is no such script or part.
    """
    seen: set[str] = set()

    def expand(text: str) -> str:
        def part(match: re.Match[str]) -> str:
            if match[1] in seen:
                return ""
            seen.add(match[1])
            return expand((_FOLDER / "includes" / f"{match[1]}.lua").read_text("utf-8").rstrip("\n"))

        return _INCLUDE.sub(part, text)

    return expand((_FOLDER / f"{name}.lua").read_text("utf-8"))


@functools.cache
def source(name: str) -> Source:
    """The script of that name, read once per process.

    Comment lines are left out of what is sent: they cost memory in every server and tell it nothing.
    """
    lines = (line.strip() for line in load_source(name).splitlines())
    text = "\n".join(line for line in lines if line and not line.startswith("--")) + "\n"
    return Source(name, text, hashlib.sha1(text.encode()).hexdigest())
