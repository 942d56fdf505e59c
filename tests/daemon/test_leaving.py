"""How a node ends: on purpose, in a hurry, or because somebody killed it. No task is lost and none pays for it."""

from __future__ import annotations

import os
import signal
import time

import pytest

from tests.daemon.site import CODE, FAST, Site
from tests.waiting import wait_until
from tq_worker.supervisor.signals import ONE_WISH_S


def test_sigterm_lets_running_tasks_finish_and_claims_no_more(site: Site) -> None:
    gate = site.gate()
    node = site.started("--slots", "3")
    running = [site.put("wait", gate=str(gate)) for _ in range(3)]
    for task_id in running:
        site.wait_started(task_id)
    left = site.put_many("count", 5)

    node.signal(signal.SIGTERM)
    wait_until(lambda: site.node_info(node).state == "draining", 5, "the node to drain")
    gate.touch()

    assert node.wait() == 0
    assert [site.view(task_id).result for task_id in running] == ["through"] * 3
    assert site.driver.depths() == {"completed": 3, "pending": 5}
    assert not set(left) & set(site.runs())
    assert site.members() == ()


def test_what_does_not_finish_by_the_deadline_is_given_back_at_no_cost(site: Site) -> None:
    node = site.started("--drain-timeout", "0.3")
    kinds = ["wait_tidily", "wait_in_python", "wait_isolated"]
    ids = [site.put(kind, gate=str(site.gate())) for kind in kinds] + [site.put("wait_in_c", seconds=30)]
    for task_id in ids:
        site.wait_started(task_id)

    node.signal(signal.SIGTERM)

    assert node.wait() == 0
    assert site.driver.depths() == {"pending": 4}
    # One worker may take what the other has given back, until it notices too.
    assert set(site.counters()) == {"enqueued", "released"}
    assert site.counters()["released"] >= 4
    assert [site.view(task_id).attempt for task_id in ids] == [0] * 4
    # Handlers that can be interrupted had their chance to clean up.
    assert {task_id for word, task_id, _ in site.trace() if word == "tidied"} == set(ids[:2])


def test_a_second_signal_stops_at_once_and_still_gives_everything_back(site: Site) -> None:
    node = site.started("--drain-timeout", "60")
    ids = [site.put("wait", gate=str(site.gate())) for _ in range(4)]
    for task_id in ids:
        site.wait_started(task_id)

    node.signal(signal.SIGTERM)
    wait_until(lambda: site.node_info(node).state == "draining", 5, "the node to drain")
    began = time.monotonic()
    # The same wish said twice within a moment is one; a person's second Ctrl-C comes later.
    wait_until(lambda: time.monotonic() - began > 2 * ONE_WISH_S, 5, "a moment to pass")
    node.signal(signal.SIGINT)

    assert node.wait() == 0
    assert time.monotonic() - began < 5
    assert site.driver.depths() == {"pending": 4}
    assert site.counters() == {"enqueued": 4, "released": 4}


@pytest.mark.slow
def test_a_handler_that_holds_up_the_loop_cannot_hold_up_the_end(site: Site) -> None:
    node = site.started("--drain-timeout", "0.3", "--lease", "60")
    neighbour = site.put("wait", gate=str(site.gate()))
    site.wait_started(neighbour)
    site.wait_started(site.put("block_loop", seconds=30))

    node.signal(signal.SIGTERM)

    assert node.wait() == 0
    assert site.driver.depths() == {"pending": 2}
    assert site.counters() == {"enqueued": 2, "released": 2}


def test_a_storm_of_signals_changes_nothing(site: Site) -> None:
    node = site.started("--processes", "2")
    ids = [site.put("wait_then_count", seconds=0.3) for _ in range(6)]
    for task_id in ids:
        site.wait_started(task_id)

    for _ in range(50):
        node.signal(signal.SIGTERM)
        node.signal(signal.SIGINT)

    assert node.wait() == 0
    assert site.driver.depths() == {"completed": 6}
    assert site.counters() == {"enqueued": 6, "completed": 6}


def test_a_node_whose_terminal_is_closed_drains_and_leaves_nothing_behind(site: Site) -> None:
    gate = site.gate()
    ours, theirs = os.openpty()
    node = site.run_node("traced_tasks", "--app-dir", str(CODE), "--processes", "1", *FAST, terminal=theirs)
    os.close(theirs)
    site.wait_working(node)
    kinds = ["wait", "talk", "wait_isolated"]
    ids = [site.put(kind, gate=str(gate)) for kind in kinds]
    for task_id in ids:
        site.wait_started(task_id)
    programs = site.processes()

    os.close(ours)
    wait_until(lambda: site.node_info(node).state == "draining", 5, "the node to drain")
    os.killpg(node.process.pid, signal.SIGHUP)  # as a shell does too, to all that it started
    assert site.processes() == programs
    gate.touch()

    assert node.wait() == 0
    assert site.driver.depths() == {"completed": 3}
    assert site.counters() == {"enqueued": 3, "completed": 3}
    assert site.members() == ()


def test_a_signal_before_the_code_is_loaded_ends_the_node(site: Site) -> None:
    node = site.start()
    wait_until(lambda: len(site.processes()) >= 3, 10, "the first worker to be forked from the zygote")

    node.signal(signal.SIGTERM)

    assert node.wait() == 0


def test_workers_whose_supervisor_was_killed_give_everything_back_and_go(site: Site) -> None:
    node = site.started("--processes", "2", "--lease", "60")
    kinds = ["wait", "wait_in_python", "wait_isolated"]
    ids = [site.put(kind, gate=str(site.gate())) for kind in kinds] + [site.put("wait_in_c", seconds=30)]
    for task_id in ids:
        site.wait_started(task_id)

    os.kill(node.process.pid, signal.SIGKILL)

    wait_until(lambda: not site.processes(), 10, "the workers to go")
    assert site.driver.depths() == {"pending": 4}
    assert site.counters() == {"enqueued": 4, "released": 4}


def test_a_worker_that_gets_sigterm_itself_drains_and_is_replaced(site: Site) -> None:
    gate = site.gate()
    node = site.started()
    task_id = site.put("wait", gate=str(gate))
    pid = site.wait_started(task_id)

    os.kill(pid, signal.SIGTERM)
    wait_until(lambda: site.worker_of(node).state == "draining", 5, "the worker to drain")
    gate.touch()

    assert site.ended(task_id).state == "completed"
    wait_until(lambda: [w.pid for w in site.workers_of(node)] not in ([], [pid]), 10, "the next worker")
    assert site.ended(site.put("count", n=1)).state == "completed"
    assert site.node_info(node).restarts == 0


@pytest.mark.slow
def test_nodes_that_are_replaced_one_after_the_other_lose_nothing(site: Site) -> None:
    total = 600
    nodes = [site.started("--slots", "4") for _ in range(2)]
    ids = site.put_many("wait_then_count", total, seconds=0.02)

    for _ in range(4):
        wait_until(lambda: True, 1, "a moment")
        nodes.append(site.started("--slots", "4"))
        oldest = nodes.pop(0)
        oldest.signal(signal.SIGTERM)
        assert oldest.wait() == 0

    assert site.all_ended(60) == {"completed": total}
    assert site.runs() == dict.fromkeys(ids, 1)
    assert {k: v for k, v in site.counters().items() if k != "released"} == {"enqueued": total, "completed": total}
