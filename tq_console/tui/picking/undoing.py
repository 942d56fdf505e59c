"""Taking back what was done: the last act of this operator, or one that is chosen."""

from __future__ import annotations

from dataclasses import replace

from tq_console.tui.actions.desk import Desk
from tq_console.tui.actions.messages import NothingToDo
from tq_console.tui.actions.performing import Performed
from tq_console.tui.actions.plan import Level, Plan, command_line, tell_bulk
from tq_console.tui.actions.tasks import MANY
from tq_console.view.formats import age, plural
from tq_core.roles import registry
from tq_core.roles import undo as role
from tq_core.roles.undo import Undoable
from tq_core.transport.together import together


def undo(found: Undoable, *, actor: str) -> Plan:
    """Puts back what an operation took away; asks first where it is much, or was somebody else's."""
    is_own = found.by == actor
    whose = "" if is_own else f" by {found.by}"
    return Plan(
        title=f"Undo: {found.action} of {plural(found.count, 'task')}{whose}",
        command=command_line("undo", found.op),
        level=Level.NONE if is_own and found.count <= MANY else Level.BAR,
        flow=lambda told: role.undo(found.op, list(found.tasks), actor=actor, on_progress=told),
        tell=tell_bulk("restored"),
        facts=(f"in {', '.join(found.tasks)}; what went on meanwhile stays as it is",),
        total=found.count,
    )


async def undo_last(desk: Desk) -> None:
    """Takes back the last thing that was done from here, else the last that this operator did anywhere.

    To be run in a worker of the app's.
    """
    async with desk.performer.undoing:
        await _undo_last(desk)


async def _undo_last(desk: Desk) -> None:
    done = desk.performer.undoable[-1] if desk.performer.undoable else None
    if done is not None and done.inverse is not None:
        await _take_back(desk, done, done.inverse())
        return
    found = await desk.link.ask(role.undoable(op=done.told.undo_op if done else "", by=desk.actor, limit=1))
    if found:
        await _take_back(desk, done, undo(found[0], actor=desk.actor))
    elif done is not None:
        desk.performer.undoable.remove(done)
        desk.app.post_message(NothingToDo(f"too late to undo `{done.title}`: see `tq undo --list`, or Z"))
    else:
        desk.app.post_message(NothingToDo(f"there is nothing of {desk.actor} that can be undone: Z shows others'"))


async def _take_back(desk: Desk, done: Performed | None, plan: Plan) -> None:
    # The way back has no way back.
    told = await desk.performer.perform(replace(plan, inverse=None))
    # What could not be taken back may be tried again.
    if told is not None and told.is_good and done in desk.performer.undoable:
        desk.performer.undoable.remove(done)


async def choose_undo(desk: Desk) -> None:
    """Shows what can be undone, whoever did it, and undoes what is chosen.

    To be run in a worker of the app's.
    """
    from tq_console.tui.picking.pick_screen import Choice, PickScreen

    found, now_ms = await desk.link.ask(together([role.undoable(), registry.server_time_ms()]))
    choices = [
        Choice(
            each.op,
            f"{each.action} of {plural(each.count, 'task')} in {', '.join(each.tasks)}",
            f"{each.by} {age(now_ms - each.at_ms)} ago, for {age(each.until_ms - now_ms)} more",
        )
        for each in found
    ]
    about = "deleted, purged, cancelled or moved; the latest first"
    chosen: str | None = await desk.app.push_screen_wait(PickScreen("Undo", choices, about=about, verb="undo it"))
    by_op = {each.op: each for each in found}
    if chosen in by_op:
        done = next((each for each in desk.performer.undoable if each.told.undo_op == chosen), None)
        await _take_back(desk, done, undo(by_op[chosen], actor=desk.actor))
