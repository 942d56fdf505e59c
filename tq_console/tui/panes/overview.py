"""The Overview: what is wrong and where to go about it, then what everything does at a glance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container

from tq_console.tui.lists.attention import COLUMNS, attention_rows
from tq_console.tui.lists.overview_lines import MINUTES, act_lines, failure_lines, queue_lines, rate_lines
from tq_console.tui.lists.slots import Yardstick, heat_strip, slot_summary
from tq_console.tui.look.canvas import Canvas, Line
from tq_console.tui.panes.pane import NeedChanged, Pane, PlaceChosen, SubmitWanted
from tq_console.tui.table.rows import Window
from tq_console.tui.table.table import VirtualTable
from tq_console.tui.watch.snapshot import Question, Snapshot, TaskListQuestion
from tq_console.view.attention import Fact, all_facts
from tq_console.view.secrets import Masker
from tq_core.model import TaskState

FAILURES = 10
ACTS = 5
RUNNING_MAX = 100
"""Up to so many running tasks are read, to see whether their leases are renewed."""
RATES = 5
"""Lines of the throughput."""
TWO_COLUMNS = 100
THREE_PARTS = 160


@dataclass(frozen=True, slots=True)
class Plan:
    """Lines that each part gets; 0 leaves it out. What needs attention gets the rest."""

    queues: int
    slots: int
    rates: int = 0
    failures: int = 0
    acts: int = 0
    is_two_columns: bool = False
    """Slots and rates stand to the right of attention and queues."""
    is_bottom_split: bool = False
    """The acts stand to the right of the failures."""


def plan_of(width: int, height: int) -> Plan:
    """Shares out a screen: first attention, queues and slots, then what else fits."""
    if width < TWO_COLUMNS:
        if height < 18:
            return Plan(queues=4, slots=3)
        if height < 34:
            return Plan(queues=min(7, height // 3), slots=min(6, height // 4))
        return Plan(queues=7, slots=6, rates=RATES, failures=6, acts=4)
    is_bottom_split = width >= THREE_PARTS
    bottom = min(FAILURES + 1, max(0, height - 16) // (1 if is_bottom_split else 2))
    bottom = 0 if bottom < 3 else bottom
    acts = min(bottom, ACTS + 1)
    top = height - (bottom if is_bottom_split else bottom + acts)
    return Plan(
        queues=max(4, min(12, top // 2)),
        slots=max(3, top - RATES),
        rates=RATES,
        failures=bottom,
        acts=acts,
        is_two_columns=True,
        is_bottom_split=is_bottom_split,
    )


class OverviewPane(Pane):
    """The whole at a glance."""

    TITLE = "Overview"
    DEFAULT_CSS = """
    OverviewPane {
        .over-top { height: 1fr; layout: vertical; }
        .over-left { height: 1fr; width: 1fr; }
        .over-right { height: auto; width: 1fr; }
        .over-bottom { height: auto; layout: vertical; }
        VirtualTable { height: 1fr; min-height: 3; }
        Canvas { height: 1; }
        .over-failures, .over-acts { width: 1fr; }
    }
    OverviewPane.-two-columns {
        .over-top { layout: horizontal; }
        .over-left { width: 3fr; }
        .over-right { width: 2fr; height: 1fr; padding-left: 2; }
    }
    OverviewPane.-bottom-split {
        .over-bottom { layout: horizontal; }
        .over-failures { width: 3fr; }
        .over-acts { width: 2fr; padding-left: 2; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("n", "new", "new task", tooltip="Submit a new task", id="overview.new"),
    ]

    def __init__(self, *, masker: Masker, id: str) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self._masker = masker
        self._facts: dict[str, Fact] = {}
        self._plan = plan_of(80, 21)

    def compose(self) -> ComposeResult:
        """What needs attention, which takes the keys; all else is painted."""
        with Container(classes="over-top"):
            with Container(classes="over-left"):
                yield VirtualTable(COLUMNS, empty_text="… asking")
                yield Canvas(classes="over-queues")
            with Container(classes="over-right"):
                yield Canvas(classes="over-slots")
                yield Canvas(classes="over-rates")
        with Container(classes="over-bottom"):
            yield Canvas(classes="over-failures")
            yield Canvas(classes="over-acts")

    @property
    def table(self) -> VirtualTable:
        return self.query_one(VirtualTable)

    def _canvas(self, part: str) -> Canvas:
        return self.query_one(f".over-{part}", Canvas)

    # --- room ---

    def set_breakpoints(self, horizontal: int, vertical: int) -> None:
        """Shows as much as there is room for."""
        del vertical
        self.table.breakpoint = 0 if horizontal < 2 else 1

    def on_resize(self) -> None:
        """Shares out the room anew."""
        width, height = self.size
        if not height:
            return
        plan = self._plan = plan_of(width, height)
        self.set_class(plan.is_two_columns, "-two-columns")
        self.set_class(plan.is_bottom_split, "-bottom-split")
        for part in ("queues", "slots", "rates", "failures", "acts"):
            lines = getattr(plan, part)
            canvas = self._canvas(part)
            canvas.display = lines > 0
            canvas.styles.height = max(1, lines)
        self.call_after_refresh(self._paint)

    def take_focus(self) -> None:
        """The list of what needs attention takes the keys."""
        self.table.focus()

    # --- what it needs and shows ---

    def question(self) -> Question:
        """A quarter of an hour, the last failures and acts, and the running tasks where they are few."""
        running = self.snapshot.depths.get(TaskState.RUNNING, 0) if self.snapshot else 0
        leases = TaskListQuestion(TaskState.RUNNING, count=RUNNING_MAX) if 0 < running <= RUNNING_MAX else None
        return Question(self.id or "", minutes=MINUTES, tasks=leases, failures=FAILURES, audited=ACTS)

    def show(self, snapshot: Snapshot) -> None:
        """All of it."""
        super().show(snapshot)
        running = [row.task for row in snapshot.tasks.rows] if snapshot.tasks is not None else []
        facts = all_facts(snapshot.queues, snapshot.fleet, running)
        self._facts = {fact.id: fact for fact in facts}
        rows = tuple(attention_rows(facts, snapshot.queues, snapshot.fleet))
        self.table.show(Window(len(rows), 0, rows))
        self._paint()

    def _paint(self) -> None:
        snapshot = self.snapshot
        if snapshot is None:
            return
        plan = self._plan
        for part in ("queues", "slots", "rates", "failures", "acts"):
            if getattr(plan, part):
                self._canvas(part).paint(self._lines(part, snapshot))

    def _lines(self, part: str, snapshot: Snapshot) -> list[Line]:
        canvas, plan = self._canvas(part), self._plan
        width = canvas.size.width or self.size.width
        match part:
            case "queues":
                return queue_lines(snapshot.queues, snapshot.fleet, width=width, height=plan.queues)
            case "slots":
                yardstick = Yardstick.of(snapshot.queues)
                strip = heat_strip(snapshot.fleet, yardstick, width=width, height=plan.slots - 1)
                empty: list[Line] = [[(" no worker: `tq-worker MODULE` starts some, W on 3 Workers too", "cell--dim")]]
                return [slot_summary(snapshot.fleet, yardstick), *(strip or empty)]
            case "rates":
                return rate_lines(snapshot.queues, width=width)
            case "failures":
                return failure_lines(
                    snapshot.failures, snapshot.now_ms, self._masker, width=width, height=plan.failures
                )
            case _:
                return act_lines(snapshot.audited, snapshot.now_ms, width=width, height=plan.acts)

    # --- going there ---

    @on(VirtualTable.CursorMoved)
    def _moved(self, event: VirtualTable.CursorMoved) -> None:
        event.stop()

    @on(VirtualTable.WindowWanted)
    def _wants(self, event: VirtualTable.WindowWanted) -> None:
        event.stop()
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
