"""Running tasks in this process: the same claims, verdicts and records as in a daemon."""

from __future__ import annotations

import asyncio
import threading
import time
import uuid
from typing import Any

import pytest

from tests.waiting import wait_until
from tq_core import InvalidArgumentsError, RetryPolicy, TaskContext, TaskQueue, TaskState, current_context
from tq_core.errors import InvalidInputError, RefusedError, SoftTimeoutError, TaskInterruptedError
from tq_core.roles import consumer as claims
from tq_core.roles.limits import Breaker, Rate, set_breaker, set_limits
from tq_core.roles.limits import read as read_limits
from tq_core.roles.operator import cancel, pause_queue
from tq_core.roles.registry import register_queue
from tq_core.transport.steps import Command
from tq_worker import InlineWorker

AT_ONCE = RetryPolicy(max_attempts=3, initial_delay_s=0)


def states(report: Any) -> list[tuple[str, str]]:
    return [(outcome.task_type, outcome.state) for outcome in report.outcomes]


def test_async_and_plain_handlers_run(tq: TaskQueue) -> None:
    @tq.task(queue="mail")
    async def send(to: str) -> str:
        await asyncio.sleep(0)
        return f"sent to {to}"

    @tq.task()
    def add(a: int, b: int = 1) -> int:
        return a + b

    sent, added = send.enqueue_sync(to="a"), add.enqueue_sync(a=2)

    report = InlineWorker(tq).run_until_empty()

    assert (report.completed, report.failed, report.retried, report.delayed) == (2, 0, 0, 0)
    assert (sent.result_sync(), added.result_sync()) == ("sent to a", 3)


def test_nothing_to_do_is_done_at_once(tq: TaskQueue) -> None:
    assert InlineWorker(tq).run_until_empty().outcomes == ()


async def test_it_can_be_awaited(tq: TaskQueue) -> None:
    @tq.task()
    async def work() -> int:
        return 1

    await work.enqueue()

    assert (await InlineWorker(tq).arun_until_empty()).completed == 1


async def test_the_plain_call_is_refused_where_a_loop_runs(memory_tq: TaskQueue) -> None:
    with pytest.raises(RefusedError, match="arun_until_empty"):
        InlineWorker(memory_tq).run_until_empty()


def test_urgent_tasks_go_first_and_equals_in_turn(tq: TaskQueue) -> None:
    order: list[str] = []

    @tq.task()
    def work(name: str) -> None:
        order.append(name)

    for name, priority in (("a", "low"), ("b", "normal"), ("c", "critical"), ("d", "normal")):
        work.options(priority=priority).enqueue_sync(name=name)
    InlineWorker(tq).run_until_empty()

    assert order == ["c", "b", "d", "a"]


def test_what_a_handler_enqueues_is_run_too(tq: TaskQueue) -> None:
    @tq.task(queue="second")
    async def child(depth: int) -> int:
        if depth:
            await child.options(queue=f"deeper-{depth}").enqueue(depth=depth - 1)
        return depth

    @tq.task()
    def parent() -> None:
        child.enqueue_sync(depth=2)

    parent.enqueue_sync()

    assert InlineWorker(tq).run_until_empty().completed == 4


def test_a_worker_may_serve_some_queues_only(tq: TaskQueue) -> None:
    @tq.task()
    def work() -> None: ...

    work.options(queue="a").enqueue_sync()
    left = work.options(queue="b").enqueue_sync()

    assert InlineWorker(tq, queues=["a"]).run_until_empty().completed == 1
    assert left.status_sync().state is TaskState.PENDING


def test_it_stops_after_so_many(tq: TaskQueue) -> None:
    @tq.task()
    def work() -> None: ...

    work.enqueue_many_sync([{}] * 5)

    assert InlineWorker(tq).run_until_empty(max_tasks=3).completed == 3
    assert InlineWorker(tq).run_until_empty().completed == 2


def test_tasks_due_later_are_left_and_counted(tq: TaskQueue) -> None:
    @tq.task(retry=RetryPolicy(max_attempts=2, initial_delay_s=60))
    def work(is_bad: bool = False) -> None:
        if is_bad:
            raise ValueError("bad")

    work.options(delay_s=60).enqueue_sync()
    work.enqueue_sync(is_bad=True)

    report = InlineWorker(tq).run_until_empty()

    assert (report.retried, report.delayed) == (1, 2)


