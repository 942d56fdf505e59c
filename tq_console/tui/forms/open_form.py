"""Opening the form for a task, and enqueuing what it was filled with."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any, Protocol, TypeVar, cast

from textual.app import App

from tq_console.tui.actions.performing import Performer
from tq_console.tui.actions.submit import submit
from tq_console.tui.forms.draft import Draft, RecentWanted, Submission, draft_of
from tq_console.tui.forms.submit_screen import SubmitScreen
from tq_console.view.formats import age
from tq_console.view.secrets import Masker
from tq_console.view.submission import TaskLine, line_of
from tq_core.errors import TqError
from tq_core.model import TaskView
from tq_core.roles import inspector, registry
from tq_core.roles.registry import PublishedType
from tq_core.transport.steps import Flow
from tq_core.transport.together import together

T = TypeVar("T")

WHOLE_PAYLOAD_BYTES = 4 * 1024 * 1024


class Reader(Protocol):
    """The way to the broker, as the form needs it."""

    @property
    def refusal(self) -> str: ...

    @property
    def actor(self) -> str: ...

    async def ask(self, flow: Flow[T]) -> T: ...


async def open_submit(
    app: App[Any], link: Reader, performer: Performer, *, from_id: str | None, queue: str | None
) -> None:
    """Shows the form and enqueues what it was filled with; opened again where that is refused.

    To be run in a worker of the app's.

    Args:
        from_id: The task that is asked for again, with changes.
        queue: Where the cursor is.
    """
    if why := link.refusal:
        app.notify(why, severity="warning", markup=False)
        return
    try:
        types, before = await read_for(link, from_id)
    except TqError as error:
        app.notify(error.message, title="the form cannot be opened", severity="warning", markup=False)
        return
    masker = Masker.from_environment()
    draft = Draft(suggested_queue=queue) if before is None else draft_of(before)
    while True:
        screen = SubmitScreen(types, draft, actor=link.actor, masker=masker)
        asked: Submission | RecentWanted | None = await app.push_screen_wait(screen)
        if asked is None:
            return
        if isinstance(asked, RecentWanted):
            recent = await _choose_recent(app, link, performer)
            if recent is not None:
                before, draft = recent, draft_of(recent)
            continue
        found = types.get(asked.task.task_type)
        told = await performer.perform(
            submit(
                asked.queue,
                asked.task,
                asked.line,
                masker=masker,
                schema=found.schema if found else None,
                before=before,
                is_forced=asked.draft.is_forced,
                is_raw=asked.draft.is_raw,
            )
        )
        if told is None:
            return
        if told.is_good:
            if told.new_id:
                performer.submitted.add(told.new_id, asked.task.task_type, asked.queue)
            return
        draft = replace(asked.draft, message=told.text)


async def _choose_recent(app: App[Any], link: Reader, performer: Performer) -> TaskLine | None:
    """The line that asks again for a task that was submitted lately; None where none is chosen, or it is gone."""
    from tq_console.tui.picking.pick_screen import Choice, PickScreen

    now_s = time.time()
    choices = [
        Choice(each.task_id, each.task_type, f"in {each.queue}, {age((now_s - each.at_s) * 1000)} ago  {each.task_id}")
        for each in performer.submitted.latest()
    ]
    about = "submitted from consoles of this user, the latest first"
    chosen: str | None = await app.push_screen_wait(PickScreen("Recent", choices, about=about, verb="fill the form"))
    if chosen is None:
        return None
    try:
        _, line = await read_for(link, chosen)
    except TqError as error:
        app.notify(error.message, title="it cannot be asked for again", severity="warning", markup=False)
        return None
    return line


async def read_for(link: Reader, from_id: str | None) -> tuple[dict[str, PublishedType], TaskLine | None]:
    """What workers have published, and the line that asks again for a task where one is named.

    Raises:
        TqError: the task is gone, or its arguments are not known whole.
    """
    if from_id is None:
        return await link.ask(registry.published_types()), None
    types, task = await link.ask(
        together([registry.published_types(), inspector.show_one(from_id, payload_max=WHOLE_PAYLOAD_BYTES)])
    )
    return types, line_of(cast(TaskView, task))
