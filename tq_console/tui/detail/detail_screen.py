"""One task on a screen of its own."""

from __future__ import annotations

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import Screen

from tq_console.tui.actions import tasks as task_plans
from tq_console.tui.actions.messages import NothingToDo, PlanMade, TaskOpened
from tq_console.tui.actions.task_keys import TASK_BINDINGS, Chosen, TaskKeys, useless_on
from tq_console.tui.detail.detail_view import DetailView
from tq_console.tui.frame.hints import hint_line
from tq_console.tui.frame.status import LinkState, freshness_line
from tq_console.tui.look.canvas import Canvas, Line, Span
from tq_console.tui.watch.snapshot import Snapshot
from tq_console.view.secrets import Masker, Revealer
from tq_core.model import TaskState


class DetailScreen(TaskKeys, Screen[None]):
    """Shows one task, and does what can be done with it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        *TASK_BINDINGS,
        Binding("V", "reveal", "secrets", show=False, tooltip="Show its secrets; that is audited", id="detail.reveal"),
        Binding("escape,q,backspace", "dismiss", "back", tooltip="Back", id="detail.back"),
    ]

    def __init__(self, task_id: str, *, masker: Masker, actor: str, before: Snapshot | None = None) -> None:
        """Makes the screen.

        Args:
            actor: Who is written down with each change.
            before: What is known until the first answer comes.
        """
        super().__init__()
        self.task_id, self.actor = task_id, actor
        self._masker = masker
        self._snapshot = before
        self._is_revealed = False

    def compose(self) -> ComposeResult:
        """The task and the hints."""
        yield Canvas(id="detail-header")
        yield DetailView(masker=self._masker, has_cursor=True, id="detail-view")
        yield Canvas(id="detail-hints")

    def on_mount(self) -> None:
        """Takes the focus."""
        self.query_one(DetailView).focus()
        self._paint_header([])
        self._paint_hints()
        if self._snapshot is not None:
            self.show(self._snapshot)

    def on_resize(self) -> None:
        """Fits the hints."""
        if self._is_whole:
            self._paint_hints()

    @property
    def _is_whole(self) -> bool:
        """Whether all that is painted on is there: not before it is made, nor while the console ends."""
        return bool(self.query("#detail-hints"))

    def show(self, snapshot: Snapshot) -> None:
        """Shows what came, if it is about this task."""
        if not self._is_whole:
            return
        if snapshot.detail is not None and snapshot.detail.task_id == self.task_id:
            self._snapshot = snapshot
            self.query_one(DetailView).show(snapshot.detail, snapshot.now_ms)
            self._paint_hints()

    def show_link(self, link: LinkState, now_s: float) -> None:
        """Says when what is shown is old, and why."""
        if self._is_whole:
            room = self.size.width - len(self.task_id) - 9
            self._paint_header(freshness_line(self._snapshot, link, now_s=now_s, width=max(12, room)))

    def _paint_header(self, freshness: Line) -> None:
        title: Span = (f" task {self.task_id}   ", "cell--title")
        shown: Line = [(" SECRETS SHOWN ", "cell--badge-warn"), ("  ", "")] if self._is_revealed else []
        self.query_one("#detail-header", Canvas).paint([[title, *shown, *freshness]])

    def chosen(self) -> Chosen:
        """This task."""
        detail = self._snapshot.detail if self._snapshot else None
        if self._snapshot is None or detail is None or detail.task is None:
            return Chosen((), (), TaskState.PENDING, None)
        return Chosen((self.task_id,), (detail.task,), detail.task.state, self._snapshot.fleet)

    @on(DetailView.TaskChosen)
    def _task_chosen(self, event: DetailView.TaskChosen) -> None:
        event.stop()
        self.post_message(TaskOpened(event.task_id))

    @on(DetailView.Missing)
    def _missing(self, event: DetailView.Missing) -> None:
        event.stop()
        self.post_message(NothingToDo(event.why))

    def action_reveal(self) -> None:
        """Shows the task's secrets until the screen is left, once that is written down."""
        chosen = self.chosen()
        if not chosen.tasks:
            self.post_message(NothingToDo("no task here whose secrets could be shown"))
        elif self._is_revealed:
            self.post_message(NothingToDo("its secrets are shown already; esc leaves the screen"))
        else:
            self.post_message(PlanMade(task_plans.reveal(chosen.tasks[0], actor=self.actor, then=self._reveal)))

    def _reveal(self) -> None:
        self._is_revealed = True
        if self._is_whole:
            view = self.query_one(DetailView)
            view.masker = Revealer()
            view.paint()
            self._paint_header([])

    def _paint_hints(self) -> None:
        bindings = list(self.active_bindings.values())
        bindings.sort(key=lambda active: (active.binding.id or "").startswith(("app.", "detail.")))
        self.query_one("#detail-hints", Canvas).paint(
            [hint_line(bindings, self.size.width, useless=useless_on(self.chosen().state))]
        )