def test_delays_can_be_skipped_in_the_order_they_are_due(tq: TaskQueue) -> None:
    order: list[int] = []

    @tq.task(retry=RetryPolicy(max_attempts=3, initial_delay_s=3600))
    def work(hours: int, fails: int = 0) -> None:
        order.append(hours)
        if len(order) <= fails:
            raise ValueError("not yet")

    for hours in (5, 2):
        work.options(delay_s=hours * 3600).enqueue_sync(hours=hours)
    flaky = work.enqueue_sync(hours=0, fails=1)
    begun = time.monotonic()

    report = InlineWorker(tq).run_until_empty(skip_delays=True)

    assert order == [0, 0, 2, 5]
    assert (report.completed, report.retried, report.delayed) == (3, 1, 0)
    assert time.monotonic() - begun < 20
    finished_at_ms = flaky.status_sync().finished_at_ms
    assert finished_at_ms is not None
    assert finished_at_ms / 1000 - time.time() < 60, "only the skipping sees the later time"


def test_a_failing_task_is_tried_until_it_succeeds(tq: TaskQueue) -> None:
    @tq.task(retry=AT_ONCE)
    def flaky(ctx: TaskContext) -> int:
        if ctx.attempt < 3:
            raise ValueError(f"attempt {ctx.attempt} of {ctx.max_attempts}")
        return ctx.attempt

    handle = flaky.enqueue_sync()

    report = InlineWorker(tq).run_until_empty(skip_delays=True)

    assert states(report) == [("flaky", "retrying"), ("flaky", "retrying"), ("flaky", "completed")]
    assert [error["message"] for error in report.errors] == ["attempt 1 of 3", "attempt 2 of 3"]
    assert handle.result_sync() == 3
    history = handle.status_sync().history
    assert [attempt.detail["fingerprint"] for attempt in history] == [report.errors[0]["fingerprint"]] * 2


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), GeneratorExit(), ValueError("x")], ids=repr)
@pytest.mark.parametrize("is_async", [True, False])
def test_whatever_a_handler_raises_ends_its_attempt_only(
    memory_tq: TaskQueue, error: BaseException, is_async: bool
) -> None:
    @memory_tq.task(name="plain", retry=RetryPolicy(max_attempts=1))
    def plain() -> None:
        raise error

    @memory_tq.task(name="coroutine", retry=RetryPolicy(max_attempts=1))
    async def coroutine() -> None:
        raise error

    (coroutine if is_async else plain).enqueue_sync()

    report = InlineWorker(memory_tq).run_until_empty()

    assert (report.failed, report.errors[0]["type"]) == (1, type(error).__name__)


def test_a_result_that_json_cannot_hold_fails_and_says_that_the_task_ran(tq: TaskQueue) -> None:
    ran: list[int] = []

    @tq.task()
    def work() -> object:
        ran.append(1)
        return object()

    handle = work.enqueue_sync()
    report = InlineWorker(tq).run_until_empty(skip_delays=True)

    assert (ran, report.failed, report.outcomes[0].reason) == ([1], 1, "bad_result")
    error = handle.status_sync().error
    assert error is not None
    assert error["message"].startswith("work ran, but its result (object) cannot be written as JSON")


def test_a_result_over_the_limit_fails() -> None:
    with TaskQueue(f"memory://{uuid.uuid4().hex}", max_payload_bytes=100) as tq:

        @tq.task()
        def work() -> str:
            return "x" * 100

        work.enqueue_sync()
        report = InlineWorker(tq).run_until_empty()

    assert report.outcomes[0].reason == "bad_result"
    assert "takes 102 bytes and the limit is 100" in report.errors[0]["message"]


def test_a_coroutine_that_nobody_awaits_is_no_result(memory_tq: TaskQueue) -> None:
    async def inner() -> int:
        return 1

    @memory_tq.task()
    def work() -> Any:
        return inner()

    work.enqueue_sync()

    assert "a coroutine that nobody awaits" in InlineWorker(memory_tq).run_until_empty().errors[0]["message"]


def test_arguments_that_no_longer_fit_fail_for_good(tq: TaskQueue, broker_url: str) -> None:
    with TaskQueue(broker_url) as older:

        @older.task(name="work")
        def older_work(size: str) -> None: ...

        older_work.enqueue_sync(size="big")

    @tq.task()
    def work(size: int) -> None: ...

    report = InlineWorker(tq).run_until_empty()

    assert (report.failed, report.outcomes[0].reason) == (1, "bad_arguments")
    assert report.errors[0]["problems"] == {"size": "expected int, got str"}


