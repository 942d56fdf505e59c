"""What is done to all tasks of a list, on screen or not; views; exports; finding a task by its id."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest
from textual.widgets import Input

from tests.queue_driver import QueueDriver
from tests.tui.console_on_queue import ConsoleOnQueue, console_on
from tq_console.tui.detail.detail_screen import DetailScreen
from tq_console.tui.filtering.picker import Picker, Prompt
from tq_console.view.saved_views import saved_views
from tq_core.roles import jobs

pytestmark = pytest.mark.server


def _was_told(console: ConsoleOnQueue, words: str) -> bool:
    return any(words in toast for toast in console.toasts)


async def at_pending(console: ConsoleOnQueue, count: int) -> None:
    await console.press("right_square_bracket")
    await console.until(lambda: console.table.total == count, "the pending list")


async def test_all_that_fit_are_counted_by_the_server_and_acted_on_by_a_job(q: QueueDriver) -> None:
    ids = q.put_many(450)
    async with console_on(q, first="tasks") as console:
        await at_pending(console, 450)
        await console.press("r", "a")
        await console.until_shown("● all 450 marked")
        await console.press("r")
        await console.until(lambda: any("cannot be chosen to retry" in t for t in console.toasts), "why not")
        await console.press("e", "ctrl+x")
        await console.until(lambda: any("nothing is under way" in t for t in console.toasts), "why not")

        await console.press("slash", *"args.n:?", "enter")
        await console.until(lambda: console.table.total == 10, "those that fit")
        await console.press("a", "X")
        await console.until_shown("Cancel all pending tasks that fit args.n:?")
        await console.until_shown("10 tasks of 450; all of them were looked at")
        await console.press("y")
        await console.until(lambda: console.done, "the job")
        assert console.done == ["tq tasks cancel --filter 'args.n:?' --state pending"]
        assert q.depths() == {"pending": 440, "cancelled": 10}
        assert "tq undo" in console.toasts[-1]
        assert "marked" not in console.screen_text

        await console.press("escape")
        await console.until(lambda: console.table.total == 440, "the list")
        await console.press("a", "p")
        await console.until(lambda: isinstance(console.app.screen, Picker), "which priority")
        await console.press("b")
        await console.until_shown("Give all pending tasks the priority high")
        await console.press("y")
        await console.until(lambda: len(console.done) == 2, "the job")
        assert console.done[1] == "tq tasks reprioritise --priority high --filter state:pending"
        assert {q.view(i).priority for i in ids[10:]} == {50}


async def test_a_bulk_action_is_stopped_by_a_key_between_two_parts(
    q: QueueDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    q.put_many(300)
    advance = jobs.advance
    monkeypatch.setattr(jobs, "PAGE", 100)
    async with console_on(q, first="tasks") as console:

        def stopped_at_once(*args: object, **named: object):  # type: ignore[no-untyped-def]
            console.app.action_stop()
            return advance(*args, **named)  # type: ignore[arg-type]

        monkeypatch.setattr(jobs, "advance", stopped_at_once)
        await at_pending(console, 300)
        await console.press("a", "D")
        await console.until_shown("300 tasks, all that are pending")
        await console.press("y")
        await console.until(lambda: console.done, "the job to be stopped")
        assert "stopped before its end" in console.toasts[-1]
        assert q.depths() == {"pending": 200}
        (part,) = q.run(jobs.jobs([q.queue]))
        assert (part.status, part.done) == ("cancelled", 100)


async def test_rows_are_written_to_a_file_a_view_is_saved_and_a_task_found_by_its_id(
    q: QueueDriver, tmp_path: Path
) -> None:
    ids = [q.put_one({"n": n, "password": "hunter2"}) for n in range(3)]
    async with console_on(q, first="tasks") as console:
        await at_pending(console, 3)
        for keys, name, told in (("o", "all.csv", "3 tasks written"), ("space o", "one.ndjson", "1 task written")):
            await console.press(*keys.split())
            await console.until(lambda: isinstance(console.app.screen, Prompt), "the question")
            console.app.screen.query_one(Input).value = str(tmp_path / name)
            await console.press("enter")
            await console.until(partial(_was_told, console, told), told)
        assert len((tmp_path / "all.csv").read_text().splitlines()) == 4
        assert json.loads((tmp_path / "one.ndjson").read_text())["args"] == {"n": 0, "password": "***"}
        assert not (tmp_path / "all.csv.part").exists()

        await console.press("b")
        await console.until(lambda: any("no view is saved yet" in t for t in console.toasts), "why not")
        await console.press("slash", *"args.n>0", "ctrl+s")
        await console.until(lambda: isinstance(console.app.screen, Prompt), "the question")
        await console.press(*"late", "enter")
        await console.until(lambda: saved_views() == {"late": "state:pending args.n>0"}, "the view")
        await console.press("escape", "left_square_bracket", "b")
        await console.until(lambda: isinstance(console.app.screen, Picker), "the views")
        await console.press("a")
        await console.until(lambda: console.table.total == 2, "what the view shows")
        await console.until_shown("/state:pending args.n>0")

        await console.press("i", *ids[0][-9:], "enter")
        await console.until(lambda: isinstance(console.app.screen, DetailScreen), "the task")
        await console.until_shown(f"task {ids[0]}")
        # Groups are no list, and a view of other states is shown where those are.
        await console.press("escape", "5", "a")
        await console.until(partial(_was_told, console, "these are groups"), "why not")
        await console.press("b")
        await console.until(lambda: isinstance(console.app.screen, Picker), "the views")
        await console.press("a")
        await console.until(lambda: console.app.pane.id == "tasks" and console.table.total == 2, "the view")
        await console.press("i", *"zzzz!", "enter")
        await console.until(lambda: any("no id is zzzz!" in t for t in console.toasts), "that there is none")
