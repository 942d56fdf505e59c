"""Counts what happens to tasks, where the node exposes metrics; else nothing of this is loaded.

It listens where the lifecycle log is told, so a worker without metrics pays nothing. A task costs two look-ups, two
searches for a bucket and some additions to a list, without a lock: rows are changed by whoever tells the log, and read
by the channel's thread in single steps of the interpreter.
"""

from __future__ import annotations

import threading
import time
from bisect import bisect_left

from tq_core.metric_names import DURATION, MAX_LABELLED, OTHER, WAIT
from tq_core.roles.consumer import Outcome
from tq_worker import counted, frames
from tq_worker.counted import Row, Series, new_row
from tq_worker.lifecycle_log import LifecycleLog
from tq_worker.verdict import Verdict
from tq_worker.worker.run import Run
from tq_worker.worker.task_log import TaskLog

_COMPLETED, _STALE, _RAN_S, _RAN = counted.COMPLETED, counted.STALE, counted.RAN_S, counted.RAN
_WAITED_S, _WAITED = counted.WAITED_S, counted.WAITED
_ASKED = ("cancelled", "killed")
_RAN_BOUNDS, _WAITED_BOUNDS = DURATION.bounds, WAIT.bounds


class CountingTaskLog(TaskLog):
    """A lifecycle log that counts what it is told."""

    def __init__(self, log: LifecycleLog, worker_id: str) -> None:
        super().__init__(log, worker_id)
        self._rows: dict[Series, Row] = {}
        self._sent: dict[Series, Row] = {}
        self._taking = threading.Lock()

    # --- what is counted ---

    def started(self, run: Run) -> None:
        task, header = run.task, run.task.header
        trail = task.trail
        if header is not None and not (trail.failures or trail.crashes or trail.lost):
            row = self._rows.get((task.queue, header.task_type)) or self._row(run)
            # By the server's clock up to the claim, by ours since.
            waited_s = (task.claimed_at_ms - header.created_at_ms) / 1000 + run.started - run.claimed_at
            if waited_s > 0:
                row[_WAITED_S] += waited_s
            row[_WAITED + bisect_left(_WAITED_BOUNDS, waited_s)] += 1
        if self._log.shows_info:
            super().started(run)

    def completed(self, run: Run, word: str) -> None:
        task, header, ran_s = run.task, run.task.header, run.ran_s
        row = self._rows.get((task.queue, header.task_type if header else OTHER)) or self._row(run)
        row[_COMPLETED if word == "K" else _STALE] += 1
        row[_RAN_S] += ran_s
        row[_RAN + bisect_left(_RAN_BOUNDS, ran_s)] += 1
        if word != "K" or self._log.shows_info:
            super().completed(run, word)

    def failed(self, run: Run, verdict: Verdict) -> None:
        self._row(run)[counted.FAILED] += 1
        self._measure(run)
        super().failed(run, verdict)

    def crashed(self, run: Run, detail: dict[str, object]) -> None:
        self._row(run)[counted.CRASHED] += 1
        self._measure(run)
        super().crashed(run, detail)

    def decided(self, run: Run, outcome: Outcome, reason: str) -> None:
        match outcome.word:
            case "retrying":
                self._row(run)[counted.RETRIED] += 1
            case "failed":
                self._row(run)[counted.DEAD_LETTERED] += 1
            case "cancelled":
                self._row(run)[counted.CANCELLED] += 1
                if reason in _ASKED:  # else it is one that failed or crashed as well, and was measured there
                    self._measure(run)
            case "stale" | "gone":
                self._row(run)[counted.STALE] += 1
        super().decided(run, outcome, reason)

    def released(self, run: Run, word: str, why: str) -> None:
        if word == "failed":
            self._row(run)[counted.DEAD_LETTERED] += 1
        super().released(run, word, why)

    def lost(self, run: Run, why: str) -> None:
        self._row(run)[counted.LOST] += 1
        super().lost(run, why)

    def refused(self, run: Run, why: str) -> None:
        self._row(run)[counted.LOST] += 1
        super().refused(run, why)

    def _measure(self, run: Run) -> None:
        if run.started:
            # One that has to be ended by force is still at work.
            ran_s = run.ran_s or time.monotonic() - run.started
            row = self._row(run)
            row[counted.RAN_S] += ran_s
            row[counted.RAN + bisect_left(_RAN_BOUNDS, ran_s)] += 1

    def _row(self, run: Run) -> Row:
        task = run.task
        header = task.header
        key = (task.queue, header.task_type if header is not None else OTHER)
        row = self._rows.get(key)
        return row if row is not None else self._new_row(key)

    def _new_row(self, key: Series) -> Row:
        if len(self._rows) >= MAX_LABELLED:
            key = (OTHER, OTHER)
        return self._rows.setdefault(key, new_row())

    # --- what the supervisor is told ---

    def news(self) -> frames.Counted | None:
        """The rows that have changed since the last call; safe from any thread."""
        with self._taking:
            changed = []
            for key, row in list(self._rows.items()):
                copy = row.copy()
                if copy != self._sent.get(key):
                    self._sent[key] = copy
                    changed.append((*key, copy))
        return frames.Counted(rows=changed) if changed else None
