"""What each command to a node may say. All of it is checked before anything is done: nothing is obeyed by halves.

A field that is not known here may be what a newer client's command hangs on, so it is refused too.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import Meta

from tq_core.errors import InvalidInputError
from tq_core.worker_bounds import MAX_PROCESSES
from tq_worker.settings import MAX_SLOTS

LONGEST_DRAIN_S = 86_400

Processes = Annotated[int, Meta(ge=0, le=MAX_PROCESSES)]
Name = Annotated[str, Meta(min_length=1, max_length=200)]
Why = Annotated[str, Meta(max_length=2000)]
DrainS = Annotated[float, Meta(ge=0, le=LONGEST_DRAIN_S)]

_PLACE = re.compile(r"^(.*) - at `\$\.?(.*)`$", re.DOTALL)
MAX_SAID = 300


class Args(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A command that says nothing more."""


class Scale(Args, frozen=True):
    """How many workers, how many slots each; at least one of them."""

    processes: Processes | None = None
    slots: Annotated[int, Meta(ge=1, le=MAX_SLOTS)] | None = None


class Autoscale(Args, frozen=True):
    """The bounds; neither = no longer."""

    least: Processes | None = None
    most: Processes | None = None


class Leave(Args, frozen=True):
    """How long running tasks may take; the node's own time when None."""

    deadline_s: DrainS | None = None


class KillTask(Args, frozen=True):
    """Which task, and whether its handler is asked or it is ended."""

    task_id: Name
    mode: Literal["cancel", "kill"] = "kill"
    by: Why = ""
    why: Why = ""


class KillWorker(Args, frozen=True):
    """Which worker."""

    worker_id: Name


class Stacks(Args, frozen=True):
    """Of which worker; of all when None."""

    worker_id: Name | None = None


class LogLevel(Args, frozen=True):
    """How much is logged."""

    level: Literal["debug", "info", "warning", "error"]


A = TypeVar("A", bound=Args)


def read(args: dict[str, Any], kind: type[A]) -> A:
    """A command's arguments.

    Raises:
        InvalidInputError: they are not what it takes; the text says which.
    """
    try:
        return msgspec.convert(args, kind)
    except msgspec.ValidationError as error:
        said = str(error)
        found = _PLACE.match(said)
        if found and found[2]:
            said = f"{found[2]}: {found[1]}"
        raise InvalidInputError(
            said[:MAX_SAID].replace("Object contains unknown field", "it has the unknown field")
        ) from error
