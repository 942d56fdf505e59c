"""How a node shares its time between queues, how much it does before it ends, and how many workers it has."""

from __future__ import annotations

import fcntl
import os
import pty
import signal
import sys
import termios
from pathlib import Path

import pytest

from tests.daemon.site import CODE, FAST, Node, Site
from tests.waiting import wait_until
from tq_core.model import TaskOptions
from tq_core.roles import limits, operator, registry
from tq_core.roles.limits import Rate


def test_a_burst_serves_queues_by_their_shares_and_then_ends(site: Site) -> None:
    # Long enough that they are claimed one by one.
    a = {site.put("wait_then_count", queue="a", seconds=0.06) for _ in range(12)}
    b = {site.put("wait_then_count", queue="b", seconds=0.06) for _ in range(12)}

    node = site.start("--queues", "a:3,b", "--slots", "1", "--burst")

    assert node.wait() == 0
    order = ["a" if task_id in a else "b" for word, task_id, _ in site.trace() if word == "start"]
    assert len(order) == len(a | b) == 24
    # While both have tasks, three of four are of the first.
    assert [order[first : first + 4].count("a") for first in range(0, 16, 4)] == pytest.approx([3] * 4, abs=1), order
    assert order[:16].count("a") == pytest.approx(12, abs=1), order
    assert "nothing is left" in node.log


def test_a_burst_leaves_what_cannot_run_now_and_says_so(site: Site) -> None:
    site.put_with({"delay_s": 3600}, "count", n=1)
    site.put("count", queue="shut", n=2)
    site.driver.run(operator.pause_queue("shut", actor="test"))
    parent = site.put("wait_then_count", seconds=0.4)
    child = site.put_with({"options": TaskOptions(depends_on=(parent,))}, "count", n=3)

    node = site.start("--queues", "default,shut", "--burst", "--processes", "2")

    assert node.wait() == 0
    assert site.view(child).state == "completed"
    assert "left: 1 in paused queues, 1 due later" in node.log


@pytest.mark.slow
def test_a_burst_goes_on_at_the_rate_of_a_limit_and_waits_not_for_ever_for_one(site: Site) -> None:
    site.put("count", n=0)
    site.driver.run(limits.set_limits("default", {"rate": Rate.parse("5/s+1")}, actor="test"))
    site.put_many("count", 20)
    assert site.start("--burst").wait(30) == 0
    assert site.driver.depths() == {"completed": 21}

    site.driver.run(limits.set_limits("default", {"rate": Rate.parse("1/h+1")}, actor="test"))
    site.put_many("count", 2)
    node = site.start("--burst")
    assert node.wait(30) == 0
    assert "left: 1" in node.log


def test_workers_are_replaced_after_so_many_tasks_and_none_is_lost(site: Site) -> None:
    gate = site.gate()
    ids = [site.put("wait", gate=str(gate)) for _ in range(6)]

    node = site.start("--max-tasks", "1", "--slots", "2", "--burst")

    # The successor takes tasks while the first one finishes its own; the third must wait for the end of the first.
    wait_until(lambda: len(site.runs()) == 4, 15, "two workers to be full")
    assert len({pid for _, _, pid in site.trace()}) == 2
    assert site.driver.depths() == {"running": 4, "pending": 2}
    assert "is replaced: it has taken 2 tasks" in node.log
    gate.touch()
    assert node.wait() == 0
    assert site.driver.depths() == {"completed": 6}
    assert site.runs() == dict.fromkeys(ids, 1)
    assert "crash" not in node.log


APP = '''"""Version {version}."""
from tq_core import TaskQueue
from tests.daemon.code import traced_tasks

tq = TaskQueue()

@tq.task
def version() -> str:
    return "{version}"

@tq.task
async def wait(gate: str) -> str:
    return await traced_tasks.wait.handler(gate)
'''


