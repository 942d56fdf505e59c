"""Enqueuing as programs do it: typed, by name, in batches, with options, from loops, threads and forks."""

from __future__ import annotations

import asyncio
import datetime as dt
import gc
import logging
import os
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, assert_type

import pytest

from tq_core import InvalidArgumentsError, RetryPolicy, TaskContext, TaskHandle, TaskQueue, TaskState
from tq_core.errors import (
    BrokerConfigError,
    BrokerUnreachableError,
    DuplicateTaskError,
    InvalidInputError,
    PayloadTooLargeError,
    QueueFullError,
    TaskCancelledError,
    TaskFailedError,
    UnknownParentError,
    UnknownTaskTypeError,
)
from tq_core.roles import registry as fleet
from tq_core.roles.operator import configure_queue


def define_mail(tq: TaskQueue) -> Any:
    @tq.task(queue="mail", retry=RetryPolicy(max_attempts=5), timeout_s=30)
    async def send_mail(to: str, subject: str = "hello") -> str:
        return f"{to}: {subject}"

    return send_mail


# --- defining ---


def test_a_type_has_the_name_of_its_function(memory_tq: TaskQueue) -> None:
    task = define_mail(memory_tq)

    assert memory_tq.tasks == {"send_mail": task}
    assert (task.queue, task.retry.max_attempts, task.timeout_s, task.is_async) == ("mail", 5, 30, True)


def test_types_are_named_after_their_modules_on_request() -> None:
    tq = TaskQueue("memory://", qualified_names=True)

    @tq.task()
    def work() -> None: ...

    assert work.name.startswith("tests.user_code.test_task_queue.")
    assert work.name.endswith(".work")


def test_a_second_type_of_the_same_name_is_refused(memory_tq: TaskQueue) -> None:
    define_mail(memory_tq)

    with pytest.raises(InvalidInputError, match=r"'send_mail' is defined twice, by .*send_mail:.* and .*send_mail:"):
        define_mail(memory_tq)


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"name": "no spaces"}, "cannot be a task type"),
        ({"queue": "no spaces"}, "cannot be a queue's name"),
        ({"timeout_s": 0}, r"'work', timeout_s 0: must be above 0"),
        ({"timeout_s": 5, "soft_timeout_s": 5}, "must be below its timeout_s"),
        ({"memory_limit_mb": 100}, "memory_limit_mb needs isolate=True"),
        ({"memory_limit_mb": 0, "isolate": True}, "memory_limit_mb 0: must be a whole number of MiB"),
        ({"memory_limit_mb": 1.5, "isolate": True}, "memory_limit_mb 1.5: must be a whole number of MiB"),
        ({"priority": "urgent"}, "priority 'urgent'"),
        ({"retries": 3}, r"retries: task\(\) has no such setting; it has name, queue, retry"),
    ],
)
def test_a_wrong_setting_is_refused_where_the_task_is_defined(
    memory_tq: TaskQueue, settings: dict[str, Any], text: str
) -> None:
    def work() -> None: ...

    with pytest.raises(InvalidInputError, match=text):
        memory_tq.task(**settings)(work)


def test_a_task_may_be_defined_without_parentheses(memory_tq: TaskQueue) -> None:
    @memory_tq.task
    def work(size: int = 1) -> int:
        return size

    assert memory_tq.tasks["work"] is work
    assert work(size=3) == 3


def test_the_environment_sets_the_retries_of_types_that_say_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAX_RETRIES", "1")
    monkeypatch.setenv("INITIAL_RETRY_DELAY", "0.5")
    tq = TaskQueue("memory://")

    @tq.task()
    def quiet() -> None: ...

    @tq.task(retry=RetryPolicy(max_attempts=9))
    def loud() -> None: ...

    assert quiet.retry == RetryPolicy(max_attempts=2, initial_delay_s=0.5)
    assert loud.retry.max_attempts == 9


