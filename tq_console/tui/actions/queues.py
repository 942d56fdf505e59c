"""Plans for queues: pause, resume, purge, run all failed ones again."""

from __future__ import annotations

from collections import Counter
from typing import Any

from tq_console.tui.actions.plan import Level, Plan, Told, command_line, tell_bulk
from tq_console.view.formats import age, duration, plural, short_id
from tq_console.view.formats import rate as rate_words
from tq_console.view.secrets import Masker
from tq_console.view.task_page import arguments_text
from tq_core.model import TaskState, TaskView
from tq_core.roles import inspector, operator
from tq_core.roles.inspector import QueueStats
from tq_core.transport.steps import Flow
from tq_core.transport.together import together

SAMPLE = 200


def pause(queue: str, *, actor: str, why: str = "") -> Plan:
    """Stops a queue's tasks from being claimed."""
    return Plan(
        title=f"Pause {queue}",
        command=command_line("queues", "pause", queue, *(("--why", why) if why else ())),
        level=Level.NONE,
        flow=lambda _told: operator.pause_queue(queue, actor=actor, why=why),
        tell=lambda changed: Told(
            f"{queue} is paused; running tasks go on" if changed else f"{queue} was paused already",
            has_changed=changed,
        ),
        inverse=lambda: resume(queue, actor=actor),
    )


def resume(queue: str, *, actor: str, why_paused: str = "") -> Plan:
    """Lets a queue's tasks be claimed again.

    Args:
        why_paused: The reason that was given, for taking it back.
    """
    return Plan(
        title=f"Resume {queue}",
        command=command_line("queues", "resume", queue),
        level=Level.NONE,
        flow=lambda _told: operator.resume_queue(queue, actor=actor),
        tell=lambda changed: Told(f"{queue} goes on" if changed else f"{queue} was not paused", has_changed=changed),
        inverse=lambda: pause(queue, actor=actor, why=why_paused),
    )


def purge(queue: QueueStats, state: TaskState, *, actor: str, masker: Masker) -> Plan:
    """Deletes all tasks of one state of a queue."""
    name, depth = queue.queue, queue.depths[state]
    return Plan(
        title=f"Delete all {plural(depth, f'{state} task')} of {name}",
        command=command_line("queues", "purge", name, "--state", str(state), "--yes"),
        level=Level.MODAL,
        flow=lambda told: operator.purge(name, actor=actor, state=state, on_progress=told),
        tell=tell_bulk("deleted"),
        ask_facts=lambda: blast_radius(name, state, masker),
        total=depth,
        word=name,
    )


def retry_all_failed(queue: QueueStats, *, actor: str, masker: Masker) -> Plan:
    """Runs all failed tasks of a queue again."""
    name, depth = queue.queue, queue.depths[TaskState.FAILED]
    return Plan(
        title=f"Run all {plural(depth, 'failed task')} of {name} again",
        command=command_line("dlq", "retry", "--all", "--queue", name),
        level=Level.MODAL,
        flow=lambda told: operator.requeue_all(name, actor=actor, on_progress=told),
        tell=tell_bulk("will run again"),
        ask_facts=lambda: blast_radius(name, TaskState.FAILED, masker),
        total=depth,
        word=name,
    )


def blast_radius(queue: str, state: TaskState, masker: Masker) -> Flow[tuple[str, ...]]:
    """What would be hit, as the server has it now: how many, of which types, how old, and three of them."""
    page, newest, (numbers,) = yield from together(
        [
            inspector.page(queue, state, limit=SAMPLE),
            inspector.page(queue, state, limit=1, newest_first=True, payload_max=0),
            inspector.stats([queue], minutes=3),
        ]
    )
    if not page.tasks:
        return (f"{queue} has no {state} task now",)
    types = Counter(task.type for task in page.tasks)
    among = "" if page.total <= len(page.tasks) else f" (of the first {len(page.tasks)})"
    first, last = page.tasks[0], page.tasks[-1]
    facts = [
        f"{page.total:,} {state} now",
        "types" + among + ": " + ", ".join(f"{name}: {n:,}" for name, n in types.most_common(4)),
        _ages([first, last, *newest.tasks], numbers.now_ms),
        *_load(numbers, state, page.total),
    ]
    return (*facts, *(_sample(task, masker) for task in page.tasks[:3]))


def _ages(tasks: list[TaskView], now_ms: int) -> str:
    """Between which ages they are, as far as both ends of the list tell."""
    created = [task.created_at_ms for task in tasks]
    return f"enqueued {age(now_ms - min(created))} to {age(now_ms - max(created))} ago"


def _load(numbers: QueueStats, state: TaskState, total: int) -> list[str]:
    """How much work they are, at the pace that was measured; nothing where none was."""
    rate = numbers.rate_per_s("completed", window_s=120) + numbers.rate_per_s("failures", window_s=120)
    if state is TaskState.COMPLETED or rate <= 0:
        return []
    return [f"that is {duration(total * 1000 / rate)} of work, at {rate_words(rate)} of the last two minutes"]


def _sample(task: Any, masker: Masker) -> str:
    return f"  {short_id(task.id)} {task.type} {arguments_text(task, masker)[:80]}"
