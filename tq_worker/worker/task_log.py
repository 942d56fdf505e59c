"""The words of the lifecycle log for tasks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tq_core.roles.consumer import Outcome
from tq_core.tasks.context import TaskContext
from tq_worker.lifecycle_log import Labels, LifecycleLog
from tq_worker.verdict import Verdict
from tq_worker.worker.run import Run


class TaskLog:
    """Writes what happens to the tasks of one worker."""

    def __init__(self, log: LifecycleLog, worker_id: str) -> None:
        self._log, self._worker_id = log, worker_id

    def assigned(self, run: Run) -> None:
        if self._log.shows_info:
            self._write("info", "ASSIGNED", run)

    def started(self, run: Run) -> None:
        if self._log.shows_info:
            self._write("info", "STARTED", run)

    def completed(self, run: Run, word: str) -> None:
        """Writes COMPLETED when the broker has recorded it, and a warning when it refused to."""
        if word == "K":
            if self._log.shows_info:
                self._write("info", "COMPLETED", run, duration_ms=run.duration_ms)
            return
        why = "another claim holds or ended it" if word == "S" else "the task is gone"
        self._write("warning", "STALE", run, text=f"the result was not taken: {why}", duration_ms=run.duration_ms)

    def failed(self, run: Run, verdict: Verdict) -> None:
        detail = verdict.detail
        text = f"{detail.get('type', verdict.reason)}: {detail.get('message', '')}"
        self._write("error", "ERROR", run, text=text, reason=verdict.reason, duration_ms=run.duration_ms)

    def crashed(self, run: Run, detail: dict[str, Any]) -> None:
        text = detail.get("message", "its process died")
        self._write("error", "ERROR", run, text=text, reason="crash", duration_ms=run.duration_ms)

    def decided(self, run: Run, outcome: Outcome, reason: str) -> None:
        """Writes what the broker made of a run without a result."""
        if outcome.word in ("retrying", "pending"):
            if self._log.shows_info:
                self._write("info", "REQUEUED", run, reason=reason, due_at_ms=outcome.due_at_ms)
        elif outcome.word == "failed":
            self._write("error", "DLQ", run, reason=reason)
        elif outcome.word == "cancelled":
            if self._log.shows_info:
                self._write("info", "CANCELLED", run, reason=reason, duration_ms=run.duration_ms)
        else:
            self._write("warning", "STALE", run, text="its end was not taken: another claim holds or ended it")

    def released(self, run: Run, word: str, why: str) -> None:
        if word == "failed":
            self._write("error", "DLQ", run, reason="unknown_type")
        elif self._log.shows_info:
            self._write("info", "REQUEUED", run, reason="released", text=why)

    def lost(self, run: Run, why: str) -> None:
        self._write("warning", "LOST", run, text=f"its lease is lost and its result will not count: {why}")

    def refused(self, run: Run, why: str) -> None:
        self._write("error", "LOST", run, text=f"the broker cannot take its end, its lease will run out: {why}")

    def said(self, run: Run, text: str) -> None:
        """A line of the handler itself."""
        if self._log.shows_info:
            self._write("info", "LOG", run, text=text)

    def labels_of(self, run: Run) -> Labels:
        """What every line says of a task."""
        labels = run.labels
        if labels is None:
            task = run.task
            labels = run.labels = Labels(
                type=run.type_name,
                task_id=task.id,
                queue=task.queue,
                attempt=task.attempt,
                worker_id=self._worker_id,
                trace_id=run.trace_id,
            )
        return labels

    def labels_in(self, context: TaskContext, runs: Mapping[str, Run]) -> Labels:
        """What every line says of the task that some code runs in; it may have ended, and its code go on."""
        run = runs.get(context.task_id)
        if run is not None:
            return self.labels_of(run)
        return Labels(
            type=context.task_type,
            task_id=context.task_id,
            queue=context.queue,
            attempt=context.attempt,
            worker_id=context.worker_id,
            trace_id=context.trace_id,
        )

    def _write(self, level: str, event: str, run: Run, **more: Any) -> None:
        self._log.write(level, event, self.labels_of(run), **more)
