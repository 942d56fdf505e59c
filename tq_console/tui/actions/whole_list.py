"""Plans for all tasks of a list, on screen or not: a job on the server, counted before, told while it goes on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tq_console.tui.actions.plan import Level, Plan, Progress, Told, command_line
from tq_console.tui.actions.stopping import Stop
from tq_console.view.formats import plural
from tq_console.view.secrets import Masker
from tq_console.view.task_page import arguments_text
from tq_core.model import TaskState, TaskView, priority_label
from tq_core.query.query import TaskQuery, parse_query
from tq_core.roles import jobs, search
from tq_core.roles.inspector import QueueStats
from tq_core.roles.jobs import ALL_STATES, Action, Job, Part
from tq_core.roles.undo import undoable
from tq_core.transport.steps import Flow

COUNT_MAX = 20_000
"""Tasks that are looked at to say how many fit."""
COUNT_AT_ONCE = 1_000
SAMPLES = 3
_VERBS: dict[str, tuple[str, str]] = {
    "retry": ("Run again", "requeued"),
    "cancel": ("Cancel", "cancelled"),
    "kill": ("Kill", "killed"),
    "delete": ("Delete", "deleted"),
    "reprioritise": ("Give", "reprioritised"),
    "move": ("Move", "moved"),
}


@dataclass(frozen=True, slots=True)
class Act:
    """What is done to all of them."""

    action: Action
    priority: int | None = None
    """Of reprioritise."""
    to: str = ""
    """Of move: the queue."""

    @property
    def options(self) -> tuple[str, ...]:
        """Those of the `tq` command."""
        if self.to:
            return ("--to", self.to)
        return () if self.priority is None else ("--priority", priority_label(self.priority))


@dataclass(frozen=True, slots=True)
class WholeList:
    """Which tasks: all of these states that fit."""

    states: tuple[TaskState, ...]
    queue: str | None
    words: str

    def only(self, states: Sequence[TaskState]) -> WholeList:
        """Those of these states."""
        return WholeList(tuple(s for s in self.states if s in states), self.queue, self.words)

    @property
    def query(self) -> TaskQuery | None:
        return parse_query(self.words) if self.words else None

    def export_command(self, file: str) -> str:
        """The `tq` command that writes them into a file."""
        text = self.words
        if not (self.query and self.query.names_state):
            state = " OR ".join(f"state:{state}" for state in self.states)
            text = f"({state}) ({text})" if text and len(self.states) > 1 else f"{state} ({text})" if text else state
        queue = ("--queue", self.queue) if self.queue else ()
        return command_line("tasks", "export", text, *queue, "--output", file)

    def command(self, *words: str) -> str:
        """The `tq` command on them."""
        query = self.query
        states = () if query and query.names_state else self.states
        text = self.words or " OR ".join(f"state:{state}" for state in self.states)
        named = [word for state in states if self.words for word in ("--state", str(state))]
        return command_line(*words, "--filter", text, *named, *(("--queue", self.queue) if self.queue else ()))


def on_all(act: Act, chosen: WholeList, queues: Sequence[QueueStats], *, actor: str, masker: Masker) -> Plan | str:
    """The plan, or why there is none.

    Args:
        queues: As they were last seen.
    """
    action = act.action
    meant = chosen.only(ALL_STATES[action])
    if not meant.states:
        return f"{' and '.join(chosen.states)} tasks cannot be chosen to {action}"
    query = meant.query
    depths = {
        q.queue: sum(q.depths[state] for state in meant.states)
        for q in queues
        if meant.queue in (None, q.queue) and (query is None or query.could_fit(q.queue))
    }
    named = [queue for queue, depth in depths.items() if depth and queue != act.to]
    if not named:
        return f"no task here to {action}"
    job = Job(action=action, states=meant.states, filter=meant.words, by=actor, priority=act.priority, to=act.to)
    verb, participle = _VERBS[action]
    where = (
        f" to {act.to}"
        if act.to
        else f" the priority {priority_label(act.priority)}"
        if act.priority is not None
        else ""
    )
    stop = Stop()
    which = f" that fit {meant.words}" if meant.words else ""

    def flow(told: Progress) -> Flow[tuple[list[Part], bool]]:
        parts = yield from jobs.do_all(named, job, told=told, is_stopped=lambda: stop.is_wanted)
        can_undo = yield from undoable(named, op=parts[0].job_id) if parts else ()
        return parts, bool(can_undo)

    return Plan(
        title=f"{verb} all {' and '.join(meant.states)} tasks{which}{where}",
        command=meant.command("tasks", action, *act.options),
        level=Level.MODAL,
        flow=flow,
        tell=lambda came: _told(came[0], participle, can_undo=came[1]),
        facts=(
            f"in {meant.queue or plural(len(named), 'queue')}: those that fit when you say yes, none that come later",
        ),
        ask_facts=lambda: _count(named, meant, masker),
        total=sum(depths.values()),
        stop=stop,
    )


def _told(parts: Sequence[Part], participle: str, *, can_undo: bool) -> Told:
    done, skipped = sum(part.done for part in parts), sum(part.skipped for part in parts)
    left = f"; {plural(skipped, 'task')} left, since they had gone on" if skipped else ""
    is_cancelled = any(part.status != "done" for part in parts)
    stopped = "; it was stopped before its end" if is_cancelled else ""
    op = parts[0].job_id if can_undo and done else ""
    undo = f" (tq undo {op})" if op else ""
    text = f"{plural(done, 'task')} {participle}{left}{stopped}{undo}"
    return Told(text, is_good=not skipped and not is_cancelled, undo_op=op)


def _count(queues: Sequence[str], meant: WholeList, masker: Masker) -> Flow[tuple[str, ...]]:
    """How many there are, of which types, and some of them."""
    query = meant.query
    at = yield from search.begin(queues, meant.states, query)
    judge: Callable[[TaskView], bool | None] = lambda _task: True  # noqa: E731 - one of two judges
    if query is not None:
        judge = yield from search.judge_of(query)
    types: Counter[str] = Counter()
    samples: list[TaskView] = []
    unread = 0
    look_max = COUNT_MAX if query else COUNT_AT_ONCE
    while not at.is_done and at.looked < look_max:
        found = yield from search.go_on(at, judge, look_max=COUNT_AT_ONCE, find_max=COUNT_AT_ONCE, payload_max=4_096)
        at, unread = found.search, unread + found.unread
        types.update(task.type for task in found.tasks)
        samples += found.tasks[: SAMPLES - len(samples)]
    counted = sum(types.values())
    if query is None:
        how_many = f"{plural(at.total, 'task')}, all that are {' or '.join(meant.states)}"
    elif at.is_done:
        how_many = f"{plural(counted, 'task')} of {at.total:,}; all of them were looked at"
    else:
        how_many = f"at least {plural(counted, 'task')}: {at.looked:,} of {at.total:,} were looked at"
    kinds = ", ".join(f"{number:,} {name}" for name, number in types.most_common(4))
    more = f" and {len(types) - 4} other types" if len(types) > 4 else ""
    return (
        how_many,
        *((f"{kinds}{more}",) if kinds else ()),
        *(
            (f"of {plural(unread, 'more task')} it is not known whether they fit: they are left alone",)
            if unread
            else ()
        ),
        *(f"for example {task.id} {task.type} {arguments_text(task, masker)}" for task in samples),
    )
