"""Tells other queues what happened in one: messages that a transition leaves in its slot, told by anybody.

A message is told, and only then taken out, so a crash in between tells it twice: every kind bears repetition.

    ended {to, parent, how, last}   a task has ended that `to` asked about: settle those that asked up to `last`
    watch {watch, again, ids}       tasks of this queue wait for these of others: ask to be told, settle what has ended
    move, return {to, op, ids}      tasks that this queue gave away and keeps until they have arrived (arrivals.py)

What cannot be told stays and is put off; `tq doctor` says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec

from tq_core import ids
from tq_core.errors import BrokerUnreachableError, InvalidInputError, TqError
from tq_core.keyspace import keys, wire
from tq_core.roles import arrivals, registry
from tq_core.roles.arrivals import Passage
from tq_core.transport.steps import Arg, Batch, Block, Command, Flow, Script

TOLD_AT_ONCE = 100
ROUNDS_MAX = 100
AGAIN_AFTER_MS = 10_000
"""When a message is tried again that could not be told."""
ASKED_AGAIN_AT_ONCE = 500
"""Blocked tasks of a queue that one call of `ask_again` looks at."""
LIVE = "live"


class Message(msgspec.Struct, frozen=True):
    """One entry of a queue's outbox."""

    queue: str
    """Whose outbox it is in."""
    raw: bytes

    @property
    def content(self) -> dict[str, Any]:
        """What it says; empty where it cannot be read."""
        return wire.json_object(self.raw)


class Ended(msgspec.Struct, frozen=True):
    """A parent of another queue that has ended, for the children that asked about it from `first` to `last`."""

    queue: str
    """Whose children it settles."""
    parent_id: str
    how: str
    first: int
    last: int


class Question(msgspec.Struct, frozen=True):
    """Whether a parent has ended; if not, its queue remembers to tell."""

    queue: str
    """Who asks."""
    parent_id: str
    watch: int
    child_id: str = ""
    """Who waits, where that is known."""
    counts_as_done: bool = False
    """Whether one that has ended is as good as completed, since a person had the child run again."""


Said = Ended | Question | Passage


# --- telling ---


def waiting(queues: Sequence[str], *, limit: int = TOLD_AT_ONCE) -> Flow[list[Message]]:
    """What queues have to tell by now, in one round trip."""
    if not queues:
        return []
    replies = yield Batch([Script("outbox", keys.queue_prefix(queue), (limit,)) for queue in queues])
    return [Message(queue, raw) for queue, reply in zip(queues, replies, strict=True) for raw in reply[1:]]


def tell(messages: Sequence[Message]) -> Flow[int]:
    """Tells messages and takes them out; returns how many. One that cannot be told is put off and holds up no other."""
    if not messages:
        return 0
    try:
        yield from _tell(messages)
    except BrokerUnreachableError:
        raise
    except TqError:
        if len(messages) == 1:
            yield from _put_off(messages)
            return 0
        told = 0
        for message in messages:
            told += yield from tell([message])
        return told
    return len(messages)


def deliver(queues: Sequence[str]) -> Flow[int]:
    """Tells what queues have to tell by now; returns how many messages were."""
    told = 0
    for _ in range(ROUNDS_MAX):
        found = yield from waiting(queues)
        told += (last := (yield from tell(found)))
        if not last or len(found) < TOLD_AT_ONCE:
            break
    return told


def deliver_soon(queues: Sequence[str]) -> Flow[None]:
    """As `deliver`, for whoever caused the messages: where it fails, upkeep does it a little later."""
    try:
        yield from deliver(queues)
    except TqError:
        return


def tell_soon(messages: Sequence[Message]) -> Flow[None]:
    """As `tell`, for whoever caused the messages: where it fails, upkeep does it a little later."""
    try:
        for first in range(0, len(messages), TOLD_AT_ONCE):
            yield from tell(messages[first : first + TOLD_AT_ONCE])
    except TqError:
        return


