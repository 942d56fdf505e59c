"""`tq workers`, against a node that answers as the daemon does."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.cli.conftest import Tq
from tests.queue_driver import QueueDriver, endpoint_of
from tests.waiting import wait_until
from tq_core.keyspace import keys
from tq_core.roles import registry
from tq_core.roles.registry import Ack, NodeCommand, NodeInfo, SlotInfo, WorkerInfo
from tq_core.transport.runner import SyncRunner

NODE: dict[str, Any] = {
    "queues": ("mail", "news"),
    "weights": {"mail": 3},
    "tags": ("gpu", "zone=a"),
    "autoscale": registry.Autoscale(least=1, most=8, at_ms=1, processes=2, why="4 tasks wait\x1b[31m"),
}
Answer = Callable[[NodeCommand], Ack | None]


@pytest.fixture
def answering(mail: QueueDriver) -> Iterator[Callable[[Answer], list[NodeCommand]]]:
    """Puts the node host-1-ab12, with two workers, on the register and has it answer its commands."""
    stop = threading.Event()
    threads: list[threading.Thread] = []

    def serve(answer: Answer) -> list[NodeCommand]:
        seen: list[NodeCommand] = []
        node = NodeInfo(node_id="host-1-ab12", host="host", pid=1, processes=2, slots=4, **NODE)
        mail.run(registry.heartbeat(node))
        running = (SlotInfo(task_id="t@mail"), SlotInfo(task_id="other@mail"))
        for n in (1, 2):
            worker_id = f"host-1-ab12.{n}"
            info = WorkerInfo(
                worker_id=worker_id, node_id=node.node_id, pid=n, slots=4, running=running if n == 1 else ()
            )
            mail.run(registry.heartbeat(info))

        def work() -> None:
            runner = SyncRunner(endpoint_of(mail.url))
            while not stop.is_set():
                command = runner.run(registry.next_command("host-1-ab12", timeout_s=0.1))
                if command is not None:
                    seen.append(command)
                    ack = answer(command)
                    if ack is not None:
                        runner.run(registry.acknowledge(command.id, ack))
            runner.close()

        threads.append(threading.Thread(target=work))
        threads[0].start()
        return seen

    yield serve
    stop.set()
    for thread in threads:
        thread.join()


def agree(command: NodeCommand) -> Ack:
    return Ack(ok=True, text=f"{command.do} done")


def test_the_list_shows_nodes_and_workers(tq: Tq, answering: Callable[[Answer], list[NodeCommand]]) -> None:
    answering(agree)
    text = tq.ok("workers", "list").out
    assert "host-1-ab12.2" in text
    assert "2/4" in text
    assert "mail:3,news" in text
    assert "host-1-ab12 autoscales 1:8; " in text
    assert " ago to 2: 4 tasks wait\\x1b[31m" in text
    record = tq.ok("workers", "list", "--json").record
    assert record["node_id"] == "host-1-ab12"
    assert (record["weights"], record["tags"], record["order"]) == ({"mail": 3, "news": 1}, ["gpu", "zone=a"], "fair")
    assert record["autoscale"]["last"]["processes"] == 2
    assert [w["worker_id"] for w in record["workers"]] == ["host-1-ab12.1", "host-1-ab12.2"]
    assert [slot["task_id"] for slot in record["workers"][0]["running"]] == ["t@mail", "other@mail"]


@pytest.mark.parametrize(
    ("words", "do", "args"),
    [
        (["scale", "host-1-ab12", "5"], "scale", {"processes": 5}),
        (["scale", "ab12", "5", "--slots", "20"], "scale", {"processes": 5, "slots": 20}),
        (["scale", "5", "--tag", "zone=a"], "scale", {"processes": 5}),
        (["autoscale", "ab12", "1:8"], "autoscale", {"least": 1, "most": 8}),
        (["autoscale", "ab12", "off"], "autoscale", {}),
        (["reload", "ab12"], "reload", {}),
        (["reload", "--tag", "gpu", "--drain", "1m"], "reload", {"deadline_s": 60.0}),
        (["log-level", "ab12", "debug"], "log_level", {"level": "debug"}),
        (["pause", "ab12"], "pause", {}),
        (["pause", "--tag", "gpu", "--tag", "zone=a"], "pause", {}),
        (["resume", "--all"], "resume", {}),
        (["stop", "ab12"], "drain", {}),
        (["stop", "ab12", "--drain", "5m"], "drain", {"deadline_s": 300.0}),
        (["stop", "ab12", "--now"], "stop", {}),
        (["kill", "ab12.2"], "kill_worker", {"worker_id": "host-1-ab12.2"}),
        (["stacks", "ab12"], "stacks", {}),
        (["stacks", "12.1"], "stacks", {"worker_id": "host-1-ab12.1"}),
    ],
)
def test_an_order_reaches_the_node_and_its_answer_is_printed(
    tq: Tq,
    answering: Callable[[Answer], list[NodeCommand]],
    words: list[str],
    do: str,
    args: dict[str, object],
) -> None:
    seen = answering(agree)
    assert tq.ok("workers", *words).out == f"host-1-ab12  {do} done\n"
    assert [(command.do, command.args, command.by) for command in seen] == [(do, args, "ana@desk")]


def test_stacks_of_each_worker_are_printed_safely(tq: Tq, answering: Callable[[Answer], list[NodeCommand]]) -> None:
    answering(lambda _: Ack(ok=True, text="1 worker", data={"host-1-ab12.1": "thread main\n  \x1b[31mevil\n"}))
    assert tq.ok("workers", "stacks", "ab12").lines[2:] == ["host-1-ab12.1", "thread main", "  \\x1b[31mevil"]


def test_a_refusal_is_exit_code_5(tq: Tq, answering: Callable[[Answer], list[NodeCommand]]) -> None:
    answering(lambda _: Ack(ok=False, text="the node is leaving"))
    ran = tq("workers", "scale", "ab12", "3")
    assert (ran.code, ran.out) == (5, "")
    assert "the node is leaving" in ran.err


def test_no_answer_in_time_is_exit_code_6(tq: Tq, answering: Callable[[Answer], list[NodeCommand]]) -> None:
    seen = answering(lambda _: None)
    ran = tq("workers", "pause", "ab12", "--timeout", "200ms")
    assert (ran.code, ran.out) == (6, "")
    assert "did not answer pause within 0.2 s" in ran.err
    wait_until(lambda: seen, 5, "the order to have arrived")


def test_an_id_that_could_be_two_is_refused(
    tq: Tq, answering: Callable[[Answer], list[NodeCommand]], mail: QueueDriver
) -> None:
    answering(agree)
    mail.run(registry.heartbeat(NodeInfo(node_id="other-2-ab12", host="host", pid=2)))
    ran = tq("workers", "pause", "ab12")
    assert ran.code == 2
    assert "host-1-ab12 or other-2-ab12" in ran.err


def test_a_node_that_is_not_there_is_exit_code_3(tq: Tq, answering: Callable[[Answer], list[NodeCommand]]) -> None:
    answering(agree)
    ran = tq("workers", "pause", "host-1-ab13")
    assert ran.code == 3
    assert "did you mean host-1-ab12?" in ran.err
    assert tq("workers", "kill", "nobody.1").code == 3


def test_which_nodes_must_be_said(tq: Tq, mail: QueueDriver) -> None:
    mail.put_one()
    assert tq("workers", "pause").code == 2
    assert tq("workers", "pause", "x", "--all").code == 2
    assert tq("workers", "pause", "--all").code == 3
    assert tq("workers", "pause", "x", "--tag", "gpu").code == 2
    assert tq("workers", "stop", "x", "--now", "--drain", "1").code == 2


def test_what_cannot_be_meant_is_refused_before_anything_is_sent(
    tq: Tq, answering: Callable[[Answer], list[NodeCommand]]
) -> None:
    seen = answering(agree)
    for words, said in (
        (["pause", "--tag", "gpu", "--tag", "zone=b"], "no live node has the tag gpu and zone=b"),
        (["pause", "--tag", "a b"], "cannot be a tag"),
        (["autoscale", "ab12", "8:1"], "no MIN:MAX"),
        (["autoscale", "ab12", "on"], "no MIN:MAX"),
        (["log-level", "ab12", "loud"], "loud"),
        (["scale", "ab12", "1e3"], "1e3"),
        (["scale", "ab12", "257"], "257"),
    ):
        ran = tq("workers", *words)
        assert (ran.code, ran.out) in ((2, ""), (3, "")), ran
        assert said in ran.err
    assert seen == []


def test_killing_a_task_tells_first_how_many_others_may_rerun(
    tq: Tq, answering: Callable[[Answer], list[NodeCommand]], mail: QueueDriver
) -> None:
    answering(agree)
    mail.put_one(name="t")
    mail.take_one(worker_id="host-1-ab12.1")
    ran = tq.ok("tasks", "kill", "t@mail")
    assert "1 other task on host-1-ab12.1 will run again" in ran.err
    assert ran.out == "t@mail  asked to stop; it runs on host-1-ab12.1\n"


def test_a_node_answers_to_its_name(tq: Tq, answering: Callable[[Answer], list[NodeCommand]]) -> None:
    seen = answering(agree)

    tq.ok("workers", "pause", "host")
    tq.ok("workers", "stacks", "host")

    assert [command.do for command in seen] == ["pause", "stacks"]
    ran = tq("workers", "kill", "host")
    assert (ran.code, ran.out) == (2, "")
    assert "'host' could be host-1-ab12.1 or host-1-ab12.2" in ran.err
    assert tq("workers", "pause", "hos").code == 3


def test_a_name_that_two_nodes_have_is_refused(
    tq: Tq, mail: QueueDriver, answering: Callable[[Answer], list[NodeCommand]]
) -> None:
    answering(agree)
    mail.run(registry.heartbeat(NodeInfo(node_id="host-2-cd34", host="host", pid=2)))

    ran = tq("workers", "pause", "host")

    assert (ran.code, ran.out) == (2, "")
    assert "host-1-ab12 or host-2-cd34" in ran.err


def test_of_nodes_of_one_name_the_lost_one_is_not_meant_and_none_whose_name_only_begins_so(
    tq: Tq, mail: QueueDriver, answering: Callable[[Answer], list[NodeCommand]]
) -> None:
    seen = answering(agree)
    mail.run(registry.heartbeat(NodeInfo(node_id="host-7-ef56", host="host", pid=7)))
    mail.run(registry.heartbeat(NodeInfo(node_id="host-b-8-ab78", host="host", pid=8)))
    mail.raw.zadd(keys.FLEET + "seen:node", {"host-7-ef56": 1.0})

    tq.ok("workers", "pause", "host")

    assert len(seen) == 1
    ran = tq("workers", "pause", "host-7-ef56")
    assert (ran.code, "no live node has the id 'host-7-ef56'" in ran.err) == (3, True), ran
    assert tq("workers", "pause", "hos").code == 3


def test_a_node_that_is_silent_or_gone_keeps_nobody_from_being_told(
    tq: Tq, mail: QueueDriver, answering: Callable[[Answer], list[NodeCommand]], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = answering(agree)
    for name in ("a-1-aa11", "b-2-bb22", "z-3-zz33"):
        mail.run(registry.heartbeat(NodeInfo(node_id=name, host="host", pid=2)))
    send = registry.send_command

    def gone(node_id: str, *words: Any, **options: Any) -> Any:
        if node_id == "b-2-bb22":
            mail.run(registry.depart("node", [node_id]))
        return send(node_id, *words, **options)

    monkeypatch.setattr(registry, "send_command", gone)
    began = time.monotonic()

    ran = tq("workers", "pause", "--all", "--timeout", "600ms", "--json")

    assert ran.code == 6
    assert time.monotonic() - began < 1.2  # not for each of the two that are silent
    assert [command.do for command in seen] == ["pause"]
    answers = {record["node_id"]: record["answer"] for record in ran.records}
    assert answers["host-1-ab12"]["is_ok"]
    assert "no live node" in answers["b-2-bb22"]["text"]
    assert (answers["a-1-aa11"], answers["z-3-zz33"]) == (None, None)
    assert list(answers)[:2] == ["b-2-bb22", "host-1-ab12"]


def test_of_a_lost_and_a_live_node_of_one_name_the_live_one_is_meant(
    tq: Tq, mail: QueueDriver, answering: Callable[[Answer], list[NodeCommand]]
) -> None:
    mail.run(registry.heartbeat(NodeInfo(node_id="host-0-dead", host="host", pid=2, trouble="x of the dead")))
    long_ago = int(mail.raw.zscore(keys.FLEET + "seen:node", "host-0-dead")) - registry.LOST_AFTER_MS - 1
    mail.raw.zadd(keys.FLEET + "seen:node", {"host-0-dead": long_ago})
    answering(agree)

    assert tq.ok("workers", "pause", "host").out.startswith("host-1-ab12  ")
    assert tq("workers", "pause", "host-0-dead", "--timeout", "0.1").code != 0
    assert "x of the dead" not in tq.ok("workers", "list").out


def test_a_node_whose_workers_die_again_and_again_is_told(tq: Tq, mail: QueueDriver) -> None:
    mail.run(registry.heartbeat(NodeInfo(node_id="n-1-ab12", host="h", pid=2, queues=("mail",), trouble="it died\x1b")))

    assert "n-1-ab12: it died\\x1b" in tq.ok("workers", "list").out
    assert "! node n-1-ab12 cannot keep its workers: it died\\x1b" in tq.ok("stats").out
