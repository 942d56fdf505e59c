"""Schedules, the tasks that are due next, and how the last task of each schedule ended, as the part of a question."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tq_core.model import TaskState, TaskView
from tq_core.roles import browser, inspector, schedules
from tq_core.roles.browser import TaskWindow
from tq_core.roles.schedules import ScheduleView
from tq_core.transport.steps import Flow
from tq_core.transport.together import together

DUE_MAX = 100
"""Of tasks that are scheduled, and of those that are retried, so many of the next; the Tasks screen has all."""


@dataclass(frozen=True, slots=True)
class Upcoming:
    """What will happen, and what came of what has."""

    schedules: tuple[ScheduleView, ...]
    scheduled: TaskWindow
    retrying: TaskWindow
    last: tuple[TaskView, ...]
    """The last tasks that were asked for, as far as they are kept."""


@dataclass(frozen=True, slots=True)
class SchedulePart:
    """Everything that is due."""

    last: tuple[tuple[str, str], ...] = ()
    """Queue and id of the last tasks of the schedules on screen."""

    def flow(self, queues: Sequence[str]) -> Flow[Upcoming]:
        """Asks in one round trip."""
        by_queue: dict[str, list[str]] = {}
        for queue, task_id in self.last:
            if queue in queues:
                by_queue.setdefault(queue, []).append(task_id)
        flows: list[Flow[Any]] = [
            schedules.schedules(queues),
            browser.window(queues, TaskState.SCHEDULED, from_there=DUE_MAX, payload_max=0),
            browser.window(queues, TaskState.RETRYING, from_there=DUE_MAX, payload_max=0),
            *(inspector.show(ids, payload_max=0, queue=queue) for queue, ids in by_queue.items()),
        ]
        known, scheduled, retrying, *last = yield from together(flows)
        return Upcoming(tuple(known), scheduled, retrying, tuple(task for some in last for task in some if task))
