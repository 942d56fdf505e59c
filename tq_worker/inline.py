"""Runs tasks in this process until none is left: for tests, first steps and one-off scripts.

    tq = TaskQueue("memory://")
    ...
    send_mail.enqueue_sync(to="a@example.org")
    report = InlineWorker(tq).run_until_empty()
    assert report.completed == 1

The tasks go through the same claims, verdicts and records as in a daemon, one after the other, on whatever broker the
queue is on. What needs processes is not provided: an isolated task runs here like any other, a handler that kills its
process kills this one, and a plain function that does not listen when its time is up is left behind in its thread.
"""

from __future__ import annotations

import asyncio
import dataclasses
import os
import re
import secrets
import socket
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from tq_core import tracing
from tq_core.errors import BrokerError, HardTimeoutError, RefusedError
from tq_core.model import TaskState
from tq_core.roles import consumer, inspector, limits, maintenance, outbox, registry, schedules
from tq_core.roles.consumer import ClaimedTask
from tq_core.tasks.context import TaskContext
from tq_core.tasks.registered_task import Task
from tq_core.tasks.task import TaskDefinition
from tq_core.tasks.task_queue import TaskQueue
from tq_core.transport.runner import AsyncRunner
from tq_worker.verdict import Verdict, classify
from tq_worker.worker.coroutines import CoroutineExecution
from tq_worker.worker.run import Outcome, Run
from tq_worker.worker.threads import ThreadPool

if TYPE_CHECKING:
    from tq_worker.worker.run_span import RunSpan

GRACE_S = 2.0
"""How long a handler may take to stop once it was told to."""


class InlineOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one attempt."""

    task_id: str
    task_type: str
    state: str
    """completed, retrying, failed, cancelled, released (its type is unknown here) or stale (another has it)."""
    attempt: int
    reason: str = ""
    error: dict[str, Any] = {}
    """type, message, traceback and more, where the handler raised."""


class InlineReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a run did."""

    outcomes: tuple[InlineOutcome, ...] = ()
    """One for each attempt, in order."""
    delayed: int = 0
    """Tasks left that are due later: scheduled, or waiting for their next attempt."""

    def count(self, state: str) -> int:
        """How many attempts ended so."""
        return sum(outcome.state == state for outcome in self.outcomes)

    @property
    def completed(self) -> int:
        return self.count("completed")

    @property
    def retried(self) -> int:
        """Attempts that failed with more to come."""
        return self.count("retrying")

    @property
    def failed(self) -> int:
        """Tasks that ended in the DLQ."""
        return self.count("failed")

    @property
    def cancelled(self) -> int:
        return self.count("cancelled")

    @property
    def errors(self) -> tuple[dict[str, Any], ...]:
        """What the handlers raised, in order."""
        return tuple(outcome.error for outcome in self.outcomes if outcome.error)


class InlineWorker:
    """A worker without a daemon."""

    def __init__(
        self, task_queue: TaskQueue, *, queues: Sequence[str] | None = None, lease_ms: int = consumer.LEASE_MS
    ) -> None:
        """Makes a worker that has not started.

        Args:
            queues: Which it serves; None = those of the types, those that this program has sent to, and `default`.
        """
        self._task_queue = task_queue
        self._queues = tuple(queues) if queues is not None else None
        self._lease_ms = lease_ms

    def run_until_empty(self, *, skip_delays: bool = False, max_tasks: int | None = None) -> InlineReport:
        """Runs tasks until none is pending; what its schedules should have fired by now is among them.

        Args:
            skip_delays: Also run what is due later, at once and in the order in which it is due, whoever enqueued it;
                without it such tasks are left and counted.
            max_tasks: Stop after so many attempts.

        Raises:
            RefusedError: called from a running event loop: await `arun_until_empty` there.
        """
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return asyncio.run(self.arun_until_empty(skip_delays=skip_delays, max_tasks=max_tasks))
        raise RefusedError("an event loop runs here already: use `await worker.arun_until_empty()`")

    async def arun_until_empty(self, *, skip_delays: bool = False, max_tasks: int | None = None) -> InlineReport:
        """As `run_until_empty`, from a coroutine."""
        session = _Session(self._task_queue, self._lease_ms)
        try:
            await session.serve(self._queues, skip_delays=skip_delays, max_tasks=max_tasks)
            numbers = await self._task_queue.run(inspector.stats(self._queues or self._task_queue.queues))
        finally:
            await session.aclose()
        waiting = (TaskState.SCHEDULED, TaskState.RETRYING)
        return InlineReport(
            outcomes=tuple(session.outcomes), delayed=sum(n.depths[state] for n in numbers for state in waiting)
        )


