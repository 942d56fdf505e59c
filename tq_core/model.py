"""What a task is: its states, priorities, retry policy, and the view that every reader gets."""

from __future__ import annotations

import enum
import random
import re
from typing import Any

import msgspec

from tq_core.errors import InvalidInputError


class TaskState(enum.StrEnum):
    """The eight states; a task is in exactly one, and each is one sorted set of its queue."""

    BLOCKED = "blocked"
    SCHEDULED = "scheduled"
    PENDING = "pending"
    RUNNING = "running"
    RETRYING = "retrying"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_terminal(self) -> bool:
        return self in TERMINAL_STATES


TERMINAL_STATES = frozenset({TaskState.COMPLETED, TaskState.FAILED, TaskState.CANCELLED})
WAITING_STATES = frozenset({TaskState.BLOCKED, TaskState.SCHEDULED, TaskState.PENDING, TaskState.RETRYING})

PRIORITIES = {"critical": 0, "high": 50, "normal": 100, "low": 200}
DEFAULT_PRIORITY = PRIORITIES["normal"]
MAX_PRIORITY = 255


def parse_priority(value: str | int) -> int:
    """A priority from its name or number; 0 is served first.

    Raises:
        InvalidInputError: it is neither a known name nor an integer from 0 to MAX_PRIORITY.
    """
    number = PRIORITIES.get(value) if isinstance(value, str) else value
    if number is None and isinstance(value, str) and re.fullmatch("0*[0-9]{1,3}", value):
        number = int(value[-3:])
    if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number <= MAX_PRIORITY:
        raise InvalidInputError(
            f"priority {value!r}: use {', '.join(PRIORITIES)} or an integer from 0 (first) to {MAX_PRIORITY}"
        )
    return number


def priority_label(priority: int) -> str:
    """The name of a priority that has one, else its number."""
    return next((name for name, number in PRIORITIES.items() if number == priority), str(priority))


