"""The demo's workers: a `tq-worker` of its own, which never outlives the demo."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

PROCESSES = 2
SLOTS = 4
STOP_TIMEOUT_S = 6.0
DRAIN_TIMEOUT_S = 2.0
_PR_SET_PDEATHSIG = 1
_LEFT_TO_THE_WORKER = ("TQ_REDIS_SERVER", "TQ_EMBEDDED_START_TIMEOUT_S")


class DemoWorker:
    """The node that runs the sample tasks."""

    def __init__(self, url: str, queues: tuple[str, ...], folder: Path) -> None:
        self._log = folder / "worker.log"
        words = {
            "--url": url,
            "--queues": ",".join(queues),
            "--processes": str(PROCESSES),
            "--slots": str(SLOTS),
            "--heartbeat": "1",
            "--drain-timeout": str(DRAIN_TIMEOUT_S),
            "--name": "demo",
        }
        arguments = [word for pair in words.items() for word in pair]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tq_worker", "--samples", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=folder,
                env=_environment(),
                start_new_session=True,  # Ctrl-C is for the demo, which then ends the worker
                preexec_fn=_end_with_parent(),  # noqa: PLW1509 - one thread only, and a killed demo must leave nothing
            )

    @property
    def exit_code(self) -> int | None:
        """How it ended; None while it runs."""
        return self._process.poll()

    @property
    def last_words(self) -> str:
        """The end of what it wrote."""
        lines = self._log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return lines[-1] if lines else "it wrote nothing"

    def stop(self) -> None:
        """Ends it and all its processes: politely, then firmly."""
        if self._process.poll() is None:
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(STOP_TIMEOUT_S)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


def _environment() -> dict[str, str]:
    """This environment without what would make the demo another one."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("TQ_") or k in _LEFT_TO_THE_WORKER}
    for name in ("MAX_RETRIES", "INITIAL_RETRY_DELAY", "RETRY_BACKOFF_MULTIPLIER", "MAX_RETRY_DELAY"):
        kept.pop(name, None)
    return {**kept, "TQ_EMBEDDED_LINGER_S": "0"}


def _end_with_parent() -> Callable[[], None] | None:
    """Makes what the child runs before its program: it asks Linux to be ended with us. None elsewhere."""
    try:
        prctl = ctypes.CDLL(None).prctl
    except AttributeError:
        return None

    def ask() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)

    return ask
