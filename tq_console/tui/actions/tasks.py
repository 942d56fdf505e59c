"""Plans for tasks: retry, cancel, kill, discard, reprioritise, move."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from tq_console.tui.actions.plan import Level, Plan, Progress, Told, command_line, ids_command, tell_done
from tq_console.view.formats import plural, short_id
from tq_core.model import TaskState, TaskView, priority_label
from tq_core.roles import moves, operator
from tq_core.roles.operator import Done
from tq_core.roles.registry import Fleet, WorkerInfo
from tq_core.transport.steps import Flow

MANY = 20
"""More tasks than these are asked about in a window."""


def retry(ids: Sequence[str], *, actor: str) -> Plan:
    """Runs ended tasks again."""
    return Plan(
        title=f"Run {_named(ids)} again",
        command=ids_command("tasks", "retry", ids=ids),
        level=_by_count(ids),
        flow=lambda told: operator.requeue(ids, actor=actor, on_progress=told),
        tell=tell_done("will run again"),
        total=len(ids),
    )


def cancel(ids: Sequence[str], tasks: Sequence[TaskView], *, actor: str) -> Plan:
    """Ends tasks that have not run; asks running ones to stop."""
    running = sum(task.state is TaskState.RUNNING for task in tasks)
    facts = [f"{plural(running, 'of them runs', 'of them run')}: asked to stop, nothing is killed"] if running else []
    return Plan(
        title=f"Cancel {_named(ids)}",
        command=ids_command("tasks", "cancel", ids=ids),
        level=Level.BAR if len(ids) <= MANY else Level.MODAL,
        flow=lambda told: operator.cancel(ids, actor=actor, on_progress=told),
        tell=tell_done("cancelled"),
        facts=(*_kinds(ids, tasks), *facts),
        total=len(ids),
    )


def kill(ids: Sequence[str], tasks: Sequence[TaskView], fleet: Fleet, *, actor: str) -> Plan:
    """Ends tasks at once, if need be with their process; says what would run again."""
    neighbours = neighbours_of(ids, fleet)
    if neighbours:
        count = sum(len(others) for others in neighbours.values())
        where = ", ".join(sorted(neighbours))
        rerun = (
            f"{plural(count, 'other task')} on {where} will run again if a process must be ended; no attempt is lost"
        )
    else:
        rerun = "no other task is hurt"
    return Plan(
        title=f"Kill {_named(ids)}",
        command=ids_command("tasks", "kill", ids=ids),
        level=Level.BAR if len(ids) == 1 else Level.MODAL,
        flow=lambda told: operator.cancel(ids, actor=actor, kill=True, on_progress=told),
        tell=tell_done("killed"),
        facts=(*_kinds(ids, tasks), rerun),
        total=len(ids),
    )


def discard(ids: Sequence[str], tasks: Sequence[TaskView], *, actor: str) -> Plan:
    """Deletes tasks."""
    is_dlq = bool(tasks) and all(task.state is TaskState.FAILED for task in tasks)
    verb = ("dlq", "discard") if is_dlq else ("tasks", "delete")
    return Plan(
        title=f"Delete {_named(ids)}",
        command=ids_command(*verb, ids=ids),
        level=Level.BAR if len(ids) <= MANY else Level.MODAL,
        flow=lambda told: operator.discard(
            ids, actor=actor, action="discard" if is_dlq else "delete", on_progress=told
        ),
        tell=tell_done("deleted"),
        facts=(
            *_kinds(ids, tasks),
            "with their arguments, results and history; `tq undo` brings them back for a while",
        ),
        total=len(ids),
    )


def reprioritise(ids: Sequence[str], tasks: Sequence[TaskView], priority: int, *, actor: str) -> Plan:
    """Gives tasks that wait another priority; what they had is known, so it can be given back."""
    before: dict[int, list[str]] = {}
    for task in tasks:
        before.setdefault(task.priority, []).append(task.id)
    is_known = len(tasks) == len(ids)
    return Plan(
        title=f"Give {_named(ids)} the priority {priority_label(priority)}",
        command=ids_command("tasks", "reprioritise", "--priority", priority_label(priority), ids=ids),
        level=_by_count(ids),
        flow=lambda told: operator.reprioritise(ids, priority, actor=actor, on_progress=told),
        tell=tell_done(f"given the priority {priority_label(priority)}"),
        facts=tuple(_kinds(ids, tasks)),
        total=len(ids),
        inverse=(lambda: _prioritise_back(before, actor=actor)) if is_known else None,
    )


def _prioritise_back(before: dict[int, list[str]], *, actor: str) -> Plan:
    def flow(told: Progress) -> Flow[list[Done]]:
        done: list[Done] = []
        for priority, some in before.items():
            done += yield from operator.reprioritise(some, priority, actor=actor, why="undo")
            told(len(done))
        return done

    commands = [
        ids_command("tasks", "reprioritise", "--priority", priority_label(priority), ids=some)
        for priority, some in before.items()
    ]
    ids = [task_id for some in before.values() for task_id in some]
    return Plan(
        title=f"Give {_named(ids)} the priority of before",
        command="; ".join(commands),
        level=Level.NONE,
        flow=flow,
        tell=tell_done("given the priority of before"),
        total=len(ids),
    )


def move(ids: Sequence[str], tasks: Sequence[TaskView], to: str, *, actor: str) -> Plan:
    """Moves tasks that wait or have failed to another queue, under new ids."""
    return Plan(
        title=f"Move {_named(ids)} to {to}",
        command=ids_command("tasks", "move", "--to", to, ids=ids),
        level=_by_count(ids),
        flow=lambda told: moves.move(ids, to, actor=actor, on_progress=told),
        tell=tell_done(f"moved to {to}"),
        facts=(*_kinds(ids, tasks), "each gets a new id there, and the old one says which"),
        total=len(ids),
    )


def reveal(task: TaskView, *, actor: str, then: Callable[[], None]) -> Plan:
    """Writes down that somebody sees a task's secrets, then shows them."""
    detail = {"tasks": 1, "ids": [task.id]}

    def tell(_: object) -> Told:
        then()
        return Told(f"the secrets of {task.id} are on screen until it is left; that is written down")

    return Plan(
        title=f"Show the secrets of {_named([task.id])}",
        command=command_line("tasks", "show", task.id, "--reveal"),
        level=Level.BAR,
        flow=lambda _told: operator.note(task.queue, actor=actor, action="reveal", detail=detail),
        tell=tell,
        facts=("who sees them, and when, is written into the log of people's acts",),
    )


