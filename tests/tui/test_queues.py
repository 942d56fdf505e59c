"""The Queues screen: what is next in a queue, what holds it, and its order."""

from __future__ import annotations

from tests.queue_driver import QueueDriver
from tests.tui.console_on_queue import console_on
from tq_console.tui.look.canvas import Canvas
from tq_core.roles import limits, operator
from tq_core.roles.producer import enqueue, new_task


async def test_a_queue_says_what_is_next_in_it_and_what_holds_it(q: QueueDriver) -> None:
    q.run(enqueue("mail", [new_task("send_mail", {}) for _ in range(40)] + [new_task("odd", {})]))
    q.run(enqueue("mail", [new_task("render", {}) for _ in range(40)]))
    q.run(limits.set_limits("mail", {"running": 5}, actor="ann"))
    q.run(operator.pause_queue("mail", actor="ann", why="down"))
    q.beside("orders").put_many(2)
    async with console_on(q, first="queues") as console:
        preview = console.app.pane.query_one(".queue-preview", Canvas)
        await console.until(lambda: "the first 50 of 81 were read" in preview.text, "what is next")
        assert "send_mail 40, render 9, odd 1" in preview.text
        assert "by ann: down" in preview.text
        assert "limits 5 running" in preview.text
        await console.press("j")
        await console.until(lambda: "next   work 2" in " ".join(preview.text.split("\n")), "the other queue")

        # The order is chosen, and the cursor stays on its queue.
        await console.press("s", "b")
        await console.until_shown("QUEUE▲")
        await console.press("s", "b")
        await console.until_shown("QUEUE▼")
        await console.until(lambda: console.table.cursor_index == 0, "orders to be the first")
        assert console.table.cursor_id == "orders"
