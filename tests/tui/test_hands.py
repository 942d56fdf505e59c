"""What the keys do to tasks: another priority, another queue, and back again; jobs; what an editor brings."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from tests.queue_driver import QueueDriver
from tests.tui.console_on_queue import ConsoleOnQueue, console_on
from tq_console.tui.editing.resubmit import editor_of, page_of, page_with, read_page
from tq_console.tui.forms.json_area import JsonArea
from tq_console.tui.forms.stand_ins import StandIns
from tq_console.tui.forms.submit_screen import SubmitScreen
from tq_console.tui.jobs.jobs_screen import JobsScreen
from tq_console.tui.picking.pick_screen import PickScreen
from tq_console.view.secrets import Masker
from tq_console.view.submission import line_of
from tq_core.errors import InvalidInputError
from tq_core.model import TaskState
from tq_core.roles import inspector, jobs, limits, operator
from tq_core.roles.jobs import Job
from tq_core.roles.limits import Breaker
from tq_core.roles.producer import new_task


async def picked(console: ConsoleOnQueue, key: str, *typed: str) -> None:
    """Presses a key that offers choices, types, and takes what is under the cursor."""
    await console.press(key)
    await console.until(lambda: isinstance(console.app.screen, PickScreen), f"the choices of {key}")
    await console.press(*typed, "enter")
    await console.until(lambda: not isinstance(console.app.screen, PickScreen), "the choice to be taken")


async def test_priority_queue_and_deletion_are_chosen_and_taken_back(q: QueueDriver) -> None:
    slow = q.beside("slow")
    slow.put_one(name="x", delay_s=99)
    first, second = q.put_many(2)
    async with console_on(q, first="tasks") as console:
        await console.press("right_square_bracket")
        await console.until(lambda: console.table.cursor_id == first, "the pending tasks")

        await picked(console, "p", *"high")
        await console.until(lambda: q.view(first).priority == 50, "the priority")
        await console.press("space")
        await console.until(lambda: len(console.table.marked) == 1, "the mark")
        await picked(console, "p", *"250")
        await console.until(lambda: 250 in (q.view(first).priority, q.view(second).priority), "the number")
        assert any("z undo" in toast for toast in console.toasts)
        await console.press("z")
        await console.until(lambda: 250 not in (q.view(first).priority, q.view(second).priority), "it to be taken back")
        await console.press("z")
        await console.until(lambda: q.view(first).priority == 100, "the first one to be taken back")

        chosen = console.table.marked_or_cursor()
        await picked(console, "greater_than_sign", *"slow")
        await console.until(lambda: slow.depths().get("pending") == 1, "the move")
        await console.until(lambda: any("z undo, for 14:5" in toast for toast in console.toasts), "the window")
        await console.press("z")
        await console.until(lambda: q.depths() == {"pending": 2}, "the move to be taken back")
        assert q.view(chosen[0]).state is TaskState.PENDING

        q.run(operator.discard([second], actor="bob"))
        await console.press("z")
        await console.until(lambda: any("nothing of ann" in toast for toast in console.toasts), "the reason")
        await console.press("Z")
        await console.until_shown("discard of 1 task in mail")
        await console.press("enter")
        await console.until_shown("Undo: discard of 1 task by bob?")
        await console.press("y")
        await console.until(lambda: q.depths() == {"pending": 2}, "what bob deleted")
        await console.press("left_square_bracket")
        await console.press("p")
        await console.until(lambda: any("no task here to give" in toast for toast in console.toasts), "the reason")


async def test_a_queue_is_limited_held_and_its_breaker_steered(q: QueueDriver) -> None:
    q.put_many(3)
    q.run(limits.set_breaker("mail", "work", Breaker(), actor="bob"))
    q.run(limits.set_limits("mail", {"key_running": 2}, actor="bob"))
    async with console_on(q, first="queues", size=(80, 24)) as console:
        await console.until(lambda: console.table.cursor_id == "mail", "the queue")
        await console.press("l")
        await console.until_shown("breaker work: closed")
        await console.press(*"0", "enter")
        await console.until_shown("write a whole number from 1")
        await console.press("backspace", *"20", "down", *"9/s", "enter")
        await console.until(lambda: q.run(limits.read("mail")).running == 20, "the limit")
        assert console.done == ["tq queues limit mail --running 20 --rate 9/s+1"]
        assert str(q.run(limits.read("mail")).rate) == "9/s+1"
        await console.until(lambda: any("z undo" in toast for toast in console.toasts), "the toast")
        await console.press("z")
        await console.until(lambda: q.run(limits.read("mail")).running is None, "it to be taken back")
        assert q.run(limits.read("mail")).each_key.running == 2

        await picked(console, "o")
        await console.until(lambda: q.run(limits.read("mail")).breakers[0].state == "open", "the breaker")
        await console.press("h")
        await console.until_shown("Pause, and say why")
        await console.press(*"[/x]", "enter")
        await console.until(lambda: q.stats().paused, "the pause")
        paused = q.stats().paused
        assert paused is not None
        assert (paused.by, paused.why) == ("ann", "[/x]")
        await console.press("z")
        await console.until(lambda: q.stats().paused is None, "it to go on")


def kept_ids(folder: Path) -> str:
    (path,) = folder.rglob("console_submitted")
    return path.read_text()


async def test_the_form_begins_with_a_task_that_was_submitted_lately(q: QueueDriver, own_environment: Path) -> None:
    for again in (False, True):
        async with console_on(q, first="queues") as console:
            await console.press("n")
            await console.until(lambda: isinstance(console.app.screen, SubmitScreen), "the form")
            if again:
                await console.press("ctrl+r")
                await console.until_shown("send  in mail")
                await console.press("enter")
                await console.until_shown("Edit and resubmit")
                await console.until_shown("ana")
            else:
                await console.press(*"send", "enter", "ctrl+t")
                await console.until(lambda: console.app.screen.query_one(JsonArea).display, "the text")
                console.app.screen.query_one(JsonArea).text = '{"to": "ana", "password": "hunter2"}'
                await console.press("ctrl+r")
                await console.until_shown("what was typed would be lost")
                await console.press("ctrl+o")
                await console.press(*"mail")
            await console.press("ctrl+s")
            await console.until(lambda: not isinstance(console.app.screen, SubmitScreen), "the form to close")
    first, second = q.run(inspector.page("mail", TaskState.PENDING)).tasks
    assert second.args == {"to": "ana", "password": "hunter2"}
    assert second.options.linked_to == first.id
    assert "hunter2" not in kept_ids(own_environment)


async def test_jobs_are_listed_and_ended(q: QueueDriver) -> None:
    q.put_many(3)
    job_id = q.run(jobs.start(["mail"], Job(action="cancel", states=(TaskState.PENDING,), by="bob", why="[/x]")))
    async with console_on(q, size=(80, 24)) as console:
        await console.press("J", "J")
        await console.until_shown(job_id)
        assert "cancel: pending of mail" in console.screen_text
        await console.press("X")
        await console.until_shown(f"End the job {job_id}?")
        await console.press("y")
        await console.until_shown("⊘ cancelled")
        await console.press("X")
        await console.until(lambda: f"the job {job_id} is cancelled already" in console.toasts, "the reason")
        await console.press("escape")
        await console.until(lambda: not isinstance(console.app.screen, JobsScreen), "the screen to close")
        assert console.done == [f"tq jobs cancel {job_id}"]
    assert q.depths() == {"pending": 3}


def test_a_page_for_the_editor_keeps_secrets_and_says_what_is_wrong(q: QueueDriver) -> None:
    (made,) = q.put(new_task("send", {"to": "ana", "password": "hunter2", "big": "x" * 5000}, priority=50))
    line, stand_ins = line_of(q.view(made.task_id)), StandIns(Masker())
    page = page_of(line, stand_ins)
    assert "hunter2" not in page
    assert page.startswith(f"# Saved and closed, this becomes a new task that is linked to {made.task_id}.")
    queue, task, new = read_page(page.replace('"ana"', '"bob"'), line, stand_ins, {}, actor="ann")
    assert (queue, task.priority, new.linked_to) == ("mail", 50, made.task_id)
    assert msgspec.json.decode(task.payload) == {"to": "bob", "password": "hunter2", "big": "x" * 5000}
    for wrong, said in (
        (page.replace('"send"', "send"), "line 5"),
        (page.replace('"queue"', '"qeue"'), "qeue"),
        (page.replace('"***"', '"***!"'), "hides a secret"),
        (page.replace('"high"', '"hihg"'), "priority"),
    ):
        with pytest.raises(InvalidInputError) as refused:
            read_page(wrong, line, stand_ins, {}, actor="ann")
        assert said in refused.value.message
        again = page_with("other", page_with(refused.value.message, wrong))
        assert again.startswith("#! other\n# Saved")
    assert editor_of({"VISUAL": "", "EDITOR": "vim -n"}) == ["vim", "-n"]
    assert editor_of({"EDITOR": "'"}) == []
