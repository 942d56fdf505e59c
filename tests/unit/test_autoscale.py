"""The rule by which a node scales itself, minute by minute, without a node."""

from __future__ import annotations

import itertools
import math
from typing import Any

import msgspec
import pytest

from tq_core.errors import InvalidInputError
from tq_core.worker_bounds import Bounds
from tq_worker.supervisor.autoscale import CALM_S, LONGEST_CALM_S, UP_COOLDOWN_S, Decision, Load, Memory, decide

BOUNDS = Bounds(1, 8)


def load(**fields: Any) -> Load:
    return Load(
        **{"processes": 1, "slots": 10, "running": 0, "backlog": 0.0, "wait_s": 0.0, "taken_per_s": 0.0} | fields
    )


def decided(seen: Load, memory: Memory | None = None, now: float = 1000.0, bounds: Bounds = BOUNDS) -> Decision | None:
    return decide(bounds, seen, memory or Memory(), now)[0]


def test_more_workers_come_when_tasks_wait_that_no_free_slot_could_take() -> None:
    decision = decided(load(running=10, backlog=25, wait_s=4.2))

    assert decision == Decision(2, "25 tasks wait, the oldest for 4.2 s, and 0 of 10 slots are free")


@pytest.mark.parametrize(
    ("seen", "processes"),
    [
        (load(running=10, backlog=1000, wait_s=9), 2),  # at most twice as many
        (load(processes=4, running=40, backlog=1, wait_s=9), 5),  # no more than are needed
        (load(processes=6, running=60, backlog=1000, wait_s=9), 8),  # never over the bound
        (load(processes=0, backlog=1), 1),  # without a worker nothing is waited for
        (load(processes=4, running=40, backlog=50, wait_s=9, taken_per_s=20), 5),  # as fast as they go, it takes 2.5 s
    ],
)
def test_how_many_more(seen: Load, processes: int) -> None:
    decision = decided(seen, bounds=Bounds(0, 8))
    assert decision is not None
    assert decision.processes == processes


@pytest.mark.parametrize(
    "seen",
    [
        load(running=10, backlog=25, wait_s=1),  # not for long
        load(running=2, backlog=5, wait_s=60),  # slots are free: they will be taken
        load(running=10, backlog=1000, wait_s=9, taken_per_s=1000),  # short tasks: gone in a second
        load(processes=8, running=80, backlog=1000, wait_s=9),  # at the bound
        load(running=10, backlog=0.4, wait_s=9),  # another node's share
    ],
)
def test_no_more_workers_come_when_they_are_not_needed(seen: Load) -> None:
    assert decided(seen) is None


def test_more_come_only_after_the_last_ones_have_begun() -> None:
    seen, memory = load(processes=2, running=20, backlog=100, wait_s=9), Memory(changed_at=1000.0)

    assert decided(seen, memory, 1000 + UP_COOLDOWN_S - 0.1) is None
    assert decided(seen, memory, 1000 + UP_COOLDOWN_S) is not None


def follow(seconds: int, processes: int, of: Any, memory: Memory | None = None) -> list[tuple[int, int, str]]:
    """What is decided, second by second; `of` says from the second and the number of workers what is seen."""
    memory, changes = memory or Memory(), []
    for second in range(seconds):
        decision, memory = decide(BOUNDS, of(second, processes), memory, float(second))
        if decision is not None:
            assert 1 <= decision.processes <= 8
            assert decision.why
            processes = decision.processes
            changes.append((second, processes, decision.why))
    return changes


def test_workers_go_one_by_one_after_a_calm_time() -> None:
    changes = follow(200, 4, lambda _, have: load(processes=have, running=3))

    assert [(second, have) for second, have, _ in changes] == [(30, 3), (61, 2), (92, 1)]
    assert changes[0][2] == "3 of 4 workers would have done for 30 s; 3 running"


def test_none_goes_while_one_less_would_be_nearly_full() -> None:
    assert follow(600, 2, lambda _, have: load(processes=have, running=9)) == []
    busy_now_and_then = follow(600, 2, lambda second, have: load(processes=have, running=9 if second % 20 == 0 else 0))
    assert busy_now_and_then == []


def test_a_load_that_needs_one_more_than_the_rest_could_take_does_not_make_it_swing() -> None:
    # Short tasks: hardly any is seen running, and yet one worker cannot keep up.
    def of(_: int, have: int) -> Load:
        is_enough = have >= 2
        return load(processes=have, running=2 if is_enough else 10, backlog=0 if is_enough else 500, wait_s=5)

    changes = follow(3600, 2, of)

    times = [second for second, have, _ in changes if have == 1]
    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert len(times) <= 12
    assert all(later >= earlier for earlier, later in itertools.pairwise(gaps))
    assert gaps[-1] >= LONGEST_CALM_S / 2


def test_after_a_peaceful_hour_it_lets_go_as_soon_as_at_first() -> None:
    memory = Memory(lowered_at=0.0, changed_at=0.0, calm_s=LONGEST_CALM_S)
    _, raised = decide(BOUNDS, load(running=10, backlog=50, wait_s=9), memory, 7200.0)
    assert raised.calm_s == CALM_S


def test_bounds_that_were_set_anew_are_kept_at_once() -> None:
    assert decided(load(processes=9)) == Decision(8, "the bounds are 1:8")
    assert decided(load(processes=1), bounds=Bounds(3, 4)) == Decision(3, "the bounds are 3:4")


def test_nothing_that_is_seen_makes_it_leave_its_bounds() -> None:
    for value in (0.0, 1e18, math.inf):
        for processes in (0, 1, 8):
            seen = load(processes=processes, running=processes * 10, backlog=value, wait_s=value, taken_per_s=1e-12)
            decision, memory = decide(BOUNDS, msgspec.structs.replace(seen, backlog=min(value, 1e18)), Memory(), 0.0)
            assert decision is None or 1 <= decision.processes <= 8
            assert memory.calm_s >= CALM_S


def test_bounds_are_read() -> None:
    assert Bounds.parse("0:256") == Bounds(0, 256)
    for text in ("", "3", "1:", ":1", "2:1", "0:0", "1:257", "-1:3", "1:3:5", "1.5:3", "a:b", "٣:٤", "1" * 5000 + ":2"):
        with pytest.raises(InvalidInputError, match="no MIN:MAX"):
            Bounds.parse(text)
