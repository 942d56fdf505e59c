"""Processes of a test: programs that use the broker, and finding out what is left of keepers and servers."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.waiting import wait_until
from tq_core.broker.processes import mark

ROOT = Path(__file__).resolve().parent.parent.parent


class UserProcess:
    """A running tests.broker.user_program."""

    def __init__(self, environ: Mapping[str, str] | None = None, *, file_limit_bytes: int | None = None) -> None:
        def limit_files() -> None:
            if file_limit_bytes is not None:
                resource.setrlimit(resource.RLIMIT_FSIZE, (file_limit_bytes, file_limit_bytes))

        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.broker.user_program"],
            cwd=ROOT,
            env={**os.environ, **(environ or {})},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            preexec_fn=limit_files,  # noqa: PLW1509 - the test has one thread
        )

    @property
    def pid(self) -> int:
        return self._process.pid

    def order(self, do: str, **words: Any) -> None:
        """Tell it what to do, without waiting for the answer."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": do, **words}) + "\n")
        self._process.stdin.flush()

    def answer(self) -> dict[str, Any]:
        """Wait for the answer to the oldest order."""
        assert self._process.stdout is not None
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer

    def ask(self, do: str, **words: Any) -> dict[str, Any]:
        """Tell it what to do and return the answer."""
        self.order(do, **words)
        return self.answer()

    def kill(self) -> None:
        """End it as a crash would."""
        self._process.kill()
        self._collect()

    def end(self) -> None:
        """End it as the end of its work would; does nothing where it has ended."""
        self._collect()

    def _collect(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.close()
        except BrokenPipeError:
            pass
        self._process.wait(20)
        self._process.stdout.close()


def processes_of(folder: Path) -> dict[int, str]:
    """Keepers and servers that run anywhere below a folder: both show a path of it in their command line."""
    found: dict[int, str] = {}
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(folder) in words and int(path.parent.name) != os.getpid():
            found[int(path.parent.name)] = words
    return found


def servers_of(folder: Path) -> list[int]:
    """Servers that run below a folder."""
    return [pid for pid, words in processes_of(folder).items() if "tq_core.broker.keeper" not in words]


def kill_hard(pid: int) -> None:
    """End a process as a crash would; returns when it is dead."""
    victim = mark(pid)
    victim.send(signal.SIGKILL)
    wait_until(lambda: not victim.is_alive, 10, f"process {pid} to die")
