"""What must hold after whatever happened: one function over a queue, called at the end of every process test.

`tq audit` checks what the keyspace alone can tell. What needs knowledge of the test is checked here: which ids were
accepted, and which handlers ran. The order of things is read from the queue's own events.

    I1   every accepted id is in exactly one state, its record agrees       audit
    I2   accepted = ended + live; none is lost                              here, from the ids the test put
    I3   an id ends once, unless a person had it run again                  here, from the events
    I4   starts and failures stay within the attempts                       here, from events, trail and body
    I5   every counter is the sum of its minutes and agrees with the tasks  audit, and here
    I6   running = leased = held by a token                                 audit, and here
    I7   after drain and trim nothing is left behind                        contract/test_invariants.py
    I8   a unique key is held by its live holder                            audit
    I9   a second run needs a reason: lost, crashed, released, retried      here, from runs and events
    I10  first in, first out within a priority                              contract/test_invariants.py
    I11  a task runs once all it waits for have ended                       here, from the events
    I12  a result that was refused is never read                            contract/test_invariants.py
    I13  work resumes within seconds of the broker                          daemon/test_broker_outage.py, test_faults.py
    I14  a broker that refuses writes is not called ready                   contract/test_invariants.py
"""

from __future__ import annotations

import collections
from collections.abc import Iterable, Mapping

from tests.queue_driver import QueueDriver
from tq_core.errors import InvalidInputError
from tq_core.keyspace import wire

ENDS = ("completed", "failed", "cancelled", "expired")
REASONS = ("retrying", "released", "crashed", "lost", "requeued")
EVENTS_READ = 9_000
"""Of more than about 10,000 the oldest are gone: then their order tells nothing."""


def check(q: QueueDriver, *, accepted: Iterable[str] = (), runs: Mapping[str, int] | None = None) -> list[str]:
    """What is wrong with a queue; an empty list is the good answer.

    Args:
        accepted: Ids that a producer was told of, and that nobody deleted.
        runs: How often the handler of each id was seen to start.
    """
    wrong = [f"audit: {word} {subject}" for word, subject in q.findings()]
    bodies = {i.decode(): body for i, body in q.raw.hgetall(q.key("bodies")).items()}
    headers = {}
    for task_id, body in bodies.items():
        try:
            headers[task_id] = wire.split_body(body)[0]
        except InvalidInputError:
            continue  # a test put it there
    counters = {k.decode(): int(v) for k, v in q.raw.hgetall(q.key("counters")).items()}
    wrong += _lost(set(accepted) - bodies.keys(), counters)
    wrong += _attempts(q, headers)
    wrong += _minutes(q, counters)
    happened = q.events()
    if len(happened) < EVENTS_READ:
        wrong += _order(happened, headers, runs or {})
    return wrong


def _lost(missing: set[str], counters: Mapping[str, int]) -> list[str]:
    gone = sum(counters.get(name, 0) for name in ("trimmed", "dropped", "discarded"))
    return [f"I2: {len(missing)} accepted tasks are gone: {sorted(missing)[:5]}"] if len(missing) > gone else []


def _attempts(q: QueueDriver, headers: Mapping[str, wire.Header]) -> list[str]:
    trails = {i.decode(): wire.parse_trail(text) for i, text in q.raw.hgetall(q.key("trail")).items()}
    return [
        f"I4: {i} failed {trail.failures} times of {headers[i].max_attempts}"
        for i, trail in trails.items()
        if i in headers and trail.failures > headers[i].max_attempts
    ]


def _minutes(q: QueueDriver, counters: Mapping[str, int]) -> list[str]:
    sums: collections.Counter[str] = collections.Counter()
    for key in q.raw.scan_iter(q.key("minute:*"), count=1000):
        sums.update({name.decode(): int(n) for name, n in q.raw.hgetall(key).items()})
    return [
        f"I5: {name} is {total}, its minutes add up to {sums[name]}"
        for name, total in counters.items()
        if name not in {"seq", "fence"} and total != sums[name]
    ]


def _order(
    happened: Iterable[Mapping[str, str]], headers: Mapping[str, wire.Header], runs: Mapping[str, int]
) -> list[str]:
    wrong = []
    ended: dict[str, str] = {}
    seen: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    for event in happened:
        kind = event.get("e", "")
        for task_id in filter(None, event.get("i", "").split(",")):
            seen[task_id][kind] += 1
            if kind in ENDS:
                if task_id in ended:
                    wrong.append(f"I3: {task_id} was {ended[task_id]} and then {kind}")
                ended[task_id] = kind
            elif kind in {"requeued", "discarded", "dropped"}:
                ended.pop(task_id, None)
            elif kind == "claimed" and task_id in headers:
                waits = headers[task_id].options
                live = [p for p in waits.depends_on if p in seen and p not in ended and not seen[p]["requeued"]]
                if live and seen[task_id]["claimed"] == 1:
                    wrong.append(f"I11: {task_id} was claimed before {live[0]} had ended")
    for task_id, count in runs.items():
        what = seen.get(task_id)
        # Of a task from before a flush the events are gone with it.
        if what is None or not what["enqueued"]:
            continue
        if count > what["claimed"]:
            wrong.append(f"I9: {task_id} ran {count} times and was claimed {what['claimed']} times")
        if count > 1 + sum(what[reason] for reason in REASONS):
            wrong.append(f"I9: {task_id} ran {count} times without a reason: {dict(what)}")
        if task_id in headers and what["retrying"] >= headers[task_id].max_attempts and not what["requeued"]:
            # A release of an unknown type is a retry that costs no attempt.
            wrong.append(f"I4: {task_id} was retried {what['retrying']} times of {headers[task_id].max_attempts}")
    return wrong