class RetryPolicy(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How often a failing task is tried, and how long it waits in between.

    The wait after attempt n is initial_delay_s * multiplier**(n - 1), at most max_delay_s, drawn from its upper half.
    """

    max_attempts: int = 4
    """Attempts in all, the first included; 1 = never retried."""
    initial_delay_s: float = 5.0
    multiplier: float = 2.0
    max_delay_s: float = 3600.0

    def __post_init__(self) -> None:
        if not 1 <= self.max_attempts <= 1000:
            raise InvalidInputError(f"max_attempts {self.max_attempts}: must be from 1 to 1000")
        if not (0 <= self.initial_delay_s <= 31_536_000 and 0 <= self.max_delay_s <= 31_536_000):
            raise InvalidInputError("retry delays must be from 0 seconds to one year")
        if not 1 <= self.multiplier <= 1000:
            raise InvalidInputError(f"multiplier {self.multiplier}: must be from 1 to 1000")

    def delay_ms(self, attempt: int, sample: float | None = None) -> int:
        """The wait before the next attempt: exponential, capped, drawn from [d/2, d].

        Args:
            attempt: The attempt that has just failed, counted from 1.
            sample: Uniform in [0, 1); drawn here when None.

        Source: "equal jitter", AWS Architecture Blog, Exponential Backoff And Jitter, 2015.
        """
        # The exponent is capped because a float overflows long before a thousand attempts are made.
        full_s = min(self.max_delay_s, self.initial_delay_s * self.multiplier ** min(attempt - 1, 60))
        share = random.random() if sample is None else sample
        return round(full_s * 1000 * (0.5 + share / 2))


PARENT_POLICIES = ("fail", "skip", "run")
"""When a parent does not complete, its child ends as failed, ends as cancelled, or runs all the same."""


UNIQUE_UNTIL = ("finished", "started")
"""When a task frees its unique key: as it ends, or as a worker takes it."""


class TaskOptions(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a task carries besides its arguments; absent values are the type's or the queue's."""

    timeout_s: float | None = None
    """Hard limit of one attempt."""
    soft_timeout_s: float | None = None
    """When SoftTimeoutError is raised inside the handler."""
    memory_limit_mb: int | None = None
    """Runs in a process of its own, which is ended and fails the attempt when it uses more MiB."""
    retry: RetryPolicy | None = None
    """Overrides the delays of the type's policy."""
    linked_to: str | None = None
    """The task that this one was made from (edit and resubmit, move)."""
    depends_on: tuple[str, ...] = ()
    """The tasks, its parents, that must have ended before it runs."""
    on_parent_failure: str | None = None
    """What it does when a parent does not complete: one of PARENT_POLICIES; None = fail."""
    expires_in_s: float | None = None
    """No attempt starts so long after it was enqueued, or later."""
    unique_until: str | None = None
    """When its unique key is freed: started = as a worker takes it; None = as it ends, or after unique_for_s."""
    unique_for_s: float | None = None
    """Its unique key is held for so long from the enqueue, whatever becomes of it."""
    debounce_s: float | None = None
    """While it waits it does what the last one of its unique key asked for, and is due so long after that one."""
    debounce_max_s: float | None = None
    """It is due so long after the first one at the latest."""
    limit_key: str | None = None
    """Whose limits it counts to, for example a tenant; see `tq queues limit`."""
    submitted_by: str | None = None
    asked_priority: int | str | None = None
    """As its priority was written where that is not how it would be shown; a client of the gateway gets it back so."""
    traceparent: str | None = None
    """W3C trace context of the producer, as is tracestate."""
    tracestate: str | None = None
    ready_at_ms: int | None = None
    """Of a task with a trace that is delayed: about when it is due, so that the delay is not shown as a wait."""

    @property
    def trace_id(self) -> str | None:
        """The trace that it is part of: 32 hexadecimal digits."""
        if self.traceparent is None:
            return None
        parts = self.traceparent.split("-")
        return parts[1] if len(parts) >= 4 else None


class NewTask(msgspec.Struct, frozen=True, kw_only=True):
    """A task as its producer asks for it; made by `tq_core.roles.producer.new_task`, which refuses bad values."""

    task_type: str
    payload: bytes
    """The arguments as a JSON object."""
    priority: int = DEFAULT_PRIORITY
    delay_ms: int = 0
    at_ms: int | None = None
    """Not before this time of the server; beats delay_ms."""
    max_attempts: int = 4
    chosen_name: str | None = None
    made_id: str | None = None
    """An id that was made before, with the queue's number; None = made when it is enqueued."""
    unique_key: str | None = None
    options: TaskOptions = TaskOptions()


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One run that did not end well, or a person's intervention, as kept in a task's history."""

    at_ms: int
    outcome: str
    """retry, failed, crashed, lost, unknown_type, cancelled, requeued."""
    attempt: int
    worker_id: str | None = None
    claimed_at_ms: int | None = None
    duration_ms: int = 0
    detail: dict[str, Any] = {}
    """Error type, message, traceback, code version, host; or who requeued it."""


class Gate(msgspec.Struct, frozen=True, kw_only=True):
    """What a limit or a breaker holds a task back with, all of one instant."""

    limit_key: str | None
    task_type: str | None
    """The type whose breaker it is; where there is neither key nor type, it is the limit of the whole queue."""
    before: int
    """How many of its line come first."""
    waiting: int
    """How many are in its line."""
    running_max: int | None
    rate: str
    """starts/period_ms/burst, or empty."""
    look_again_at_ms: int | None
    running: int
    holders: tuple[tuple[str, str], ...]
    """(id, worker) of the first of those that run."""
    breaker: str
    """open, half or empty."""
    breaker_since_ms: int | None
    breaker_until_ms: int | None
    breaker_why: str
    bucket_full_at_ms: int | None
    """When its rate has its whole burst again."""


class Progress(msgspec.Struct, frozen=True):
    """How far a handler said that it is."""

    at_ms: int
    fraction: float
    """From 0 to 1."""
    text: str


class TaskView(msgspec.Struct, frozen=True, kw_only=True):
    """A task as readers see it, put together from its queue's structures in one script call."""

    id: str
    type: str
    queue: str
    state: TaskState
    priority: int
    attempt: int
    """Attempts begun that count: 0 before the first, n while the n-th runs and after it ended."""
    max_attempts: int
    args: dict[str, Any] | None = None
    """None where the payload was not asked for, was cut, or is no JSON object (then see payload_text)."""
    payload_text: str = ""
    payload_bytes: int = 0
    result: Any = None
    result_note: str = ""
    """Why the result cannot be read here: it is sealed with a key that this process does not have, or was changed."""
    result_refusal: str = ""
    """Why a program with keys must not work with the result, though it may be shown: it is not sealed as they ask."""
    error: dict[str, Any] | None = None
    """For failed and cancelled tasks: `reason`, and `type`, `message`, `traceback` or `by`, `why`."""
    worker_id: str | None = None
    created_at_ms: int = 0
    started_at_ms: int | None = None
    """When the worker took it (running) or began its last run (ended)."""
    finished_at_ms: int | None = None
    due_at_ms: int | None = None
    """scheduled and retrying: when it becomes pending."""
    expires_at_ms: int | None = None
    """While it has not ended: no attempt starts at this time or later; None where it never expires."""
    lease_end_ms: int | None = None
    """running: when the lease ends unless it is renewed."""
    duration_ms: int | None = None
    failures: int = 0
    crashes: int = 0
    """Times its process died with it."""
    lost: int = 0
    """Times its lease ran out because its node vanished."""
    runs_alone: bool = False
    unique_key: str | None = None
    options: TaskOptions = TaskOptions()
    history: tuple[Attempt, ...] = ()
    cancel_asked: dict[str, Any] | None = None
    position: int | None = None
    """pending: how many are served before it."""
    blocked_by: tuple[str, ...] = ()
    """blocked: the tasks that it still waits for."""
    progress: Progress | None = None
    """The last that a handler said, of this attempt or an earlier one."""
    gate: Gate | None = None
    """pending and blocked: the limit or the breaker that it waits for."""
