"""Schedules: each fire makes one task, whoever tries, whatever was missed, and people can steer them."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from tests.queue_driver import START_MS, QueueDriver
from tq_core.errors import DuplicateTaskError, InvalidInputError, NotFoundError, QueueFullError, RefusedError
from tq_core.model import TaskState
from tq_core.roles import operator, schedules
from tq_core.roles.audit import audit
from tq_core.roles.schedule_edit import edit, revised
from tq_core.roles.schedules import Fired, Schedule, ScheduleView, new_schedule

MINUTE = 60_000
FIRST = START_MS // MINUTE * MINUTE + MINUTE
"""The first whole minute after the tests' beginning."""


def minutely(name: str = "tidy", **options: Any) -> Schedule:
    return new_schedule(name, "work", **{"queue": "mail", "every_s": 60, **options})


def add(q: QueueDriver, name: str = "tidy", **options: Any) -> Schedule:
    schedule = minutely(name, **options)
    q.run(schedules.add(schedule, actor="ann"))
    return schedule


def tick(q: QueueDriver) -> list[str]:
    return list(q.run(schedules.tick([q.queue])).task_ids)


def view(q: QueueDriver, name: str = "tidy") -> ScheduleView:
    return q.run(schedules.find(name))


def id_at(fire_ms: int, name: str = "tidy") -> str:
    return f"cron.{name}.{fire_ms}@mail"


# --- firing ---


def test_a_schedule_fires_when_its_time_has_come_and_not_before(q: QueueDriver) -> None:
    add(q, args={"a": [1, "x|y"]}, priority="high", max_attempts=2, timeout_s=9)
    q.clock.now_ms = FIRST - 1
    assert tick(q) == []
    q.clock.now_ms = FIRST
    assert tick(q) == [id_at(FIRST)]
    assert tick(q) == []

    task = q.view(id_at(FIRST))
    assert (task.state, task.type, task.args, task.priority) == (TaskState.PENDING, "work", {"a": [1, "x|y"]}, 50)
    assert (task.max_attempts, task.options.timeout_s, task.options.submitted_by) == (2, 9, "cron tidy")
    seen = view(q)
    assert (seen.next_at_ms, seen.fired_at_ms, seen.fires, seen.state) == (FIRST + MINUTE, FIRST, 1, "active")
    assert q.events()[-1] == {"e": "enqueued", "i": id_at(FIRST)}


def test_its_tasks_run_in_turn_with_all_others(q: QueueDriver) -> None:
    add(q)
    before = q.put_one()
    q.clock.now_ms = FIRST
    tick(q)
    after = q.put_one()

    assert [task.id for task in q.take(3)] == [before, id_at(FIRST), after]


def test_of_two_ticks_that_read_the_same_fire_one_enqueues(q: QueueDriver) -> None:
    add(q)
    q.clock.now_ms = FIRST + 10
    first, second = q.run(schedules.due(["mail"])), q.run(schedules.due(["mail"]))
    assert len(first) == len(second) == 1

    assert q.run(schedules.fire(first)).task_ids == (id_at(FIRST),)
    q.run(operator.discard([id_at(FIRST)], actor="ann"))  # so that it is not its id that keeps it from coming twice
    assert q.run(schedules.fire(second)) == Fired()
    assert q.depths() == {}
    assert view(q).fires == 1