def test_a_handler_may_refuse_its_arguments_itself(memory_tq: TaskQueue) -> None:
    @memory_tq.task()
    def work(size: int) -> None:
        raise InvalidArgumentsError(f"size {size} is odd", {"size": "odd"})

    work.enqueue_sync(size=1)

    assert InlineWorker(memory_tq).run_until_empty().outcomes[0].reason == "bad_arguments"


def test_a_task_of_an_unknown_type_is_given_back_and_fails_in_the_end(tq: TaskQueue) -> None:
    handle = tq.enqueue_sync("unknown", {}, queue="default")

    first = InlineWorker(tq).run_until_empty()
    assert (states(first), first.delayed) == ([("unknown", "released")], 1)
    rest = InlineWorker(tq).run_until_empty(skip_delays=True)

    assert rest.failed == 1
    error = handle.status_sync().error
    assert error is not None
    assert error["reason"] == "unknown_type"


def test_a_task_that_cannot_be_read_fails_as_corrupt(tq: TaskQueue) -> None:
    @tq.task()
    def work() -> None: ...

    handle = work.enqueue_sync()
    tq.run_sync(one(Command(("HSET", "tq:{default}:bodies", handle.id, "nonsense"))))

    assert InlineWorker(tq).run_until_empty().outcomes[0].reason == "corrupt"
    assert handle.status_sync().state is TaskState.FAILED


def one(step: Any) -> Any:
    return (yield step)


def test_a_paused_queue_is_left_alone(tq: TaskQueue) -> None:
    @tq.task()
    def work() -> None: ...

    work.enqueue_sync()
    tq.run_sync(pause_queue("default", actor="test"))

    assert InlineWorker(tq).run_until_empty().outcomes == ()


# --- timeouts and cancelling ---


def test_an_async_handler_over_its_time_is_ended(tq: TaskQueue) -> None:
    cleaned: list[int] = []

    @tq.task(timeout_s=0.05, retry=RetryPolicy(max_attempts=1))
    async def work() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            cleaned.append(1)

    work.enqueue_sync()
    report = InlineWorker(tq).run_until_empty()

    assert (report.failed, report.outcomes[0].reason, cleaned) == (1, "timeout", [1])
    assert "longer than its timeout of 0.05 s" in report.errors[0]["message"]
    assert "in work" in report.errors[0]["traceback"]


def test_a_plain_handler_over_its_time_is_ended(tq: TaskQueue) -> None:
    ended = threading.Event()

    @tq.task(timeout_s=0.05, retry=RetryPolicy(max_attempts=1))
    def work(ctx: TaskContext) -> None:
        try:
            while True:
                try:
                    ctx.wait_cancelled(0.001)
                except Exception:  # noqa: BLE001 - what a careless handler does
                    continue
        finally:
            ended.set()

    work.enqueue_sync()
    report = InlineWorker(tq).run_until_empty()

    assert (report.failed, report.outcomes[0].reason) == (1, "timeout")
    assert ended.is_set()


def test_the_timeout_of_the_task_beats_that_of_its_type(memory_tq: TaskQueue) -> None:
    @memory_tq.task(timeout_s=60, retry=RetryPolicy(max_attempts=1))
    async def work() -> None:
        await asyncio.sleep(30)

    work.options(timeout_s=0.02).enqueue_sync()

    assert InlineWorker(memory_tq).run_until_empty().outcomes[0].reason == "timeout"


@pytest.mark.parametrize("is_async", [True, False])
def test_the_soft_timeout_lets_a_handler_finish_tidily(memory_tq: TaskQueue, is_async: bool) -> None:
    @memory_tq.task(name="coroutine", soft_timeout_s=0.02, timeout_s=30)
    async def coroutine() -> str:
        try:
            await asyncio.sleep(20)
        except SoftTimeoutError:
            return "tidy"
        return "late"

    @memory_tq.task(name="plain", soft_timeout_s=0.02, timeout_s=30)
    def plain(ctx: TaskContext) -> str:
        try:
            while True:
                ctx.wait_cancelled(0.001)
        except SoftTimeoutError:
            return "tidy"

    handle = (coroutine if is_async else plain).enqueue_sync()
    InlineWorker(memory_tq).run_until_empty()

    assert handle.result_sync() == "tidy"


