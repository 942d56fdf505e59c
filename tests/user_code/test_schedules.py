"""Schedules as users' code declares them, and as they are fired in this process."""

from __future__ import annotations

import time

import pytest

from tests.waiting import wait_until
from tq_core import InvalidArgumentsError, TaskQueue
from tq_core.errors import InvalidInputError
from tq_core.roles import schedules
from tq_core.roles.inspector import show_one
from tq_core.timetable import Timetable
from tq_worker import InlineWorker


def test_a_task_type_may_say_that_it_is_a_schedule(tq: TaskQueue) -> None:
    @tq.task(queue="mail", priority="high", cron="*/5 * * * *", tz="Europe/Rome")
    def tidy() -> None: ...

    @tq.task(every_s=30)
    def beat(count: int = 1) -> None: ...

    found = tq.schedules["tidy"]
    assert (found.queue, found.task_type, found.priority) == ("mail", "tidy", 50)
    assert found.when == Timetable(cron="*/5 * * * *", tz="Europe/Rome")
    assert tq.schedules["beat"].when == Timetable(every_ms=30_000)


def test_a_schedule_gives_arguments_and_takes_the_rest_from_the_type(tq: TaskQueue) -> None:
    @tq.task(queue="mail", priority="low")
    def report(city: str, pages: int = 1) -> None: ...

    tq.schedule("rome", report, {"city": "Rome"}, cron="0 8 * * *", tz="Europe/Rome", jitter_s=60, missed="skip")
    tq.schedule("oslo", "report", {"city": "Oslo"}, every_s=60, queue="other", max_attempts=1, overlap=False)
    tq.schedule("far", "defined_elsewhere", {"x": 1}, every_s=60)

    rome, oslo, far = tq.schedules.values()
    assert (rome.queue, rome.priority, rome.args, rome.jitter_ms, rome.missed) == (
        *("mail", 200, {"city": "Rome"}, 60_000, "skip"),
    )
    assert (oslo.queue, oslo.max_attempts, oslo.unique_key) == ("other", 1, "cron.oslo")
    assert (far.queue, far.task_type) == ("default", "defined_elsewhere")


def test_a_schedule_of_a_unique_type_is_as_unique_as_its_other_tasks(tq: TaskQueue) -> None:
    @tq.task(unique=True)
    def sync(site: str) -> None: ...

    handle = sync.enqueue_sync(site="a")
    tq.schedule("hourly", sync, {"site": "a"}, every_s=3600)

    assert tq.schedules["hourly"].unique_key == tq.run_sync(show_one(handle.id)).unique_key


def test_what_cannot_be_is_refused_where_it_is_declared(tq: TaskQueue) -> None:
    @tq.task()
    def report(city: str) -> None: ...

    tq.schedule("a", report, {"city": "Rome"}, every_s=60)
    with pytest.raises(InvalidInputError, match="the schedule 'a' is declared twice"):
        tq.schedule("a", report, {"city": "Oslo"}, every_s=60)
    with pytest.raises(InvalidArgumentsError, match="city"):
        tq.schedule("b", report, {"town": "Rome"}, every_s=60)
    with pytest.raises(InvalidInputError, match="color: a schedule has no such option; there are cron, every_s"):
        tq.schedule("b", report, {"city": "Rome"}, every_s=60, color="red")  # type: ignore[call-arg]
    with pytest.raises(InvalidInputError, match="either cron="):
        tq.schedule("b", report, {"city": "Rome"})
    with pytest.raises(InvalidArgumentsError, match="city"):

        @tq.task(cron="@daily")
        def other(city: str) -> None: ...

    with pytest.raises(InvalidInputError, match="either cron="):

        @tq.task(tz="Europe/Rome")
        def third() -> None: ...

    assert list(tq.schedules) == ["a"]
    assert list(tq.tasks) == ["report"]


def test_an_inline_worker_fires_what_is_due_when_it_starts(tq: TaskQueue) -> None:
    ran = []

    @tq.task(every_s=1)
    def beat() -> None:
        ran.append(time.time())

    worker = InlineWorker(tq)
    assert worker.run_until_empty().completed == 0
    (view,) = tq.run_sync(schedules.schedules())
    assert view.seen_at_ms is not None

    assert wait_until(lambda: worker.run_until_empty().completed, 5, "the first fire") >= 1
    (view,) = tq.run_sync(schedules.schedules())
    assert view.fires == len(ran) >= 1
