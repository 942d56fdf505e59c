"""The Tasks and DLQ screens: every key, on a real queue."""

from __future__ import annotations

import pytest

from tests.queue_driver import QueueDriver
from tests.tui.console_on_queue import ConsoleOnQueue, console_on
from tq_console.tui.detail.detail_screen import DetailScreen
from tq_console.tui.lists import hunt
from tq_console.tui.panes.task_list import TaskListPane
from tq_core.model import TaskState
from tq_core.roles import operator

pytestmark = pytest.mark.server


def fail_some(q: QueueDriver, count: int) -> list[str]:
    """Tasks in the DLQ, the newest failure first."""
    q.put_many(count)
    ids: list[str] = []
    for task in q.take(count):
        detail = {"type": "Refused", "message": "[/foo] no", "traceback": "Traceback: here"}
        q.fail(task, verdict="fatal", detail=detail)
        ids.append(task.id)
    # Several may end within one millisecond: the order is the list's own.
    order = [task_id.decode() for task_id in q.raw.zrevrange(q.key("failed"), 0, -1)]
    return sorted(ids, key=order.index)


def pane(console: ConsoleOnQueue) -> TaskListPane:
    found = console.app.pane
    assert isinstance(found, TaskListPane)
    return found


async def test_the_dlq_shows_the_error_and_the_traceback_and_r_runs_the_task_again(q: QueueDriver) -> None:
    ids = fail_some(q, 3)
    async with console_on(q, first="dlq") as console:
        await console.until_shown("Refused: [/foo] no")
        await console.until_shown("Traceback: here")
        chosen = console.table.cursor_id
        assert chosen in ids
        await console.press("r")
        await console.until(lambda: q.state(chosen) is TaskState.PENDING, "the task to be pending")
        assert console.done == [f"tq tasks retry {chosen}"]
        await console.until(lambda: console.table.is_ghost, "the row to stay as a ghost")
        await console.until(lambda: "→ pending" in console.screen_text, "where the task has gone")
        await console.press("j")
        await console.until(lambda: console.table.total == 2 and not console.table.is_ghost, "the ghost to go")


async def test_marks_are_retried_together_after_a_yes(q: QueueDriver) -> None:
    ids = fail_some(q, 5)
    async with console_on(q, first="dlq") as console:
        await console.until(lambda: console.table.total == 5, "the list")
        await console.press("space", "space", "space", "r")
        await console.until_shown("Run 3 tasks again?")
        await console.press("y")
        await console.until(lambda: q.depths().get("pending") == 3, "three tasks to be pending")
        assert sorted(i for i in ids if q.state(i) is TaskState.PENDING) == sorted(ids[:3])


@pytest.mark.parametrize("answer", ["n", "escape", "enter", "q"])
async def test_nothing_but_y_deletes_anything(q: QueueDriver, answer: str) -> None:
    fail_some(q, 2)
    async with console_on(q, first="dlq") as console:
        await console.until(lambda: console.table.total == 2, "the list")
        await console.press("D")
        await console.until_shown("Delete ")
        await console.press("x", "1", answer)
        await console.until(lambda: console.app.screen is console.app.base, "the question to go")
        assert q.depths() == {"failed": 2}
        assert console.done == []


async def test_a_plan_is_bound_to_the_ids_under_the_key_not_to_what_comes_under_the_cursor(q: QueueDriver) -> None:
    ids = fail_some(q, 3)
    async with console_on(q, first="dlq") as console:
        await console.until(lambda: console.table.total == 3, "the list")
        assert console.table.cursor_id == ids[0]
        await console.press("D")
        await console.until_shown("Delete ")
        q.run(operator.requeue([ids[0]], actor="bob"))
        fail_some(q, 1)
        await console.press("y")
        await console.until(lambda: console.done, "the deletion")
        assert q.state(ids[0]) is not TaskState.FAILED
        assert q.state(ids[1]) is TaskState.FAILED
        assert q.state(ids[2]) is TaskState.FAILED


async def test_the_state_tabs_show_counts_and_brackets_go_through_them(q: QueueDriver) -> None:
    q.put_many(3)
    q.put_many(2, delay_s=60)
    q.take(1)
    async with console_on(q, first="tasks") as console:
        await console.until_shown("▶ running 1")
        assert "○ pending 2" in console.screen_text
        assert "◷ scheduled 2" in console.screen_text
        await console.press("right_square_bracket")
        await console.until(lambda: pane(console).feed.state is TaskState.PENDING, "the pending list")
        await console.until(lambda: console.table.total == 2, "two pending tasks")
        for _ in range(2):
            await console.press("right_square_bracket")
        assert pane(console).feed.state is TaskState.SCHEDULED
        await console.until(lambda: console.table.total == 2, "two scheduled tasks")
        for _ in range(4):
            await console.press("left_square_bracket")
        assert pane(console).feed.state is TaskState.CANCELLED
        await console.until_shown("no cancelled task")


