"""What becomes of runs, put into words for the broker, the log and the slot board."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tq_core.errors import BrokerError
from tq_core.roles import consumer
from tq_core.transport.steps import Flow
from tq_worker.board import Board
from tq_worker.verdict import Verdict
from tq_worker.worker.hold import Hold
from tq_worker.worker.notes import Notes
from tq_worker.worker.outbox import Delivery, Outbox
from tq_worker.worker.run import Run, Stage
from tq_worker.worker.task_log import TaskLog


class Reports:
    """Tells each end once; a task stays on the board and in the hold until the broker has heard of it."""

    def __init__(self, *, hold: Hold, board: Board, outbox: Outbox, notes: Notes, log: TaskLog) -> None:
        self._hold, self._board, self._outbox, self._notes, self._log = hold, board, outbox, notes, log
        outbox.recorded = self._recorded

    def succeeded(self, run: Run, result: bytes) -> None:
        """Its handler returned."""
        task = run.task
        run.stage = Stage.ENDED
        if run.span is not None:
            run.span.succeeded()
        self._notes.ending(run)
        waited_ms = 0
        if task.header is not None and not task.trail.failures:
            waited_ms = max(0, task.claimed_at_ms - task.header.created_at_ms)
        self._outbox.ack(run, consumer.Ack(task, result, run.duration_ms, waited_ms))

    def failed(self, run: Run, verdict: Verdict) -> None:
        """It has no result, and a verdict says what follows."""
        run.stage = Stage.ENDED
        if run.span is not None:
            run.span.failed(verdict)
        self._notes.ending(run)
        if verdict.verdict != "cancel":
            self._hold.failed += 1
            self._log.failed(run, verdict)

        def flow() -> Flow[consumer.Outcome]:
            return consumer.fail(
                run.task,
                verdict=verdict.verdict,
                reason=verdict.reason,
                delay_ms=verdict.delay_ms,
                duration_ms=run.duration_ms,
                detail=verdict.detail,
            )

        self._decide(run, flow, lambda _: verdict.reason)

    def crashed(self, run: Run, detail: dict[str, Any]) -> None:
        """It took its own process down."""
        run.stage = Stage.ENDED
        if run.span is not None:
            run.span.crashed(detail)
        self._notes.ending(run)
        self._hold.failed += 1
        self._log.crashed(run, detail)
        self._decide(
            run,
            lambda: consumer.crash(run.task, detail=detail),
            lambda outcome: "poison" if outcome.word == "failed" else "crash",
        )

    def released(self, run: Run, why: str) -> None:
        """It is given back at no cost."""
        self._give_back(run, consumer.release, why)

    def unknown(self, run: Run) -> None:
        """It is given back because nobody here knows its type."""
        self._give_back(run, consumer.release_unknown, "its type is not known here")

    def lost(self, run: Run, why: str) -> None:
        """Another claim has it, or will: nothing is said about it any more."""
        if run.span is not None:
            run.span.lost(why)
        self.forget(run)
        self._log.lost(run, why)

    def dropped(self, delivery: Delivery, error: BrokerError) -> None:
        """The broker answered one delivery with an error: its lease will run out and the task be run again."""
        for run in delivery.runs:
            if run.span is not None:
                run.span.lost(error.message)
            self.forget(run)
            self._log.refused(run, error.message)

    def wipe(self, run: Run) -> None:
        """Takes a task off the board: should the process die now, that would not be its fault."""
        if run.place is not None:
            self._board.wipe(run.place)
            run.place = None

    def forget(self, run: Run) -> None:
        """Holds a task no longer."""
        if run.span is not None:
            run.span.end()
        self.wipe(run)
        self._hold.drop(run)
        self._notes.forget(run)

    def _decide(
        self, run: Run, flow: Callable[[], Flow[consumer.Outcome]], reason: Callable[[consumer.Outcome], str]
    ) -> None:
        def told(outcome: consumer.Outcome) -> None:
            if run.span is not None:
                run.span.decided(outcome)
            self.forget(run)
            self._log.decided(run, outcome, reason(outcome))

        self._outbox.add(Delivery(flow, told, (run,)))

    def _give_back(self, run: Run, flow: Callable[[list[consumer.ClaimedTask]], Flow[list[str]]], why: str) -> None:
        run.stage = Stage.ENDED
        if run.span is not None:
            run.span.released(why)
        self._notes.ending(run)

        def told(words: list[str]) -> None:
            self.forget(run)
            self._log.released(run, words[0], why)

        self._outbox.add(Delivery(lambda: flow([run.task]), told, (run,)))

    def _recorded(self, run: Run, word: str) -> None:
        self.forget(run)
        if word == "K":
            self._hold.completed += 1
        self._log.completed(run, word)
