"""What the tasks returned that a task waited for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from tq_core.errors import RefusedError
from tq_core.model import TaskView
from tq_core.roles import ends, inspector
from tq_core.tasks.handle import TaskHandle
from tq_core.transport.steps import Flow

if TYPE_CHECKING:
    from tq_core.tasks.task_queue import TaskQueue

PARENTS_A_TRIP = 200


class ParentResults(Mapping[str, Any]):
    """Results by the parents' ids, in the order of `depends_on`.

    Looking one up raises what its handle's `result` would: TaskFailedError, TaskCancelledError, NotFoundError where it
    was deleted or its retention is over; and RefusedError where it has been started again.
    """

    def __init__(self, task_queue: TaskQueue, parents: Mapping[str, TaskView | None]) -> None:
        self._task_queue, self._parents = task_queue, parents

    def __getitem__(self, parent_id: str) -> Any:
        view = self._parents[parent_id]
        if view is None:
            raise ends.not_found(parent_id)
        if not view.state.is_terminal:
            raise RefusedError(f"the task {parent_id} is {view.state} again: its former result is gone")
        return TaskHandle[Any](self._task_queue, parent_id).result_of(view)

    def __iter__(self) -> Iterator[str]:
        return iter(self._parents)

    def __len__(self) -> int:
        return len(self._parents)

    def __repr__(self) -> str:
        return f"<ParentResults of {', '.join(self._parents) or 'no task'}>"


def fetch(task_id: str) -> Flow[dict[str, TaskView | None]]:
    """A task's parents as they are now, in the order of `depends_on`; None for one that is gone.

    Raises:
        NotFoundError: the task itself is gone.
    """
    own = yield from inspector.show_one(task_id, payload_max=0)
    parents = own.options.depends_on
    found: dict[str, TaskView | None] = {}
    for first in range(0, len(parents), PARENTS_A_TRIP):
        some = parents[first : first + PARENTS_A_TRIP]
        found |= zip(some, (yield from inspector.show(some, payload_max=0)), strict=True)
    return found
