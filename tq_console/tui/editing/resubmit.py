"""A task as JSON in `$EDITOR`, and what comes back as a new task; what is refused comes back with the reason on top."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from textual.app import SuspendNotSupported

from tq_console.tui.actions.desk import Desk
from tq_console.tui.actions.submit import submit
from tq_console.tui.forms.json_text import read_object
from tq_console.tui.forms.open_form import open_submit, read_for
from tq_console.tui.forms.stand_ins import StandIns
from tq_console.view.submission import SubmissionRules, TaskLine
from tq_console.view.text import json_line, visible_lines
from tq_core.errors import InvalidInputError, TqError
from tq_core.model import NewTask, priority_label
from tq_core.roles.registry import PublishedType

EDITOR_VARIABLES = ("VISUAL", "EDITOR")
HEAD = (
    "Saved and closed, this becomes a new task that is linked to {task_id}.",
    "Left as it is, or emptied, nothing is submitted. Lines that begin with # are left out.",
    "*** and ⟪…⟫ stand for values that are kept as they are.",
)


def editor_of(environment: Mapping[str, str]) -> list[str]:
    """The words that start the editor of who is at the keyboard; empty where none is named."""
    for name in EDITOR_VARIABLES:
        try:
            words = shlex.split(environment.get(name, ""))
        except ValueError:
            words = []
        if words:
            return words
    return []


async def edit_and_resubmit(desk: Desk, task_id: str) -> None:
    """Has a task edited and enqueues what comes of it; opens the form where there is no editor.

    To be run in a worker of the app's.
    """
    editor = editor_of(os.environ)
    if not editor or getattr(desk.app, "is_in_browser", False):
        await open_submit(desk.app, desk.link, desk.performer, from_id=task_id, queue=None)
        return
    if why := desk.link.refusal:
        desk.app.notify(why, severity="warning", markup=False)
        return
    types, before = await read_for(desk.link, task_id)
    assert before is not None
    stand_ins = StandIns(desk.masker)
    first = text = page_of(before, stand_ins)
    while True:
        try:
            edited = edited_text(desk, editor, text)
        except SuspendNotSupported:
            await open_submit(desk.app, desk.link, desk.performer, from_id=task_id, queue=None)
            return
        except OSError as error:
            why = f"{editor[0]}: {error.strerror or error}: set $EDITOR; E opens the form"
            desk.app.notify(why, title="the editor cannot be started", severity="error")
            return
        if not _without_comments(edited).strip() or edited in (first, text):
            desk.app.notify("nothing was changed: nothing submitted", markup=False)
            return
        try:
            queue, task, line = read_page(edited, before, stand_ins, types, actor=desk.actor)
        except TqError as error:
            text = page_with(error.message, edited)
            continue
        found = types.get(task.task_type)
        plan = submit(queue, task, line, masker=desk.masker, schema=found.schema if found else None, before=before)
        told = await desk.performer.perform(plan)
        if told is None or told.is_good:
            return
        text = page_with(told.text, edited)


def edited_text(desk: Desk, editor: list[str], text: str) -> str:
    """What becomes of a text in the editor; the console is away meanwhile.

    Raises:
        SuspendNotSupported: the console cannot make way for another program.
        OSError: the editor cannot be started.
    """
    handle, name = tempfile.mkstemp(prefix="tq-", suffix=".json")
    path = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        with desk.app.suspend():
            # An interruption in the editor is meant for the editor.
            interrupted = signal.signal(signal.SIGINT, signal.SIG_IGN)
            try:
                subprocess.run([*editor, name], check=False)
            finally:
                signal.signal(signal.SIGINT, interrupted)
        return path.read_text(encoding="utf-8", errors="replace")
    finally:
        path.unlink(missing_ok=True)


def page_of(line: TaskLine, stand_ins: StandIns) -> str:
    """The task as JSON over several lines, with what is to be known on top."""
    said: dict[str, Any] = {
        name: value
        for name in TaskLine.__struct_fields__
        if name not in ("args", "linked_to") and (value := getattr(line, name)) is not None
    }
    if isinstance(line.priority, int):
        said["priority"] = priority_label(line.priority)
    page = msgspec.json.format(json_line({**said, "args": stand_ins.shown(line.args)}), indent=2)
    head = "".join(f"# {each.format(task_id=line.linked_to)}\n" for each in HEAD)
    return f"{head}{page}\n"


def page_with(problem: str, page: str) -> str:
    """The page with what is wrong with it on top, and no other such words."""
    rest = "\n".join(text for text in page.split("\n") if not text.startswith("#!"))
    return "".join(f"#! {text}\n" for text in visible_lines(problem)) + rest


def read_page(
    page: str,
    before: TaskLine,
    stand_ins: StandIns,
    types: Mapping[str, PublishedType],
    *,
    actor: str,
) -> tuple[str, NewTask, TaskLine]:
    """The queue, the task and the line that a page asks for.

    Raises:
        InvalidInputError: it is no JSON object, has unknown fields, or values that are not allowed.
    """
    found = read_object(_without_comments(page))
    try:
        line = msgspec.convert(found, TaskLine)
    except msgspec.ValidationError as error:
        raise InvalidInputError(str(error)) from error
    args = stand_ins.restored(line.args, before.args)
    line = msgspec.structs.replace(line, args=args, linked_to=before.linked_to)
    queue, task = SubmissionRules(types, submitted_by=actor, is_forced=False).checked(line)
    return queue, task, line


def _without_comments(page: str) -> str:
    # In JSON a line that begins with # can be no part of a value, and lines keep their numbers.
    return "\n".join("" if text.startswith("#") else text for text in page.split("\n"))
