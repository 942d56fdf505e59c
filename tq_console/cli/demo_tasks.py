"""The tasks of the demo: one of every kind, each with the end that it must come to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tq_core.model import NewTask, TaskOptions, TaskState, TaskView
from tq_core.roles import producer

QUEUE = "default"
SECOND_QUEUE = "reports"
DELAY_S = 2.0
LONG_S = 300.0
"""How long a task would run that is cancelled or killed: far longer than the demo."""

Views = Mapping[str, TaskView]
"""What became of the tasks, by label."""


@dataclass(frozen=True, kw_only=True)
class DemoTask:
    """One task and what must become of it."""

    label: str
    task_type: str
    args: dict[str, Any] = field(default_factory=dict)
    queue: str = QUEUE
    priority: str = "normal"
    delay_s: float = 0
    max_attempts: int = 4
    act: str = ""
    """What is done to it: `cancel` at once, or `cancel running` and `kill running` when it runs."""
    state: TaskState = TaskState.COMPLETED
    reasons: tuple[str, ...] = ()
    """Why it must have ended badly; any of them."""
    attempt: int | None = None
    """The attempt at which it must have ended; None = any."""
    intended: str = ""
    """The end in words, where state and reason do not say it all."""
    also: Callable[[Views], bool] | None = None
    """What else must be true."""

    def new_task(self, actor: str) -> NewTask:
        """The task, ready to be enqueued."""
        return producer.new_task(
            self.task_type,
            self.args,
            priority=self.priority,
            delay_s=self.delay_s,
            max_attempts=self.max_attempts,
            options=TaskOptions(submitted_by=actor),
        )

    @property
    def intent(self) -> str:
        """The intended end in words."""
        reason = f" ({' or '.join(self.reasons)})" if self.reasons else ""
        return self.intended or f"{self.state}{reason}"

    def is_as_intended(self, views: Views) -> bool:
        """Whether it came to its end."""
        view = views.get(self.label)
        if view is None or view.state is not self.state:
            return False
        if self.reasons and (view.error or {}).get("reason") not in self.reasons:
            return False
        if self.attempt is not None and view.attempt != self.attempt:
            return False
        return self.also is None or self.also(views)


def _started_after_delay(views: Views) -> bool:
    view = views["delayed"]
    return view.started_at_ms is not None and view.started_at_ms >= view.created_at_ms + DELAY_S * 1000


def _critical_was_first(views: Views) -> bool:
    first, last = views["critical"].started_at_ms, views["low"].started_at_ms
    return first is not None and last is not None and first <= last


TASKS = (
    DemoTask(label="low", task_type="simple", args={"data": "low"}, priority="low"),
    DemoTask(label="text", task_type="simple", args={"data": "hello"}),
    DemoTask(label="calculate", task_type="calculate", args={"data": [1, 2, [3, {"more": 4}]]}, queue=SECOND_QUEUE),
    DemoTask(label="math", task_type="math", args={"operation": "power", "a": 2, "b": 10}, queue=SECOND_QUEUE),
    DemoTask(label="matrix", task_type="matrix_multiply", args={"size": 60}, queue=SECOND_QUEUE),
    DemoTask(label="process", task_type="process", args={"data": {"kind": "invoice"}}, queue=SECOND_QUEUE),
    DemoTask(label="echo", task_type="echo", args={"word": "hi", "password": "hunter2"}),
    DemoTask(label="sleep", task_type="sleep", args={"seconds": 0.5}),
    DemoTask(label="progress", task_type="progress", args={"steps": 4, "seconds": 1}),
    DemoTask(
        label="flaky", task_type="flaky", args={"fails": 1}, attempt=2, intended="retried, completed at attempt 2"
    ),
    DemoTask(
        label="fails",
        task_type="fail",
        args={"message": "on purpose"},
        max_attempts=2,
        state=TaskState.FAILED,
        reasons=("error",),
        attempt=2,
        intended="failed after 2 attempts",
    ),
    DemoTask(
        label="fatal",
        task_type="fail",
        args={"message": "never again", "fatal": True},
        state=TaskState.FAILED,
        reasons=("fatal",),
        attempt=1,
        intended="failed at once (fatal)",
    ),
    DemoTask(
        label="wrong args",
        task_type="math",
        args={"operation": "modulo"},
        state=TaskState.FAILED,
        reasons=("bad_arguments",),
    ),
    DemoTask(label="unknown", task_type="no_such_type", state=TaskState.FAILED, reasons=("unknown_type",)),
    DemoTask(
        label="delayed",
        task_type="simple",
        args={"data": "later"},
        delay_s=DELAY_S,
        intended=f"completed, not before {DELAY_S:g} s",
        also=_started_after_delay,
    ),
    DemoTask(
        label="critical",
        task_type="simple",
        args={"data": "critical"},
        priority="critical",
        intended="completed, before `low`",
        also=_critical_was_first,
    ),
    DemoTask(label="unwanted", task_type="simple", delay_s=LONG_S, act="cancel", state=TaskState.CANCELLED),
    DemoTask(
        label="stopped",
        task_type="sleep",
        args={"seconds": LONG_S},
        act="cancel running",
        state=TaskState.CANCELLED,
        intended="cancelled while it ran",
    ),
    DemoTask(
        label="killed",
        task_type="burn",
        args={"seconds": LONG_S},
        act="kill running",
        state=TaskState.CANCELLED,
        intended="killed while it ran",
    ),
    DemoTask(label="crash", task_type="crash", priority="low", state=TaskState.FAILED, reasons=("poison",)),
)
"""In the order in which they are enqueued, before any worker runs: `low` first, so that priority is seen to count."""