def test_what_workers_publish_says_what_the_task_says(memory_tq: TaskQueue) -> None:
    @memory_tq.task(queue="mail", timeout_s=3, isolate=True, memory_limit_mb=9, retry=RetryPolicy(max_attempts=2))
    def work(size: int) -> None:
        """Works hard."""

    published = work.published()

    assert (published.name, published.queue, published.doc) == ("work", "mail", "Works hard.")
    assert (published.max_attempts, published.timeout_s, published.is_isolated) == (2, 3, True)
    assert published.memory_limit_mb == 9
    assert published.schema == work.schema


# --- running here ---


async def test_calling_a_task_runs_it_here(memory_tq: TaskQueue) -> None:
    send_mail = define_mail(memory_tq)

    @memory_tq.task()
    def double(value: int) -> int:
        return value * 2

    assert await send_mail("a", subject="b") == "a: b"
    assert_type(double(2), int)
    assert double(2) == 4
    assert memory_tq._opened is None


def test_a_task_called_here_gets_a_context_unless_one_is_given(memory_tq: TaskQueue) -> None:
    @memory_tq.task()
    def work(ctx: TaskContext, size: int) -> tuple[str, int]:
        ctx.progress(0.5)
        return ctx.task_id, size

    mine = TaskContext(task_id="mine", task_type="work", queue="q")

    assert work(3) == ("", 3)
    assert work.handler(mine, 3) == ("mine", 3)
    assert work(ctx=mine, size=4) == ("mine", 4)  # type: ignore[call-arg]


def test_a_task_called_within_another_shares_its_context(memory_tq: TaskQueue) -> None:
    from tq_core.tasks.context import running_in

    @memory_tq.task()
    def inner(ctx: TaskContext) -> str:
        return ctx.task_id

    @memory_tq.task()
    def outer() -> str:
        return inner()

    with running_in(TaskContext(task_id="outer-id", task_type="outer", queue="q")):
        assert outer() == "outer-id"


# --- enqueuing ---


async def test_keywords_are_arguments_and_options_are_separate(tq: TaskQueue) -> None:
    send_mail = define_mail(tq)

    handle = await send_mail.options(priority="high", delay_s=60, timeout_s=3, submitted_by="me").enqueue(to="a")
    task = await handle.status()

    assert (task.type, task.queue, task.state, task.args) == ("send_mail", "mail", TaskState.SCHEDULED, {"to": "a"})
    assert (task.priority, task.max_attempts, task.options.timeout_s) == (50, 5, 3)
    assert task.options.submitted_by == "me"
    assert handle.is_new


async def test_a_task_without_options_has_those_of_its_type(tq: TaskQueue) -> None:
    @tq.task(queue="low", priority="low")
    def work(size: int) -> int:
        return size

    assert_type(await work.enqueue(size=2), TaskHandle[int])
    task = await (await work.enqueue(2)).status()

    assert (task.queue, task.priority, task.max_attempts, task.state) == ("low", 200, 4, TaskState.PENDING)
    assert task.args == {"size": 2}


def test_options_can_be_added_to_options(memory_tq: TaskQueue) -> None:
    urgent = define_mail(memory_tq).options(priority="high", max_attempts=2)

    first = urgent.enqueue_sync(to="a").status_sync()
    second = urgent.options(priority=7, queue="other").enqueue_sync(to="a").status_sync()

    assert (first.priority, first.max_attempts, first.queue) == (50, 2, "mail")
    assert (second.priority, second.max_attempts, second.queue) == (7, 2, "other")


def test_a_retry_policy_among_the_options_travels_with_the_task(memory_tq: TaskQueue) -> None:
    policy = RetryPolicy(max_attempts=7, initial_delay_s=1)

    task = define_mail(memory_tq).options(retry=policy).enqueue_sync(to="a").status_sync()

    assert (task.max_attempts, task.options.retry) == (7, policy)


