"""Tasks run, in every way there is, and what becomes of each is recorded."""

from __future__ import annotations

import collections
import json
import signal

import pytest

from tests.daemon.site import Site
from tests.waiting import wait_until
from tq_core.model import TaskOptions
from tq_core.roles import doctor, inspector, task_logs
from tq_core.roles.consumer import UNKNOWN_MAX
from tq_core.roles.why import in_words

HUNDRED = 100


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_a_node_runs_all_tasks_each_once(site: Site, loop: str) -> None:
    ids = site.put_many("count", HUNDRED) + site.put_many("count_plain", HUNDRED)
    told = site.put("loop_module")

    site.start("--processes", "2", "--loop", loop)

    assert site.all_ended() == {"completed": 2 * HUNDRED + 1}
    assert str(site.view(told).result).partition(".")[0] == loop
    assert site.runs() == dict.fromkeys(ids, 1)
    assert site.view(ids[7]).result == 8
    assert site.counters() == {"enqueued": 2 * HUNDRED + 1, "completed": 2 * HUNDRED + 1}


def test_an_isolated_task_has_a_process_of_its_own_and_may_print(site: Site) -> None:
    ids = site.put_many("count_isolated", 5)
    node = site.start()

    assert site.all_ended() == {"completed": 5}
    results = [site.view(task_id).result for task_id in ids]
    assert [result["n"] for result in results] == [1, 2, 3, 4, 5]
    assert len({result["pid"] for result in results}) == 5
    assert site.worker_of(node).pid not in {result["pid"] for result in results}
    wait_until(lambda: node.log.count("LOG       a handler may print what it likes") == 5, 5, "what they print")


def test_code_that_starts_a_thread_on_import_is_not_forked(site: Site) -> None:
    site.start(app="threaded_tasks")
    ids = [site.put("own_pid") for _ in range(3)]

    assert site.all_ended() == {"completed": 3}
    assert len({site.view(task_id).result for task_id in ids}) == 3


def test_what_failed_alike_is_one_group_and_the_doctor_finds_the_node_well(site: Site) -> None:
    site.started()
    for _ in range(2):
        site.put_with({"max_attempts": 1}, "fail_twice")
        site.put("slow_async")
        site.put("slow_plain")
    site.put("die_isolated", how="exit")

    site.all_ended()
    groups = {(g.count, g.type, g.error["type"]) for g in site.driver.run(inspector.groups()).groups}
    assert {(2, "fail_twice", "ValueError"), (2, "slow_async", "HardTimeoutError")} <= {
        (n, task_type, error.rpartition(".")[2]) for n, task_type, error in groups
    }
    assert {n for n, task_type, _ in groups if task_type.startswith("slow")} == {2}
    found = site.driver.run(doctor.examine())
    assert not [f for f in found if f.severity == doctor.PROBLEM], found


def test_a_failing_task_is_retried_and_its_history_kept(site: Site) -> None:
    node = site.start("--log-format", "json")
    task_id = site.put_with({"max_attempts": 3}, "fail_twice")

    view = site.ended(task_id)

    assert (view.state, view.result, view.attempt) == ("completed", "at last", 3)
    assert [(a.outcome, a.detail["type"]) for a in view.history] == [("retrying", "ValueError")] * 2
    assert site.runs_of(task_id) == 3
    wait_until(lambda: "COMPLETED" in node.log, 5, "the last line")
    events = [line for line in map(json.loads, node.log.splitlines()) if line.get("task_id") == task_id]
    assert [line["event"] for line in events] == [
        *("ASSIGNED", "STARTED", "ERROR", "REQUEUED"),
        *("ASSIGNED", "STARTED", "ERROR", "REQUEUED"),
        *("ASSIGNED", "STARTED", "COMPLETED"),
    ]
    assert events[-1]["attempt"] == 3
    assert events[-1]["worker_id"] == site.worker_of(node).worker_id


def test_text_of_a_task_cannot_steer_the_terminal(site: Site) -> None:
    node = site.start()
    site.put_with({"max_attempts": 3}, "fail_twice")
    wait_until(lambda: " COMPLETED " in node.log, 10, "the last line")

    error = next(line for line in node.log.splitlines() if " ERROR " in line and "fail_twice" in line)
    assert r"attempt 1\x1b[31m\nof three" in error
    assert "\x1b" not in node.log


