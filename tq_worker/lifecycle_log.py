"""The lifecycle of tasks and of the daemon, as lines on stderr: text for people, JSON for machines, the same fields.

    ASSIGNED   a worker holds the task          ERROR     its handler failed
    STARTED    its handler runs                 REQUEUED  it will run again
    COMPLETED  it succeeded                     DLQ       it failed for good

A line costs the caller one append; a thread of its own puts it together and writes it. Lines are written whole and at
most PIPE_BUF bytes at a time, so that those of several processes on one pipe do not mix. When nobody reads, lines are
left out, and counted, instead of holding up the tasks.
"""

from __future__ import annotations

import atexit
import contextlib
import datetime
import os
import select
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Final

import msgspec

LEVELS: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40}
FORMATS: Final = ("text", "json")
_NAMES = {number: name for name, number in LEVELS.items()}
_PADDED = {number: f"{name.upper():<7}" for name, number in LEVELS.items()}

_WRITE_EVERY_S = 0.05
_LAST_LINES_S = 2.0
"""How long the end of a process may wait for its last lines to be written."""
_MAX_WAITING = 50_000
_MAX_WRITE_BYTES = 4096
_MAX_LINE_BYTES = 4000
_MAX_VALUE_CHARS = 600

_json = msgspec.json.Encoder()

_UNSAFE = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160))}
_UNSAFE |= {ord("\n"): "\\n", ord("\t"): "\\t", ord("\r"): "\\r"}
# Marks that reorder or hide what a terminal shows.
_UNSAFE |= {code: f"\\u{code:04x}" for code in (*range(0x200B, 0x2010), *range(0x2028, 0x202F), *range(0x2066, 0x206A))}


def escape(text: str) -> str:
    """Text of a task as it may be shown on a terminal: one line, no control codes."""
    return text.translate(_UNSAFE)


class Labels:
    """Fields that several lines share, put together once."""

    __slots__ = ("_as_json", "_as_text", "_fields")

    def __init__(self, **fields: str | int | None) -> None:
        self._fields = fields
        self._as_text: str | None = None
        self._as_json: bytes | None = None

    @property
    def text(self) -> str:
        if self._as_text is None:
            self._as_text = _pairs(self._fields)
        return self._as_text

    @property
    def json(self) -> bytes:
        """The members of a JSON object, without its braces."""
        if self._as_json is None:
            self._as_json = _members(self._fields)
        return self._as_json


_NO_LABELS = Labels()
_Line = tuple[float, int, str, Labels, dict[str, Any]]


class LifecycleLog:
    """Writes one process' lines to a file descriptor."""

    def __init__(self, fd: int, *, style: str = "text", level: str = "info") -> None:
        self._fd, self._style = fd, style
        self.level = LEVELS[level]
        self._lines: deque[_Line] = deque()
        self._left_out = 0
        self._wake = threading.Event()
        self._written = threading.Event()
        self._is_closed = False
        self._thread = threading.Thread(target=self._serve, name="tq-log", daemon=True)
        self._thread.start()
        atexit.register(self.close)

    @property
    def shows_info(self) -> bool:
        """Whether the lifecycle of tasks is written at all; asked before a line's fields are put together."""
        return self.level <= LEVELS["info"]

    def set_level(self, level: str) -> None:
        """Changes what is written from now on."""
        self.level = LEVELS[level]

    def write(self, level: str, event: str, labels: Labels = _NO_LABELS, /, **fields: Any) -> None:
        """Adds a line.

        Args:
            level: One of LEVELS.
            event: ASSIGNED, STARTED and so on for tasks, a lower-case word for the daemon.
            labels: Fields that come before the others.
            fields: In the order in which they are shown; None is left out. `text` is shown first.
        """
        number = LEVELS[level]
        if number < self.level:
            return
        if len(self._lines) >= _MAX_WAITING:
            self._left_out += 1
            return
        self._lines.append((time.time(), number, event, labels, fields))
        if not self._wake.is_set():
            self._wake.set()

    def close(self) -> None:
        """Has what is waiting written, and ends the thread; one that cannot write because nobody reads is left."""
        if self._is_closed:
            return
        self._is_closed = True
        self.flush()
        self._thread.join(_LAST_LINES_S)

    def flush(self) -> None:
        """Returns when what was waiting is written, or when that takes too long."""
        self._written.clear()
        self._wake.set()
        self._written.wait(_LAST_LINES_S)

    def _serve(self) -> None:
        while True:
            self._wake.wait()
            self._wake.clear()
            self._drain()
            self._written.set()
            if self._is_closed and not self._lines:
                return
            if not self._is_closed:
                time.sleep(_WRITE_EVERY_S)

    def _drain(self) -> None:
        render = _as_json if self._style == "json" else _as_text
        while self._lines:
            chunk: list[bytes] = []
            size = 0
            while self._lines:
                raw = _rendered(render, self._lines.popleft())
                if size + len(raw) > _MAX_WRITE_BYTES and chunk:
                    self._put(b"".join(chunk))
                    chunk, size = [], 0
                chunk.append(raw)
                size += len(raw)
            self._put(b"".join(chunk))
        if self._left_out:
            count, self._left_out = self._left_out, 0
            text = f"{count} lines left out: they were not read fast enough"
            self._put(render((time.time(), LEVELS["warning"], "log", _NO_LABELS, {"text": text})))

    def _put(self, raw: bytes) -> None:
        with contextlib.suppress(OSError):  # nobody reads any more: the tasks matter, not the lines
            while raw:
                try:
                    raw = raw[os.write(self._fd, raw) :]
                except BlockingIOError:  # somebody with the same file has made it so: a line is not left half written
                    can_write = select.poll()
                    can_write.register(self._fd, select.POLLOUT)
                    can_write.poll()


