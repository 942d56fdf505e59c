"""Random keys, clicks and sizes while tasks churn and the broker comes and goes: never an end, never a harm.

A monkey without a `y` says yes to nothing, so whatever the audit says of it was done without being asked.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
import redis
from textual import events

from tests.queue_driver import QueueDriver
from tests.redis_servers import PrivateServer
from tests.tui.console_on_queue import ConsoleOnQueue
from tq_console.tui import app as app_module
from tq_console.tui.app import ConsoleApp
from tq_console.tui.forms.submit_screen import SubmitScreen
from tq_console.tui.watch.link import Link
from tq_core.errors import BrokerError
from tq_core.model import TaskState
from tq_core.roles import operator, registry, schedules
from tq_core.roles.operator import Audited
from tq_core.roles.registry import NodeInfo, PublishedType, SlotInfo, WorkerInfo
from tq_core.settings import resolve_broker

pytestmark = pytest.mark.server

READING = "12345678jjjkkggGG?:fcmtdl[]Q-{}<>@!z/ "
WRITING = "rpxneXKDPRT+-=LwJ>SEuhoVZ"
SPECIAL = (
    *("enter", "escape", "escape", "backspace", "tab", "shift+tab", "up", "down", "left", "right", "home", "end"),
    *("pageup", "pagedown", "ctrl+d", "ctrl+u", "ctrl+r", "ctrl+p", "ctrl+c", "ctrl+q", "ctrl+backslash", "f2"),
    *("ctrl+s", "ctrl+t", "ctrl+g", "ctrl+o", "v", "space", "delete", "ctrl+a", "ctrl+k", "ctrl+w"),
)
KEYS = [*READING, *WRITING * 2, *SPECIAL * 2]
SIZES = [(20, 5), (1, 1), (3, 40), (60, 16), (80, 24), (99, 31), (120, 40), (160, 20), (200, 60)]
ONE_AT_A_TIME = {"requeue", "reprioritise", "move"}
"""Of several they ask first."""
HARMLESS = {
    *("pause", "resume", "scale", "autoscale", "stacks", "pause_queue", "resume_queue"),
    *("limit", "configure", "open_breaker", "close_breaker", "undo"),
    *(f"{what}_schedule" for what in ("pause", "resume", "run")),
    *ONE_AT_A_TIME,
}


class Immortal(ConsoleApp):
    """A console that counts the times it is told to end."""

    CSS_PATH = str(Path(app_module.__file__).with_name("console.tcss"))
    ends = 0

    def action_quit_now(self) -> None:
        self.ends += 1

    async def action_quit(self) -> None:
        self.ends += 1

    def action_picture(self) -> None:
        """Leaves no files behind."""

    def action_pipe(self) -> Any:
        """Runs nothing that a monkey has typed."""

    def deliver_screenshot(self, *_: Any, **__: Any) -> str | None:
        return None


class World:
    """A queue or two that live, and a server that dies."""

    def __init__(self, server: PrivateServer, dice: random.Random) -> None:
        self.server, self.dice = server, dice
        self.queues = [QueueDriver(server.url, queue=name, has_clock=False) for name in ("mail", "orders", "z")]
        self.fill()

    def fill(self) -> None:
        """Something of everything."""
        for q in self.queues:
            q.put_many(30)
            q.put_many(3, delay_s=600)
            for n, task in enumerate(q.take(15)):
                if n % 3 == 0:
                    q.complete(task)
                elif n % 3 == 1:
                    q.fail(task, verdict="fatal")
        q = self.queues[0]
        q.run(registry.publish_types([PublishedType(name="work", queue="mail")]))
        often, seldom = ({"every_s": 1}, {"cron": "0 8 * * *", "tz": "Europe/Rome", "overlap": False})
        declared = [schedules.new_schedule(n, "work", queue="mail", **o) for n, o in (("a", often), ("b", seldom))]
        q.run(schedules.declare(declared, is_start=True))
        self.beat()

    def beat(self) -> None:
        """Two nodes say that they live."""
        for name in ("one", "two"):
            node = NodeInfo(node_id=name, host="h", pid=1, processes=2, slots=2, worker_ids=(f"{name}.1",))
            slot = SlotInfo(task_id="t", type="work", queue="mail", started_at_ms=1)
            worker = WorkerInfo(worker_id=f"{name}.1", node_id=name, pid=2, slots=2, running=(slot,))
            self.queues[0].run(registry.heartbeat(node))
            self.queues[0].run(registry.heartbeat(worker))

    def turn(self) -> None:
        """Something happens."""
        q, dice = self.dice.choice(self.queues), self.dice
        try:
            match dice.randrange(40):
                case 0:
                    self.server.kill()
                    self.server.start()
                case 1:
                    q.raw.flushall()
                    self.fill()
                case n if n < 12:
                    q.put_many(dice.choice((1, 1, 5, 200)), priority=dice.choice((0, 100, 200)))
                case n if n < 20:
                    for task in q.take(dice.choice((1, 10))):
                        q.complete(task)
                case n if n < 30:
                    for task in q.take(dice.choice((1, 10))):
                        q.fail(task, verdict=dice.choice(("fatal", "retry")))
                case n if n < 33:
                    q.run(operator.requeue_all(q.queue, actor="bob"))
                case n if n < 35:
                    q.run(
                        operator.purge(q.queue, actor="bob", state=dice.choice((TaskState.FAILED, TaskState.PENDING)))
                    )
                case n if n < 37:
                    q.run(schedules.tick(["mail"]))
                case _:
                    self.beat()
        except (BrokerError, redis.RedisError):
            self.server.start()

    def acts_of(self, actor: str) -> list[Audited]:
        """What somebody has done to queues and nodes."""
        names = [q.queue for q in self.queues]
        return [act for act in self.queues[0].run(operator.audit_log(names, limit=10_000)) if act.by == actor]

    def close(self) -> None:
        for q in self.queues:
            q.close()


def check(console: ConsoleOnQueue) -> None:
    """The console is whole and says of nothing that it is a bug."""
    app = console.app
    assert app.is_running
    assert app._exception is None
    assert app.trouble is None or app.trouble.code != "internal", app.trouble
    bugs = [text for text in console.toasts if "internal error" in text]
    assert not bugs, bugs


def fits(console: ConsoleOnQueue) -> bool:
    """Whether every line is as wide as the terminal: a screen that another has left is laid out a moment later."""
    width, height = console.app.size
    strips = console.app.screen._compositor.render_strips(console.app.size)[:height]
    return {strip.cell_length for strip in strips} <= {width}


async def play(server: PrivateServer, *, seed: int, steps: int, keys: Iterable[str], with_size: bool = True) -> World:
    """So many steps of a monkey."""
    dice = random.Random(seed)
    world = World(server, dice)
    app = Immortal(Link(resolve_broker(server.url), actor="ann"), interval_s=0.05)
    choices = list(keys)
    async with app.run_test(size=(100, 30), notifications=True) as pilot:
        console = ConsoleOnQueue(app, pilot, world.queues[0])
        await console.until(lambda: app.snapshot is not None, "the first answer")
        for _ in range(steps):
            chosen = dice.randrange(20)
            if chosen == 0 and with_size:
                await pilot.resize_terminal(*dice.choice(SIZES))
            elif chosen == 1:
                x, y = dice.randrange(max(1, app.size.width)), dice.randrange(max(1, app.size.height))
                await pilot.click(offset=(x, y), times=dice.choice((1, 1, 2)))
            elif chosen < 6:
                world.turn()
            elif chosen < 10 and not isinstance(app.screen, SubmitScreen):
                # All at once, as from a fast hand or a slow line.
                for key in dice.choices(choices, k=dice.randrange(2, 9)):
                    app.post_message(events.Key(key, key if len(key) == 1 else None))
                await pilot.pause()
            else:
                await pilot.press(*(_name(key) for key in dice.choices(choices, k=3)))
            check(console)
            await console.until(lambda: fits(console), "a screen of the terminal's size")
        await console.until(lambda: app.trouble is None, "the broker again")
        await pilot.pause()
        check(console)
    return world


def _name(key: str) -> str:
    names = {" ": "space", "?": "question_mark", ":": "colon", "/": "slash", "[": "left_square_bracket"}
    names |= {"]": "right_square_bracket", "-": "minus", "+": "plus", "=": "equals_sign", "{": "left_curly_bracket"}
    names |= {"}": "right_curly_bracket", "<": "less_than_sign", ">": "greater_than_sign", "@": "at"}
    return (names | {"!": "exclamation_mark"}).get(key, key)


def assert_harmless(world: World) -> None:
    """Nothing was done that asks first."""
    for act in world.acts_of("ann"):
        assert act.action in HARMLESS, act
        assert act.action not in ONE_AT_A_TIME or act.count <= 1, act
        assert act.action != "scale" or act.detail.get("processes", 1) > 0, act


@pytest.mark.parametrize("seed", [1])
async def test_a_monkey_that_never_says_yes_harms_nothing_and_ends_nothing(
    new_redis_server: Callable[..., PrivateServer], seed: int
) -> None:
    world = await play(new_redis_server(is_durable=True), seed=seed, steps=25, keys=KEYS)
    assert_harmless(world)
    world.close()


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", range(10, 16))
async def test_many_monkeys_that_never_say_yes_harm_nothing(
    new_redis_server: Callable[..., PrivateServer], seed: int
) -> None:
    world = await play(new_redis_server(is_durable=True), seed=seed, steps=400, keys=KEYS)
    assert_harmless(world)
    world.close()


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", range(20, 26))
async def test_monkeys_that_say_yes_to_everything_end_nothing(
    new_redis_server: Callable[..., PrivateServer], seed: int
) -> None:
    world = await play(new_redis_server(is_durable=True), seed=seed, steps=400, keys=[*KEYS, *"y" * 20])
    world.close()
