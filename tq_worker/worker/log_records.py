"""What handlers say through Python's own `logging`, as lines of the lifecycle log: with their task, in its format.

Only where the users' code has not set up logging itself: then it has its reasons, and is left alone. Nothing is done
for a task that logs nothing.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable
from typing import Any

from tq_core.tasks.context import TaskContext, current_context
from tq_worker.lifecycle_log import LEVELS, Labels, LifecycleLog

MAX_TRACE_CHARS = 590
"""The end of a traceback says most; a longer value of a line would lose it."""
PLAIN = "%(levelname)s %(name)s: %(message)s"
_KNOWN = frozenset((*logging.makeLogRecord({}).__dict__, "message", "asctime", "taskName"))
# They write addresses with their query at `info`, and tokens stand there.
_TALKATIVE = ("httpx", "httpcore")


class RecordHandler(logging.Handler):
    """Hands records on to the lifecycle log."""

    def __init__(self, log: LifecycleLog, labels_of: Callable[[TaskContext], Labels]) -> None:
        super().__init__()
        self._log, self._labels_of = log, labels_of

    def emit(self, record: logging.LogRecord) -> None:
        try:
            text = record.getMessage()
        except Exception:  # noqa: BLE001 - users' code: a value that cannot be shown, or a text that does not fit it
            text = _text_of(record.msg)
        fields: dict[str, Any] = {"text": text, "logger": record.name}
        more = {str(name): _plain(value) for name, value in record.__dict__.items() if name not in _KNOWN}
        if more:
            fields["extra"] = more
        if record.exc_info and record.exc_info[1] is not None:
            trace = "".join(traceback.format_exception(record.exc_info[1])).rstrip()
            fields["traceback"] = trace if len(trace) <= MAX_TRACE_CHARS else "…" + trace[-MAX_TRACE_CHARS:]
        context = current_context()
        labels = (self._labels_of(context),) if context is not None else ()
        self._log.write(_level(record.levelno), "LOG", *labels, **fields)


def install(log: LifecycleLog, level: str, labels_of: Callable[[TaskContext], Labels]) -> None:
    """Has records written as lines from now on, if nobody else takes them."""
    root = logging.getLogger()
    if root.handlers:
        return
    root.addHandler(RecordHandler(log, labels_of))
    follow(level)
    _quieten()


def install_plain() -> None:
    """Has records printed, in a process whose output goes into the log of its task."""
    if not logging.getLogger().handlers:
        logging.basicConfig(level=logging.INFO, format=PLAIN)
        _quieten()


def follow(level: str) -> None:
    """Has records made from this level on; one of LEVELS."""
    root = logging.getLogger()
    if any(isinstance(handler, RecordHandler) for handler in root.handlers):
        root.setLevel(LEVELS[level])


def _quieten() -> None:
    for name in _TALKATIVE:
        logger = logging.getLogger(name)
        if logger.level == logging.NOTSET:
            logger.setLevel(logging.WARNING)


def _level(number: int) -> str:
    return (
        "error"
        if number >= logging.ERROR
        else "warning"
        if number >= logging.WARNING
        else "info"
        if number >= logging.INFO
        else "debug"
    )


def _plain(value: object) -> object:
    """The value itself where it is plain; those of numpy, which no encoder of JSON knows, as what they derive from."""
    if value is None or isinstance(value, bool):
        return value
    for kind in (int, float, str):
        if isinstance(value, kind):
            return value if type(value) is kind else _CONVERT[kind](value)
    return _text_of(value, repr)


_CONVERT: dict[type, Callable[[Any], object]] = {int: int.__int__, float: float.__float__, str: str.__str__}


def _text_of(value: object, show: Callable[[object], str] = str) -> str:
    try:
        return show(value)
    except Exception:  # noqa: BLE001 - users' code
        return f"<{type(value).__name__}>"
