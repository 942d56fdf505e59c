"""Bytes that nobody of ours wrote, into everything that reads bytes of Redis: a value or a typed error, never a crash.

Replies have the shape that our scripts give them; the values in them may be anything.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.test_flows import drive
from tq_core import TaskQueue, names
from tq_core.errors import TqError
from tq_core.keyspace import keys, sealing, wire
from tq_core.model import TaskState
from tq_core.roles import browser, consumer, events, operator, registry, schedules

NASTY = st.sampled_from(
    (
        b"",
        b"|",
        b"||||||||",
        b"-1",
        b"9" * 400,
        b"1e999",
        b"nan",
        b"inf",
        b"\xff\xfe",
        b"[" * 2000,
        b"{}",
        b"null",
        b"!j",
        b"!z",
    )
)
PIECES = st.lists(st.binary(max_size=8) | st.integers(-(2**70), 2**70).map(lambda n: b"%d" % n), max_size=9)
BYTES = (
    NASTY
    | st.binary(max_size=40)
    | PIECES.map(b"|".join)
    | st.sampled_from((b"!", b"|")).flatmap(lambda head: st.binary(max_size=40).map(lambda rest: head + rest))
)
MAYBE = st.none() | BYTES
FIELDS = st.dictionaries(
    st.sampled_from((b"e", b"i", b"w", b"r", b"a", b"at", b"by", b"op", b"do", b"n", b"detail")) | BYTES,
    BYTES,
    max_size=8,
)
SCORES = st.floats(allow_nan=False).map(lambda f: repr(f).encode())
ENTRY_IDS = st.tuples(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1)).map(lambda pair: b"%d-%d" % pair)
VIEWS = st.builds(
    wire.View,
    id=BYTES,
    state=st.sampled_from([s.value.encode() for s in TaskState]),
    score=SCORES,
    body=MAYBE,
    payload_bytes=st.integers(0, 100),
    token=MAYBE,
    record=MAYBE,
    trail=MAYBE,
    attempts=MAYBE,
    cancel=MAYBE,
    position=st.none() | st.integers(0, 9),
    blocked_by=st.none() | st.lists(BYTES, max_size=2),
)


@given(VIEWS)
def test_any_parts_are_a_task_that_can_be_shown(raw: wire.View) -> None:
    view = wire.task_view("mail", raw)
    assert view.state == raw.state.decode()
    msgspec.json.encode(view)


@given(BYTES, st.integers(0, 9), BYTES, BYTES)
def test_any_facts_are_a_group(name: bytes, count: int, example: bytes, facts: bytes) -> None:
    assert wire.group("mail", [name, count, example, facts]).count == count


@given(BYTES)
def test_any_text_is_a_key_or_sealed_text_or_refused(text: bytes) -> None:
    with contextlib.suppress(TqError):
        sealing.current().read(text, b"purpose")
    sealing.is_sealed(text)
    with contextlib.suppress(ValueError, TqError):
        names.decode_unique_key(text.decode("latin-1"))
    wire.json_object(text)


@given(st.lists(st.tuples(ENTRY_IDS, FIELDS), max_size=3))
def test_any_entries_are_events_and_what_people_did(entries: list[tuple[bytes, dict[bytes, bytes]]]) -> None:
    found, _ = drive(events.latest(["mail"]), entries)
    assert len(found) == len(entries)
    drive(operator.audit_log(["mail"]), [entries, entries])


@given(st.lists(st.tuples(BYTES, SCORES, BYTES), max_size=3))
def test_any_members_are_a_fleet(members: list[tuple[bytes, bytes, bytes]]) -> None:
    flat = [part for member in members for part in member]
    fleet = drive(registry.fleet(), [b"OK", b"5", flat, flat])
    assert [m.health for m in fleet.nodes] == [m.health for m in fleet.workers]


@given(st.dictionaries(BYTES, BYTES, max_size=4))
def test_any_register_is_read(found: dict[bytes, bytes]) -> None:
    drive(registry.queue_numbers(), found)
    drive(registry.published_types(), [5, 0], found)


@given(BYTES)
def test_any_message_is_a_command_or_an_answer(message: bytes) -> None:
    drive(registry.await_ack("c"), (keys.ack("c").encode(), message))
    flow = registry.next_command("node")
    next(flow)
    with contextlib.suppress(StopIteration):
        flow.send((b"key", b"9" * 12 + b"|" + message))
        flow.send([5, 0])


@given(st.lists(st.tuples(BYTES, BYTES, BYTES), max_size=3))
def test_any_due_schedules_are_read_and_those_that_cannot_be_followed_are_left(found: list[Any]) -> None:
    due = drive(schedules.due(["mail"]), [[b"OK", b"1700000000000", *map(list, found)]])
    flow = schedules.fire(due)
    with contextlib.suppress(StopIteration):
        steps: Any = next(flow)
        flow.send([[b"LATE"]] * len(steps.steps))


@given(st.lists(st.tuples(BYTES, MAYBE, MAYBE), max_size=3), BYTES)
def test_any_bodies_are_a_claim(tasks: list[tuple[bytes, bytes | None, bytes | None]], token: bytes) -> None:
    ids = [task_id.decode("latin-1").encode() for task_id, _, _ in tasks]
    bodies, trails = [body for _, body, _ in tasks], [trail for _, _, trail in tasks]
    claim = consumer.decode_claim("mail", [b"OK", token, b"9", ids, bodies, trails, b""])
    assert len(claim.tasks) == sum(body is not None for body in bodies)


@given(st.lists(VIEWS, max_size=3))
def test_any_tasks_are_a_window(views: list[wire.View]) -> None:
    raw = [list(msgspec.structs.astuple(view)) for view in views]
    window = drive(browser.window(["mail"], TaskState.PENDING), [[b"OK", len(raw), 0, 0, raw, [], []]])
    assert window.total == len(raw)


@dataclasses.dataclass
class Point:
    x: int
    y: float = 0.0


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
with TaskQueue("memory://fuzz") as _queue:

    @_queue.task()
    def plot(at: Point, when: dt.datetime | None = None, tags: tuple[str, ...] = ()) -> None: ...


@given(BYTES | JSON.map(lambda value: repr(value).encode()))
def test_any_payload_binds_or_is_refused(payload: bytes) -> None:
    with contextlib.suppress(TqError):
        plot.bind(payload)


@given(st.dictionaries(st.sampled_from(("at", "when", "tags", "x")), JSON, max_size=3))
def test_any_arguments_are_encoded_and_bound_or_refused(given_args: dict[str, Any]) -> None:
    with contextlib.suppress(TqError):
        plot.bind(msgspec.json.encode(given_args))
