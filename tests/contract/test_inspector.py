"""Reading: numbers of queues, pages, single tasks, and the line that says why a task is where it is."""

from __future__ import annotations

import pytest

from tests.queue_driver import START_MS, QueueDriver
from tq_core.errors import InvalidInputError, NotFoundError
from tq_core.model import TaskState
from tq_core.query.query import parse_query
from tq_core.roles import consumer, inspector, operator, registry, search
from tq_core.roles.producer import new_task
from tq_core.roles.why import in_words

# --- stats ---


def test_every_state_is_counted_without_the_sentinel(q: QueueDriver) -> None:
    q.put_many(12)
    for n, task in enumerate(q.take(11)):
        if n < 2:
            q.complete(task)
        elif n < 5:
            q.fail(task, verdict="fatal")
        elif n < 9:
            q.fail(task, verdict="cancel")
        elif n < 10:
            q.fail(task)
    q.put_many(5, delay_s=1)

    numbers = q.stats()

    assert numbers.depths == {
        TaskState.BLOCKED: 0,
        TaskState.SCHEDULED: 5,
        TaskState.PENDING: 1,
        TaskState.RUNNING: 1,
        TaskState.RETRYING: 1,
        TaskState.COMPLETED: 2,
        TaskState.FAILED: 3,
        TaskState.CANCELLED: 4,
    }
    assert (numbers.waiting, numbers.now_ms, numbers.paused, numbers.limits) == (7, START_MS, None, {})


def test_the_age_is_that_of_the_oldest_pending_task_of_any_priority(q: QueueDriver) -> None:
    assert q.stats().oldest_age_ms is None
    q.put_one(priority="normal")
    q.clock.advance(10)
    oldest_low = q.put_one(priority=255)
    q.clock.advance(10)
    q.put_many(3, priority="critical")
    q.clock.advance(10)

    assert q.stats().oldest_age_ms == 30
    q.take(4)
    assert q.stats().oldest_age_ms == 20
    q.run(operator.cancel([oldest_low], actor="ann"))
    assert q.stats().oldest_age_ms is None


def test_a_scheduled_or_running_task_has_no_age_and_a_pending_ghost_is_passed_over(damaged_q: QueueDriver) -> None:
    q = damaged_q
    q.put_one(delay_s=9)
    gone = q.put_one()
    q.raw.hdel(q.key("bodies"), gone)
    q.clock.advance(5)
    q.put_one(priority="low")

    assert q.stats().oldest_age_ms == 0


def test_the_next_due_time_is_the_earlier_of_both_kinds(q: QueueDriver) -> None:
    assert q.stats().next_due_at_ms is None
    q.put_one()
    q.fail(q.take_one(), delay_ms=50)
    assert q.stats().next_due_at_ms == START_MS + 50
    q.put_one(delay_s=0.02)
    assert q.stats().next_due_at_ms == START_MS + 20
    q.put_one(delay_s=0.01)
    assert q.stats().next_due_at_ms == START_MS + 10


def test_only_the_minutes_asked_for_are_told(q: QueueDriver) -> None:
    for _ in range(6):
        q.put_one()
        q.clock.advance(60_000)

    assert len(q.stats(minutes=60).minutes) == 6
    assert len(q.stats(minutes=4).minutes) == 3
    assert q.stats(minutes=1).minutes == ()
    assert q.stats(minutes=2).minutes[0].counts == {"enqueued": 1}


@pytest.mark.parametrize("second_of_minute", [0, 1, 30, 59])
def test_a_steady_load_has_the_same_rate_at_any_second_of_the_minute(q: QueueDriver, second_of_minute: int) -> None:
    begin_ms = START_MS // 60_000 * 60_000
    for second in range(0, 601 + second_of_minute, 10):
        q.clock.now_ms = begin_ms + second * 1000
        q.put_many(2)
    q.clock.now_ms = begin_ms + (600 + second_of_minute) * 1000

    assert q.stats().rate_per_s("enqueued") == pytest.approx(0.2, rel=0.06)
    assert q.stats(minutes=15).rate_per_s("enqueued") == pytest.approx(0.2, rel=0.06)


