"""The lines that were typed behind `:`, kept in a file that only its owner can read; none that holds a secret."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

KEPT_LINES = 500


class LineHistory:
    """Lines, the newest last, and a place among them while somebody looks back."""

    def __init__(self, path: Path | None) -> None:
        """Reads what is kept.

        Args:
            path: None = nothing is kept beyond this console.
        """
        self._path = path
        self._lines: list[str] = []
        self._at = 0
        self._typed = ""
        if path is not None:
            with contextlib.suppress(OSError):
                self._lines = path.read_text(encoding="utf-8", errors="replace").splitlines()[-KEPT_LINES:]
        self.begin()

    def begin(self) -> None:
        """Nobody looks back."""
        self._at, self._typed = len(self._lines), ""

    def back(self, typed: str) -> str:
        """The line before; the oldest stays."""
        if self._at == len(self._lines):
            self._typed = typed
        self._at = max(0, self._at - 1)
        return self._lines[self._at] if self._lines else typed

    def forward(self, typed: str) -> str:
        """The line after; beyond the newest stands what was being typed."""
        if self._at >= len(self._lines):
            return typed
        self._at += 1
        return self._lines[self._at] if self._at < len(self._lines) else self._typed

    def add(self, line: str, *, is_kept: bool) -> None:
        """Remembers a line; in the file only where it is to be kept."""
        if not line.strip() or (self._lines and self._lines[-1] == line):
            self.begin()
            return
        self._lines.append(line)
        self.begin()
        if self._path is None or not is_kept or "\n" in line:
            return
        # A full disk, or none that can be written, costs the memory of one line.
        with contextlib.suppress(OSError):
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            kept = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
            mode = os.O_APPEND if len(self._lines) < 2 * KEPT_LINES else os.O_TRUNC
            lines = [line] if mode == os.O_APPEND else self._lines[-KEPT_LINES:]
            with os.fdopen(os.open(self._path, kept | mode, 0o600), "w", encoding="utf-8") as file:
                file.writelines(f"{each}\n" for each in lines)
