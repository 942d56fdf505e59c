"""What tasks, workers and damaged records hold is shown as text: nothing breaks, nothing is obeyed, nothing is slow."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from textual.widgets import Input

from tests.queue_driver import QueueDriver
from tests.tui.console_on_queue import ConsoleOnQueue, console_on
from tests.tui.pty_terminal import Pty
from tests.tui.scenes import failed_task
from tq_console.tui.actions.confirm import Question
from tq_console.tui.actions.messages import PlanMade
from tq_console.tui.actions.plan import Level, Plan, Told
from tq_console.tui.detail.detail_lines import detail_lines
from tq_console.tui.detail.detail_screen import DetailScreen
from tq_console.tui.look.canvas import Line
from tq_console.tui.panes.task_list import TaskListPane
from tq_console.view.secrets import Masker
from tq_console.view.text import visible
from tq_core.keyspace import keys
from tq_core.roles import operator, registry, schedules
from tq_core.roles.registry import NodeInfo, SlotInfo, WorkerInfo
from tq_core.roles.schedules import new_schedule
from tq_core.transport.steps import Flow

pytestmark = pytest.mark.server

SIZES = [(60, 16), (80, 24), (120, 40), (200, 60)]
SCREENS = ("overview", "queues", "workers", "tasks", "dlq", "schedule", "metrics", "log")
PWNED = "PWNED"
TEXTS = {
    "markup": "[/foo] [bold red]x[/] [@click=app.quit]q[/] [link=http://x]",
    "escapes": f"\x1b]0;{PWNED}\x07\x1b[2J\x1b[31m\x9b31m\x1bP{PWNED}\x1b\\ \x07\x08\x0b\x0c\r\n\x7f\x85",
    "null": "a\0b\0\0c",
    "rtl": "שלום \u202eabc\u202c مرحبا \u200f\u2066x\u2069",
    "wide": "日本語テスト" * 20,
    "combining": "e" + "\u0301" * 500 + " Z\u0334\u0320 \u0301\u0301 first",
    "emoji": "👩‍👩‍👧‍👦 🏳️‍🌈 🇩🇪 👍🏽 ☠️ 1️⃣",
    "line separators": "a\u2028b\u2029c\u000bd\u0085e\ufeff\u00ad\u200b",
    "unassigned": "\U000e0001\U0010ffff\ufdd0\ud7ff\ufffe",
    "long": "x" * 1_000_000,
}


def everywhere(q: QueueDriver, text: str) -> None:
    """Puts a text wherever somebody else's text can stand."""
    short = text[:200]
    node = NodeInfo(node_id=f"n{short}", host=short, pid=1, processes=2, slots=4, queues=(short,), tq_version=short)
    slot = SlotInfo(task_id=short, type=short, queue=short, started_at_ms=1)
    worker = WorkerInfo(worker_id=f"w{short}", node_id=f"n{short}", pid=2, slots=4, running=(slot,), state=short)
    q.run(registry.heartbeat(node))
    q.run(registry.heartbeat(worker))
    args = {text: text, "list": [text, {text: [text]}]}
    payload = json.dumps(args)
    if len(payload) > 900_000:
        args = {"long": text[:900_000]}
    detail = {"type": text[:4000], "message": text[:8000], "traceback": text[:4000], "by": short, "why": short}
    q.put_one(args)
    fail(q, args, "fatal", detail)
    fail(q, args, "retry", detail)
    q.put_one(args)
    done = q.take_one(worker_id="w.1")
    q.complete(done, result=msgspec.json.encode({text[:100_000]: text[:100_000]}))
    q.put_one(args)
    gone = q.put_one(args)
    q.run(operator.cancel([gone], actor=short, why=short))
    q.put_one(args, delay_s=100)
    q.run(schedules.add(new_schedule("daily", "work", {short: short}, queue="mail", cron="@daily"), actor=short))
    q.run(schedules.pause(q.run(schedules.find("daily")), actor=short, why=text[:2000]))
    q.run(operator.pause_queue("mail", actor=short, why=text[:2000]))
    q.run(operator.resume_queue("mail", actor=short, why=text[:2000]))
    while True:
        taken = q.take(1, worker_id="w.1")
        if taken:
            break
    q.put_one(args)


def fail(q: QueueDriver, args: dict[str, Any], verdict: str, detail: dict[str, Any]) -> None:
    q.put_one(args)
    for task in q.take(10, worker_id="w.1"):
        q.fail(task, verdict=verdict, delay_ms=100_000, detail=detail)


def strips(console: ConsoleOnQueue) -> list[str]:
    """The texts that go to the terminal."""
    lines = console.app.screen._compositor.render_strips(console.app.size)
    return [segment.text for strip in lines for segment in strip]


