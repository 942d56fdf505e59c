"""The keys of the language: what each is about, and which values it takes."""

from __future__ import annotations

import enum
import fnmatch
import re
from dataclasses import dataclass

from tq_core.model import TaskState

MS_OF_UNIT = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
_PART = r"[0-9]{1,12}(?:\.[0-9]{1,6})?"
_UNIT = r"ms|s|m|h|d|w"
_DURATION = re.compile(f"(?:{_PART}(?:{_UNIT}))+", re.ASCII)
_PARTS = re.compile(f"({_PART})({_UNIT})", re.ASCII)
NUMBER = re.compile(r"-?[0-9]{1,18}(?:\.[0-9]{1,18})?(?:[eE][+-]?[0-9]{1,3})?", re.ASCII)


class Sort(enum.Enum):
    """How a key reads its value."""

    TEXT = "text"
    """Whole, with * and ?, capital letters as they are."""
    WITHIN = "within"
    """Anywhere in it, capital or not."""
    STATE = "state"
    DURATION = "duration"
    COUNT = "count"
    PRIORITY = "priority"
    DATA = "data"
    """JSON: a path to a field, or text anywhere in it."""


@dataclass(frozen=True, slots=True)
class Key:
    """One key."""

    name: str
    sort: Sort
    about: str
    example: str


KEYS: dict[str, Key] = {
    key.name: key
    for key in (
        Key("state", Sort.STATE, "which of the eight states", "state:failed"),
        Key("type", Sort.TEXT, "the task type", "type:mail*"),
        Key("queue", Sort.TEXT, "the queue", "queue:mail"),
        Key("error", Sort.WITHIN, "text in its error", "error:timeout"),
        Key("reason", Sort.TEXT, "why it failed, in a word", "reason:poison"),
        Key("age", Sort.DURATION, "since it was enqueued", "age:>10m"),
        Key("ended", Sort.DURATION, "since it ended", "ended:<1h"),
        Key("took", Sort.DURATION, "how long its last run took", "took:>5s"),
        Key("attempt", Sort.COUNT, "attempts begun", "attempt:>2"),
        Key("priority", Sort.PRIORITY, "name or number, 0 is first", "priority:high"),
        Key("worker", Sort.TEXT, "who runs or ran it", "worker:w3*"),
        Key("id", Sort.TEXT, "the task's id", "id:*k3f9"),
        Key("args", Sort.DATA, "arguments, by field or anywhere", "args.user.id=42"),
        Key("result", Sort.DATA, "the result, by field or anywhere", "result.status:5*"),
    )
}

PLAIN_KEYS = ("type", "queue", "error", "reason", "id", "worker")
"""The keys that there were before the language; see `plain`."""


def duration_ms(text: str) -> int | None:
    """Milliseconds of 90s, 1.5h, 1h30m, 250ms; None where it is none."""
    if not _DURATION.fullmatch(text):
        return None
    return round(sum(float(number) * MS_OF_UNIT[unit] for number, unit in _PARTS.findall(text)))


def states_like(text: str, *, is_exact: bool) -> frozenset[TaskState]:
    """The states that a value means."""
    return frozenset(s for s in TaskState if s == text or (not is_exact and fnmatch.fnmatchcase(s, text)))
