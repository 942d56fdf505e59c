"""The header says which broker, how fresh, and what is wrong; at any width."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest
from rich.cells import cell_len

from tq_console.tui.frame.status import LinkState, header_lines
from tq_console.tui.look.canvas import Line
from tq_console.tui.watch.snapshot import Question, ServerFacts, Snapshot, Trouble
from tq_core.model import TaskState
from tq_core.roles.inspector import Minute, Paused, QueueStats
from tq_core.roles.registry import Fleet, Member, WorkerInfo

NOW_MS = 1_700_000_030_000


def queue(**changes: object) -> QueueStats:
    depths = dict.fromkeys(TaskState, 0) | {TaskState.PENDING: 4102, TaskState.FAILED: 31}
    minute = Minute(NOW_MS // 60_000 * 60_000, {"completed": 300, "failures": 100, "enqueued": 600})
    numbers = QueueStats(
        queue="mail",
        now_ms=NOW_MS,
        depths=depths,
        counters={},
        limits={},
        paused=None,
        oldest_created_at_ms=NOW_MS - 131_000,
        next_due_at_ms=None,
        minutes=(minute,),
    )
    return msgspec.structs.replace(numbers, **changes)


def snapshot(**changes: object) -> Snapshot:
    worker = WorkerInfo(worker_id="n.1", node_id="n", pid=1, slots=4)
    members = (
        Member(id="n.1", seen_at_ms=0, silent_ms=100, info=worker),
        Member(id="n.2", seen_at_ms=0, silent_ms=99_000, info=worker),
    )
    one = queue()
    base = Snapshot(
        question=Question("overview"),
        now_ms=NOW_MS,
        taken_s=100.0,
        rtt_ms=0.84,
        queues=(one,),
        fleet=Fleet(now_ms=NOW_MS, nodes=(), workers=members),
        depths=one.depths,
    )
    return replace(base, **changes)  # type: ignore[arg-type]


def text(lines: list[Line]) -> str:
    return "\n".join("".join(span for span, _ in line) for line in lines)


LINK = LinkState("prod")


def test_the_numbers_that_say_whether_all_is_well_are_there() -> None:
    shown = text(header_lines(snapshot(), LINK, now_s=100.2, width=160))
    for words in ("prod", "rtt ≤1ms", "workers 1/2", "slots 0/4", "depth 4,102", "oldest 2m", "DLQ 31", "fail 25%"):
        assert words in shown, words


def test_a_narrow_terminal_shows_them_all_in_one_line() -> None:
    (line,) = header_lines(snapshot(), LINK, now_s=100.2, width=80)
    shown = text([line])
    for words in ("prod", "≤1ms", "W 1/2", "0/4", "Q 4,102", "2m", "DLQ 31", "✗ 25%", "in ", "out "):
        assert words in shown, words


@pytest.mark.parametrize("width", [40, 60, 80, 99, 100, 120, 200])
def test_the_header_is_never_wider_than_the_terminal(width: int) -> None:
    trouble = Trouble("no usable connection to redis://elsewhere (refused): is Redis running there?", "x", 0.0, 3, 1.0)
    for link in (LINK, replace(LINK, name="a" * 300, is_read_only=True, trouble=trouble, is_frozen=True)):
        lines = header_lines(snapshot(is_emptied=True), link, now_s=109.0, width=width)
        assert len(lines) == (1 if width < 100 else 2)
        assert all(sum(cell_len(span) for span, _ in line) <= width for line in lines)


def test_old_data_is_called_stale_with_its_age() -> None:
    assert "STALE" not in text(header_lines(snapshot(), LINK, now_s=102.9, width=120))
    assert "STALE 6s" in text(header_lines(snapshot(), LINK, now_s=106.0, width=120))


@pytest.mark.parametrize(
    ("code", "word"),
    [("broker_unreachable", "DISCONNECTED"), ("broker_refused", "REFUSED"), ("broker_error", "REFUSED")],
)
def test_trouble_says_what_it_is_and_keeps_the_age(code: str, word: str) -> None:
    link = replace(LINK, trouble=Trouble("no usable connection", code, 0.0, 1, 1.0))
    shown = text(header_lines(snapshot(), link, now_s=101.0, width=120))
    assert word in shown
    assert "STALE 1s" in shown
    assert "no usable connection" in shown
    assert "no data yet" in text(header_lines(None, link, now_s=101.0, width=120))


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"is_emptied": True}, "EMPTIED"),
        ({"server": ServerFacts(is_replica=True)}, "READ-ONLY REPLICA"),
        ({"server": ServerFacts(problem="its last write to disk failed")}, "last write to disk failed"),
        ({"rtt_ms": 900.0}, "slow rtt ≤1000ms"),
        ({"queues": (queue(paused=Paused("ann", "", 1)),)}, "1 paused"),
    ],
)
def test_what_is_wrong_with_the_broker_is_said(changes: dict[str, object], word: str) -> None:
    assert word in text(header_lines(snapshot(**changes), LINK, now_s=100.0, width=160))


@pytest.mark.parametrize("width", [60, 160])
def test_whether_changes_are_let_through_is_said_also_where_there_is_little_room(width: int) -> None:
    for changes, word in (
        ({"is_read_only": True, "is_for_looking": True}, " RO " if width == 60 else "READ-ONLY"),
        ({"is_read_only": True, "is_protected": True}, " LOCK " if width == 60 else " LOCKED "),
        ({"is_protected": True, "unlocked_s": 599.2}, " RW 10m " if width == 60 else " UNLOCKED 10m "),
        ({"is_protected": True, "unlocked_s": 42.0}, "42s"),
    ):
        lines = header_lines(snapshot(), replace(LINK, **changes), now_s=100.0, width=width)
        assert word in text(lines), changes
    (first, *_), *_ = header_lines(snapshot(), replace(LINK, color="#112233"), now_s=100.0, width=width)
    assert first[1] == "on #112233"


def test_read_only_and_frozen_are_said() -> None:
    link = replace(LINK, is_read_only=True, is_frozen=True)
    shown = text(header_lines(snapshot(), link, now_s=160.0, width=120))
    assert "READ-ONLY" in shown
    assert "FROZEN 1m" in shown


def test_nothing_measured_is_shown_as_nothing() -> None:
    calm = queue(depths=dict.fromkeys(TaskState, 0), minutes=(), oldest_created_at_ms=None)
    shown = text(header_lines(snapshot(queues=(calm,), depths=calm.depths), LINK, now_s=100.0, width=160))
    assert "oldest -" in shown
    assert "fail -" in shown
