"""Every Redis key of tq, in one place.

A queue's keys share the hash tag `{queue}`, so that all of them live in one slot of a cluster; scripts get the prefix
as their one declared key and append these names. The fleet's keys share a tag that no queue can have.

    tq:{mail}:pending                ZSET    one per state: blocked scheduled pending running retrying completed
                                             failed cancelled; scores: place (pending), due, lease end, finish (ms)
    tq:{mail}:bodies                 HASH    id -> header and payload (tq_core.keyspace.wire)
    tq:{mail}:tokens                 HASH    id -> token of the claim that holds it; running tasks only
    tq:{mail}:records                HASH    id -> how it ended; terminal tasks only
    tq:{mail}:trail                  HASH    id -> failures|crashes|alone|lost|unknown; only where one is not zero
    tq:{mail}:attempts               HASH    id -> history, one line an attempt; only where there is one
    tq:{mail}:progress               HASH    id -> ms|fraction|text, the last that a handler said of how far it is
    tq:{mail}:logs                   HASH    id -> the last lines of its handlers (tq_core.keyspace.wire)
    tq:{mail}:cancels                HASH    id -> who asked a running task to stop, and why
    tq:{mail}:unique                 HASH    unique key -> id of the live task that holds it
    tq:{mail}:until                  HASH    id -> unique key that its claim frees; only tasks that were never claimed
    tq:{mail}:locks                  ZSET    unique key that is held for a time, whatever its task does -> end (ms)
    tq:{mail}:absorbed:N             HASH    id that was sent -> waiting task that does its work; 20 min
    tq:{mail}:expiries               ZSET    id -> from when on (ms) no attempt starts; live tasks that expire only
    tq:{mail}:schedules              HASH    name -> what is enqueued and when (JSON, tq_core.roles.schedules.Schedule)
    tq:{mail}:fires                  ZSET    schedule -> its next fire (ms); paused ones are not in it
    tq:{mail}:schedule_notes         HASH    paused:NAME who and why, seen:NAME declared by code (ms), fired:NAME last
                                             fire (ms), fires:NAME tasks made
    tq:{mail}:grouped                HASH    id -> its group, that is the fingerprint of its error; failed tasks only
    tq:{mail}:alike                  ZSET    "GROUP id", scores 0: a group is a range, counted and paged in order
    tq:{mail}:groups                 HASH    group -> first and last failure, type, reason, code versions, error
    tq:{mail}:parents                ZSET    "child>parent", all scores 0: what each blocked task waits for
    tq:{mail}:children               ZSET    "parent>child", all scores 0: the same from the other side
    tq:{mail}:waits                  HASH    id -> policy|due ms: what a blocked task does when its parents end,
                                             and |watch where some are of other queues
    tq:{mail}:watchers               HASH    id -> who is told when it ends, "queue watch queue watch"; live ones only
    tq:{mail}:outbox                 ZSET    messages to other queues -> not before (ms)
    tq:{mail}:posted                 ZSET    one marker: something may be in the outbox
    tq:{mail}:leaving                HASH    new id -> all of a task on its way to another queue, or back (move.lua)
    tq:{mail}:moved:N                HASH    id -> its id in the queue that it was moved to; two days
    tq:{mail}:arrived:N              HASH    id of a task that was moved here -> place|trail it arrived with; two days
    tq:{mail}:waiters                HASH    id -> clients that wait for its end, separated by blanks
    tq:{mail}:answers:CLIENT         LIST    ids of tasks that this client waited for and that have ended; 60 s
    tq:{mail}:trash                  HASH    "OP id" -> all of a task that an operation deleted or ended (trash.lua)
    tq:{mail}:trashed                ZSET    "OP id", all scores 0: what one operation took is a range
    tq:{mail}:operations             ZSET    OP -> until when it can be undone (ms)
    tq:{mail}:operated               HASH    OP -> when, what, by whom, detail
    tq:{mail}:jobs                   HASH    job -> what is done to which tasks (JSON, tq_core.roles.jobs.Job)
    tq:{mail}:job_notes              HASH    until:JOB begun (ms), cursor:JOB state|score|id, looked:JOB, done:JOB,
                                             skipped:JOB tasks, fence:JOB, changed:JOB (ms), status:JOB how it ended
    tq:{mail}:job_leases             ZSET    open job -> until when somebody is at it (ms; 0 = nobody)
    tq:{mail}:job_ends               ZSET    ended job -> when (ms)
    tq:{mail}:limits                 HASH    since (ms), running, rate, key_running, key_rate; for one key
                                             key_running:KEY, key_rate:KEY; breaker:TYPE; there are gates while it is
    tq:{mail}:slots                  HASH    id -> KEY>TYPE of each running task with a limit key or breaker
    tq:{mail}:holders                ZSET    "GATE>id", scores 0: the running tasks that count at a gate
    tq:{mail}:parked                 ZSET    "GATE>place>id", scores 0: blocked tasks in the line of their gate
    tq:{mail}:gates                  ZSET    gate (limit key or !TYPE) -> when to look at its line again (ms)
    tq:{mail}:rates                  ZSET    limit key, or "" for the queue -> when its bucket is full again (ms)
    tq:{mail}:breakers               HASH    state:TYPE how it stands, where not closed; tally:TYPE how runs ended
    tq:{mail}:meta                   HASH    number, schema, paused, max_size, retention
    tq:{mail}:counters               HASH    totals since the queue began, and the sequences seq, fence, posted
    tq:{mail}:minute:N               HASH    the counters of one minute, latency buckets; 48 h
    tq:{mail}:events                 STREAM  one entry per script call, about the last 10,000
    tq:{mail}:audit                  STREAM  one entry per operator's write, about the last 10,000
    tq:{mail}:wake                   ZSET    one marker that carries no work: something may be pending
    tq:queues                        HASH    queue -> number; '#next' -> the last number given
    tq:types                         HASH    task type -> queue, schema, doc, retry, timeout, seen_at_ms
    tq:{!fleet}:seen:node|worker     ZSET    id -> last heartbeat (ms)
    tq:{!fleet}:info:node|worker     HASH    id -> what the heartbeat said (JSON)
    tq:{!fleet}:inbox:NODE           LIST    commands to a node
    tq:{!fleet}:ack:COMMAND          LIST    its answer; 60 s
    tq:{!fleet}:events               STREAM  nodes and workers that came, went or were lost
    tq:{!fleet}:audit                STREAM  operators' commands to nodes
    tq:{!fleet}:readiness            STRING  what the last check of readiness wrote; 10 s
"""