async def test_x_cancels_a_pending_task_after_a_yes(q: QueueDriver) -> None:
    (task_id,) = q.put_many(1)
    async with console_on(q, first="tasks") as console:
        await console.press("right_square_bracket")
        await console.until(lambda: console.table.cursor_id == task_id, "the task")
        await console.press("X")
        await console.until_shown("Cancel task")
        await console.press("y")
        await console.until(lambda: q.state(task_id) is TaskState.CANCELLED, "the task to be cancelled")
        assert q.view(task_id).error is not None
        assert (q.view(task_id).error or {})["by"] == "ann"


async def test_k_kills_a_running_task_and_says_what_is_hurt(q: QueueDriver) -> None:
    q.put_many(1)
    (task,) = q.take(1)
    async with console_on(q, first="tasks") as console:
        await console.until(lambda: console.table.cursor_id == task.id, "the running task")
        await console.press("K")
        await console.until_shown("no other task is hurt")
        await console.press("y")
        await console.until(lambda: (q.view(task.id).cancel_asked or {}).get("mode") == "kill", "the order to kill")
        q.fail(task, verdict="cancel")


@pytest.mark.parametrize(
    ("state", "key", "why"),
    [
        ("pending", "r", "is not ended"),
        ("pending", "K", "does not run"),
        ("failed", "X", "has ended"),
        ("failed", "K", "does not run"),
        ("cancelled", "D", "no task here"),
    ],
)
async def test_a_key_that_cannot_do_anything_says_why(q: QueueDriver, state: str, key: str, why: str) -> None:
    fail_some(q, 1)
    q.put_many(1)
    async with console_on(q, first="tasks") as console:
        pane(console).place(queue=None, state=TaskState(state))
        await console.until(lambda: pane(console).table._is_loaded, "the list")
        await console.press(key)
        await console.until(lambda: any(why in toast for toast in console.toasts), f"{why!r} to be said")
        assert console.done == []


async def test_enter_opens_the_task_whole_and_escape_comes_back(q: QueueDriver) -> None:
    (failed,) = fail_some(q, 1)
    async with console_on(q, first="dlq", size=(80, 24)) as console:
        await console.until(lambda: console.table.cursor_id == failed, "the list")
        await console.press("enter")
        await console.until_shown(f"task {failed}")
        await console.until_shown("Traceback: here")
        assert isinstance(console.app.screen, DetailScreen)
        await console.press("r")
        await console.until(lambda: q.state(failed) is TaskState.PENDING, "the task to be pending")
        await console.until_shown("○ pending")
        await console.press("escape")
        await console.until(lambda: console.app.screen is console.app.base, "the list")


async def test_the_filter_finds_and_says_how_far_it_looked(q: QueueDriver) -> None:
    q.put_one({"to": "ana"})
    q.put_one({"to": "bob"})
    async with console_on(q, first="tasks") as console:
        await console.press("right_square_bracket")
        await console.until(lambda: console.table.total == 2, "the list")
        await console.press("slash", *"ana", "enter")
        await console.until(lambda: console.table.total == 1, "the one that fits")
        await console.until_shown("(searched 2 of 2)")
        await console.press("slash", "space", *"type:", "enter")
        await console.until_shown("at 10: expected a value, such as type:mail*")
        assert any(line.strip() == "▾" for line in console.screen_text.splitlines())
        await console.press("escape", "escape")
        await console.until(lambda: console.table.total == 2, "the whole list")


async def test_the_filter_completes_remembers_and_chooses_states(q: QueueDriver) -> None:
    failed = fail_some(q, 3)
    q.put_many(2)
    async with console_on(q, first="tasks") as console:
        await console.press("slash", *"st", "tab")
        assert console.app.focused is pane(console).bar.line
        await console.until_shown("completed")
        await console.press(*"f", "right")
        assert pane(console).bar.line.value == "state:failed "
        await console.press(*"OR sta", "tab", *"pend", "tab", "enter")
        await console.until(lambda: console.table.total == 5, "tasks of both states")
        await console.until_shown("(searched 5 of 5)")
        assert "STATE" in console.screen_text
        # A marked task is what it is, in a list of several states too.
        assert pane(console).chosen().state is TaskState.PENDING
        await console.press("G")
        assert (console.table.cursor_id, pane(console).chosen().state) == (failed[-1], TaskState.FAILED)

        await console.press("escape")
        await console.until(lambda: pane(console).feed.states == (TaskState.RUNNING,), "the list that was before")
        await console.press("slash", "up", "enter", "right_square_bracket", "right_square_bracket")
        await console.until(lambda: pane(console).feed.words == "", "the states to have left the filter")
        await console.press("slash", *"queue:", "tab")
        assert pane(console).bar.line.value == "queue:mail "
        await console.press("up")
        assert pane(console).bar.line.value == "state:failed OR state:pending"
        await console.press("down", *"type:nothing", "enter")
        await console.until_shown("nothing retrying fits /queue:mail type:nothing")
        await console.press("full_stop")
        await console.until(lambda: "all there are were searched" in console.toasts, "why it does not go on")
        await console.press("5", "slash", *"state:pending", "enter")
        await console.until(lambda: any("DLQ has those that are failed" in t for t in console.toasts), "the refusal")


