"""Plans for schedules: add, change, pause, resume, run now, remove."""

from __future__ import annotations

from typing import Any

from tq_console.tui.actions.plan import Level, Plan, Told, command_line
from tq_console.view.formats import clock, count, duration
from tq_console.view.schedule_words import policy_words, when_words
from tq_console.view.secrets import Masker
from tq_console.view.text import json_line
from tq_core.model import DEFAULT_PRIORITY, priority_label
from tq_core.roles import schedule_edit, schedules
from tq_core.roles.schedules import Schedule, ScheduleView


def reference(view: ScheduleView) -> str:
    """What a command calls it."""
    return f"{view.name}@{view.queue}"


def add(schedule: Schedule, *, masker: Masker, actor: str, is_forced: bool = False) -> Plan:
    """Adds a schedule."""
    words = ["cron", "add", schedule.name, schedule.task_type]
    words += ["--data", json_line(masker.masked(schedule.args))] if schedule.args else []
    words += [*_when(schedule), *_rest(schedule, None), "--queue", schedule.queue]
    return Plan(
        title=f"Add the schedule {schedule.name}",
        command=command_line(*words, *(["--force"] if is_forced else [])),
        level=Level.NONE,
        flow=lambda _: schedules.add(schedule, actor=actor),
        tell=lambda next_ms: Told(f"{schedule.name} fires first at {clock(next_ms)[:19]} in {schedule.queue}"),
    )


def edit(view: ScheduleView, schedule: Schedule, *, masker: Masker, actor: str, is_forced: bool = False) -> Plan:
    """Makes a schedule another."""
    before = schedules.readable(view)
    words = ["cron", "edit", reference(view)]
    words += ["--type", schedule.task_type] if schedule.task_type != before.task_type else []
    words += ["--data", json_line(masker.masked(schedule.args))] if schedule.args != before.args else []
    words += _when(schedule) if schedule.when != before.when else []
    words += _rest(schedule, before)

    def told(next_ms: int | None) -> Told:
        then = "it stays paused" if next_ms is None else f"it fires next at {clock(next_ms)[:19]}"
        until = "; a worker of the code that declares it puts it back when it starts" if is_declared(view) else ""
        return Told(f"{view.name} is changed; {then}{until}")

    return Plan(
        title=f"Change the schedule {view.name}",
        command=command_line(*words, *(["--force"] if is_forced else [])),
        level=Level.NONE,
        flow=lambda _: schedule_edit.edit(view, schedule, actor=actor),
        tell=told,
    )


def pause(view: ScheduleView, *, actor: str) -> Plan:
    """Keeps a schedule from firing."""
    return Plan(
        title=f"Pause the schedule {view.name}",
        command=command_line("cron", "pause", reference(view)),
        level=Level.NONE,
        flow=lambda _: schedules.pause(view, actor=actor),
        tell=lambda is_changed: Told(
            f"{view.name} fires no more until it is resumed" if is_changed else f"{view.name} was paused already",
            has_changed=is_changed,
        ),
        inverse=lambda: resume(view, actor=actor),
    )


def resume(view: ScheduleView, *, actor: str) -> Plan:
    """Lets a schedule fire again."""
    return Plan(
        title=f"Resume the schedule {view.name}",
        command=command_line("cron", "resume", reference(view)),
        level=Level.NONE,
        flow=lambda _: schedules.resume(view, actor=actor),
        tell=lambda is_changed: Told(
            f"{view.name} fires again" if is_changed else f"{view.name} was not paused", has_changed=is_changed
        ),
        inverse=lambda: pause(view, actor=actor),
    )


def run_now(view: ScheduleView, *, actor: str) -> Plan:
    """Enqueues a task of a schedule at once."""
    return Plan(
        title=f"Run {view.name} now",
        command=command_line("cron", "run", reference(view)),
        level=Level.NONE,
        flow=lambda _: schedules.run_now(view, actor=actor),
        tell=lambda task_id: Told(f"enqueued {task_id}; its fires stay as they are"),
    )


def remove(view: ScheduleView, *, actor: str) -> Plan:
    """Forgets a schedule; one that code declares would come back, so that is asked with all that is to be known."""
    declared = is_declared(view)
    schedule = view.schedule
    facts = [f"its tasks stay; {count(view.fires)} were made by it"]
    if schedule is not None:
        facts.insert(0, f"{schedule.task_type}, {when_words(schedule.when)}; {policy_words(schedule)}")
    if declared and view.seen_at_ms is not None:
        facts.append(
            f"code declared it {duration(view.now_ms - view.seen_at_ms)} ago: it comes back when a worker of that code "
            "starts, or within the hour. To keep it from firing pause it (p): a pause outlives every start"
        )
    return Plan(
        title=f"Remove the schedule {view.name}",
        command=command_line("cron", "remove", reference(view), *(["--force"] if declared else [])),
        level=Level.MODAL if declared else Level.BAR,
        flow=lambda _: schedules.remove(view, actor=actor, is_forced=declared),
        tell=lambda _: Told(f"{view.name} is removed; the tasks that it made stay"),
        facts=tuple(facts),
        word=view.name,
    )


def is_declared(view: ScheduleView) -> bool:
    """Whether code that runs says that there is this schedule."""
    return view.seen_at_ms is not None and view.now_ms - view.seen_at_ms <= schedules.DECLARED_MS


def _when(schedule: Schedule) -> list[str]:
    rule = schedule.when
    if rule.every_ms:
        return ["--every", f"{rule.every_ms // 1000}s"]
    return ["--cron", rule.cron, *(["--tz", rule.tz] if rule.tz != "UTC" else [])]


def _rest(schedule: Schedule, before: Schedule | None) -> list[str]:
    """What is not as it was, or where there was none not as it is by itself."""
    words: list[str] = []

    def say(name: str, old: Any, new: Any, text: str) -> None:
        if new != old:
            words.extend([name, text])

    say("--missed", before.missed if before else "once", schedule.missed, schedule.missed)
    say("--jitter", before.jitter_ms if before else 0, schedule.jitter_ms, f"{schedule.jitter_ms / 1000:g}s")
    if bool(schedule.unique_key) != bool(before and before.unique_key):
        words.append("--no-overlap" if schedule.unique_key else "--overlap")
    old_priority = before.priority if before else DEFAULT_PRIORITY
    say("--priority", old_priority, schedule.priority, priority_label(schedule.priority))
    return words
