"""One claimed task in this process, from the claim to the moment its end is recorded."""

from __future__ import annotations

import enum
import time
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    import asyncio

    from tq_core.roles.consumer import ClaimedTask
    from tq_core.tasks.context import TaskContext
    from tq_core.tasks.task import TaskDefinition
    from tq_worker.lifecycle_log import Labels
    from tq_worker.worker.run_span import RunSpan


class Stage(enum.IntEnum):
    """How far a run is."""

    WAITING = 0
    """Claimed; its handler has not started."""
    RUNNING = 1
    ENDED = 2
    """What became of it is on its way to the broker."""
    GONE = 3
    """Recorded, released or lost: nothing more is said about it."""


class Ending(NamedTuple):
    """Why a run is being stopped before its handler ended by itself."""

    kind: str
    """cancel or kill (somebody asked), timeout, lost (another claim has it), release (this process is leaving)."""
    why: str


class Execution(Protocol):
    """A handler at work, however it is run."""

    def cancel(self, why: str) -> None:
        """Asks it to stop, as its kind allows; it may take its time to clean up."""

    def interrupt(self, why: str) -> None:
        """Makes it stop, as its kind allows."""

    @property
    def is_alone(self) -> bool:
        """Whether it has a process of its own."""


class Outcome(NamedTuple):
    """How a handler ended: the result as JSON, an exception, or the death of its own process."""

    result: bytes | None = None
    error: BaseException | None = None
    failure: dict[str, Any] | None = None
    """From a process of its own: verdict, reason, detail and delay_ms as judged there."""
    crash: dict[str, Any] | None = None
    """Its own process died: exit_code or signal."""


class Run:
    """One claimed task; changed by the event loop only, read by the lease keeper and the watchdog."""

    __slots__ = (
        "answer",
        "claimed_at",
        "context",
        "deadline",
        "definition",
        "duration_ms",
        "ending",
        "execution",
        "hard_deadline",
        "kill_asked",
        "labels",
        "ladder",
        "place",
        "progress",
        "ran_s",
        "span",
        "stage",
        "started",
        "started_at_ms",
        "steps",
        "task",
        "timer",
    )

    def __init__(self, task: ClaimedTask, deadline: float) -> None:
        self.task = task
        self.deadline = deadline
        """End of the lease by this process' monotonic clock; moved by the lease keeper."""
        self.claimed_at = time.monotonic()
        self.stage = Stage.WAITING
        self.definition: TaskDefinition | None = None
        self.context: TaskContext | None = None
        self.execution: Execution | None = None
        self.ending: Ending | None = None
        self.place: int | None = None
        """On the slot board."""
        self.started = 0.0
        self.started_at_ms = 0
        self.duration_ms = 0
        self.ran_s = 0.0
        """The same, not rounded."""
        self.hard_deadline: float | None = None
        self.kill_asked: float | None = None
        """When somebody asked to kill it; written by whichever thread hears of it first."""
        self.progress: tuple[float, str] | None = None
        self.timer: asyncio.TimerHandle | None = None
        self.ladder: asyncio.TimerHandle | None = None
        self.steps: list[tuple[str, int]] | None = None
        """What was done to stop it, with the milliseconds since its start."""
        self.labels: Labels | None = None
        """What every line of the log says of it."""
        self.span: RunSpan | None = None
        """Where traces are recorded."""
        self.answer: list[Any] = []
        """Who is to be told when it has ended."""

    def note_step(self, what: str, at: float | None = None) -> None:
        """Remembers what is done to stop it, now or at a time of the monotonic clock."""
        if self.steps is None:
            self.steps = []
        since = (time.monotonic() if at is None else at) - self.started
        self.steps.append((what, int(since * 1000)))

    @property
    def trace_id(self) -> str | None:
        """The trace that it is part of, also where none is recorded here."""
        if self.span is not None:
            return self.span.trace.trace_id
        return self.task.header.options.trace_id if self.task.header else None

    @property
    def type_name(self) -> str:
        return self.task.header.task_type if self.task.header else "?"
