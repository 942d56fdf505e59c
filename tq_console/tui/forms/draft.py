"""What has been filled into a form: the type, the arguments, the options; and what follows when it is submitted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tq_console.view.submission import SubmissionRules, TaskLine
from tq_core.errors import InvalidInputError, TqError
from tq_core.model import NewTask, priority_label


@dataclass(frozen=True, slots=True)
class OptionSpec:
    """One option of a task, as a field of the form."""

    name: str
    """Its name in a TaskLine."""
    label: str
    words: str
    flag: str
    """What says it to `tq submit`."""


OPTIONS = (
    OptionSpec("queue", "queue", "empty: the type's own", "--queue"),
    OptionSpec("priority", "priority", "critical, high, normal, low, 0 to 255", "--priority"),
    OptionSpec("delay", "delay", "so long from now: 90, 5m, 1h30m", "--delay"),
    OptionSpec("at", "not before", "2030-01-31T18:00, or the next 18:00", "--at"),
    OptionSpec("max_attempts", "max attempts", "how often it is tried, 1 to 1000", "--max-attempts"),
    OptionSpec("timeout", "timeout", "for one attempt: 90, 5m, 1h30m", "--timeout"),
    OptionSpec("unique", "unique key", "refused while held by an unended task", "--unique"),
    OptionSpec("id", "id", "your own name for it, taken only once", "--id"),
)


@dataclass(frozen=True, kw_only=True)
class Draft:
    """What a form holds; it can be closed and opened again with it."""

    task_type: str = ""
    args: dict[str, Any] = field(default_factory=dict)
    options: Mapping[str, str] = field(default_factory=dict)
    """Texts of the options that are not empty, by their names in OPTIONS."""
    is_forced: bool = False
    is_raw: bool = False
    linked_to: str | None = None
    expires: float | str | None = None
    """Of the task that this one is made from; the form has no field for it."""
    suggested_queue: str | None = None
    """Where the cursor was: its types come first, and a type that nobody published goes there."""
    message: str = ""
    """Why it is open again."""


class RecentWanted:
    """The form was left for one that is filled from a task that was submitted lately."""


@dataclass(frozen=True, kw_only=True)
class Submission:
    """What is to be enqueued, checked, and the draft it was made from."""

    queue: str
    task: NewTask
    line: TaskLine
    draft: Draft


def draft_of(line: TaskLine) -> Draft:
    """A form that is filled from a line, such as the one that asks for another task again."""
    options = {}
    for option in OPTIONS:
        value = getattr(line, option.name)
        if value is not None:
            options[option.name] = _written(option.name, value)
    made_from, expires = line.linked_to, line.expires
    return Draft(task_type=line.type or "", args=line.args, options=options, linked_to=made_from, expires=expires)


def _written(name: str, value: Any) -> str:
    if name == "priority" and isinstance(value, int):
        return priority_label(value)
    return f"{value:g}s" if name == "timeout" and isinstance(value, (int, float)) else str(value)


def line_from(
    task_type: str,
    args: dict[str, Any],
    options: Mapping[str, str],
    *,
    linked_to: str | None = None,
    expires: float | str | None = None,
) -> TaskLine:
    """The line that a filled form asks for.

    Raises:
        InvalidInputError: an option cannot be read.
    """
    said: dict[str, Any] = {name: text for name, text in options.items() if text}
    attempts = said.get("max_attempts")
    if attempts is not None:
        if not (attempts.isascii() and attempts.isdigit() and len(attempts) < 10):
            raise InvalidInputError(f"max attempts {attempts!r}: write a whole number from 1 to 1000")
        said["max_attempts"] = int(attempts)
    return TaskLine(type=task_type, args=args, linked_to=linked_to, expires=expires, **said)


def option_problem(name: str, text: str) -> str:
    """What is wrong with one option, whatever the others are; "" when nothing is."""
    if not text:
        return ""
    options = {"max_attempts": "1"} | {name: text}
    try:
        SubmissionRules({}, submitted_by="", is_forced=True).checked(line_from("t", {}, options))
    except TqError as error:
        return error.message
    return ""
