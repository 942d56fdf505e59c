"""Every error that tq raises on purpose: one tree, each with a stable code.

A message says what, which and what to do. Expected answers (a duplicate id, a stale
acknowledgement) are values, not errors; what is here is a surprise or a refusal.
"""

from __future__ import annotations


class TqError(Exception):
    """Base of all errors of tq; `code` is stable and may be matched on."""

    code = "tq_error"

    def __str__(self) -> str:
        return f"{self.code}: {super().__str__()}"

    @property
    def message(self) -> str:
        """The text without the code."""
        return super().__str__()


# --- what the caller asked for cannot be done as asked: nothing was written ---


class InvalidInputError(TqError):
    """A value was refused before anything was written."""

    code = "invalid_input"


class InvalidQueryError(InvalidInputError):
    """A query over tasks cannot be read; `position` is the character, counted from 0, from which on it cannot."""

    code = "invalid_query"

    def __init__(self, message: str, position: int = 0) -> None:
        super().__init__(message)
        self.position = position


class InvalidArgumentsError(InvalidInputError):
    """A task's arguments do not fit its type's schema; `problems` maps a field to what is wrong."""

    code = "invalid_arguments"

    def __init__(self, message: str, problems: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.problems = problems or {}


class PayloadTooLargeError(InvalidInputError):
    """The encoded arguments exceed the limit."""

    code = "payload_too_large"


class PayloadRefusedError(InvalidInputError):
    """Arguments or a result that are sealed are not opened here: no key, changed on the way, or not sealed at all."""

    code = "payload_refused"


class UnknownTaskTypeError(InvalidInputError):
    """No such type is published; `nearest` names what was probably meant."""

    code = "unknown_task_type"

    def __init__(self, message: str, nearest: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.nearest = nearest


class RefusedError(TqError):
    """The broker or a rule of the queue said no; nothing was written."""

    code = "refused"


class QueueFullError(RefusedError):
    """The queue holds as many unfinished tasks as it may."""

    code = "queue_full"

    def __init__(self, message: str, *, queue: str, depth: int, max_size: int, waited_s: float = 0.0) -> None:
        super().__init__(message)
        self.queue, self.depth, self.max_size, self.waited_s = queue, depth, max_size, waited_s


class DuplicateTaskError(RefusedError):
    """A task with this id, or a live one with this unique key, exists; `holder_id` is it."""

    code = "duplicate_task"

    def __init__(self, message: str, *, holder_id: str) -> None:
        super().__init__(message)
        self.holder_id = holder_id


class UnknownParentError(RefusedError):
    """A task was to wait for one that is not there; `parent_id` is it."""

    code = "unknown_parent"

    def __init__(self, message: str, *, parent_id: str) -> None:
        super().__init__(message)
        self.parent_id = parent_id


class SchemaTooNewError(RefusedError):
    """The keyspace was written by a newer tq than this one."""

    code = "schema_too_new"

    @classmethod
    def of(cls, queue: str, version: int, known: int) -> SchemaTooNewError:
        """The error that says which queue it is, and what to do."""
        return cls(
            f"the queue {queue!r} was written by a newer tq (schema {version}, this one knows {known}): "
            "upgrade this program"
        )


class NotFoundError(TqError):
    """No such task, queue, worker or node."""

    code = "not_found"


class WaitTimeoutError(TqError):
    """What was waited for had not happened by the deadline; it may still happen."""

    code = "wait_timeout"


# --- how a task ended, raised to whoever waits for its result ---


class TaskFailedError(TqError):
    """The task is in the DLQ; `reason` says why, `error` holds type, message and traceback."""

    code = "task_failed"

    def __init__(self, message: str, *, reason: str, error: dict[str, object] | None = None) -> None:
        super().__init__(message)
        self.reason, self.error = reason, error or {}


class TaskCancelledError(TqError):
    """The task was cancelled, killed or expired."""

    code = "task_cancelled"

    def __init__(self, message: str, *, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


class TaskExpiredError(TaskCancelledError):
    """The task's time was over before a worker took it."""

    code = "task_expired"


# --- the broker ---


class BrokerError(TqError):
    """Base of everything that is wrong between us and Redis."""

    code = "broker_error"


class BrokerUnreachableError(BrokerError):
    """No connection could be made, or it broke and did not come back in time."""

    code = "broker_unreachable"


class BrokerRefusedError(BrokerError):
    """The server is there and does not let us in or lets us write: password, ACL, read-only, out of memory, disk."""

    code = "broker_refused"


class BrokerTooOldError(BrokerError):
    """The server is older than the oldest Redis that tq runs on."""

    code = "broker_too_old"


class BrokerConfigError(BrokerError):
    """The broker's address or the embedded broker's folder cannot be used as it is."""

    code = "broker_config"


# --- inside handlers ---


class FatalError(TqError):
    """Raised by a handler: this task can never succeed, do not retry it."""

    code = "fatal"


class HardTimeoutError(TqError):
    """An attempt exceeded its timeout; made by whoever runs the task, never by a handler."""

    code = "timeout"


class MemoryLimitError(TqError):
    """An attempt used more memory than its type may; made by whoever runs the task, never by a handler."""

    code = "memory_limit"

    def __init__(self, message: str, *, limit_mb: int = 0, used_mb: int = 0) -> None:
        super().__init__(message)
        self.limit_mb, self.used_mb = limit_mb, used_mb


class InvalidResultError(InvalidInputError):
    """A handler returned what cannot be stored as its result; the task did run."""

    code = "invalid_result"


class SoftTimeoutError(TqError):
    """Raised inside a handler when its time is nearly up."""

    code = "soft_timeout"


class TaskInterruptedError(BaseException):
    """Raised inside a handler's thread to end it; a BaseException, so that `except Exception` lets it pass."""
