"""`tq submit`: expiry, how a unique key is held, debounce, and waiting for room in a full queue."""

from __future__ import annotations

from collections.abc import Callable

from tests.cli.conftest import Tq
from tests.queue_driver import QueueDriver
from tq_core.model import TaskState
from tq_core.roles import operator, registry


def test_expiry_is_shown_and_carried_over_by_from(tq: Tq, published: QueueDriver) -> None:
    task_id = tq.ok("submit", "send_mail", "to=a", "--expires", "10m").out.strip()

    shown = tq.ok("tasks", "show", task_id)
    again = published.view(tq.ok("submit", "--from", task_id).out.strip())

    assert "expires in 9 m 59 s" in shown.out or "expires in 10 m" in shown.out
    assert again.options.expires_in_s == 600


def test_a_key_can_be_held_until_the_start_or_for_a_time(tq: Tq, mail: QueueDriver) -> None:
    words = ("submit", "x", "--queue", "mail", "--unique")
    started = tq.ok(*words, "a", "--unique-until", "started").out.strip()
    lasting = tq.ok(*words, "b", "--unique-for", "1h").out.strip()
    mail.complete(*mail.take(2))

    assert tq.ok(*words, "a").out.strip() != started
    refused = tq(*words, "b")
    assert (refused.code, lasting in refused.err) == (5, True)
    assert "b (for 1 h)" in tq.ok("tasks", "show", lasting).out


def test_debounce_replaces_what_waits_and_says_so(tq: Tq, mail: QueueDriver) -> None:
    words = ("--queue", "mail", "--unique", "k", "--debounce", "1h", "--debounce-max", "2h")
    first = tq.ok("submit", "x", "n=1", *words).out.strip()

    again = tq.ok("submit", "x", "n=2", *words)

    assert again.out.strip() == first
    assert f"{first} was waiting: it does now what this one asks for" in again.err
    assert (mail.view(first).args, mail.state(first)) == ({"n": 2}, TaskState.SCHEDULED)
    assert tq("submit", "x", "--debounce", "1h").code == 2


def test_a_full_queue_is_waited_for_and_then_refuses(tq: Tq, mail: QueueDriver) -> None:
    mail.put_one()
    mail.run(operator.configure_queue("mail", {"max_size": 1}, actor="ann"))

    ran = tq("submit", "x", "--queue", "mail", "--wait-for-room", "20ms")

    assert (ran.code, ran.out) == (5, "")
    assert "'mail' holds 1 of at most 1 waiting tasks: waiting up to 0.02 s for room" in ran.err
    assert "waited 0." in ran.err


def test_a_batch_goes_on_as_room_comes_and_prints_what_is_in(
    tq: Tq, mail: QueueDriver, write: Callable[..., str]
) -> None:
    mail.put_one()
    mail.run(operator.configure_queue("mail", {"max_size": 3}, actor="ann"))
    line = {"type": "x", "queue": "mail", "expires": "5m"}
    lines = write(line, {**line, "unique": "k", "debounce": 60}, {**line, "unique": "k", "debounce": 60}, line)

    ran = tq("submit", "--batch", lines, "--wait-for-room", "20ms")

    first, second, third = ran.out.split()
    assert (ran.code, second, mail.view(first).options.expires_in_s) == (5, third, 300)
    assert "2 enqueued" in ran.err
    mail.run(operator.configure_queue("mail", {"max_size": None}, actor="ann"))
    assert "2 took the place of one that waited" in tq.ok("submit", "--batch", lines).err


def test_a_type_says_the_limit_key_of_what_is_submitted_by_hand(tq: Tq, mail: QueueDriver) -> None:
    mail.run(registry.publish_types([registry.PublishedType(name="work", queue="mail", limit_key="{tenant}")]))
    for words, key in ((["tenant=acme"], "acme"), (["tenant=acme", "--limit-key", "own"], "own")):
        limits = ("--timeout", "9s", "--soft-timeout", "5s", "--memory-limit", "90")
        task_id = tq.ok("submit", "work", *words, *limits).out.strip()
        task = mail.view(task_id)
        assert (task.options.limit_key, task.options.soft_timeout_s, task.options.memory_limit_mb) == (key, 5, 90)
    assert tq("submit", "work", "other=1").code == 2
    assert tq("submit", "work", "tenant=a", "--timeout", "5s", "--soft-timeout", "5s").code == 2
    assert tq("submit", "work", "tenant=a", "--memory-limit", "0").code == 2
