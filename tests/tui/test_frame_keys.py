"""What the keys of the frame do on every screen."""

from __future__ import annotations

import pytest

from tests.queue_driver import QueueDriver
from tests.tui.console_on_queue import ConsoleOnQueue, console_on
from tq_console.tui.frame.help import HelpScreen
from tq_console.tui.panes.task_list import TaskListPane
from tq_core.model import TaskState
from tq_core.roles import operator

pytestmark = pytest.mark.server


async def answered(console: ConsoleOnQueue) -> None:
    """Waits for an answer to what the pane on screen asks."""

    def is_answered() -> bool:
        snapshot = console.app.snapshot
        return snapshot is not None and snapshot.question.screen == console.app.pane.id

    await console.until(is_answered, f"an answer for {console.app.pane.id}")


async def test_digits_choose_the_screens_and_a_click_does_too(q: QueueDriver) -> None:
    q.put_many(1)
    async with console_on(q) as console:
        for key, name in (("2", "queues"), ("3", "workers"), ("4", "tasks"), ("5", "dlq"), ("1", "overview")):
            await console.press(key)
            assert console.app.pane.id == name
            await answered(console)
        await console.pilot.click("#tabs", offset=(18, 0))
        await console.until(lambda: console.app.pane.id == "queues", "the clicked screen")


@pytest.mark.parametrize("key", ["minus", "backspace"])
async def test_the_last_view_is_a_key_away_and_escape_goes_back(q: QueueDriver, key: str) -> None:
    async with console_on(q) as console:
        await console.press("2", "4")
        await console.press(key)
        assert console.app.pane.id == "queues"
        await console.press("escape")
        assert console.app.pane.id == "overview"


async def test_help_lists_every_key_of_the_screen_with_what_it_does(q: QueueDriver) -> None:
    async with console_on(q, first="dlq", size=(100, 80)) as console:
        await console.press("question_mark")
        await console.until(lambda: isinstance(console.app.screen, HelpScreen), "the help")
        for words in ("Run the task again", "Filter:", "Queues screen", "Ask the broker now", "mark", "Quit"):
            await console.until_shown(words)
        await console.press("question_mark")
        await console.until(lambda: console.app.screen is console.app.base, "the help to go")


async def test_every_binding_has_an_id_and_a_description(q: QueueDriver) -> None:
    async with console_on(q) as console:
        seen = 0
        for key in "12345678":
            await console.press(key)
            for active in console.app.screen.active_bindings.values():
                if active.binding.system:
                    continue
                seen += 1
                assert active.binding.id or active.binding.action.startswith("app.") or not active.binding.show, active
        assert seen > 50


async def test_f_freezes_what_is_shown_and_follows_again(q: QueueDriver) -> None:
    async with console_on(q, first="queues") as console:
        await console.press("f")
        await console.until(lambda: "FROZEN" in console.header, "the word FROZEN")
        before = console.app.snapshot
        q.put_many(3)
        await console.press("j", "k")
        assert console.app.snapshot is before or "FROZEN" in console.header
        await console.press("ctrl+r")
        await console.until(lambda: console.table.total == 1, "one answer on demand")
        await console.press("f")
        await console.until(lambda: "FROZEN" not in console.header, "it to follow again")


async def test_c_copies_the_id_under_the_cursor(q: QueueDriver) -> None:
    (task_id,) = q.put_many(1)
    async with console_on(q, first="tasks") as console:
        await console.press("right_square_bracket")
        await console.until(lambda: console.table.cursor_id == task_id, "the task")
        await console.press("c")
        await console.until(lambda: console.app.clipboard == task_id, "the id in the clipboard")


async def test_f2_goes_through_the_themes(q: QueueDriver) -> None:
    async with console_on(q) as console:
        for name in ("dark", "light", "deuteranopia", "tritanopia", "ansi"):
            assert console.app.theme == f"tq-{name}"
            assert "all is well" in console.screen_text or "NEEDS" in console.screen_text
            await console.press("f2")
        assert console.app.theme == "tq-dark"


@pytest.mark.parametrize("keys", [("ctrl+q",), ("ctrl+c", "ctrl+c"), ("q", "q")])
async def test_the_ways_out(q: QueueDriver, keys: tuple[str, ...]) -> None:
    async with console_on(q) as console:
        await console.press(keys[0])
        if len(keys) == 2:
            assert console.app.is_running
            await console.until(lambda: any("once more to quit" in t for t in console.toasts), "the warning")
            await console.press(keys[1])
        await console.until(lambda: console.app._exit, "the end")


async def test_escape_at_the_root_does_nothing_however_often(q: QueueDriver) -> None:
    async with console_on(q) as console:
        await console.press("escape", "escape", "escape")
        await console.pilot.pause()
        assert console.app.is_running
        assert not console.app._exit
        assert console.toasts == []


