"""A plan: what is about to be done, to which ids, how it reads as a command, and how sure somebody must be."""

from __future__ import annotations

import enum
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tq_console.tui.actions.stopping import Stop
from tq_console.view.formats import plural
from tq_core.roles.operator import Bulk, Done
from tq_core.transport.steps import Flow

IDS_IN_COMMAND = 20
"""A command with more ids than these names them through a pipe."""


class Level(enum.IntEnum):
    """How sure somebody must be."""

    NONE = 0
    """Done at once: it can be undone, or does no harm."""
    BAR = 1
    """A line asks y/N."""
    MODAL = 2
    """A window says exactly what will happen, and asks."""
    TYPED = 3
    """As MODAL, and the name must be typed."""


@dataclass(frozen=True, slots=True)
class Told:
    """What became of it, in one sentence."""

    text: str
    is_good: bool = True
    has_changed: bool = True
    """False where all was so already, and there is nothing to set back."""
    new_id: str = ""
    """The task that was made."""
    undo_op: str = ""
    """What `tq undo` takes to put back what was taken away; "" = nothing was, or it cannot be put back."""


Progress = Callable[[int], None]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is about to be done; bound to the ids that were under the cursor or marked when the key was pressed."""

    title: str
    """As a question without its mark: `Discard 3 failed tasks`."""
    command: str
    """The `tq` command that does the same."""
    level: Level
    flow: Callable[[Progress], Flow[Any]]
    """The same function of the queue layer that the command calls."""
    tell: Callable[[Any], Told]
    """What the flow's result means."""
    facts: tuple[str, ...] = ()
    """What else is to be known before saying yes: exact counts, samples, what will run again."""
    ask_facts: Callable[[], Flow[tuple[str, ...]]] | None = None
    """Facts that the server must be asked for."""
    stop: Stop | None = None
    """By which a key ends it before it is done."""
    total: int | None = None
    """Of what the progress counts, where that takes long enough to be shown."""
    word: str = ""
    """What must be typed at level TYPED; "" = the title's noun cannot be typed, use the broker's name."""
    inverse: Callable[[], Plan] | None = None
    """What sets things back that nothing was taken away from, such as a pause; None = there is no such thing."""


def command_line(*words: str) -> str:
    """A command as it is typed into a shell."""
    return " ".join(("tq", *map(shlex.quote, words)))


def ids_command(*words: str, ids: Sequence[str]) -> str:
    """A command on named tasks; for very many the ids are said to come from a pipe."""
    if len(ids) <= IDS_IN_COMMAND:
        return command_line(*words, *ids)
    return f"{command_line(*words, '-')}   # {len(ids):,} ids on stdin"


def tell_done(participle: str) -> Callable[[Sequence[Done]], Told]:
    """Tells of an operation on named tasks."""

    def tell(done: Sequence[Done]) -> Told:
        good = [d for d in done if d.is_done]
        asked = [d for d in good if d.word == "asked"]
        bad = [d for d in done if not d.is_done]
        parts = []
        if len(good) > len(asked):
            parts.append(f"{plural(len(good) - len(asked), 'task')} {participle}")
        if asked:
            parts.append(f"{plural(len(asked), 'running task')} asked to stop")
        if bad:
            reasons = sorted({_why_not(d.word) for d in bad})
            parts.append(
                f"{plural(len(bad), 'task')} left as {'it is' if len(bad) == 1 else 'they are'}: {', '.join(reasons)}"
            )
        undo = getattr(done, "undo_op", "")
        text = ("; ".join(parts) or "nothing to do") + (f" (tq undo {undo})" if undo else "")
        return Told(text, is_good=not bad, undo_op=undo)

    return tell


def tell_bulk(participle: str) -> Callable[[Bulk], Told]:
    """Tells of an operation on all tasks of a state."""

    def tell(bulk: Bulk) -> Told:
        left = f"; {plural(len(bulk.skipped), 'task')} left: {_why_not(bulk.skipped[0].word)}" if bulk.skipped else ""
        undo = f" (tq undo {bulk.undo_op})" if bulk.undo_op else ""
        text = f"{plural(bulk.done, 'task')} {participle}{left}{undo}"
        return Told(text, is_good=not bulk.skipped, undo_op=bulk.undo_op)

    return tell


def _why_not(word: str) -> str:
    kind, _, rest = word.partition(":")
    match kind:
        case "gone":
            return "not there any more"
        case "is":
            return f"{rest} now"
        case "unique":
            return f"{rest} holds the unique key"
        case "same":
            return "has that priority already"
        case "waits":
            return "waits for other tasks"
        case "awaited":
            return "other tasks wait for it"
        case "went":
            return f"went on in the other queue as {rest}"
    return word
