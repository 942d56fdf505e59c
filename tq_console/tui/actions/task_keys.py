"""What the keys do to the tasks that are chosen, wherever they are shown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from textual.binding import Binding

from tq_console.tui.actions import tasks as task_plans
from tq_console.tui.actions.messages import NothingToDo, PlanMade, SubmitWanted
from tq_core.model import TaskState, TaskView
from tq_core.roles.registry import Fleet

if TYPE_CHECKING:
    from textual.message import Message

CANCELLABLE = (TaskState.BLOCKED, TaskState.SCHEDULED, TaskState.PENDING, TaskState.RETRYING, TaskState.RUNNING)
TASK_BINDINGS = (
    Binding("r", "retry", "retry", tooltip="Run the task again (ended tasks)", id="tasks.retry"),
    Binding("e", "edit", "edit", tooltip="Edit and resubmit: a new task, linked to this one", id="tasks.edit"),
    Binding(
        "X", "cancel", "cancel", tooltip="Cancel: end it before it runs, ask a running one to stop", id="tasks.cancel"
    ),
    Binding("K", "kill", "kill", tooltip="Kill a running task, if need be with its process", id="tasks.kill"),
    Binding(
        "D", "discard", "delete", tooltip="Delete the task; tq undo brings it back for a while", id="tasks.discard"
    ),
)


@dataclass(frozen=True, slots=True)
class Chosen:
    """The tasks that a key is about, captured when it was pressed."""

    ids: tuple[str, ...]
    tasks: tuple[TaskView, ...]
    """What is known of them."""
    state: TaskState
    fleet: Fleet | None
    """None: nothing is known yet."""


def useless_on(state: TaskState) -> frozenset[str]:
    """Actions of TASK_BINDINGS that do nothing to a task in this state; their keys say why."""
    if state.is_terminal:
        return frozenset({"cancel", "kill"})
    return frozenset({"retry", "discard"} if state is TaskState.RUNNING else {"retry", "kill"})


class TaskKeys:
    """The actions of TASK_BINDINGS, for a widget that knows which tasks are chosen."""

    actor: str

    if TYPE_CHECKING:

        def post_message(self, message: Message) -> bool: ...

    def chosen(self) -> Chosen:
        """What is marked or under the cursor now."""
        raise AssertionError("each widget knows what is chosen")

    def action_retry(self) -> None:
        """Runs ended tasks again."""
        chosen = self.chosen()
        if not chosen.ids:
            self.post_message(NothingToDo("no task here to run again"))
        elif not chosen.state.is_terminal:
            self.post_message(NothingToDo(f"a {chosen.state} task is not ended: X cancels it"))
        else:
            self.post_message(PlanMade(task_plans.retry(chosen.ids, actor=self.actor)))

    def action_cancel(self) -> None:
        """Cancels tasks that have not ended."""
        chosen = self.chosen()
        if not chosen.ids:
            self.post_message(NothingToDo("no task here to cancel"))
        elif chosen.state not in CANCELLABLE:
            self.post_message(NothingToDo(f"a {chosen.state} task has ended: r runs it again, D deletes it"))
        else:
            self.post_message(PlanMade(task_plans.cancel(chosen.ids, chosen.tasks, actor=self.actor)))

    def action_kill(self) -> None:
        """Kills running tasks."""
        chosen = self.chosen()
        if not chosen.ids or chosen.fleet is None:
            self.post_message(NothingToDo("no task here to kill"))
        elif chosen.state is not TaskState.RUNNING:
            self.post_message(NothingToDo(f"a {chosen.state} task does not run: only running ones can be killed"))
        else:
            self.post_message(PlanMade(task_plans.kill(chosen.ids, chosen.tasks, chosen.fleet, actor=self.actor)))

    def action_discard(self) -> None:
        """Deletes tasks."""
        chosen = self.chosen()
        if not chosen.ids:
            self.post_message(NothingToDo("no task here to delete"))
        elif chosen.state is TaskState.RUNNING:
            self.post_message(NothingToDo("a running task cannot be deleted: K kills it"))
        else:
            self.post_message(PlanMade(task_plans.discard(chosen.ids, chosen.tasks, actor=self.actor)))

    def action_edit(self) -> None:
        """Opens the form, filled from the task under the cursor."""
        chosen = self.chosen()
        if len(chosen.ids) != 1:
            self.post_message(
                NothingToDo("no task here to edit" if not chosen.ids else "one task at a time can be edited")
            )
        else:
            self.post_message(SubmitWanted(from_id=chosen.ids[0]))
