"""Processes that die with tasks in their hands."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from tests.daemon.site import Site
from tests.waiting import wait_until


def test_the_tasks_of_a_killed_worker_run_again_at_once(site: Site) -> None:
    gate = site.gate()
    node = site.started("--lease", "60", "--slots", "2")
    ids = [site.put("wait", gate=str(gate)) for _ in range(2)]
    pids = {site.wait_started(task_id) for task_id in ids}
    (pid,) = pids
    waiting = site.put("count", n=1)

    killed_at = time.monotonic()
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: all(site.runs_of(task_id) == 2 for task_id in ids), 10, "the second runs")
    took_s = time.monotonic() - killed_at
    gate.touch()

    assert site.all_ended() == {"completed": 3}
    assert took_s < 3, node.log
    # Two had been running in company and run alone from then on; the one that had not started paid nothing.
    assert site.counters() | {"released": 0} == {"enqueued": 3, "completed": 3, "crashed": 2, "released": 0}
    views = [site.view(task_id) for task_id in ids]
    assert [(view.crashes, view.attempt, view.runs_alone) for view in views] == [(1, 1, True)] * 2
    assert site.view(waiting).crashes == 0
    assert site.node_info(node).restarts == 1
    history = views[0].history[0]
    assert (history.outcome, history.detail["signal"]) == ("crashed", signal.SIGKILL)


@pytest.mark.parametrize(
    ("point", "runs", "counted"),
    [
        ("after_claim", 0, {"released": 1}),
        ("in_handler", 0, {"crashed": 1}),
        ("before_ack", 1, {"crashed": 1}),
        ("after_ack", 1, {}),
    ],
)
def test_a_death_at_any_point_costs_what_it_should(
    site: Site, tmp_path: Path, point: str, runs: int, counted: dict[str, int]
) -> None:
    site.start("--lease", "60", env={"TQ_CRASH_AT": f"{point}:{tmp_path / 'crashed'}"})
    task_id = site.put("count", n=1)
    wait_until((tmp_path / "crashed").exists, 10, "the crash")

    assert site.ended(task_id).result == 2
    assert site.runs_of(task_id) == runs + (0 if point == "after_ack" else 1)
    assert site.counters() == {"enqueued": 1, "completed": 1, **counted}


@pytest.mark.parametrize("how", ["SIGKILL", pytest.param("os._exit", marks=pytest.mark.slow), "segfault"])
def test_a_poison_pill_ends_in_the_dlq_and_its_neighbours_complete(site: Site, how: str) -> None:
    site.start("--slots", "32", "--lease", "60")
    healthy = site.put_many("wait_then_count", 31, seconds=0.3)
    pill = site.put("die", how=how)

    view = site.ended(pill, 30)

    assert site.all_ended(30) == {"completed": 31, "failed": 1}
    assert (view.error and view.error["reason"], view.attempt, view.crashes) == ("poison", 1, 3)
    assert site.runs_of(pill) == 3
    assert all(site.runs_of(task_id) <= 2 for task_id in healthy)
    assert all(site.view(task_id).attempt == 1 for task_id in healthy)


@pytest.mark.parametrize("how", ["SIGKILL", "os._exit"])
def test_an_isolated_task_takes_down_only_its_own_process(site: Site, how: str) -> None:
    gate = site.gate()
    node = site.started()
    neighbour = site.put("wait", gate=str(gate))
    pid = site.wait_started(neighbour)

    view = site.ended(site.put("die_isolated", how=how))

    assert (view.state, view.error and view.error["reason"], view.crashes) == ("failed", "poison", 2)
    assert [a.outcome for a in view.history] == ["crashed", "crashed"]
    gate.touch()
    assert site.ended(neighbour).state == "completed"
    assert site.runs_of(neighbour) == 1
    assert site.worker_of(node).pid == pid


def test_a_node_that_is_killed_whole_loses_no_task(site: Site) -> None:
    """The other node gets its tasks when their leases run out."""
    total = 60
    first = site.started("--lease", "2", "--slots", "5", "--processes", "2")
    ids = site.put_many("wait_then_count", total, seconds=0.05)
    wait_until(lambda: len(site.trace()) >= 10, 10, "some to run")

    pids = [first.process.pid, *(worker.pid for worker in site.workers_of(first))]
    # All at the same moment: neither side may still clean up behind the other.
    for number in (signal.SIGSTOP, signal.SIGKILL):
        for pid in pids:
            os.kill(pid, number)
    first.wait()
    site.started("--lease", "2", "--slots", "5")

    assert site.all_ended(30) == {"completed": total}
    counters = site.counters()
    assert counters["completed"] == total
    assert 1 <= counters["lost"] <= 10
    runs = site.runs()
    assert set(runs) == set(ids)
    assert sum(runs.values()) <= total + counters["lost"]
    assert "failures" not in counters
    assert "crashed" not in counters


@pytest.mark.slow
def test_a_worker_that_dies_again_and_again_is_started_more_slowly(site: Site) -> None:
    node = site.started("--lease", "60")
    seen = set()
    for _ in range(4):
        worker = wait_until(
            lambda: next((w for w in site.workers_of(node) if w.pid not in seen), None), 15, "the next worker"
        )
        assert worker is not None
        seen.add(worker.pid)
        os.kill(worker.pid, signal.SIGKILL)

    wait_until(lambda: "crash_loop" in node.log, 15, "the warning")
    assert "4 workers in a row died within seconds; the next one starts in 2 s" in node.log
    said = "4 workers in a row died at once, the last was killed by SIGKILL"
    wait_until(lambda: site.node_info(node).trouble == said, 5, "the node to say so")


def test_a_node_whose_code_does_not_load_any_more_stays_says_why_and_recovers(site: Site, tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    text = "from tq_core import TaskQueue\ntq = TaskQueue()\n@tq.task\ndef work() -> int:\n    return 7\n"
    file.write_text(text)
    node = site.run_node("mine", "--app-dir", str(tmp_path), "--processes", "1", "--heartbeat", "0.3")
    site.wait_working(node)

    file.write_text(text + "import no_such_thing\n")
    os.kill(site.worker_of(node).pid, signal.SIGKILL)
    wait_until(lambda: "No module named 'no_such_thing'" in site.node_info(node).trouble, 10, "the node to say so")
    wait_until(lambda: "cannot run: " in node.log, 5, "the log to say so too")
    wait_until(lambda: "; the next one starts in 0.5 s" in node.log, 10, "the wait before the next one")
    file.write_text(text)

    assert site.ended(site.put("work")).result == 7
    wait_until(lambda: site.node_info(node).trouble == "", 5, "the trouble to be over")


@pytest.mark.slow
def test_a_frozen_node_cannot_overwrite_what_another_one_did(site: Site) -> None:
    gate = site.gate()
    frozen = site.started("--lease", "2")
    task_id = site.put("wait", gate=str(gate))
    pid = site.wait_started(task_id)
    os.kill(frozen.process.pid, signal.SIGSTOP)
    os.kill(pid, signal.SIGSTOP)

    other = site.start("--lease", "2")
    wait_until(lambda: site.runs_of(task_id) == 2, 15, "the second run")
    gate.touch()
    view = site.ended(task_id)
    os.kill(pid, signal.SIGCONT)
    os.kill(frozen.process.pid, signal.SIGCONT)
    wait_until(lambda: "its lease is lost" in frozen.log or "STALE" in frozen.log, 10, "the first run to be refused")

    assert view.worker_id is not None
    assert view.worker_id.startswith(site.id_of(other))
    assert site.view(task_id).worker_id == view.worker_id
    assert site.counters()["completed"] == 1
    assert site.counters()["lost"] == 1
    assert site.ended(site.put("count", n=1)).state == "completed"


@pytest.mark.slow
def test_a_worker_that_holds_still_is_killed_and_replaced(site: Site) -> None:
    node = site.started("--lease", "3")
    task_id = site.put("wait_then_count", seconds=0.5)
    pid = site.wait_started(task_id)

    os.kill(pid, signal.SIGSTOP)

    wait_until(lambda: "has not moved for" in node.log, 20, "the supervisor to notice")
    assert site.ended(task_id).state == "completed"
    assert site.worker_of(node).pid != pid
