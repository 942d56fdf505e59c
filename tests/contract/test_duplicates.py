"""A thousand producers that say the same at once: one is heard, the others are told so."""

from __future__ import annotations

import threading

import pytest

from tests.queue_driver import QueueDriver
from tq_core.roles import producer
from tq_core.transport.runner import SyncRunner

THREADS, EACH = 50, 20


@pytest.mark.parametrize("same", ["name", "unique_key"])
def test_of_a_thousand_equal_submits_at_once_one_is_accepted(redis_url: str, same: str) -> None:
    q = QueueDriver(redis_url, has_clock=False)
    q.put_one()
    outcomes: list[producer.Enqueued] = []
    begin = threading.Barrier(THREADS)

    def submit() -> None:
        runner = SyncRunner(q.endpoint)
        begin.wait(20)
        for _ in range(EACH):
            outcomes.extend(runner.run(producer.enqueue(q.queue, [producer.new_task("work", {}, **{same: "one"})])))  # type: ignore[arg-type]
        runner.close()

    threads = [threading.Thread(target=submit) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert len(outcomes) == THREADS * EACH
    assert sum(o.is_new for o in outcomes) == 1
    assert {o.duplicate_of for o in outcomes if not o.is_new} == {"id" if same == "name" else "unique"}
    assert len({o.task_id for o in outcomes}) == 1
    assert q.depths() == {"pending": 2}
    assert q.findings() == []
    q.close()
