"""`tq demo`: everything ends as intended, and nothing is left, however it ends."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.cli.conftest import Tq
from tests.tui.real_terminal import HAS_TMUX, real_terminal
from tests.waiting import wait_until

pytestmark = pytest.mark.server


def processes_of_this_test() -> list[str]:
    """Command lines of the processes that use this test's folder."""
    home = os.environ["XDG_STATE_HOME"].encode()
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and int(folder.name) != os.getpid():
            try:
                if home in (folder / "environ").read_bytes():
                    found.append((folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace"))
            except OSError:
                continue
    return [words for words in found if words]


def start(tq: Tq) -> subprocess.Popen[str]:
    """Starts a demo without stdin, and returns when its workers run."""
    running = subprocess.Popen(
        tq.command("demo", "--headless"),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": os.environ["XDG_RUNTIME_DIR"]},
    )
    wait_until(lambda: any("tq_worker.worker" in words for words in processes_of_this_test()), 20, "the demo's workers")
    return running


@pytest.mark.slow
def test_every_task_of_the_demo_ends_as_intended(tq: Tq) -> None:
    ran = tq.process("demo", "--headless", stdin=b"")
    assert ran.code == 0, ran
    assert "20 of 20 tasks ended as intended" in ran.out
    assert "NOT AS INTENDED" not in ran.out
    assert "hunter2" not in ran.out
    wait_until(lambda: not processes_of_this_test(), 10, "every process of the demo to be gone")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_demo_that_is_ended_leaves_nothing(tq: Tq, number: signal.Signals) -> None:
    running = start(tq)
    running.send_signal(number)
    _, err = running.communicate(timeout=20)
    assert running.returncode == 130, err
    assert "interrupted" in err
    assert "Traceback" not in err
    wait_until(lambda: not processes_of_this_test(), 10, "every process of the demo to be gone")
    assert not list(Path(os.environ["XDG_RUNTIME_DIR"]).glob("tq-demo-*"))


def test_a_killed_demo_leaves_no_process_either(tq: Tq) -> None:
    running = start(tq)
    running.kill()
    running.communicate(timeout=20)
    wait_until(lambda: not processes_of_this_test(), 20, "every process of the demo to be gone")


def test_a_second_demo_is_refused_and_the_first_goes_on(tq: Tq) -> None:
    running = start(tq)
    ran = tq("demo", "--headless")
    assert (ran.code, ran.out) == (5, "")
    assert "a demo runs already" in ran.err
    assert tq.ok("tasks", "list", "--url", "embedded://demo", "--json").records
    assert running.poll() is None
    running.terminate()
    running.communicate(timeout=20)


def test_the_demo_has_a_broker_of_its_own(tq: Tq) -> None:
    assert tq("--url", "redis://127.0.0.1:1", "demo").code == 2


@pytest.mark.skipif(not HAS_TMUX, reason="tmux is missing: apt install tmux")
def test_in_a_terminal_the_demo_is_the_console_with_life_on_every_screen(tq: Tq, own_environment: Path) -> None:
    del tq
    with real_terminal(own_environment, ["demo"]) as terminal:
        terminal.until("NEEDS ATTENTION")
        terminal.until("failed for good in the last 5 minutes")
        terminal.press("3")
        terminal.until("2/2 up")
        terminal.press("5")
        terminal.until("the mail server refused the message")
        terminal.press("4")
        terminal.until("sleep")
        terminal.press("C-c")
        terminal.until("once more to quit")
        terminal.press("C-c")
        assert terminal.exit_code() == 0
        wait_until(
            lambda: not [w for w in processes_of_this_test() if "tmux" not in w and not w.startswith("bash")],
            10,
            "every process of the demo to be gone",
        )