def test_a_task_may_have_a_soft_timeout_of_its_own_and_its_history_says_that_it_fired(memory_tq: TaskQueue) -> None:
    @memory_tq.task(soft_timeout_s=20)
    async def work() -> None:
        await asyncio.sleep(20)

    handle = work.options(soft_timeout_s=0.02, max_attempts=1).enqueue_sync()
    InlineWorker(memory_tq).run_until_empty()
    assert handle.status_sync().history[0].detail["type"] == "tq_core.errors.SoftTimeoutError"
    with pytest.raises(InvalidInputError, match=r"soft timeout of 9 s: must be below the timeout of 9 s"):
        work.options(soft_timeout_s=9, timeout_s=9)
    with pytest.raises(InvalidInputError, match="soft timeout of 0 s: must be above 0"):
        work.options(soft_timeout_s=0)


@pytest.mark.parametrize("kill", [True, False])
@pytest.mark.parametrize("is_async", [True, False])
def test_a_running_task_can_be_cancelled_and_killed(tq: TaskQueue, kill: bool, is_async: bool) -> None:
    started = threading.Event()

    @tq.task(name="coroutine")
    async def coroutine() -> None:
        started.set()
        await asyncio.sleep(60)

    @tq.task(name="plain")
    def plain(ctx: TaskContext) -> None:
        started.set()
        while True:
            ctx.wait_cancelled(0.01)
            if not kill:
                ctx.check_cancelled()

    handle = (coroutine if is_async else plain).enqueue_sync()
    worker = threading.Thread(target=InlineWorker(tq, lease_ms=300).run_until_empty)
    worker.start()
    assert started.wait(10)

    tq.run_sync(cancel([handle.id], actor="ann", why="enough", kill=kill))
    worker.join(20)

    task = handle.status_sync()
    assert (task.state, (task.error or {})["by"]) == (TaskState.CANCELLED, "ann")


def test_a_handler_that_finishes_although_it_was_cancelled_has_finished(tq: TaskQueue) -> None:
    started, may_end = threading.Event(), threading.Event()

    @tq.task()
    def work(ctx: TaskContext) -> str:
        started.set()
        may_end.wait(20)
        return f"cancelled: {ctx.is_cancelled}"

    handle = work.enqueue_sync()
    context_seen: list[TaskContext] = []
    worker = threading.Thread(target=InlineWorker(tq, lease_ms=300).run_until_empty)
    worker.start()
    assert started.wait(10)
    tq.run_sync(cancel([handle.id], actor="ann"))
    # Two renewals later the worker must have heard of it.
    wait_until(lambda: _lease_end(tq, handle.id, context_seen), 10, "two renewals of the lease")
    may_end.set()
    worker.join(20)

    assert handle.result_sync() == "cancelled: True"


def _lease_end(tq: TaskQueue, task_id: str, seen: list[Any]) -> bool:
    end = tq.handle(task_id).status_sync().lease_end_ms
    if end not in seen:
        seen.append(end)
    return len(seen) > 3


def test_a_lease_that_was_lost_stops_the_handler_and_writes_nothing(tq: TaskQueue) -> None:
    started, interrupted = threading.Event(), threading.Event()

    @tq.task()
    def looping() -> str:
        started.set()
        try:
            end = time.monotonic() + 20
            while time.monotonic() < end:
                pass
        except TaskInterruptedError:
            interrupted.set()
            raise
        return "late"

    handle = looping.enqueue_sync()
    reports: list[Any] = []
    worker = threading.Thread(
        target=lambda: reports.append(InlineWorker(tq, lease_ms=300).run_until_empty(max_tasks=1))
    )
    worker.start()
    assert started.wait(10)
    worker_id = handle.status_sync().worker_id
    assert worker_id is not None
    tq.run_sync(claims.give_back(["default"], worker_id, started_ids=(), detail={}))
    worker.join(20)

    assert interrupted.is_set()
    assert states(reports[0]) == [("looping", "stale")]
    assert handle.status_sync().state is TaskState.PENDING


async def test_a_worker_that_is_stopped_gives_its_task_back_at_no_cost(tq: TaskQueue) -> None:
    started = asyncio.Event()

    @tq.task()
    async def work() -> None:
        started.set()
        await asyncio.sleep(60)

    handle = await work.enqueue()
    worker = asyncio.create_task(InlineWorker(tq).arun_until_empty())
    await asyncio.wait_for(started.wait(), 10)
    worker.cancel()
    await asyncio.gather(worker, return_exceptions=True)

    task = await handle.status()
    assert (task.state, task.failures, task.crashes) == (TaskState.PENDING, 0, 0)