def test_a_rate_of_a_queue_that_was_idle_before_is_over_the_whole_window(q: QueueDriver) -> None:
    q.put_one()
    q.clock.advance(3_600_000)
    q.put_many(30)

    assert 30 / 360 <= q.stats(minutes=6).rate_per_s("enqueued", window_s=300) <= 30 / 299
    assert q.stats().rate_per_s("completed") == 0


def test_latencies_are_upper_bounds_of_their_bucket(q: QueueDriver) -> None:
    q.put_many(100)
    tasks = q.take(100)
    acks = [consumer.Ack(t, b"1", 3 if n < 90 else 1000, 70) for n, t in enumerate(tasks)]
    q.run(consumer.complete(q.queue, acks))
    numbers = q.stats()

    assert (numbers.latency_ms("run", 0.5), numbers.latency_ms("run", 0.9), numbers.latency_ms("run", 0.95)) == (
        4,
        4,
        1024,
    )
    assert numbers.latency_ms("wait", 1.0) == 128
    assert numbers.latency_ms("nothing", 0.5) is None


def test_what_was_known_a_moment_ago_need_not_be_read_again(q: QueueDriver) -> None:
    known: list[inspector.QueueStats] = []
    whole = q.stats()
    for _ in range(8):
        q.complete(*[q.take_one() for _ in q.put_many(2)])
        (whole,) = q.run(inspector.stats([q.queue], minutes=3, has_counters=False))
        known = q.run(inspector.stats([q.queue], minutes=3, known=known, has_counters=False))
        assert known == [whole]
        q.clock.advance(35_000)
    assert whole.counters == {"enqueued": 16}
    assert [sum(m.counts["completed"] for m in inspector.with_minutes(whole, n).minutes) for n in (1, 2)] == [2, 6]

    # Fewer minutes than are asked for, or those of a queue that was emptied since, are of no use.
    assert q.run(inspector.stats([q.queue], minutes=15, known=known))[0].minutes == q.stats(minutes=15).minutes
    q.raw.flushall()
    q.put_one()
    (fresh,) = q.run(inspector.stats([q.queue], minutes=3, known=known))
    assert [m.counts["enqueued"] for m in fresh.minutes] == [1]


def test_a_strangers_counters_hide_no_others(damaged_q: QueueDriver) -> None:
    q = damaged_q
    q.put_one()
    minute = q.key(f"minute:{START_MS // 60_000}")
    q.raw.hset(minute, mapping={"two words": "x", "": "1 2", "half": "1.5", "b": "-"})

    counts = q.stats().minutes[-1].counts
    assert counts["enqueued"] == 1
    assert counts["half"] == 1


def test_all_queues_are_told_when_none_is_named(q: QueueDriver) -> None:
    assert q.run(inspector.stats()) == []
    q.put_one()
    q.run(registry.register_queue("empty"))

    assert [(s.queue, sum(s.depths.values())) for s in q.run(inspector.stats())] == [("empty", 0), ("mail", 1)]


# --- pages ---


def page_ids(q: QueueDriver, state: TaskState, **options: int | bool) -> list[str]:
    return [t.id for t in q.run(inspector.page(q.queue, state, **options)).tasks]  # type: ignore[arg-type]


def test_a_page_is_a_window_in_the_order_of_service_or_the_other_way_round(q: QueueDriver) -> None:
    sent = q.put_many(10)

    assert page_ids(q, TaskState.PENDING, limit=3) == sent[:3]
    assert page_ids(q, TaskState.PENDING, offset=8, limit=3) == sent[8:]
    assert page_ids(q, TaskState.PENDING, offset=1, limit=2, newest_first=True) == sent[7:9][::-1]
    assert page_ids(q, TaskState.PENDING, offset=99) == []
    assert q.run(inspector.page(q.queue, TaskState.PENDING, limit=0)) == inspector.Page(10, ())


@pytest.mark.parametrize("newest_first", [False, True])
def test_pages_of_running_tasks_never_show_the_sentinel(q: QueueDriver, newest_first: bool) -> None:
    q.put_many(5)
    for n in range(5):
        q.take(1, lease_ms=1000 + n)
    whole = page_ids(q, TaskState.RUNNING, newest_first=newest_first)

    assert len(whole) == 5
    pieces = [page_ids(q, TaskState.RUNNING, offset=n, limit=2, newest_first=newest_first) for n in (0, 2, 4, 6)]
    assert [i for piece in pieces for i in piece] == whole
    assert q.run(inspector.page(q.queue, TaskState.RUNNING, limit=1)).total == 5


