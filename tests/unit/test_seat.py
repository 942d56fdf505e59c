"""The place of one worker, with a worker that does as the test wants."""

from __future__ import annotations

import asyncio
import gc
import signal
import time
import types
import weakref
from typing import Any

import pytest

from tq_worker.supervisor import seat as seats
from tq_worker.supervisor.seat import NO_DEADLINE_S, Seat


class Child:
    """Lives until it is told that it is dead."""

    def __init__(self, *_: Any, **__: Any) -> None:
        self.setup = types.SimpleNamespace(lease_s=0.0)
        self.worker_id, self.is_working, self.alive_at, self.started_at = "w.1", True, time.monotonic(), 0.0
        self.decided, self.dead = asyncio.Event(), asyncio.Event()
        self.ready = self.refused = None
        self.signals: list[int] = []
        self.killed = asyncio.Event()

    async def live(self) -> int:
        await self.dead.wait()
        return 0

    async def order(self, do: str, **_: Any) -> Any:
        return types.SimpleNamespace(ok=True, do=do)

    def signal(self, number: signal.Signals) -> None:
        self.signals.append(number)
        self.killed.set()


class Keeper:
    """A node of which nothing is expected."""

    is_leaving, is_serving, worker_processes = False, True, None
    log = types.SimpleNamespace(write=lambda *_, **__: None)

    def __getattr__(self, name: str) -> Any:
        return lambda *_: None


@pytest.fixture
async def seat(monkeypatch: pytest.MonkeyPatch) -> Seat:
    monkeypatch.setattr(seats, "WorkerChild", Child)
    monkeypatch.setattr(seats, "LOOK_EVERY_S", 0.02)
    monkeypatch.setattr(seats, "SILENT_MIN_S", 0.2)
    return Seat(Keeper())  # type: ignore[arg-type]


async def seated(seat: Seat) -> tuple[Any, asyncio.Task[None]]:
    keeping = asyncio.create_task(seat.keep())
    return await seat.first_child, keeping


async def test_a_worker_is_not_killed_for_what_a_frozen_supervisor_did_not_hear(seat: Seat) -> None:
    child, keeping = await seated(seat)
    await asyncio.sleep(0.05)
    time.sleep(0.4)  # noqa: ASYNC251, TID251 - the whole supervisor stands still
    for _ in range(3):
        await asyncio.sleep(0)
    assert child.signals == []

    # One that is silent from then on is killed as ever.
    async with asyncio.timeout(5):
        await child.killed.wait()
    assert child.signals == [signal.SIGKILL]
    seat.close()
    child.dead.set()
    await keeping


async def test_a_worker_that_had_a_day_to_leave_is_forgotten_when_it_is_dead(seat: Seat) -> None:
    child, keeping = await seated(seat)
    await seat.leave(deadline_s=NO_DEADLINE_S, why="it is worn")
    child.dead.set()
    await keeping
    seen = weakref.ref(child)
    seat.first_child = asyncio.get_running_loop().create_future()
    del child, keeping
    await asyncio.sleep(0)
    gc.collect()
    assert seen() is None


async def test_a_worker_that_leaves_is_killed_by_the_soonest_of_its_deadlines(
    seat: Seat, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seats, "KILL_AFTER_S", 0.0)
    monkeypatch.setattr(seats, "SILENT_MIN_S", 60.0)
    child, keeping = await seated(seat)
    for deadline_s in (60.0, 0.05, 30.0):
        await seat.leave(deadline_s=deadline_s, why="the test wants it")
    async with asyncio.timeout(5):
        await child.killed.wait()
    child.dead.set()
    await keeping
