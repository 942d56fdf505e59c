"""What is kept of an exception that ended an attempt: enough to find the fault, and to group what fails alike.

Nothing here may raise: an exception whose own `__str__` is broken must still be recorded.
"""

from __future__ import annotations

import functools
import hashlib
import re
import socket
import sysconfig
import traceback
from types import FrameType, TracebackType
from typing import Any

from tq_core.errors import TqError
from tq_core.keyspace import wire
from tq_worker.code_version import code_version

MAX_MESSAGE_CHARS = 2_000
MAX_TRACEBACK_CHARS = 8_000
MAX_FRAMES = 60
FINGERPRINT_CHARS = 12

_RUNNERS = ("tq_core", "tq_worker", "asyncio", "concurrent", "threading")
"""Packages whose frames stand above a handler's: what called it, not what is wrong with it."""
_OURS_TO_SHOW = "tq_worker.samples"
_LIBRARY_FOLDERS = tuple({sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")})

_VARIABLE = re.compile(
    r"""
      [0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}   # a UUID
    | 0x[0-9a-fA-F]+                                         # an address
    | \b(?=[0-9a-z]*[0-9])[0-9a-z]{20,}\b                    # an id or digest
    | '[^']*' | "[^"]*"                                      # what is quoted is data
    | [0-9]+(?:\.[0-9]+)*
    """,
    re.VERBOSE,
)


def error_detail(error: BaseException, *, module: str = "", handler: str = "") -> dict[str, Any]:
    """Describes an exception for a task's history.

    Args:
        module: The handler's module; its package counts as the users' code wherever it is installed.
        handler: The handler's name, which stands for the place of an error that has none in the users' code.

    Returns:
        type, message, traceback (both cut), host, code_version and fingerprint.
    """
    return {
        "type": type_name(error),
        "message": wire.cut(message_of(error), MAX_MESSAGE_CHARS),
        "traceback": wire.cut(_traceback_text(error), MAX_TRACEBACK_CHARS),
        "fingerprint": fingerprint(error, module=module, handler=handler),
        "host": _host(),
        "code_version": code_version(module),
    }


def type_name(error: BaseException) -> str:
    """The exception's class, with its module where that is not Python's own."""
    kind = type(error)
    name = kind.__qualname__
    return _printable(name if kind.__module__ == "builtins" else f"{kind.__module__}.{name}")


def message_of(error: BaseException) -> str:
    """The exception's text, or what is wrong with it."""
    try:
        return _printable(error.message if isinstance(error, TqError) else str(error))
    except Exception as broken:  # noqa: BLE001 - users' code, and the failure must be recorded
        return f"(its text cannot be had: {type(broken).__name__})"


def fingerprint(error: BaseException, *, module: str = "", handler: str = "") -> str:
    """Stands for all failures of one kind.

    Of one kind: the same type, raised under the same function, with the same message but for numbers, ids and quoted
    values; of timeouts and the like, which are raised under none of the users' functions, those of one handler. Line
    numbers are left out, so that it survives an edit elsewhere in the file.
    """
    frame = _innermost_user_frame(error.__traceback__, module.partition(".")[0])
    place = f"{frame.f_globals.get('__name__', '?')}:{frame.f_code.co_qualname}" if frame else f"{module}:{handler}"
    text = " ".join(_VARIABLE.sub("#", message_of(error)[:MAX_MESSAGE_CHARS]).split())
    kind = type_name(error)
    return hashlib.blake2b(f"{kind}\n{place}\n{text}".encode()).hexdigest()[:FINGERPRINT_CHARS]


def _innermost_user_frame(trace: TracebackType | None, package: str) -> FrameType | None:
    frames = [frame for frame, _ in traceback.walk_tb(trace)]
    for frame in reversed(frames):
        name = _module_of(frame)
        if package and name.partition(".")[0] == package and not _is_runner(name):
            return frame
        if not _is_runner(name) and not frame.f_code.co_filename.startswith((*_LIBRARY_FOLDERS, "<frozen")):
            return frame
    return next((frame for frame in reversed(frames) if not _is_runner(_module_of(frame))), None)


def _module_of(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", ""))


def _is_runner(module: str) -> bool:
    return module.partition(".")[0] in _RUNNERS and module != _OURS_TO_SHOW


def _traceback_text(error: BaseException) -> str:
    try:
        start = error.__traceback__
        while start is not None and _is_runner(_module_of(start.tb_frame)):
            start = start.tb_next
        if start is None and error.__cause__ is None and (error.__context__ is None or error.__suppress_context__):
            return ""
        shown = traceback.TracebackException(type(error), error, start, limit=-MAX_FRAMES, compact=True)
        return _printable("".join(shown.format()))
    except Exception as broken:  # noqa: BLE001 - users' code, and the failure must be recorded
        return f"(its traceback cannot be had: {type(broken).__name__})"


def _printable(text: str) -> str:
    """The text without the lone surrogates that JSON cannot carry."""
    return text.encode("utf-8", "replace").decode("utf-8")


@functools.cache
def _host() -> str:
    return socket.gethostname()