def test_a_page_cuts_payloads_and_says_their_whole_length(q: QueueDriver) -> None:
    q.put_one({"text": "ü" * 50_000})
    q.put_one({"n": 1})

    long, short = q.run(inspector.page(q.queue, TaskState.PENDING, payload_max=100)).tasks

    assert (long.args, long.payload_bytes) == (None, 100_011)
    assert 90 < len(long.payload_text.encode()) <= 103
    assert (short.args, short.payload_text) == ({"n": 1}, "")


def test_a_list_of_tasks_goes_from_running_over_waiting_to_ended(q: QueueDriver) -> None:
    done, failed, running, pending = q.put_many(4)
    tasks = q.take(3)
    q.complete(tasks[0])
    q.clock.advance(5)
    q.fail(tasks[1], verdict="fatal")
    scheduled = q.put_one(delay_s=3)

    listed = q.run(inspector.list_tasks())

    assert [t.id for t in listed.tasks] == [running, pending, scheduled, failed, done]
    assert listed.total == 5
    assert [t.id for t in q.run(inspector.list_tasks(limit=2, offset=1)).tasks] == [pending, scheduled]
    assert [t.id for t in q.run(inspector.list_tasks(states=[TaskState.FAILED])).tasks] == [failed]
    assert q.run(inspector.list_tasks([])) == inspector.Page(0, ())


# --- one task ---


def test_a_task_is_found_by_its_id_alone_in_any_queue(q: QueueDriver) -> None:
    mine, named = q.put_one(), q.put_one(name="report")
    other = QueueDriver(q.url, queue="other")
    other.runner = q.runner
    theirs = other.put_one()

    views = q.run(inspector.show([theirs, named, mine, "no@mail", "no@where"]))

    assert [(v.id, v.queue) if v else None for v in views] == [
        (theirs, "other"),
        (named, "mail"),
        (mine, "mail"),
        None,
        None,
    ]
    assert q.run(inspector.locate([mine, named, "x@where"])) == {mine: "mail", named: "mail", "x@where": "where"}


def test_a_task_that_is_not_there_or_no_id_is_said_so(q: QueueDriver) -> None:
    with pytest.raises(NotFoundError, match="never existed, was deleted, or its retention is over"):
        q.run(inspector.show_one("no@mail"))
    with pytest.raises(InvalidInputError, match="no task id"):
        q.run(inspector.show_one("NO"))


def test_the_position_counts_those_served_before(q: QueueDriver) -> None:
    sent = q.put_many(3)
    q.put_one(priority="high")

    assert [q.view(i).position for i in sent] == [1, 2, 3]


@pytest.mark.parametrize("record", [b"", b"x", b"|", b"a|b|c|d|e", b"1-n~5~w|ok|x|y|z", b"\xff|\xff|1|1|\xff"])
def test_a_damaged_record_shows_a_task_without_an_ending(damaged_q: QueueDriver, record: bytes) -> None:
    q = damaged_q
    bad, good = q.put_many(2)
    q.complete(*q.take(2))
    q.raw.hset(q.key("records"), bad, record)

    assert (q.view(bad).state, q.view(bad).result) == (TaskState.COMPLETED, None)
    assert {t.id for t in q.run(inspector.page(q.queue, TaskState.COMPLETED)).tasks} == {bad, good}


@pytest.mark.parametrize("name", ["trail", "attempts", "tokens", "cancels"])
def test_damaged_facts_beside_a_task_never_hide_it(damaged_q: QueueDriver, name: str) -> None:
    q = damaged_q
    q.put_one()
    task = q.take_one()
    for value in (b"", b"5", b"\xff\x00|", b"1|2|3|4|5|6|7", b"9~x~y|z", b"\n\n|\n"):
        q.raw.hset(q.key(name), task.id, value)
        assert q.view(task.id).state is TaskState.RUNNING
        assert why(q, task.id).startswith("taken ")


