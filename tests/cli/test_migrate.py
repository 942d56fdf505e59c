"""`tq broker migrate` and `tq broker acl`."""

from __future__ import annotations

from tests.cli.conftest import Tq
from tests.queue_driver import QueueDriver
from tq_core.keyspace import keys
from tq_core.roles import registry


def test_a_queue_is_counted_migrated_and_left_alone_after(tq: Tq, mail: QueueDriver) -> None:
    mail.put_one()
    mail.fail(mail.take_one(), verdict="fatal")
    for name in ("grouped", "alike", "groups"):
        mail.raw.delete(mail.key(name))
    mail.raw.hset(mail.key("meta"), "schema", 1)

    assert tq.ok("broker", "migrate", "--dry-run").out == "mail  1 -> 2  would change 1 task\n"
    said = {"queue": "mail", "from": 1, "to": 2, "changed": 1, "is_done": True}
    assert tq.ok("broker", "migrate", "mail", "--json").record == said
    ran = tq.ok("broker", "migrate")
    assert (ran.out, ran.err) == ("", "tq: every queue is of this version\n")
    assert mail.findings() == []
    assert tq("broker", "migrate", "nope").code == 3


def test_old_workers_and_newer_queues_are_refused(tq: Tq, mail: QueueDriver) -> None:
    mail.run(registry.register_queue("mail"))
    mail.run(registry.heartbeat(registry.NodeInfo(node_id="old", host="h", pid=1, queues=("mail",))))
    mail.raw.hset(mail.key("meta"), "schema", 1)
    ran = tq("broker", "migrate")
    assert (ran.code, ran.out) == (5, "")
    assert "--force" in ran.err
    assert tq("broker", "migrate", "--force").code == 0

    mail.raw.hset(mail.key("meta"), "schema", keys.SCHEMA_VERSION + 1)
    for words in (("broker", "migrate"), ("submit", "t", "--queue", "mail", "--force")):
        ran = tq(*words)
        assert (ran.code, ran.out) == (5, "")
        assert "upgrade this program" in ran.err


def test_a_line_for_each_role_needs_no_broker(tq: Tq) -> None:
    for role in ("producer", "worker", "viewer", "operator"):
        line = tq.ok("broker", "acl", "--role", role, "--url", "redis://127.0.0.1:1").out
        assert line.startswith(f"ACL SETUSER {role} reset on ~tq:")
    assert "~tq:{mail}:*" in tq.ok("broker", "acl", "--role", "worker", "-q", "mail", "--json").record["line"]
    assert tq("broker", "acl", "--role", "worker", "--user", "a b").code == 2