def assert_inert(console: ConsoleOnQueue) -> None:
    """Nothing on screen is more than text, and every line is as wide as the screen."""
    width, height = console.app.size
    for text in strips(console):
        bad = [c for c in text if not c.isprintable() and c not in "\u00a0\u3000"]
        assert not bad, (bad, text)
    for strip in console.app.screen._compositor.render_strips(console.app.size)[:height]:
        assert strip.cell_length == width
    trouble = console.app.trouble
    assert trouble is None or trouble.code != "internal", trouble


async def walk(console: ConsoleOnQueue, look: Callable[[], None]) -> None:
    """Goes everywhere, and looks there."""
    app = console.app
    for number, name in enumerate(SCREENS, start=1):
        await console.press(str(number))
        await answered(console, name)
        look()
        await console.press("j", "j", "G", "g", "right", "right", "left")
        look()
        if name == "dlq":
            await console.press("]")
        if name in ("tasks", "dlq"):
            assert isinstance(app.pane, TaskListPane)
            for _ in range(8 if name == "tasks" else 1):
                await console.until(lambda: console.app.pane.feed.loaded is not None, "the list")  # type: ignore[attr-defined]
                look()
                if console.table.cursor_id:
                    await console.press("enter")
                    await console.until(lambda: isinstance(app.screen, DetailScreen), "the task")
                    await answered(console, "detail")
                    look()
                    await console.press("G", "pageup", "g", "escape")
                    await console.until(lambda: app.screen is app.base, "the list again")
                if name == "tasks":
                    await console.press("right_square_bracket")
                    await console.pilot.pause()
    await console.press("question_mark")
    await console.pilot.pause()
    look()
    await console.press("escape")
    await console.press("1")


async def answered(console: ConsoleOnQueue, screen: str) -> None:
    def fresh() -> bool:
        snapshot, trouble = console.app.snapshot, console.app.trouble
        assert trouble is None, trouble
        return snapshot is not None and snapshot.question.screen == screen

    await console.until(fresh, f"an answer for {screen}")
    await console.pilot.pause()


QUICK = ("escapes",)
NAMES = [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in TEXTS]


@pytest.mark.parametrize("name", NAMES)
async def test_text_from_anywhere_is_only_text_on_every_screen(q: QueueDriver, name: str) -> None:
    everywhere(q, TEXTS[name])
    async with console_on(q, size=(120, 40)) as console:
        await walk(console, lambda: assert_inert(console))


def damage_everything(q: QueueDriver) -> None:
    """Makes every record of the queue, and of the fleet, something that no tq wrote."""
    everywhere(q, "x")
    for hash_name in ("bodies", "records", "trail", "attempts", "cancels", "tokens"):
        for n, field in enumerate(q.raw.hkeys(q.key(hash_name))):
            bytes_ = (b"\xff\xfe\x00\x1b[31m", b"", b"1|2|3", b"||||||||", b"9" * 400 + b"|x")[n % 5]
            q.raw.hset(q.key(hash_name), field, bytes_)
    q.raw.zadd(q.key("pending"), {b"\xff\x1b[31m": 1e15, b"": -7, b"no-body": 5})
    q.raw.zadd(q.key("running"), {b"nobody-has-me": 1.5e300, b"a@mail": 7})
    q.raw.zadd(q.key("failed"), {b"\x1b]0;x\x07": 1e18, b"z" * 5000: 2})
    for kind in ("node", "worker"):
        for n, member in enumerate(q.raw.hkeys(f"{keys.FLEET}info:{kind}")):
            q.raw.hset(f"{keys.FLEET}info:{kind}", member, (b"\xff", b"[" * 5000)[n % 2])
        q.raw.zadd(f"{keys.FLEET}seen:{kind}", {b"\xff\x1b[2J": 1e15, b"": 0, b"[/x]": 1.7e12})
    q.raw.hset(q.key("meta"), mapping={"paused": b"\xff{"})
    q.raw.xadd(q.key("audit"), {"by": b"\x1b[31m"})
    q.raw.xadd(f"{keys.FLEET}audit", {"by": "x", "detail": "{"})


@pytest.fixture
def damaged(redis_url: str) -> Any:
    """A queue that need not pass the audit afterwards."""
    driver = QueueDriver(redis_url, has_clock=False)
    yield driver
    driver.close()


@pytest.mark.slow
async def test_records_that_nobody_can_read_are_said_to_be_so_and_hide_nothing_else(damaged: QueueDriver) -> None:
    damage_everything(damaged)
    async with console_on(damaged) as console:
        await walk(console, lambda: assert_inert(console))