def test_a_huge_corrupt_body_is_cut_in_pages_too(damaged_q: QueueDriver) -> None:
    q = damaged_q
    task_id = q.put_one()
    q.raw.hset(q.key("bodies"), task_id, b"x" * 500_000)

    (view,) = q.run(inspector.page(q.queue, TaskState.PENDING, payload_max=100)).tasks
    assert (view.type, view.payload_bytes) == ("?", 500_000)
    assert len(view.payload_text) == 100


# --- search ---


def test_a_search_is_honest_about_what_it_did_not_read(q: QueueDriver) -> None:
    sent = q.put_many(450)
    q.complete(*q.take(50))

    even = parse_query("args.n:*0 | args.n:*2 | args.n:*4 | args.n:*6 | args.n:*8")

    found = q.run(search.find([q.queue], list(TaskState), even, limit=1000, look_max=1000))
    assert (len(found.tasks), found.search.looked, found.search.total) == (225, 450, 450)
    assert (found.search.is_done, found.unread) == (True, 0)
    cut = q.run(search.find([q.queue], list(TaskState), even, limit=1000, look_max=300))
    assert (len(cut.tasks), cut.search.looked, cut.search.total) == (150, 300, 450)
    first = q.run(search.find([q.queue], list(TaskState), even, limit=3, look_max=1000))
    assert [t.id for t in first.tasks] == [sent[50], sent[52], sent[54]]
    assert first.search.total == 450
    assert first.search.looked < 450
    assert not first.search.is_done


def test_a_search_goes_on_where_it_stopped_and_takes_lists_in_turn(q: QueueDriver) -> None:
    q.put_many(130)
    q.fail(*q.take(1), verdict="fatal")
    other = q.beside("other")
    other.put_many(30)
    begun = q.run(search.begin(None, list(TaskState), parse_query("-state:completed")))
    assert begun.total == 160
    seen: list[str] = []
    for _ in range(9):
        found = q.run(search.go_on(begun, lambda _task: True, look_max=40, find_max=40))
        begun = found.search
        seen += [task.id for task in found.tasks]
        if len(seen) == 40:
            assert {task.queue for task in found.tasks} == {q.queue, "other"}
            # What was read last may go.
            q.run(operator.discard([seen[-1]], actor="ann", action="delete"))
    assert begun.is_done
    assert len(seen) == len(set(seen)) == 160


def test_arguments_that_are_too_long_to_be_read_are_said_to_be_unknown(q: QueueDriver) -> None:
    q.put_one({"text": "x" * 300})
    found = q.run(
        search.find([q.queue], list(TaskState), parse_query("-y! args:z"), limit=9, look_max=9, payload_max=100)
    )
    assert (found.tasks, found.unread) == ((), 1)


def test_a_search_keeps_to_the_states_asked_for(q: QueueDriver) -> None:
    q.put_many(4)
    task = q.take_one()
    q.fail(task, verdict="fatal")

    found = q.run(search.find(None, [TaskState.FAILED], parse_query("work"), limit=9, look_max=9))
    assert ([t.id for t in found.tasks], found.search.looked, found.search.total) == ([task.id], 1, 1)


# --- why ---


def why(q: QueueDriver, task_id: str) -> str:
    return q.run(in_words(q.view(task_id)))


def serve(q: QueueDriver, **facts: object) -> None:
    known = {"node_id": "n", "host": "h", "pid": 1, "queues": (q.queue,), "processes": 2, "slots": 3}
    q.run(registry.heartbeat(registry.NodeInfo(**{**known, **facts})))  # type: ignore[arg-type]


def test_why_a_pending_task_waits(q: QueueDriver) -> None:
    first, second = q.put_many(2)
    assert why(q, first) == "waits: no live worker serves the queue 'mail'"
    serve(q, queues=("other",))
    assert why(q, first) == "waits: no live worker serves the queue 'mail'"
    serve(q, state="paused")
    assert why(q, first) == "waits: every worker of the queue 'mail' is paused or draining"
    serve(q, types=("other",))
    assert why(q, first) == "waits: no live worker of 'mail' knows the type 'work'"
    serve(q, types=("work",))
    assert why(q, second) == "waits its turn: 1 before it, 6 slots serve the queue"
    q.clock.advance(registry.LOST_AFTER_MS + 1)
    assert why(q, first) == "waits: no live worker serves the queue 'mail'"
    q.run(operator.pause_queue(q.queue, actor="ann", why="deploy"))
    q.clock.advance(65_000)
    assert why(q, first) == "waits: ann paused the queue 'mail' 1 m 5 s ago (deploy)"


