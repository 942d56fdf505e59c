"""The plan that undoes an operation which the log shows."""

from __future__ import annotations

from tq_console.tui.actions.plan import Level, Plan, command_line, tell_bulk
from tq_console.view.formats import duration, plural
from tq_core.roles import undo
from tq_core.roles.undo import Undoable


def undo_operation(operation: Undoable, now_ms: int, *, actor: str) -> Plan:
    """Puts back what an operation took; asked first where somebody else has done it."""
    is_own = operation.by == actor
    what = f"{operation.action} of {plural(operation.count, 'task')}"
    return Plan(
        title=f"Undo {what} by {operation.by}",
        command=command_line("undo", operation.op),
        level=Level.NONE if is_own else Level.BAR,
        flow=lambda told: undo.undo(operation.op, list(operation.tasks), actor=actor, on_progress=told),
        tell=tell_bulk("put back"),
        facts=(f"{operation.by} did it {duration(now_ms - operation.at_ms)} ago; an undo cannot itself be undone",),
        total=operation.count,
    )
