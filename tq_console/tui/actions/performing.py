"""Carrying out a plan: ask, do, tell; every write of the console comes through here."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from textual.app import App

from tq_console.tui.actions.confirm import ConfirmBar, ConfirmWindow, level_of
from tq_console.tui.actions.plan import Level, Plan, Told
from tq_core.errors import TqError
from tq_core.transport.steps import Flow

T = TypeVar("T")

KEPT = 200
SLOW_AFTER_S = 1.0


class Writer(Protocol):
    """The way to the broker, as plans need it."""

    is_read_only: bool
    is_protected: bool

    @property
    def name(self) -> str: ...

    async def ask(self, flow: Flow[T]) -> T: ...

    async def change(self, flow: Flow[T]) -> T: ...


@dataclass(frozen=True, slots=True)
class Performed:
    """One thing that was done from here."""

    at_s: float
    title: str
    command: str
    told: Told


class Performer:
    """Carries out plans for one console."""

    def __init__(
        self,
        app: App[Any],
        link: Writer,
        *,
        on_done: Callable[[Performed], None],
        on_progress: Callable[[str], None],
    ) -> None:
        self._app, self._link = app, link
        self._on_done, self._on_progress = on_done, on_progress
        self.log: deque[Performed] = deque(maxlen=KEPT)
        self.under_way = 0
        """Writes that have begun and not ended."""

    async def perform(self, plan: Plan) -> Told | None:
        """Asks as the plan wants it, does it, tells; None where the answer was no.

        To be run in a worker of the app's.
        """
        if self._link.is_read_only:
            return self._tell(plan, Told("read-only: nothing was done", is_good=False))
        if not await self._is_wanted(plan):
            return None
        self.under_way += 1
        start_s = time.monotonic()

        def told(done: int) -> None:
            if plan.total and time.monotonic() - start_s > SLOW_AFTER_S:
                self._on_progress(f"{plan.title}: {done:,} of {plan.total:,}")

        try:
            result = await self._link.change(plan.flow(told))
            outcome = plan.tell(result)
        except TqError as error:
            outcome = Told(error.message, is_good=False)
        finally:
            self.under_way -= 1
            self._on_progress("")
        return self._tell(plan, outcome)

    def _tell(self, plan: Plan, told: Told) -> Told:
        performed = Performed(time.monotonic(), plan.title, plan.command, told)
        self.log.append(performed)
        self._on_done(performed)
        return told

    async def _is_wanted(self, plan: Plan) -> bool:
        level = level_of(plan, is_protected=self._link.is_protected)
        if level is Level.NONE:
            return True
        if level is Level.BAR:
            bar: bool | None = await self._app.push_screen_wait(ConfirmBar(plan))
            return bool(bar)
        word = (plan.word or self._link.name) if level is Level.TYPED else ""
        window = ConfirmWindow(plan, word=word, facts=() if plan.ask_facts is None else None)
        if plan.ask_facts is not None:
            self._app.run_worker(self._bring_facts(plan, window), exit_on_error=False)
        answer: bool | None = await self._app.push_screen_wait(window)
        return bool(answer)

    async def _bring_facts(self, plan: Plan, window: ConfirmWindow) -> None:
        assert plan.ask_facts is not None
        try:
            facts = await self._link.ask(plan.ask_facts())
        except TqError as error:
            facts = (f"the server could not be asked: {error.message}",)
        window.call_after_refresh(window.tell, facts)
