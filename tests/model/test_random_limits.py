"""Random histories of a queue with limits and breakers: what must hold at every step, and that nothing is lost.

What may run is judged here from the outside, by counting; which of the waiting is next, the contract tests say.
"""

from __future__ import annotations

import collections
import random

import pytest

from tests.queue_driver import QueueDriver
from tq_core.model import TaskOptions, TaskState
from tq_core.roles import consumer, limits, maintenance, operator, producer
from tq_core.roles.consumer import ClaimedTask
from tq_core.roles.limits import Breaker, Rate

KEYS = (None, None, "ann", "bob", "b|>!", "bo")
TYPES = ("work", "mail")


class LimitedHistory:
    """A queue, what was enqueued, and what has been set."""

    def __init__(self, url: str, seed: int) -> None:
        self.q = QueueDriver(url)
        self.random = random.Random(seed)
        self.running: int | None = None
        self.of_keys: dict[str, int | None] = {}
        self.each_key: int | None = None
        self.has_rates = False
        self.claims: list[ClaimedTask] = []
        self.enqueued = 0

    def pick(self, *options: object) -> object:
        return self.random.choice(options)

    def step(self) -> None:
        move = self.random.choice(
            (self.enqueue, self.claim, self.claim, self.claim, self.end, self.end, self.end, self.upkeep, self.operate)
        )
        move()
        assert self.q.findings() == [], move

    def enqueue(self) -> None:
        tasks = [
            producer.new_task(
                self.random.choice(TYPES),
                {},
                priority=self.random.choice((0, 100, 255)),
                delay_s=self.random.choice((0, 0, 0, 1)),
                max_attempts=3,
                options=TaskOptions(limit_key=self.random.choice(KEYS)),
            )
            for _ in range(self.random.choice((1, 3, 8)))
        ]
        self.q.put(*tasks)
        self.enqueued += len(tasks)

    def limit_of(self, key: str | None) -> int | None:
        if key is None:
            return None
        own = self.of_keys.get(key)
        return self.each_key if own is None else own

    def running_by_key(self) -> collections.Counter[str | None]:
        views = [self.q.view(i.decode()) for i in self.q.raw.hkeys(self.q.key("tokens")) if not i.startswith(b"!")]
        return collections.Counter(view.options.limit_key for view in views if view.state is TaskState.RUNNING)

    def claim(self) -> None:
        wanted = self.random.choice((1, 2, 5))
        claim = self.q.claim(wanted, worker_id=self.random.choice(("n.1", "n.2")), lease_ms=5_000)
        self.claims += claim.tasks
        now = self.running_by_key()
        total = sum(now.values())
        if claim.tasks:
            assert self.running is None or total <= self.running
        for key in {task.header.options.limit_key for task in claim.tasks if task.header}:
            limit = self.limit_of(key)
            assert limit is None or now[key] <= limit, key
        if len(claim.tasks) < wanted and not self.has_rates and (self.running is None or total < self.running):
            self.none_waits_without_reason(now)

    def none_waits_without_reason(self, now: collections.Counter[str | None]) -> None:
        assert "pending" not in self.q.depths()
        breakers = {b.type: b.state for b in self.q.run(limits.read(self.q.queue)).breakers}
        for member in self.q.raw.zrange(self.q.key("parked"), 0, -1):
            view = self.q.view(member.decode().rpartition(">")[2])
            limit = self.limit_of(view.options.limit_key)
            is_full = limit is not None and now[view.options.limit_key] >= limit
            assert is_full or breakers.get(view.type, "closed") != "closed", view

    def end(self) -> None:
        if not self.claims:
            return
        task = self.claims.pop(self.random.randrange(len(self.claims)))
        how = self.random.choice(
            ("complete", "complete", "retry", "fatal", "cancel", "release", "unknown", "crash", "die")
        )
        if how == "complete":
            self.q.complete(task)
        elif how in ("retry", "fatal", "cancel"):
            self.q.fail(task, verdict=how, delay_ms=self.random.choice((0, 1000)))
        elif how == "release":
            self.q.run(consumer.release([task]))
        elif how == "unknown":
            self.q.run(consumer.release_unknown([task]))
        elif how == "crash":
            self.q.run(consumer.crash(task, detail={}))
        else:
            started = [t.id for t in self.claims if self.random.random() < 0.5]
            self.q.run(consumer.give_back([self.q.queue], "n.1", started_ids=started, detail={}))

    def upkeep(self) -> None:
        self.q.clock.advance(self.random.choice((0, 1, 100, 1000, 7000, 30_000)))
        self.q.run(maintenance.promote([self.q.queue], limit=self.random.choice((1, 500))))
        self.q.reclaim()

    def operate(self) -> None:
        q, chance = self.q, self.random
        kind = chance.choice(
            ("running", "each_key", "key", "rate", "breaker", "steer", "cancel", "discard", "requeue", "purge")
        )
        value = chance.choice((None, 1, 2, 4))
        ids = [i.decode() for i in q.raw.hkeys(q.key("bodies"))]
        some = chance.sample(ids, min(len(ids), 4))
        if kind == "running":
            self.running = value
            q.run(limits.set_limits(q.queue, {"running": value}, actor="ann"))
        elif kind == "each_key":
            self.each_key = value
            q.run(limits.set_limits(q.queue, {"key_running": value}, actor="ann"))
        elif kind == "key":
            key = chance.choice([k for k in KEYS if k])
            self.of_keys[key] = chance.choice((value, 0))
            q.run(limits.set_limits(q.queue, {"running": self.of_keys[key]}, key=key, actor="ann"))
        elif kind == "rate":
            rate = chance.choice((None, None, Rate(starts=3, period_ms=1000, burst=2)))
            self.has_rates = rate is not None
            q.run(limits.set_limits(q.queue, {"key_rate": rate, "rate": rate}, actor="ann"))
        elif kind == "breaker":
            breaker = chance.choice(
                (None, Breaker(min_runs=3, cooldown_s=5), Breaker(min_runs=1, cooldown_s=1, probes=2))
            )
            q.run(limits.set_breaker(q.queue, chance.choice(TYPES), breaker, actor="ann"))
        elif kind == "steer":
            for view in q.run(limits.read(q.queue)).breakers:
                flow = chance.choice((limits.open_breaker, limits.close_breaker, limits.close_breaker))
                q.run(flow(q.queue, view.type, actor="ann"))
        elif kind == "purge":
            state = TaskState(chance.choice(("blocked", "pending", "failed")))
            if len(ids) > 60:
                q.run(operator.purge(q.queue, actor="ann", state=state))
        elif kind == "cancel":
            q.run(operator.cancel(some, actor="ann"))
        elif kind == "discard":
            q.run(operator.discard(some, actor="ann"))
        else:
            q.run(operator.requeue(some, actor="ann"))

    def drain(self) -> None:
        """Takes all limits away, or only lets time pass: whatever waits must run."""
        q = self.q
        q.run(limits.set_limits(q.queue, {"running": None, "key_rate": None, "rate": None}, actor="ann"))
        for view in q.run(limits.read(q.queue)).breakers:
            q.run(limits.close_breaker(q.queue, view.type, actor="ann"))
        for key, limit in self.of_keys.items():
            if limit == 0:
                q.run(limits.set_limits(q.queue, {"running": None}, key=key, actor="ann"))
        q.run(consumer.give_back([q.queue], "n.1", started_ids=(), detail={}))
        q.run(consumer.give_back([q.queue], "n.2", started_ids=(), detail={}))
        for _ in range(1000):
            q.clock.advance(1000)
            if tasks := q.take(10):
                q.complete(*tasks)
            elif not {"pending", "blocked", "scheduled", "retrying", "running"} & q.depths().keys():
                return
        raise AssertionError(f"some never run: {q.depths()}")


def play(url: str, seed: int, steps: int) -> None:
    history = LimitedHistory(url, seed)
    try:
        for _ in range(steps):
            history.step()
        history.drain()
        assert history.q.findings() == []
    except BaseException as error:
        error.add_note(f"seed {seed}")
        raise
    finally:
        history.q.close()
    assert history.enqueued > steps / 10


@pytest.mark.parametrize("seed", range(1))
def test_limits_hold_and_lose_nothing_in_a_random_history(broker_url: str, seed: int) -> None:
    play(broker_url, seed, 120)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", range(100, 120))
def test_limits_hold_and_lose_nothing_in_a_long_random_history(broker_url: str, seed: int) -> None:
    play(broker_url, seed, 1500)
