"""Every window over a screen that asks the broker by itself: a new one is a line here, loaded when it is opened."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from textual.binding import Binding

if TYPE_CHECKING:
    from tq_console.tui.actions.desk import Desk

WINDOW_BINDINGS = (
    Binding("w", "why", "why", tooltip="Why it waits, who did that, when it starts, what to do", id="app.why"),
    Binding("z", "window('undo')", "undo", show=False, tooltip="Take back what you did last", id="app.undo"),
    Binding("Z", "window('choose_undo')", "undo…", show=False, tooltip="All that can be undone", id="app.undo_list"),
    Binding("J", "window('jobs')", "jobs", show=False, tooltip="Jobs on many tasks: how far, end one", id="app.jobs"),
)


async def _why(desk: Desk, about: tuple[str, str]) -> None:
    from tq_console.tui.why.why_screen import open_why

    await open_why(desk, *about)


async def _undo(desk: Desk, about: object) -> None:
    from tq_console.tui.picking.undoing import undo_last

    del about
    await undo_last(desk)


async def _choose_undo(desk: Desk, about: object) -> None:
    from tq_console.tui.picking.undoing import choose_undo

    del about
    await choose_undo(desk)


async def _jobs(desk: Desk, about: object) -> None:
    from tq_console.tui.jobs.jobs_screen import open_jobs

    del about
    await open_jobs(desk)


async def _priority(desk: Desk, about: Any) -> None:
    from tq_console.tui.picking.task_choices import pick_priority

    await pick_priority(desk, about)


async def _queue(desk: Desk, about: Any) -> None:
    from tq_console.tui.picking.task_choices import pick_queue

    await pick_queue(desk, about)


async def _edit(desk: Desk, about: str) -> None:
    from tq_console.tui.editing.resubmit import edit_and_resubmit

    await edit_and_resubmit(desk, about)


async def _limits(desk: Desk, about: str) -> None:
    from tq_console.tui.forms.limits_screen import open_limits

    await open_limits(desk, about)


async def _breakers(desk: Desk, about: str) -> None:
    from tq_console.tui.forms.limits_screen import choose_breaker

    await choose_breaker(desk, about)


async def _pause_why(desk: Desk, about: str) -> None:
    from tq_console.tui.actions.queues import pause
    from tq_console.tui.filtering.picker import Prompt

    said = f"{about}: none of its tasks is taken until it goes on"
    screen = Prompt("Pause, and say why", about=(said,), placeholder="why, for the others")
    why: str | None = await desk.app.push_screen_wait(screen)
    if why is not None:
        await desk.performer.perform(pause(about, actor=desk.actor, why=why))


async def _stacks(desk: Desk, about: tuple[str, str | None]) -> None:
    from tq_console.tui.stacks.stacks_screen import open_stacks

    await open_stacks(desk, about)


WINDOWS: dict[str, Callable[[Desk, Any], Awaitable[None]]] = {
    "why": _why,
    "undo": _undo,
    "choose_undo": _choose_undo,
    "jobs": _jobs,
    "priority": _priority,
    "queue": _queue,
    "edit": _edit,
    "limits": _limits,
    "breakers": _breakers,
    "pause_why": _pause_why,
    "stacks": _stacks,
}
NEVER_LEFT_OUT = frozenset({"undo"})
"""What is no window: a second one waits for its turn instead of being taken for a second press."""