def test_many_workers_that_tick_at_once_enqueue_each_fire_once(q: QueueDriver) -> None:
    if q.url.startswith("memory://"):
        pytest.skip("one fakeredis serves one thread at a time")
    for n in range(20):
        add(q, f"s{n}")
    drivers = [QueueDriver(q.url) for _ in range(4)]
    begin = threading.Barrier(len(drivers))
    made: list[list[str]] = [[] for _ in drivers]

    def work(i: int) -> None:
        for minute in range(5):
            drivers[i].clock.now_ms = FIRST + minute * MINUTE
            begin.wait(20)
            made[i] += tick(drivers[i])

    threads = [threading.Thread(target=work, args=(i,)) for i in range(len(drivers))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    for driver in drivers:
        driver.close()

    fired = sorted(task_id for some in made for task_id in some)
    assert fired == sorted(id_at(FIRST + m * MINUTE, f"s{n}") for n in range(20) for m in range(5))
    assert q.depths() == {"pending": 100}


def test_a_fire_that_is_done_again_makes_no_second_task(q: QueueDriver) -> None:
    """As after a failover to a replica that had not heard of the schedule's move yet."""
    add(q)
    q.clock.now_ms = FIRST
    assert tick(q) == [id_at(FIRST)]
    q.raw.zadd(q.key("fires"), {"tidy": FIRST})

    assert tick(q) == []
    assert view(q).next_at_ms == FIRST + MINUTE
    assert q.depths() == {"pending": 1}


def test_a_schedule_that_changed_since_it_was_read_does_not_fire_as_it_was(q: QueueDriver) -> None:
    q.run(schedules.declare([minutely(args={"v": 1})], is_start=True))
    q.clock.now_ms = FIRST
    due = q.run(schedules.due(["mail"]))
    q.clock.now_ms = FIRST - 1
    q.run(schedules.declare([minutely(args={"v": 2})], is_start=True))
    assert view(q).next_at_ms == FIRST
    q.clock.now_ms = FIRST

    assert q.run(schedules.fire(due)) == Fired()
    assert tick(q) == [id_at(FIRST)]
    assert q.view(id_at(FIRST)).args == {"v": 2}


def test_jitter_delays_each_task_by_its_own_share(q: QueueDriver) -> None:
    schedule = add(q, jitter_s=30)
    delays = {schedule.delay_ms(FIRST + n * MINUTE) for n in range(200)}
    assert len(delays) > 100
    assert 0 <= min(delays) < 3000
    assert 27_000 < max(delays) <= 30_000
    q.clock.now_ms = FIRST

    (task_id,) = tick(q)

    task = q.view(task_id)
    assert (task.state, task.due_at_ms) == (TaskState.SCHEDULED, FIRST + schedule.delay_ms(FIRST))


def test_many_schedules_are_fired_by_several_passes(q: QueueDriver) -> None:
    declared = [minutely(f"s{n}") for n in range(schedules.DUE_MAX + 5)]
    q.run(schedules.declare(declared, is_start=True))
    q.clock.now_ms = FIRST

    assert [len(tick(q)) for _ in range(3)] == [schedules.DUE_MAX, 5, 0]


# --- missed fires ---


@pytest.mark.parametrize(
    ("missed", "late_s", "minutes"),
    [
        ("skip", 30, [0]),
        ("skip", 600, [9, 10]),
        ("once", 30, [0]),
        ("once", 600, [9, 10]),
        ("all", 125, [0, 1, 2]),
    ],
)
def test_what_was_missed_while_no_worker_was_there(
    q: QueueDriver, missed: str, late_s: int, minutes: list[int]
) -> None:
    """At most a minute late is on time; a fire on time makes up for those before it."""
    add(q, missed=missed)
    q.clock.now_ms = FIRST + late_s * 1000

    assert tick(q) == [id_at(FIRST + m * MINUTE) for m in minutes]
    assert view(q).next_at_ms == FIRST + (late_s // 60 + 1) * MINUTE
    assert tick(q) == []


@pytest.mark.parametrize(("missed", "hours"), [("skip", []), ("once", [7]), ("all", list(range(8)))])
def test_fires_that_are_all_long_past_are_skipped_or_made_up_for_once_or_all_run(
    q: QueueDriver, missed: str, hours: list[int]
) -> None:
    hour = 3_600_000
    first = (START_MS // hour + 1) * hour
    add(q, every_s=3600, missed=missed)
    q.clock.now_ms = first + 7 * hour + 30 * MINUTE

    assert tick(q) == [id_at(first + n * hour) for n in hours]
    assert view(q).next_at_ms == first + 8 * hour
    if not hours:
        assert q.events()[-1] == {"e": "skipped", "r": "tidy"}
        assert view(q).fired_at_ms is None


def test_of_very_many_missed_fires_the_latest_hundred_are_run(q: QueueDriver) -> None:
    add(q, missed="all")
    q.clock.now_ms = FIRST + 100_000 * MINUTE

    made = tick(q)

    assert made == [id_at(FIRST + n * MINUTE) for n in range(100_001 - schedules.CATCH_UP_MAX, 100_001)]


# --- not overlapping itself ---


def test_a_schedule_that_must_not_overlap_itself_waits_for_the_end_of_its_task(q: QueueDriver) -> None:
    add(q, overlap=False)
    q.clock.now_ms = FIRST
    assert tick(q) == [id_at(FIRST)]
    q.clock.now_ms = FIRST + MINUTE
    assert tick(q) == []
    assert q.events()[-1] == {"e": "skipped", "r": "tidy"}
    task = q.take_one()
    q.clock.now_ms = FIRST + 2 * MINUTE
    assert tick(q) == []
    q.fail(task, verdict="fatal")
    q.clock.now_ms = FIRST + 3 * MINUTE

    assert tick(q) == [id_at(FIRST + 3 * MINUTE)]
    assert view(q).fires == 2


def test_missed_fires_of_one_that_must_not_overlap_itself_make_one_task(q: QueueDriver) -> None:
    add(q, overlap=False, missed="all")
    q.clock.now_ms = FIRST + 5 * MINUTE

    assert tick(q) == [id_at(FIRST)]


# --- what keeps it from firing ---


def test_a_full_queue_holds_a_fire_up_and_loses_none(q: QueueDriver) -> None:
    add(q)
    waiting = q.put_one()
    q.run(operator.configure_queue("mail", {"max_size": 1}, actor="ann"))
    q.clock.now_ms = FIRST

    fired = q.run(schedules.tick(["mail"]))

    assert fired == Fired((), (("tidy@mail", "'mail' holds 1 of at most 1 waiting tasks"),))
    with pytest.raises(QueueFullError, match="'mail' holds 1 of at most 1"):
        q.run(schedules.run_now(view(q), actor="ann"))
    assert view(q).next_at_ms == FIRST
    assert q.take_one().id == waiting
    assert tick(q) == [id_at(FIRST)]


def test_one_that_cannot_be_read_is_named_and_keeps_no_other_from_firing(q: QueueDriver) -> None:
    add(q)
    add(q, "newer")
    q.raw.hset(q.key("schedules"), "newer", b'{"name":"newer","queue":"mail","phase":"full moon"}')
    q.clock.now_ms = FIRST

    fired = q.run(schedules.tick(["mail"]))

    assert fired.task_ids == (id_at(FIRST),)
    assert fired.held_up == (("newer@mail", "it cannot be read: a newer tq wrote it, so one must fire it"),)
    assert view(q, "newer").state == "unreadable"
    for flow in (schedules.run_now, schedules.resume):
        with pytest.raises(InvalidInputError, match="cannot be read"):
            q.run(flow(view(q, "newer"), actor="ann"))


def test_one_whose_queue_nobody_serves_is_late(q: QueueDriver) -> None:
    add(q)
    q.clock.now_ms = FIRST + schedules.MISSED_AFTER_MS + 1

    assert view(q).state == "late"


# --- declared by code ---


def test_code_that_starts_again_changes_nothing_of_what_it_declared_before(q: QueueDriver) -> None:
    q.run(schedules.declare([minutely()], is_start=True))
    events = len(q.events())
    q.clock.now_ms = FIRST + 10 * MINUTE  # the workers were away

    q.run(schedules.declare([minutely()], is_start=True))

    seen = view(q)
    assert (seen.next_at_ms, seen.seen_at_ms, len(q.events())) == (FIRST, q.clock.now_ms, events)
    assert q.audited() == []


def test_code_that_starts_replaces_and_code_that_runs_does_not(q: QueueDriver) -> None:
    q.run(schedules.declare([minutely()], is_start=True))
    q.run(schedules.declare([minutely(every_s=3600)], is_start=True))
    assert view(q).next_at_ms == (START_MS // 3_600_000 + 1) * 3_600_000

    q.run(schedules.declare([minutely()], is_start=False))
    found = view(q).schedule
    assert found is not None
    assert found.when.every_ms == 3_600_000

    q.run(schedules.remove(view(q), actor="ann", is_forced=True))
    q.run(schedules.declare([minutely()], is_start=False))
    assert view(q).next_at_ms == FIRST


def test_what_code_declares_no_longer_fires_on_and_is_shown_as_such(q: QueueDriver) -> None:
    q.run(schedules.declare([minutely()], is_start=True))
    with pytest.raises(RefusedError, match=r"was declared by code .* ago and would come back"):
        q.run(schedules.remove(view(q), actor="ann"))
    q.clock.now_ms = FIRST + schedules.DECLARED_MS
    assert tick(q)

    assert view(q).state == "undeclared"
    q.run(schedules.remove(view(q), actor="ann"))
    assert q.run(schedules.schedules()) == []


def test_a_pause_outlives_a_start_of_the_code_even_with_another_rule(q: QueueDriver) -> None:
    q.run(schedules.declare([minutely()], is_start=True))
    q.run(schedules.pause(view(q), actor="ann"))

    q.run(schedules.declare([minutely(every_s=5)], is_start=True))

    q.clock.advance(3_600_000)
    assert tick(q) == []
    assert view(q).state == "paused"


def test_a_queue_holds_so_many_schedules(q: QueueDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schedules, "SCHEDULES_MAX", 1)
    add(q)
    with pytest.raises(RefusedError, match="has 1 schedules already"):
        add(q, "more")
    with pytest.raises(RefusedError, match="has 1 schedules already"):
        q.run(schedules.declare([minutely(), minutely("more")], is_start=True))


# --- people ---


def test_people_add_pause_resume_run_and_remove_and_it_is_written_down(q: QueueDriver) -> None:
    add(q)
    with pytest.raises(RefusedError, match="'mail' has a schedule 'tidy' already"):
        add(q)
    assert q.run(schedules.pause(view(q), actor="bob", why="too loud"))
    assert not q.run(schedules.pause(view(q), actor="bob"))
    assert view(q).paused == {"by": "bob", "why": "too loud", "schedule": "tidy"}
    assert view(q).next_at_ms is None
    q.clock.now_ms = FIRST + 5 * MINUTE + 500
    assert tick(q) == []
    task_id = q.run(schedules.run_now(view(q), actor="bob"))
    assert q.run(schedules.resume(view(q), actor="bob"))
    assert not q.run(schedules.resume(view(q), actor="bob"))
    # What came due while it was paused was not wanted.
    assert (tick(q), view(q).next_at_ms) == ([], FIRST + 6 * MINUTE)
    q.run(schedules.remove(view(q), actor="bob"))

    assert q.run(schedules.schedules()) == []
    assert task_id == id_at(FIRST + 5 * MINUTE + 500)
    assert q.state(task_id) is TaskState.PENDING
    assert [(a["do"], a["by"]) for a in q.audited()] == [
        ("add_schedule", "ann"),
        ("pause_schedule", "bob"),
        ("run_schedule", "bob"),
        ("resume_schedule", "bob"),
        ("remove_schedule", "bob"),
    ]
    assert q.raw.exists(q.key("schedules"), q.key("fires"), q.key("schedule_notes")) == 0


def test_a_run_by_hand_never_takes_the_id_of_a_fire(q: QueueDriver) -> None:
    add(q)
    q.clock.now_ms = FIRST

    by_hand = q.run(schedules.run_now(view(q), actor="ann"))

    assert tick(q) == [id_at(FIRST)]
    assert by_hand == id_at(FIRST + 1)


def test_a_run_by_hand_does_not_overlap_either(q: QueueDriver) -> None:
    add(q, overlap=False)
    task_id = q.run(schedules.run_now(view(q), actor="ann"))
    q.clock.advance(5)

    with pytest.raises(DuplicateTaskError, match="must not overlap itself") as caught:
        q.run(schedules.run_now(view(q), actor="ann"))
    assert caught.value.holder_id == task_id


def test_what_is_gone_or_changed_meanwhile_is_refused(q: QueueDriver) -> None:
    add(q)
    stale = view(q)
    q.run(schedules.remove(stale, actor="ann"))
    for flow in (schedules.remove, schedules.pause, schedules.resume, schedules.run_now):
        with pytest.raises(NotFoundError, match="was changed or removed meanwhile"):
            q.run(flow(stale, actor="ann"))


def test_one_is_found_by_its_name_and_queue(q: QueueDriver) -> None:
    add(q)
    q.run(schedules.add(minutely(queue="post"), actor="ann"))
    with pytest.raises(InvalidInputError, match="say tidy@mail or tidy@post"):
        view(q)
    assert view(q, "tidy@post").queue == "post"
    with pytest.raises(NotFoundError, match="did you mean tidy"):
        view(q, "tiddy")
    assert [v.queue for v in q.run(schedules.schedules(["post", "mail"]))] == ["mail", "post"]
    assert q.run(schedules.schedules(["never"])) == []


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"name": ""}, "cannot be a schedule's name"),
        ({"name": "a b"}, "cannot be a schedule's name"),
        ({"name": "x" * 81}, "cannot be a schedule's name"),
        ({"missed": "never"}, "use skip, once, all"),
        ({"jitter_s": -1}, "a jitter of -1 s"),
        ({"jitter_s": 1e9}, "a jitter of"),
        ({"queue": "a b"}, "cannot be a queue's name"),
        ({"task_type": "a b"}, "cannot be a task type"),
        ({"priority": 256}, "priority 256"),
        ({"max_attempts": 0}, "max_attempts 0"),
        ({"args": {"a": "x" * 70_000}}, "the limit is 65536"),
    ],
)
def test_bad_values_are_refused(options: dict[str, Any], says: str) -> None:
    values = {"name": "tidy", "task_type": "work", "every_s": 5, **options}

    with pytest.raises(InvalidInputError, match=says):
        new_schedule(values.pop("name"), values.pop("task_type"), **values)


