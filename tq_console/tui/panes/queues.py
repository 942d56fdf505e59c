"""The Queues screen: how full each queue is, how old, how fast, and what stops it."""

from __future__ import annotations

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from tq_console.tui.actions import queues as queue_plans
from tq_console.tui.actions.messages import WindowWanted
from tq_console.tui.lists.held_order import HeldOrder
from tq_console.tui.lists.overview_lines import at_most
from tq_console.tui.lists.queue_rows import COLUMNS, ORDERS, TREND_MINUTES, queue_row, worth_seeing
from tq_console.tui.look.canvas import Canvas, Line, Span
from tq_console.tui.look.focus import focus_now
from tq_console.tui.look.glyphs import TASK_SIGNS
from tq_console.tui.panes.pane import NeedChanged, NothingToDo, Pane, PlaceChosen, PlanMade, SubmitWanted
from tq_console.tui.table.rows import Window
from tq_console.tui.table.table import VirtualTable
from tq_console.tui.watch.snapshot import Question, Snapshot
from tq_console.view.formats import age
from tq_console.view.limits import breakers, rule_words
from tq_console.view.secrets import Masker
from tq_console.view.task_page import error_text
from tq_core.model import TaskState
from tq_core.roles.inspector import QueueStats
from tq_core.roles.serving import UNSERVED, served_queues

FAILURES = 5
TYPES = 5


