"""What is done for the tasks of a process whose event loop does not answer, from another thread, before it ends."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TypeVar

from tq_core.errors import TqError
from tq_core.roles import consumer
from tq_core.transport.runner import SyncRunner
from tq_core.transport.steps import Flow
from tq_worker.board import Board
from tq_worker.verdict import Verdict
from tq_worker.worker.hold import Hold
from tq_worker.worker.outbox import Outbox
from tq_worker.worker.run import Run, Stage
from tq_worker.worker.task_log import TaskLog

T = TypeVar("T")


def settle(
    runner: SyncRunner,
    *,
    hold: Hold,
    outbox: Outbox,
    board: Board,
    victims: Mapping[Run, Verdict],
    blocker: Run | None,
    log: TaskLog,
) -> None:
    """Tells the broker what became of each task of this process.

    Args:
        victims: Tasks that the process ends for, with what they get.
        blocker: The task that holds up the loop. Unless it is a victim it stays on the board, so that the supervisor
            counts it as a crash and has it run alone, where it holds up nobody.
    """
    while outbox:
        for delivery in outbox.take():
            # What became of them is counted and logged as if the loop had heard it.
            _try(runner, delivery.flow(), delivery.told)
    spared: dict[str, list[consumer.ClaimedTask]] = {}
    for run in list(hold.runs.values()):
        if run is blocker and run not in victims:
            continue
        if verdict := victims.get(run):
            _end(runner, run, verdict, log)
        elif run.stage in (Stage.WAITING, Stage.RUNNING):
            spared.setdefault(run.task.queue, []).append(run.task)
        if run.place is not None:
            board.wipe(run.place)
    for tasks in spared.values():
        _try(runner, consumer.release(tasks))


def _end(runner: SyncRunner, run: Run, verdict: Verdict, log: TaskLog) -> None:
    run.ran_s = time.monotonic() - run.started
    run.duration_ms = int(run.ran_s * 1000)
    if verdict.verdict != "cancel":
        log.failed(run, verdict)
    outcome = _try(runner, _failed(run, verdict))
    if outcome is not None:
        log.decided(run, outcome, verdict.reason)


def _failed(run: Run, verdict: Verdict) -> Flow[consumer.Outcome]:
    return consumer.fail(
        run.task,
        verdict=verdict.verdict,
        reason=verdict.reason,
        delay_ms=verdict.delay_ms,
        duration_ms=run.duration_ms,
        detail=verdict.detail,
    )


def _try(runner: SyncRunner, flow: Flow[T], told: Callable[[T], None] = lambda _: None) -> T | None:
    try:
        answer = runner.run(flow)
    except TqError:
        return None  # the supervisor gives back what is left
    told(answer)
    return answer