def test_whatever_a_handler_raises_ends_its_attempt_and_not_the_worker(site: Site) -> None:
    ways = [
        ("leave_by", how) for how in ("SystemExit", "KeyboardInterrupt", "RecursionError", "unserialisable", "group")
    ]
    ways += [("leave_async_by", how) for how in ("SystemExit", "KeyboardInterrupt", "CancelledError", "GeneratorExit")]
    node = site.started()
    pid = site.worker_of(node).pid

    views = {way: site.ended(site.put(way[0], how=way[1])) for way in ways}

    assert {way: view.state for way, view in views.items()} == dict.fromkeys(ways, "failed")
    reasons = {way: view.error["reason"] for way, view in views.items() if view.error}
    assert reasons == {**dict.fromkeys(ways, "error"), ("leave_by", "unserialisable"): "bad_result"}
    assert site.ended(site.put("count", n=1)).state == "completed"
    assert site.worker_of(node).pid == pid


def test_a_task_of_unknown_type_is_given_back_and_fails_at_last(site: Site) -> None:
    site.start()
    task_id = site.put("never_heard_of")
    for releases in range(1, UNKNOWN_MAX):
        wait_until(lambda: site.counters().get("released", 0) >= releases, 10, f"release {releases}")  # noqa: B023 - asked in this turn
        assert site.view(task_id).state == "retrying"
        # It would be tried again after ten seconds: it is made due instead.
        site.driver.raw.zadd(site.driver.key("retrying"), {task_id: 1})

    view = site.ended(task_id)

    assert (view.state, view.error and view.error["reason"]) == ("failed", "unknown_type")
    assert view.attempt == 0


def test_a_task_whose_body_is_corrupt_fails_alone(site: Site) -> None:
    bad, good = site.put("count", n=1), site.put("count", n=2)
    site.driver.raw.hset(site.driver.key("bodies"), bad, b"\xff\x00 no body")

    site.start()

    assert site.ended(good).state == "completed"
    assert site.ended(bad).state == "failed"
    assert site.runs_of(bad) == 0


def test_arguments_that_do_not_fit_fail_for_good_without_a_run(site: Site) -> None:
    site.start()
    task_id = site.put_with({"max_attempts": 5}, "count", n="many")

    view = site.ended(task_id)

    assert (view.state, view.error and view.error["reason"], view.attempt) == ("failed", "bad_arguments", 1)
    assert site.runs_of(task_id) == 0


def test_a_delayed_task_runs_when_it_is_due(site: Site) -> None:
    site.started()
    task_id = site.put_with({"delay_s": 0.4}, "count", n=1)

    view = site.ended(task_id)

    assert view.state == "completed"
    assert view.started_at_ms is not None
    assert view.started_at_ms - view.created_at_ms >= 400


def test_progress_and_words_of_a_handler_are_shown(site: Site) -> None:
    gate = site.gate()
    node = site.started()
    task_id = site.put("report_progress", gate=str(gate))

    slot = wait_until(
        lambda: next((s for s in site.worker_of(node).running if s.progress is not None), None), 10, "a heartbeat"
    )
    assert slot is not None
    assert (slot.task_id, slot.type, slot.progress) == (task_id, "report_progress", 0.25)
    wait_until(lambda: "said by the handler" in node.log, 5, "the line")
    wait_until(lambda: site.view(task_id).progress, 5, "the progress to be kept")
    assert "25% done: a quarter" in site.driver.run(in_words(site.view(task_id)))
    gate.touch()
    assert str(site.ended(task_id).result).startswith("tq-task-")
    assert [line.text for line in site.driver.run(task_logs.read(task_id))] == ["said by the handler \x1b[2J"]


def test_several_queues_take_turns(site: Site) -> None:
    first = site.put_many("count", 40)
    second = [site.put("count", queue="other", n=n) for n in range(40)]

    site.start("--queues", "default,other", "--slots", "2", "--order", "fair")

    wait_until(lambda: len(site.trace()) == 80, 20, "all to run")
    half = [task_id for _, task_id, _ in site.trace()[:40]]
    assert 10 <= len(set(half) & set(first)) <= 30
    assert 10 <= len(set(half) & set(second)) <= 30


