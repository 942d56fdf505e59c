"""Chains and groups as programs make them, and what their tasks know of those before them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tq_core import TaskContext, TaskQueue, TaskState
from tq_core.errors import (
    InvalidInputError,
    NotFoundError,
    QueueFullError,
    RefusedError,
    TaskCancelledError,
    TaskFailedError,
    WaitTimeoutError,
)
from tq_core.roles import audit, operator, producer
from tq_worker import InlineWorker


class Site:
    """Some types of several queues."""

    def __init__(self, tq: TaskQueue) -> None:
        self.tq = tq
        self.seen: list[str] = []

        @tq.task(queue="a")
        def fetch(n: int) -> int:
            self.seen.append("fetch")
            if n < 0:
                raise ValueError(n)
            return n

        @tq.task(queue="b")
        async def add(context: TaskContext, n: int = 0) -> int:
            self.seen.append("add")
            total: int = sum((await context.parent_results()).values(), n)
            return total

        @tq.task(queue="a")
        def told(context: TaskContext) -> dict[str, Any]:
            self.seen.append("told")
            found = context.parent_results_sync()
            out: dict[str, Any] = {}
            for parent in found:
                try:
                    out[parent] = found[parent]
                except Exception as error:  # noqa: BLE001 - which one it is is what is told
                    out[parent] = type(error).__name__
            return out

        self.fetch, self.add, self.told = fetch, add, told

    def run(self) -> None:
        InlineWorker(self.tq).run_until_empty()
        assert self.tq.run_sync(audit.audit()) == []


@pytest.fixture
def site(memory_tq: TaskQueue) -> Site:
    return Site(memory_tq)


def test_a_chain_runs_in_order_from_queue_to_queue(site: Site) -> None:
    chain = site.tq.chain_sync(
        site.fetch.signature(3), site.add.signature(4), site.add.signature(5), site.told.signature()
    )
    states = [task.status_sync().state for task in chain.tasks]
    assert states == [TaskState.PENDING, TaskState.BLOCKED, TaskState.BLOCKED, TaskState.BLOCKED]

    site.run()

    assert site.seen == ["fetch", "add", "add", "told"]
    assert chain.result_sync(timeout_s=1) == {chain.tasks[2].id: 12}
    assert chain.id == chain.tasks[-1].id


def test_a_chain_that_fails_ends_whole_unless_it_is_told_to_go_on(site: Site) -> None:
    parts = [site.fetch.options(max_attempts=1).signature(-1), site.add.signature(), site.told.signature()]
    failing = site.tq.chain_sync(*parts)
    skipping = site.tq.chain_sync(*parts, on_parent_failure="skip")
    running = site.tq.chain_sync(*parts[::2], on_parent_failure="run")
    site.run()

    with pytest.raises(TaskFailedError, match="parent_failed"):
        failing.result_sync(timeout_s=1)
    with pytest.raises(TaskCancelledError, match="parent_failed"):
        skipping.result_sync(timeout_s=1)
    assert running.result_sync(timeout_s=1) == {running.tasks[0].id: "TaskFailedError"}


def test_a_group_gives_its_results_in_order_and_its_callback_all_of_them(site: Site) -> None:
    numbers = list(range(120))
    parts = [site.fetch.signature(n) if n % 3 else site.add.signature(n) for n in numbers]
    group = site.tq.group_sync(parts, callback=site.add.signature(1))
    with pytest.raises(WaitTimeoutError, match="120 of 120 tasks"):
        group.results_sync(timeout_s=0)
    site.run()

    assert group.results_sync(timeout_s=5) == numbers
    assert group.callback is not None
    assert group.callback.result_sync(timeout_s=1) == sum(numbers) + 1


def test_chains_and_groups_are_enqueued_from_coroutines_too(site: Site) -> None:
    async def main() -> tuple[Any, list[Any]]:
        chain = await site.tq.chain(site.fetch.signature(3), site.add.signature(4))
        group = await site.tq.group([site.fetch.signature(1), site.fetch.signature(2)])
        await InlineWorker(site.tq).arun_until_empty()
        assert group.callback is None
        return await chain.result(timeout_s=1), await group.results(timeout_s=1)

    assert asyncio.run(main()) == (7, [1, 2])


def test_a_group_says_which_of_its_tasks_failed(site: Site) -> None:
    group = site.tq.group_sync(
        [site.fetch.signature(1), site.fetch.options(max_attempts=1).signature(-1)],
        callback=site.told.signature(),
        on_parent_failure="run",
    )
    site.run()

    with pytest.raises(TaskFailedError, match=group.tasks[1].id):
        group.results_sync(timeout_s=1)
    assert group.callback is not None
    assert list(group.callback.result_sync().values()) == [1, "TaskFailedError"]


def test_parents_that_are_gone_or_run_again_give_a_typed_error(site: Site) -> None:
    one, two = (site.fetch.enqueue_sync(n) for n in (1, 2))
    child = site.told.options(depends_on=[one, two, one]).enqueue_sync()
    InlineWorker(site.tq).run_until_empty(max_tasks=2)
    site.tq.run_sync(operator.discard([one.id], actor="ann"))
    site.tq.run_sync(operator.requeue([two.id], actor="ann"))
    InlineWorker(site.tq).run_until_empty(max_tasks=1)

    assert child.result_sync(timeout_s=1) == {one.id: "NotFoundError", two.id: "RefusedError"}
    with pytest.raises(RefusedError, match="runs in no task"):
        site.told()
    with pytest.raises(NotFoundError):
        site.tq.handle(one.id).status_sync()


def test_chosen_ids_make_a_chain_safe_to_repeat(site: Site) -> None:
    parts = [site.fetch.options(id="one").signature(1), site.add.options(id="two").signature()]
    first = site.tq.chain_sync(*parts)
    site.run()
    again = site.tq.chain_sync(*parts)
    site.run()

    assert [task.is_new for task in (*first.tasks, *again.tasks)] == [True, True, False, False]
    assert site.seen == ["fetch", "add"]


def test_what_cannot_be_in_a_chain_or_a_group_is_refused_before_anything_is_sent(site: Site) -> None:
    part = site.fetch.signature(1)
    many = [part] * (producer.MAX_PARENTS + 1)
    stranger = Site(TaskQueue("memory://stranger")).fetch.signature(1)
    unique = site.fetch.options(unique=True).signature(1)
    named = site.fetch.options(id="x").signature(1)
    for refused, said in (
        (site.tq.chain_sync, "nothing to enqueue"),
        (lambda: site.tq.group_sync([]), "nothing to enqueue"),
        (lambda: site.tq.group_sync([], callback=part), "nothing to enqueue"),
        (lambda: site.tq.group_sync(many, callback=part), "at most 1000"),
        (lambda: site.tq.group_sync([part], on_parent_failure="run"), "is for a group's callback"),
        (lambda: site.tq.chain_sync(part, part, on_parent_failure="shrug"), "use fail, skip, run"),
        (lambda: site.tq.chain_sync(part, unique), "is unique"),
        (lambda: site.tq.chain_sync(site.fetch.options(wait_for_room_s=1).signature(1)), "cannot wait for room"),
        (lambda: site.tq.chain_sync(part, stranger), "of another TaskQueue"),
        (lambda: site.tq.chain_sync(named, named), "the id x@a is given twice"),
        (lambda: site.tq.chain_sync(site.fetch), "give task.signature"),  # type: ignore[arg-type]
    ):
        with pytest.raises(InvalidInputError, match=said):
            refused()
    site.run()
    assert site.seen == []


def test_a_full_queue_takes_none_of_its_part_of_a_chain(site: Site) -> None:
    site.tq.run_sync(operator.configure_queue("b", {"max_size": 1}, actor="ann"))

    with pytest.raises(QueueFullError) as refusal:
        site.tq.chain_sync(site.fetch.signature(1), site.add.signature(), site.add.signature())

    assert refusal.value.__notes__ == ["1 of the 3 tasks had been enqueued before"]
    site.run()
    assert site.seen == ["fetch"]
