"""The register of queues, task types, nodes and workers, and the commands that nodes get."""

from __future__ import annotations

import threading

import msgspec
import pytest

from tests.queue_driver import START_MS, QueueDriver
from tq_core.errors import BrokerError, InvalidInputError, NotFoundError, SchemaTooNewError
from tq_core.keyspace import keys
from tq_core.roles import operator, registry
from tq_core.roles.registry import Ack, Fleet, NodeInfo, PublishedType, SlotInfo, WorkerInfo

# --- queues ---


def test_each_queue_gets_the_next_number_once(q: QueueDriver) -> None:
    assert [q.run(registry.register_queue(n)) for n in ("a", "b", "a", "c", "b")] == [1, 2, 1, 3, 2]
    assert q.run(registry.queue_numbers()) == {"a": 1, "b": 2, "c": 3}
    assert q.raw.hget("tq:{b}:meta", "created_at_ms") == str(START_MS).encode()


def test_a_name_that_cannot_be_a_queue_is_refused(q: QueueDriver) -> None:
    for name in ("", "#next", "a|b", "a b", "{a}", "-a", "a" * 65, "a\n"):
        with pytest.raises(InvalidInputError):
            q.run(registry.register_queue(name))
    assert q.raw.keys("*") == []


def test_a_lost_register_is_restored_from_the_numbers_that_queues_remember(q: QueueDriver) -> None:
    assert [q.run(registry.register_queue(n)) for n in ("a", "b", "c")] == [1, 2, 3]
    q.raw.delete(keys.QUEUES)

    assert [q.run(registry.register_queue(n)) for n in ("c", "b", "a")] == [3, 2, 1]
    new = q.run(registry.register_queue("new"))
    assert new > 3
    assert q.run(registry.queue_numbers()) == {"a": 1, "b": 2, "c": 3, "new": new}


def test_a_number_that_two_queues_claim_is_refused_with_a_hint(q: QueueDriver) -> None:
    assert [q.run(registry.register_queue(n)) for n in ("a", "b")] == [1, 2]
    q.raw.delete(keys.QUEUES)
    assert q.run(registry.register_queue("new")) == 1

    with pytest.raises(BrokerError, match="cannot be given the number 1: run `tq doctor`"):
        q.run(registry.register_queue("a"))
    assert q.run(registry.queue_numbers())["new"] == 1
    assert q.run(registry.register_queue("b")) == 2


def test_numbers_run_out_with_an_error_not_a_wrong_number(q: QueueDriver) -> None:
    q.raw.hset(keys.QUEUES, "#next", 65_534)
    assert q.run(registry.register_queue("last")) == 65_535

    with pytest.raises(BrokerError, match="none left"):
        q.run(registry.register_queue("more"))
    assert q.run(registry.register_queue("last")) == 65_535


def test_a_queue_of_a_newer_tq_is_refused(q: QueueDriver) -> None:
    q.run(registry.register_queue("a"))
    q.raw.hset("tq:{a}:meta", "schema", keys.SCHEMA_VERSION + 1)

    with pytest.raises(SchemaTooNewError, match="upgrade this program"):
        q.run(registry.register_queue("a"))


# --- task types ---


def test_published_types_are_read_back_sorted_and_forgotten_after_a_week(live_q: QueueDriver) -> None:
    q = live_q
    mail = PublishedType(name="send", queue="mail", schema={"type": "object"}, doc="Sends | it.", timeout_s=3.5)
    q.run(registry.publish_types([mail, PublishedType(name="add", queue="math")]))

    types = q.run(registry.published_types())

    assert list(types) == ["add", "send"]
    assert msgspec.structs.replace(types["send"], seen_at_ms=0) == mail
    now = q.run(registry.server_time_ms())
    assert 0 <= now - types["send"].seen_at_ms < 60_000
    for age_ms, is_known in ((registry.TYPE_KEPT_MS - 60_000, True), (registry.TYPE_KEPT_MS + 60_000, False)):
        old = msgspec.json.encode(msgspec.structs.replace(mail, seen_at_ms=now - age_ms))
        q.raw.hset(keys.TYPES, "send", old)
        assert ("send" in q.run(registry.published_types())) is is_known


def test_a_damaged_type_is_left_out_and_publishing_nothing_writes_nothing(live_q: QueueDriver) -> None:
    q = live_q
    q.run(registry.publish_types([]))
    assert q.raw.exists(keys.TYPES) == 0
    q.run(registry.publish_types([PublishedType(name="good", queue="a")]))
    q.raw.hset(keys.TYPES, mapping={"bad": b"\xff{", "list": b"[]"})

    assert list(q.run(registry.published_types())) == ["good"]


# --- nodes and workers ---