class QueuesPane(Pane):
    """All queues."""

    TITLE = "Queues"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("p", "pause", "pause/resume", tooltip="Pause the queue, or let it go on", id="queues.pause"),
        Binding("h", "hold", "pause, why", show=False, tooltip="Pause it, and say why", id="queues.hold"),
        Binding("l", "limits", "limits", tooltip="How much may wait, run and start", id="queues.limits"),
        Binding("o", "breakers", "breakers", show=False, tooltip="Open or close a breaker", id="queues.breakers"),
        Binding("n", "new", "new task", tooltip="Submit a new task to this queue", id="queues.new"),
        Binding("P", "purge", "purge", tooltip="Delete all pending tasks of the queue", id="queues.purge"),
        Binding(
            "R", "retry_all", "retry DLQ", tooltip="Run all failed tasks of the queue again", id="queues.retry_all"
        ),
        Binding("s", "sort", "sort", show=False, tooltip="Sort by a column; again: reversed", id="queues.sort"),
    ]

    def __init__(self, *, masker: Masker, actor: str, id: str) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self._masker, self._actor = masker, actor
        self._horizontal, self._vertical = 1, 1
        self.order = HeldOrder[QueueStats](lambda queue: queue.queue, ORDERS)

    def compose(self) -> ComposeResult:
        """The table and, where there is room, what is in the queue under the cursor."""
        yield VirtualTable(COLUMNS, empty_text="no queue yet · n submits a task, which makes one")
        yield Canvas(classes="queue-preview")

    @property
    def table(self) -> VirtualTable:
        return self.query_one(VirtualTable)

    @property
    def subject(self) -> str | None:
        return self.table.cursor_id

    @property
    def asks_why(self) -> tuple[str, str] | None:
        return ("queue", self.table.cursor_id) if self.table.cursor_id else None

    def set_breakpoints(self, horizontal: int, vertical: int) -> None:
        """Shows as much as there is room for."""
        self._horizontal, self._vertical = horizontal, vertical
        self.table.breakpoint = horizontal
        self.query_one(".queue-preview").display = vertical == 1

    def take_focus(self) -> None:
        """The list takes the keys."""
        focus_now(self.table)

    def question(self) -> Question:
        """Queues with their past minutes; of the one under the cursor what waits in it, and its latest failures."""
        chosen = self.table.cursor_id if self._vertical else None
        return Question(
            self.id or "",
            minutes=TREND_MINUTES if self._horizontal else 5,
            failures=FAILURES if chosen else 0,
            failures_of=chosen,
            waiting_of=chosen,
        )

    def show(self, snapshot: Snapshot) -> None:
        """The queues."""
        super().show(snapshot)
        served = served_queues(snapshot.fleet)
        rows = tuple(queue_row(q, served.get(q.queue, UNSERVED)) for q in self.order.arrange(snapshot.queues))
        self.table.show(Window(len(rows), 0, rows))
        self._paint_preview()

    def _queue(self) -> QueueStats | None:
        """The queue under the cursor."""
        name = self.table.cursor_id
        return self.snapshot.queue(name) if self.snapshot and name else None

    def _paint_preview(self) -> None:
        queue = self._queue()
        self.query_one(".queue-preview", Canvas).paint(self._preview_lines(queue) if queue else [])

    def _preview_lines(self, queue: QueueStats) -> list[Line]:
        strip: list[Span] = [(" ", "")]
        for state in TaskState:
            if number := queue.depths[state]:
                sign = TASK_SIGNS[state]
                strip += [(f"{sign} ", sign.style), (f"{number:,}   ", "")]
        if len(strip) == 1:
            strip.append(("no task", "cell--dim"))
        lines: list[Line] = [[(f" {queue.queue}", "cell--title")], strip]
        if queue.paused:
            why = f": {queue.paused.why}" if queue.paused.why else ""
            since = age(queue.now_ms - queue.paused.at_ms)
            lines.append([(f" ‖ paused {since} ago by {queue.paused.by}{why}", "cell--warn")])
        lines.append(self._waiting_line(queue))
        times = ", ".join(
            f"{kind} p50 {at_most(queue, kind, 0.5)} p95 {at_most(queue, kind, 0.95)}" for kind in ("wait", "run")
        )
        lines.append([(" times  ", "cell--dim"), (times, "")])
        lines.append([(" limits ", "cell--dim"), (", ".join(rule_words(queue)) or "none", "")])
        held = [
            (f" ⊘ the breaker of {t} is open: its tasks are held back", "cell--bad") for t in breakers(queue, "open")
        ]
        held += [(f" ⊘ the breaker of {t} is half-open: probes run", "cell--warn") for t in breakers(queue, "half")]
        lines += [[span] for span in held]
        failed = [task for task in (self.snapshot.failures if self.snapshot else ()) if task.queue == queue.queue]
        if failed:
            lines.append([(" last failures", "cell--dim")])
            now_ms = self.snapshot.now_ms if self.snapshot else 0
            lines += [
                [
                    (f"  {age(now_ms - (task.finished_at_ms or now_ms)):>4} ago  ", "cell--dim"),
                    (f"{task.type}  ", ""),
                    (error_text(task.error, self._masker), "cell--bad"),
                ]
                for task in failed[:FAILURES]
            ]
        return lines

    def _waiting_line(self, queue: QueueStats) -> Line:
        """Of which types the next tasks are; they were read, and how many of all that is."""
        waiting = self.snapshot.waiting if self.snapshot else None
        line: list[Span] = [(" next   ", "cell--dim")]
        if waiting is None or waiting.queue != queue.queue:
            return [*line, ("…" if queue.depths[TaskState.PENDING] else "nothing is pending", "cell--dim")]
        if not waiting.read:
            return [*line, ("nothing is pending", "cell--dim")]
        line.append((", ".join(f"{name} {number:,}" for name, number in waiting.types[:TYPES]), ""))
        more = len(waiting.types) - TYPES
        others = f" and {more} other types" if more > 0 else ""
        of = f"  (the first {waiting.read:,} of {waiting.total:,} were read)" if waiting.read < waiting.total else ""
        return [*line, (f"{others}{of}", "cell--dim")]

    @on(VirtualTable.CursorMoved)
    def _moved(self, event: VirtualTable.CursorMoved) -> None:
        event.stop()
        self.order.moved()
        self._paint_preview()
        self.post_message(NeedChanged(is_missing=False))

    @on(VirtualTable.WindowWanted)
    def _wants(self, event: VirtualTable.WindowWanted) -> None:
        event.stop()
        self.post_message(NeedChanged())

    @on(VirtualTable.Opened)
    def _opened(self, event: VirtualTable.Opened) -> None:
        event.stop()
        queue = self._queue()
        state = worth_seeing(queue) if queue is not None else TaskState.PENDING
        self.post_message(PlaceChosen("tasks", queue=event.row_id, state=state))

    def action_pause(self) -> None:
        """Pauses the queue, or lets it go on."""
        queue = self._queue()
        if queue is None:
            self.post_message(NothingToDo("no queue here to pause"))
            return
        if queue.paused:
            plan = queue_plans.resume(queue.queue, actor=self._actor, why_paused=queue.paused.why)
        else:
            plan = queue_plans.pause(queue.queue, actor=self._actor)
        self.post_message(PlanMade(plan))

    def action_hold(self) -> None:
        """Pauses the queue with a reason."""
        queue = self._queue()
        if queue is None or queue.paused:
            why = "no queue here to pause" if queue is None or not queue.paused else "it is paused: p lets it go on"
            self.post_message(NothingToDo(why))
            return
        self.post_message(WindowWanted("pause_why", queue.queue))

    def action_limits(self) -> None:
        """Opens the limits of the queue."""
        self._open("limits")

    def action_breakers(self) -> None:
        """Opens the breakers of the queue."""
        self._open("breakers")

    def _open(self, window: str) -> None:
        if self.table.cursor_id is None:
            self.post_message(NothingToDo(f"no queue here that has {window}"))
        else:
            self.post_message(WindowWanted(window, self.table.cursor_id))

    def action_purge(self) -> None:
        """Deletes what is pending."""
        queue = self._queue()
        if queue is None or not queue.depths[TaskState.PENDING]:
            self.post_message(NothingToDo("nothing is pending here"))
            return
        plan = queue_plans.purge(queue, TaskState.PENDING, actor=self._actor, masker=self._masker)
        self.post_message(PlanMade(plan))

    def action_retry_all(self) -> None:
        """Runs all failed tasks of the queue again."""
        queue = self._queue()
        if queue is None or not queue.depths[TaskState.FAILED]:
            self.post_message(NothingToDo("nothing has failed here"))
            return
        self.post_message(PlanMade(queue_plans.retry_all_failed(queue, actor=self._actor, masker=self._masker)))

    def action_sort(self) -> None:
        """Asks by which column."""
        if self.snapshot is None or not self.snapshot.queues:
            self.post_message(NothingToDo("nothing here to sort"))
            return
        # Loaded where it is needed: the first frame does not wait for it.
        from tq_console.tui.filtering.sort_choice import choose_order

        def sorted_by() -> None:
            self.table.set_columns(self.order.columns(COLUMNS))
            if self.snapshot is not None:
                self.show(self.snapshot)

        choose_order(self.app, self.order, sorted_by)

    def action_new(self) -> None:
        """Opens the form for this queue."""
        self.post_message(SubmitWanted(queue=self.table.cursor_id))
