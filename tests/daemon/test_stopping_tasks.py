"""Tasks that are to stop before they end by themselves: asked, out of time, killed."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.daemon.site import ACTOR, Site
from tests.waiting import wait_until
from tq_core.model import TaskOptions, TaskView


def steps_of(view: TaskView) -> list[str]:
    """What was done to stop its last attempt, in order."""
    steps = view.history[-1].detail.get("stopping", [])
    assert [at_ms for _, at_ms in steps] == sorted(at_ms for _, at_ms in steps)
    return [what for what, _ in steps]


@pytest.mark.parametrize("kind", ["wait_tidily", "ask_for_cancel", "wait_isolated"])
def test_a_running_task_that_listens_can_be_cancelled(site: Site, kind: str) -> None:
    site.started("--lease", "60")
    task_id = site.put_with(
        {"max_attempts": 5}, kind, **({} if kind == "ask_for_cancel" else {"gate": str(site.gate())})
    )
    site.wait_started(task_id)
    if kind == "wait_isolated":
        # A plain function that never looks: only a kill ends it.
        site.cancel(task_id, kill=True)
    else:
        site.cancel(task_id)

    view = site.ended(task_id)

    assert view.state == "cancelled"
    assert view.error is not None
    assert view.error["by"] == ACTOR
    assert view.error["reason"] == ("killed" if kind == "wait_isolated" else "cancelled")
    assert site.counters() == {"enqueued": 1, "cancelled": 1}


@pytest.mark.parametrize("kind", ["wait", "wait_in_python"])
def test_a_killed_task_ends_without_its_process(site: Site, kind: str) -> None:
    gate = site.gate()
    node = site.started("--lease", "60")
    neighbour = site.put("wait", gate=str(gate))
    task_id = site.put(kind, gate=str(site.gate()))
    pid = site.wait_started(neighbour)
    site.wait_started(task_id)

    killed_at_ms = time.time() * 1000
    site.cancel(task_id, kill=True)

    view = site.ended(task_id)
    assert (view.state, view.error and view.error["reason"]) == ("cancelled", "killed")
    assert view.finished_at_ms is not None
    assert view.finished_at_ms - killed_at_ms < 500
    assert steps_of(view) == ["asked", "interrupted"]
    gate.touch()
    assert site.ended(neighbour).state == "completed"
    assert site.worker_of(node).pid == pid
    assert site.ended(site.put("count_plain", n=1)).state == "completed"


@pytest.mark.parametrize(
    "kind", ["wait_in_c", *[pytest.param(kind, marks=pytest.mark.slow) for kind in ("ignore_cancel", "block_loop")]]
)
def test_killing_a_task_that_does_not_stop_costs_its_neighbours_nothing(site: Site, kind: str) -> None:
    gate = site.gate()
    node = site.started("--lease", "60")
    long_one = site.put("wait", gate=str(gate))
    short_one = site.put("wait_then_count", seconds=1.0)
    site.wait_started(long_one)
    pid = site.wait_started(short_one)
    args = {"gate": str(site.gate())} if kind == "ignore_cancel" else {"seconds": 60}
    stubborn = site.put(kind, **args)
    site.wait_started(stubborn)

    killed_at_ms = time.time() * 1000
    site.cancel(stubborn, kill=True)

    view = site.ended(stubborn)
    assert (view.state, view.error and view.error["reason"]) == ("cancelled", "killed"), view
    assert view.finished_at_ms is not None
    assert view.finished_at_ms - killed_at_ms < 5000, steps_of(view)
    if kind == "block_loop":
        assert steps_of(view) == ["asked", "process ended"]
    else:
        retired = "process retired (1 in company, given 3 s)"
        assert steps_of(view) == ["asked", "interrupted", "told again", retired]
    wait_until(lambda: [w.pid for w in site.workers_of(node)] not in ([], [pid]), 15, "the next worker")
    gate.touch()
    assert site.all_ended() == {"completed": 2, "cancelled": 1}
    assert site.runs_of(stubborn) == 1
    assert [site.view(task_id).crashes for task_id in (long_one, short_one)] == [0, 0]
    assert "crashed" not in site.counters()
    assert site.runs_of(long_one) == 2
    if kind != "block_loop":
        assert site.runs_of(short_one) == 1  # it was given the time to finish


def test_a_task_that_runs_too_long_fails_with_the_reason(site: Site) -> None:
    kinds = ["slow_async", "slow_plain", "slow_isolated"]
    node = site.started()
    pid = site.worker_of(node).pid
    ids = [site.put(kind) for kind in kinds]

    views = [site.ended(task_id) for task_id in ids]
    assert [steps_of(view)[:2] for view in views] == [["asked", "interrupted"]] * 3

    assert [(view.state, view.error and view.error["reason"]) for view in views] == [("failed", "timeout")] * 3
    assert all(view.duration_ms is not None and 300 <= view.duration_ms < 5000 for view in views)
    assert site.worker_of(node).pid == pid


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["wait_in_c", "block_loop"])
def test_a_task_out_of_time_that_cannot_be_stopped_ends_its_process_alone(site: Site, kind: str) -> None:
    gate = site.gate()
    site.started("--lease", "60")
    neighbour = site.put("wait", gate=str(gate))
    site.wait_started(neighbour)
    task_id = site.put_with({"options": TaskOptions(timeout_s=0.3)}, kind, seconds=60)

    view = site.ended(task_id)

    assert (view.state, view.error and view.error["reason"]) == ("failed", "timeout")
    gate.touch()
    assert site.ended(neighbour).crashes == 0
    assert site.runs_of(task_id) == 1


@pytest.mark.slow
def test_a_handler_that_holds_up_the_loop_does_not_cost_its_lease(site: Site) -> None:
    node = site.started("--lease", "1.5", "--heartbeat", "0.3")
    task_id = site.put("block_loop", seconds=4)
    pid = site.wait_started(task_id)

    lag = wait_until(lambda: site.worker_of(node).loop_lag_ms > 1000, 10, "the lag to be shown")
    view = site.ended(task_id)

    assert lag
    assert (view.state, view.lost) == ("completed", 0)
    assert site.runs_of(task_id) == 1
    assert site.worker_of(node).pid == pid
    assert f"task {task_id}, holds up the event loop" in node.log


def test_an_interrupted_thread_does_not_carry_the_interruption_to_the_next_task(site: Site) -> None:
    site.started("--slots", "1")
    for _ in range(5):
        task_id = site.put("wait_in_python", gate=str(site.gate()))
        site.wait_started(task_id)
        after = [site.put("count_plain", n=n) for n in range(3)]
        site.cancel(task_id, kill=True)
        assert [site.ended(i).state for i in after] == ["completed"] * 3
        assert site.view(task_id).state == "cancelled"


def test_a_task_that_is_gone_cannot_be_killed(site: Site) -> None:
    node = site.started()

    answer = site.command(node, "kill_task", task_id="00000000000000000000000000")

    assert not answer.ok
    assert answer.text == "no worker of this node holds the task"


def test_killing_an_isolated_task_ends_what_it_started(site: Site) -> None:
    site.started("--lease", "60")
    task_id = site.put("wait_isolated", gate=str(site.gate()))
    pid = site.wait_started(task_id)

    site.cancel(task_id, kill=True)

    assert site.ended(task_id).state == "cancelled"
    wait_until(lambda: not Path(f"/proc/{pid}").exists(), 5, "its process to be dead and collected")


def test_a_handler_can_tidy_up_when_its_time_is_nearly_over(site: Site) -> None:
    kinds = ["soft_async", "soft_plain", "soft_async_isolated", "soft_plain_isolated"]
    site.start()

    ids = {kind: site.put(kind) for kind in kinds}
    of_task = TaskOptions(soft_timeout_s=0.2)
    ids |= {f"own_{kind}": site.put_with({"options": of_task}, f"own_{kind}") for kind in kinds}

    ended = {kind: site.ended(task_id).result for kind, task_id in ids.items()}
    assert ended == dict.fromkeys([*kinds, *(f"own_{kind}" for kind in kinds)], "tidy")
