"""`tq why`: the same answer for people and for programs."""

from __future__ import annotations

from tests.cli.conftest import Tq
from tests.queue_driver import QueueDriver
from tq_core.roles import operator, registry


def test_the_three_kinds_are_answered_and_an_id_alone_is_a_task(tq: Tq, mail: QueueDriver) -> None:
    task_id = mail.put_one()
    mail.run(registry.heartbeat(registry.NodeInfo(node_id="n-1-ab", host="h", pid=1, queues=("mail",))))
    mail.run(operator.pause_queue("mail", actor="bob", why="\x1b[31mred"))
    ran = tq.ok("why", task_id)
    assert ran.lines[0].startswith("waits: bob paused the queue 'mail'")
    assert "\x1b" not in ran.out
    assert "  $ tq queues resume mail" in ran.out
    record = tq.ok("why", "task", task_id, "--json").record
    assert (record["kind"], record["code"], record["start_in_ms"]) == ("task", "paused", None)
    assert record["cures"][0] == {"text": "let the queue go on", "command": "tq queues resume mail"}
    assert tq.ok("why", "queue", "mail", "--json").record["code"] == "paused"
    assert tq.ok("why", "worker", "ab", "--json").record["code"] == "no_processes"
    assert (tq("why", "no@mail").code, tq("why", "queue", "x").code, tq("why", "worker", "x").code) == (3, 3, 3)
    assert tq("why", "NO").code == 2
