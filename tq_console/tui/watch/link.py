"""The console's only way to the broker: everybody may read through it, and what it lets write is decided here."""

from __future__ import annotations

import asyncio
from typing import TypeVar

from tq_core.errors import RefusedError
from tq_core.settings import BrokerAddress
from tq_core.transport.backend import OpenBroker, open_endpoint
from tq_core.transport.runner import AsyncRunner
from tq_core.transport.steps import Flow

T = TypeVar("T")

WRITE_RETRY_FOR_S = 2.0


class Link:
    """One broker, opened when first needed; may outlive its being away."""

    def __init__(self, address: BrokerAddress, *, actor: str, is_read_only: bool = False) -> None:
        """Connects to nothing yet.

        Args:
            actor: Who is written down with each change.
            is_read_only: Refuse every write, whatever the configuration says.
        """
        self.address, self.actor = address, actor
        context = address.context
        self.is_read_only = is_read_only or (context is not None and context.is_read_only)
        self.is_protected = context is not None and context.is_protected
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

    async def ask(self, flow: Flow[T]) -> T:
        """Runs a flow that reads; tries once, for somebody asks again soon.

        Raises:
            TqError: what the flow raised, or a BrokerError.
        """
        reader, _ = await self._runners()
        return await reader.run(flow)

    async def change(self, flow: Flow[T]) -> T:
        """Runs a flow that writes.

        Raises:
            RefusedError: this console is for reading only; nothing was sent.
            TqError: what the flow raised, or a BrokerError.
        """
        if self.is_read_only:
            flow.close()
            raise RefusedError("this console is read-only: nothing was done")
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
