"""Entries of the log as rows: what happened by itself and what people did, in the same columns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tq_console.tui.look.canvas import Line
from tq_console.tui.look.wrapping import wrapped
from tq_console.tui.table.rows import Cell, Column, Row
from tq_console.view.formats import clock, count, duration, short_id, time_of_day
from tq_console.view.secrets import Masker
from tq_console.view.text import json_line, visible
from tq_core.roles.events import Event
from tq_core.roles.log import IDS_KEPT, Entry
from tq_core.roles.operator import Audited
from tq_core.roles.undo import Undoable

if TYPE_CHECKING:
    from tq_console.alerts.book import AlertEvent

COLUMNS = (
    Column("TIME", (8, 12, 12), is_pinned=True),
    Column("WHO", (11, 18, 22)),
    Column("WHAT", (12, 14, 16)),
    Column("TARGET", (14, 24, 30), grows=True),
    Column("N", (5, 6, 7), is_right=True),
    Column("RESULT", (0, 20, 30), grows=True),
    Column("UNDO", (0, 7, 8), is_right=True),
)
STYLES = {
    "completed": "cell--good",
    "restored": "cell--good",
    "joined": "cell--good",
    "claimed": "cell--busy",
    "retrying": "cell--warn",
    "released": "cell--warn",
    "left": "cell--warn",
    "skipped": "cell--warn",
    "expired": "cell--warn",
    "failed": "cell--bad",
    "crashed": "cell--bad",
    "lost": "cell--bad",
    "breaker": "cell--warn",
    "fired": "cell--bad",
    "cleared": "cell--good",
}


@dataclass(frozen=True, slots=True)
class Happening:
    """One line of the log."""

    id: str
    at_ms: int
    who: str
    what: str
    queue: str
    """Empty where it is about the fleet."""
    target: str
    count: int
    result: str
    ids: tuple[str, ...]
    """The first of the tasks that it is about."""
    act: Audited | None
    """What a person did; None for what happened by itself."""

    @property
    def text(self) -> str:
        """What plain words are looked for in."""
        return " ".join((self.who, self.what, self.target, self.result, *self.ids)).lower()


def happenings(entries: Iterable[Entry]) -> list[Happening]:
    """Lines of the log in the order of its entries; the steps of one operation on a queue are one line."""
    found: list[Happening] = []
    places: dict[tuple[str, str], int] = {}
    for entry in entries:
        what = entry.what
        if isinstance(what, Event):
            found.append(_of_event(entry, what))
        elif isinstance(what, Audited):
            place = places.setdefault((entry.stream.queue, what.op), len(found))
            if place == len(found):
                found.append(_of_act(entry, what))
            else:
                found[place] = _with_step(found[place], what)
    return found


def with_alerts(found: list[Happening], alerts: Sequence[AlertEvent]) -> list[Happening]:
    """The lines of the log, the newest first, and among them the user's alerts that fired or were over."""
    if not alerts:
        return found
    return sorted([*map(_of_alert, alerts), *found], key=lambda happening: -happening.at_ms)


def _of_alert(event: AlertEvent) -> Happening:
    state = event.state
    queue = state.measured.queue if state.measured is not None else None
    return Happening(
        id=f"alert {event.at_ms} {event.word} {state.alert.name} {state.alert.rule.text}",
        at_ms=event.at_ms,
        who="this console",
        what=event.word,
        queue=queue or "",
        target=" ".join(filter(None, ("alert", state.alert.name, state.alert.rule.text))),
        count=0,
        result=state.value,
        ids=(),
        act=None,
    )


def _of_event(entry: Entry, event: Event) -> Happening:
    queue = entry.stream.queue
    who = event.by or event.worker_id or "-"
    if queue:
        target = " ".join(filter(None, (queue, short_id(event.ids[0]) if event.ids else "")))
    else:
        # Of nodes and workers: their ids are told whole.
        target = ", ".join(event.ids) or event.worker_id or "fleet"
    return Happening(
        id=f"{entry.stream.key} {entry.cursor}",
        at_ms=entry.at[0],
        who=who,
        what=event.kind,
        queue=queue,
        target=target,
        count=entry.tasks,
        result=event.reason or (f"attempt {event.attempt}" if event.attempt else ""),
        ids=event.ids if queue else (),
        act=None,
    )


