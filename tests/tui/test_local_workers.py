"""Workers that the console starts: on its broker, with its end, whatever way that comes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from textual.widgets import Input

from tests.cli.test_hostile_text import DANGEROUS, HOSTILE
from tests.queue_driver import QueueDriver
from tests.tui.console_on_queue import console_on
from tests.tui.scenes import PaneApp
from tests.waiting import wait_until, wait_until_async
from tq_console.tui.local.local_workers import DEFAULT_LINE, LocalWorker, LocalWorkers, worker_environ
from tq_console.tui.local.log_screen import LogScreen
from tq_console.tui.local.start_screen import StartScreen
from tq_console.tui.look.canvas import Canvas
from tq_console.tui.panes.workers import WorkersPane
from tq_core.errors import InvalidInputError, RefusedError
from tq_core.model import TaskState
from tq_core.roles import registry
from tq_core.settings import resolve_broker

LONGEST_S = 30.0
ONE_SMALL = "--samples --queues mail --processes 1 --slots 2 --heartbeat 1 --name here"


@pytest.fixture
def make_local() -> Iterator[Callable[..., LocalWorkers]]:
    """Makes local workers of a broker; all are ended after the test."""
    made: list[LocalWorkers] = []

    def make(url: str, **settings: Any) -> LocalWorkers:
        made.append(LocalWorkers(resolve_broker(url), **settings))
        return made[-1]

    yield make
    for local in made:
        local.stop_all()


def test_neither_a_page_nor_a_gateway_starts_programs() -> None:
    in_browser = LocalWorkers(resolve_broker("redis://localhost"), is_in_browser=True)
    assert "starts no programs" in in_browser.refusal
    assert "need the broker itself" in LocalWorkers(resolve_broker("https://localhost")).refusal
    with pytest.raises(RefusedError):
        in_browser.start("--samples")


def exists(pid: int) -> bool:
    """Whether a process runs; one that only waits to be fetched does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def children(pid: int) -> list[int]:
    """The processes of a session."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(fields[3]) == pid and fields[0] != "Z":
            found.append(int(stat.parent.name))
    return found


def joined(q: QueueDriver, pid: int) -> bool:
    """Whether the node of a local worker is on the register."""
    found = q.run(registry.fleet())
    return any(isinstance(n.info, registry.NodeInfo) and n.info.pid == pid for n in found.nodes)


# --- starting and ending ---


def test_a_local_worker_serves_the_broker_and_leaves_nothing_behind(
    q: QueueDriver, make_local: Callable[..., LocalWorkers]
) -> None:
    local = make_local(q.url)
    worker = local.start(ONE_SMALL)
    wait_until(lambda: joined(q, worker.pid) and len(children(worker.pid)) > 1, LONGEST_S, "the node and its worker")
    all_of_it = children(worker.pid)
    log = worker.log
    assert log.exists()
    local.stop_all()
    assert not any(map(exists, all_of_it))
    assert not log.parent.exists()
    assert q.run(registry.fleet()).nodes == ()
    assert local.workers == []
    local.stop_all()


def test_one_that_does_not_listen_is_killed_with_its_processes(
    q: QueueDriver, make_local: Callable[..., LocalWorkers]
) -> None:
    local = make_local(q.url, drain_s=0.1, hurry_s=0.1)
    worker = local.start(ONE_SMALL)
    wait_until(lambda: len(children(worker.pid)) > 1, LONGEST_S, "the worker's process")
    all_of_it = children(worker.pid)
    for pid in all_of_it:
        os.kill(pid, signal.SIGSTOP)
    told: list[str] = []
    local.stop_all(told.append)
    assert told == ["ending 1 local worker …"]
    wait_until(lambda: not any(map(exists, all_of_it)), LONGEST_S, "the end of all of it")


def test_a_worker_ends_when_the_console_is_killed(q: QueueDriver, tmp_path: Path) -> None:
    program = f"""
        from tq_console.tui.local.local_workers import LocalWorkers
        from tq_core.settings import resolve_broker
        print(LocalWorkers(resolve_broker({q.url!r})).start({ONE_SMALL!r}).pid, flush=True)
        input()
    """
    console = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},  # who is killed cannot clear up
    )
    assert console.stdout is not None
    assert console.stdin is not None
    pid = int(console.stdout.readline())
    try:
        wait_until(lambda: joined(q, pid), LONGEST_S, "the node")
        console.kill()
        wait_until(lambda: not children(pid), LONGEST_S, "the end of the worker")
    finally:
        console.kill()
        console.wait()
        console.stdout.close()
        console.stdin.close()


def test_a_program_that_just_ends_ends_its_workers(q: QueueDriver) -> None:
    program = f"""
        from tq_console.tui.local.local_workers import LocalWorkers
        from tq_core.settings import resolve_broker
        worker = LocalWorkers(resolve_broker({q.url!r})).start({ONE_SMALL!r})
        print(worker.pid, worker.log.parent)
        raise SystemExit(3)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, timeout=LONGEST_S, check=False
    )
    pid, folder = done.stdout.split()
    assert done.returncode == 3, done.stderr
    assert not exists(int(pid))
    assert not Path(folder).exists()


def test_one_that_ends_by_itself_is_told_once_with_its_last_words(
    q: QueueDriver, make_local: Callable[..., LocalWorkers]
) -> None:
    local = make_local(q.url)
    worker = local.start("no_such_module_here --processes 1")
    wait_until(lambda: worker.exit_code is not None, LONGEST_S, "its end")
    (ended,) = local.newly_ended()
    assert (ended.line, ended.exit_code) == ("no_such_module_here --processes 1", 2)
    assert "no_such_module_here" in ended.last_words
    assert local.newly_ended() == []
    assert local.running == []
    assert local.by_pid(None) is worker


