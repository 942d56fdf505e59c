"""One task with all that belongs to it: its log, its parents, what waits for it."""

from __future__ import annotations

from collections.abc import Mapping

from tq_console.tui.watch.snapshot import Detail
from tq_core import ids
from tq_core.errors import InvalidInputError
from tq_core.roles import family, inspector, task_logs
from tq_core.transport.steps import Flow
from tq_core.transport.together import together

WHOLE_BYTES = 1_048_576


def home_of(task_id: str, numbers: Mapping[str, int]) -> str | None:
    """The queue of a task, from its id alone; None where it is no id, or of no queue that is known."""
    try:
        home = ids.home_of(task_id)
    except InvalidInputError:
        return None
    return home if isinstance(home, str) else next((q for q, number in numbers.items() if number == home), None)


def whole_task(task_id: str, numbers: Mapping[str, int]) -> Flow[Detail]:
    """The task in one round trip; in two where it has relatives, or was moved."""
    queue = home_of(task_id, numbers)
    if queue is None:
        return Detail(task_id, None)
    (task,), log, children = yield from together(
        [
            inspector.show([task_id], payload_max=WHOLE_BYTES, queue=queue),
            task_logs.read_in(queue, task_id),
            family.children_of(queue, task_id),
        ]
    )
    if task is None:
        moved = yield from inspector.moved_to([task_id])
        return Detail(task_id, None, moved_to=moved.get(task_id, ""))
    parents = task.options.depends_on
    if not parents and not children:
        return Detail(task_id, task, log=tuple(log))
    near, far = yield from family.named(task_id, parents, children)
    return Detail(task_id, task, log=tuple(log), parents=near, children=far)
