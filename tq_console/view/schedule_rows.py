"""Schedules as rows for people and as records for programs."""

from __future__ import annotations

from typing import Any

from tq_console.view.formats import NONE, clock, count, span_ahead
from tq_console.view.schedule_words import (
    fire_text,
    next_fires_ms,
    option_words,
    origin_words,
    policy_words,
    when_words,
)
from tq_console.view.secrets import Masker
from tq_console.view.tables import Cell, Column
from tq_console.view.text import json_line, visible
from tq_core.roles.schedules import ScheduleView

SCHEDULE_COLUMNS = (
    Column("NAME", is_flexible=True),
    Column("QUEUE", is_flexible=True),
    Column("TYPE", is_flexible=True),
    Column("WHEN", is_flexible=True),
    Column("NEXT"),
    Column("LAST", is_optional=True),
    Column("FIRES", is_right=True, is_optional=True),
    Column("STATE", is_flexible=True),
)
_STYLES = {"paused": "yellow", "late": "red", "unreadable": "red", "undeclared": "yellow"}


def schedule_row(view: ScheduleView) -> list[str | Cell]:
    """A schedule as a row under SCHEDULE_COLUMNS."""
    schedule = view.schedule
    state = view.state
    by = f" by {view.paused.get('by', '?')}" if view.paused else ""
    return [
        view.name,
        view.queue,
        schedule.task_type if schedule else "?",
        schedule.when.label if schedule else "?",
        _ahead(view),
        clock(view.fired_at_ms)[:19] if view.fired_at_ms is not None else NONE,
        count(view.fires),
        Cell(f"{state}{by}", _STYLES.get(state, "")),
    ]


def _ahead(view: ScheduleView) -> str:
    if view.next_at_ms is None:
        return NONE
    return span_ahead(view.next_at_ms - view.now_ms)


def schedule_record(view: ScheduleView, masker: Masker) -> dict[str, Any]:
    """A schedule with everything that is known of it; times are ms since the epoch, null where there is none."""
    schedule = view.schedule
    return {
        "name": view.name,
        "queue": view.queue,
        "state": view.state,
        "type": schedule.task_type if schedule else None,
        "args": masker.masked(schedule.args) if schedule else None,
        "cron": (schedule.when.cron or None) if schedule else None,
        "every_s": (schedule.when.every_ms // 1000 or None) if schedule else None,
        "tz": schedule.when.tz if schedule and schedule.when.cron else None,
        "missed": schedule.missed if schedule else None,
        "jitter_s": schedule.jitter_ms / 1000 if schedule else None,
        "overlap": not schedule.unique_key if schedule else None,
        "priority": schedule.priority if schedule else None,
        "max_attempts": schedule.max_attempts if schedule else None,
        "timeout_s": schedule.timeout_s if schedule else None,
        "expires_in_s": schedule.expires_in_s if schedule else None,
        "next_at_ms": view.next_at_ms,
        "last_at_ms": view.fired_at_ms,
        "fires": view.fires,
        "declared_at_ms": view.seen_at_ms,
        "paused": view.paused,
    }


def schedule_page(view: ScheduleView, masker: Masker) -> list[str]:
    """Everything about a schedule, for reading."""
    schedule = view.schedule
    lines = [f"{view.name}@{view.queue}  {view.state}"]
    if schedule is None:
        return [*lines, "it cannot be read: a newer tq wrote it"]
    rule = schedule.when
    lines += [
        f"type    {schedule.task_type}",
        f"when    {when_words(rule)}" + ("" if rule.every_ms else f"  ({rule.cron})"),
        f"fires   {policy_words(schedule)}",
        f"tasks   {option_words(schedule)}",
        f"args    {visible(json_line(masker.masked(schedule.args)))}",
        f"origin  {origin_words(view)}; {count(view.fires)} tasks made",
    ]
    if view.paused is not None:
        why = f": {view.paused['why']}" if view.paused.get("why") else ""
        lines.append(visible(f"paused  by {view.paused.get('by', '?')}{why}"))
    label = "next" if view.paused is None else "would"
    for at_ms in next_fires_ms(rule, view.now_ms):
        lines.append(f"{label:<7} {fire_text(rule, at_ms)}  {span_ahead(at_ms - view.now_ms)}")
        label = ""
    return lines
