"""A real terminal: tmux, with keys typed into it and its screen read."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.waiting import wait_until

LONGEST_S = 20.0
HAS_TMUX = shutil.which("tmux") is not None


class RealTerminal:
    """One tmux session of its own server."""

    def __init__(self, folder: Path, *, size: tuple[int, int]) -> None:
        self._socket = str(folder / f"tmux-{uuid.uuid4().hex[:8]}")
        self.size = size
        self.exit_file = folder / f"exit-{uuid.uuid4().hex[:8]}"

    def start(self, words: list[str], environment: Mapping[str, str]) -> None:
        """Runs a program in it; its exit code is written down."""
        command = f"{shlex.join(words)}; echo $? > {shlex.quote(str(self.exit_file))}; read _"
        width, height = map(str, self.size)
        subprocess.run(
            self._tmux("-f", os.devnull, "new-session", "-d", "-x", width, "-y", height, "bash", "-c", command),
            check=True,
            env={**environment, "TERM": "xterm-256color"},
        )

    def press(self, *keys: str) -> None:
        """Types keys, by tmux' names for them."""
        subprocess.run(self._tmux("send-keys", *keys), check=True)

    def write(self, text: str) -> None:
        """Types a text."""
        subprocess.run(self._tmux("send-keys", "-l", text), check=True)

    @property
    def screen(self) -> str:
        """What is on screen."""
        ran = subprocess.run(self._tmux("capture-pane", "-p"), check=False, capture_output=True, text=True)
        return ran.stdout

    def until(self, text: str, *, gone: bool = False) -> str:
        """Waits until a text is on screen, or is no more; returns the screen."""

        def found() -> str:
            screen = self.screen
            return screen if (text in screen) != gone else ""

        try:
            return wait_until(found, LONGEST_S, f"{text!r} {'to leave' if gone else 'on'} the screen")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.screen}") from None

    def exit_code(self) -> int:
        """Waits for the program's end."""
        text = wait_until(
            lambda: self.exit_file.read_text().strip() if self.exit_file.exists() else "",
            LONGEST_S,
            "the program to end",
        )
        return int(text)

    def hang_up(self) -> None:
        """Takes the terminal away from what runs in it."""
        subprocess.run(self._tmux("kill-server"), check=False, capture_output=True)

    def _tmux(self, *words: str) -> list[str]:
        return ["tmux", "-S", self._socket, *words]


@contextmanager
def real_terminal(
    folder: Path, words: list[str], *, size: tuple[int, int] = (120, 40), environment: Mapping[str, str] | None = None
) -> Iterator[RealTerminal]:
    """Runs `tq WORDS` in a terminal; nothing of it is left afterwards."""
    terminal = RealTerminal(folder, size=size)
    program = [sys.executable, "-c", "from tq_console.cli.main import main; main()", *words]
    terminal.start(program, {**os.environ, "LANG": "C.UTF-8", **(environment or {})})
    try:
        yield terminal
    finally:
        terminal.hang_up()
