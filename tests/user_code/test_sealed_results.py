"""Results as programs with keys take them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tq_core import TaskContext, TaskQueue
from tq_core.errors import PayloadRefusedError
from tq_core.keyspace import keys, sealing
from tq_core.keyspace.sealing import Key, Sealing
from tq_core.transport.steps import Command, Flow
from tq_worker import InlineWorker


@pytest.fixture(autouse=True)
def sealed() -> Iterator[None]:
    sealing.use(Sealing(keys=[Key("first", b"k" * 32)], mode="encrypt"))
    yield
    sealing.use(None)


def overwrite_result(tq: TaskQueue, task_id: str, result: bytes) -> None:
    """As somebody does who may write to Redis and has no key."""

    def flow() -> Flow[None]:
        key = keys.queue_prefix("default") + "records"
        record: bytes = yield Command(("HGET", key, task_id))
        yield Command(("HSET", key, task_id, b"|".join([*record.split(b"|")[:4], result])))

    tq.run_sync(flow())


def test_a_result_that_somebody_without_the_key_wrote_is_shown_and_never_worked_with(memory_tq: TaskQueue) -> None:
    tq = memory_tq
    seen: list[Any] = []

    @tq.task
    def price() -> int:
        return 100

    @tq.task
    def charge(context: TaskContext) -> int:
        seen.append(list(context.parent_results_sync().values()))
        return 1

    parent = price.enqueue_sync()
    InlineWorker(tq).run_until_empty()
    assert parent.result_sync(timeout_s=1) == 100

    overwrite_result(tq, parent.id, b"1")
    child = charge.options(depends_on=parent, max_attempts=1).enqueue_sync()
    InlineWorker(tq).run_until_empty()

    assert seen == []
    view = child.status_sync()
    assert view.error is not None
    assert "not encrypted" in view.error["message"]
    assert parent.status_sync().result == 1
    with pytest.raises(PayloadRefusedError, match="not encrypted"):
        parent.result_sync(timeout_s=1)

    sealing.use(Sealing(keys=[Key("first", b"k" * 32)], mode="encrypt", accepts_plain=True))
    assert parent.result_sync(timeout_s=1) == 1
