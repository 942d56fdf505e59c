"""Claiming: which tasks a worker gets, under which token, and what an empty queue answers."""

from __future__ import annotations

import msgspec
import pytest

from tests.queue_driver import START_MS, QueueDriver
from tq_core.keyspace import wire
from tq_core.model import TaskState
from tq_core.roles import consumer, operator
from tq_core.roles.consumer import Claim
from tq_core.roles.producer import new_task


def test_a_claimed_task_is_running_under_a_lease_of_its_worker(q: QueueDriver) -> None:
    task_id = q.put_one({"to": "x"}, max_attempts=3)
    q.clock.advance(500)

    task = q.take_one(worker_id="host-1-ab.7", lease_ms=9000)

    assert (task.id, task.queue, task.payload, task.attempt) == (task_id, "mail", b'{"to":"x"}', 1)
    assert task.header is not None
    assert (task.header.task_type, task.header.max_attempts, task.trail) == ("work", 3, wire.NO_TRAIL)
    assert task.claimed_at_ms == START_MS + 500
    view = q.view(task_id)
    assert (view.state, view.attempt, view.worker_id) == (TaskState.RUNNING, 1, "host-1-ab.7")
    assert (view.started_at_ms, view.lease_end_ms) == (START_MS + 500, START_MS + 9500)
    assert q.events()[-1] == {"e": "claimed", "w": "host-1-ab.7", "i": task_id}


def test_a_claim_takes_at_most_its_limit_and_the_next_one_goes_on(q: QueueDriver) -> None:
    sent = q.put_many(5)

    assert [t.id for t in q.take(2)] == sent[:2]
    assert [t.id for t in q.take(2)] == sent[2:4]
    assert [t.id for t in q.take(2)] == sent[4:]
    assert q.take(2) == []


def test_an_empty_queue_says_so(q: QueueDriver) -> None:
    assert q.claim() == Claim()
    q.put_one()
    q.take_one()
    assert q.claim() == Claim()


def test_an_empty_claim_names_the_next_due_time_of_scheduled_and_retrying_tasks(q: QueueDriver) -> None:
    q.put_one(delay_s=20)
    assert q.claim().next_due_ms == START_MS + 20_000
    q.put_one()
    q.fail(q.take_one(), delay_ms=7000)
    assert q.claim().next_due_ms == START_MS + 7000
    q.clock.advance(7000)
    q.take_one()
    assert q.claim().next_due_ms == START_MS + 20_000


def test_a_paused_queue_gives_nothing_until_it_is_resumed(q: QueueDriver) -> None:
    task_id = q.put_one()
    q.run(operator.pause_queue(q.queue, actor="ann"))

    assert q.claim() == Claim(is_paused=True)
    assert q.state(task_id) is TaskState.PENDING
    q.run(operator.resume_queue(q.queue, actor="ann"))
    assert q.take_one().id == task_id


def test_running_tasks_of_a_paused_queue_go_on(q: QueueDriver) -> None:
    q.put_many(2)
    first, second = q.take(2)
    q.run(operator.pause_queue(q.queue, actor="ann"))

    assert q.complete(first) == ["K"]
    assert q.fail(second).word == "retrying"


def test_a_claim_promotes_what_is_due_first(q: QueueDriver) -> None:
    scheduled = q.put_one(delay_s=1)
    retried = q.put_one()
    q.fail(q.take_one(), delay_ms=1000)
    pending = q.put_one()
    q.clock.advance(1000)

    assert [t.id for t in q.take(3)] == [retried, pending, scheduled]


def test_one_claim_promotes_only_so_many_of_a_large_pile(q: QueueDriver) -> None:
    for _ in range(3):
        q.put_many(200, delay_s=1)
    q.clock.advance(1000)

    assert len(q.take(1)) == 1
    assert q.depths() == {"running": 1, "pending": consumer.PROMOTE_MAX - 1, "scheduled": 600 - consumer.PROMOTE_MAX}


def test_the_tasks_of_one_claim_share_a_token_and_no_two_claims_do(q: QueueDriver) -> None:
    q.put_many(40)
    tokens = []
    for _ in range(20):
        claimed = q.take(2)
        assert len({t.token for t in claimed}) == 1
        tokens.append(claimed[0].token)

    assert len(set(tokens)) == 20


def test_a_task_claimed_again_by_the_same_worker_has_another_token(q: QueueDriver) -> None:
    q.put_one()
    first = q.take_one()
    q.run(consumer.release([first]))

    second = q.take_one()
    assert second.id == first.id
    assert second.token != first.token


def test_tokens_stay_unique_after_everything_was_flushed(q: QueueDriver) -> None:
    q.put_one()
    before = q.take_one().token
    q.raw.flushall()
    q.put_one()

    assert q.take_one().token != before


def test_a_token_says_who_claimed_and_when(q: QueueDriver) -> None:
    q.put_one()

    token = wire.parse_token(q.take_one(worker_id="host-9-xy.3").token)

    assert token is not None
    assert (token.worker_id, token.claimed_at_ms) == ("host-9-xy.3", START_MS)