def test_a_task_can_be_due_at_a_time(memory_tq: TaskQueue) -> None:
    at = dt.datetime.now(dt.UTC) + dt.timedelta(hours=1)

    task = define_mail(memory_tq).options(at=at).enqueue_sync(to="a").status_sync()

    assert (task.state, task.due_at_ms) == (TaskState.SCHEDULED, round(at.timestamp() * 1000))


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"prio": 1}, "prio: no such option; there are priority, delay_s"),
        ({"priority": 256}, "priority 256"),
        ({"delay_s": -1}, "a delay of -1 s"),
        ({"at": dt.datetime(2024, 1, 1)}, "a datetime with a time zone"),  # noqa: DTZ001
        ({"at": 5}, "a datetime with a time zone"),
        ({"max_attempts": 0}, "max_attempts 0"),
        ({"timeout_s": -1}, "a timeout of -1"),
        ({"unique": ""}, "a unique key"),
        ({"id": "a b"}, "cannot be a task's id"),
        ({"queue": "a b"}, "cannot be a queue's name"),
    ],
)
def test_a_wrong_option_is_refused_before_anything_is_sent(
    memory_tq: TaskQueue, options: dict[str, Any], text: str
) -> None:
    with pytest.raises(InvalidInputError, match=text):
        define_mail(memory_tq).options(**options)
    assert memory_tq._opened is None


async def test_wrong_arguments_are_refused_before_anything_is_sent(memory_tq: TaskQueue) -> None:
    send_mail = define_mail(memory_tq)

    with pytest.raises(InvalidArgumentsError) as refused:
        await send_mail.enqueue(to=5, cc="x")

    assert refused.value.problems == {"to": "expected str, got int", "cc": "unknown"}
    with pytest.raises(InvalidInputError, match="cannot be written as JSON"):
        await send_mail.enqueue(to=object())
    assert memory_tq._opened is None


async def test_arguments_over_the_limit_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TQ_MAX_PAYLOAD_BYTES", "100")
    tq = TaskQueue("memory://")

    with pytest.raises(PayloadTooLargeError, match="the limit is 100"):
        await define_mail(tq).enqueue(to="a" * 100)


def test_a_limit_that_is_no_number_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TQ_MAX_PAYLOAD_BYTES", "1MB")

    with pytest.raises(InvalidInputError, match="TQ_MAX_PAYLOAD_BYTES='1MB'"):
        TaskQueue()


async def test_a_chosen_id_is_enqueued_once(tq: TaskQueue) -> None:
    report = define_mail(tq).options(id="report-1")

    first, second = await report.enqueue(to="a"), await report.enqueue(to="b")

    assert first == second
    assert (first.id, first.is_new, second.is_new) == ("report-1@mail", True, False)
    assert (await first.status()).args == {"to": "a"}


async def test_a_unique_key_lets_one_live_task_in(tq: TaskQueue) -> None:
    send_mail = define_mail(tq)
    holder = await send_mail.options(unique="a key").enqueue(to="a")

    with pytest.raises(DuplicateTaskError) as refused:
        await send_mail.options(unique="a key").enqueue(to="b")

    assert refused.value.holder_id == holder.id
    await holder.cancel()
    assert (await send_mail.options(unique="a key").enqueue(to="b")).is_new


async def test_a_unique_type_lets_the_same_arguments_in_once(tq: TaskQueue) -> None:
    @tq.task(unique=True)
    def work(a: int, b: int = 2) -> None: ...

    first = await work.enqueue(a=1, b=3)

    with pytest.raises(DuplicateTaskError) as refused:
        await work.enqueue(b=3, a=1)
    assert refused.value.holder_id == first.id
    assert (await work.enqueue(a=1, b=4)).is_new
    assert (await work.options(unique=False).enqueue(a=1, b=3)).is_new


async def test_a_full_queue_refuses(tq: TaskQueue) -> None:
    send_mail = define_mail(tq)
    await send_mail.enqueue(to="a")
    await tq.run(configure_queue("mail", {"max_size": 1}, actor="test"))

    with pytest.raises(QueueFullError, match="'mail' holds 1 of at most 1"):
        await send_mail.enqueue(to="b")


async def test_many_are_enqueued_in_batches(tq: TaskQueue) -> None:
    send_mail = define_mail(tq)

    handles = await send_mail.options(priority="low").enqueue_many([{"to": str(i)} for i in range(1201)])

    assert len({handle.id for handle in handles}) == 1201
    last = await handles[-1].status()
    assert (last.args, last.priority, last.position) == ({"to": "1200"}, 200, 1200)