@pytest.mark.parametrize("name", [b"[/foo]", b"\x1b[31m", "שלום".encode(), b"", b"{}", b"x" * 3000])
async def test_a_queue_with_an_impossible_name_does_not_hide_the_others(damaged: QueueDriver, name: bytes) -> None:
    damaged.put_many(3)
    damaged.raw.hset(keys.QUEUES, name, "77")
    async with console_on(damaged, first="queues") as console:
        await answered(console, "queues")
        assert_inert(console)
        assert "mail" in console.screen_text
        await console.press("4", "right_square_bracket")
        await console.until(lambda: console.table.total == 3, "the tasks")
        assert_inert(console)
        await console.press("ctrl+p", *"queue")
        await console.pilot.pause()
        assert_inert(console)
        await console.press("down", "enter")
        await console.pilot.pause()
        assert_inert(console)


async def test_the_palette_finds_a_queue_whatever_its_name(damaged: QueueDriver) -> None:
    damaged.put_many(1)
    async with console_on(damaged) as console:
        await console.press("ctrl+p")
        await console.until_shown("Search for commands")
        await console.press(*"queue mail")
        await console.until_shown("its tasks")
        await console.press("enter")
        await console.until(lambda: console.app.pane.id == "tasks", "the tasks of the queue")
        assert console.app.pane.feed.queue == "mail"  # type: ignore[attr-defined]


NOW_MS = 1_700_000_000_000
HUGE: dict[str, dict[str, Any]] = {
    "one line": {"a": "x" * 1_000_000},
    "wide": {"a": "日" * 330_000},
    "combining": {"a": "e" + "\u0301" * 500_000},
    "joined": {"a": "👩\u200d" * 140_000},
    "escapes": {"a": "\x1b" * 500_000},
    "many fields": {f"k{n}": n for n in range(80_000)},
    "a long list": {"a": list(range(150_000))},
}


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = {"a": [value]}
    return value


@pytest.mark.parametrize("name", HUGE)
def test_a_value_of_a_megabyte_is_shown_in_part_and_does_not_hold_up_the_screen(name: str) -> None:
    args = HUGE[name]
    task = msgspec.structs.replace(failed_task(name, "no"), args=args, payload_bytes=1_000_000)
    masker = Masker()

    def lines() -> list[Line]:
        # Each answer brings the same values as other objects.
        again = msgspec.structs.replace(task, args=dict(args))
        return detail_lines(again, "", now_ms=NOW_MS, width=120, masker=masker)

    lines()
    start_s = time.process_time()
    shown = lines()
    assert time.process_time() - start_s < 0.1
    assert len(shown) < 500
    # How much there is beyond what is shown is said.
    told = ("more", "characters", "items")
    assert any(word in text for line in shown for text, _ in line for word in told)


@pytest.mark.parametrize("depth", [50, 240, 480, 900])
def test_arguments_nested_as_deeply_as_can_be_are_no_reason_to_fall(depth: int) -> None:
    task = msgspec.structs.replace(failed_task(f"nested-{depth}", "no"), args=nested(depth))
    shown = detail_lines(task, "", now_ms=NOW_MS, width=80, masker=Masker())
    assert any("failed" in text for line in shown for text, _ in line)


def test_a_traceback_of_ten_thousand_lines_is_shown_to_a_limit() -> None:
    error = {"type": "E", "message": "m", "traceback": "  File x, line 1\n" * 10_000}
    task = msgspec.structs.replace(failed_task("id", "no"), error=error)
    shown = detail_lines(task, "", now_ms=NOW_MS, width=80, masker=Masker())
    assert ("… 9,600 more lines", "cell--dim") in [span for line in shown for span in line]


# --- what is not painted by us: toasts, palette, questions, copies, the terminal itself ---


@pytest.mark.parametrize("name", ["markup", "escapes", "null", "rtl", "long"])
async def test_toasts_show_what_others_say_as_text(q: QueueDriver, name: str) -> None:
    async with console_on(q) as console:
        console.app.notify(TEXTS[name], title=TEXTS[name][:100], severity="warning", timeout=60)
        console.app.notify(TEXTS[name], markup=True, timeout=60)
        for _ in range(5):
            await console.pilot.pause()
        assert_inert(console)
        if name == "markup":
            assert "[/foo]" in console.screen_text


