"""End to end: `tq console` in a real terminal, on real workers."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.daemon.site import FAST, Site
from tests.redis_servers import PrivateServer
from tests.tui.real_terminal import HAS_TMUX, RealTerminal, real_terminal
from tests.waiting import wait_until
from tq_core.model import TaskState
from tq_core.roles import operator

pytestmark = [
    pytest.mark.server,
    pytest.mark.skipif(not HAS_TMUX, reason="tmux is missing: apt install tmux"),
    pytest.mark.timeout(120),
]


@pytest.fixture
def site(redis_url: str, own_environment: Path) -> Iterator[Site]:
    """A broker with one node of two workers that know the sample tasks."""
    found = Site(redis_url, own_environment)
    node = found.run_node("--samples", "--processes", "2", "--slots", "2", "--name", "demo", *FAST)
    try:
        found.wait_working(node)
        yield found
    finally:
        found.close()


def workers_of(site: Site) -> int:
    return len([m for m in site.fleet().workers if m.health == "live"])


def processes_with(token: str) -> list[str]:
    """Command lines of the processes in whose environment a word stands."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and int(folder.name) != os.getpid():
            try:
                if token.encode() in (folder / "environ").read_bytes():
                    found.append((folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace"))
            except OSError:
                continue
    return [words for words in found if words]


def quit_by_ctrl_c(terminal: RealTerminal) -> None:
    terminal.press("C-c")
    terminal.until("once more to quit")
    terminal.press("C-c")
    assert terminal.exit_code() == 0


def test_an_operator_submits_retries_kills_scales_and_leaves(site: Site, own_environment: Path) -> None:
    failed = site.put("fail", message="the mail server refused")
    long = site.put("sleep", seconds=600)
    wait_until(lambda: site.view(failed).state is TaskState.FAILED, 20, "the task to be in the DLQ")
    wait_until(lambda: site.view(long).state is TaskState.RUNNING, 20, "the long task to run")
    with real_terminal(own_environment, ["console", "--url", site.url]) as terminal:
        terminal.until("NEEDS ATTENTION")

        # A task is submitted and seen to complete.
        terminal.press("n")
        terminal.until("New task")
        terminal.write("echo")
        terminal.press("Enter")
        terminal.until("arguments")
        terminal.write("word=hello")
        terminal.press("C-s")
        terminal.until("New task", gone=True)
        terminal.press("4")
        terminal.until("▶ running in all queues")
        terminal.press("]", "]", "]", "]", "]")
        terminal.until("✓ completed in all queues")
        terminal.until('{"word":"hello"}')

        # A task of the DLQ is opened, its traceback read, and it is run again.
        terminal.press("5")
        terminal.until("RuntimeError: the mail server refused")
        terminal.press("]")
        terminal.until("in all queues  1 of 1")  # the groups say "group 1 of 1", and name tasks too
        terminal.until(failed[-8:])
        terminal.press("Enter")
        screen = terminal.until("Traceback")
        assert failed in screen
        terminal.press("r")
        terminal.until("will run again")
        wait_until(lambda: len(site.view(failed).history) >= 3, 20, "the task to have run and failed again")
        outcomes = [attempt.outcome for attempt in site.view(failed).history]
        assert outcomes == ["failed", "requeued", "failed"]
        terminal.press("Escape")
        terminal.until("✗ failed in all queues")

        # A running task is killed.
        terminal.press("4")
        terminal.until("✓ completed in all queues")
        terminal.press("[", "[", "[", "[", "[")
        terminal.until("▶ running in all queues")
        terminal.until("sleep")
        terminal.press("K")
        terminal.until("Kill task")
        terminal.press("y")
        wait_until(lambda: site.view(long).state is TaskState.CANCELLED, 20, "the task to be killed")
        terminal.until("→ cancelled")

        # The node is scaled up and down again.
        terminal.press("3")
        terminal.until("NODE / WORKER")
        terminal.press("+", "+")
        terminal.until("4/4 up")
        assert workers_of(site) == 4
        terminal.press("-", "-")
        terminal.until("2/2 up")
        wait_until(lambda: workers_of(site) == 2, 30, "two workers")

        quit_by_ctrl_c(terminal)
        screen = terminal.screen
        assert "Traceback" not in screen
    done = [entry.action for entry in site.driver.run(operator.audit_log())]
    assert {"requeue", "kill", "scale"} <= set(done)


@pytest.mark.parametrize("way", ["ctrl+c", "SIGTERM", "SIGHUP"])
def test_whatever_ends_the_console_nothing_that_it_started_is_left(site: Site, own_environment: Path, way: str) -> None:
    token = f"console-{way}-{os.getpid()}"
    environment = {"CONSOLE_TEST": token}
    with real_terminal(own_environment, ["console", "--url", site.url], environment=environment) as terminal:
        terminal.until("NEEDS ATTENTION")
        terminal.press("3")
        terminal.until("NODE / WORKER")
        terminal.press("W")
        terminal.until("--samples")
        terminal.press("Enter")
        wait_until(lambda: len(site.fleet().nodes) == 2, 30, "the local worker to be there")
        if way == "ctrl+c":
            quit_by_ctrl_c(terminal)
        elif way == "SIGTERM":
            (pid,) = console_pids(token)
            os.kill(pid, signal.SIGTERM)
            assert terminal.exit_code() == 130
            assert "Traceback" not in terminal.screen
        else:
            terminal.hang_up()
        wait_until(
            lambda: not [w for w in processes_with(token) if "tmux" not in w and "bash" not in w],
            30,
            "everything that the console started to end",
        )
    wait_until(lambda: len(site.fleet().nodes) == 1, 30, "the local worker to have left the register")


def console_pids(token: str) -> list[int]:
    """The console's own process."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                words = (folder / "cmdline").read_bytes()
                if token.encode() in (folder / "environ").read_bytes() and b"tq_console.cli.main" in words:
                    found.append((int(folder.name), words))
            except OSError:
                continue
    return [pid for pid, words in found if not re.match(rb"(tmux|bash)", words)]


def test_a_broker_that_goes_and_comes_back_is_said_and_survived(
    own_environment: Path, new_redis_server: Callable[..., PrivateServer]
) -> None:
    server = new_redis_server(is_durable=True)
    with real_terminal(own_environment, ["console", "--url", server.url], size=(80, 24)) as terminal:
        terminal.until("no queue and no worker yet")
        server.kill()
        terminal.until("DISCONNECTED")
        terminal.until("STALE")
        server.start()
        terminal.until("DISCONNECTED", gone=True)
        terminal.press("q")
        terminal.until("once more to quit")
        terminal.press("q")
        assert terminal.exit_code() == 0


def test_without_a_terminal_the_console_says_what_to_use(redis_url: str) -> None:
    ran = subprocess.run(
        ["tq-console", "--url", redis_url],
        check=False,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        env={**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
    )
    assert (ran.returncode, ran.stdout) == (5, "")
    assert "needs a terminal" in ran.stderr