@pytest.mark.parametrize("seconds", [0.3, pytest.param(5.0, marks=pytest.mark.slow)])
def test_no_worker_waits_while_another_hoards_long_tasks(site: Site, seconds: float) -> None:
    node = site.started("--processes", "2", "--slots", "1")
    # Short ones first: of those a worker learns to claim ahead.
    site.put_many("count", 500)
    site.all_ended()

    ids = site.put_many("wait_then_count", 10, seconds=seconds)

    assert site.all_ended(timeout_s=50)["completed"] == 510, node.log
    runs = [site.view(task_id) for task_id in ids]
    by_worker = collections.Counter(run.worker_id for run in runs)
    assert sorted(by_worker.values()) == [5, 5]
    first_ms = min(run.started_at_ms or 0 for run in runs)
    last_ms = max(run.finished_at_ms or 0 for run in runs)
    # With six of them on one worker it would be six times.
    assert (last_ms - first_ms) / 1000 < 5.5 * seconds


def test_in_strict_order_the_first_queue_goes_first(site: Site) -> None:
    late = site.put_many("count", 30)
    early = [site.put("count", queue="urgent", n=n) for n in range(30)]

    site.start("--queues", "urgent,default", "--slots", "2", "--order", "strict")

    wait_until(lambda: len(site.trace()) == 60, 20, "all to run")
    assert [task_id for _, task_id, _ in site.trace()][:30] == early
    assert {task_id for _, task_id, _ in site.trace()[30:]} == set(late)


def test_what_a_handler_sets_in_its_context_stays_there(site: Site) -> None:
    ids = [site.put(kind, word="mine") for kind in ("say_async", "say_plain") for _ in range(20)]
    site.start("--slots", "1")

    assert {site.ended(task_id).result for task_id in ids} == {"on import"}


def test_programs_that_a_handler_starts_take_signals_as_usual(site: Site) -> None:
    site.start()
    ids = [site.put("end_a_program"), site.put("end_a_program_isolated")]

    assert [site.ended(task_id).result for task_id in ids] == [[-signal.SIGTERM, -signal.SIGINT]] * 2


def test_tasks_that_depend_on_others_run_after_them_or_end_with_them(site: Site) -> None:
    good = site.put("count", n=1)
    bad = site.put("die", how="kill")
    after_good = [site.put_with({"options": TaskOptions(depends_on=(good,))}, "count", n=2) for _ in range(3)]
    last = site.put_with({"options": TaskOptions(depends_on=tuple(after_good))}, "count_isolated", n=3)
    of_bad = [
        site.put_with({"options": TaskOptions(depends_on=(good, bad), on_parent_failure=policy)}, "count", n=4)
        for policy in ("fail", "skip", "run")
    ]

    site.start("--processes", "2")

    assert site.all_ended() == {"completed": 6, "failed": 2, "cancelled": 1}
    assert [site.view(i).state for i in of_bad] == ["failed", "cancelled", "completed"]
    assert (site.view(of_bad[0]).error or {})["message"] == f"the task {bad}, which it waited for, failed"
    first_end = site.view(good).finished_at_ms or 0
    starts = [site.view(i).started_at_ms or 0 for i in after_good]
    assert first_end <= min(starts)
    assert max(site.view(i).finished_at_ms or 0 for i in after_good) <= (site.view(last).started_at_ms or 0)


def test_a_wall_clock_that_jumps_costs_no_lease_and_moves_no_deadline(site: Site) -> None:
    site.start("--lease", "1", "--heartbeat", "0.2", app="jumping_clock")
    long_one = site.put("wait_then_count", seconds=1.6)  # needs renewals
    late = site.put_with({"delay_s": 0.3}, "count", n=1)
    overdue = site.put("slow_async")

    assert (site.ended(long_one).state, site.runs_of(long_one)) == ("completed", 1)
    assert site.ended(late).state == "completed"
    view = site.ended(overdue)
    assert (view.state, view.error and view.error["reason"]) == ("failed", "timeout")
    assert view.duration_ms is not None
    assert 300 <= view.duration_ms < 1500
    assert "lost" not in site.counters()