def test_the_longest_name_still_makes_an_id(q: QueueDriver) -> None:
    name = "x" * 80
    add(q, name)
    q.clock.now_ms = FIRST

    assert tick(q) == [id_at(FIRST, name)]


# --- changed by a person ---


def test_what_a_person_changes_is_written_down_and_only_where_it_is_what_was_seen(q: QueueDriver) -> None:
    add(q, args={"v": 1}, jitter_s=5, overlap=False, missed="skip", priority="high", timeout_s=9)
    seen = view(q)
    assert seen.schedule is not None
    new = revised(seen.schedule, cron="0 8 * * *", tz="Europe/Rome", args={"v": 2}, jitter_s=0)
    assert (new.missed, new.unique_key, new.priority, new.timeout_s) == ("skip", "cron.tidy", 50, 9)
    assert revised(new, every_s=60, overlap=True).when.label == "every 1 m"
    assert revised(new, tz="UTC").when.label == "0 8 * * *"

    next_ms = q.run(edit(seen, new, actor="bob", why="at last"))
    now = view(q)
    assert (now.schedule, now.next_at_ms) == (new, next_ms)
    assert [(act["do"], act["by"]) for act in q.audited()] == [("add_schedule", "ann"), ("edit_schedule", "bob")]
    with pytest.raises(NotFoundError, match="changed or removed meanwhile"):
        q.run(edit(seen, new, actor="bob"))
    with pytest.raises(InvalidInputError, match="name and queue"):
        q.run(edit(now, minutely("other"), actor="bob"))
    with pytest.raises(InvalidInputError, match="cannot be read"):
        revised(new, cron="0 0 31 2 *")

    q.run(schedules.pause(now, actor="bob"))
    assert q.run(edit(view(q), revised(new, every_s=60), actor="bob")) is None
    q.clock.advance(10 * MINUTE)
    assert tick(q) == []
    assert not q.run(audit(["mail"]))