@pytest.mark.parametrize("name", ["[/foo] [bold]x", "\x1b]0;PWNED\x07", "a\u202eb", "日本"])
@pytest.mark.parametrize("level", [Level.BAR, Level.MODAL, Level.TYPED])
async def test_questions_show_names_as_text_and_a_name_can_be_typed(q: QueueDriver, name: str, level: Level) -> None:
    plan = Plan(
        title=f"Do {name}",
        command=f"tq {name}",
        level=level,
        flow=lambda _: registry.server_time_ms(),
        tell=lambda _: Told(f"done {name}"),
        facts=(name, name * 100),
        ask_facts=(lambda: _facts(name)) if level >= Level.MODAL else None,
        word=name,
    )
    async with console_on(q) as console:
        console.app.post_message(PlanMade(plan))
        await console.until(lambda: isinstance(console.app.screen, Question), "the question")
        await console.pilot.pause()
        await console.until(lambda: getattr(console.app.screen, "_is_known", True), "the facts")
        assert_inert(console)
        if level is Level.TYPED:
            console.app.screen.query_one(Input).value = "wrong"
            await console.press("enter")
            assert_inert(console)
            console.app.screen.query_one(Input).value = visible(name)
            await console.press("enter")
        else:
            await console.press("y")
        await console.until(lambda: console.done, "it to be done")
        await console.pilot.pause()
        assert_inert(console)


def _facts(name: str) -> Flow[tuple[str, ...]]:
    yield from registry.server_time_ms()
    return (name, name * 50)


CSI = re.compile(rb"\x1b\[[0-?]*[ -/]*[@-~]")
OWN = {b"\x1b="}
"""What Textual sends beside control sequences."""


def test_a_terminal_gets_no_control_code_that_is_not_our_own(q: QueueDriver, own_environment: Path) -> None:
    everywhere(q, TEXTS["escapes"])
    with Pty(["console", "--url", q.url], folder=own_environment) as terminal:
        terminal.until(b"NEEDS ATTENTION")
        for keys_ in ("2", "3", "4", "]", "]", "]", "]", "]", "]", "5", "\r", "\r"):
            terminal.press(keys_)
            terminal.read(0.4)
        terminal.until(b"traceback")
        for keys_ in ("G", "c", "\x1b", "D", "n", "K", ":", "queue", "\x1b", "?", "\x1b", "/", "\x1b", "1"):
            terminal.press(keys_)
            terminal.read(0.4)
        terminal.press("\x03\x03")
        terminal.end()
    rest = CSI.sub(b"", terminal.got)
    rest = re.sub(rb"\x1b\]22;[a-z-]*\x07", b"", rest)  # the shape of the pointer
    copied = re.sub(rb"\x1b\]52;c;[A-Za-z0-9+/=]*\x07", b"", rest)
    assert copied != rest, "an id was to be copied"
    found = set(re.findall(rb"\x1b.|[\x00-\x08\x0b\x0c\x0e-\x1a\x1c-\x1f\x7f]", copied))
    assert not found - OWN, found
    text = copied.decode()
    assert not [c for c in text if 0x7F <= ord(c) < 0xA0]
    assert "PWNED" in text
    assert b"\x1b]0" not in terminal.got
    assert b"\x1b]2;" not in terminal.got


@pytest.mark.parametrize("depth", [200, 450])
async def test_an_error_nested_as_deeply_as_can_be_read_hides_no_list(damaged: QueueDriver, depth: int) -> None:
    ids = damaged.put_many(2)
    for task in damaged.take(2):
        damaged.fail(task, verdict="fatal", detail={"type": "Deep", "message": "down", "more": nested(depth)})
    async with console_on(damaged, first="dlq") as console:
        await console.until(lambda: console.table.total == 2, "the list")
        await console.until_shown("Deep: down")
        assert_inert(console)
        await console.press("enter")
        await answered(console, "detail")
        assert_inert(console)
        await console.press("escape", "1")
        await answered(console, "overview")
        assert_inert(console)
    assert ids


@pytest.mark.slow
@pytest.mark.timeout(180)
async def test_every_key_on_records_that_cannot_be_read_is_answered(damaged: QueueDriver) -> None:
    damage_everything(damaged)
    async with console_on(damaged, first="tasks") as console:
        app = console.app
        for _ in range(8):
            await console.until(lambda: console.app.pane.feed.loaded is not None, "the list")  # type: ignore[attr-defined]
            for n in range(min(3, console.table.total)):
                console.table.move_to(n)
                await console.until(lambda: console.table.cursor_row is not None, "the row")
                for key in ("e", "r", "X", "K", "D", "enter"):
                    await console.press(key)
                    await console.pilot.pause()
                    if isinstance(app.screen, Question):
                        await console.press("y")
                    assert_inert(console)
                    for _ in range(3):
                        await console.pilot.pause()
                        if app.screen is not app.base:
                            await console.press("escape")
            await console.until(lambda: not app.performer.under_way, "the changes")
            await console.press("right_square_bracket")
        bugs = [toast for toast in console.toasts if "internal error" in toast]
        assert not bugs, bugs
        assert len(console.done) > 10
