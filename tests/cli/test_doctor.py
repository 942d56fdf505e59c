"""`tq doctor`."""

from __future__ import annotations

from tests.cli.conftest import Tq
from tests.queue_driver import QueueDriver
from tq_core.roles import registry


def test_what_is_wrong_comes_with_its_cure_and_exit_code_1(tq: Tq, mail: QueueDriver) -> None:
    mail.put_one()

    ran = tq("doctor")
    assert ran.code == 1
    assert "problem  queue mail has 1 pending tasks and no live worker" in ran.out
    assert "start one with `tq-worker MODULE --queues mail`" in ran.out

    (record,) = [r for r in tq("doctor", "--json").records if r["code"] == "no_worker"]
    assert (record["severity"], record["subject"]) == ("problem", "mail")


def test_exit_code_0_when_nothing_is_wrong(tq: Tq, mail: QueueDriver) -> None:
    mail.raw.config_set("appendonly", "yes")
    mail.run(registry.register_queue("mail"))

    try:
        ran = tq("doctor")
    finally:
        mail.raw.config_set("appendonly", "no")
    assert (ran.code, ran.out, ran.err) == (0, "", "tq: nothing is wrong\n")


def test_names_from_outside_are_harmless(tq: Tq, mail: QueueDriver) -> None:
    mail.raw.hset("tq:{!fleet}:info:node", "\x1b[31mevil", "{")
    mail.raw.zadd("tq:{!fleet}:seen:node", {"\x1b[31mevil": 1})

    assert "\x1b" not in tq("doctor").out
