"""What handlers say of themselves, on its way to the broker: put together, twice a second, and before each end."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from typing import Any

from tq_core.roles import task_logs
from tq_core.roles.task_logs import Said
from tq_core.transport.steps import Flow
from tq_worker.worker.outbox import Delivery, Outbox
from tq_worker.worker.run import Run, Stage

EVERY_S = 0.5


class _Pad:
    """What one run has said and nobody was told yet."""

    __slots__ = ("lines", "progress", "seq")

    def __init__(self) -> None:
        self.lines: deque[tuple[float, str]] = deque(maxlen=task_logs.MAX_LINES)
        self.progress: tuple[float, str] | None = None
        self.seq = 0

    @property
    def is_blank(self) -> bool:
        return not self.lines and self.progress is None


class Notes:
    """The pads of one worker's runs; may be written on from any thread, and never makes a handler wait."""

    def __init__(self, outbox: Outbox, loop: asyncio.AbstractEventLoop) -> None:
        self._outbox, self._loop = outbox, loop
        self._pads: dict[Run, _Pad] = {}
        self._writing = threading.Lock()
        self._is_due = False

    def said(self, run: Run, text: str) -> None:
        """Adds a line to a run's log."""
        with self._writing:
            if run.stage is Stage.GONE:
                return  # its lease was lost: nobody would take it, and nobody would clear the pad away
            self._pad(run).lines.append((time.monotonic(), text))
        self._soon()

    def progressed(self, run: Run, fraction: float, text: str) -> None:
        """Shows how far a run is."""
        run.progress = (fraction, text)
        with self._writing:
            if run.stage is Stage.GONE:
                return
            self._pad(run).progress = (fraction, text)
        self._soon()

    def ending(self, run: Run) -> None:
        """Has all told that a run has said, before its end is."""
        if run in self._pads:
            self._tell([run])
            with self._writing:
                self._pads.pop(run, None)

    def forget(self, run: Run) -> None:
        """Drops what a run that is gone has said."""
        if run in self._pads:
            with self._writing:
                self._pads.pop(run, None)

    def _pad(self, run: Run) -> _Pad:
        pad = self._pads.get(run)
        if pad is None:
            pad = self._pads[run] = _Pad()
        return pad

    def _soon(self) -> None:
        if self._is_due:
            return
        self._is_due = True
        try:
            self._loop.call_soon_threadsafe(self._loop.call_later, EVERY_S, self._tell_all)
        except RuntimeError:
            return  # the loop is closed: the process is ending

    def _tell_all(self) -> None:
        self._is_due = False
        self._tell(list(self._pads))

    def _tell(self, runs: list[Run]) -> None:
        now = time.monotonic()
        by_queue: dict[str, list[Said]] = {}
        with self._writing:
            for run in runs:
                pad = self._pads.get(run)
                if pad is None or pad.is_blank:
                    continue
                pad.seq += 1
                by_queue.setdefault(run.task.queue, []).append(
                    Said(
                        task_id=run.task.id,
                        token=run.task.token,
                        seq=pad.seq,
                        progress=pad.progress,
                        lines=[(round((now - at) * 1000), text) for at, text in pad.lines],
                    )
                )
                pad.lines.clear()
                pad.progress = None
        for queue, said in by_queue.items():
            self._outbox.add(Delivery(_flow(queue, said), _nothing, ()))


def _flow(queue: str, said: list[Said]) -> Any:
    def flow() -> Flow[None]:
        return task_logs.note(queue, said)

    return flow


def _nothing(_: Any) -> None:
    """What is kept of a handler's words needs no answer."""
