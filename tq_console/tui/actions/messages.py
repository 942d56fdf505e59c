"""What a key asks of the app."""

from __future__ import annotations

from textual.message import Message

from tq_console.tui.actions.plan import Plan
from tq_core.roles.schedules import ScheduleView


class PlanMade(Message):
    """Something is to be done."""

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        self.plan = plan


class NothingToDo(Message):
    """A key was pressed that cannot do anything now, and why."""

    def __init__(self, why: str) -> None:
        super().__init__()
        self.why = why


class TaskOpened(Message):
    """A task is to be shown whole."""

    def __init__(self, task_id: str) -> None:
        super().__init__()
        self.task_id = task_id


class WindowWanted(Message):
    """A window is to be opened over the screen."""

    def __init__(self, kind: str, about: object = None) -> None:
        """Says which.

        Args:
            kind: One of tq_console.tui.wiring.windows.
            about: What it is about, captured when the key was pressed.
        """
        super().__init__()
        self.kind, self.about = kind, about


class SubmitWanted(Message):
    """The form for a new task is to be opened, perhaps filled from another task."""

    def __init__(self, *, from_id: str | None = None, queue: str | None = None) -> None:
        super().__init__()
        self.from_id, self.queue = from_id, queue


class ScheduleFormWanted(Message):
    """The form for a schedule is to be opened: for a new one, or filled with the one that is to be changed."""

    def __init__(self, view: ScheduleView | None, *, queue: str | None = None) -> None:
        super().__init__()
        self.view, self.queue = view, queue
