"""Whether the keyspace is consistent: what every process test ends with, and `tq audit`."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from tq_core.errors import InvalidInputError
from tq_core.keyspace import keys
from tq_core.roles import outbox, registry
from tq_core.transport.steps import Batch, Command, Flow, Script

MAX_TASKS = 200_000
MAX_FINDINGS = 100

MEANINGS = {
    "two_states": "a task is in two states at once",
    "in_no_state": "a task is in no state",
    "no_body": "a state lists a task whose body is gone",
    "running_without_token": "a running task is held by no claim",
    "token_of_idle_task": "a claim holds a task that is not running",
    "ended_without_record": "an ended task has no record of how it ended",
    "record_of_live_task": "a task that has not ended has a final record",
    "record_disagrees": "a record says another end than the task's state",
    "orphan_record": "a final record of a task that is gone",
    "orphan_trail": "counts of a task that is gone",
    "orphan_attempts": "a history of a task that is gone",
    "orphan_progress": "how far a task was that is gone",
    "orphan_logs": "lines of a task that is gone",
    "orphan_cancels": "a request to stop a task that is gone",
    "waiter_of_ended": "somebody is said to wait for a task that has ended or is gone",
    "cancel_of_idle_task": "a request to stop a task that is not running",
    "unique_held_by_ended": "a unique key is held by a task that has ended or is gone",
    "unique_of_other_key": "a unique key is held by a task that has another",
    "unique_not_held": "a task that has not ended does not hold its unique key",
    "lock_of_nobody": "a unique key is locked for a time and no task is named",
    "unclaimed_but_begun": "a task that was claimed, or is gone, still waits to free its unique key",
    "expiry_of_ended": "a task that has ended or is gone has yet to expire",
    "expiry_that_is_not_seen": "a waiting task whose time is over will not be found",
    "orphan_fire": "a fire of a schedule that is gone",
    "paused_schedule_fires": "a paused schedule has a next fire",
    "schedule_never_fires": "a schedule that is not paused has no next fire",
    "orphan_schedule_note": "a note about a schedule that is gone",
    "failed_without_group": "a failed task is in no group of those that failed alike",
    "grouped_not_failed": "a group counts a task that has not failed or is gone",
    "group_disagrees": "a group's count is not the number of its tasks",
    "group_without_tasks": "a group of which no task is left",
    "group_without_facts": "a group of which nothing is kept but its tasks",
    "blocked_without_reason": "a blocked task waits for nothing",
    "waits_for_ended": "a blocked task waits for one that has ended or is gone",
    "waits_but_is_not_blocked": "a task is said to wait for others but is not blocked",
    "waits_in_a_circle": "blocked tasks wait for one another",
    "child_that_does_not_wait": "a task is listed as waiting for one that it does not wait for",
    "parent_that_does_not_know": "a blocked task waits for one that will not release it",
    "waits_for_foreign_unasked": "a task waits for one of another queue whose queue was not asked",
    "watched_but_ended": "a task that has ended or is gone is to tell another queue when it ends",
    "message_unreadable": "a message to another queue cannot be read",
    "moved_and_not_kept": "a task is to be brought to another queue and is not kept until then",
    "leaving_for_nowhere": "a task that was moved is kept and nothing says where it goes",
    "trash_disagrees": "what was kept for an undo is not named where it should be",
    "trash_of_no_operation": "something is kept for the undo of an operation that is gone",
    "in_trash_and_there": "a task that an undo would put back is there already",
    "job_neither_open_nor_ended": "a job is neither open nor ended, or both",
    "orphan_job_note": "a note about a job that is gone",
    "parked_but_is_not_blocked": "a task is in the line of a limit or breaker but is not blocked",
    "parked_and_waits": "a blocked task waits for others and for a limit at once",
    "parked_in_wrong_line": "a task is in the line of a limit key or type that it does not have, or at another place",
    "line_that_never_moves": "tasks wait for a limit or breaker and nothing will look at them again",
    "slot_of_idle_task": "a task that is not running counts as running at its limit",
    "slot_of_other_gate": "a running task counts at a limit key that it does not have",
    "holder_without_slot": "a limit counts a task that will not give it back",
    "key_that_is_not_counted": "a running task is missing from those that its limit key counts",
    "limits_unmarked": "there are limits, breakers or lines that no claim looks at",
    "count_of_tasks": "the counters do not add up to the tasks that are kept",
    "minutes_exceed_total": "the counters by minute exceed the totals",
}

BETWEEN_QUEUES = {
    "foreign_parent_unwatched": "a task waits for one of another queue that will not tell when that one ends",
    "foreign_parent_ended": "a task waits for one of another queue that has ended, and no word of it is on its way",
}
"""What only a check of all queues finds."""


class Finding(msgspec.Struct, frozen=True):
    """One disagreement in a queue's structures."""

    queue: str
    word: str
    subject: str

    @property
    def meaning(self) -> str:
        return MEANINGS.get(self.word) or BETWEEN_QUEUES.get(self.word, self.word)