def test_the_lease_set_never_becomes_a_listpack(q: QueueDriver) -> None:
    if q.url.startswith("memory://"):
        pytest.skip("fakeredis has no encodings")
    q.put_many(3)
    q.take_one()
    assert q.raw.object("encoding", q.key("running")) == b"skiplist"
    assert q.raw.object("encoding", q.key("tokens")) == b"hashtable"

    for _ in range(200):
        q.put_one()
        q.complete(*q.take(1))
    assert q.raw.object("encoding", q.key("running")) == b"skiplist"
    assert q.depths()["running"] == 1


def test_the_sentinel_of_the_lease_set_is_no_task(q: QueueDriver) -> None:
    q.put_one()
    q.complete(q.take_one())
    q.clock.advance(10**9)

    assert q.raw.zcard(q.key("running")) == 1
    assert q.depths() == {"completed": 1}
    assert q.reclaim() == []


def test_a_task_whose_body_is_gone_is_skipped_and_counted(damaged_q: QueueDriver) -> None:
    q = damaged_q
    first, gone, third = q.put_many(3)
    q.raw.hdel(q.key("bodies"), gone)

    assert [t.id for t in q.take(3)] == [first, third]
    assert q.counter("ghost") == 1
    assert q.depths() == {"running": 2}


def test_only_ghosts_are_an_empty_claim_that_leaves_nothing_running(damaged_q: QueueDriver) -> None:
    q = damaged_q
    q.put_many(2)
    q.raw.delete(q.key("bodies"))

    assert q.take(5) == []
    assert q.depths() == {}
    assert q.counter("ghost") == 2


def test_ghosts_among_due_tasks_are_dropped_and_counted(damaged_q: QueueDriver) -> None:
    q = damaged_q
    scheduled, kept = q.put_many(2, delay_s=1)
    q.put_one()
    retrying = q.take_one()
    q.fail(retrying, delay_ms=1000)
    q.raw.hdel(q.key("bodies"), scheduled, retrying.id)
    q.clock.advance(1000)

    assert [t.id for t in q.take(5)] == [kept]
    assert q.counter("ghost") == 2


CORRUPT = [
    b"",
    b"garbage",
    b"|||||||",
    b"1|2|work|x|||{}",
    b"1|2|w\xffrk|4|||{}",
    b"1|2|work|4||not json|{}",
    b'1|2|work|4||{"retry":{"max_attempts":0}}|{}',
    b"\x00\xff\n",
]


@pytest.mark.parametrize("body", CORRUPT)
def test_a_corrupt_body_is_claimed_without_a_header_and_fails_for_good(q: QueueDriver, body: bytes) -> None:
    bad, _good = q.put_many(2)
    q.raw.hset(q.key("bodies"), bad, body)

    broken, whole = q.take(2)

    assert (broken.id, broken.header, broken.payload) == (bad, None, body)
    assert q.fail(broken, verdict="fatal", reason="corrupt").word == "failed"
    assert whole.header is not None
    assert q.complete(whole) == ["K"]
    view = q.view(bad)
    assert (view.state, view.type, view.error and view.error["reason"]) == (TaskState.FAILED, "?", "corrupt")


def test_a_corrupt_body_is_never_retried(q: QueueDriver) -> None:
    bad = q.put_one()
    q.raw.hset(q.key("bodies"), bad, b"garbage")

    assert q.fail(q.take_one(), verdict="retry").word == "failed"


@pytest.mark.parametrize("trail", [b"", b"x", b"1|2", b"1|2|3|4|5|6", b"-1|0|0|0|0"])
def test_a_corrupt_trail_counts_as_none(q: QueueDriver, trail: bytes) -> None:
    task_id = q.put_one()
    q.raw.hset(q.key("trail"), task_id, trail)

    task = q.take_one()

    assert task.trail == wire.NO_TRAIL
    assert q.fail(task).attempt == 1


def test_a_claim_that_leaves_work_wakes_the_next_worker(q: QueueDriver) -> None:
    q.put_many(3)
    q.raw.delete(q.key("wake"))

    q.take(2)
    assert q.raw.zcard(q.key("wake")) == 1
    q.raw.delete(q.key("wake"))
    q.take(2)
    assert q.raw.zcard(q.key("wake")) == 0


def test_large_claims_and_acknowledgements_fit(q: QueueDriver) -> None:
    for _ in range(5):
        q.put_many(500)
    claimed = q.take(2500)

    assert len(claimed) == 2500
    assert q.run(consumer.extend([(q.queue, t.id, t.token) for t in claimed])) == consumer.Extended()
    assert set(q.complete(*claimed[:1200])) == {"K"}
    assert set(q.run(consumer.release(claimed[1200:]))) == {"pending"}
    assert q.depths() == {"pending": 1300, "completed": 1200}


def test_options_of_a_newer_tq_do_not_make_a_body_corrupt(q: QueueDriver) -> None:
    (outcome,) = q.put(new_task("work", {"a": 1}))
    body = q.raw.hget(q.key("bodies"), outcome.task_id)
    assert isinstance(body, bytes)
    head, options = b"|".join(body.split(b"|")[:5]), msgspec.json.encode({"colour": "red", "timeout_s": 3})
    q.raw.hset(q.key("bodies"), outcome.task_id, head + b"|" + options + b'|{"a":1}')

    header = q.take_one().header
    assert header is not None
    assert header.options.timeout_s == 3
