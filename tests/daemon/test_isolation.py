"""What tasks and workers use is bounded, and what tasks in processes of their own print is kept."""

from __future__ import annotations

import asyncio
import errno
import os
import resource
import signal
import socket
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.daemon.site import Site
from tests.waiting import wait_until
from tq_core.keyspace.wire import NO_TRAIL
from tq_core.model import TaskOptions
from tq_core.roles import task_logs
from tq_core.roles.consumer import ClaimedTask
from tq_core.tasks.task_queue import TaskQueue
from tq_worker import frames
from tq_worker.worker import task_zygote
from tq_worker.worker.isolation import ProcessIsolation
from tq_worker.worker.run import Outcome, Run
from tq_worker.worker.task_zygote import IsolationError, Making, Zygote


def logged(site: Site, task_id: str) -> list[str]:
    return [line.text for line in site.driver.run(task_logs.read(task_id))]


def test_what_an_isolated_task_prints_is_in_its_log_also_when_it_dies_of_it(site: Site) -> None:
    node = site.start()
    ids = {how: site.put("print_and_die", how=how) for how in ("return", "os._exit", "segfault", "flood")}

    states = {how: site.ended(task_id).state for how, task_id in ids.items()}

    assert states == {"return": "completed", "os._exit": "failed", "segfault": "failed", "flood": "completed"}
    first = ["on stdout \x1b[31mÿ", "on stderr", "by a program", "no text: \ufffd"]
    assert logged(site, ids["return"]) == [*first, "its last words"]
    assert logged(site, ids["os._exit"]) == [*first, "its last words"] * 2  # it ran twice
    crashed = logged(site, ids["segfault"])
    assert "its last wordsFatal Python error: Segmentation fault" in crashed
    assert any("in print_and_die" in line for line in crashed)
    flood = logged(site, ids["flood"])
    assert flood[-2:] == ["line 299", "its last words"]
    assert len(flood) <= task_logs.MAX_LINES
    assert "\x1b" not in node.log
    assert "on stdout \\x1b[31m" in node.log


def test_a_task_that_uses_too_much_memory_fails_alone_and_says_how_much_it_was(site: Site) -> None:
    site.start()
    neighbour = site.put("grow", mib=1)
    greedy = site.put("grow", mib=400)

    view = site.ended(greedy)

    assert view.error is not None
    assert (view.state, view.error["reason"], view.attempt, view.crashes) == ("failed", "memory_limit", 1, 0)
    assert view.error["type"] == "tq_core.errors.MemoryLimitError"
    assert view.error["limit_mb"] == 150 < view.error["used_mb"]
    assert f"it used {view.error['used_mb']} MiB of memory and its limit is 150" in view.error["message"]
    assert logged(site, greedy) == ["it grows"]
    of_task = site.put_with({"options": TaskOptions(memory_limit_mb=100)}, "hoard", mib=300, gate=str(site.gate()))
    own = site.ended(of_task).error
    assert own is not None
    assert (own["reason"], own["limit_mb"]) == ("memory_limit", 100)
    # When the machine runs short of memory, the kernel takes the task and not the worker.
    assert site.ended(neighbour).result == "500"


def stopped_fork(site: Site) -> int:
    """Stops the process that would run the next isolated task."""
    assert site.ended(site.put("count_isolated", n=1)).result["n"] == 2  # so there is one

    def forks() -> list[int]:
        found = {pid for pid, line in site.processes().items() if "tq_worker.isolated" in line}
        parents = {pid: int(Path(f"/proc/{pid}/stat").read_text().rsplit(")")[1].split()[1]) for pid in found}
        return [pid for pid in found if parents[pid] in found]

    wait_until(lambda: len(forks()) == 1, 10, "the fork that is ready")
    (fork,) = forks()
    os.kill(fork, signal.SIGSTOP)
    return fork