def test_code_is_loaded_anew_by_one_worker_after_the_other_unless_it_is_refused(site: Site, tmp_path: Path) -> None:
    code, gate = tmp_path / "shop.py", site.gate()

    def write(version: str, more: str = "") -> None:
        code.write_text(APP.format(version=version) + more)

    write("one")
    node = site.run_node("shop", "--app-dir", str(tmp_path), "--processes", "2", "--slots", "2", *FAST)
    site.wait_working(node)
    old = {worker.pid for worker in site.workers_of(node)}
    running = site.put("wait", gate=str(gate))
    site.wait_started(running)

    write("second", '\n@tq.task(queue="post")\ndef send() -> str:\n    return "sent"\n')
    answer = site.command(node, "reload")
    assert answer.ok, answer
    assert "2 workers run the code as it is now" in answer.text
    assert site.ended(site.put("version")).result == "second"
    sent = site.put("send", queue="post")
    assert site.ended(sent).result == "sent"
    wait_until(lambda: set(site.node_info(node).types) == {"version", "wait", "send"}, 5, "the new types to be told")
    assert "post" in site.node_info(node).queues
    gate.touch()
    assert site.ended(running).result == "through"
    wait_until(lambda: not old & {worker.pid for worker in site.workers_of(node)}, 5, "the old workers to be gone")

    write("third time", "\nimport nothing_like_this\n")
    answer = site.command(node, "reload")
    assert not answer.ok
    assert "all workers stay: the new code is refused: cannot import" in answer.text
    assert site.ended(site.put("version")).result == "second"

    write("the fourth time")
    node.signal(signal.SIGHUP)
    wait_until(lambda: "reload: 2 workers" in node.log, 10, "the code to be loaded anew")
    assert site.ended(site.put("version")).result == "the fourth time"
    assert site.node_info(node).restarts == 0


SLOW = """import os, time
from pathlib import Path
folder = Path(__file__).parent
(folder / f"loading-{os.getpid()}").touch()
while (folder / "hold").exists():
    time.sleep(0.01)
from tests.daemon.code.traced_tasks import tq
"""


def test_what_is_asked_while_the_code_is_loaded_is_obeyed(site: Site, tmp_path: Path) -> None:
    hold = tmp_path / "hold"
    hold.touch()
    (tmp_path / "slow.py").write_text(SLOW)

    def loading(count: int) -> list[int]:
        """The processes that have begun to load the code so far, once they are so many."""

        def look() -> list[int]:
            found = sorted(tmp_path.glob("loading-*"), key=lambda path: path.stat().st_mtime_ns)
            return [int(path.name.partition("-")[2]) for path in found] if len(found) >= count else []

        return wait_until(look, 15, f"{count} to load the code: {node.log}")

    node = site.run_node(
        "slow", "--app-dir", str(tmp_path), "--processes", "1", "--slots", "1", "--drain-timeout", "0.2", *FAST
    )
    loading(1)
    node.signal(signal.SIGHUP)
    wait_until(lambda: "SIGHUP: the code is being loaded, and will be once more" in node.log, 5, "it to be heard")
    hold.unlink()
    wait_until(lambda: "reload: 1 workers run the code" in node.log, 15, f"it to be done: {node.log}")
    node_id = site.wait_working(node)

    def ask(do: str, **args: object) -> str:
        return site.driver.run(registry.send_command(node_id, do, actor="test", args=args))

    def answer(command_id: str) -> str:
        ack = site.driver.run(registry.await_ack(command_id, timeout_s=15))
        assert ack is not None, node.log
        return ack.text

    # A successor that dies while it is tried leaves no gap in what was asked for meanwhile.
    hold.touch()
    reload = ask("reload")
    trial = loading(3)[-1]
    same = ask("scale", processes=1)
    assert answer(same) == "1 workers"
    many, fewer = ask("scale", processes=3), ask("scale", processes=1)
    assert answer(fewer) == "1 workers, 2 drain"
    assert answer(many) == "3 workers, 2 new, 2 of them have not begun yet"  # and never will
    before = len(list(tmp_path.glob("loading-*")))
    scale = ask("scale", processes=2)
    loading(before + 1)
    assert answer(ask("scale", slots=3)) == "3 slots each"
    assert answer(ask("log_level", level="debug"))
    node.signal(signal.SIGHUP)
    os.kill(trial, signal.SIGKILL)
    assert answer(reload) == "all workers stay: the new worker was killed by SIGKILL while it loaded the code"
    hold.unlink()
    assert answer(scale) == "2 workers, 1 new"
    wait_until(lambda: "reload: 2 workers run the code" in node.log, 15, f"the next reload: {node.log}")
    site.wait_working(node)
    assert [worker.slots for worker in site.workers_of(node)] == [3, 3]

    # Who gave it an hour may change his mind, and a service manager gives it less too.
    running = site.put("wait", gate=str(site.gate()))
    site.wait_started(running)
    assert answer(ask("drain", deadline_s=3600)) == "draining"
    assert "the node is leaving already, in 3" in answer(ask("drain", deadline_s=7200))
    node.signal(signal.SIGTERM)
    assert node.wait(5) == 0
    assert site.view(running).state == "pending"


