"""The strings that tasks are in Redis: what is written is read back, and what is damaged is said to be."""

from __future__ import annotations

import contextlib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tq_core import names
from tq_core.errors import InvalidInputError
from tq_core.keyspace import wire
from tq_core.model import RetryPolicy, TaskOptions, TaskState

TYPES = st.from_regex(names.TASK_TYPE, fullmatch=True)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
KEYS = st.none() | st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=10)
OPTIONS = st.builds(
    TaskOptions,
    timeout_s=st.none() | st.floats(0.1, 1e6),
    retry=st.none() | st.builds(RetryPolicy, max_attempts=st.integers(1, 1000)),
    linked_to=st.none() | TEXT,
    submitted_by=st.none() | TEXT,
    traceparent=st.none() | TEXT,
    tracestate=st.none() | TEXT,
    ready_at_ms=st.none() | st.integers(0, 2**52),
)


@given(
    score=st.integers(0, 2**53),
    created=st.integers(0, 2**50),
    task_type=TYPES,
    attempts=st.integers(1, 1000),
    key=KEYS,
    options=OPTIONS,
    payload=st.binary(max_size=60),
)
def test_a_body_is_read_back_whatever_its_payload_holds(
    *,
    score: int,
    created: int,
    task_type: str,
    attempts: int,
    key: str | None,
    options: TaskOptions,
    payload: bytes,
) -> None:
    tail = wire.body_tail(task_type=task_type, max_attempts=attempts, unique_key=key, options=options, payload=payload)
    header, read = wire.split_body(b"%d|%d|%s" % (score, created, tail))

    assert read == payload
    assert header == wire.Header(score, created, task_type, attempts, key, options)
    assert header.priority == score // wire.PRIORITY_BAND


def test_the_head_of_a_body_holds_no_separator_of_its_own() -> None:
    tail = wire.body_tail(
        task_type="t", max_attempts=1, unique_key="a|b", options=TaskOptions(submitted_by="c|d"), payload=b"|"
    )
    assert tail.count(b"|") == 5


@given(st.binary(max_size=80))
def test_any_bytes_are_a_body_or_refused(body: bytes) -> None:
    with contextlib.suppress(InvalidInputError):
        _, payload = wire.split_body(body)
        assert body.endswith(b"|" + payload)


@given(st.binary(max_size=60))
def test_any_bytes_are_a_token_a_trail_and_a_history_or_nothing(data: bytes) -> None:
    wire.parse_token(data)
    wire.parse_trail(data)
    wire.parse_attempts(data)


def test_a_token_says_who_claimed_and_when() -> None:
    assert wire.parse_token(b"12-abc~1700~host-1.2|") == wire.Token("12-abc", 1700, "host-1.2")
    assert wire.parse_token(b"|") is None
    assert wire.parse_token(b"") is None


@given(st.tuples(*[st.integers(0, 10**6)] * 5))
def test_a_trail_is_read_back(counts: tuple[int, int, int, int, int]) -> None:
    assert wire.parse_trail("|".join(map(str, counts)).encode()) == wire.Trail(*counts)


@pytest.mark.parametrize(
    ("trail", "is_alone"),
    [
        (wire.Trail(), False),
        (wire.Trail(failures=9, unknown=2), False),
        (wire.Trail(crashes=1), True),
        (wire.Trail(alone=1), True),
        (wire.Trail(lost=wire.LOST_BEFORE_ALONE - 1), False),
        (wire.Trail(lost=wire.LOST_BEFORE_ALONE), True),
    ],
)
def test_a_task_whose_process_died_runs_alone(trail: wire.Trail, is_alone: bool) -> None:
    assert trail.runs_alone is is_alone


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)


@given(st.dictionaries(st.text(max_size=10), JSON, max_size=5))
def test_any_detail_becomes_one_line_of_json(detail: dict[str, object]) -> None:
    encoded = wire.encode_detail(detail)

    assert isinstance(msgspec.json.decode(encoded), dict)
    assert b"\n" not in encoded
    assert len(encoded) <= wire.MAX_DETAIL_BYTES


@pytest.mark.parametrize(
    "detail",
    [
        {"text": "x" * 10**6},
        {"text": "\x00" * 10**5, "other": "ü" * 10**5},
        {"list": ["y" * 100] * 5000},
        {f"field{n}": "z" * 100 for n in range(3000)},
        {"k" * 50_000: 1},
        {"what": object(), "error": ValueError("x"), "bytes": b"\xff", "set": {1}},
        {"huge": 10**400, "nan": float("nan")},
    ],
    ids=["long", "escapes", "list", "fields", "key", "objects", "numbers"],
)
def test_a_detail_of_any_size_and_kind_is_bounded_and_readable(detail: dict[str, object]) -> None:
    encoded = wire.encode_detail(detail)

    assert len(encoded) <= wire.MAX_DETAIL_BYTES
    assert isinstance(msgspec.json.decode(encoded), dict)


