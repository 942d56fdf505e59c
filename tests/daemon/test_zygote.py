"""Workers are forks of a process that has tq loaded, or new interpreters; a task cannot tell which."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from tests.daemon.site import ACTOR, Node, Site
from tests.waiting import wait_until
from tq_core.roles import registry


def pids(site: Site, words: str) -> list[int]:
    return [pid for pid, line in site.processes().items() if words in line]


def parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def kill_worker(site: Site, node: Node) -> int:
    """Kills the only worker; returns the process of the next one, once it works."""
    old = site.worker_of(node).pid
    os.kill(old, signal.SIGKILL)

    def next_one() -> int:
        return next((w.pid for w in site.workers_of(node) if w.pid != old and len(site.workers_of(node)) == 1), 0)

    return wait_until(next_one, 15.0, f"the next worker: {node.log}")


def test_workers_are_forked_until_the_zygote_is_lost_and_then_are_new_interpreters(site: Site) -> None:
    node = site.started()
    (zygote,) = pids(site, "tq_worker.zygote")
    assert parent(zygote) == node.process.pid
    (worker,) = pids(site, f"tq_worker.worker {site.worker_of(node).worker_id}")
    assert parent(worker) == zygote
    assert os.readlink(f"/proc/{worker}/fd/0") == "/dev/null"  # noqa: PTH115 - Path.readlink says the same
    # What a terminal or a service manager sends to everybody is for the supervisor alone.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        os.kill(zygote, number)

    second = kill_worker(site, node)
    assert parent(second) == zygote
    assert "was killed by SIGKILL" in node.log

    os.kill(zygote, signal.SIGSTOP)  # what it is asked now, it does not answer
    os.kill(second, signal.SIGKILL)
    wait_until(lambda: "ended with an unknown exit code" in node.log, 10.0, f"the death to be noticed: {node.log}")
    os.kill(zygote, signal.SIGCONT)
    running = site.put("wait", gate=str(gate := site.gate()))
    third = site.wait_started(running)
    assert parent(third) == zygote

    os.kill(zygote, signal.SIGSTOP)
    site.driver.run(registry.send_command(site.id_of(node), "scale", actor=ACTOR, args={"processes": 2}))
    wait_until(lambda: site.node_info(node).processes == 2, 10.0, "a second worker to be asked for")
    os.kill(zygote, signal.SIGKILL)
    wait_until(lambda: "the process that forks workers was killed by SIGKILL" in node.log, 10.0, "its loss to be told")
    wait_until(lambda: len(site.workers_of(node)) == 2, 15.0, f"the second worker: {node.log}")
    (fourth,) = [worker.pid for worker in site.workers_of(node) if worker.pid != third]
    assert parent(fourth) == node.process.pid
    gate.touch()
    assert site.ended(running).attempt == 1
    node.signal(signal.SIGTERM)
    assert node.wait() == 0


def test_what_runs_isolated_tasks_is_forked_too_ends_with_its_worker_and_outlives_the_zygote(site: Site) -> None:
    def loaded() -> int:
        """The process that forks one for each isolated task."""
        found = pids(site, "tq_worker.isolated")
        return next((pid for pid in found if parent(pid) not in found), 0)

    node = site.started()
    (zygote,) = pids(site, "tq_worker.zygote")
    gate = site.gate()
    first_gate = site.folder / "first gate"
    first = site.wait_started(site.put("wait_isolated", gate=str(first_gate)))
    assert parent(parent(first)) == zygote
    assert os.getsid(parent(first)) == parent(first)
    assert os.readlink(f"/proc/{first}/fd/0") == "/dev/null"  # noqa: PTH115 - Path.readlink says the same
    old = pids(site, "tq_worker.isolated")
    os.kill(loaded(), signal.SIGSTOP)  # so it does not notice the end of its line
    os.kill(site.worker_of(node).pid, signal.SIGKILL)
    wait_until(lambda: not {*old} & {*pids(site, "tq_worker.isolated")}, 5.0, "it to end with its worker")
    first_gate.touch()  # it runs again

    held = site.put("wait_isolated", gate=str(gate))
    second = site.wait_started(held)
    assert parent(parent(second)) == zygote
    os.kill(zygote, signal.SIGKILL)
    wait_until(lambda: "the process that forks workers was killed by SIGKILL" in node.log, 10.0, "its loss to be told")
    gate.touch()
    assert (site.ended(held).attempt, site.ended(held).result) == (1, "through")
    os.kill(loaded(), signal.SIGKILL)
    other = site.folder / "another gate"
    third = site.wait_started(site.put("wait_isolated", gate=str(other)))
    assert parent(parent(third)) == site.worker_of(node).pid
    other.touch()
    assert site.all_ended()["completed"] == 3
    node.signal(signal.SIGTERM)
    assert node.wait() == 0


def test_a_node_that_is_told_so_starts_workers_as_new_interpreters(site: Site) -> None:
    node = site.started("--start-method", "spawn")
    assert pids(site, "tq_worker.zygote") == []
    assert parent(site.worker_of(node).pid) == node.process.pid
    task_id = site.put("count", n=1)
    assert site.wait_started(task_id) == site.worker_of(node).pid