def _by_count(ids: Sequence[str]) -> Level:
    return Level.NONE if len(ids) == 1 else Level.BAR if len(ids) <= MANY else Level.MODAL


def neighbours_of(ids: Sequence[str], fleet: Fleet) -> dict[str, list[str]]:
    """Worker -> tasks that run in the same process as one of these."""
    found = {}
    for member in fleet.workers:
        running = [slot.task_id for slot in member.info.running] if isinstance(member.info, WorkerInfo) else []
        others = [task_id for task_id in running if task_id not in ids]
        if others and len(others) < len(running):
            found[member.id] = others
    return found


def _named(ids: Sequence[str]) -> str:
    return f"task {short_id(ids[0])}" if len(ids) == 1 else plural(len(ids), "task")


def _kinds(ids: Sequence[str], tasks: Sequence[TaskView]) -> list[str]:
    """What they are; of marks beyond what is loaded only their number is known, and that is said."""
    unknown = len(ids) - len(tasks)
    if not tasks:
        return []
    types = Counter(task.type for task in tasks)
    queues = sorted({task.queue for task in tasks})
    words = ", ".join(f"{n} {name}" for name, n in types.most_common(4))
    more = f" and {len(types) - 4} other types" if len(types) > 4 else ""
    rest = f", and {unknown:,} that are not on screen" if unknown else ""
    return [f"{words}{more} in {', '.join(queues[:3])}{' …' if len(queues) > 3 else ''}{rest}"]
