"""What tasks are given by choosing it: another priority, another queue."""

from __future__ import annotations

from tq_console.tui.actions import tasks as task_plans
from tq_console.tui.actions.desk import Desk
from tq_console.tui.actions.messages import NothingToDo
from tq_console.tui.actions.task_keys import Chosen
from tq_console.tui.picking.pick_screen import Choice, PickScreen
from tq_console.view.formats import age, plural
from tq_core.errors import InvalidInputError
from tq_core.model import MAX_PRIORITY, PRIORITIES, TaskState, parse_priority, priority_label
from tq_core.roles import inspector


async def pick_priority(desk: Desk, chosen: Chosen) -> None:
    """Asks for a priority, and gives it to the tasks that were chosen when the key was pressed."""
    choices = [Choice(str(number), name, f"{number}") for name, number in PRIORITIES.items()]
    now = sorted({task.priority for task in chosen.tasks})
    are = ", ".join(map(priority_label, now[:4]))
    about = f"{plural(len(chosen.ids), 'task')}{f', now {are}' if are else ''}; or type 0 (first) to {MAX_PRIORITY}"
    screen = PickScreen(
        "Priority", choices, about=about, verb="give it", chosen=str(now[0]) if now else None, read=_priority
    )
    wanted: str | None = await desk.app.push_screen_wait(screen)
    if wanted is not None:
        await desk.performer.perform(task_plans.reprioritise(chosen.ids, chosen.tasks, int(wanted), actor=desk.actor))


def _priority(text: str) -> str:
    try:
        return str(parse_priority(text))
    except InvalidInputError as error:
        raise ValueError(error.message) from error


async def pick_queue(desk: Desk, chosen: Chosen) -> None:
    """Asks for a queue, and moves the tasks there that were chosen when the key was pressed."""
    homes = {task.queue for task in chosen.tasks}
    queues = await desk.link.ask(inspector.stats(minutes=1, has_counters=False))
    others = [queue for queue in queues if homes != {queue.queue}]
    if not others:
        desk.app.post_message(NothingToDo("there is no other queue to move them to: a submit makes one"))
        return
    choices = []
    for queue in others:
        pending = queue.depths[TaskState.PENDING]
        paused = f"  ‖ paused by {queue.paused.by}" if queue.paused else ""
        oldest = f", oldest {age(queue.oldest_age_ms)}" if pending else ""
        choices.append(Choice(queue.queue, queue.queue, f"{pending:,} pending{oldest}{paused}"))
    about = f"{plural(len(chosen.ids), 'task')} from {', '.join(sorted(homes)) or '?'}"
    to: str | None = await desk.app.push_screen_wait(PickScreen("Move to", choices, about=about, verb="move"))
    if to is not None:
        await desk.performer.perform(task_plans.move(chosen.ids, chosen.tasks, to, actor=desk.actor))
