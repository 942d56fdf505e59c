"""Random histories: producers, three workers, upkeep and operators, in any order, with any staleness.

Two ways of choosing what comes next share one player: hypothesis, which looks for the odd corner and shrinks what it
finds, and a seeded random generator, which plays long and busy histories.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import hypothesis
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from tests.model.queue_history import PREVIOUS, SCHEDULES, QueueHistory
from tests.queue_driver import START_MS
from tq_core.model import TERMINAL_STATES, WAITING_STATES, TaskState
from tq_core.roles.consumer import ClaimedTask

T = TypeVar("T")

WORKERS = ("node.1", "node.2", "other.1")
UNIQUE_KEYS = ("a|b", "ü", "c")
NAMES = ("one", "two", "three")
GROUPS = ("", "0a1b2c", "0a1b2c-d", "fff")
DELAYS_MS = (0, 0, 0, 1, 500, 5000)
LEASES_MS = (1, 1000, 30_000, 30_000)
CROWDED = 40
"""So many tasks, and operators begin to purge: histories stay about constant in size."""


class Player:
    """Chooses operations and their arguments by `choose`, which picks one of a sequence."""

    def __init__(self, history: QueueHistory, choose: Callable[[Sequence[Any]], Any]) -> None:
        self._h, self._choose = history, choose

    def pick(self, options: Sequence[T]) -> T:
        chosen: T = self._choose(options)
        return chosen

    def claimed(self) -> ClaimedTask:
        """A claim: most often a recent one, of which many still hold their task, else one of long ago."""
        return self.pick(self._h.claims[-10:] if self.pick(range(4)) else self._h.claims)

    def several_claimed(self) -> list[ClaimedTask]:
        return [self.claimed() for _ in range(self.pick((1, 2, 5)))]

    def ids(self) -> list[str]:
        recent = self._h.known_ids[-12:]
        return list(dict.fromkeys(self.pick(recent) for _ in range(self.pick((1, 2, 6)))))

    def enqueue(self) -> None:
        names = [self.pick((None, None, None, None, None, *NAMES)) for _ in range(self.pick((1, 2, 6)))]
        taken = {f"{name}@mail" for name in names}
        self._h.enqueue(
            [
                (
                    self.pick((0, 50, 100, 100, 100, 255)),
                    self.pick(DELAYS_MS),
                    self.pick((1, 2, 3)),
                    self.pick((None, None, None, *UNIQUE_KEYS)),
                    name,
                    self.parents(taken),
                    self.pick(("fail", "skip", "run")),
                    self.pick((None, None, None, None, 800, 3000, 40_000)),
                    self.pick(("finished", "finished", "started", "for")),
                )
                for name in names
            ]
        )

    def parents(self, taken: set[str]) -> tuple[str, ...]:
        """None most often; else tasks that are there, in any state, or the one before; rarely one that is gone."""
        if self.pick((True, True, False)):
            return ()
        known = self._h.known_ids[-15:]
        there = [i for i in known if i in self._h.model.tasks] if self.pick(range(12)) else known
        options = [*(i for i in there if i not in taken), PREVIOUS]
        return tuple(dict.fromkeys(self.pick(options) for _ in range(self.pick((1, 1, 2, 4)))))

    def claim(self) -> None:
        self._h.claim(self.pick(WORKERS), self.pick((1, 2, 5)), self.pick(LEASES_MS))

    def finish(self) -> None:
        """What a worker, or the supervisor of a dead one, says of tasks it has, or had."""
        h = self._h
        kind = self.pick(("complete", "complete", "fail", "fail", "fail", "crash", "crash", "release", "extend", "die"))
        if kind == "die" or not h.claims:
            if self.pick((True, True, False)):
                started = [t.id for t in h.claims[-10:] if self.pick((True, False))]
                h.give_back(self.pick(WORKERS), started)
            else:
                h.release_claim(self.pick(h.nonces[-4:]))
        elif kind == "complete":
            h.complete(self.several_claimed())
        elif kind == "fail":
            h.fail(
                self.claimed(),
                verdict=self.pick(("retry", "retry", "retry", "fatal", "cancel")),
                delay_ms=self.pick(DELAYS_MS),
                group=self.pick(GROUPS),
            )
        elif kind == "crash":
            h.crash(self.claimed())
        elif kind == "release":
            h.release(self.several_claimed(), is_unknown=self.pick((True, False)), delay_ms=self.pick(DELAYS_MS))
        else:
            h.extend(self.several_claimed(), self.pick(LEASES_MS))

    def upkeep(self) -> None:
        h = self._h
        h.q.clock.advance(self.pick((0, 1, 10, 500, 1000, 2500, 31_000, 120_000)))
        kind = self.pick(("wait", "reclaim", "reclaim", "promote", "trim", "tick", "tick"))
        if kind == "reclaim":
            h.reclaim(self.pick((1, 3, 100)))
        elif kind == "tick":
            h.tick()
        elif kind == "promote":
            h.promote(self.pick((1, 3, 500)))
        elif kind == "trim":
            h.trim(limit=self.pick((1, 500)), keep=self.pick((2, 1000)), keep_ms=self.pick((60_000, 10**7)))

    def operate(self) -> None:
        h = self._h
        kinds = (
            "cancel",
            "cancel",
            "cancel",
            "requeue",
            "requeue",
            "discard",
            "undo",
            "undo",
            "pause",
            "configure",
            "redrive",
            "schedule",
            "schedule",
            "redrive_group",
        )
        kind = "purge" if len(h.model.tasks) > CROWDED else self.pick(kinds)
        if kind == "purge":
            h.purge(self.pick(sorted(WAITING_STATES | TERMINAL_STATES)))
        elif kind == "cancel":
            h.cancel(self.ids(), kill=self.pick((True, False)))
        elif kind == "requeue":
            h.requeue(self.ids())
        elif kind == "discard":
            h.discard(self.ids())
        elif kind == "undo":
            h.take_and_undo(self.ids(), is_cancel=self.pick((True, False)))
        elif kind == "redrive":
            h.requeue_all(self.pick(sorted(TERMINAL_STATES)))
        elif kind == "schedule":
            how = self.pick(("add", "add", "add", "pause", "resume", "remove", "run", "run"))
            name = self.pick(sorted(SCHEDULES))
            if how == "add":
                h.add_schedule(name)
            else:
                h.steer_schedule(name, how)
        elif kind == "redrive_group":
            h.requeue_group(self.pick((*GROUPS[1:], "poison:work", "error:work")))
        elif kind == "pause":
            h.pause(self.pick((False, False, True)))
        else:
            h.configure(
                max_size=self.pick((None, None, 5, 12)),
                completed=self.pick((None, 0, 2)),
                failed=self.pick((None, 0, 2)),
            )


def play_seeded(url: str, *, seed: int, steps: int) -> QueueHistory:
    """Plays one long history that a seed decides."""
    history = QueueHistory(url)
    player = Player(history, random.Random(seed).choice)
    moves = (player.enqueue, *[player.claim] * 2, *[player.finish] * 4, player.upkeep, player.operate)
    try:
        for _ in range(steps):
            player.pick(moves)()
        history.end()
    except BaseException as error:
        error.add_note(f"seed {seed}, after {history.steps} steps")
        raise
    finally:
        history.q.close()
    return history


class RandomHistory(RuleBasedStateMachine):
    """The player in the hands of hypothesis; `url` is the server it plays on."""

    url = ""

    def __init__(self) -> None:
        super().__init__()
        self.history = QueueHistory(self.url)

    def teardown(self) -> None:
        self.history.end()

    def _player(self, data: st.DataObject) -> Player:
        return Player(self.history, lambda options: data.draw(st.sampled_from(options)))

    @rule(data=st.data())
    def enqueue_and_claim(self, data: st.DataObject) -> None:
        self._player(data).enqueue()
        self._player(data).claim()

    @rule(data=st.data())
    def claim(self, data: st.DataObject) -> None:
        self._player(data).claim()

    @rule(data=st.data())
    def finish(self, data: st.DataObject) -> None:
        self._player(data).finish()

    @rule(data=st.data())
    def finish_again(self, data: st.DataObject) -> None:
        self._player(data).finish()

    @rule(data=st.data())
    def upkeep(self, data: st.DataObject) -> None:
        self._player(data).upkeep()

    @rule(data=st.data())
    def operate(self, data: st.DataObject) -> None:
        self._player(data).operate()


def search(url: str, *, examples: int, steps: int, is_derandomized: bool = True) -> None:
    """Lets hypothesis look for a history on which the queue and its model disagree."""
    machine: Any = type("RandomHistoryHere", (RandomHistory,), {"url": url})
    run_state_machine_as_test(
        machine,
        settings=hypothesis.settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            derandomize=is_derandomized,
            database=None,
            suppress_health_check=list(hypothesis.HealthCheck),
        ),
    )


@pytest.mark.timeout(400)  # it passes in seconds; a failure is shrunk, and worth the wait
def test_hypothesis_finds_no_history_on_which_queue_and_model_disagree(broker_url: str) -> None:
    search(broker_url, examples=2, steps=300)


@pytest.mark.parametrize("seed", range(2))
def test_queue_and_model_agree_on_a_busy_history(broker_url: str, seed: int) -> None:
    history = play_seeded(broker_url, seed=seed, steps=600)

    seen = history.model.counters
    rare = (
        "completed",
        "failed",
        "cancelled",
        "retrying",
        "crashed",
        "lost",
        "released",
        "stale",
        "requeued",
        "dropped",
        "expired",
    )
    assert not [name for name in rare if not seen[name]], "a history in which these never happened proves little"
    assert [i for i in history.known_ids if i.startswith("cron.")], "nor does one without a schedule"


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_hypothesis_finds_no_long_history_on_which_queue_and_model_disagree(broker_url: str) -> None:
    search(broker_url, examples=150, steps=150, is_derandomized=False)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("seed", range(100, 110))
def test_queue_and_model_agree_on_a_very_long_history(broker_url: str, seed: int) -> None:
    play_seeded(broker_url, seed=seed, steps=8000)


@pytest.mark.chaos
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("n", range(2))
def test_queue_and_model_agree_for_twelve_thousand_steps(broker_url: str, n: int) -> None:
    play_seeded(broker_url, seed=int(os.environ.get("CHAOS_SEED", "1")) + n, steps=12_000)


def test_the_clock_of_a_history_is_its_own(broker_url: str) -> None:
    history = QueueHistory(broker_url)
    history.enqueue([(100, 500, 1, None, None, (), "fail", None, "finished")])
    history.q.clock.advance(500)
    history.claim("node.1", 1, 1000)
    assert history.q.clock.now_ms == START_MS + 500
    assert [t.state for t in history.model.tasks.values()] == [TaskState.RUNNING]
    history.end()
