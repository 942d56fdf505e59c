"""What has been filled into the form of a schedule, checked field by field before anything is sent."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from tq_console.tui.forms.fields import plain, read_more
from tq_console.tui.forms.stand_ins import NOTHING, StandIns
from tq_console.view.submission import DEFAULT_QUEUE, SubmissionRules, TaskLine
from tq_console.view.text import json_line
from tq_console.view.written import parse_duration_s
from tq_core import names
from tq_core.errors import InvalidArgumentsError, InvalidInputError, TqError, UnknownTaskTypeError
from tq_core.roles import schedules
from tq_core.roles.registry import PublishedType
from tq_core.roles.schedule_edit import revised
from tq_core.roles.schedules import MISSED, Schedule, ScheduleView
from tq_core.timetable import Timetable, timetable

T = TypeVar("T")

OVERLAPS = ("yes", "no")
FORCE = "--force enqueues it all the same"


@dataclass(frozen=True, slots=True)
class Entry:
    """One field of the form."""

    name: str
    label: str
    words: str
    is_required: bool = False
    choices: tuple[str, ...] = ()


ENTRIES = (
    Entry("name", "name", "letters, digits, . _ -; one of its kind in its queue", is_required=True),
    Entry("type", "task type", "what its workers run", is_required=True),
    Entry("args", "arguments", 'key=value words, or a JSON object: {"key": "value"}'),
    Entry("cron", "cron", "minute hour day month weekday: 0 8 * * 1-5, or @daily, @hourly"),
    Entry("every", "every", "instead of cron: 30s, 15m, 6h; counted from 1970"),
    Entry("tz", "time zone", "of the cron expression: Europe/Rome"),
    Entry("missed", "missed fires", "more than a minute late: skip, once for all, or all of them", choices=MISSED),
    Entry("jitter", "jitter", "each task up to so long after its fire: 0s, 5m"),
    Entry("overlap", "overlap", "whether to fire while an earlier task has not ended", choices=OVERLAPS),
    Entry("queue", "queue", "empty: the type's own"),
)
OF_NEW_ONLY = ("name", "queue")
"""A schedule keeps these for its life."""


@dataclass(frozen=True, kw_only=True)
class ScheduleDraft:
    """What the form holds; it can be closed and opened again with it."""

    texts: Mapping[str, str] = field(default_factory=dict)
    """By the names of ENTRIES."""
    before: ScheduleView | None = None
    """The schedule that is changed; None for a new one."""
    is_forced: bool = False
    message: str = ""
    """Why it is open again."""

    def text(self, name: str) -> str:
        """What stands in a field."""
        return self.texts.get(name, "").strip()


@dataclass(frozen=True, kw_only=True)
class Checked:
    """What a draft comes to."""

    schedule: Schedule | None
    """None where something is not right."""
    when: Timetable | None
    """The rule alone, for showing what it means while the rest is still being written."""
    problems: Mapping[str, str]
    """Field -> what is wrong with it."""


def new_draft(queue: str | None) -> ScheduleDraft:
    """An empty form."""
    return ScheduleDraft(texts={"tz": "UTC", "missed": "once", "jitter": "0s", "overlap": "yes", "queue": queue or ""})


def draft_of(view: ScheduleView, stand_ins: StandIns) -> ScheduleDraft:
    """A form filled with a schedule.

    Raises:
        InvalidInputError: this version cannot read it.
    """
    schedule = schedules.readable(view)
    rule = schedule.when
    texts = {
        "name": view.name,
        "type": schedule.task_type,
        "args": json_line(stand_ins.shown(schedule.args)) if schedule.args else "",
        "cron": rule.cron,
        "every": rule.label.removeprefix("every ").replace(" ", "") if rule.every_ms else "",
        "tz": rule.tz,
        "missed": schedule.missed,
        "jitter": f"{schedule.jitter_ms / 1000:g}s",
        "overlap": OVERLAPS[bool(schedule.unique_key)],
        "queue": view.queue,
    }
    return ScheduleDraft(texts=texts, before=view)


def checked(draft: ScheduleDraft, types: Mapping[str, PublishedType], stand_ins: StandIns, *, actor: str) -> Checked:
    """The schedule that a draft means, or what is wrong with each of its fields."""
    problems: dict[str, str] = {}

    def held(name: str, make: Callable[[], T], otherwise: T) -> T:
        try:
            return make()
        except UnknownTaskTypeError as error:
            problems[name] = error.message.replace(FORCE, "ctrl+g turns this check off")
        except InvalidArgumentsError as error:
            problems[name] = problem_words(error)
        except TqError as error:
            problems[name] = error.message
        return otherwise

    rules = SubmissionRules(types, submitted_by=actor, is_forced=draft.is_forced)
    text = draft.text
    if draft.before is None:
        held("name", lambda: schedules.check_name(_given(text("name"))), "")
    published = held("type", lambda: rules.published(_given(text("type"))), None)
    none: dict[str, Any] = {}
    args = held("args", lambda: _arguments(draft, published, stand_ins), none)
    when = held("cron", lambda: _rule(draft, problems), None)
    jitter_s = held("jitter", lambda: _seconds(text("jitter") or "0s"), 0.0)
    own = published.queue if published else DEFAULT_QUEUE
    queue = held("queue", lambda: names.check_queue(text("queue") or own), own)
    if "args" not in problems and "type" not in problems:
        line = TaskLine(type=text("type"), args=args, queue=queue)
        held("args", lambda: rules.checked(line), None)
    schedule = None
    if not problems and when is not None:
        schedule = held("", lambda: _schedule(draft, rules, when, args=args, jitter_s=jitter_s, queue=queue), None)
    return Checked(schedule=schedule, when=when, problems=problems)


def _schedule(
    draft: ScheduleDraft,
    rules: SubmissionRules,
    when: Timetable,
    *,
    args: Mapping[str, Any],
    jitter_s: float,
    queue: str,
) -> Schedule:
    text = draft.text
    said = {
        "cron": when.cron or None,
        "every_s": when.every_ms / 1000 or None,
        "tz": when.tz,
        "missed": text("missed"),
        "jitter_s": jitter_s,
        "overlap": text("overlap") != "no",
    }
    if draft.before is not None:
        return revised(schedules.readable(draft.before), task_type=text("type"), args=args, **said)  # type: ignore[arg-type]
    _, task = rules.checked(TaskLine(type=text("type"), args=dict(args), queue=queue))
    return schedules.new_schedule(
        text("name"),
        text("type"),
        args,
        queue=queue,
        priority=task.priority,
        max_attempts=task.max_attempts,
        timeout_s=task.options.timeout_s,
        expires_in_s=task.options.expires_in_s,
        **said,  # type: ignore[arg-type]
    )


def _arguments(draft: ScheduleDraft, published: PublishedType | None, stand_ins: StandIns) -> dict[str, Any]:
    root = published.schema if published and not draft.is_forced else {}
    found = read_more(root, draft.text("args"), is_forced=draft.is_forced) if draft.text("args") else {}
    before = draft.before.schedule.args if draft.before is not None and draft.before.schedule else NOTHING
    restored: dict[str, Any] = stand_ins.restored(found, before)
    return restored


def _rule(draft: ScheduleDraft, problems: dict[str, str]) -> Timetable | None:
    """When it fires; what is wrong with the interval or the zone is told at their fields."""
    cron, every, tz = draft.text("cron"), draft.text("every"), draft.text("tz") or "UTC"
    if cron and every:
        raise InvalidInputError("say either cron or every, and empty the other")
    if not cron and not every:
        raise InvalidInputError("say when: a cron expression here, or a duration at `every`")
    try:
        if every:
            return timetable(every_s=_seconds(every))
        return timetable(cron=cron, tz=tz)
    except InvalidInputError as error:
        where = "every" if every else "tz" if "time zone" in error.message else "cron"
        problems[where] = error.message
        return None


def _given(text: str) -> str:
    if not text:
        raise InvalidInputError("it is needed")
    return text


def _seconds(text: str) -> float:
    try:
        return parse_duration_s(text)
    except ValueError as error:
        raise InvalidInputError(f"{text!r} is no duration: write 30s, 15m, 6h or 1h30m") from error


def problem_words(error: InvalidArgumentsError) -> str:
    """What is wrong with arguments, in one line."""
    return (
        "; ".join(f"{name}: {plain(said)}" if name else said for name, said in error.problems.items()) or error.message
    )