from __future__ import annotations

SCHEMA_VERSION = 2
"""1: failed tasks of before groups existed are in none. 2: each is in one. The same number is in includes/schema.lua;
tq_core.roles.migration leads from one to the next."""

QUEUES = "tq:queues"
TYPES = "tq:types"
FLEET = "tq:{!fleet}:"
FLEET_EVENTS = FLEET + "events"
FLEET_AUDIT = FLEET + "audit"
READINESS = FLEET + "readiness"


def queue_prefix(queue: str) -> str:
    """The one key that a queue's scripts declare; all others begin with it."""
    return f"tq:{{{queue}}}:"


def wake(queue: str) -> str:
    return queue_prefix(queue) + "wake"


def posted(queue: str) -> str:
    return queue_prefix(queue) + "posted"


def events(queue: str) -> str:
    return queue_prefix(queue) + "events"


def audit(queue: str) -> str:
    return queue_prefix(queue) + "audit"


def answers(queue: str, client: str) -> str:
    return f"{queue_prefix(queue)}answers:{client}"


def logs(queue: str) -> str:
    return queue_prefix(queue) + "logs"


def inbox(node_id: str) -> str:
    return f"{FLEET}inbox:{node_id}"


def ack(command_id: str) -> str:
    return f"{FLEET}ack:{command_id}"