async def test_many_are_checked_before_the_first_is_sent(memory_tq: TaskQueue) -> None:
    with pytest.raises(InvalidArgumentsError, match="to: expected str"):
        await define_mail(memory_tq).enqueue_many([{"to": "a"}] * 600 + [{"to": 5}])
    assert memory_tq._opened is None


async def test_a_batch_that_fails_late_says_how_many_had_gone(tq: TaskQueue) -> None:
    send_mail = define_mail(tq)
    await send_mail.enqueue(to="a")
    await tq.run(configure_queue("mail", {"max_size": 700}, actor="test"))

    with pytest.raises(QueueFullError) as refused:
        await send_mail.enqueue_many([{"to": "a"}] * 1000)

    assert refused.value.__notes__ == ["500 of the 1000 tasks had been enqueued before"]


def test_batches_are_limited_by_their_size_too(memory_tq: TaskQueue) -> None:
    handles = define_mail(memory_tq).enqueue_many_sync([{"to": "x" * 900_000}] * 20)

    assert len({handle.id for handle in handles}) == 20


async def test_many_with_one_id_are_refused(memory_tq: TaskQueue) -> None:
    with pytest.raises(InvalidInputError, match="2 tasks cannot share the id 'x'"):
        await define_mail(memory_tq).options(id="x").enqueue_many([{"to": "a"}, {"to": "b"}])


async def test_nothing_is_enqueued_from_nothing(memory_tq: TaskQueue) -> None:
    assert await define_mail(memory_tq).enqueue_many([]) == []


# --- by name, without the code ---


async def test_a_type_defined_here_can_be_enqueued_by_name(tq: TaskQueue) -> None:
    define_mail(tq)

    handle = await tq.enqueue("send_mail", {"to": "a"}, priority="critical")

    task = await handle.status()
    assert (task.queue, task.max_attempts, task.priority) == ("mail", 5, 0)
    with pytest.raises(InvalidArgumentsError, match="to: missing"):
        await tq.enqueue("send_mail", {})


async def test_a_published_type_says_its_queue_and_checks_the_arguments(tq: TaskQueue, broker_url: str) -> None:
    await tq.run(fleet.publish_types([define_mail(tq).published()]))

    async with TaskQueue(broker_url) as producer:
        handle = await producer.enqueue("send_mail", {"to": "a"})
        task = await handle.status()
        with pytest.raises(InvalidArgumentsError) as refused:
            await producer.enqueue("send_mail", {"to": 5, "cc": 1})

    assert (task.queue, task.max_attempts) == ("mail", 5)
    assert refused.value.problems == {"to": "expected str, got int", "cc": "unknown"}


async def test_an_unknown_type_is_refused_with_the_nearest(tq: TaskQueue) -> None:
    define_mail(tq)

    with pytest.raises(UnknownTaskTypeError, match="did you mean 'send_mail'") as refused:
        await tq.enqueue("send_mial", {"to": "a"})

    assert refused.value.nearest == ("send_mail",)


async def test_an_unknown_type_goes_to_the_queue_that_is_named(tq: TaskQueue) -> None:
    handle = await tq.enqueue("not_yet", {"a": 1}, queue="future")

    assert (await handle.status()).queue == "future"


def test_many_can_be_enqueued_by_name_from_ordinary_code(tq: TaskQueue) -> None:
    define_mail(tq)

    handles = tq.enqueue_many_sync("send_mail", [{"to": "a"}, {"to": "b"}])

    assert [handle.status_sync().args for handle in handles] == [{"to": "a"}, {"to": "b"}]


def test_a_queue_that_was_flushed_is_used_on(redis_url: str) -> None:
    from tq_core.transport.steps import Command

    with TaskQueue(redis_url) as tq:
        send_mail = define_mail(tq)
        send_mail.enqueue_sync(to="a")
        tq.run_sync(iter_command(Command(("FLUSHALL",))))
        tq.enqueue_sync("other", {}, queue="other")  # takes the number that `mail` had

        handle = send_mail.enqueue_sync(to="b")

        assert handle.status_sync().args == {"to": "b"}


