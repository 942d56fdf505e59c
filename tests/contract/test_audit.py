"""The audit itself: every kind of damage is made by hand and must be found, and named as what it is."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.queue_driver import QueueDriver
from tq_core.errors import InvalidInputError
from tq_core.model import TaskOptions
from tq_core.roles import audit, consumer, limits, operator, schedules

ID = "01h2qnkm00000000000000000a"


def a_busy_queue(q: QueueDriver) -> dict[str, str]:
    """Fills the queue with a task in each state and returns their ids by state; the audit finds nothing."""
    names = ["completed", "failed", "cancelled", "retrying", "running", "pending"]
    sent = dict(zip(names, (q.put_one(unique_key=f"key-{n}") for n in names), strict=True))
    for name, task in zip(names, q.take(5), strict=False):
        if name == "completed":
            q.complete(task)
        elif name != "running":
            q.fail(task, verdict={"failed": "fatal", "cancelled": "cancel", "retrying": "retry"}[name])
    sent["scheduled"] = q.put_one(delay_s=9)
    q.run(operator.cancel([sent["running"]], actor="ann"))
    q.run(schedules.add(schedules.new_schedule("hourly", "work", queue="mail", every_s=3600), actor="ann"))
    for name, parent in (("blocked", "running"), ("behind", "blocked")):
        of_task = TaskOptions(depends_on=(sent[parent],))
        sent[name] = q.put_one(options=of_task)
    assert q.findings() == []
    return sent


def in_two_states(q: QueueDriver, ids: dict[str, str]) -> str:
    q.raw.zadd(q.key("scheduled"), {ids["pending"]: 1})
    return f"{ids['pending']} scheduled pending"


def in_no_state(q: QueueDriver, ids: dict[str, str]) -> str:
    q.raw.zrem(q.key("pending"), ids["pending"])
    return ids["pending"]


def without_a_body(q: QueueDriver, ids: dict[str, str]) -> str:
    q.raw.hdel(q.key("bodies"), ids["scheduled"])
    return f"{ids['scheduled']} scheduled"


def without_a_token(q: QueueDriver, ids: dict[str, str]) -> str:
    q.raw.hdel(q.key("tokens"), ids["running"])
    return ids["running"]


def with_a_token_too_many(q: QueueDriver, ids: dict[str, str]) -> str:
    q.raw.hset(q.key("tokens"), ids["pending"], "1-a~5~w|")
    return ids["pending"]


def without_a_record(q: QueueDriver, ids: dict[str, str]) -> str:
    q.raw.hdel(q.key("records"), ids["failed"])
    return f"{ids['failed']} failed"


def with_a_record_too_early(q: QueueDriver, ids: dict[str, str]) -> str:
    q.raw.hset(q.key("records"), ids["retrying"], "1-a~5~w|ok|1|1|1")
    return f"{ids['retrying']} retrying"


def with_a_record_of_another_ending(q: QueueDriver, ids: dict[str, str]) -> str:
    q.raw.hset(q.key("records"), ids["failed"], "1-a~5~w|ok|1|1|1")
    return f"{ids['failed']} failed"


def with_an_orphan_in(name: str) -> Callable[[QueueDriver, dict[str, str]], str]:
    def damage(q: QueueDriver, _ids: dict[str, str]) -> str:
        q.raw.hset(q.key(name), ID, "x")
        return ID

    return damage


def with_a_cancel_of_an_idle_task(q: QueueDriver, ids: dict[str, str]) -> str:
    q.raw.hset(q.key("cancels"), ids["pending"], "{}")
    return ids["pending"]


def with_a_waiter_of_an_ended_task(q: QueueDriver, ids: dict[str, str]) -> str:
    q.raw.hset(q.key("waiters"), ids["completed"], "somebody")
    return ids["completed"]


def with_a_unique_key_of_an_ended_task(q: QueueDriver, ids: dict[str, str]) -> str:
    q.raw.hset(q.key("unique"), "key-completed", ids["completed"])
    return f"key-completed {ids['completed']}"


def with_a_unique_key_of_nobody(q: QueueDriver, _ids: dict[str, str]) -> str:
    q.raw.hset(q.key("unique"), "nobody", ID)
    return f"nobody {ID}"


def with_a_unique_key_of_a_task_that_has_another(q: QueueDriver, ids: dict[str, str]) -> str:
    q.raw.hset(q.key("unique"), "other", ids["pending"])
    return f"other {ids['pending']}"


def with_a_unique_key_that_is_not_held(q: QueueDriver, ids: dict[str, str]) -> str:
    q.raw.hdel(q.key("unique"), "key-retrying")
    return f"{ids['retrying']} key-retrying"


def failed_in_no_group(q: QueueDriver, ids: dict[str, str]) -> str:
    q.raw.delete(q.key("grouped"), q.key("alike"), q.key("groups"))
    return ids["failed"]


def with_a_group_of_a_live_task(q: QueueDriver, ids: dict[str, str]) -> str:
    q.raw.hset(q.key("grouped"), ids["pending"], "error:work")
    q.raw.zadd(q.key("alike"), {f"error:work {ids['pending']}": 0})
    return f"{ids['pending']} error:work"


def counted_twice(q: QueueDriver, ids: dict[str, str]) -> str:
    q.raw.zadd(q.key("alike"), {f"other {ids['failed']}": 0})
    return f"other {ids['failed']}"


def not_counted(q: QueueDriver, ids: dict[str, str]) -> str:
    q.raw.zrem(q.key("alike"), f"error:work {ids['failed']}")
    return f"error:work {ids['failed']}"


def with_an_empty_group(q: QueueDriver, _ids: dict[str, str]) -> str:
    q.raw.hset(q.key("groups"), "other", "1|1|work|error||{}")
    return "other"


def with_a_group_without_facts(q: QueueDriver, _ids: dict[str, str]) -> str:
    q.raw.delete(q.key("groups"))
    return "error:work"


def blocked_by_nothing(q: QueueDriver, ids: dict[str, str]) -> str:
    q.raw.zrem(q.key("parents"), f"{ids['blocked']}>{ids['running']}")
    q.raw.zrem(q.key("children"), f"{ids['running']}>{ids['blocked']}")
    return ids["blocked"]


def blocked_without_knowing_what_then(q: QueueDriver, ids: dict[str, str]) -> str:
    q.raw.hdel(q.key("waits"), ids["behind"])
    return ids["behind"]


def waiting_for_one_that(state: str) -> Callable[[QueueDriver, dict[str, str]], str]:
    def damage(q: QueueDriver, ids: dict[str, str]) -> str:
        parent = ids.get(state, f"gone@{q.queue}")
        q.raw.zadd(q.key("parents"), {f"{ids['behind']}>{parent}": 0})
        q.raw.zadd(q.key("children"), {f"{parent}>{ids['behind']}": 0})
        return f"{ids['behind']} {parent}"

    return damage


def waiting_for_a_foreign_one_that_was_not_asked_for(q: QueueDriver, ids: dict[str, str]) -> str:
    q.raw.zadd(q.key("parents"), {f"{ids['behind']}>{ID}": 0})
    q.raw.zadd(q.key("children"), {f"{ID}>{ids['behind']}": 0})
    return f"{ids['behind']} {ID}"


def watched_though_ended(q: QueueDriver, ids: dict[str, str]) -> str:
    q.raw.hset(q.key("watchers"), ids["completed"], "files 1")
    return ids["completed"]


def with_a_message_that_is_none(q: QueueDriver, _: dict[str, str]) -> str:
    q.raw.zadd(q.key("outbox"), {"[1": 0})
    return "[1"


def waiting_though_pending(q: QueueDriver, ids: dict[str, str]) -> str:
    q.raw.hset(q.key("waits"), ids["pending"], "fail|")
    return ids["pending"]


def with_an_edge_of_a_pending_task(q: QueueDriver, ids: dict[str, str]) -> str:
    q.raw.zadd(q.key("parents"), {f"{ids['pending']}>{ids['running']}": 0})
    q.raw.zadd(q.key("children"), {f"{ids['running']}>{ids['pending']}": 0})
    return ids["pending"]


def waiting_in_a_circle(q: QueueDriver, ids: dict[str, str]) -> str:
    blocked_by_nothing(q, ids)
    q.raw.zadd(q.key("parents"), {f"{ids['blocked']}>{ids['behind']}": 0})
    q.raw.zadd(q.key("children"), {f"{ids['behind']}>{ids['blocked']}": 0})
    return ""


def with_a_child_that_does_not_wait(q: QueueDriver, ids: dict[str, str]) -> str:
    q.raw.zadd(q.key("children"), {f"{ids['running']}>{ids['behind']}": 0})
    return f"{ids['running']}>{ids['behind']}"


def with_a_parent_that_does_not_know(q: QueueDriver, ids: dict[str, str]) -> str:
    q.raw.zadd(q.key("parents"), {f"{ids['behind']}>{ids['running']}": 0})
    return f"{ids['running']}>{ids['behind']}"


def with_a_wrong_counter(q: QueueDriver, _ids: dict[str, str]) -> str:
    q.raw.hincrby(q.key("counters"), "enqueued", 2)
    return "9 kept, counters say 11"


def with_minutes_beyond_the_total(q: QueueDriver, _ids: dict[str, str]) -> str:
    q.raw.hincrby(q.key("counters"), "completed", -1)
    return "completed"


def with_a_fire_of_no_schedule(q: QueueDriver, _ids: dict[str, str]) -> str:
    q.raw.zadd(q.key("fires"), {"nightly": 1})
    return "nightly"


def with_a_paused_schedule_that_fires(q: QueueDriver, _ids: dict[str, str]) -> str:
    q.raw.hset(q.key("schedule_notes"), "paused:hourly", "{}")
    return "hourly"


def with_a_schedule_that_never_fires(q: QueueDriver, _ids: dict[str, str]) -> str:
    q.raw.zrem(q.key("fires"), "hourly")
    return "hourly"


def with_a_note_of_no_schedule(q: QueueDriver, _ids: dict[str, str]) -> str:
    q.raw.hset(q.key("schedule_notes"), "seen:nightly", "1")
    return "seen:nightly"


def with_a_lock_of_nobody(q: QueueDriver, _: dict[str, str]) -> str:
    q.raw.zadd(q.key("locks"), {"nobody": 5})
    return "nobody"


def with_a_claim_that_did_not_free_its_key(q: QueueDriver, ids: dict[str, str]) -> str:
    q.raw.hset(q.key("until"), ids["running"], "key")
    return ids["running"]


def with_an_expiry_of_an_ended_task(q: QueueDriver, ids: dict[str, str]) -> str:
    q.raw.zadd(q.key("expiries"), {ids["completed"]: 5})
    return ids["completed"]


def with_an_expiry_set_aside_of_a_task_that_waits(q: QueueDriver, ids: dict[str, str]) -> str:
    q.raw.zadd(q.key("expiries"), {ids["pending"]: 2**52 + 5})
    return ids["pending"]


def with_trash_that_is_not_named(q: QueueDriver, _ids: dict[str, str]) -> str:
    q.raw.hset(q.key("trash"), f"op {ID}", "7:deleted")
    return f"op {ID}"


def with_a_name_of_no_trash(q: QueueDriver, _ids: dict[str, str]) -> str:
    q.raw.zadd(q.key("trashed"), {f"op {ID}": 0})
    return f"op {ID}"


def with_an_operation_that_is_forgotten(q: QueueDriver, _ids: dict[str, str]) -> str:
    q.raw.hset(q.key("operated"), "op", "x")
    return "op"


def with_an_operation_that_nobody_describes(q: QueueDriver, _ids: dict[str, str]) -> str:
    q.raw.zadd(q.key("operations"), {"op": 1})
    return "op"


def deleted_and_still_there(q: QueueDriver, ids: dict[str, str]) -> str:
    body = q.raw.hget(q.key("bodies"), ids["pending"])
    q.raw.hset(q.key("trash"), f"op {ids['pending']}", b"7:deleted%d:%s" % (len(body), body))
    q.raw.hset(q.key("operated"), "op", "x")
    q.raw.zadd(q.key("trashed"), {f"op {ids['pending']}": 0})
    q.raw.zadd(q.key("operations"), {"op": q.clock.now_ms + 1000})
    return f"op {ids['pending']}"


def with_a_job_in_no_list(q: QueueDriver, _ids: dict[str, str]) -> str:
    q.raw.hset(q.key("jobs"), "job", "{}")
    return "job"


def with_a_note_of_no_job(q: QueueDriver, _ids: dict[str, str]) -> str:
    q.raw.hset(q.key("job_notes"), "done:job", 1)
    return "done:job"


def with_an_end_of_no_job(q: QueueDriver, _ids: dict[str, str]) -> str:
    q.raw.zadd(q.key("job_ends"), {"job": 1})
    return "job"


def with_a_line(q: QueueDriver) -> dict[str, str]:
    """Lets a task of each of two limit keys run, and two wait; returns those that run, and the first that waits."""
    q.run(limits.set_limits(q.queue, {"key_running": 1}, actor="ann"))
    put = [q.put_one(options=TaskOptions(limit_key=key)) for key in ("ann", "ann", "ann", "bob")]
    q.take(9)
    q.put_one()
    assert q.findings() == []
    return {"ann": put[0], "waits": put[1], "bob": put[3]}


def parked_though_unknown(q: QueueDriver, _ids: dict[str, str]) -> str:
    with_a_line(q)
    q.raw.zadd(q.key("parked"), {f"ann>{1:016}>{ID}": 0})
    return f"ann>{1:016}>{ID}"


def parked_though_it_waits_for_another(q: QueueDriver, ids: dict[str, str]) -> str:
    with_a_line(q)
    place = int(q.raw.zscore(q.key("blocked"), ids["blocked"]))
    q.raw.zadd(q.key("parked"), {f"!work>{place:016}>{ids['blocked']}": 0})
    return f"!work>{place:016}>{ids['blocked']}"


def parked_at_another_place(q: QueueDriver, _ids: dict[str, str]) -> str:
    waits = with_a_line(q)["waits"]
    place = int(q.raw.zscore(q.key("blocked"), waits))
    q.raw.zrem(q.key("parked"), f"ann>{place:016}>{waits}")
    q.raw.zadd(q.key("parked"), {f"ann>{place + 1:016}>{waits}": 0})
    return f"ann>{place + 1:016}>{waits}"


def with_room_that_nobody_looks_at(q: QueueDriver, _ids: dict[str, str]) -> str:
    with_a_line(q)
    q.raw.hset(q.key("limits"), "key_running", "2")
    return "ann"


def with_a_slot_of_nobody(q: QueueDriver, _ids: dict[str, str]) -> str:
    with_a_line(q)
    q.raw.hset(q.key("slots"), ID, "ann>")
    return ID


def with_a_slot_of_another_key(q: QueueDriver, ids: dict[str, str]) -> str:
    with_a_line(q)
    q.raw.hset(q.key("slots"), ids["running"], "eve>")
    return f"{ids['running']} eve>"


def with_a_holder_of_no_slot(q: QueueDriver, _ids: dict[str, str]) -> str:
    with_a_line(q)
    q.raw.zadd(q.key("holders"), {f"ann>{ID}": 0})
    return f"ann>{ID}"


def running_uncounted(q: QueueDriver, _ids: dict[str, str]) -> str:
    bob = with_a_line(q)["bob"]
    q.raw.zrem(q.key("holders"), f"bob>{bob}")
    return bob


def with_limits_that_no_claim_looks_at(q: QueueDriver, _ids: dict[str, str]) -> str:
    with_a_line(q)
    q.raw.delete(q.key("limits"))
    return q.key("")


def leaving_without_a_message(q: QueueDriver, _ids: dict[str, str]) -> str:
    q.raw.hset(q.key("leaving"), ID, "x")
    return ID


def announced_and_not_kept(q: QueueDriver, _ids: dict[str, str]) -> str:
    q.raw.zadd(q.key("outbox"), {f'{{"kind":"move","id":1,"at":1,"to":"x","ids":["old","{ID}"]}}': 1})
    return ID


DAMAGE: dict[str, list[Callable[[QueueDriver, dict[str, str]], str]]] = {
    "two_states": [in_two_states],
    "in_no_state": [in_no_state],
    "no_body": [without_a_body],
    "running_without_token": [without_a_token],
    "token_of_idle_task": [with_a_token_too_many],
    "ended_without_record": [without_a_record],
    "record_of_live_task": [with_a_record_too_early],
    "record_disagrees": [with_a_record_of_another_ending],
    "orphan_record": [with_an_orphan_in("records")],
    "orphan_trail": [with_an_orphan_in("trail")],
    "orphan_attempts": [with_an_orphan_in("attempts")],
    "orphan_progress": [with_an_orphan_in("progress")],
    "orphan_logs": [with_an_orphan_in("logs")],
    "orphan_cancels": [with_an_orphan_in("cancels")],
    "cancel_of_idle_task": [with_a_cancel_of_an_idle_task],
    "waiter_of_ended": [with_a_waiter_of_an_ended_task],
    "unique_held_by_ended": [with_a_unique_key_of_an_ended_task, with_a_unique_key_of_nobody],
    "unique_of_other_key": [with_a_unique_key_of_a_task_that_has_another],
    "unique_not_held": [with_a_unique_key_that_is_not_held],
    "lock_of_nobody": [with_a_lock_of_nobody],
    "unclaimed_but_begun": [with_a_claim_that_did_not_free_its_key],
    "expiry_of_ended": [with_an_expiry_of_an_ended_task],
    "expiry_that_is_not_seen": [with_an_expiry_set_aside_of_a_task_that_waits],
    "orphan_fire": [with_a_fire_of_no_schedule],
    "paused_schedule_fires": [with_a_paused_schedule_that_fires],
    "schedule_never_fires": [with_a_schedule_that_never_fires],
    "orphan_schedule_note": [with_a_note_of_no_schedule],
    "failed_without_group": [failed_in_no_group],
    "grouped_not_failed": [with_a_group_of_a_live_task],
    "group_disagrees": [counted_twice, not_counted],
    "group_without_tasks": [with_an_empty_group],
    "group_without_facts": [with_a_group_without_facts],
    "blocked_without_reason": [blocked_by_nothing, blocked_without_knowing_what_then],
    "waits_for_ended": [waiting_for_one_that("completed"), waiting_for_one_that("is gone")],
    "waits_for_foreign_unasked": [waiting_for_a_foreign_one_that_was_not_asked_for],
    "watched_but_ended": [watched_though_ended],
    "message_unreadable": [with_a_message_that_is_none],
    "waits_but_is_not_blocked": [waiting_though_pending, with_an_edge_of_a_pending_task],
    "leaving_for_nowhere": [leaving_without_a_message],
    "moved_and_not_kept": [announced_and_not_kept],
    "waits_in_a_circle": [waiting_in_a_circle],
    "child_that_does_not_wait": [with_a_child_that_does_not_wait],
    "parent_that_does_not_know": [with_a_parent_that_does_not_know],
    "trash_disagrees": [with_trash_that_is_not_named, with_a_name_of_no_trash],
    "trash_of_no_operation": [with_an_operation_that_is_forgotten, with_an_operation_that_nobody_describes],
    "in_trash_and_there": [deleted_and_still_there],
    "job_neither_open_nor_ended": [with_a_job_in_no_list],
    "orphan_job_note": [with_a_note_of_no_job, with_an_end_of_no_job],
    "parked_but_is_not_blocked": [parked_though_unknown],
    "parked_and_waits": [parked_though_it_waits_for_another],
    "parked_in_wrong_line": [parked_at_another_place],
    "line_that_never_moves": [with_room_that_nobody_looks_at],
    "slot_of_idle_task": [with_a_slot_of_nobody],
    "slot_of_other_gate": [with_a_slot_of_another_key],
    "holder_without_slot": [with_a_holder_of_no_slot],
    "key_that_is_not_counted": [running_uncounted],
    "limits_unmarked": [with_limits_that_no_claim_looks_at],
    "count_of_tasks": [with_a_wrong_counter],
    "minutes_exceed_total": [with_minutes_beyond_the_total],
}
CASES = [
    pytest.param(word, damage, id=f"{word}-{n}") for word, damages in DAMAGE.items() for n, damage in enumerate(damages)
]


def test_every_word_of_the_audit_is_proved_here() -> None:
    assert set(DAMAGE) == set(audit.MEANINGS)


@pytest.mark.parametrize(("word", "damage"), CASES)
def test_damage_is_found_and_named(
    damaged_q: QueueDriver, word: str, damage: Callable[[QueueDriver, dict[str, str]], str]
) -> None:
    subject = damage(damaged_q, a_busy_queue(damaged_q))

    found = damaged_q.findings()

    assert (word, subject) in found if subject else word in [each for each, _ in found]


@pytest.mark.parametrize(
    "word", [w for w in DAMAGE if w not in {"two_states", "in_no_state", "no_body", "orphan_cancels"}]
)
def test_one_damage_is_one_finding(damaged_q: QueueDriver, word: str) -> None:
    DAMAGE[word][0](damaged_q, a_busy_queue(damaged_q))

    assert [found for found, _ in damaged_q.findings()] == [word]


def test_a_queue_that_was_used_in_every_way_has_no_findings(q: QueueDriver) -> None:
    ids = a_busy_queue(q)
    q.run(operator.requeue([ids["completed"], ids["failed"]], actor="ann"))
    q.run(operator.cancel([ids["scheduled"]], actor="ann"))
    q.run(operator.discard([ids["cancelled"], ids["pending"]], actor="ann"))
    q.clock.advance(60_000)
    q.reclaim()
    q.run(consumer.release(q.take(2)))
    assert q.findings() == []


def test_an_empty_and_an_unknown_queue_have_no_findings(q: QueueDriver) -> None:
    assert q.run(audit.audit()) == []
    assert q.run(audit.audit(["never"])) == []
    assert q.raw.keys("*") == []


def test_the_number_of_findings_is_bounded(damaged_q: QueueDriver) -> None:
    q = damaged_q
    q.put_many(300)
    q.raw.delete(q.key("pending"))

    assert len(q.findings()) == audit.MAX_FINDINGS


def test_a_queue_that_is_too_large_to_be_checked_is_refused(q: QueueDriver) -> None:
    q.put_many(20)

    with pytest.raises(
        InvalidInputError, match="'mail' keeps 20 tasks; checking more than 19 would hold up the server"
    ):
        q.run(audit.audit(limit=19))
    assert q.run(audit.audit(limit=20)) == []


def test_findings_name_their_queue(damaged_q: QueueDriver) -> None:
    q = damaged_q
    other = QueueDriver(q.url, queue="other")
    other.runner, other.raw = q.runner, q.raw
    q.put_one()
    lost = other.put_one()
    q.raw.zrem(other.key("pending"), lost)

    assert q.run(audit.audit()) == [audit.Finding("other", "in_no_state", lost)]