async def test_a_search_goes_on_at_a_key_and_a_whole_list_is_sorted(
    q: QueueDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hunt, "LOOK_FIRST", 100)
    q.put_many(300)
    async with console_on(q, first="tasks", size=(160, 40)) as console:
        await console.press("right_square_bracket", "slash", *"args.n:2*", "enter")
        await console.until_shown("(searched 100 of 300)  . searches 20,000 more")
        assert console.table.total == 11
        await console.press("s")
        await console.until(lambda: any("not searched to its end" in t for t in console.toasts), "why not")
        await console.press("full_stop")
        await console.until_shown("(searched 300 of 300)")
        assert console.table.total == 111
        await console.press("s", *"b")
        await console.until_shown("sorted by ID ▲")
        ids = [placed.task.id for placed in pane(console).feed.rows()]
        assert ids == sorted(ids)
        await console.press("s", *"b")
        await console.until_shown("sorted by ID ▼")
        assert [placed.task.id for placed in pane(console).feed.rows()] == ids[::-1]
        # What is on screen is read again all the while, and what has gone leaves.
        assert console.table.cursor_id == ids[-1]
        q.run(operator.discard([ids[-1]], actor="bob", action="delete"))
        await console.until(lambda: console.table.is_ghost, "the row to become a ghost")
        await console.press("escape", "g")
        await console.until(lambda: console.table.total == 299 and console.table.cursor_id is not None, "the list")
        fitted = console.table._layout_now
        await console.press("ctrl+w")
        widened = console.table._layout_now
        assert widened.has_more
        assert widened.places[1].width > fitted.places[1].width
        await console.press("right", "right", "ctrl+w")
        assert console.table._layout_now == fitted


async def test_the_cursor_stays_on_its_task_while_others_come_and_go(q: QueueDriver) -> None:
    fail_some(q, 60)
    async with console_on(q, first="dlq") as console:
        await console.until(lambda: console.table.total == 60, "the list")
        await console.press(*["j"] * 20)
        held = console.table.cursor_id
        assert held
        lines = console.screen_text.splitlines()
        line = next(n for n, text in enumerate(lines) if text.startswith("▌"))
        fail_some(q, 30)
        await console.until(lambda: console.table.total == 90, "the longer list")
        assert console.table.cursor_id == held
        assert console.table.cursor_index == 50
        assert console.screen_text.splitlines()[line].startswith("▌")
        await console.until_shown("+30 new")
        await console.press("g")
        await console.until(lambda: console.table.cursor_index == 0, "the top")
        assert "+30 new" not in console.screen_text


async def test_a_long_list_is_read_to_its_end_and_back(q: QueueDriver) -> None:
    for _ in range(4):
        q.put_many(500)
    async with console_on(q, first="tasks") as console:
        await console.press("right_square_bracket")
        await console.until(lambda: console.table.total == 2000, "the list")
        await console.press("G")
        await console.until(lambda: console.table.cursor_index == 1999 and console.table.cursor_row, "the last task")
        last = q.raw.zrange(q.key("pending"), -1, -1)[0].decode()
        assert console.table.cursor_id == last
        await console.press(*["pageup"] * 5)
        await console.until(lambda: console.table.cursor_row is not None, "a row further up")
        index = console.table.cursor_index
        assert console.table.cursor_id == q.raw.zrange(q.key("pending"), index, index)[0].decode()


async def test_q_chooses_the_queue_in_turn(q: QueueDriver) -> None:
    q.put_many(1)
    other = QueueDriver(q.url, queue="orders", has_clock=False)
    other.put_many(2)
    async with console_on(q, first="tasks") as console:
        await console.press("right_square_bracket")
        await console.until(lambda: console.table.total == 3, "all queues")
        await console.press("Q")
        await console.until(lambda: console.table.total == 1 and pane(console).feed.queue == "mail", "one queue")
        await console.press("Q")
        await console.until(lambda: console.table.total == 2 and pane(console).feed.queue == "orders", "the other")
        await console.press("Q")
        await console.until(lambda: console.table.total == 3, "all queues again")
    other.close()


async def test_secrets_are_masked_in_list_and_detail(q: QueueDriver) -> None:
    q.put_one({"password": "hunter2"})
    async with console_on(q, first="tasks") as console:
        await console.press("right_square_bracket")
        await console.until_shown('"password": "***"')
        assert "hunter2" not in console.screen_text


async def test_a_read_only_console_refuses_every_change(q: QueueDriver) -> None:
    fail_some(q, 1)
    async with console_on(q, first="dlq", is_read_only=True) as console:
        await console.until(lambda: console.table.total == 1, "the list")
        assert "READ-ONLY" in console.header
        await console.press("r", "D")
        await console.until(lambda: len([t for t in console.toasts if "read-only" in t]) >= 1, "the refusal")
        assert q.depths() == {"failed": 1}
        assert q.audited() == []