async def test_a_claim_whose_answer_was_lost_is_given_back(tq: TaskQueue) -> None:
    @tq.task()
    async def work() -> None: ...

    handle = await work.enqueue()
    await tq.run(register_queue("default"))
    nonce = claims.new_nonce()
    await tq.run(claims.claim("default", worker_id="w.0", nonce=nonce, limit=1))
    assert (await handle.status()).state is TaskState.RUNNING

    await tq.run(claims.release_claim("default", nonce))

    assert (await InlineWorker(tq).arun_until_empty()).completed == 1


# --- what a handler sees ---


def test_a_handler_sees_its_context_wherever_it_looks(tq: TaskQueue) -> None:
    seen: list[TaskContext | None] = []

    @tq.task(queue="mail", retry=RetryPolicy(max_attempts=7), timeout_s=60)
    def plain(ctx: TaskContext) -> None:
        seen.extend([ctx, current_context()])

    @tq.task()
    async def coroutine() -> None:
        seen.append(await asyncio.create_task(lookup()))

    async def lookup() -> TaskContext | None:
        return current_context()

    first, second = plain.enqueue_sync(), coroutine.enqueue_sync()
    InlineWorker(tq).run_until_empty()

    given, looked_up, of_coroutine = seen
    assert given is looked_up
    assert given is not None
    assert of_coroutine is not None
    assert (given.task_id, given.task_type, given.queue) == (first.id, "plain", "mail")
    assert (given.attempt, given.max_attempts, of_coroutine.task_id) == (1, 7, second.id)
    assert given.token
    assert given.token != of_coroutine.token
    assert given.worker_id.startswith("inline-")
    assert given.remaining_s is not None
    assert current_context() is None


def test_no_thread_is_left_behind(tq: TaskQueue) -> None:
    @tq.task()
    def work() -> None: ...

    before = set(threading.enumerate())
    work.enqueue_many_sync([{}] * 3)
    InlineWorker(tq).run_until_empty()

    wait_until(lambda: set(threading.enumerate()) <= before, 5, "the handlers' threads to end")


def test_what_a_rate_holds_back_does_not_keep_an_inline_worker_for_ever(tq: TaskQueue) -> None:
    @tq.task(retry=RetryPolicy(max_attempts=1))
    def plain() -> int:
        return 1

    for of_key in ({"rate": Rate.parse("1/h+2")}, {"key_rate": Rate.parse("1/h+2")}):
        queue = f"of-{'-'.join(of_key).replace('_', '-')}"
        tq.run_sync(set_limits(queue, of_key, actor="ann"))
        handles = [plain.options(queue=queue, limit_key="acme").enqueue_sync() for _ in range(3)]

        report = InlineWorker(tq, queues=[queue]).run_until_empty(skip_delays=True)

        assert report.completed == 2
        assert [h.status_sync().options.limit_key for h in handles] == ["acme"] * 3


def test_a_type_has_a_limit_key_of_its_arguments_and_a_breaker(memory_tq: TaskQueue) -> None:
    breaker = Breaker(failures_percent=20, min_runs=1)

    @memory_tq.task(limit_key="{tenant}-{n}", breaker=breaker, retry=RetryPolicy(max_attempts=1), unique=True)
    def work(tenant: str, n: int) -> int:
        return len(tenant) // n

    handles = [
        work.enqueue_sync("acme", 1),
        work.enqueue_sync(tenant="a|b", n=-2),
        work.options(limit_key="own").enqueue_sync("a", 3),
    ]
    assert [h.status_sync().options.limit_key for h in handles] == ["acme-1", "a|b--2", "own"]
    scheduled = memory_tq.schedule("nightly", work, {"tenant": "acme", "n": 7}, cron="0 8 * * *")
    assert scheduled.limit_key == "acme-7"
    InlineWorker(memory_tq).run_until_empty()
    (view,) = memory_tq.run_sync(read_limits("default")).breakers
    assert (view.type, view.breaker) == ("work", breaker)
    # A person's change holds until workers start again.
    memory_tq.run_sync(set_breaker("default", "work", Breaker(min_runs=9), actor="ann"))
    InlineWorker(memory_tq).run_until_empty()
    assert memory_tq.run_sync(read_limits("default")).breakers[0].breaker == breaker

    for template, why in (("{m}", "'m' is no argument"), ("{x}", "'x' is no argument"), ("{n.a}", "braces hold")):
        with pytest.raises(InvalidInputError, match=why):

            @memory_tq.task(name="bad", limit_key=template)
            def bad(n: int, x: str = "") -> None: ...