def test_nodes_and_workers_tell_what_they_do(q: QueueDriver) -> None:
    node = NodeInfo(node_id="n", host="h", pid=1, processes=2, worker_ids=("n.1", "n.2"), queues=("mail",))
    worker = WorkerInfo(worker_id="n.1", node_id="n", pid=2, running=(SlotInfo(task_id="t", progress=0.5),))

    assert q.run(registry.heartbeat(node)) == START_MS
    q.run(registry.heartbeat(worker))
    q.clock.advance(registry.LATE_AFTER_MS + 1)
    q.run(registry.heartbeat(worker))

    fleet = q.run(registry.fleet())
    assert (fleet.now_ms, len(fleet.nodes), len(fleet.workers)) == (q.clock.now_ms, 1, 1)
    assert (fleet.nodes[0].info, fleet.nodes[0].health) == (node, "late")
    assert (fleet.workers[0].info, fleet.workers[0].health, fleet.workers[0].silent_ms) == (worker, "live", 0)
    q.clock.advance(registry.LOST_AFTER_MS)
    assert [m.health for m in q.run(registry.fleet()).nodes + q.run(registry.fleet()).workers] == ["lost", "late"]


def test_a_member_joins_once_and_leaves_once(q: QueueDriver) -> None:
    for _ in range(3):
        q.run(registry.heartbeat(NodeInfo(node_id="n", host="h", pid=1)))
    q.run(registry.depart("node", ["n", "never"], "stopped"))
    q.run(registry.depart("node", ["n"]))

    entries = [{k.decode(): v.decode() for k, v in f.items()} for _, f in q.raw.xrange(keys.FLEET_EVENTS)]
    assert [e for e in entries if e["i"] == "n"] == [
        {"e": "joined", "k": "node", "i": "n"},
        {"e": "left", "k": "node", "i": "n", "r": "stopped"},
    ]
    assert q.run(registry.fleet()).nodes == ()
    assert q.raw.hlen(keys.FLEET + "info:node") == 0


def test_members_that_are_silent_for_long_are_forgotten(q: QueueDriver) -> None:
    q.run(registry.heartbeat(NodeInfo(node_id="old", host="h", pid=1)))
    q.run(registry.heartbeat(WorkerInfo(worker_id="old.1", node_id="old", pid=1)))
    q.clock.advance(registry.FORGET_AFTER_MS)
    q.run(registry.heartbeat(NodeInfo(node_id="new", host="h", pid=1)))
    assert q.run(registry.forget_lost()) == 0
    q.clock.advance(1)

    assert q.run(registry.forget_lost()) == 2
    assert [m.id for m in q.run(registry.fleet()).nodes] == ["new"]
    assert q.run(registry.fleet()).workers == ()


def test_a_heartbeat_that_cannot_be_read_still_counts_as_one(q: QueueDriver) -> None:
    q.run(registry.heartbeat(NodeInfo(node_id="n", host="h", pid=1)))
    q.raw.hset(keys.FLEET + "info:node", "n", b"\xff")

    (member,) = q.run(registry.fleet()).nodes
    assert (member.info, member.health) == (None, "live")


def test_of_a_known_fleet_only_what_was_said_since_is_read(q: QueueDriver) -> None:
    def beat(number: int, *, completed: int = 0) -> None:
        q.run(registry.heartbeat(WorkerInfo(worker_id=f"n.{number}", node_id="n", pid=number, completed=completed)))

    q.run(registry.heartbeat(NodeInfo(node_id="n", host="h", pid=1)))
    beat(1)
    beat(2)
    q.clock.advance(10)
    known = q.run(registry.fleet())
    q.raw.hset(keys.FLEET + "info:worker", "n.1", b"not read again")
    beat(2, completed=5)
    q.clock.advance(1000)
    beat(3)
    q.run(registry.depart("node", ["n"]))

    found = q.run(registry.fleet(known))
    assert found.nodes == ()
    assert {m.id: m.info.completed for m in found.workers if isinstance(m.info, WorkerInfo)} == {
        "n.1": 0,
        "n.2": 5,
        "n.3": 0,
    }
    assert [m.silent_ms for m in found.workers] == [1010, 1000, 0]
    # Who is neither known nor new was missed: then all are read.
    assert q.run(registry.fleet(Fleet(now_ms=found.now_ms, nodes=(), workers=()))).workers[0].info is None


def test_a_fleet_of_more_than_a_thousand_is_told(q: QueueDriver) -> None:
    for n in range(1100):
        q.raw.zadd(keys.FLEET + "seen:worker", {f"n.{n}": START_MS})
        q.raw.hset(
            keys.FLEET + "info:worker",
            f"n.{n}",
            msgspec.json.encode(WorkerInfo(worker_id=f"n.{n}", node_id="n", pid=n)),
        )

    assert len(q.run(registry.fleet()).workers) == 1100


# --- control ---


def beat(q: QueueDriver) -> None:
    q.run(registry.heartbeat(NodeInfo(node_id="n", host="h", pid=1)))


def test_a_command_reaches_its_node_and_its_answer_comes_back(live_q: QueueDriver) -> None:
    q = live_q
    beat(q)
    command_id = q.run(registry.send_command("n", "scale", actor="ann", args={"processes": 3}))

    command = q.command_for("n")

    assert command == registry.NodeCommand(id=command_id, do="scale", by="ann", args={"processes": 3})
    q.run(registry.acknowledge(command_id, Ack(ok=True, text="three", data={"a": 1})))
    assert q.run(registry.await_ack(command_id, timeout_s=5)) == Ack(ok=True, text="three", data={"a": 1})
    (entry,) = q.run(operator.audit_log([]))
    assert (entry.by, entry.action, entry.target, entry.count, entry.op) == ("ann", "scale", "n", 1, command_id)
    assert entry.detail == {"by": "ann", "processes": 3}


