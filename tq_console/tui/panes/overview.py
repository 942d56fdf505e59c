"""The Overview: what is wrong and where to go about it, then what everything does at a glance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container

from tq_console.tui.lists.attention import COLUMNS, alert_facts, attention_rows
from tq_console.tui.lists.overview_lines import (
    MINUTES,
    act_lines,
    event_lines,
    failure_lines,
    queue_lines,
    rate_lines,
)
from tq_console.tui.lists.slots import Yardstick, rows_wanted, slot_lines
from tq_console.tui.look.canvas import Canvas, Line
from tq_console.tui.look.focus import focus_now
from tq_console.tui.panes.pane import NeedChanged, Pane, PlaceChosen, SubmitWanted
from tq_console.tui.table.rows import Window
from tq_console.tui.table.table import VirtualTable
from tq_console.tui.watch.events_part import RecentEvents
from tq_console.tui.watch.snapshot import Question, Snapshot, TaskListQuestion
from tq_console.view.attention import Fact, all_facts
from tq_console.view.secrets import Masker
from tq_core.model import TaskState

FAILURES, FAILURES_MAX = 10, 40
"""As many of the last failures are asked for, and where there is room for more, up to so many."""
ACTS = 5
EVENTS_KEPT = 60
RUNNING_MAX = 100
"""Up to so many running tasks are read, to see whether their leases are renewed."""
AIRY_FROM = 30
"""From so many lines on the parts stand apart."""
RATES = 5
"""Lines of the throughput."""
LEAST = 3
"""A part with fewer lines than these, its heading included, says nothing."""
COLUMNS_FROM, SPLIT_FROM = 100, 160
"""From so many cells on queues and slots stand side by side, and so many, all of the middle and of the bottom."""


@dataclass(frozen=True, slots=True)
class Room:
    """Lines that each part gets; 0 leaves it out."""

    attention: int
    queues: int
    slots: int
    rates: int = 0
    failures: int = 0
    acts: int = 0
    events: int = 0
    is_columns: bool = False
    """Queues stand beside slots."""
    is_split: bool = False
    """Slots stand beside rates, failures beside acts and, below those, events."""
    gap: int = 0
    """Lines that stay empty at the end of a part."""


def room_for(width: int, height: int, rows: int, *, queues: int = 1000, slots: int = 1000) -> Room:
    """Shares out a screen: first attention, queues and slots, then what else fits.

    Args:
        rows: Lines that attention would fill.
        queues: Lines that the queues would fill, their heading included.
        slots: Lines that the slots would fill, their heading included.
    """
    if width < COLUMNS_FROM:
        return _stacked(height, rows)
    gap = int(height >= AIRY_FROM)
    is_split = width >= SPLIT_FROM
    attention = max(LEAST, min(rows + 1 + gap, height // 3))
    # What the middle would fill, though not at the cost of what comes below it.
    wanted = max(queues, slots, RATES) if is_split else max(queues, slots + RATES)
    least = RATES + LEAST
    rest = height - attention - least
    if is_split:
        bottom = _worth(min(FAILURES + 1, rest))
        middle = max(LEAST, min(wanted + gap, height - attention - bottom))
        bottom = _worth(min(FAILURES_MAX, height - attention - middle))
        acts = min(bottom, ACTS + 1)
        events = _worth(bottom - acts)
        return Room(attention, middle, middle, RATES, bottom, acts, events, is_columns=True, is_split=True, gap=gap)
    acts = _worth(min(ACTS + 1, rest * 2 // 5))
    failures = _worth(min(FAILURES + 1, rest - acts))
    middle = max(LEAST, min(max(wanted, least) + gap, height - attention - failures - acts))
    failures = _worth(min(FAILURES_MAX, height - attention - middle - acts)) if failures else 0
    rates = RATES if middle >= least else 0
    return Room(attention, middle, middle - rates, rates, failures, acts, is_columns=True, gap=gap)


def _stacked(height: int, rows: int) -> Room:
    """One below the other."""
    rates, failures, acts = (RATES, 6, 4) if height >= 34 else (0, 0, 0)
    slots = LEAST if height < 18 else min(6, height // 4)
    left = height - slots - rates - failures - acts
    attention = max(LEAST, min(rows + 1, left - (4 if height < 18 else 6)))
    return Room(attention, max(1, left - attention), slots, rates, failures, acts)


def _worth(lines: int) -> int:
    return lines if lines >= LEAST else 0


PARTS = ("queues", "slots", "rates", "failures", "acts", "events")


class OverviewPane(Pane):
    """The whole at a glance."""

    TITLE = "Overview"
    DEFAULT_CSS = """
    OverviewPane {
        .over-middle, .over-right, .over-bottom, .over-news { height: auto; width: 1fr; layout: vertical; }
        .over-queues, .over-slots, .over-rates, .over-failures, .over-acts, .over-events { width: 1fr; }
        VirtualTable { height: 3; }
    }
    OverviewPane.-columns {
        .over-middle { layout: horizontal; }
        .over-queues { width: 3fr; }
        .over-right { width: 2fr; padding-left: 2; }
    }
    OverviewPane.-split {
        .over-queues { width: 2fr; }
        .over-right { width: 3fr; }
        .over-right, .over-bottom { layout: horizontal; }
        .over-slots, .over-failures { width: 3fr; }
        .over-rates, .over-news { width: 2fr; padding-left: 2; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("n", "new", "new task", tooltip="Submit a new task", id="overview.new"),
    ]

    def __init__(self, *, masker: Masker, id: str) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self._masker = masker
        self._facts: dict[str, Fact] = {}
        self._rows = 1
        self._room: Room | None = None
        self._events = RecentEvents(EVENTS_KEPT)

    def compose(self) -> ComposeResult:
        """What needs attention, which takes the keys; all else is painted."""
        yield VirtualTable(COLUMNS, empty_text="… asking")
        with Container(classes="over-middle"):
            yield Canvas(classes="over-queues")
            with Container(classes="over-right"):
                yield Canvas(classes="over-slots")
                yield Canvas(classes="over-rates")
        with Container(classes="over-bottom"):
            yield Canvas(classes="over-failures")
            with Container(classes="over-news"):
                yield Canvas(classes="over-acts")
                yield Canvas(classes="over-events")

    @property
    def table(self) -> VirtualTable:
        return self.query_one(VirtualTable)

    @property
    def asks_why(self) -> tuple[str, str] | None:
        fact = self._facts.get(self.table.cursor_id or "")
        if fact is None or not (fact.queue or fact.subject):
            return None
        return ("queue", fact.queue) if fact.queue else ("member", fact.subject)

    def _canvas(self, part: str) -> Canvas:
        return self.query_one(f".over-{part}", Canvas)

    # --- room ---

    def set_breakpoints(self, horizontal: int, vertical: int) -> None:
        """Shows as much as there is room for."""
        del vertical
        self.table.breakpoint = 0 if horizontal < 2 else 1

    def on_resize(self) -> None:
        """Shares out the room anew."""
        self._share_out()
        self.call_after_refresh(self._paint)

    def _share_out(self) -> None:
        """Gives each part its lines; nothing is laid out anew while they are the same."""
        width, height = self.size
        queues, slots = self._wanted(height)
        room = room_for(width, height, self._rows, queues=queues, slots=slots) if height else None
        if room is None or room == self._room:
            return
        self._room = room
        self.set_class(room.is_columns, "-columns")
        self.set_class(room.is_split, "-split")
        self.table.styles.height = room.attention
        for part in PARTS:
            lines = getattr(room, part)
            canvas = self._canvas(part)
            canvas.display = lines > 0
            canvas.styles.height = max(1, lines)
        self.call_after_refresh(self._paint)

    def _wanted(self, height: int) -> tuple[int, int]:
        """Lines that queues and slots would fill."""
        if self.snapshot is None:
            return 0, 0
        return len(self.snapshot.queues) + 1, rows_wanted(self.snapshot.fleet, most=height)

    def take_focus(self) -> None:
        """The list of what needs attention takes the keys."""
        focus_now(self.table)

    # --- what it needs and shows ---

    def question(self) -> Question:
        """A quarter of an hour, the last failures and acts, and the running tasks where they are few."""
        running = self.snapshot.depths.get(TaskState.RUNNING, 0) if self.snapshot else 0
        leases = TaskListQuestion(TaskState.RUNNING, count=RUNNING_MAX) if 0 < running <= RUNNING_MAX else None
        events = self._events.part if self._room is not None and self._room.events else None
        return Question(
            self.id or "", minutes=MINUTES, tasks=leases, failures=self._failures, audited=ACTS, part=events
        )

    @property
    def _failures(self) -> int:
        """How many of the last failures there is room for."""
        return max(FAILURES, self._room.failures - 1 - self._room.gap if self._room else 0)

    def show(self, snapshot: Snapshot) -> None:
        """All of it."""
        super().show(snapshot)
        if snapshot.part is not None:
            self._events.accept(snapshot.part)
        running = [row.task for row in snapshot.tasks.rows] if snapshot.tasks is not None else []
        facts = alert_facts(snapshot.alerts, snapshot.now_ms)
        facts += all_facts(snapshot.queues, snapshot.fleet, running)
        self._facts = {fact.id: fact for fact in facts}
        rows = tuple(attention_rows(facts, snapshot.queues, snapshot.fleet))
        if self.table.cursor_id not in (None, *(row.id for row in rows)):
            # What is over does not stay as a ghost: enter only goes somewhere, and the top is what matters now.
            self.table.reset(COLUMNS)
        self._rows = len(rows)
        self._share_out()
        was_first = self.table.cursor_index == 0
        self.table.show(Window(len(rows), 0, rows))
        if was_first and self.table.cursor_index:
            # Who has not gone down is to see what is the most urgent now: it must not come in above the screen.
            self.table.move_to(0)
        self._paint()

    def _paint(self) -> None:
        if self.snapshot is None or self._room is None:
            return
        for part in PARTS:
            lines = getattr(self._room, part)
            if lines:
                canvas = self._canvas(part)
                width = canvas.size.width or self.size.width
                canvas.paint(self._lines(part, self.snapshot, width, max(LEAST, lines - self._room.gap)))

    def _lines(self, part: str, snapshot: Snapshot, width: int, height: int) -> list[Line]:
        match part:
            case "queues":
                return queue_lines(snapshot.queues, snapshot.fleet, width=width, height=height)
            case "slots":
                return slot_lines(snapshot.fleet, Yardstick(snapshot.queues), width=width, height=height)
            case "rates":
                return rate_lines(snapshot.queues, width=width)
            case "failures":
                return failure_lines(snapshot.failures, snapshot.now_ms, self._masker, width=width, height=height)
            case "events":
                return event_lines(self._events.events, width=width, height=height)
            case _:
                return act_lines(snapshot.audited, snapshot.now_ms, width=width, height=height)

    # --- going there ---

    @on(VirtualTable.CursorMoved)
    def _moved(self, event: VirtualTable.CursorMoved) -> None:
        event.stop()

    @on(VirtualTable.WindowWanted)
    def _wants(self, event: VirtualTable.WindowWanted) -> None:
        event.stop()
        if self.snapshot is None:
            self.post_message(NeedChanged())

    @on(VirtualTable.Opened)
    def _opened(self, event: VirtualTable.Opened) -> None:
        event.stop()
        fact = self._facts.get(event.row_id)
        if fact is not None:
            self.post_message(PlaceChosen(fact.screen, queue=fact.queue, state=fact.state))
        elif event.row_id == "next-task":
            self.action_new()
        else:
            self.post_message(PlaceChosen("workers" if event.row_id == "next-worker" else "queues"))

    def action_new(self) -> None:
        """Opens the form."""
        self.post_message(SubmitWanted())
