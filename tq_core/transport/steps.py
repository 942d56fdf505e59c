"""What can be asked of Redis, as values: nothing here does I/O.

A *flow* is a generator that yields steps and returns a result. The roles (producer, consumer, operator, ...) are
written once, as flows; `tq_core.transport.runner` runs them, asynchronously or synchronously. So no logic exists
twice, and a flow can be tested by hand-feeding it replies.

    def cancel(...) -> Flow[Cancelled]:
        reply = yield Script("cancel", prefix, args)
        return ...
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

Arg: TypeAlias = str | bytes | int | float
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Script:
    """Runs one Lua script; the runner puts `now` before the arguments.

    `is_idempotent`: sending it twice does no more than sending it once, so the runner may retry it when the connection
    breaks before the answer. A claim is never idempotent.
    """

    name: str
    prefix: str
    args: tuple[Arg, ...] | list[Arg] = ()
    is_idempotent: bool = True


@dataclass(frozen=True, slots=True)
class Command:
    """Runs one plain Redis command; reads and idempotent writes only."""

    args: tuple[Arg, ...] | list[Arg]


@dataclass(frozen=True, slots=True)
class Batch:
    """Sends several steps in one round trip; the reply is the list of their replies."""

    steps: tuple[Script | Command, ...] | list[Script | Command]


@dataclass(frozen=True, slots=True)
class Block:
    """Waits on a blocking command, on a connection of its own; None when nothing came within timeout_s."""

    args: tuple[Arg, ...]
    timeout_s: float
    """Appended to, or already part of, the command; the connection's own timeout is set beyond it."""


@dataclass(frozen=True, slots=True)
class Pause:
    """Lets time pass between two steps of a flow."""

    seconds: float


Step: TypeAlias = Script | Command | Batch | Block | Pause
Flow: TypeAlias = Generator[Step, Any, T]
