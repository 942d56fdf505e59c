"""Carrying out a plan: ask, do, tell; every write of the console comes through here."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from textual.app import App
from textual.screen import ModalScreen

from tq_console.tui.actions.confirm import ConfirmBar, ConfirmWindow, Question, level_of
from tq_console.tui.actions.plan import Level, Plan, Told
from tq_console.tui.actions.stopping import KEY, Stops
from tq_console.tui.actions.submitted import Submitted
from tq_core.errors import BrokerUnreachableError, TqError
from tq_core.transport.steps import Flow
from tq_core.transport.together import together

T = TypeVar("T")

KEPT = 200
SLOW_AFTER_S = 1.0


_UNKNOWN = "whether it was done, wholly or in part, is not known: look before you do it again"


class Writer(Protocol):
    """The way to the broker, as plans need it."""

    is_protected: bool

    @property
    def refusal(self) -> str: ...

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
    inverse: Callable[[], Plan] | None = None
    """What sets it back, where nothing was taken away."""
    undo_left_s: float | None = None
    """How long it can be undone, where that is known."""

    @property
    def can_undo(self) -> bool:
        """Whether `z` takes it back."""
        return bool(self.told.undo_op or self.inverse)

    @property
    def undo_words(self) -> str:
        """What is to be known of taking it back; "" where that cannot be done."""
        if not self.can_undo:
            return ""
        if self.undo_left_s is None:
            return "z undo"
        minutes, seconds = divmod(int(self.undo_left_s), 60)
        return f"z undo, for {minutes}:{seconds:02}"


class Performer:
    """Carries out plans for one console."""

    def __init__(
        self,
        app: App[Any],
        link: Writer,
        *,
        on_done: Callable[[Performed], None],
        on_progress: Callable[[str], None],
        submitted: Submitted | None = None,
    ) -> None:
        self._app, self._link = app, link
        self._on_done, self._on_progress = on_done, on_progress
        self.log: deque[Performed] = deque(maxlen=KEPT)
        self.stops = Stops()
        self.submitted = submitted or Submitted(None)
        self.undoable: list[Performed] = []
        """What can be taken back, the latest last."""
        self.undoing = asyncio.Lock()
        """One thing is taken back after the other."""
        self.under_way = 0
        """Writes that have begun and not ended."""

    async def perform(self, plan: Plan) -> Told | None:
        """Asks as the plan wants it, does it, tells; None where the answer was no.

        To be run in a worker of the app's.
        """
        if why := self._link.refusal:
            return self._tell(plan, Told(why, is_good=False))
        if not await self._is_wanted(plan):
            return None
        self.under_way += 1
        if plan.stop is not None:
            self.stops.begin(plan.stop)
        start_s = time.monotonic()

        def told(done: int) -> None:
            if plan.total and time.monotonic() - start_s > SLOW_AFTER_S:
                stop = f" · {KEY} stops it" if plan.stop else ""
                self._on_progress(f"{plan.title}: {done:,} of {plan.total:,}{stop}")

        try:
            result = await self._link.change(plan.flow(told))
            outcome = plan.tell(result)
        except TqError as error:
            outcome = Told(_not_done(error), is_good=False)
        except Exception as error:  # noqa: BLE001 - the seam of one action: what becomes of it is told, whatever it is
            outcome = Told(f"internal error, {type(error).__name__}: {error}; {_UNKNOWN}", is_good=False)
        finally:
            self.under_way -= 1
            if plan.stop is not None:
                self.stops.end(plan.stop)
            self._on_progress("")
        left_s = await self._undo_left_s(outcome.undo_op) if outcome.undo_op else None
        return self._tell(plan, outcome, undo_left_s=left_s)

    async def approve(self, plan: Plan) -> bool:
        """Asks as the plan wants it, for who carries it out by parts.

        To be run in a worker of the app's.
        """
        return await self._is_wanted(plan)

    async def carry_out(self, flow: Flow[T]) -> T:
        """Does a part of what was approved.

        Raises:
            TqError: what the flow raised, or a BrokerError.
        """
        self.under_way += 1
        try:
            return await self._link.change(flow)
        finally:
            self.under_way -= 1

    def tell(self, *, title: str, command: str, told: Told) -> None:
        """Tells of what was carried out by parts."""
        self._keep(Performed(time.monotonic(), title, command, told))

    def _tell(self, plan: Plan, told: Told, *, undo_left_s: float | None = None) -> Told:
        inverse = plan.inverse if told.is_good and told.has_changed else None
        self._keep(Performed(time.monotonic(), plan.title, plan.command, told, inverse, undo_left_s))
        return told

    def _keep(self, performed: Performed) -> None:
        self.log.append(performed)
        if performed.can_undo:
            self.undoable.append(performed)
            del self.undoable[:-KEPT]
        self._on_done(performed)

    async def _undo_left_s(self, op: str) -> float | None:
        """For how long an operation can be undone, as the server says; None where it could not be asked."""
        from tq_core.roles.registry import server_time_ms
        from tq_core.roles.undo import undoable

        try:
            found, now_ms = await self._link.ask(together([undoable(op=op), server_time_ms()]))
        except TqError:
            return None
        return max(0, found[0].until_ms - now_ms) / 1000 if found else None

    async def _is_wanted(self, plan: Plan) -> bool:
        level = level_of(plan, is_protected=self._link.is_protected)
        if level is Level.NONE:
            return True
        above = self._app.screen
        if isinstance(above, ModalScreen):
            # A question that jumps in between somebody's keys could be answered by accident.
            if not (isinstance(above, Question) and above.plan.title == plan.title):
                self._tell(
                    plan, Told("nothing was done: something else was open when it was to be asked", is_good=False)
                )
            return False
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
        except Exception as error:  # noqa: BLE001 - the seam of one question: without its facts there is no yes
            why = error.message if isinstance(error, TqError) else f"{type(error).__name__}: {error}"
            window.tell((f"the server could not be asked what that would hit: {why}",), is_known=False)
        else:
            window.tell(facts)


def _not_done(error: TqError) -> str:
    """What went wrong and, where the answer was lost, that it may have been done all the same."""
    return f"{error.message}; {_UNKNOWN}" if isinstance(error, BrokerUnreachableError) else error.message
