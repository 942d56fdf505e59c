"""The one loop that asks: fetch, hand out the snapshot, wait, and after a failure wait longer."""

from __future__ import annotations

import asyncio
import contextlib
import statistics
import time
from collections import deque
from collections.abc import Callable
from typing import Protocol, TypeVar

from tq_console.tui.watch.questions import Answer, ask, server_facts
from tq_console.tui.watch.snapshot import Question, ServerFacts, Snapshot, Trouble
from tq_core.errors import TqError
from tq_core.model import TaskState
from tq_core.transport.steps import Flow

T = TypeVar("T")

INTERVAL_S = 1.0
FACTS_EVERY_S = 5.0
RTTS = 5
"""Round trips of which the median is shown: one that was held up by our own screen says nothing."""
FIRST_WAIT_S = 0.25
LONGEST_WAIT_S = 5.0


class Asker(Protocol):
    """Whatever runs flows that read."""

    async def ask(self, flow: Flow[T]) -> T: ...


class Poller:
    """Asks the visible screen's question again and again; pauses while frozen."""

    def __init__(
        self,
        link: Asker,
        question: Callable[[], Question],
        *,
        on_snapshot: Callable[[Snapshot], None],
        on_trouble: Callable[[Trouble], None],
        interval_s: float = INTERVAL_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._link, self._question = link, question
        self._on_snapshot, self._on_trouble = on_snapshot, on_trouble
        self.interval_s = interval_s
        self.is_frozen = False
        self._again = asyncio.Event()
        self._is_wanted = False
        self._last: Answer | None = None
        self._facts = ServerFacts()
        self._facts_at_s = float("-inf")
        self._rtts_ms: deque[float] = deque(maxlen=RTTS)
        self._is_emptied = False
        self._tries = 0
        self._since_s = 0.0

    def poke(self) -> None:
        """Asks at once: the screen needs something else, or somebody wants to know now."""
        self._again.set()

    def ask_once(self) -> None:
        """Asks at once, frozen or not."""
        self._is_wanted = True
        self._again.set()

    async def run(self) -> None:
        """Asks until cancelled, one question after the other: no answer overtakes another."""
        while True:
            self._again.clear()
            is_asking, self._is_wanted = self._is_wanted or not self.is_frozen, False
            wait_s = await self.run_once() if is_asking else None
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._again.wait(), wait_s)

    async def run_once(self) -> float:
        """Asks once and tells what came of it; returns how long to wait."""
        try:
            snapshot = await self._fetch()
        except TqError as error:
            return self._failed(error.message, error.code)
        except Exception as error:  # noqa: BLE001 - the seam of the service loop: whatever happens, it asks again
            return self._failed(f"internal error, {type(error).__name__}: {error}", "internal")
        self._tries = 0
        self._on_snapshot(snapshot)
        return self.interval_s

    def _failed(self, text: str, code: str) -> float:
        if self._tries == 0:
            self._since_s = self._clock()
        self._tries += 1
        wait_s = min(FIRST_WAIT_S * 2.0 ** min(self._tries - 1, 10), LONGEST_WAIT_S)
        self._on_trouble(Trouble(text, code, self._since_s, self._tries, wait_s))
        return wait_s

    async def _fetch(self) -> Snapshot:
        question = self._question()
        before = self._last
        start_s = self._clock()
        answer = await self._link.ask(ask(question, before))
        taken_s = self._clock()
        self._rtts_ms.append((taken_s - start_s) * 1000)
        if taken_s - self._facts_at_s >= FACTS_EVERY_S:
            self._facts = await self._link.ask(server_facts())
            self._facts_at_s = taken_s
        self._last = answer
        # Until there is a queue again: who looks later must still see it.
        self._is_emptied = not answer.numbers and (self._is_emptied or bool(before and before.numbers))
        return Snapshot(
            question=question,
            now_ms=answer.fleet.now_ms,
            taken_s=taken_s,
            rtt_ms=statistics.median(self._rtts_ms),
            queues=answer.queues,
            fleet=answer.fleet,
            tasks=answer.tasks,
            detail=answer.detail,
            failures=answer.failures.tasks if answer.failures else (),
            audited=answer.audited,
            part=answer.part,
            groups=answer.groups.answer if answer.groups else None,
            waiting=answer.waiting,
            server=self._facts,
            is_emptied=self._is_emptied,
            depths={state: sum(q.depths[state] for q in answer.queues) for state in TaskState},
        )