def test_commands_are_read_in_the_order_they_were_sent(live_q: QueueDriver) -> None:
    q = live_q
    beat(q)
    sent = [q.run(registry.send_command("n", do, actor="ann")) for do in ("pause", "resume", "drain")]

    assert [c.id for _ in sent if (c := q.command_for("n"))] == sent
    assert q.command_for("n") is None


def test_an_answer_that_comes_later_is_waited_for(live_q: QueueDriver) -> None:
    q = live_q
    beat(q)
    command_id = q.run(registry.send_command("n", "pause", actor="ann"))
    timer = threading.Timer(0.05, lambda: q.run(registry.acknowledge(command_id, Ack(ok=False, text="no"))))
    timer.start()

    assert q.run(registry.await_ack(command_id, timeout_s=10)) == Ack(ok=False, text="no")
    timer.join()


@pytest.mark.parametrize("timeout_s", [0, 0.02])
def test_no_command_and_no_answer_in_time_are_none(live_q: QueueDriver, timeout_s: float) -> None:
    assert live_q.run(registry.next_command("n", timeout_s=timeout_s)) is None
    assert live_q.run(registry.await_ack("0000", timeout_s=timeout_s)) is None


def test_a_command_to_a_node_that_is_not_there_or_lost_is_refused(q: QueueDriver) -> None:
    with pytest.raises(NotFoundError, match="no live node has the id 'n'"):
        q.run(registry.send_command("n", "pause", actor="ann"))
    beat(q)
    q.clock.advance(registry.LOST_AFTER_MS + 1)
    with pytest.raises(NotFoundError):
        q.run(registry.send_command("n", "pause", actor="ann"))
    assert q.raw.exists(keys.inbox("n"), keys.FLEET_AUDIT) == 0


def test_a_command_that_is_too_old_is_not_obeyed(q: QueueDriver) -> None:
    """The test's clock is long ago, so what it sends is out of date for the node, which asks the server."""
    beat(q)
    q.run(registry.send_command("n", "kill_worker", actor="ann"))

    assert q.raw.llen(keys.inbox("n")) == 1
    assert q.command_for("n") is None
    assert q.raw.llen(keys.inbox("n")) == 0


@pytest.mark.parametrize(
    "text",
    [
        *(
            b"",
            b"x",
            b"|{}",
            b"99999999999999|",
            b'99999999999999|{"do":"stop"}',
            b'99999999999999|{"id":7,"do":"stop"}',
        ),
        *(b'99999999999999|{"id":"a b","do":"stop"}', b'99999999999999|{"id":"","do":"stop"}', b"99999999999999|[1]"),
    ],
)
def test_what_is_no_command_is_not_obeyed(live_q: QueueDriver, text: bytes) -> None:
    live_q.raw.rpush(keys.inbox("n"), text)

    assert live_q.command_for("n") is None


@pytest.mark.parametrize(
    ("text", "do"),
    [(b'{"id":"1","do":"format_disk"}', "format_disk"), (b'{"id":"1","do":3}', ""), (b'{"id":"1","args":[]}', "")],
)
def test_a_command_that_nobody_can_obey_can_still_be_answered(live_q: QueueDriver, text: bytes, do: str) -> None:
    live_q.raw.rpush(keys.inbox("n"), b"99999999999999|" + text)

    command = live_q.command_for("n")

    assert command is not None
    assert (command.id, command.do) == ("1", do)


def test_live_nodes_are_counted_by_queue(live_q: QueueDriver) -> None:
    q = live_q
    assert q.run(registry.nodes_by_queue()) == {}
    for node_id, queues in (("lost", ("a",)), ("odd", ("a",)), ("n", ("a", "b")), ("m", ("b",))):
        q.run(registry.heartbeat(NodeInfo(node_id=node_id, host="h", pid=1, queues=queues)))
    q.raw.zadd(keys.FLEET + "seen:node", {"lost": 1})
    q.raw.hset(keys.FLEET + "info:node", "odd", b"no json")

    assert q.run(registry.nodes_by_queue()) == {"a": 1, "b": 2}


def test_commands_to_a_node_that_left_go_with_it(live_q: QueueDriver) -> None:
    q = live_q
    beat(q)
    q.run(registry.send_command("n", "pause", actor="ann"))
    q.run(registry.depart("node", ["n"]))
    beat(q)

    assert q.command_for("n") is None


def test_inboxes_and_answers_expire(live_q: QueueDriver) -> None:
    q = live_q
    beat(q)
    command_id = q.run(registry.send_command("n", "pause", actor="ann"))
    q.run(registry.acknowledge(command_id, Ack(ok=True)))

    assert 0 < q.raw.pttl(keys.inbox("n")) <= 2 * registry.COMMAND_VALID_MS
    assert 0 < q.raw.pttl(keys.ack(command_id)) <= 60_000