async def test_the_palette_finds_actions_and_queues(q: QueueDriver) -> None:
    q.put_many(1)
    async with console_on(q) as console:
        await console.until_shown("mail")
        await console.press("ctrl+p")
        await console.until(lambda: console.app.screen is not console.app.base, "the palette")
        await console.press(*"queue mail")
        await console.until_shown("its tasks")
        await console.press("down", "enter")
        await console.until(lambda: console.app.pane.id == "tasks", "the tasks")
        pane = console.app.pane
        assert isinstance(pane, TaskListPane)
        assert pane.feed.queue == "mail"


# --- the Queues screen ---


async def on_queues(console: ConsoleOnQueue) -> None:
    await console.until(lambda: console.table.cursor_id == "mail", "the queue")


async def test_p_pauses_a_queue_and_lets_it_go_on(q: QueueDriver) -> None:
    q.put_many(1)
    async with console_on(q, first="queues") as console:
        await on_queues(console)
        await console.press("p")
        await console.until(lambda: q.stats().paused, "the queue to be paused")
        await console.until_shown("‖ paused")
        assert "1 paused" in console.header
        assert console.done == ["tq queues pause mail"]
        await console.press("p")
        await console.until(lambda: not q.stats().paused, "the queue to go on")
        assert (console.done[-1], [entry["do"] for entry in q.audited()]) == (
            "tq queues resume mail",
            ["pause", "resume"],
        )


async def test_purge_says_what_it_would_hit_as_the_server_has_it_and_asks(q: QueueDriver) -> None:
    q.put_many(7)
    async with console_on(q, first="queues") as console:
        await on_queues(console)
        await console.press("P")
        await console.until_shown("Delete all 7 pending tasks of mail")
        await console.until_shown("7 pending now")
        await console.until_shown("work: 7")
        assert "tq queues purge mail --state pending --yes" in console.screen_text
        await console.press("n")
        await console.until(lambda: console.app.screen is console.app.base, "the window to go")
        assert q.depths() == {"pending": 7}
        await console.press("P")
        await console.until_shown("7 pending now")
        await console.press("y")
        await console.until(lambda: q.depths() == {}, "the queue to be empty")


async def test_r_runs_all_failed_tasks_of_a_queue_again(q: QueueDriver) -> None:
    q.put_many(3)
    for task in q.take(3):
        q.fail(task, verdict="fatal")
    async with console_on(q, first="queues") as console:
        await on_queues(console)
        await console.press("R")
        await console.until_shown("3 failed now")
        await console.press("y")
        await console.until(lambda: q.depths() == {"pending": 3}, "all three to be pending")
        assert console.done == ["tq dlq retry --all --queue mail"]


async def test_enter_shows_the_tasks_of_a_queue_where_there_are_some(q: QueueDriver) -> None:
    q.put_many(2, delay_s=60)
    async with console_on(q, first="queues") as console:
        await on_queues(console)
        await console.press("enter")
        await console.until(lambda: console.app.pane.id == "tasks", "the tasks")
        pane = console.app.pane
        assert isinstance(pane, TaskListPane)
        assert (pane.feed.queue, pane.feed.state) == ("mail", TaskState.SCHEDULED)
        await console.until(lambda: console.table.total == 2, "both tasks")


async def test_n_opens_the_form(q: QueueDriver) -> None:
    q.put_many(1)
    async with console_on(q, first="queues") as console:
        await on_queues(console)
        await console.press("n")
        await console.until_shown("New task")


@pytest.mark.parametrize(("key", "why"), [("P", "nothing is pending"), ("R", "nothing has failed")])
async def test_a_key_with_nothing_to_do_says_so(q: QueueDriver, key: str, why: str) -> None:
    q.put_many(1)
    (task,) = q.take(1)
    q.complete(task)
    async with console_on(q, first="queues") as console:
        await on_queues(console)
        await console.press(key)
        await console.until(lambda: any(why in toast for toast in console.toasts), why)


async def test_a_protected_context_wants_the_name_typed(q: QueueDriver) -> None:
    q.put_many(1)
    (task,) = q.take(1)
    q.fail(task, verdict="fatal")
    async with console_on(q, first="dlq") as console:
        console.app.link.is_protected = True
        await console.app.link.unlock(for_s=600, why="a test")
        await console.until(lambda: console.table.cursor_id == task.id, "the task")
        await console.press("D")
        await console.until_shown("type the name")
        await console.press(*"wrong", "enter")
        await console.until(lambda: "that is not" in console.screen_text, "the refusal")
        assert q.depths() == {"failed": 1}
        await console.press(*console.app.link.name, "enter")
        await console.until(lambda: q.depths() == {}, "the deletion")


async def test_what_other_people_did_is_shown(q: QueueDriver) -> None:
    q.put_many(1)
    q.run(operator.pause_queue("mail", actor="bob@host", why="the server is down"))
    async with console_on(q) as console:
        await console.until_shown("bob@host")
        await console.until_shown("the server is down")
