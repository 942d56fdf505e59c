"""Plans for all tasks that failed alike: run them again, delete them."""

from __future__ import annotations

from collections.abc import Sequence

from tq_console.tui.actions.plan import Level, Plan, command_line, tell_bulk
from tq_console.tui.actions.tasks import MANY
from tq_console.view.failure_groups import FailureGroup
from tq_console.view.formats import plural, short_id
from tq_console.view.secrets import Masker
from tq_console.view.task_page import arguments_text
from tq_core.roles import failure_groups
from tq_core.transport.steps import Flow

SAMPLES = 3


def retry(group: FailureGroup, *, queue: str | None, actor: str, masker: Masker) -> Plan:
    """Runs a group again.

    Args:
        queue: Only its tasks of this queue; None = of all.
    """
    queues = _queues(group, queue)
    return Plan(
        title=f"Run {plural(_total(group, queues), 'task')} again that failed alike",
        command=command_line("dlq", "retry", "--group", group.group, *_named(queue)),
        level=_level(group, queues),
        flow=lambda told: failure_groups.requeue(queues, group.group, actor=actor, on_progress=told),
        tell=tell_bulk("will run again"),
        facts=(_where(group, queues),),
        ask_facts=lambda: group_facts(queues, group.group, masker),
        total=_total(group, queues),
    )


def discard(group: FailureGroup, *, queue: str | None, actor: str, masker: Masker) -> Plan:
    """Deletes a group.

    Args:
        queue: Only its tasks of this queue; None = of all.
    """
    queues = _queues(group, queue)
    return Plan(
        title=f"Delete {plural(_total(group, queues), 'task')} that failed alike",
        command=command_line("dlq", "discard", "--group", group.group, *_named(queue), "--yes"),
        level=_level(group, queues),
        flow=lambda told: failure_groups.discard(queues, group.group, actor=actor, on_progress=told),
        tell=tell_bulk("deleted"),
        facts=(_where(group, queues), "with their arguments and history; `tq undo` brings them back for a while"),
        ask_facts=lambda: group_facts(queues, group.group, masker),
        total=_total(group, queues),
    )


def _queues(group: FailureGroup, queue: str | None) -> tuple[str, ...]:
    return tuple(group.counts) if queue is None else (queue,)


def _named(queue: str | None) -> tuple[str, ...]:
    return () if queue is None else ("--queue", queue)


def _total(group: FailureGroup, queues: Sequence[str]) -> int:
    return sum(group.counts.get(queue, 0) for queue in queues)


def _level(group: FailureGroup, queues: Sequence[str]) -> Level:
    return Level.BAR if _total(group, queues) <= MANY else Level.MODAL


def _where(group: FailureGroup, queues: Sequence[str]) -> str:
    return f"{group.type} in {', '.join(queues[:5])}{' …' if len(queues) > 5 else ''}"


def group_facts(queues: Sequence[str], group: str, masker: Masker) -> Flow[tuple[str, ...]]:
    """What would be hit, as the server has it now: how many in which queue, and some of them."""
    found = yield from failure_groups.members(queues, group, limit=SAMPLES)
    if not found.total:
        return ("the group is empty now",)
    counts = ", ".join(f"{queue} {number:,}" for queue, number in found.counts.items() if number)
    samples = [f"  {short_id(task.id)} {task.type} {arguments_text(task, masker)[:80]}" for task in found.tasks]
    return (f"{plural(found.total, 'task')} now: {counts}", *samples)
