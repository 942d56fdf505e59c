"""Several brokers in one console, and protected ones that are written to only after somebody said why."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from tests.queue_driver import QueueDriver
from tests.tui.console_on_queue import ConsoleOnQueue
from tq_console.tui.app import ConsoleApp
from tq_console.tui.frame.context_list import ContextList
from tq_console.tui.frame.help import HelpScreen
from tq_console.tui.watch.link import UNLOCK_MAX_S, Link
from tq_console.view.preferences import Preferences
from tq_core.errors import InvalidInputError, RefusedError
from tq_core.roles import operator
from tq_core.settings import BrokerContext, resolve_broker

pytestmark = pytest.mark.server


class Clock:
    now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def link_to(q: QueueDriver, clock: Clock, *, is_read_only: bool = False) -> Link:
    context = BrokerContext(name="prod", url=q.url, is_protected=True, is_read_only=is_read_only)
    return Link(replace(resolve_broker(q.url), context=context), actor="ann", clock=clock)


async def test_a_protected_broker_is_locked_until_somebody_says_why_and_locks_itself_again(q: QueueDriver) -> None:
    q.put_many(1)
    clock = Clock()
    link = link_to(q, clock)
    for for_s, why in ((60, " "), (0, "a reason"), (UNLOCK_MAX_S + 1, "a reason")):
        with pytest.raises(InvalidInputError):
            await link.unlock(for_s=for_s, why=why)
    with pytest.raises(RefusedError, match="unlock"):
        await link.change(operator.pause_queue("mail", actor="ann"))
    with pytest.raises(RefusedError, match="would have written"):
        await link.ask(operator.pause_queue("mail", actor="ann"))
    assert q.run(operator.audit_log(["mail"])) == []
    await link.unlock(for_s=60, why="a bad deploy")
    assert await link.change(operator.pause_queue("mail", actor="ann"))
    clock.now_s += 59
    assert link.unlocked_s == 1
    clock.now_s += 1
    with pytest.raises(RefusedError):
        await link.change(operator.resume_queue("mail", actor="ann"))
    acts = q.run(operator.audit_log(["mail"]))
    assert [(act.action, act.by, act.detail) for act in acts] == [
        ("pause", "ann", {"by": "ann"}),
        ("unlock", "ann", {"by": "ann", "why": "a bad deploy", "for_s": 60}),
    ]
    looking = link_to(q, clock, is_read_only=True)
    with pytest.raises(RefusedError):
        await looking.unlock(for_s=60, why="a reason")
    for each in (link, looking):
        await each.aclose()


async def test_brokers_are_changed_without_a_restart_and_the_users_keys_hold(q: QueueDriver) -> None:
    q.put_many(2)
    other = QueueDriver(q.url, queue="orders", has_clock=False)
    other.put_many(1)
    config = Path(os.environ["XDG_CONFIG_HOME"]) / "tq" / "config.toml"
    config.parent.mkdir()
    config.write_text(f'[contexts.prod]\nurl = "{q.url}"\nprotected = true\n[contexts.lab]\nurl = "{q.url}"\n')
    clock = Clock()
    wanted = Preferences(keys={"queues.pause": "f9", "nothing.here": "x"})
    link = Link(resolve_broker(context="prod"), actor="ann", clock=clock)
    app = ConsoleApp(link, first="queues", interval_s=0.1, preferences=wanted)
    async with app.run_test(size=(100, 30), notifications=True) as pilot:
        console = ConsoleOnQueue(app, pilot, q)
        await console.until_shown("orders")
        assert "LOCKED" in console.header
        await console.until(lambda: any("nothing.here" in toast for toast in console.toasts), "the unknown id")
        await console.press("p", "f9")
        await console.until(lambda: any("prod is protected" in toast for toast in console.toasts), "the refusal")
        await console.press("question_mark")
        await console.until(lambda: isinstance(app.screen, HelpScreen), "the help")
        await console.until_shown("f9  Pause the queue")
        await console.press("escape")
        await app.contexts.unlock(for_s=600, why="a test")
        await console.until(lambda: "UNLOCKED 10m" in console.header, "the countdown")
        await console.press("f9")
        await console.until(lambda: q.stats().paused, "the queue to be paused")
        clock.now_s += 600
        await console.until(lambda: any("locked again" in toast for toast in console.toasts), "the lock")
        assert "LOCKED" in console.header
        await console.press("f3")
        await console.until(lambda: isinstance(app.screen, ContextList), "the picker")
        await console.until_shown("you are here, protected")
        await console.press("j", "enter")
        await console.until(lambda: app.link.name == "lab" and app.snapshot is not None, "the other broker")
        await console.until_shown("orders")
        assert "LOCKED" not in console.header
        await console.until(lambda: console.table.cursor_id is not None, "a row")
        await console.press("f9")
        await console.until(lambda: not q.stats().paused or bool(other.stats().paused), "a change there")
        await console.press("f3")
        await console.until(lambda: isinstance(app.screen, ContextList), "the picker again")
        await console.press("escape")
        await console.until(lambda: app.screen is app.base, "the panes")
        assert app.link.name == "lab"
    other.close()
