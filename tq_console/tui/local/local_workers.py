"""Starts `tq-worker` commands on the console's broker, watches them, and ends them all with the console."""

from __future__ import annotations

import atexit
import contextlib
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tq_console.view.text import visible_lines
from tq_core.broker_url import BrokerScheme
from tq_core.credentials import opened_url
from tq_core.errors import InvalidInputError, RefusedError
from tq_core.settings import BrokerAddress

DEFAULT_LINE = "--samples"
DRAIN_S = 5.0
"""How long running tasks may take when the console ends; then a second signal gives them back."""
HURRY_S = 3.0
"""After the second signal; then it is killed."""
LOOK_S = 0.02
TAIL_LINES = 400
TAIL_BYTES = 65_536

# The child asks Linux to be ended with the console, then becomes the worker. A program in between does it: what runs
# between fork and exec in a program with threads may hang. It looks who its parent is, which may be gone by now.
_LAUNCHER = """
import ctypes, os, signal, sys
try:
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)
except (AttributeError, OSError):
    pass
if os.getppid() != int(sys.argv[1]):
    sys.exit(1)
os.execv(sys.executable, [sys.executable, "-m", "tq_worker", *sys.argv[2:]])
"""


@dataclass(frozen=True, slots=True)
class Ended:
    """A local worker that ended by itself."""

    line: str
    """Its arguments."""
    exit_code: int
    """Negative: the signal that ended it."""
    last_words: str


class LocalWorker:
    """One `tq-worker` of ours."""

    def __init__(self, words: Sequence[str], *, log: Path, environ: dict[str, str], cwd: str | None = None) -> None:
        """Starts it.

        Args:
            words: What stands after `tq-worker`.
            log: Where all it writes goes.
        """
        self.line = shlex.join(words)
        self.log = log
        self.is_stopping = False
        with log.open("wb") as out:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _LAUNCHER, str(os.getpid()), *words],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                cwd=cwd,
                env=environ,
                start_new_session=True,  # Ctrl-C is for the console
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """How it ended, negative for a signal; None while it runs."""
        if self._process.returncode is not None:
            return self._process.returncode
        # It is looked at and left where it is: as long as it is not fetched, nobody else gets its number, so that
        # `kill` hits its own processes or none.
        found = os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if found is None:
            return None
        return found.si_status if found.si_code == os.CLD_EXITED else -found.si_status

    def tail(self, lines: int = TAIL_LINES) -> list[str]:
        """The end of what it wrote, each line safe to show."""
        try:
            with self.log.open("rb") as log:
                log.seek(max(0, log.seek(0, os.SEEK_END) - TAIL_BYTES))
                text = log.read().decode("utf-8", "replace")
        except OSError:
            return []
        return visible_lines(text.rstrip("\n"))[-lines:] if text.strip() else []

    def signal(self) -> None:
        """Asks it to leave; a second time it hurries."""
        self.is_stopping = True
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._process.pid, signal.SIGTERM)

    def wait(self, until_s: float) -> bool:
        """Waits for its end, by our monotonic clock; False where it runs on."""
        while self.exit_code is None:
            left_s = until_s - time.monotonic()
            if left_s <= 0:
                return False
            time.sleep(min(LOOK_S, left_s))
        return True

    def kill(self) -> None:
        """Ends what is left of it and its processes, which are all of its session."""
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()