def test_short_texts_stay_whole_beside_a_long_one_and_both_its_ends_are_kept() -> None:
    trace = "first line\n" + "x" * 100_000 + "\nValueError: the point"
    read = msgspec.json.decode(wire.encode_detail({"type": "ValueError", "message": "m" * 500, "traceback": trace}))

    assert (read["type"], read["message"]) == ("ValueError", "m" * 500)
    assert read["traceback"].startswith("first line\n")
    assert read["traceback"].endswith("ValueError: the point")
    assert "characters left out" in read["traceback"]
    assert len(read["traceback"]) > 5000


@given(st.text(max_size=200), st.integers(3, 300))
def test_a_cut_text_says_how_much_is_missing(text: str, limit: int) -> None:
    cut = wire.cut(text, limit)
    if len(text) <= limit:
        assert cut == text
    else:
        assert f"{len(text) - limit} characters left out" in cut
        assert cut.startswith(text[: limit // 3])


def view(**parts: object) -> wire.View:
    known: dict[str, object] = {
        "id": b"x@mail",
        "state": b"pending",
        "score": b"3518437208883201",
        "body": b'3518437208883201|1700|work|4|||{"a":1}',
        "payload_bytes": 7,
    }
    return wire.View(**{**known, **parts})  # type: ignore[arg-type]


def test_a_view_of_each_state_has_the_times_of_that_state() -> None:
    assert wire.task_view("mail", view()).priority == 100
    blocked = wire.task_view("mail", view(state=b"blocked", blocked_by=[b"x@mail>a@mail", b"x@mail>b@mail"]))
    assert (blocked.blocked_by, blocked.due_at_ms) == (("a@mail", "b@mail"), None)
    due = wire.task_view("mail", view(state=b"scheduled", score=b"1800"))
    assert (due.state, due.due_at_ms, due.finished_at_ms) == (TaskState.SCHEDULED, 1800, None)
    running = wire.task_view("mail", view(state=b"running", score=b"1900", token=b"1-a~1750~n.1|", trail=b"2|0|0|0|0"))
    assert (running.attempt, running.started_at_ms, running.lease_end_ms, running.worker_id) == (3, 1750, 1900, "n.1")
    record = b"1-a~1750~n.1|failed:timeout|3|20|" + msgspec.json.encode({"message": "a|b"})
    failed = wire.task_view("mail", view(state=b"failed", score=b"1790", record=record, trail=b"3|0|0|0|0"))
    assert (failed.attempt, failed.finished_at_ms, failed.duration_ms, failed.started_at_ms) == (3, 1790, 20, 1770)
    assert failed.error == {"reason": "timeout", "message": "a|b"}


@given(st.binary(max_size=30), st.sampled_from(["body", "token", "record", "trail", "attempts", "cancel"]))
def test_no_damage_to_one_part_of_a_task_hides_it(data: bytes, part: str) -> None:
    for state in TaskState:
        shown = wire.task_view("mail", view(state=state.value.encode(), score=b"1800", **{part: data}))
        assert (shown.id, shown.state) == ("x@mail", state)


DEEP = b"[" * 100_000 + b"]" * 100_000
HALF = b'{"message":"\xff"}'


@pytest.mark.parametrize(
    "text", [DEEP, HALF, b"{", b"", b"5", b"[1]"], ids=["deep", "half", "open", "none", "5", "list"]
)
def test_a_text_that_is_no_json_object_is_an_empty_one(text: bytes) -> None:
    assert wire.json_object(text) == {}


@pytest.mark.parametrize("text", [DEEP, HALF], ids=["deep", "half"])
def test_json_that_no_program_of_ours_wrote_never_hides_a_task(text: bytes) -> None:
    head = b"5|6|work|4||"
    shown = wire.task_view("mail", view(body=head + b"|" + text, payload_bytes=len(text)))
    assert (shown.type, shown.args) == ("work", None)
    assert shown.payload_text
    assert wire.task_view("mail", view(body=head + text + b"|{}")).type in {"?", "work"}
    for part in (
        {"record": b"1-a~5~w|ok|1|1|" + text},
        {"record": b"1-a~5~w|failed:error|1|1|" + text},
        {"attempts": b"1|1-a~5~w|retrying|1|1|" + text},
        {"cancel": text},
    ):
        assert wire.task_view("mail", view(state=b"failed", score=b"5", **part)).id == "x@mail"