def wait_posted(queues: Sequence[str], *, timeout_s: float) -> Flow[str | None]:
    """Waits until one of the queues may have something to tell; returns which, None when the time was up."""
    by_key = {keys.posted(queue).encode(): queue for queue in queues}
    timeout_s = max(0.01, timeout_s)  # 0 would mean for ever
    found = yield Block(("BZPOPMIN", *by_key, round(timeout_s, 3)), timeout_s)
    return by_key.get(found[0]) if found else None


def _tell(messages: Sequence[Message]) -> Flow[None]:
    ended: list[Ended] = []
    questions: list[Question] = []
    passages: list[Passage] = []
    for message in messages:
        read = _READERS.get(str(message.content.get("kind")))
        if read is None:
            raise InvalidInputError(f"a message that this tq cannot tell: {message.raw[:200]!r}")
        try:
            found = read(message)
        except (KeyError, TypeError, ValueError) as error:
            raise InvalidInputError(f"a damaged message: {message.raw[:200]!r}") from error
        passages += (one for one in found if isinstance(one, Passage))
        ended += (one for one in found if isinstance(one, Ended))
        questions += (one for one in found if isinstance(one, Question))
    ended += yield from ask(questions)
    yield from settle(ended)
    for passage in passages:
        yield from arrivals.bring(passage)
    yield from _take_out(messages)


def _read_passage(message: Message) -> list[Said]:
    return [arrivals.read(message.queue, message.content)]


def _read_ended(message: Message) -> list[Said]:
    said = message.content
    return [Ended(str(said["to"]), str(said["parent"]), str(said["how"]), 0, int(said["last"]))]


def _read_watch(message: Message) -> list[Said]:
    said = message.content
    return [
        Question(message.queue, str(i), int(said["watch"]), counts_as_done=bool(said.get("again"))) for i in said["ids"]
    ]


_READERS: dict[str, Callable[[Message], list[Said]]] = {
    "ended": _read_ended,
    "watch": _read_watch,
    arrivals.MOVE: _read_passage,
    arrivals.RETURN: _read_passage,
}


def _take_out(messages: Sequence[Message]) -> Flow[None]:
    yield from _told(messages, "")


def _put_off(messages: Sequence[Message]) -> Flow[None]:
    yield from _told(messages, AGAIN_AFTER_MS)


def _told(messages: Sequence[Message], delay_ms: Arg) -> Flow[None]:
    by_queue: dict[str, list[Arg]] = {}
    for message in messages:
        by_queue.setdefault(message.queue, [delay_ms]).append(message.raw)
    yield Batch([Script("told", keys.queue_prefix(queue), args) for queue, args in by_queue.items()])


# --- parents in other queues ---


def look(task_ids: Sequence[str]) -> Flow[dict[str, str]]:
    """How tasks of any queues ended: live, completed, failed, cancelled or deleted, which a queue unknown counts as."""
    return (yield from _outcomes("", [(task_id, 0) for task_id in task_ids]))


def ask(questions: Sequence[Question]) -> Flow[list[Ended]]:
    """Asks the parents' queues to tell when they end; returns those that have ended."""
    found: list[Ended] = []
    for asking in dict.fromkeys(q.queue for q in questions):
        mine = [q for q in questions if q.queue == asking]
        latest: dict[str, int] = {}
        for question in mine:
            latest[question.parent_id] = max(question.watch, latest.get(question.parent_id, 0))
        outcomes = yield from _outcomes(asking, list(latest.items()))
        for q in mine:
            how = outcomes[q.parent_id]
            if how != LIVE:
                found.append(Ended(asking, q.parent_id, "completed" if q.counts_as_done else how, q.watch, q.watch))
    return found


