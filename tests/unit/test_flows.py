"""Flows by hand: fed with replies, without any server."""

from __future__ import annotations

from typing import Any

import pytest

from tq_core.errors import BrokerError
from tq_core.keyspace import wire
from tq_core.model import TaskOptions
from tq_core.roles import consumer, events, maintenance, producer, registry
from tq_core.roles.consumer import Claim, ClaimedTask, Outcome
from tq_core.transport.steps import Batch, Block, Command, Flow, Script

TASK = ClaimedTask("mail", "x@mail", b"1-a~5~n.1|", None, b"{}", wire.NO_TRAIL, 5)


def drive(flow: Flow[Any], *replies: Any) -> Any:
    """Feeds a flow with replies until it returns."""
    next(flow)
    for reply in replies[:-1]:
        flow.send(reply)
    with pytest.raises(StopIteration) as stop:
        flow.send(replies[-1])
    return stop.value.value


def test_a_claim_is_the_only_worker_step_that_is_never_repeated() -> None:
    claim = consumer.claim_step("mail", worker_id="n.1", nonce="a", limit=1)
    fail = consumer.fail_step(TASK, verdict="retry", reason="error", delay_ms=1, duration_ms=1, detail={})
    complete = consumer.complete_step("mail", [consumer.Ack(TASK, b"1", 1)])

    assert not claim.is_idempotent
    assert fail.is_idempotent
    assert complete.is_idempotent


@pytest.mark.parametrize(
    ("reply", "claim"),
    [
        ([b"PAUSED"], Claim(is_paused=True)),
        ([b"EMPTY", b""], Claim()),
        ([b"EMPTY", b"1700000000000"], Claim(next_due_ms=1_700_000_000_000)),
        ([b"EMPTY", b"1.7e+12"], Claim(next_due_ms=1_700_000_000_000)),
        ([b"OK", b"1-a~5~n.1|", b"9", [], [], b"", b""], Claim()),
        ([b"OK", b"1-a~5~n.1|", b"9", [], [], b"", b"17"], Claim(next_due_ms=17)),
    ],
)
def test_the_answers_to_a_claim(reply: list[Any], claim: Claim) -> None:
    assert consumer.decode_claim("mail", reply) == claim


def test_ghosts_are_left_out_of_a_claim_and_trails_stay_with_their_task() -> None:
    body = b"5|6|work|4|||{}"
    reply = [b"OK", b"1-a~77~n.1|", b"9", [b"g@mail", b"x@mail"], [None, body], [None, b"2|0|0|0|0"], b""]

    (task,) = consumer.decode_claim("mail", reply).tasks
    assert (task.id, task.attempt, task.claimed_at_ms) == ("x@mail", 3, 77)


@pytest.mark.parametrize(
    ("reply", "outcome"),
    [
        ([b"STALE"], Outcome("stale")),
        ([b"GONE"], Outcome("gone")),
        ([b"OK", b"retrying", 2, b"1700"], Outcome("retrying", 2, 1700)),
        ([b"OK", b"failed", 3, b""], Outcome("failed", 3)),
        ([b"OK", b"pending"], Outcome("pending")),
    ],
)
def test_the_answers_to_a_failure(reply: list[Any], outcome: Outcome) -> None:
    assert consumer.decode_outcome(reply) == outcome


@pytest.mark.parametrize(
    ("duration_ms", "bucket"), [(-5, "A"), (0, "A"), (1, "B"), (2, "C"), (3, "C"), (4, "D"), (1023, "K"), (2**40, "X")]
)
def test_durations_fall_into_buckets_of_powers_of_two(duration_ms: int, bucket: str) -> None:
    step = consumer.complete_step("mail", [consumer.Ack(TASK, b"1", duration_ms, 0)])

    assert step.args[0] == bucket + "A"


def test_no_bucket_is_beyond_the_last() -> None:
    last = chr(64 + consumer.LATENCY_BUCKETS)
    assert consumer.complete_step("mail", [consumer.Ack(TASK, b"1", 10**18, 10**18)]).args[0] == last * 2


def test_leases_of_all_queues_are_renewed_in_one_round_trip() -> None:
    flow = consumer.extend([("a", "1@a", b"t"), ("b", "2@b", b"t"), ("a", "3@a", b"t")], lease_ms=7)
    step = next(flow)

    assert step == Batch(
        [Script("extend", "tq:{a}:", [7, "1@a", b"t", "3@a", b"t"]), Script("extend", "tq:{b}:", [7, "2@b", b"t"])]
    )


def test_a_queue_whose_number_keeps_changing_is_given_up() -> None:
    flow = producer.enqueue("mail", [producer.new_task("work", {})], number=1)
    next(flow)
    registered = ([b"OK", b"2"], [b"OK"])
    for _ in range(2):
        for reply in ([b"NUMBER", b"9"], *registered):
            flow.send(reply)
    flow.send([b"NUMBER", b"9"])
    flow.send(registered[0])
    with pytest.raises(BrokerError, match="keeps changing"):
        flow.send(registered[1])


def test_plain_tasks_are_sent_with_nothing_but_their_priority() -> None:
    flow = producer.enqueue("mail", [producer.new_task("work", {"a": 1}, name="n", priority=7)], number=3)

    assert next(flow) == Script("enqueue", "tq:{mail}:", [3, "n@mail", 7, b'work|4|||{"a":1}'])
    assert producer.new_task("work", {}).options == TaskOptions()


def test_an_id_made_here_that_is_there_already_was_sent_before() -> None:
    tasks = [producer.new_task("work", {}), producer.new_task("work", {}, name="n")]
    outcomes = drive(producer.enqueue("mail", tasks, number=3), [b"MIXED", b"D", b"D"])

    assert [o.is_new for o in outcomes] == [True, False]


def test_upkeep_of_no_queue_sends_nothing_and_of_many_three_round_trips() -> None:
    with pytest.raises(StopIteration):
        next(maintenance.upkeep([]))
    flow = maintenance.upkeep(["a", "b"])
    sent = [next(flow), flow.send([[b"OK", 1]] * 2), flow.send([[b"OK", [b"1@a"]]] * 2)]
    with pytest.raises(StopIteration) as stop:
        flow.send([[b"OK", 1, 0, 0]] * 2)

    assert [[s.name for s in step.steps] for step in sent if isinstance(step, Batch)] == [  # type: ignore[union-attr]
        ["promote"] * 2,
        ["reclaim"] * 2,
        ["trim"] * 2,
    ]
    assert stop.value.value == maintenance.Upkeep(2, (("a", "1@a"), ("b", "1@a")), 2)


def test_a_command_is_read_with_the_servers_clock() -> None:
    flow = registry.next_command("n", timeout_s=3)
    assert next(flow) == Block(("BLPOP", "tq:{!fleet}:inbox:n", 3), 3)
    assert flow.send([b"k", b'1700|{"id":"1","do":"pause"}']) == Command(("TIME",))
    with pytest.raises(StopIteration) as stop:
        flow.send([b"1", b"700000"])
    assert stop.value.value == registry.NodeCommand(id="1", do="pause")


def test_cursors_of_queues_that_are_gone_are_dropped() -> None:
    flow = events.follow({"tq:{old}:events": "5-0"}, queues=["new"])
    step = next(flow)
    assert isinstance(step, Block)
    assert step.args[-2:] == ("tq:{new}:events", "0-0")