def _of_act(entry: Entry, act: Audited) -> Happening:
    return Happening(
        id=f"{entry.stream.key} {act.op}",
        at_ms=entry.at[0],
        who=act.by,
        what=act.action,
        queue=entry.stream.queue,
        target=" ".join(filter(None, (act.target, _object(act)))),
        count=act.count,
        result=str(act.detail.get("why") or ""),
        ids=act.ids if entry.stream.queue else (),
        act=act,
    )


def _object(act: Audited) -> str:
    """What of its target it was done to: a schedule, the first of the tasks."""
    schedule = act.detail.get("schedule")
    if isinstance(schedule, str):
        return schedule
    return short_id(act.ids[0]) if act.ids else ""


def _with_step(first: Happening, act: Audited) -> Happening:
    return Happening(
        id=first.id,
        at_ms=first.at_ms,
        who=first.who,
        what=first.what,
        queue=first.queue,
        target=first.target,
        count=first.count + act.count,
        result=first.result,
        ids=(act.ids + first.ids)[:IDS_KEPT],
        act=first.act,
    )


def log_row(happening: Happening, undoable: Mapping[str, Undoable], now_ms: int, *, is_narrow: bool) -> Row:
    """A line of the log as a row under COLUMNS; without thousandths where there is little room."""
    act = happening.act
    undo = undoable.get(act.op) if act is not None else None
    style = "cell--accent" if act is not None else STYLES.get(happening.what, "")
    return Row(
        happening.id,
        (
            Cell(time_of_day(happening.at_ms)[: 8 if is_narrow else None], "cell--dim"),
            Cell(happening.who, "cell--accent" if act is not None else "cell--dim"),
            Cell(f"» {happening.what}" if act is not None else happening.what, style),
            Cell(happening.target),
            Cell(count(happening.count) if happening.count else "-", "" if happening.count > 1 else "cell--dim"),
            Cell(happening.result or "-", "" if happening.result else "cell--dim"),
            Cell(f"z {_minutes(undo.until_ms - now_ms)}" if undo else "-", "cell--busy" if undo else "cell--dim"),
        ),
    )


def _minutes(ms: int) -> str:
    """What is left of a time: 9:58, 42 h."""
    seconds = max(0, ms // 1000)
    return f"{seconds // 60}:{seconds % 60:02}" if seconds < 6_000 else f"{seconds // 3600} h"


def happening_lines(
    happening: Happening, undo: Undoable | None, now_ms: int, *, masker: Masker, width: int, height: int
) -> list[Line]:
    """A line of the log whole."""
    head: Line = [
        (f"{clock(happening.at_ms)}  ", "cell--dim"),
        (happening.what, "cell--title"),
        (f"  by {happening.who}" if happening.act is not None else f"  {happening.who}", ""),
    ]
    told: list[tuple[str, str]] = [("where", happening.target)]
    if happening.count:
        told.append(("tasks", count(happening.count)))
    if happening.result:
        told.append(("result", happening.result))
    if happening.act is not None:
        detail = {k: v for k, v in masker.masked(happening.act.detail).items() if k not in ("by", "why")}
        told += [("detail", json_line(detail))] if detail else []
        told.append(("op", happening.act.op))
    if undo is not None:
        told.append(("undo", f"z puts {count(undo.count)} tasks back, for {duration(undo.until_ms - now_ms)} more"))
    if happening.ids:
        more = "" if happening.count <= len(happening.ids) else f" and {happening.count - len(happening.ids):,} more"
        told.append(("ids", " ".join(happening.ids[:IDS_KEPT]) + more))
    lines: list[Line] = [head]
    for word, said in told:
        for i, line in enumerate(wrapped((visible(said), ""), max(20, width - 8), 5)):
            lines.append([(f"{word if i == 0 else '':<7} ", "cell--dim"), *line])
    return lines[:height] if height else lines