def test_why_a_task_runs_or_will_run(q: QueueDriver) -> None:
    q.put_one()
    task = q.take_one(worker_id="n.1", lease_ms=10_000)
    q.clock.advance(3000)
    assert why(q, task.id) == "taken 3 s ago by n.1, attempt 1 of 4"
    q.run(operator.cancel([task.id], actor="ann"))
    assert why(q, task.id) == "taken 3 s ago by n.1, attempt 1 of 4; ann asked it to stop"
    q.clock.advance(8000)
    assert "has not renewed the lease" in why(q, task.id)
    assert why(q, q.put_one(delay_s=90_061)) == "due in 1 d 1 h"
    q.put_one(max_attempts=2, priority="high")
    retried = q.take_one()
    q.fail(retried, delay_ms=500)
    assert why(q, retried.id) == "tries again in 500 ms; attempt 1 of 2 failed: boom"


def test_why_a_task_has_ended(q: QueueDriver) -> None:
    q.put_many(4)
    completed, failed, cancelled, poison = q.take(4, worker_id="n.1")
    q.complete(completed, duration_ms=1500)
    q.fail(failed, verdict="fatal", reason="fatal")
    q.run(operator.cancel([cancelled.id], actor="ann", why="no need"))
    q.run(consumer.release([cancelled]))
    q.run(consumer.crash(poison, detail={}))
    q.run(consumer.crash(q.take_one(), detail={"message": "signal 9"}))
    q.clock.advance(2000)

    assert why(q, completed.id) == "completed 2 s ago in 1 s by n.1"
    assert why(q, failed.id) == "failed 2 s ago (its handler said it can never succeed): ValueError: boom"
    assert why(q, cancelled.id) == "cancelled 2 s ago by ann: no need"
    assert why(q, poison.id).startswith("failed 2 s ago (its process died with it again and again)")


def test_why_survives_a_corrupt_task(damaged_q: QueueDriver) -> None:
    q = damaged_q
    (outcome,) = q.put(new_task("work", {}))
    q.raw.hset(q.key("bodies"), outcome.task_id, b"garbage")
    serve(q, types=("work",))

    assert why(q, outcome.task_id).startswith("waits its turn")


# --- what no program of ours wrote ---


@pytest.mark.parametrize("score", ["-inf", "+inf", "1e300", str(2**53)])
def test_a_score_that_no_enqueue_gave_never_holds_the_server(damaged_q: QueueDriver, score: str) -> None:
    damaged_q.put_many(2)
    damaged_q.raw.zadd(damaged_q.key("pending"), {"ghost": float(score)})
    assert damaged_q.stats().depths[TaskState.PENDING] == 3


def test_numbers_that_cannot_be_read_hide_nothing_else(damaged_q: QueueDriver) -> None:
    damaged_q.put_many(2)
    raw = damaged_q.raw
    raw.hset(damaged_q.key("counters"), "lost", "many")
    raw.hset(damaged_q.key("meta"), mapping={"max_size": "lots", "paused": "?", "paused_at_ms": "then"})
    raw.hset(damaged_q.key(f"minute:{START_MS // 60_000}"), "completed", "x")
    raw.zadd(damaged_q.key("scheduled"), {"ghost": float("inf")})
    raw.hset("tq:queues", mapping={b"b\xff": "x", b"c\xff": b"7"})
    raw.xadd(damaged_q.key("audit"), {b"\xff": b"\xff"})

    numbers = damaged_q.stats()
    assert (numbers.depths[TaskState.PENDING], numbers.limits, numbers.counters["enqueued"]) == (2, {}, 2)
    assert damaged_q.queue in damaged_q.run(registry.queue_numbers())
    assert damaged_q.run(operator.audit_log([damaged_q.queue])) == []
