"""The console's only way to the broker: everybody may read through it, and what it lets write is decided here."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any, TypeVar

from tq_core.errors import InvalidInputError, RefusedError, TqError
from tq_core.settings import BrokerAddress
from tq_core.transport.backend import OpenBroker, open_endpoint
from tq_core.transport.runner import AsyncRunner
from tq_core.transport.steps import Flow

T = TypeVar("T")

WRITE_RETRY_FOR_S = 2.0
UNLOCK_MAX_S = 28_800


class Link:
    """One broker, opened when first needed; may outlive its being away."""

    def __init__(
        self,
        address: BrokerAddress,
        *,
        actor: str,
        is_read_only: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Connects to nothing yet.

        Args:
            actor: Who is written down with each change.
            is_read_only: Refuse every write, whatever the configuration says.
            clock: Our monotonic clock.
        """
        self.address, self.actor = address, actor
        context = address.context
        self.is_for_looking = is_read_only or (context is not None and context.is_read_only)
        """Whether no write is let through, for good."""
        self.is_protected = context is not None and context.is_protected
        """Whether writes are let through only for a while, after somebody said why."""
        self._clock = clock
        self._unlocked_until_s = float("-inf")
        self._broker: OpenBroker | None = None
        self._reader: AsyncRunner | None = None
        self._writer: AsyncRunner | None = None
        self._opening = asyncio.Lock()

    @property
    def name(self) -> str:
        """What the broker is called: its context, else its address."""
        return self.address.context.name if self.address.context else self.address.display_url

    @property
    def color(self) -> str | None:
        """The context's colour."""
        return self.address.context.color if self.address.context else None

    @property
    def notice(self) -> str:
        """What its user should know of it, such as that nothing is kept."""
        return self._broker.notice if self._broker else ""

    # --- what it lets through ---

    @property
    def is_read_only(self) -> bool:
        """Whether every write is refused now."""
        return self.is_for_looking or (self.is_protected and self.unlocked_s <= 0)

    @property
    def unlocked_s(self) -> float:
        """So long a protected broker can still be written to; 0 = it is locked, or never was."""
        return max(0.0, self._unlocked_until_s - self._clock())

    @property
    def refusal(self) -> str:
        """Why writes are refused now; "" = they are not."""
        if self.is_for_looking:
            return "this console is read-only: nothing was done"
        if self.is_read_only:
            return f"{self.name} is protected: nothing was done; :unlock 10m REASON lets changes through for a while"
        return ""

    async def unlock(self, *, for_s: float, why: str) -> None:
        """Lets writes to a protected broker through for a while, once that is written down at the broker.

        Args:
            for_s: From 1 s to UNLOCK_MAX_S.
            why: Shown to whoever asks later.

        Raises:
            RefusedError: there is nothing to unlock.
            InvalidInputError: no reason was given, or it is for too long.
            BrokerError: it could not be written down, so it stays locked.
        """
        if self.is_for_looking:
            raise RefusedError("this console is for looking only: start it without --read-only to change anything")
        if not self.is_protected:
            raise RefusedError(f"{self.name} is not protected: it can be written to as it is")
        if not why.strip():
            raise InvalidInputError("say why, as in :unlock 10m replaying what the deploy broke")
        if not 1 <= for_s <= UNLOCK_MAX_S:
            raise InvalidInputError(f"{for_s:g} s: from 1 s to {UNLOCK_MAX_S // 3600} h can be unlocked at a time")
        from tq_core.roles import operator

        _, writer = await self._runners()
        await writer.run(operator.note_unlock(actor=self.actor, why=why.strip()[:500], for_s=round(for_s)))
        self._unlocked_until_s = self._clock() + for_s

    def lock(self) -> None:
        """Refuses writes to a protected broker again, before the time is over."""
        self._unlocked_until_s = float("-inf")

    # --- what is asked and done ---

    async def ask(self, flow: Flow[T]) -> T:
        """Runs a flow that reads; tries once, for somebody asks again soon.

        Raises:
            TqError: what the flow raised, or a BrokerError.
        """
        reader, _ = await self._runners()
        return await reader.run(_reading(flow) if self.is_read_only else flow)

    async def change(self, flow: Flow[T]) -> T:
        """Runs a flow that writes.

        Raises:
            RefusedError: writes are refused now; nothing was sent.
            TqError: what the flow raised, or a BrokerError.
        """
        if why := self.refusal:
            flow.close()
            raise RefusedError(why)
        _, writer = await self._runners()
        return await writer.run(flow)

    async def aclose(self) -> None:
        """Lets go of the broker."""
        for runner in (self._reader, self._writer):
            if runner is not None:
                await runner.aclose()
        if self._broker is not None:
            await asyncio.to_thread(self._broker.close)
        self._broker = self._reader = self._writer = None

    async def _runners(self) -> tuple[AsyncRunner, AsyncRunner]:
        async with self._opening:
            if self._broker is None:
                # Starting an embedded broker takes its time, and the screen must go on meanwhile.
                self._broker = await asyncio.to_thread(open_endpoint, self.address, client_name="tq-console")
                self._reader = AsyncRunner(self._broker.endpoint, retry_for_s=0.0)
                # Of its own connection: what is done must not wait behind what is read.
                self._writer = AsyncRunner(self._broker.endpoint, retry_for_s=WRITE_RETRY_FOR_S)
            assert self._reader is not None
            assert self._writer is not None
            return self._reader, self._writer


def _reading(flow: Flow[T]) -> Flow[T]:
    """The same flow; a step that would write ends it instead, whatever it was taken for."""
    from tq_core.roles.acl import only_reads

    reply: Any = None
    error: TqError | None = None
    while True:
        try:
            step = flow.send(reply) if error is None else flow.throw(error)
        except StopIteration as end:
            found: T = end.value
            return found
        if not only_reads(step):
            flow.close()
            raise RefusedError("this console is read-only: a question that would have written was not sent")
        try:
            reply, error = (yield step), None
        except TqError as raised:
            reply, error = None, raised
