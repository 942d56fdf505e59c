"""How many tasks a worker claims: what it can start, and a little ahead of that while tasks are short."""

from __future__ import annotations

import types

from tq_worker.worker.hold import LONGEST_WAIT_S, MAX_AHEAD, Hold


def busy_with(hold: Hold, duration_ms: float) -> Hold:
    for _ in range(100):
        hold.note_duration(duration_ms)
    return hold


def fed_well(hold: Hold, times: int) -> list[int]:
    wanted = []
    for _ in range(times):
        hold.fed(is_full=True, was_empty=True)
        wanted.append(hold.wanted)
    return wanted


def test_a_new_worker_claims_what_it_can_start() -> None:
    hold = Hold(4)
    assert hold.wanted == 4
    hold.running = 3
    assert hold.wanted == 1


def test_of_a_backlog_of_short_tasks_more_and_more_is_claimed_ahead_up_to_a_limit() -> None:
    hold = busy_with(Hold(4), 1)
    assert fed_well(hold, 8) == [5, 7, 11, 19, 35, 67, 104, 104]
    hold.running = 4
    assert hold.wanted == MAX_AHEAD
    hold.waiting.extend([object()] * MAX_AHEAD)  # type: ignore[list-item]
    assert hold.wanted == 0


def test_what_still_waits_here_is_no_reason_to_claim_more() -> None:
    hold = busy_with(Hold(4), 1)
    hold.fed(is_full=True, was_empty=False)
    assert hold.wanted == 4


def test_when_tasks_had_to_wait_here_or_the_backlog_is_over_less_is_claimed() -> None:
    hold = busy_with(Hold(4), 1)
    fed_well(hold, 4)
    hold.note_wait(LONGEST_WAIT_S * 2)
    hold.note_wait(0)
    hold.fed(is_full=True, was_empty=True)
    assert hold.wanted == 4 + 7
    hold.fed(is_full=True, was_empty=True)
    assert hold.wanted == 4 + 15
    hold.fed(is_full=False, was_empty=True)
    assert hold.wanted == 4


def test_long_tasks_are_claimed_as_slots_become_free_whatever_was_before() -> None:
    hold = busy_with(Hold(1), 1)
    fed_well(hold, 8)
    busy_with(hold, 5_000)
    assert hold.wanted == 1
    hold.running = 1
    assert hold.wanted == 0


def test_who_could_not_start_what_it_claimed_ahead_claims_nothing_ahead() -> None:
    hold = busy_with(Hold(1), 1)
    fed_well(hold, 8)
    old, new = types.SimpleNamespace(claimed_at=1.0), types.SimpleNamespace(claimed_at=3.0)
    hold.waiting.extend([old, new])  # type: ignore[list-item]
    assert hold.take_stranded(claimed_before=1.0) == []
    assert hold.wanted > 1
    assert hold.take_stranded(claimed_before=2.0) == [old]
    assert hold.wanted == 0