def settle(ended: Sequence[Ended]) -> Flow[None]:
    """Settles the tasks that waited for parents of other queues; a second time changes nothing."""
    by_queue: dict[str, list[Arg]] = {}
    for one in ended:
        by_queue.setdefault(one.queue, []).extend((one.parent_id, one.how, one.first, one.last))
    if by_queue:
        yield Batch([Script("parents_ended", keys.queue_prefix(queue), args) for queue, args in by_queue.items()])


def ask_again(queue: str, cursor: int = 0) -> Flow[int]:
    """Asks again about the foreign parents of some blocked tasks, in case their queues have forgotten.

    A queue that was emptied, or that lost its last second in a crash, does not know who waits for its tasks.

    Returns:
        Where the next call goes on; 0 = all were looked at.
    """
    cursor, questions = yield from foreign_parents(queue, cursor)
    yield from settle((yield from ask(questions)))
    return cursor


def foreign_parents(
    queue: str, cursor: int = 0, *, limit: int = ASKED_AGAIN_AT_ONCE
) -> Flow[tuple[int, list[Question]]]:
    """What some of a queue's blocked tasks wait for in other queues, and where to go on; 0 = at the end."""
    prefix = keys.queue_prefix(queue)
    after, flat = yield Command(("HSCAN", prefix + "waits", cursor, "COUNT", limit))
    pairs = flat.items() if isinstance(flat, dict) else zip(flat[::2], flat[1::2], strict=True)
    marks = {child: waits.split(b"|")[2] for child, waits in pairs if waits.count(b"|") == 2}
    if not marks:
        return int(after), []
    edges = yield Batch(
        [Command(("ZRANGEBYLEX", prefix + "parents", b"[" + child + b">", b"(" + child + b"?")) for child in marks]
    )
    numbers = yield from registry.queue_numbers()
    own = {queue, numbers.get(queue)}
    questions = [
        Question(queue, parent, int(mark.rstrip(b"+") or 0), child.decode("utf-8", "replace"), mark.endswith(b"+"))
        for (child, mark), found in zip(marks.items(), edges, strict=True)
        for parent in (edge[len(child) + 1 :].decode("utf-8", "replace") for edge in found)
        if _home(parent) not in own
    ]
    return int(after), questions


def homes(task_ids: Iterable[str]) -> Flow[dict[str, str]]:
    """The queue of each id; those of unknown queues, and what is no id, are left out."""
    found = {task_id: _home(task_id) for task_id in task_ids}
    numbers = {number: name for name, number in (yield from registry.queue_numbers()).items()}
    known = {task_id: home if isinstance(home, str) else numbers.get(home or -1) for task_id, home in found.items()}
    return {task_id: name for task_id, name in known.items() if name is not None}


def watches(watchers: bytes) -> dict[str, int]:
    """The queues that are told when a task ends, with the number of their latest question."""
    words = watchers.decode("utf-8", "replace").split()
    return {queue: int(watch) for queue, watch in zip(words[::2], words[1::2], strict=False) if watch.isdigit()}


def _home(task_id: str) -> str | int | None:
    try:
        return ids.home_of(task_id)
    except InvalidInputError:
        return None


def _outcomes(asking: str, asked: Sequence[tuple[str, int]]) -> Flow[dict[str, str]]:
    """How each task ended; where `asking` is a queue, those that have not are watched for it under these numbers."""
    if not asked:
        return {}
    home = yield from homes(task_id for task_id, _ in asked)
    groups: dict[tuple[str, int], list[str]] = {}
    for task_id, watch in asked:
        if task_id in home:
            groups.setdefault((home[task_id], watch), []).append(task_id)
    outcomes = {task_id: "deleted" for task_id, _ in asked}
    if groups:
        replies = yield Batch(
            [
                Script("watch", keys.queue_prefix(queue), (asking, watch, *some))
                for (queue, watch), some in groups.items()
            ]
        )
        for some, words in zip(groups.values(), replies, strict=True):
            outcomes |= {task_id: word.decode() for task_id, word in zip(some, words, strict=True)}
    return outcomes