class _Session:
    """One run of an inline worker, on one event loop."""

    def __init__(self, task_queue: TaskQueue, lease_ms: int) -> None:
        self._task_queue, self._lease_ms = task_queue, lease_ms
        self._worker_id = f"inline-{_plain_host()}-{os.getpid()}-{secrets.token_hex(3)}.0"
        self._ends: dict[Run, asyncio.Future[Outcome]] = {}
        self._threads = ThreadPool(self._ended)
        self._ahead: AsyncRunner | None = None
        self._ahead_ms = 0
        self.outcomes: list[InlineOutcome] = []

    async def serve(self, queues: tuple[str, ...] | None, *, skip_delays: bool, max_tasks: int | None) -> None:
        """Runs what there is."""
        declared = self._task_queue.schedules.values()
        if declared:
            await self._task_queue.run(schedules.declare(declared, is_start=True))
        published = [task.published() for task in self._task_queue.tasks.values()]
        await self._task_queue.run(limits.declare_breakers(published))
        # Once, at the start: a schedule that fires faster than its tasks run would never let this end.
        await self._task_queue.run(schedules.tick(queues or self._task_queue.queues))
        skipped_to_ms = 0
        while True:
            served = 0
            next_due_ms: list[int] = []
            # A handler may send to a queue that was not known before.
            current = queues or self._task_queue.queues
            for queue in current:
                if max_tasks is not None and len(self.outcomes) >= max_tasks:
                    return
                claim = await self._claim(queue)
                for task in claim.tasks:
                    self.outcomes.append(await self._run(task))
                    served += 1
                if claim.next_due_ms is not None:
                    next_due_ms.append(claim.next_due_ms)
            if served:
                skipped_to_ms = 0
            elif await self._task_queue.run(outbox.deliver(current)):
                continue
            elif skip_delays and next_due_ms and min(next_due_ms) > skipped_to_ms:
                skipped_to_ms = min(next_due_ms)
                await self._skip_to(skipped_to_ms, current)
            else:
                return  # what a rate holds back is due again and again: only time helps

    async def aclose(self) -> None:
        self._threads.close()
        if self._ahead is not None:
            await self._ahead.aclose()

    async def _claim(self, queue: str) -> consumer.Claim:
        nonce = consumer.new_nonce()
        flow = consumer.claim(queue, worker_id=self._worker_id, nonce=nonce, limit=1, lease_ms=self._lease_ms)
        try:
            claim = await self._task_queue.run(flow)
        except BrokerError:
            await self._task_queue.run(consumer.release_claim(queue, nonce))
            raise
        if claim.too_new is not None:
            raise registry.too_new(queue, claim.too_new)
        return claim

    async def _skip_to(self, due_ms: int, queues: Sequence[str]) -> None:
        """Makes pending what is due by then; only this one step sees the later time."""
        self._ahead_ms = due_ms
        if self._ahead is None:
            endpoint = self._task_queue.open_broker().endpoint
            self._ahead = AsyncRunner(dataclasses.replace(endpoint, clock_ms=lambda: self._ahead_ms))
        await self._ahead.run(maintenance.promote(queues))

    # --- one task ---

    async def _run(self, task: ClaimedTask) -> InlineOutcome:
        header = task.header
        if header is None:
            detail = {"type": "CorruptTask", "message": "the task's body cannot be read"}
            return await self._record_failure(task, Verdict("fatal", "corrupt", detail, 0), 0)
        definition = self._task_queue.tasks.get(header.task_type)
        if definition is None:
            (word,) = await self._task_queue.run(consumer.release_unknown([task]))
            state = {"S": "stale", "failed": "failed", "cancelled": "cancelled"}.get(word, "released")
            return _outcome(task, state, reason="unknown_type")
        begun = time.monotonic()
        run = Run(task, begun + self._lease_ms / 1000)
        run.definition = definition
        if tracing.is_recorded():
            from tq_worker.worker.run_span import RunTracing

            RunTracing(self._worker_id).begin(run)
        try:
            return await self._judged(run, definition, begun)
        finally:
            if run.span is not None:
                run.span.end()

    async def _judged(self, run: Run, definition: TaskDefinition, begun: float) -> InlineOutcome:
        task, span = run.task, run.span
        header = task.header
        assert header is not None
        try:
            outcome, stopped = await self._execute(run, definition)
        except asyncio.CancelledError:
            # We are being stopped, not the task: it costs it nothing.
            await self._task_queue.run(consumer.release([task]))
            raise
        duration_ms = int((time.monotonic() - begun) * 1000)
        if stopped == "lost":
            return _outcome(task, "stale", reason="lost")
        if outcome.result is not None:
            if span is not None:
                span.succeeded()
            ack = consumer.Ack(task, outcome.result, duration_ms)
            (word,) = await self._task_queue.run(consumer.complete(task.queue, [ack]))
            return _outcome(task, "completed" if word == "K" else "stale")
        error = outcome.error or HardTimeoutError("it did not stop in time")
        verdict = classify(error, definition, task.attempt, retry=header.options.retry, asked=stopped)
        return await self._record_failure(task, verdict, duration_ms, span)

    async def _execute(self, run: Run, definition: TaskDefinition) -> tuple[Outcome, str | None]:
        """Runs the handler; returns how it ended, and why it was stopped where that was not its timeout."""
        task = run.task
        header = task.header
        assert header is not None
        try:
            kwargs = definition.bind(task.payload)
        except Exception as error:  # noqa: BLE001 - converting arguments may run users' code
            return Outcome(error=error), None
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
            trace_id=run.trace_id,
        )
        if definition.context_parameter is not None:
            kwargs[definition.context_parameter] = context
        stop = _Stop(run)
        end = self._ends[run] = asyncio.get_running_loop().create_future()
        if definition.is_async:
            run.execution = CoroutineExecution(run, kwargs, self._ended)
        else:
            run.execution = self._threads.start(run, kwargs)
        if soft_s is not None:
            run.timer = asyncio.get_running_loop().call_later(soft_s, run.execution.warn)
        keeper = asyncio.create_task(self._keep_lease(task, stop))
        try:
            await asyncio.wait({end, stop.is_forced}, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
            if not end.done():
                if not stop.is_forced.done():
                    stop.ask("timeout")
                await asyncio.wait({end}, timeout=GRACE_S)
            outcome = end.result() if end.done() else Outcome()
        except asyncio.CancelledError:
            stop.ask("release")
            await asyncio.wait({end}, timeout=GRACE_S)
            raise
        finally:
            if run.timer is not None:
                run.timer.cancel()
            keeper.cancel()
            await asyncio.gather(keeper, return_exceptions=True)
            del self._ends[run]
        if stop.kind != "timeout":
            return outcome, stop.kind
        timeout = HardTimeoutError(f"{definition.name}: it ran longer than its timeout of {timeout_s:g} s")
        trace = outcome.error.__traceback__ if outcome.error else None
        return Outcome(error=timeout.with_traceback(trace)), None

    def _ended(self, run: Run, outcome: Outcome) -> None:
        end = self._ends.get(run)
        if end is not None and not end.done():
            end.set_result(outcome)

    async def _keep_lease(self, task: ClaimedTask, stop: _Stop) -> None:
        """Renews the lease, and passes on that somebody asked the task to stop or that it was lost."""
        while True:
            await asyncio.sleep(self._lease_ms / 3000)
            renewed = await self._task_queue.run(
                consumer.extend([(task.queue, task.id, task.token)], lease_ms=self._lease_ms)
            )
            if renewed.lost_ids:
                stop.ask("lost")
            for _, detail in renewed.asked:
                stop.ask("kill" if detail.get("mode") == "kill" else "cancel")

    async def _record_failure(
        self, task: ClaimedTask, verdict: Verdict, duration_ms: int, span: RunSpan | None = None
    ) -> InlineOutcome:
        if span is not None:
            span.failed(verdict)
        outcome = await self._task_queue.run(
            consumer.fail(
                task,
                verdict=verdict.verdict,
                reason=verdict.reason,
                delay_ms=verdict.delay_ms,
                duration_ms=duration_ms,
                detail=verdict.detail,
            )
        )
        if span is not None:
            span.decided(outcome)
        state = "stale" if outcome.word == "gone" else outcome.word
        return _outcome(task, state, reason=verdict.reason, error=verdict.detail)


class _Stop:
    """Ends a handler before it ends by itself: asks it when somebody cancels, insists in every other case."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self.kind: str | None = None
        """cancel, kill, lost, timeout or release; None while nobody wants it to stop."""
        self.is_forced: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def ask(self, kind: str) -> None:
        """Makes it stop; a firmer wish replaces a gentler one."""
        if self.is_forced.done() or self.kind == kind:
            return
        assert self._run.context is not None
        assert self._run.execution is not None
        self.kind = kind
        self._run.context.request_cancel(kind)
        self._run.execution.cancel(kind)
        if kind != "cancel":
            self._run.execution.interrupt(kind)
            self.is_forced.set_result(None)


def _outcome(task: ClaimedTask, state: str, *, reason: str = "", error: dict[str, Any] | None = None) -> InlineOutcome:
    return InlineOutcome(
        task_id=task.id,
        task_type=task.header.task_type if task.header else "?",
        state=state,
        attempt=task.attempt,
        reason=reason,
        error=error or {},
    )


def _plain_host() -> str:
    return re.sub(r"[^A-Za-z0-9-]", "-", socket.gethostname())[:40] or "host"
