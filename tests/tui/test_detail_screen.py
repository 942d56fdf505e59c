"""One task on a screen of its own: its sections, its log as it grows, its relatives, its secrets."""

from __future__ import annotations

from tests.queue_driver import QueueDriver
from tests.tui.console_on_queue import ConsoleOnQueue, console_on
from tq_console.tui.detail.detail_view import DetailView
from tq_core.model import TaskOptions, TaskState
from tq_core.roles import operator, task_logs
from tq_core.roles.producer import new_task
from tq_core.roles.task_logs import Said


def view(console: ConsoleOnQueue) -> DetailView:
    return console.app.screen.query_one(DetailView)


async def test_a_task_is_walked_through_and_its_relatives_opened(q: QueueDriver) -> None:
    args = {"rows": [{"n": n} for n in range(80)], "password": "hunter2"}
    (parent,) = q.put(new_task("work", args))
    (child,) = q.put(new_task("then", {}, options=TaskOptions(depends_on=(parent.task_id,))))
    (task,) = q.take(1, worker_id="n.1", lease_ms=60_000)

    def say(seq: int, *lines: str) -> None:
        said = Said(
            task_id=task.id, token=task.token, seq=seq, progress=(0.5, "half"), lines=[(0, line) for line in lines]
        )
        q.run(task_logs.note("mail", [said]))

    say(1, *(f"line {n}" for n in range(60)))
    async with console_on(q, first="tasks", size=(80, 24)) as console:
        await console.until(lambda: console.table.cursor_id == task.id, "the task")
        await console.press("enter")
        await console.until_shown("50% half")
        assert '▸ "rows": […] 80 items' in console.screen_text
        await console.press("tab", "j", "enter")
        await console.until_shown("▾ {…} 1 field")
        await console.press("tab", "enter")
        await console.until(lambda: "line 59" not in console.screen_text, "the log to close")
        await console.press("l")
        await console.until_shown("line 59")
        say(2, "[/fresh]\x1b[31m")
        await console.until_shown("[/fresh]\\x1b[31m")
        await console.press("t")
        await console.until(lambda: any("it has no traceback" in toast for toast in console.toasts), "the reason")

        await console.press("tab", "j")
        await console.until_shown("waits for it")
        await console.press("enter", "enter")
        await console.until(lambda: console.app.detail and console.app.detail.task_id == child.task_id, "the child")
        await console.until_shown("waited for")
        await console.press("backspace")
        await console.until(lambda: console.app.detail and console.app.detail.task_id == task.id, "the parent again")

        await console.press("g", "V")
        await console.until_shown("Show the secrets of task")
        assert "hunter2" not in console.screen_text
        await console.press("y")
        await console.until_shown("SECRETS SHOWN")
        await console.press("tab", "j", "enter")
        await console.until_shown("hunter2")
        (audited,) = [act for act in q.run(operator.audit_log()) if act.action == "reveal"]
        assert (audited.by, audited.detail["ids"]) == ("ann", [task.id])
        await console.press("shift+tab", "shift+tab", "enter")
        await console.until_shown(f"tq tasks kill {task.id}")
        q.complete(task)
        await console.until(lambda: q.view(child.task_id).state is TaskState.PENDING, "the child to wait its turn")
        await console.until_shown(f"tq tasks retry {task.id}")
        await console.press("escape")
        await console.until(lambda: console.app.detail is None, "the screen to close")