def iter_command(step: Any) -> Any:
    return (yield step)


# --- connections ---


def test_a_queue_survives_several_event_loops(tq: TaskQueue) -> None:
    send_mail = define_mail(tq)

    async def enqueue() -> str:
        return str((await send_mail.enqueue(to="a")).id)

    first, second = asyncio.run(enqueue()), asyncio.run(enqueue())

    assert first != second
    gc.collect()  # a connection left open would warn here, and warnings are errors


def test_loops_of_several_threads_have_connections_of_their_own(tq: TaskQueue) -> None:
    send_mail = define_mail(tq)
    ids: list[str] = []

    async def enqueue_some() -> None:
        ids.extend([(await send_mail.enqueue(to="a")).id for _ in range(20)])

    threads = [threading.Thread(target=asyncio.run, args=(enqueue_some(),)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(set(ids)) == 80
    gc.collect()


def test_threads_share_the_connection_of_ordinary_code(tq: TaskQueue) -> None:
    send_mail = define_mail(tq)
    ids: list[str] = []
    threads = [
        threading.Thread(target=lambda: ids.extend([send_mail.enqueue_sync(to="a").id for _ in range(20)]))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(set(ids)) == 80


async def test_a_closed_queue_opens_again(tq: TaskQueue) -> None:
    send_mail = define_mail(tq)
    await send_mail.enqueue(to="a")
    await tq.aclose()
    await tq.aclose()

    handle = await send_mail.enqueue(to="b")

    assert (await handle.status()).args == {"to": "b"}
    await tq.aclose()
    gc.collect()


async def test_ordinary_code_and_coroutines_see_the_same_tasks(tq: TaskQueue) -> None:
    handle = define_mail(tq).enqueue_sync(to="a")

    assert (await tq.handle(handle.id).status()).args == {"to": "a"}


def test_a_forked_process_opens_connections_of_its_own(redis_url: str) -> None:
    with TaskQueue(redis_url) as tq:
        send_mail = define_mail(tq)
        send_mail.enqueue_sync(to="parent")
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                os.write(writer, send_mail.enqueue_sync(to="child").id.encode())
                os.write(writer, b" " + asyncio.run(enqueue_one(send_mail)).encode())
            finally:
                os._exit(0)
        os.close(writer)
        with os.fdopen(reader) as pipe:
            told = pipe.read()
        os.waitpid(pid, 0)

        assert [tq.handle(task_id).status_sync().args for task_id in told.split()] == [{"to": "child"}, {"to": "loop"}]
        assert send_mail.enqueue_sync(to="parent").status_sync().args == {"to": "parent"}


async def enqueue_one(task: Any) -> str:
    return str((await task.enqueue(to="loop")).id)


async def test_an_address_where_nobody_is_says_so_in_time() -> None:
    async with TaskQueue("redis://127.0.0.1:1") as tq:
        with pytest.raises(BrokerUnreachableError, match=r"127\.0\.0\.1:1"):
            await define_mail(tq).enqueue(to="a")


def test_a_wrong_address_is_found_when_it_is_first_used() -> None:
    tq = TaskQueue("redsi://localhost")

    with pytest.raises(BrokerConfigError, match="'redsi' is not a scheme"):
        define_mail(tq).enqueue_sync(to="a")


def test_no_broker_is_refused_where_one_is_required(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TQ_REQUIRE_URL", "1")

    with pytest.raises(BrokerConfigError, match="TQ_REQUIRE_URL"):
        define_mail(TaskQueue()).enqueue_sync(to="a")


def test_the_environment_names_the_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    name = uuid.uuid4().hex
    monkeypatch.setenv("TQ_URL", f"memory://{name}")

    with TaskQueue() as tq, TaskQueue(f"memory://{name}") as same:
        handle = define_mail(tq).enqueue_sync(to="a")

        assert same.handle(handle.id).status_sync().args == {"to": "a"}


def test_a_queue_can_be_sent_to_another_broker_than_it_names(memory_tq: TaskQueue) -> None:
    from tq_core.settings import resolve_broker

    send_mail = define_mail(memory_tq)
    send_mail.enqueue_sync(to="before")
    name = uuid.uuid4().hex
    memory_tq.redirect(resolve_broker(f"memory://{name}"))
    handle = send_mail.enqueue_sync(to="after")

    with TaskQueue(f"memory://{name}") as there:
        assert there.handle(handle.id).status_sync().position == 0


def test_a_context_of_the_configuration_names_the_broker(own_environment: Path) -> None:
    folder = own_environment / "config" / "tq"
    folder.mkdir()
    (folder / "config.toml").write_text('[contexts.staging]\nurl = "memory://staging"\n')

    assert TaskQueue(context="staging").address.name == "staging"


@pytest.fixture
def own_logging() -> Iterator[None]:
    from tq_core.tasks import task_queue

    task_queue._notices_given.clear()
    yield
    task_queue._notices_given.clear()


@pytest.mark.usefixtures("own_logging")
@pytest.mark.server
def test_the_embedded_broker_is_the_default_and_is_named_once(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "tq"):
        with TaskQueue() as tq:
            handle = define_mail(tq).enqueue_sync(to="a")
            with TaskQueue() as other:
                assert other.handle(handle.id).status_sync().args == {"to": "a"}

    assert [record.levelname for record in caplog.records if "embedded" in record.message] == ["WARNING"]


@pytest.mark.server
@pytest.mark.slow
async def test_an_embedded_broker_that_died_is_started_again_by_the_next_use() -> None:
    async with TaskQueue("embedded://died") as tq:
        send_mail = define_mail(tq)
        await send_mail.enqueue(to="a")
        with pytest.raises(BrokerUnreachableError):
            await tq.run(shut_down())

        handle = await send_mail.enqueue(to="b")

        assert (await handle.status()).args == {"to": "b"}


def shut_down() -> Any:
    from tq_core.transport.steps import Command

    yield Command(("SHUTDOWN", "NOSAVE"))


# --- tasks that wait for others ---


def test_a_task_depends_on_handles_or_ids(memory_tq: TaskQueue) -> None:
    send_mail = define_mail(memory_tq)
    one, two = send_mail.enqueue_sync(to="a"), send_mail.enqueue_sync(to="b")

    both = send_mail.options(depends_on=[one, two.id, one]).enqueue_sync(to="c").status_sync()
    single = send_mail.options(depends_on=one, on_parent_failure="run").enqueue_sync(to="d").status_sync()

    assert (both.state, both.options.depends_on, both.options.on_parent_failure) == (
        TaskState.BLOCKED,
        (one.id, two.id),
        None,
    )
    assert (single.blocked_by, single.options.on_parent_failure) == ((one.id,), "run")


def test_whoever_waits_for_a_task_is_told_that_its_parent_failed(memory_tq: TaskQueue) -> None:
    send_mail = define_mail(memory_tq)
    parent = send_mail.enqueue_sync(to="a")
    failing = send_mail.options(depends_on=parent).enqueue_sync(to="b")
    skipped = send_mail.options(depends_on=parent, on_parent_failure="skip").enqueue_sync(to="c")
    parent.cancel_sync()

    with pytest.raises(TaskFailedError, match=f"reason parent_failed.*the task {parent.id}, which it waited for"):
        failing.result_sync(timeout_s=1)
    with pytest.raises(TaskCancelledError, match="parent_failed") as refusal:
        skipped.result_sync(timeout_s=1)
    assert refusal.value.reason == "parent_failed"


@pytest.mark.parametrize(
    ("parents", "error", "said"),
    [
        (3, InvalidInputError, "give handles or ids"),
        ([None], InvalidInputError, "give handles or ids"),
        ("nonsense", InvalidInputError, "is no task id"),
        ("a@other", UnknownParentError, "never existed"),
        ("gone@mail", UnknownParentError, "never existed"),
    ],
)
def test_parents_that_cannot_be_are_refused(
    memory_tq: TaskQueue, parents: Any, error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        define_mail(memory_tq).options(depends_on=parents).enqueue_sync(to="a")
