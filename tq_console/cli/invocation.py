"""One run of a command: its broker, who gives it, and where its words go."""

from __future__ import annotations

import functools
import os
import pwd
import socket
from typing import TYPE_CHECKING, TypeVar

from tq_console.cli.output import Output
from tq_console.view.secrets import Masker, Revealer
from tq_core.errors import RefusedError

if TYPE_CHECKING:
    from tq_core.settings import BrokerAddress
    from tq_core.transport.backend import OpenBroker
    from tq_core.transport.runner import SyncRunner
    from tq_core.transport.steps import Flow

T = TypeVar("T")

RETRY_FOR_S = 1.0
"""How long an unreachable broker is tried: a person waits."""
ACTOR_VARIABLE = "TQ_ACTOR"
MAX_ACTOR_CHARS = 100
UNLOCK_VARIABLE = "TQ_UNLOCK"
MAX_REASON_CHARS = 500


class Invocation:
    """What every command is given; filled from the options that all of them share."""

    def __init__(self) -> None:
        self.url: str | None = None
        self.context: str | None = None
        self.unlock: str | None = None
        self.is_json = False
        self.is_revealed = False
        self._is_unlock_noted = False
        self._broker: OpenBroker | None = None
        self._runner: SyncRunner | None = None

    @functools.cached_property
    def out(self) -> Output:
        return Output(is_json=self.is_json)

    @functools.cached_property
    def masker(self) -> Masker:
        """What hides secrets in this command's output."""
        return Revealer() if self.is_revealed else Masker.from_environment()

    @functools.cached_property
    def actor(self) -> str:
        """Who is written down with each change: TQ_ACTOR, else user@host."""
        return (os.environ.get(ACTOR_VARIABLE) or f"{_user()}@{socket.gethostname()}")[:MAX_ACTOR_CHARS]

    @functools.cached_property
    def address(self) -> BrokerAddress:
        """The broker that was chosen; nothing is connected.

        Raises:
            BrokerConfigError: the address cannot be used.
            RefusedError: it lives in one process only, so a command could never share it.
        """
        from tq_core.settings import resolve_broker

        address = resolve_broker(self.url, context=self.context)
        if address.scheme == "memory":
            raise RefusedError(
                f"{address.display_url} lives inside one program and cannot be seen from here: "
                "use embedded:// for a broker that all programs of this machine share"
            )
        return address

    @property
    def runner(self) -> SyncRunner:
        """The broker's runner; connects with the first flow.

        Raises:
            BrokerError: the address cannot be used.
        """
        if self._runner is None:
            from tq_core.transport.backend import open_endpoint
            from tq_core.transport.runner import SyncRunner

            self._broker = open_endpoint(self.address, client_name="tq-cli")
            if self._broker.notice:
                self.out.talk(f"tq: {self._broker.notice}")
            self._runner = SyncRunner(self._broker.endpoint, retry_for_s=RETRY_FOR_S)
        return self._runner

    def run(self, flow: Flow[T]) -> T:
        """Runs a flow that reads.

        Raises:
            TqError: what the flow raised, or a BrokerError.
        """
        return self.runner.run(flow)

    def change(self, flow: Flow[T]) -> T:
        """Runs a flow that writes.

        Raises:
            RefusedError: the context is for reading only.
            TqError: what the flow raised, or a BrokerError.
        """
        self.must_be_writable()
        self._note_unlock()
        return self.runner.run(flow)

    def must_be_writable(self) -> None:
        """Refuses where the configuration says so, before anybody is asked anything.

        Raises:
            RefusedError: the context is for reading only, or protected and nobody said why it is written to.
        """
        context = self.address.context
        if context is None:
            return
        if context.is_read_only:
            raise RefusedError(f"the context {context.name!r} is marked read_only in the configuration: nothing done")
        if context.is_protected and not self.unlock_reason:
            raise RefusedError(
                f"the context {context.name!r} is protected: nothing done; say why it is to be written to, "
                f"as in --unlock 'deploy 7', or in {UNLOCK_VARIABLE}"
            )

    @property
    def unlock_reason(self) -> str:
        """Why a protected context is written to; "" = nobody said."""
        return (self.unlock or os.environ.get(UNLOCK_VARIABLE, "")).strip()[:MAX_REASON_CHARS]

    def _note_unlock(self) -> None:
        """Writes down once, before the first change, why a protected context is written to."""
        context = self.address.context
        if context is None or not context.is_protected or self._is_unlock_noted:
            return
        from tq_core.roles import operator

        self._is_unlock_noted = True
        self.runner.run(operator.note_unlock(actor=self.actor, why=self.unlock_reason, for_s=None))

    def sure(self, what: str, *, can_undo: bool) -> bool | None:
        """Whether somebody is sure of what is about to be done; None where a terminal, or --yes, has to tell.

        Args:
            what: With its exact count.
            can_undo: Whether `tq undo` can put back what it takes.
        """
        del what, can_undo
        return None

    def close(self) -> None:
        """Lets go of the broker."""
        if self._runner is not None:
            self._runner.close()
        if self._broker is not None:
            self._broker.close()
        self._runner = self._broker = None


def _user() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return os.environ.get("USER") or str(os.getuid())
