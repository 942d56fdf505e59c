"""A pseudo-terminal: every byte that a program writes to it is kept."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path
from types import TracebackType
from typing import Self

LONGEST_S = 20.0


class Pty:
    """`tq WORDS` in a pseudo-terminal of its own; it is ended with the block."""

    def __init__(self, words: list[str], *, folder: Path, size: tuple[int, int] = (120, 40)) -> None:
        self._words, self._folder, self.size = words, folder, size
        self.got = b""
        """All that was written so far."""

    def __enter__(self) -> Self:
        self._fd, other = pty.openpty()
        self.resize(*self.size)
        program = [sys.executable, "-c", "from tq_console.cli.main import main; main()", *self._words]
        environment = {**os.environ, "TERM": "xterm-256color", "LANG": "C.UTF-8"}
        self.process = subprocess.Popen(
            program, stdin=other, stdout=other, stderr=other, env=environment, cwd=self._folder, start_new_session=True
        )
        os.close(other)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(LONGEST_S)
        os.close(self._fd)

    def resize(self, width: int, height: int) -> None:
        """Makes the terminal another size."""
        fcntl.ioctl(self._fd, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))

    def press(self, keys: str) -> None:
        os.write(self._fd, keys.encode())

    def read(self, for_s: float, *, wanted: bytes = b"") -> bool:
        """Takes in what is written for so long, or until it holds what is wanted since this was called."""
        start, until_s = len(self.got), time.monotonic() + for_s
        while (left_s := until_s - time.monotonic()) > 0:
            if not select.select([self._fd], [], [], left_s)[0]:
                break
            try:
                data = os.read(self._fd, 65_536)
            except OSError:  # the program has ended
                break
            self.got += data
            if not data or (wanted and wanted in self.got[start:]):
                break
        return wanted in self.got[start:]

    def until(self, wanted: bytes) -> None:
        """Waits until something is written."""
        assert self.read(LONGEST_S, wanted=wanted), (wanted, self.got[-2000:])

    def end(self) -> int:
        """Waits for the program's end; its exit code."""
        until_s = time.monotonic() + LONGEST_S
        while self.process.poll() is None and time.monotonic() < until_s:
            self.read(0.1)
        self.read(0.1)
        return self.process.wait(0.1)