class LocalWorkers:
    """All workers that this console started."""

    def __init__(
        self,
        address: BrokerAddress,
        *,
        is_read_only: Callable[[], bool] = bool,
        is_in_browser: bool = False,
        drain_s: float = DRAIN_S,
        hurry_s: float = HURRY_S,
    ) -> None:
        """Starts none yet.

        Args:
            address: The broker that they serve.
            is_read_only: Whether to refuse to start any now: they would change what is there.
            is_in_browser: Refuse too: who looks at the page has no business on this machine.
        """
        self._address, self._is_read_only, self._is_in_browser = address, is_read_only, is_in_browser
        self._drain_s, self._hurry_s = drain_s, hurry_s
        self.last_line = DEFAULT_LINE
        """What was typed last."""
        self.workers: list[LocalWorker] = []
        self._told: set[int] = set()
        self._folder: Path | None = None
        self._stopping = threading.Lock()

    @property
    def broker(self) -> str:
        """What the broker is called."""
        return self._address.context.name if self._address.context else self._address.display_url

    @property
    def refusal(self) -> str:
        """Why none can be started; "" = some can."""
        if self._is_read_only():
            return "this console is read-only now: no worker is started"
        if self._is_in_browser:
            return "a console in a browser starts no programs: start workers on their machine, with tq-worker"
        if self._address.scheme is BrokerScheme.MEMORY:
            return "a memory:// broker lives inside this program: no other process can serve it"
        if self._address.scheme.is_gateway:
            return "workers need the broker itself, and this console sees a gateway: start them where the broker is"
        return ""

    @property
    def running(self) -> list[LocalWorker]:
        """Those that have not ended, the newest last."""
        return [worker for worker in self.workers if worker.exit_code is None]

    def start(self, line: str) -> LocalWorker:
        """Starts `tq-worker` with these arguments, as a shell would split them.

        To be called in the main thread: Linux ends the child with the thread that started it.

        Raises:
            RefusedError: this console only reads, or its broker cannot be reached from another process.
            InvalidInputError: the line cannot be split into words, or has none.
        """
        if self.refusal:
            raise RefusedError(self.refusal)
        try:
            words = shlex.split(line)
        except ValueError as error:
            raise InvalidInputError(f"{line!r} cannot be read as a command line: {error}") from error
        if not words:
            raise InvalidInputError("name the module with your tasks, or give --samples")
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="tq-console-"))
            atexit.register(self.stop_all)
        self.last_line = line
        worker = LocalWorker(
            words,
            log=self._folder / f"worker-{len(self.workers) + 1}.log",
            environ=worker_environ(self._address, os.environ),
        )
        self.workers.append(worker)
        return worker

    def newly_ended(self) -> list[Ended]:
        """Those that ended by themselves since this was last asked."""
        ended = []
        for worker in self.workers:
            code = worker.exit_code
            if code is None or worker.pid in self._told:
                continue
            self._told.add(worker.pid)
            if not worker.is_stopping:
                tail = worker.tail(1)
                ended.append(Ended(worker.line, code, tail[0] if tail else "it wrote nothing"))
        return ended

    def by_pid(self, pid: int | None) -> LocalWorker | None:
        """The one with this process id; without one the newest that runs, else the newest."""
        if pid is not None:
            return next((worker for worker in self.workers if worker.pid == pid), None)
        return next(reversed(self.running or self.workers), None)

    def stop_all(self, on_wait: Callable[[str], None] | None = None) -> None:
        """Ends all of them: politely, then in a hurry, then firmly. Called again, it does nothing more.

        Args:
            on_wait: Told once where this takes a moment.
        """
        with self._stopping:
            running = self.running
            if running and on_wait is not None:
                on_wait(f"ending {len(running)} local worker{'s' if len(running) > 1 else ''} …")
            for wait_s in (self._drain_s, self._hurry_s):
                for worker in running:
                    worker.signal()
                until_s = time.monotonic() + wait_s
                running = [worker for worker in running if not worker.wait(until_s)]
            for worker in self.workers:
                worker.is_stopping = True
                worker.kill()
            self.workers.clear()
            if self._folder is not None:
                shutil.rmtree(self._folder, ignore_errors=True)
                self._folder = None
        atexit.unregister(self.stop_all)


def worker_environ(address: BrokerAddress, environ: dict[str, str] | os._Environ[str]) -> dict[str, str]:
    """The environment of a worker of this broker: ours, with the address.

    On the command line everybody on this machine could read it, and it may hold a password.
    """
    kept = {name: value for name, value in environ.items() if name != "TQ_CONTEXT"}
    return {**kept, "TQ_URL": opened_url(address), "PYTHONUNBUFFERED": "1"}
