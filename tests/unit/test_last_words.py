"""What runs have said, and how they ended, is told once: also where nobody waits for it, or nobody could listen."""

from __future__ import annotations

import asyncio
import os
from typing import Any

from tq_core.keyspace.wire import NO_TRAIL
from tq_core.roles.consumer import ClaimedTask
from tq_worker import board, counted
from tq_worker.lifecycle_log import LifecycleLog
from tq_worker.worker import last_rites
from tq_worker.worker.counting import CountingTaskLog
from tq_worker.worker.hold import Hold
from tq_worker.worker.notes import Notes
from tq_worker.worker.outbox import Outbox
from tq_worker.worker.reports import Reports
from tq_worker.worker.run import Run


class Answers:
    """In place of a broker: it answers each flow with the next of these."""

    def __init__(self, *answers: Any) -> None:
        self._answers = list(answers)

    def run(self, _flow: Any) -> Any:
        return self._answers.pop(0)


class Desk:
    """What a worker reports with."""

    def __init__(self) -> None:
        self.hold, self.outbox = Hold(4), Outbox()
        self.board = board.Board(board.new_file())
        self.log = CountingTaskLog(LifecycleLog(os.open(os.devnull, os.O_WRONLY), level="error"), "w")
        self.notes = Notes(self.outbox, asyncio.get_running_loop())
        self.reports = Reports(hold=self.hold, board=self.board, outbox=self.outbox, notes=self.notes, log=self.log)

    def claimed(self, task_id: str) -> Run:
        run = Run(ClaimedTask("q", task_id, b"1-a~1~w.1|", None, b"{}", NO_TRAIL, 0), 0.0)
        self.hold.add(run)
        return self.hold.waiting.popleft()


async def test_of_a_run_whose_lease_was_lost_nothing_is_kept() -> None:
    desk = Desk()
    run = desk.claimed("a")
    desk.notes.said(run, "one")

    desk.reports.lost(run, "another claim has it")
    desk.notes.said(run, "two")  # its handler does not know yet
    desk.notes.progressed(run, 0.5, "half")

    assert desk.notes._pads == {}
    assert not desk.outbox


async def test_what_a_hanging_loop_had_not_told_is_counted_when_it_is_told_for_it() -> None:
    desk = Desk()
    done, failed = desk.claimed("a"), desk.claimed("b")
    done.place = desk.board.note("a", 1, is_alone=False)
    desk.reports.succeeded(done, b"1")
    desk.reports.released(failed, "no slot")

    last_rites.settle(
        Answers(["K"], ["failed"]),  # type: ignore[arg-type]
        hold=desk.hold,
        outbox=desk.outbox,
        board=desk.board,
        victims={},
        blocker=None,
        log=desk.log,
    )

    news = desk.log.news()
    assert news is not None
    ((_, _, row),) = news.rows
    assert (row[counted.COMPLETED], row[counted.DEAD_LETTERED]) == (1, 1)
    assert desk.hold.runs == {}
    assert desk.hold.completed == 1
