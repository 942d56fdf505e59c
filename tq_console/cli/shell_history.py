"""The lines that were typed into `tq shell`, kept in a file that only its owner can read; none that holds a secret."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from prompt_toolkit.history import History

from tq_console.view.secret_lines import holds_secret
from tq_console.view.secrets import Masker

KEPT_LINES = 2_000


class LineFile(History):
    """One line of text each; the newest KEPT_LINES are kept."""

    def __init__(self, path: Path, masker: Masker) -> None:
        """Opens the file, which is made where it is missing.

        Raises:
            OSError: it cannot be read or written.
        """
        super().__init__()
        self._path, self._masker = path, masker
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with open(descriptor, "r+", encoding="utf-8", errors="replace") as file:  # noqa: PTH123 - a descriptor
            os.fchmod(descriptor, 0o600)
            lines = file.read().splitlines()
            if len(lines) > 2 * KEPT_LINES:
                lines = lines[-KEPT_LINES:]
                file.seek(0)
                file.truncate()
                file.writelines(f"{line}\n" for line in lines)
        self._lines = lines[-KEPT_LINES:]

    def load_history_strings(self) -> Iterable[str]:
        """The lines, newest first."""
        return reversed(self._lines)

    def store_string(self, string: str) -> None:
        """Appends a line, unless it begins with a blank or holds a secret."""
        if "\n" in string or string[:1].isspace() or holds_secret(string, self._masker):
            return
        try:
            descriptor = os.open(
                self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600
            )
            with open(descriptor, "a", encoding="utf-8") as file:  # noqa: PTH123 - a descriptor
                file.write(f"{string}\n")
        except OSError:
            return  # a full disk must not end the session