def audit(queues: Sequence[str] | None = None, *, limit: int = MAX_TASKS) -> Flow[list[Finding]]:
    """Checks queues (all when None) and returns what disagrees; an empty list is the good answer.

    With all of them, also what they say of one another: whether a parent of another queue will tell when it ends.

    Raises:
        InvalidInputError: a queue holds more than `limit` tasks: the check would hold up the server.
    """
    is_whole = queues is None
    if queues is None:
        queues = list((yield from registry.queue_numbers()))
    findings = []
    for queue in queues:
        word, total, *rest = yield Script("audit", keys.queue_prefix(queue), (limit, MAX_FINDINGS))
        if word == b"LARGE":
            raise InvalidInputError(
                f"{queue!r} keeps {total} tasks; checking more than {limit} would hold up the server"
            )
        flat = [text.decode("utf-8", "replace") for text in rest[0]]
        findings += [Finding(queue, flat[i], flat[i + 1]) for i in range(0, len(flat), 2)]
    return findings + ((yield from between(queues)) if is_whole else [])


def between(queues: Sequence[str]) -> Flow[list[Finding]]:
    """What tasks wait for in other queues and nobody will tell; what was told meanwhile is left out."""
    findings: list[Finding] = []
    for queue in queues:
        suspected = yield from _suspected(queue)
        if suspected:
            suspected &= yield from _suspected(queue)
        findings += sorted(suspected, key=lambda f: (f.word, f.subject))
    return findings


def _suspected(queue: str) -> Flow[set[Finding]]:
    cursor, edges = yield from outbox.foreign_parents(queue)
    while cursor:
        cursor, more = yield from outbox.foreign_parents(queue, cursor)
        edges += more
    if not edges:
        return set()
    parents = list(dict.fromkeys(edge.parent_id for edge in edges))
    homes = yield from outbox.homes(parents)
    outcomes = yield from outbox.look(parents)
    known = [parent for parent in parents if parent in homes]
    prefixes = [keys.queue_prefix(q) for q in dict.fromkeys((queue, *homes.values()))]
    steps: list[Script | Command] = [Command(("HGET", keys.queue_prefix(homes[p]) + "watchers", p)) for p in known]
    steps += [Command(("ZRANGE", prefix + "outbox", 0, -1)) for prefix in prefixes]
    replies = yield Batch(steps)
    watched = {p: outbox.watches(found or b"").get(queue, 0) for p, found in zip(known, replies, strict=False)}
    told = b"\n".join(raw for found in replies[len(known) :] for raw in found)
    found = set()
    for edge in edges:
        if f'"{edge.parent_id}"'.encode() in told:
            continue
        subject = f"{edge.child_id} {edge.parent_id}"
        if outcomes[edge.parent_id] != outbox.LIVE:
            found.add(Finding(queue, "foreign_parent_ended", subject))
        elif watched.get(edge.parent_id, 0) < edge.watch:
            found.add(Finding(queue, "foreign_parent_unwatched", subject))
    return found
