"""The DLQ screen's groups: what failed alike, its tasks, and what is done to all of them at once."""

from __future__ import annotations

from tests.queue_driver import QueueDriver
from tests.tui.console_on_queue import ConsoleOnQueue, console_on
from tq_console.tui.look.canvas import Canvas
from tq_console.tui.panes.dlq import DlqPane
from tq_console.view.failure_groups import failed_per_step, merged
from tq_core.keyspace.wire import Group


def fail(q: QueueDriver, kind: str, count: int = 1) -> list[str]:
    ids = q.put_many(count)
    for task in q.take(count):
        detail = {"type": kind, "message": f"no [{task.id}]", "fingerprint": kind.lower(), "code_version": "v1"}
        q.fail(task, verdict="fatal", detail=detail | {"traceback": f"Traceback\n  File x\n{kind}: the cause"})
    return ids


def rows(console: ConsoleOnQueue) -> list[tuple[str, str]]:
    """Count and group of each row."""
    pane = console.app.pane
    assert isinstance(pane, DlqPane)
    return [(f"{group.total}", group.group) for group in pane.groups._groups.values()]


async def test_every_key_of_the_groups(q: QueueDriver) -> None:
    other = q.beside("other")
    fail(q, "Refused", 21)
    fail(q, "Timeout", 2)
    fail(other, "Timeout", 1)
    async with console_on(q, first="dlq", by_group=True) as console:
        await console.until(lambda: len(rows(console)) == 2, "both groups")
        assert rows(console) == [("21", "refused"), ("3", "timeout")]
        preview = console.app.pane.query_one(".group-preview", Canvas)
        await console.until(lambda: "Refused: the cause" in preview.text, "a traceback of the first group")
        assert "21 failed" in preview.text
        assert "code v1" in preview.text

        await console.press("j")
        await console.until(lambda: "in mail 2, other 1" in preview.text, "the second group")
        assert console.app.pane.subject == "timeout"
        for key, said in (("r", "R runs all 3 tasks"), ("e", "for one task"), ("X", "have ended"), ("K", "do not run")):
            await console.press(key)
            await console.until(lambda said=said: any(said in t for t in console.toasts), said)  # type: ignore[misc]

        await console.press("s", "b")
        await console.until_shown("COUNT▼")
        await console.press("s", "b")
        await console.until_shown("COUNT▲")
        await console.until(lambda: console.table.cursor_index == 0, "the smallest to be the first")
        assert console.app.pane.subject == "timeout"
        await console.press("s", "a")
        await console.until(lambda: console.table.cursor_index == 1, "the order as it was")

        # Its tasks, and back.
        await console.press("enter")
        await console.until_shown("that failed alike: timeout")
        await console.until(lambda: console.table.total == 3, "the three tasks")
        assert "Timeout: no [" in console.screen_text
        await console.press("escape")
        await console.until(lambda: console.app.pane.subject == "timeout", "the groups again")

        # A small group is asked about on a line, a large one in a window that says what it is now.
        await console.press("D")
        await console.until_shown("Delete 3 tasks that failed alike?")
        await console.press("n", "R", "y")
        await console.until(lambda: q.depths().get("pending") == 2, "the group to run again")
        assert other.depths() == {"pending": 1}
        assert console.done == ["tq dlq retry --group timeout"]
        await console.until(lambda: rows(console) == [("21", "refused")], "the group to be gone")
        await console.press("g", "D")
        await console.until_shown("21 tasks now: mail 21")
        await console.press("y")
        await console.until(lambda: "failed" not in q.depths(), "the group to be deleted")
        assert console.done[-1] == "tq dlq discard --group refused --yes"
        await console.until_shown("this group is empty now")
        assert any("tq undo" in toast for toast in console.toasts)

        # All tasks, of one queue: the queue stays chosen in both views.
        fail(other, "Late")
        await console.until(lambda: rows(console) == [("1", "late")], "the new group")
        await console.press("Q")
        await console.until_shown("in other")
        await console.press("]")
        await console.until(lambda: console.table.total == 1, "the task")
        await console.press("R")
        await console.until(lambda: any("no group here" in t for t in console.toasts), "why R does nothing")
        await console.press("[", "slash")
        await console.until(lambda: console.app.focused is not None and console.app.focused.has_class("filter"), "/")


async def test_the_groups_fit_small_terminals_and_nothing_failed(q: QueueDriver) -> None:
    q.put_one()
    async with console_on(q, first="dlq", by_group=True, size=(60, 16)) as console:
        await console.until_shown("nothing has failed for good")
        await console.press("R", "D", "enter", "d")
        await console.until(lambda: len(console.toasts) >= 2, "why they do nothing")
        fail(q, "[/x]\x1b[31m", 2)
        await console.until_shown("[/x]")


def test_groups_of_queues_are_one_and_their_failures_fall_into_steps() -> None:
    def group(queue: str, count: int, last_ms: int, *versions: str) -> Group:
        error = {"type": queue}
        return Group(queue=queue, group="g", count=count, type=queue, reason="error", error=error,
            first_at_ms=last_ms - 5, last_at_ms=last_ms, versions=versions, example_id=queue)  # fmt: skip

    (one,) = merged([group("a", 2, 100, "1", "2"), group("b", 3, 90, "1", "0")])
    assert (one.total, list(one.counts), one.error, one.versions) == (5, ["b", "a"], {"type": "a"}, ("1", "0", "2"))
    assert (one.first_at_ms, one.last_at_ms, one.example_id) == (85, 100, "a")
    assert failed_per_step([100, 99, 60, 10, 200], 100, step_ms=20, steps=3) == [1, 0, 2]