def test_one_that_was_killed_says_by_which_signal(q: QueueDriver, make_local: Callable[..., LocalWorkers]) -> None:
    local = make_local(q.url)
    worker = local.start(ONE_SMALL)
    os.kill(worker.pid, signal.SIGKILL)
    wait_until(lambda: worker.exit_code is not None, LONGEST_S, "its end")
    assert [ended.exit_code for ended in local.newly_ended()] == [-signal.SIGKILL]


# --- what is refused ---


def test_a_read_only_console_and_one_without_a_server_start_nothing(make_local: Callable[..., LocalWorkers]) -> None:
    for local, why in (
        (make_local("redis://127.0.0.1:1", is_read_only=lambda: True), "read-only"),
        (make_local("memory://x"), "no other process"),
    ):
        with pytest.raises(RefusedError, match=why):
            local.start("--samples")
        assert local.workers == []


def test_a_line_that_is_none_is_refused(make_local: Callable[..., LocalWorkers]) -> None:
    local = make_local("redis://127.0.0.1:1")
    for line in ("'open", "", "   "):
        with pytest.raises(InvalidInputError):
            local.start(line)
    assert local.last_line == DEFAULT_LINE


def test_the_address_is_in_the_environment_and_on_no_command_line(make_local: Callable[..., LocalWorkers]) -> None:
    address = resolve_broker("redis://:hunter2@127.0.0.1:1/0")
    environ = worker_environ(address, {"TQ_CONTEXT": "prod", "HOME": "/h"})
    assert environ["TQ_URL"] == "redis://:hunter2@127.0.0.1:1/0"
    assert environ["HOME"] == "/h"
    assert "TQ_CONTEXT" not in environ
    local = make_local(address.url)
    worker = local.start("--samples")
    assert b"hunter2" not in Path(f"/proc/{worker.pid}/cmdline").read_bytes()


def test_a_log_is_shown_from_its_end_and_never_obeyed(tmp_path: Path) -> None:
    program = tmp_path / "tq_worker.py"
    program.write_text("import sys\nfor n in range(1000): print(n)\nprint(sys.argv[1])\n")
    worker = LocalWorker(
        [HOSTILE.replace("\0", "")], log=tmp_path / "log", environ={**os.environ, "PYTHONPATH": str(tmp_path)}, cwd="/"
    )
    assert worker.wait(float("inf"))
    worker.kill()
    tail = worker.tail(5)
    assert tail[0].isdigit()
    assert len(tail) == 5
    assert not (DANGEROUS | {"\n"}) & set("".join(tail))
    worker.log.unlink()
    assert worker.tail() == []


# --- from the screen ---


async def test_w_starts_a_worker_and_l_shows_its_log(q: QueueDriver) -> None:
    q.put_one()
    async with console_on(q, first="workers") as console:
        await console.press("W")
        await console.until(lambda: isinstance(console.app.screen, StartScreen), "the window")
        line = console.app.screen.query_one(Input)
        assert line.value == DEFAULT_LINE
        line.value = ONE_SMALL
        await console.press("enter")
        await console.until_shown("1 started here")
        (worker,) = console.app.local_workers.workers
        try:
            await wait_until_async(lambda: joined(q, worker.pid), LONGEST_S, "the node")
            await console.until_shown("here-")
            await console.press("L")
            await console.until_shown(f"$ tq-worker {ONE_SMALL[:40]}")
            await console.until_shown("here-")
            await console.press("escape", "W")
            await console.until(lambda: isinstance(console.app.screen, StartScreen), "the window again")
            assert console.app.screen.query_one(Input).value == ONE_SMALL
            await console.press("escape")
            assert len(console.app.local_workers.workers) == 1
        finally:
            console.app.local_workers.stop_all()
    assert q.depths().get(TaskState.RUNNING, 0) == 0


async def test_the_operator_is_told_when_a_local_worker_ends(make_local: Callable[..., LocalWorkers]) -> None:
    local = make_local("redis://127.0.0.1:1")
    shown = WorkersPane(actor="ann", id="workers", local=local)
    app = PaneApp(shown)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("W")
        await wait_until_async(lambda: isinstance(app.screen, StartScreen), 5, "the window")
        app.screen.query_one(Input).value = "no_such_module_here [/b]"
        await pilot.press("enter")
        await wait_until_async(lambda: any("exit code 2" in note for note in app.notes), LONGEST_S, "the news")
        await pilot.press("L")
        await wait_until_async(lambda: isinstance(app.screen, LogScreen), 5, "the log")
        assert "ended with exit code 2" in app.screen.query_one(Canvas).text
        await pilot.press("G", "g", "j", "k", "q")
        await wait_until_async(lambda: not isinstance(app.screen, LogScreen), 5, "the log to close")


async def test_a_line_that_cannot_be_read_is_told(make_local: Callable[..., LocalWorkers]) -> None:
    app = PaneApp(WorkersPane(actor="ann", id="workers", local=make_local("redis://127.0.0.1:1")))
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("W")
        await wait_until_async(lambda: isinstance(app.screen, StartScreen), 5, "the window")
        app.screen.query_one(Input).value = "'open"
        await pilot.press("enter")
        await wait_until_async(lambda: app.refusals, 5, "the refusal")
        assert "cannot be read as a command line" in app.refusals[0]
