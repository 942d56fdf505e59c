"""The broker goes, comes back, is slow, full or empty; keys come at the wrong moment: the console tells the truth."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from textual import events

from tests.faulty_proxy import FaultyProxy
from tests.queue_driver import QueueDriver
from tests.redis_servers import PrivateServer
from tests.tui.console_on_queue import ConsoleOnQueue, console_on
from tests.tui.pty_terminal import Pty
from tests.waiting import wait_until
from tq_console.tui.actions.confirm import ConfirmBar, ConfirmWindow
from tq_console.tui.app import ConsoleApp
from tq_console.tui.detail.detail_screen import DetailScreen
from tq_console.tui.forms.submit_screen import SubmitScreen
from tq_console.tui.panes.task_list import TaskListPane
from tq_console.tui.watch.link import Link
from tq_core.errors import RefusedError
from tq_core.keyspace import script_loader
from tq_core.model import TaskState
from tq_core.roles import operator, registry
from tq_core.roles.registry import NodeInfo, SlotInfo, WorkerInfo
from tq_core.settings import BrokerContext, resolve_broker

pytestmark = pytest.mark.server

SCREENS = ("overview", "queues", "workers", "tasks", "dlq")
NewServer = Callable[..., PrivateServer]


def fail_some(q: QueueDriver, count: int) -> list[str]:
    """Tasks in the DLQ, in the order of its list."""
    q.put_many(count)
    for task in q.take(count):
        q.fail(task, verdict="fatal")
    return [task_id.decode() for task_id in q.raw.zrevrange(q.key("failed"), 0, -1)]


def pane(console: ConsoleOnQueue) -> TaskListPane:
    found = console.app.pane
    assert isinstance(found, TaskListPane)
    return found


def add_node(q: QueueDriver, *, processes: int = 1) -> None:
    q.run(registry.heartbeat(NodeInfo(node_id="node", host="h", pid=1, processes=processes, slots=2)))


@asynccontextmanager
async def console_at(url: str, driver: QueueDriver | None = None, **options: Any) -> AsyncIterator[ConsoleOnQueue]:
    """A console at an address, which need not answer."""
    app = ConsoleApp(Link(resolve_broker(url), actor="ann"), interval_s=0.1, **options)
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        yield ConsoleOnQueue(app, pilot, driver)  # type: ignore[arg-type]


# --- the broker goes and comes back ---


async def test_a_server_that_dies_is_said_on_every_screen_and_the_last_data_stays(new_redis_server: NewServer) -> None:
    server = new_redis_server(is_durable=True)
    q = QueueDriver(server.url, has_clock=False)
    fail_some(q, 2)
    q.put_many(3)
    async with console_on(q) as console:
        for key in "234":
            await console.press(key)
            name = console.app.pane.id
            await console.until(lambda name=name: console.app.snapshot.question.screen == name, "its answer")  # type: ignore[union-attr,misc]
        await console.press("5", "]")
        await console.until(lambda: console.table.total == 2, "the DLQ")
        server.kill()
        await console.until(lambda: "DISCONNECTED" in console.header, "the trouble")
        for key in "12345":
            await console.press(key)
            await console.pilot.pause()
            assert "DISCONNECTED" in console.header
            assert "STALE" in console.header
        assert console.table.total == 2
        await console.press("enter")
        await console.until_shown("DISCONNECTED")
        assert isinstance(console.app.screen, DetailScreen)
        await console.press("question_mark", "escape", "escape")
        server.start()
        await console.until(lambda: console.app.trouble is None, "the broker again")
        await console.until(lambda: "STALE" not in console.header, "fresh data")
        assert console.table.total == 2
    assert q.findings() == []
    q.close()


async def test_a_screen_without_data_does_not_borrow_the_age_of_another(new_redis_server: NewServer) -> None:
    server = new_redis_server()
    q = QueueDriver(server.url, has_clock=False)
    async with console_on(q, first="queues") as console:
        server.kill()
        await console.until(lambda: console.app.trouble is not None, "the trouble")
        assert "STALE" in console.header
        await console.press("4")
        await console.pilot.pause()
        assert "no data yet" in console.header
        assert "STALE" not in console.header
    q.close()


async def test_what_a_screen_showed_last_is_called_as_old_as_it_is(q: QueueDriver) -> None:
    async with console_on(q, first="queues") as console:
        app = console.app
        await console.press("4")
        await console.until(lambda: app.snapshot and app.snapshot.question.screen == "tasks", "the tasks")
        queues = next(pane for pane in app.panes if pane.id == "queues")
        now_s = app.clock()
        app.poller.is_frozen = True
        assert queues.snapshot is not None
        queues.snapshot = type(queues.snapshot)(
            **{f: getattr(queues.snapshot, f) for f in queues.snapshot.__slots__ if f != "taken_s"},
            taken_s=now_s - 600,
        )
        await console.press("2")
        await console.pilot.pause()
        assert "FROZEN 10m" in console.header


async def test_a_server_that_comes_back_empty_is_said_to_be(new_redis_server: NewServer) -> None:
    server = new_redis_server()
    q = QueueDriver(server.url, has_clock=False)
    q.put_many(3)
    async with console_on(q, first="tasks") as console:
        await console.press("right_square_bracket")
        await console.until(lambda: console.table.total == 3, "the list")
        await console.press("space")
        server.kill()
        await console.until(lambda: console.app.trouble is not None, "the trouble")
        server.start()
        await console.until_shown("EMPTIED")
        await console.until(lambda: console.table.total == 0, "the empty list")
        await console.press("X")
        await console.until_shown("Cancel task")
        await console.press("y")
        await console.until(lambda: any("not there any more" in t for t in console.toasts), "what became of it")
    q.close()


async def test_everything_deleted_under_our_feet_is_said_on_every_screen(new_redis_server: NewServer) -> None:
    server = new_redis_server()
    q = QueueDriver(server.url, has_clock=False)
    async with console_on(q) as console:
        for key in "12345678":
            q.put_many(3)
            await console.press(key)
            await console.until(lambda: console.app.snapshot and console.app.snapshot.queues, "the queue")
            q.raw.flushall()
            await console.until(lambda: "EMPTIED" in console.header, f"it to be said on {key}")
            assert console.app.trouble is None
        q.put_many(1)
        await console.until(lambda: "EMPTIED" not in console.header, "it to be over")
    q.close()


async def test_a_frozen_server_makes_stale_and_a_key_pressed_meanwhile_works_once(new_redis_server: NewServer) -> None:
    server = new_redis_server()
    q = QueueDriver(server.url, has_clock=False)
    (failed,) = fail_some(q, 1)
    async with console_on(q, first="dlq") as console:
        await console.until(lambda: console.table.cursor_id == failed, "the list")
        server.freeze()
        await console.press("r", "1", "2", "5")
        await console.until(lambda: "STALE" in console.header, "it to be called stale")
        server.thaw()
        await console.until(lambda: "STALE" not in console.header, "fresh data")
        await console.until(lambda: console.done, "the task to be retried")
        assert q.depths() == {"pending": 1}
        assert len(q.audited()) == 1
    q.close()


async def test_slow_answers_are_called_slow(q: QueueDriver) -> None:
    async with console_on(q) as console:
        await console.until(lambda: console.app.snapshot, "data")
        for _ in range(5):
            console.app.poller._rtts_ms.append(900)
        await console.until_shown("slow")


async def test_a_replica_is_said_to_be_one_and_refuses_changes(new_redis_server: NewServer) -> None:
    primary, replica = new_redis_server(), new_redis_server()
    q, other = QueueDriver(primary.url, has_clock=False), QueueDriver(replica.url, has_clock=False)
    (failed,) = fail_some(q, 1)
    other.raw.execute_command("REPLICAOF", "127.0.0.1", str(primary.port))
    async with console_on(other, first="dlq") as console:
        console.app.poller._facts_at_s = float("-inf")
        await console.until(lambda: console.table.cursor_id == failed, "the list of the replica")
        await console.until_shown("READ-ONLY REPLICA")
        await console.press("r")
        await console.until(lambda: any("read-only replica" in toast for toast in console.toasts), "the refusal")
        assert console.app.trouble is None
    assert q.state(failed) is TaskState.FAILED
    q.close()
    other.close()


async def test_a_full_server_is_said_and_what_needs_no_memory_still_works(new_redis_server: NewServer) -> None:
    server = new_redis_server()
    q = QueueDriver(server.url, has_clock=False)
    (failed,) = fail_some(q, 1)
    async with console_on(q, first="dlq") as console:
        await console.until(lambda: console.table.cursor_id == failed, "the list")
        q.raw.config_set("maxmemory", "1")
        console.app.poller._facts_at_s = float("-inf")
        await console.until(lambda: "memory" in console.header, "it to be said")
        await console.press("r")
        await console.until(lambda: any("out of memory" in toast for toast in console.toasts), "the refusal")
        assert q.state(failed) is TaskState.FAILED
        for key in "12345678":
            await console.press(key)
            name = console.app.pane.id
            await console.until(lambda name=name: console.app.snapshot.question.screen == name, "its answer")  # type: ignore[union-attr,misc]
        q.raw.config_set("maxmemory", "0")
    assert q.findings() == []
    q.close()


async def test_a_password_that_changes_under_our_feet_is_named_and_survived(new_redis_server: NewServer) -> None:
    server = new_redis_server()
    q = QueueDriver(server.url, has_clock=False)
    q.put_many(1)
    async with console_on(q) as console:
        await console.until(lambda: console.app.snapshot, "data")
        q.raw.config_set("requirepass", "s3cret")
        q.raw.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        await console.until(
            lambda: console.app.trouble and "Authentication required" in console.app.trouble.text, "the trouble"
        )
        assert "s3cret" not in console.screen_text
        q.raw.config_set("requirepass", "")
        await console.until(lambda: console.app.trouble is None, "the broker again")
    q.close()


@pytest.mark.slow
async def test_an_address_where_nothing_listens_says_so_and_starts_when_it_does(new_redis_server: NewServer) -> None:
    server = new_redis_server()
    url = server.tcp_url
    server.stop()
    async with console_at(url) as console:
        await console.until_shown("DISCONNECTED")
        assert "no data yet" in console.header
        for key in "12345678":
            await console.press(key)
        await console.press("r", "D", "K", "X", "p", "T", "enter", "slash", "x", "enter", "question_mark", "escape")
        assert console.app.performer.under_way == 0
        server.start()
        await console.until(lambda: console.app.snapshot is not None, "the first answer")
        assert "DISCONNECTED" not in console.header


async def test_a_server_that_is_too_old_is_named(new_redis_server: NewServer) -> None:
    server = new_redis_server()
    proxy = FaultyProxy(server.port)
    info = b"# Server\r\nredis_version:5.0.7\r\nredis_mode:standalone\r\n"
    for _ in range(8):
        proxy.answer(b"$4\r\nINFO\r\n", b"$%d\r\n%s\r\n" % (len(info), info))
    try:
        async with console_at(proxy.url) as console:
            await console.until_shown("REFUSED")
            await console.until(lambda: "5.0.7" in console.header and "6.2" in console.header, "the versions")
    finally:
        proxy.close()


# --- a change while the broker goes ---


async def test_a_change_whose_answer_is_lost_is_said_to_be_unknown_and_not_done_twice(
    new_redis_server: NewServer,
) -> None:
    server = new_redis_server()
    proxy = FaultyProxy(server.port)
    q = QueueDriver(server.url, has_clock=False)
    fail_some(q, 3)
    async with console_at(proxy.url, q, first="queues") as console:
        await console.until(lambda: console.table.cursor_id == "mail", "the queue")
        await console.press("R")
        await console.until_shown("3 failed now")
        q.raw.script_load(script_loader.source("requeue").text)
        proxy.lose_answer(script_loader.source("requeue").sha.encode())
        await console.press("y")
        await console.until(lambda: console.done, "the end of it")
        assert any("not known" in toast for toast in console.toasts)
        assert proxy.count(script_loader.source("requeue").sha.encode()) == 1
        assert q.depths() == {"pending": 3}
    proxy.close()
    assert q.findings() == []
    q.close()


@pytest.mark.slow
async def test_without_a_broker_a_change_that_was_confirmed_says_what_it_does_not_know(
    new_redis_server: NewServer,
) -> None:
    server = new_redis_server(is_durable=True)
    q = QueueDriver(server.url, has_clock=False)
    (failed,) = fail_some(q, 1)
    async with console_on(q, first="dlq") as console:
        await console.until(lambda: console.table.cursor_id == failed, "the list")
        await console.press("D")
        await console.until(lambda: isinstance(console.app.screen, ConfirmBar), "the question")
        server.kill()
        await console.until(lambda: "DISCONNECTED" in console.header, "the trouble, while the question is open")
        await console.press("y")
        await console.until(lambda: any("not known" in toast for toast in console.toasts), "what became of it")
        server.start()
        await console.until(lambda: console.app.trouble is None, "the broker again")
        assert q.state(failed) is TaskState.FAILED
    q.close()


async def test_what_would_be_hit_cannot_be_asked_so_there_is_no_yes(new_redis_server: NewServer) -> None:
    server = new_redis_server(is_durable=True)
    q = QueueDriver(server.url, has_clock=False)
    q.put_many(3)
    async with console_on(q, first="queues") as console:
        await console.until(lambda: console.table.cursor_id == "mail", "the queue")
        server.kill()
        await console.until(lambda: console.app.trouble is not None, "the trouble")
        await console.press("P")
        await console.until_shown("could not be asked")
        server.start()
        await console.until(lambda: console.app.trouble is None, "the broker again")
        await console.press("y", "y")
        assert isinstance(console.app.screen, ConfirmWindow)
        assert q.depths() == {"pending": 3}
        await console.press("escape")
        await console.until(lambda: console.app.screen is console.app.base, "the list again")
        assert console.done == []
    q.close()


@pytest.mark.slow
async def test_the_form_survives_that_the_broker_goes_and_keeps_what_was_typed(new_redis_server: NewServer) -> None:
    server = new_redis_server(is_durable=True)
    q = QueueDriver(server.url, has_clock=False)
    q.put_many(1)
    async with console_on(q) as console:
        await console.press("n")
        await console.until(lambda: isinstance(console.app.screen, SubmitScreen), "the form")
        await console.press("ctrl+g", *"typed")
        server.kill()
        await console.until(lambda: console.app.trouble is not None, "the trouble")
        await console.press("ctrl+s")
        await console.until(lambda: any("not known" in t or "no usable" in t for t in console.toasts), "the refusal")
        await console.until(lambda: isinstance(console.app.screen, SubmitScreen), "the form again")
        await console.until_shown("typed")
        server.start()
        await console.until(lambda: console.app.trouble is None, "the broker again")
    q.close()


# --- keys at the wrong moment ---


async def test_two_yeses_in_one_go_are_one(q: QueueDriver) -> None:
    ids = fail_some(q, 2)
    async with console_on(q, first="dlq") as console:
        await console.until(lambda: console.table.cursor_id == ids[0], "the list")
        await console.press("enter")
        await console.until(lambda: isinstance(console.app.screen, DetailScreen), "the task")
        await console.until(lambda: console.app.screen.chosen().ids, "what is known of it")  # type: ignore[attr-defined]
        await console.press("D")
        await console.until(lambda: isinstance(console.app.screen, ConfirmBar), "the question")
        for _ in range(3):
            console.app.screen.post_message(events.Key("y", "y"))
        await console.until(lambda: console.done, "the deletion")
        assert isinstance(console.app.screen, DetailScreen)
        assert len(console.done) == 1
        assert q.depths() == {"failed": 1}


@pytest.mark.parametrize("key", ["D", "enter", "n"])
async def test_a_key_pressed_twice_in_one_go_opens_one_screen(q: QueueDriver, key: str) -> None:
    ids = fail_some(q, 2)
    async with console_on(q, first="dlq") as console:
        app = console.app
        await console.until(lambda: console.table.cursor_id == ids[0], "the list")
        for _ in range(3):
            app.post_message(events.Key(key, key if len(key) == 1 else None))
        await console.until(lambda: app.screen is not app.base, "the screen")
        for _ in range(5):
            await console.pilot.pause()
        assert len(app.screen_stack) == 2
        await console.press("escape")
        await console.until(lambda: app.screen is app.base, "the list again")
        assert console.done == []
        assert q.depths() == {"failed": 2}


async def test_a_yes_typed_ahead_of_the_question_is_none(q: QueueDriver) -> None:
    fail_some(q, 2)
    async with console_on(q, first="dlq") as console:
        await console.until(lambda: console.table.total == 2, "the list")
        for key in "Dyyyy":
            console.app.post_message(events.Key(key, key))
        await console.until(lambda: isinstance(console.app.screen, ConfirmBar) or console.done, "the question")
        for _ in range(5):
            await console.pilot.pause()
        assert not any(performed.told.is_good for performed in console.app.performer.log)
        assert q.depths() == {"failed": 2}


async def test_a_question_that_a_timer_asks_does_not_jump_between_the_keys_of_a_form(q: QueueDriver) -> None:
    add_node(q, processes=1)
    async with console_on(q, first="workers") as console:
        app = console.app
        await console.until(lambda: console.table.cursor_id, "the node")
        await console.press("minus")
        app.action_help()
        await console.until(lambda: app.screen is not app.base, "something above")
        await console.until(lambda: any("nothing was done" in t for t in console.toasts), "it to be said")
        assert not isinstance(app.screen, ConfirmBar)
        assert q.raw.exists("tq:{!fleet}:inbox:node") == 0


async def test_digits_and_deadly_keys_during_a_question_do_nothing(q: QueueDriver) -> None:
    fail_some(q, 2)
    async with console_on(q, first="dlq") as console:
        await console.until(lambda: console.table.total == 2, "the list")
        await console.press("D")
        await console.until(lambda: isinstance(console.app.screen, ConfirmBar), "the question")
        await console.press("1", "4", "D", "K", "X", "r", "space", "G", "j", "slash", "colon", "ctrl+p", "f", "n")
        await console.pilot.pause()
        assert console.app.screen is console.app.base
        assert console.app.pane.id == "dlq"
        assert q.depths() == {"failed": 2}


async def test_an_error_of_our_own_in_an_action_is_told(q: QueueDriver) -> None:
    (failed,) = fail_some(q, 1)
    async with console_on(q, first="dlq") as console:
        await console.until(lambda: console.table.cursor_id == failed, "the list")

        async def broken(flow: Any) -> Any:
            flow.close()
            raise KeyError("[/oops]")

        console.app.link.change = broken  # type: ignore[method-assign]
        await console.press("r")
        await console.until(lambda: any("internal error" in t and "[/oops]" in t for t in console.toasts), "the toast")


async def test_a_context_that_is_read_only_is_so_below_everything_that_could_be_pressed(q: QueueDriver) -> None:
    (failed,) = fail_some(q, 1)
    address = resolve_broker(q.url)
    context = BrokerContext(name="prod", url=q.url, is_read_only=True, is_protected=True)
    link = Link(replace(address, context=context), actor="ann")
    with pytest.raises(RefusedError):
        await link.change(operator.discard([failed], actor="ann"))
    app = ConsoleApp(link, interval_s=0.1, first="dlq")
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        console = ConsoleOnQueue(app, pilot, q)
        await console.until_shown("group 1 of 1")
        await console.press("]")
        await console.until(lambda: console.table.cursor_id == failed, "the list")
        assert "READ-ONLY" in console.header
        for key in ("r", "D", "n", "e", "2", "p", "P", "R", "3", "plus", "W"):
            await console.press(key)
            await pilot.pause()
            assert app.screen is app.base
        await console.until(lambda: any("read-only" in toast for toast in console.toasts), "the refusal")
    assert q.audited() == []
    assert q.depths() == {"failed": 1}


async def test_on_a_protected_broker_a_y_is_not_enough(q: QueueDriver) -> None:
    (failed,) = fail_some(q, 1)
    async with console_on(q, first="dlq") as console:
        console.app.link.is_protected = True
        await console.app.link.unlock(for_s=600, why="a test")
        await console.until(lambda: console.table.cursor_id == failed, "the list")
        await console.press("D")
        await console.until(lambda: isinstance(console.app.screen, ConfirmWindow), "the question")
        await console.press("y", "enter", "y", "y", "enter")
        assert q.state(failed) is TaskState.FAILED
        await console.press("escape")
        await console.until(lambda: console.app.screen is console.app.base, "the list again")
        assert q.state(failed) is TaskState.FAILED
        assert console.done == []


# --- what is shown while one looks ---


async def test_a_task_shown_whole_lives_on_below_a_question(q: QueueDriver) -> None:
    (failed,) = fail_some(q, 1)
    async with console_on(q, first="dlq") as console:
        await console.until(lambda: console.table.cursor_id == failed, "the list")
        await console.press("enter")
        await console.until(lambda: isinstance(console.app.screen, DetailScreen), "the task")
        await console.press("question_mark")
        q.run(operator.requeue([failed], actor="bob"))
        await console.until(
            lambda: console.app.detail and console.app.detail.chosen().state is TaskState.PENDING, "the new state"
        )


async def test_a_frozen_console_asks_for_what_was_never_shown_and_for_nothing_else(q: QueueDriver) -> None:
    q.put_many(3)
    async with console_on(q, first="queues") as console:
        await console.until(lambda: console.table.total == 1, "the queues")
        await console.press("f")
        q.put_many(2)
        await console.press("4", "right_square_bracket")
        await console.until(lambda: console.table.total == 5, "the list, though frozen")
        taken_s = console.app.snapshot.taken_s if console.app.snapshot else 0
        q.put_many(2)
        await console.press("j", "j", "k")
        for _ in range(10):
            await console.pilot.pause()
        assert console.table.total == 5
        assert console.app.snapshot is not None
        assert console.app.snapshot.taken_s == taken_s
        await console.press("ctrl+r")
        await console.until(lambda: console.table.total == 7, "what ctrl+r asked for")
        assert "FROZEN" in console.header


async def test_copying_takes_ids_and_names_only(q: QueueDriver) -> None:
    q.put_many(1)
    async with console_on(q) as console:
        await console.until_shown("no live worker")
        await console.press("c")
        assert console.app.clipboard == ""
        await console.press("2")
        await console.until(lambda: console.table.cursor_id == "mail", "the queues")
        await console.press("c")
        assert console.app.clipboard == "mail"


async def test_marks_decide_what_a_key_is_about_though_a_ghost_is_under_the_cursor(q: QueueDriver) -> None:
    ids = fail_some(q, 3)
    async with console_on(q, first="dlq") as console:
        await console.until(lambda: console.table.total == 3, "the list")
        await console.press("j", "j", "space", "g")
        marked = console.table.marked
        assert len(marked) == 1
        ghost = console.table.cursor_id
        assert ghost is not None
        assert ghost not in marked
        q.run(operator.requeue([ghost], actor="bob"))
        await console.until(lambda: "→ pending" in console.screen_text, "the ghost")
        chosen = pane(console).chosen()
        assert chosen.ids == marked
        assert chosen.state is TaskState.FAILED
        assert [task.id for task in chosen.tasks] == list(marked)
    assert set(ids)


async def test_what_is_at_stake_is_said_whole_on_a_narrow_terminal(q: QueueDriver) -> None:
    q.put_many(3)
    tasks = q.take(3, worker_id="a-worker-with-a-long-name.1")
    slots = tuple(SlotInfo(task_id=task.id, type="work", queue="mail", started_at_ms=1) for task in tasks)
    name = "a-worker-with-a-long-name"
    q.run(registry.heartbeat(WorkerInfo(worker_id=f"{name}.1", node_id=name, pid=1, slots=3, running=slots)))
    async with console_on(q, first="tasks", size=(60, 16)) as console:
        await console.until(lambda: console.table.total == 3, "the list")
        await console.press("K")
        await console.until(lambda: isinstance(console.app.screen, ConfirmBar), "the question")
        await console.until_shown("no attempt is lost")
        words = " ".join(console.screen_text.split())
        assert f"2 other tasks on {name}.1 will run again if a process must be ended; no attempt is lost" in words
        await console.press("n")


async def test_of_marked_tasks_that_are_not_loaded_it_is_said_that_they_are_not_on_screen(q: QueueDriver) -> None:
    ids = fail_some(q, 400)
    async with console_on(q, first="dlq") as console:
        await console.until(lambda: console.table.total == 400, "the list")
        await console.press("space", "G")
        await console.until(lambda: console.table.cursor_row is not None, "the end of the list")
        await console.press("space", "D")
        await console.until_shown("Delete 2 tasks?")
        await console.until_shown("1 work in mail, and 1 that are not on screen")
        await console.press("y")
        await console.until(lambda: console.done, "the deletion")
        assert sorted(i for i in ids if q.state(i) is None) == sorted([ids[0], ids[-1]])


# --- long lists of many queues ---


def queues_with(url: str, *counts: int) -> list[QueueDriver]:
    drivers = []
    for n, count in enumerate(counts):
        driver = QueueDriver(url, queue=f"q{n:02}", has_clock=False)
        for first in range(0, count, 500):
            driver.put_many(min(500, count - first))
        if not driver.raw.hexists("tq:queues", driver.queue):
            driver.run(registry.register_queue(driver.queue))
        drivers.append(driver)
    return drivers


def loaded_on_screen(console: ConsoleOnQueue) -> bool:
    table = console.table
    lines = [table._line(table._top + y) for y in range(table._body_lines)]
    return all(line.kind.name != "PLACEHOLDER" for line in lines)


@pytest.mark.parametrize("counts", [(300, *[0] * 40), (300, *[1] * 40), (200, 200, *[3] * 20)])
async def test_among_many_queues_the_screen_is_filled(redis_url: str, counts: tuple[int, ...]) -> None:
    drivers = queues_with(redis_url, *counts)
    async with console_on(drivers[0], first="tasks") as console:
        await console.press("right_square_bracket")
        await console.until(lambda: console.table.total == sum(counts), "the list")
        await console.until(lambda: loaded_on_screen(console), "the first page")
        await console.press("pagedown", "pagedown")
        await console.until(lambda: loaded_on_screen(console), "the third page")
        await console.press("G")
        await console.until(lambda: loaded_on_screen(console), "the last page")
        assert console.table.cursor_index == sum(counts) - 1
    for driver in drivers:
        driver.close()


@pytest.mark.parametrize("counts", [(3000, 800), (800, 3000), (1500, 1500, 40)])
async def test_a_jump_into_lists_that_do_not_mix_arrives(redis_url: str, counts: tuple[int, ...]) -> None:
    drivers = queues_with(redis_url, *counts)
    # The queues' tasks do not lie between one another: all of the later ones come after all of the first.
    for n, driver in enumerate(drivers):
        scores = driver.raw.zrange(driver.key("pending"), 0, -1, withscores=True)
        driver.raw.zadd(driver.key("pending"), {task_id: score + n * 2**45 for task_id, score in scores})
    total = sum(counts)
    async with console_on(drivers[0], first="tasks") as console:
        await console.press("right_square_bracket")
        await console.until(lambda: console.table.total == total, "the list")
        for index in (total - 1, total // 2, counts[0] + 5, counts[0] - 5, total // 5, total * 4 // 5):
            console.table.move_to(index)
            await console.until(lambda: loaded_on_screen(console), f"the rows around {index} of {total}")
            assert console.table.cursor_index == index
    for driver in drivers:
        driver.close()


async def test_all_running_tasks_of_one_among_many_queues_are_listed(redis_url: str) -> None:
    drivers = queues_with(redis_url, 300, *[0] * 20)
    drivers[0].take(300)
    async with console_on(drivers[0], first="tasks") as console:
        await console.until(lambda: console.table.total == 300, "the list")
        await console.press("G")
        await console.until(lambda: loaded_on_screen(console), "the last page")
    for driver in drivers:
        driver.close()


# --- leaving, in a terminal of its own ---


def test_a_console_over_a_frozen_server_leaves_at_once_even_in_the_middle_of_a_change(
    new_redis_server: NewServer, own_environment: Path
) -> None:
    server = new_redis_server()
    q = QueueDriver(server.url, has_clock=False)
    fail_some(q, 1)
    with Pty(["console", "--url", server.url], folder=own_environment) as terminal:
        terminal.until(b"NEEDS ATTENTION")
        terminal.press("5")
        terminal.until(b"boom")
        terminal.press("]")
        terminal.until(b"  1 of 1")  # the groups say "group 1 of 1"
        server.freeze()
        terminal.press("r")
        terminal.read(0.5)
        terminal.press("\x03")
        terminal.until(b"1 change still under way")
        start_s = time.monotonic()
        terminal.press("\x03")
        assert terminal.end() == 0
        assert time.monotonic() - start_s < 4
        assert b"Traceback" not in terminal.got
        assert b"\x1b[?1049l" in terminal.got, "the terminal is to be given back"
    server.thaw()
    q.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_ends_the_console_whatever_is_open_and_however_often_it_comes(
    new_redis_server: NewServer, own_environment: Path, number: signal.Signals
) -> None:
    server = new_redis_server()
    q = QueueDriver(server.url, has_clock=False)
    fail_some(q, 1)
    with Pty(["console", "--url", server.url], folder=own_environment) as terminal:
        terminal.until(b"NEEDS ATTENTION")
        terminal.press("5")
        terminal.until(b"boom")
        terminal.press("D")
        terminal.until(b"Delete ")
        server.freeze()
        for _ in range(3):
            terminal.process.send_signal(number)
        assert terminal.end() == 130
        assert b"Traceback" not in terminal.got
        assert b"\x1b[?1049l" in terminal.got
    server.thaw()
    assert q.depths() == {"failed": 1}
    q.close()


@pytest.mark.slow
def test_a_storm_of_sizes_leaves_a_screen_that_is_whole(new_redis_server: NewServer, own_environment: Path) -> None:
    server = new_redis_server()
    q = QueueDriver(server.url, has_clock=False)
    fail_some(q, 30)
    sizes = [(20, 5), (200, 60), (1, 1), (60, 16), (3, 3), (120, 40), (20, 5), (80, 24)]
    with Pty(["console", "--url", server.url], folder=own_environment) as terminal:
        terminal.until(b"NEEDS ATTENTION")
        for key in ("5", "\r", "\x1b", "4", "3", "2", "n", "\x1b", "1", "?", "\x1b", "D", "n"):
            for size in sizes:
                terminal.resize(*size)
                terminal.read(0.03)
            terminal.press(key)
            terminal.read(0.15)
        terminal.resize(100, 30)
        terminal.press("\x1b")
        terminal.read(0.3)
        terminal.press("2")
        terminal.until(b"mail")
        terminal.press("\x03\x03")
        assert terminal.end() == 0
        assert b"Traceback" not in terminal.got
        assert b"internal error" not in terminal.got
    q.close()


def test_the_embedded_brokers_server_is_started_again_when_it_is_killed(own_environment: Path) -> None:
    with Pty(["console", "--url", "embedded://robust"], folder=own_environment) as terminal:
        terminal.until(b"no queue and no worker yet")
        pids = server_pids(own_environment)
        assert pids, "the embedded broker's server"
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda: set(server_pids(own_environment)) - set(pids), 20, "another server")
        terminal.read(1.0)
        terminal.press("n")
        terminal.until(b"New task")
        terminal.press("\x1b")
        terminal.read(0.3)
        terminal.press("\x03\x03")
        assert terminal.end() == 0
        assert b"Traceback" not in terminal.got
    wait_until(lambda: not server_pids(own_environment), 20, "the embedded broker to end")


def server_pids(folder: Path) -> list[int]:
    """Redis servers whose files lie in a folder."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes()
                place = str((entry / "cwd").readlink())
            except OSError:
                continue
            is_ours = str(folder).encode() in words or place.startswith(str(folder))
            if is_ours and b"redis-server" in words.split(b"\0")[0]:
                found.append(int(entry.name))
    return found
