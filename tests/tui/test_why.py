"""`w`: the panel that says why, over every screen."""

from __future__ import annotations

from tests.queue_driver import QueueDriver
from tests.tui.console_on_queue import console_on
from tests.tui.scenes import node
from tq_console.tui.why.why_screen import WhyScreen
from tq_core.roles import operator, registry
from tq_core.roles.registry import NodeInfo


async def test_w_explains_tasks_queues_and_nodes_and_says_when_the_answer_is_old(q: QueueDriver) -> None:
    task_id = q.put_one()
    info = node("n-1-ab").info
    assert isinstance(info, NodeInfo)
    q.run(registry.heartbeat(info))
    q.run(operator.pause_queue("mail", actor="bob", why="[/deploy]"))
    async with console_on(q, first="overview", size=(80, 24)) as console:
        for screen, words in (
            ("2", "bob paused it"),
            ("3", "none of its worker processes is up"),
            ("1", "tq queues resume mail"),
        ):
            await console.press(screen)
            await console.until(lambda: console.table.cursor_id is not None, "a row under the cursor")
            await console.press("w")
            await console.until_shown(words)
            await console.press("escape")
            await console.until(lambda: console.app.screen is console.app.base, "the panel to close")
        await console.press("4", "right_square_bracket")
        await console.until(lambda: console.table.cursor_id == task_id, "the task")
        await console.press("enter")
        await console.until(lambda: console.app.detail is not None, "the detail")
        await console.press("w")
        await console.until_shown("[/deploy]")
        assert "unknown: not before the queue is resumed" in console.screen_text
        panel = console.app.screen
        assert isinstance(panel, WhyScreen)
        q.run(operator.discard([task_id], actor="bob"))
        await console.until_shown("this is how it was;")
        await console.press("q")
        await console.until(lambda: console.app.screen is not panel, "the panel to close")
    async with console_on(q, first="dlq") as console:
        await console.press("w")
        await console.until(lambda: any("nothing here to explain" in toast for toast in console.toasts), "the reason")
