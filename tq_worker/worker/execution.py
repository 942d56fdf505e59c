"""Runs what was claimed and decides what each end means: the part between claim and outbox."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from tq_core.errors import HardTimeoutError, TqError
from tq_core.roles import consumer
from tq_core.tasks.context import TaskContext
from tq_core.tasks.registered_task import Task
from tq_core.tasks.task import TaskDefinition
from tq_worker.board import Board
from tq_worker.verdict import Verdict, classify
from tq_worker.worker import crash_points
from tq_worker.worker.coroutines import CoroutineExecution
from tq_worker.worker.hold import Hold
from tq_worker.worker.notes import Notes
from tq_worker.worker.reports import Reports
from tq_worker.worker.run import Ending, Execution, Outcome, Run, Stage
from tq_worker.worker.run_span import RunTracing
from tq_worker.worker.task_log import TaskLog
from tq_worker.worker.threads import ThreadExecution, ThreadPool

INSIST_AFTER_S = 0.8
"""How long a handler may take to stop before it is told again."""
STUCK_AFTER_S = 1.6
"""When its process has to end for it; with the grace of its neighbours that is within five seconds."""

STRANDED_AFTER_S = 1.0
"""How long a claimed task may wait for a slot: it was fetched ahead while tasks were short, and then they were not."""

_ASKED = {"cancel": "cancelled", "kill": "killed"}


class Isolation(Protocol):
    """Starts processes for tasks that need one of their own."""

    def start(self, run: Run) -> Execution:
        """Runs the task in a new process; its end is reported as that of any other.

        Raises:
            TqError: there can be none.
        """


class _Unstarted:
    """In place of a process that could not be made."""

    is_alone = True

    def cancel(self, why: str) -> None:
        """Nothing: its end is on its way."""

    def interrupt(self, why: str) -> None:
        """Nothing: its end is on its way."""


class Floor:
    """Where the tasks of one process run."""

    def __init__(
        self,
        tasks: Mapping[str, TaskDefinition],
        *,
        worker_id: str,
        hold: Hold,
        board: Board,
        reports: Reports,
        notes: Notes,
        log: TaskLog,
        tracing: RunTracing | None,
        wake: Callable[[], None],
        stuck: Callable[[Run], None],
    ) -> None:
        self._tasks, self._worker_id = tasks, worker_id
        self._hold, self._board, self._reports, self._log = hold, board, reports, log
        self._notes, self._wake, self._stuck = notes, wake, stuck
        self._tracing = tracing
        # What the users' code has set while it was loaded; each handler gets a copy. Without it a task that is started
        # because another ended would inherit what that one has set.
        self._context = contextvars.copy_context()
        self._threads = ThreadPool(self.ended, self._context)
        self.isolation: Isolation | None = None

    # --- claimed -> running ---

    def accept(self, claim: consumer.Claim, deadline: float) -> None:
        """Takes in what a claim brought, and starts as much of it as there are slots.

        Args:
            deadline: When they must have stopped, by the monotonic clock, counted from when the claim was sent.
        """
        # An answer that was long on its way brings tasks that others may have begun.
        is_late = time.monotonic() >= deadline
        for task in claim.tasks:
            run = Run(task, deadline)
            older = self._hold.add(run)
            if older is not None:
                # Somebody reclaimed it: our first run of it lost its lease without our knowing yet.
                self.stop(older, Ending("lost", "this worker claimed the task again"))
            self._log.assigned(run)
            if is_late:
                self.stop(run, Ending("release", "the answer to its claim came too late"))
        self.start_waiting()

    def start_waiting(self) -> None:
        """Starts waiting tasks while slots are free."""
        hold = self._hold
        while hold.waiting and hold.running < hold.slots and self._board.has_room:
            self._start(hold.waiting.popleft())

    def _said(self, run: Run, text: str) -> None:
        self._log.said(run, text)
        self._notes.said(run, text)

    def give_back_stranded(self) -> None:
        """Gives back what has waited too long for a slot here: another worker may have one."""
        for run in self._hold.take_stranded(claimed_before=time.monotonic() - STRANDED_AFTER_S):
            self._reports.released(run, "no slot became free for it here")

    def _start(self, run: Run) -> None:
        task = run.task
        header = task.header
        if header is None:
            detail = {"type": "CorruptTask", "message": "the task's body cannot be read"}
            self._reports.failed(run, Verdict("fatal", "corrupt", detail, 0))
            return
        definition = self._tasks.get(header.task_type)
        if definition is None:
            self._reports.unknown(run)
            return
        run.definition = definition
        if self._tracing is not None:
            self._tracing.begin(run)
        is_alone = definition.is_isolated or task.trail.runs_alone or header.options.memory_limit_mb is not None
        kwargs: dict[str, Any] = {}
        if not is_alone:
            try:
                kwargs = definition.bind(task.payload)
            except Exception as error:  # noqa: BLE001 - converting arguments may run users' code
                self._reports.failed(run, classify(error, definition, task.attempt, retry=header.options.retry))
                return
        timeout_s = header.options.timeout_s if header.options.timeout_s is not None else definition.timeout_s
        soft_s = (
            header.options.soft_timeout_s if header.options.soft_timeout_s is not None else definition.soft_timeout_s
        )
        run.context = context = TaskContext(
            task_id=task.id,
            task_type=header.task_type,
            queue=task.queue,
            attempt=task.attempt,
            max_attempts=header.max_attempts,
            token=task.token.decode("ascii", "replace").rstrip("|"),
            worker_id=self._worker_id,
            timeout_s=timeout_s,
            soft_timeout_s=soft_s,
            task_queue=definition.task_queue if isinstance(definition, Task) else None,
            trace=None if run.span is None else run.span.trace,
            trace_id=header.options.trace_id if run.span is None else run.span.trace.trace_id,
            progress=functools.partial(self._notes.progressed, run),
            log=functools.partial(self._said, run),
        )
        if definition.context_parameter is not None and not is_alone:
            kwargs[definition.context_parameter] = context
        now_s = time.time()
        run.started, run.started_at_ms = time.monotonic(), int(now_s * 1000)
        self._hold.note_wait(run.started - run.claimed_at)
        run.place = self._board.note(task.id, run.started_at_ms, is_alone=is_alone)
        run.stage = Stage.RUNNING
        self._hold.running += 1
        self._log.started(run)
        crash_points.reach("in_handler")
        if timeout_s is not None:
            run.hard_deadline = run.started + timeout_s
            run.timer = asyncio.get_running_loop().call_later(
                timeout_s, self._timed_out, run, timeout_s, context=self._context
            )
        if is_alone:
            assert self.isolation is not None
            try:
                run.execution = self.isolation.start(run)
            except TqError as error:
                run.execution = _Unstarted()
                asyncio.get_running_loop().call_soon(self.ended, run, Outcome(error=error))
            return
        execution: CoroutineExecution | ThreadExecution
        if definition.is_async:
            execution = CoroutineExecution(run, kwargs, self.ended, context=self._context.copy())
        else:
            execution = self._threads.start(run, kwargs)
        run.execution = execution
        if soft_s is not None:
            run.ladder = asyncio.get_running_loop().call_later(soft_s, execution.warn, context=self._context)

    # --- stopping ---

    def stop(self, run: Run, ending: Ending) -> None:
        """Ends a run before its handler ends by itself; a firmer wish replaces a gentler one."""
        if run.stage in (Stage.ENDED, Stage.GONE):
            return
        if run.stage is Stage.WAITING:
            self._stop_waiting(run, ending)
            return
        assert run.context is not None
        assert run.execution is not None
        if ending.kind == "lost":
            self._reports.lost(run, ending.why)
        elif run.ending is not None and (ending.kind in (run.ending.kind, "cancel")):
            return
        run.ending = ending
        run.note_step("asked")
        run.context.request_cancel(_ASKED.get(ending.kind, ending.kind))
        run.execution.cancel(ending.why)
        if ending.kind != "cancel":
            run.note_step("interrupted")
            run.execution.interrupt(ending.why)
            self._climb(run, INSIST_AFTER_S, self._insist)

    def _stop_waiting(self, run: Run, ending: Ending) -> None:
        self._hold.waiting.remove(run)
        if ending.kind == "lost":
            self._reports.forget(run)
        elif ending.kind == "release":
            self._reports.released(run, ending.why)
        else:
            self._reports.failed(run, _cancelled(ending))

    def _timed_out(self, run: Run, timeout_s: float) -> None:
        self.stop(run, Ending("timeout", f"it ran longer than its timeout of {timeout_s:g} s"))

    def _climb(self, run: Run, delay_s: float, step: Callable[[Run], None]) -> None:
        if run.ladder is not None:
            run.ladder.cancel()
        run.ladder = asyncio.get_running_loop().call_later(delay_s, step, run)

    def _insist(self, run: Run) -> None:
        if run.execution is not None and run.ending is not None and self._is_at_work(run):
            # An isolated task's process is ended the second time.
            run.note_step("process ended" if run.execution.is_alone else "told again")
            run.execution.interrupt(run.ending.why)
            self._climb(run, STUCK_AFTER_S - INSIST_AFTER_S, self._give_up)

    def _give_up(self, run: Run) -> None:
        if not self._is_at_work(run) or run.ending is None or run.execution is None:
            return
        if run.execution.is_alone:
            run.execution.interrupt(run.ending.why)
            self._climb(run, STUCK_AFTER_S, self._give_up)
        elif run.ending.kind in ("kill", "timeout"):
            self._stuck(run)

    @staticmethod
    def _is_at_work(run: Run) -> bool:
        return run.stage is Stage.RUNNING

    def abandon(self, run: Run, why: str) -> None:
        """Gives a running task back although its handler does not stop: the process ends with it."""
        self._reports.wipe(run)
        self._reports.released(run, why)

    def convict(self, run: Run) -> None:
        """Records the end of a task whose handler does not stop: the process ends for it."""
        if run.stage is Stage.RUNNING:
            run.duration_ms = int((time.monotonic() - run.started) * 1000)
            self._reports.failed(run, self.sentence(run))

    def sentence(self, run: Run) -> Verdict:
        """What a task gets that has to be ended by force."""
        if run.ending is None:
            # The loop hung, so that nobody could take the steps before this one.
            run.note_step("asked", run.kill_asked or run.hard_deadline)
            run.note_step("process ended")
        return _with_steps(self._sentence(run), run)

    def _sentence(self, run: Run) -> Verdict:
        header = run.task.header
        assert header is not None
        ending = run.ending
        if ending is None and run.kill_asked is not None:
            ending = Ending("kill", "killed while its handler held up the event loop")
        if ending is not None and ending.kind in _ASKED:
            return _cancelled(ending)
        why = ending.why if ending is not None else "it held up the event loop past its timeout"
        error = HardTimeoutError(f"{run.type_name}: {why}; it did not stop, and its process was ended")
        return classify(error, run.definition, run.task.attempt, retry=header.options.retry)

    # --- running -> ended ---

    def ended(self, run: Run, outcome: Outcome) -> None:
        """Learns how a handler ended."""
        self._hold.running -= 1
        run.ran_s = time.monotonic() - run.started
        run.duration_ms = int(run.ran_s * 1000)
        if run.timer is not None:
            run.timer.cancel()
        if run.ladder is not None:
            run.ladder.cancel()
        if run.stage is Stage.RUNNING:
            self._hold.note_duration(run.ran_s * 1000)
            self._judge(run, outcome)
        self.start_waiting()
        if run.answer:
            for tell in run.answer:
                tell(run)
        # They refer to one another: without this, every task is left to the garbage collector, a third of its cost.
        run.execution = run.context = run.timer = run.ladder = None
        self._hold.ended.set()
        self._wake()

    def _judge(self, run: Run, outcome: Outcome) -> None:
        task, ending = run.task, run.ending
        header = task.header
        assert header is not None
        if outcome.result is not None:
            self._reports.succeeded(run, outcome.result)
            return
        if ending is not None and ending.kind == "release":
            self._reports.released(run, ending.why)
            return
        if outcome.crash is not None and (ending is None or ending.kind not in ("kill", "timeout", "cancel")):
            self._reports.crashed(run, outcome.crash)
            return
        if outcome.failure is not None and (ending is None or ending.kind == "cancel"):
            self._reports.failed(run, Verdict(**outcome.failure))
            return
        error = outcome.error
        if ending is not None and ending.kind == "timeout":
            trace = error.__traceback__ if error is not None else None
            error = HardTimeoutError(f"{run.type_name}: {ending.why}").with_traceback(trace)
        elif error is None:
            assert ending is not None
            self._reports.failed(run, _with_steps(_cancelled(ending), run))
            return
        asked = ending.kind if ending is not None and ending.kind in _ASKED else None
        verdict = classify(error, run.definition, task.attempt, retry=header.options.retry, asked=asked)
        self._reports.failed(run, _with_steps(verdict, run))


def _with_steps(verdict: Verdict, run: Run) -> Verdict:
    """The verdict with what was done to stop the handler, where it was more than asking."""
    if run.steps is None or run.steps[-1][0] == "asked":
        return verdict
    return verdict._replace(detail={**verdict.detail, "stopping": run.steps})


def _cancelled(ending: Ending) -> Verdict:
    return Verdict("cancel", _ASKED.get(ending.kind, ending.kind), {"message": ending.why}, 0)
