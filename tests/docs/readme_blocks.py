"""Reads the code blocks of a Markdown file: files to write, and commands with what they print."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_EXIT = re.compile(r"\s+# exit (\d+)$")


@dataclass(frozen=True)
class File:
    """A Python block; its first line names it."""

    name: str
    text: str


@dataclass(frozen=True)
class Shell:
    """A line after a prompt, with the output that the reader is shown."""

    command: str
    exit_code: int
    output: tuple[str, ...]

    @property
    def is_background(self) -> bool:
        return self.command.endswith("&")

    def is_shown_in(self, printed: str) -> bool:
        """Whether the lines shown stand, in order, in what was printed; `…` is anything, runs of blanks are one."""
        lines = iter(" ".join(line.split()) for line in printed.splitlines())
        return all(any(_pattern(wanted).fullmatch(line) for line in lines) for wanted in self.output)


def _pattern(wanted: str) -> re.Pattern[str]:
    return re.compile(".*".join(re.escape(part) for part in " ".join(wanted.split()).split("…")))


def blocks(path: Path) -> list[File | Shell]:
    """The python and console blocks in the order of the page."""
    found: list[File | Shell] = []
    for language, text in _BLOCK.findall(path.read_text("utf-8")):
        if language == "python":
            name = text.partition("\n")[0].removeprefix("# ")
            found.append(File(name, text))
        elif language == "console":
            found += _commands(text)
    return found


def _commands(text: str) -> list[Shell]:
    out = []
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        line, *output = part.rstrip("\n").split("\n")
        code = _EXIT.search(line)
        out.append(Shell(_EXIT.sub("", line).strip(), int(code[1]) if code else 0, tuple(output)))
    return out
