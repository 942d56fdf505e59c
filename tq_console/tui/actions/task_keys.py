"""What the keys do to the tasks that are chosen, wherever they are shown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from textual.binding import Binding

from tq_console.tui.actions import tasks as task_plans
from tq_console.tui.actions.messages import NothingToDo, PlanMade, SubmitWanted, WindowWanted
from tq_core.model import WAITING_STATES, TaskState, TaskView
from tq_core.roles.registry import Fleet

if TYPE_CHECKING:
    from textual.message import Message

CANCELLABLE = (TaskState.BLOCKED, TaskState.SCHEDULED, TaskState.PENDING, TaskState.RETRYING, TaskState.RUNNING)
TASK_BINDINGS = (
    Binding("r", "retry", "retry", tooltip="Run the task again (ended tasks)", id="tasks.retry"),
    Binding("e", "edit", "edit", tooltip="Edit and resubmit, in $EDITOR where one is set", id="tasks.edit"),
    Binding("E", "edit_form", "edit in form", show=False, tooltip="Edit and resubmit in the form", id="tasks.form"),
    Binding("p", "reprioritise", "priority", tooltip="Another priority for tasks that wait", id="tasks.priority"),
    Binding("greater_than_sign", "move", "move", tooltip="Move them to another queue", id="tasks.move"),
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
        stays = () if state is TaskState.FAILED else ("move",)
        return frozenset({"cancel", "kill", "reprioritise", *stays})
    return frozenset({"retry", "discard", "reprioritise", "move"} if state is TaskState.RUNNING else {"retry", "kill"})


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

    def action_reprioritise(self) -> None:
        """Asks for another priority."""
        chosen = self.chosen()
        if not chosen.ids:
            self.post_message(NothingToDo("no task here to give another priority"))
        elif chosen.state not in WAITING_STATES:
            self.post_message(NothingToDo(f"a {chosen.state} task waits for nothing: a priority changes nothing"))
        else:
            self.post_message(WindowWanted("priority", chosen))

    def action_move(self) -> None:
        """Asks for another queue."""
        chosen = self.chosen()
        if not chosen.ids:
            self.post_message(NothingToDo("no task here to move"))
        elif chosen.state not in (*WAITING_STATES, TaskState.FAILED):
            self.post_message(NothingToDo(f"a {chosen.state} task stays in its queue: those that wait or failed move"))
        else:
            self.post_message(WindowWanted("queue", chosen))

    def action_edit(self) -> None:
        """Opens the editor, or the form where there is none, with the task under the cursor."""
        task_id = self._one_to_edit()
        if task_id is not None:
            self.post_message(WindowWanted("edit", task_id))

    def action_edit_form(self) -> None:
        """Opens the form, filled from the task under the cursor."""
        task_id = self._one_to_edit()
        if task_id is not None:
            self.post_message(SubmitWanted(from_id=task_id))

    def _one_to_edit(self) -> str | None:
        ids = self.chosen().ids
        if len(ids) == 1:
            return ids[0]
        self.post_message(NothingToDo("one task at a time can be edited" if ids else "no task here to edit"))
        return None