def test_a_task_whose_process_does_not_begin_can_be_killed(site: Site) -> None:
    site.start()
    fork = stopped_fork(site)
    task_id = site.put("count_isolated", n=1)
    wait_until(lambda: site.view(task_id).state == "running", 10, "the task to be claimed")

    site.cancel(task_id, kill=True)

    assert site.ended(task_id).state == "cancelled"
    assert site.runs_of(task_id) == 0
    os.kill(fork, signal.SIGCONT)
    assert site.ended(site.put("count_isolated", n=2)).result["n"] == 3


@pytest.mark.slow
def test_a_process_that_does_not_begin_its_task_is_replaced(site: Site) -> None:
    site.start()
    stopped_fork(site)

    assert site.ended(site.put("count_isolated", n=2), 30).result["n"] == 3


def test_a_worker_that_has_grown_is_replaced_when_its_tasks_have_ended(site: Site) -> None:
    gate = site.gate()
    cpus = sorted(os.sched_getaffinity(0))
    count = min(2, len(cpus))
    node = site.started("--max-memory", "200", "--cpu-affinity", "--processes", str(count), "--drain-timeout", "0.1")
    pids = {worker.pid for worker in site.workers_of(node)}
    assert sorted(next(iter(os.sched_getaffinity(pid))) for pid in pids) == cpus[:count]

    task_id = site.put("hoard", mib=200, gate=str(gate))
    pid = site.wait_started(task_id)
    wait_until(lambda: "more than the 200 of --max-memory" in node.log, 10, "the worker to notice")
    gate.touch()

    assert site.ended(task_id).result == "through"
    wait_until(lambda: pid not in {w.pid for w in site.workers_of(node)}, 10, "it to be replaced")
    wait_until(lambda: len(site.workers_of(node)) == count, 10, "the next one")
    assert site.runs_of(task_id) == 1
    assert site.node_info(node).restarts == 0
    assert {next(iter(os.sched_getaffinity(w.pid))) for w in site.workers_of(node)} == set(cpus[:count])


SETUP = frames.Setup(
    worker_id="n.1",
    node_id="n",
    apps=(),
    app_dir=".",
    url=None,
    context=None,
    queues=None,
    weights={},
    max_tasks=None,
    order="fair",
    slots=1,
    lease_s=30,
    heartbeat_s=5,
    log_format="text",
    log_level="info",
)


def open_files() -> set[int]:
    return {fd for fd in range(1024) if Path(f"/proc/self/fd/{fd}").exists()}


async def test_a_process_that_cannot_be_made_is_a_typed_error_and_leaves_no_file_open() -> None:
    tq = TaskQueue("memory://isolation")

    @tq.task(isolate=True)
    def work() -> None: ...

    run = Run(ClaimedTask("q", "t", b"1-a~1~w.1|", None, b"{}", NO_TRAIL, 0), 0.0)
    run.definition = work
    isolation = ProcessIsolation(SETUP, url=None, ended=lambda *_: pytest.fail("it never began"))
    before = open_files()
    free = [number for number in range(1024) if number not in before]
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        for room in range(4):  # one too few for a socket pair and a pipe, and fewer
            resource.setrlimit(resource.RLIMIT_NOFILE, (free[room], hard))
            with pytest.raises(IsolationError, match="Too many open files; `ulimit -n`"):
                isolation.start(run)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert open_files() == before


async def test_tasks_for_which_no_process_can_be_made_are_told_and_the_next_one_is_tried(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def no_files() -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(task_zygote, "_line", no_files)
    ended: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
    ours, theirs = socket.socketpair()
    waiting = SimpleNamespace(is_ended=False, theirs=theirs, end=ended.set_result)
    zygote = Zygote(
        SETUP,
        url=None,
        making=Making(None),
        give_to_next=lambda _: pytest.fail("there is no other"),
        prepare_next=pytest.fail,
    )

    zygote.give(waiting)  # type: ignore[arg-type]
    async with asyncio.timeout(5):
        outcome = await ended

    assert isinstance(outcome.error, IsolationError)
    assert "Too many open files; `ulimit -n`" in outcome.error.message
    assert zygote.is_used_up
    ours.close()