def test_a_terminal_that_is_closed_ends_the_node_in_order(site: Site) -> None:
    ours, theirs = pty.openpty()
    pid = os.fork()
    if pid == 0:
        os.setsid()
        fcntl.ioctl(theirs, termios.TIOCSCTTY, 0)
        os.dup2(theirs, 0)
        os.closerange(3, 1024)
        log = os.open(site.folder / "terminal.log", os.O_WRONLY | os.O_CREAT)
        os.dup2(log, 1)
        os.dup2(log, 2)
        environment = os.environ | {"TQ_URL": site.url, "TRACE_FILE": str(site.trace_file), "DAEMON_TEST": site.token}
        words = ["-m", "tq_worker", "traced_tasks", "--app-dir", str(CODE), "--processes", "1", *FAST]
        os.execve(sys.executable, [sys.executable, *words], environment)
    try:
        os.close(theirs)
        wait_until(lambda: any(m.info is not None for m in site.fleet().workers), 15, "the worker")
        task_id = site.put("wait_then_count", seconds=0.3)
        site.wait_started(task_id)
        os.close(ours)
        assert os.waitpid(pid, 0)[1] == 0, (site.folder / "terminal.log").read_text()
    finally:
        if pid in site.processes():
            os.kill(pid, signal.SIGKILL)
    assert site.view(task_id).state == "completed"


def autoscaled(site: Site, node: Node) -> int:
    scaled = site.node_info(node).autoscale
    return scaled.processes if scaled is not None else -1


def test_a_node_scales_itself_up_and_says_why(site: Site) -> None:
    gate = site.gate()
    node = site.started("--processes", "1", "--slots", "1", "--tag", "gpu", "--tag", "zone=a")
    assert site.command(node, "autoscale", least=1, most=3).text == "between 1 and 3 workers, by what waits"
    ids = [site.put("wait", gate=str(gate)) for _ in range(4)]

    wait_until(lambda: autoscaled(site, node) == 2, 10, "it to scale")

    info = site.node_info(node)
    assert info.tags == ("gpu", "zone=a")
    assert info.autoscale is not None
    assert (info.autoscale.least, info.autoscale.most) == (1, 3)
    assert "3 tasks wait, the oldest for" in info.autoscale.why
    assert f"1 -> 2 workers: {info.autoscale.why}" in node.log
    site.wait_started(ids[1])
    assert "autoscaling is off now" in site.command(node, "scale", processes=2).text
    wait_until(lambda: site.node_info(node).autoscale is None, 5, "it to say so")
    gate.touch()
    assert site.all_ended() == {"completed": 4}


@pytest.mark.slow
def test_a_node_scales_itself_to_its_bounds_and_back(site: Site) -> None:
    gate = site.gate()
    node = site.started("--slots", "1")
    site.command(node, "autoscale", least=0, most=3)
    ids = [site.put("wait", gate=str(gate)) for _ in range(6)]
    wait_until(lambda: autoscaled(site, node) == 3, 20, "it to scale up")
    gate.touch()
    assert site.all_ended() == {"completed": 6}

    # Thirty seconds before each step.
    wait_until(lambda: site.node_info(node).processes == 2, 50, "it to scale down")
    assert site.runs() == dict.fromkeys(ids, 1)