def _rendered(render: Callable[[_Line], bytes], line: _Line) -> bytes:
    try:
        return render(line)
    except Exception as error:  # noqa: BLE001 - a value of users' code: no line may be the log's last
        at, level, event, _, _ = line
        text = f"a line that cannot be shown: {type(error).__name__}"
        return render((at, level, event, _NO_LABELS, {"text": text}))


def _as_json(line: _Line) -> bytes:
    at, level, event, labels, fields = line
    head = _members({"time": _stamp(at), "level": _NAMES[level], "event": event})
    return b"{%s}\n" % b",".join(filter(None, (head, labels.json, _members(fields))))


def _as_text(line: _Line) -> bytes:
    at, level, event, labels, fields = line
    text = fields.pop("text", None)
    words = [f"{_stamp(at)} {_PADDED[level]} {event:<9}"]
    if text:
        words.append(_shown(text))
    words += filter(None, (labels.text, _pairs(fields)))
    return " ".join(words).encode("utf-8", "replace")[:_MAX_LINE_BYTES] + b"\n"


def _pairs(fields: dict[str, Any]) -> str:
    return " ".join([f"{name}={_shown(value)}" for name, value in fields.items() if value is not None])


def _members(fields: dict[str, Any]) -> bytes:
    shown = {n: v if isinstance(v, int) else _bounded(v) for n, v in fields.items() if v is not None}
    try:
        return _json.encode(shown)[1:-1]
    except UnicodeEncodeError:  # half a character, as in the name of a file that is not UTF-8
        whole = {n: v if isinstance(v, int) else _whole(_as_words(v)) for n, v in shown.items()}
        return _json.encode(whole)[1:-1]


def _bounded(value: object) -> object:
    text = _as_words(value)
    return value if len(text) <= _MAX_VALUE_CHARS else _short(text)


def _as_words(value: object) -> str:
    try:
        return (
            value if isinstance(value, str) else _json.encode(value).decode() if isinstance(value, dict) else str(value)
        )
    except UnicodeEncodeError:
        return _whole(str(value))


def _whole(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()


def _shown(value: object) -> str:
    text = _as_words(value)
    return text if len(text) <= _MAX_VALUE_CHARS and text.isprintable() else escape(_short(text))


def _short(text: str) -> str:
    return text if len(text) <= _MAX_VALUE_CHARS else text[:_MAX_VALUE_CHARS] + "…"


_second: tuple[int, str] = (0, "")


def _stamp(at: float) -> str:
    global _second  # noqa: PLW0603 - the text of the current second, made once for all of its lines
    whole = int(at)
    if _second[0] != whole:
        text = datetime.datetime.fromtimestamp(whole, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S")
        _second = (whole, text)
    return f"{_second[1]}.{int((at - whole) * 1000):03d}Z"
