"""What the console knows at one instant, as values that nobody changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from tq_console.view.failure_groups import FailureGroup
from tq_core.model import TaskState, TaskView
from tq_core.roles.browser import Place, Placed
from tq_core.roles.failure_groups import GroupMembers
from tq_core.roles.family import Relative
from tq_core.roles.inspector import QueueStats
from tq_core.roles.operator import Audited
from tq_core.roles.registry import Fleet
from tq_core.roles.search import Search
from tq_core.roles.task_logs import Line
from tq_core.transport.steps import Flow

if TYPE_CHECKING:
    from tq_console.alerts.book import AlertEvent, AlertState

HEADER_MINUTES = 2
"""What the rates of the last minute need."""


@dataclass(frozen=True, slots=True)
class HuntStep:
    """What a list that is searched together asks for: to read on, and those of its rows that are on screen."""

    number: int
    """Of the gathering; an answer about an earlier one is not taken."""
    states: tuple[TaskState, ...]
    search: Search | None
    """Where to go on; None = begin."""
    look_max: int
    """Tasks to read; 0 = none."""
    again: tuple[tuple[str, str], ...] = ()
    """Id and queue of rows that are on screen."""


@dataclass(frozen=True, slots=True)
class HuntAnswer:
    """What came of a HuntStep; the rows that were found are those of the list."""

    search: Search | None
    unread: int
    """Tasks of which it is not known whether they fit."""
    again: Mapping[str, TaskView | None]
    """Rows that were asked for again; None where one has gone or fits no more."""


@dataclass(frozen=True, slots=True)
class TaskListQuestion:
    """Which part of which list of tasks is on screen."""

    state: TaskState
    queue: str | None = None
    """None = all queues."""
    words: str = ""
    """The filter; "" = none."""
    place: Place | None = None
    """Held on to; None = `first` says where."""
    before: int = 0
    first: int = 0
    count: int = 100
    group: str = ""
    """Only the failed tasks that failed alike; "" = all."""
    group_counts: tuple[tuple[str, int], ...] = ()
    """How many of them each queue had a moment ago."""

    hunt: HuntStep | None = None
    """The list is searched together, and held by who asks; None: it is read around its place."""

    def is_of_one_list(self, other: TaskListQuestion) -> bool:
        """Whether both are about parts of the same list."""
        if self.hunt is not None or other.hunt is not None:
            return False
        return (self.state, self.queue, self.words, self.group) == (other.state, other.queue, other.words, other.group)


@dataclass(frozen=True, slots=True)
class GroupQuestion:
    """What failed alike, and of one group some tasks."""

    queue: str | None = None
    """None = all queues."""
    group: str = ""
    """Of which some tasks are needed; "" = of none."""
    group_queues: tuple[str, ...] = ()
    """Where its tasks are."""


class Part(Protocol):
    """What one screen alone needs, with the flow that asks for it; a value, such as a frozen dataclass."""

    def flow(self, queues: Sequence[str]) -> Flow[Any]:
        """Asks for it; must not wait, since it shares the round trip of the rest."""


@dataclass(frozen=True, slots=True)
class Question:
    """What the visible screen needs."""

    screen: str
    minutes: int = HEADER_MINUTES
    tasks: TaskListQuestion | None = None
    detail_id: str | None = None
    failures: int = 0
    """How many of the latest failures."""
    failures_of: str | None = None
    """Of one queue only; None = of all."""
    audited: int = 0
    """How many of the latest acts of people."""
    part: Part | None = None
    waiting_of: str | None = None
    """Of which queue to tell what waits in it."""
    groups: GroupQuestion | None = None


@dataclass(frozen=True, slots=True)
class TaskList:
    """The answer to a TaskListQuestion."""

    question: TaskListQuestion
    total: int
    offset: int
    rows: tuple[Placed, ...]
    hunt: HuntAnswer | None = None
    """Where the question had a step of a hunt."""
    group_counts: tuple[tuple[str, int], ...] = ()
    """Of a group: how many of its tasks each queue has."""


@dataclass(frozen=True, slots=True)
class GroupsAnswer:
    """The answer to a GroupQuestion."""

    question: GroupQuestion
    groups: tuple[FailureGroup, ...]
    """Of all queues asked, merged, the most frequent first."""
    read: int
    """Groups of queues that were read, of `total`."""
    total: int
    sample: GroupMembers | None = None


@dataclass(frozen=True, slots=True)
class Waiting:
    """What is next in a queue."""

    queue: str
    types: tuple[tuple[str, int], ...]
    """Task types and how many of the first `read` pending tasks are of each, the most first."""
    read: int
    total: int


@dataclass(frozen=True, slots=True)
class Detail:
    """One task, whole, and why it is where it is."""

    task_id: str
    task: TaskView | None
    """None: it is not there (any more)."""
    why: str = ""
    log: tuple[Line, ...] = ()
    """The last lines that its handlers wrote; as its relatives, only where it is shown whole."""
    parents: tuple[Relative, ...] = ()
    """Those that it waits or waited for."""
    children: tuple[Relative, ...] = ()
    """Those that wait for it."""
    moved_to: str = ""
    """Where it is not there any more: the id that it has in another queue."""


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """What the server says of itself."""

    version: str = ""
    is_replica: bool = False
    problem: str = ""
    """Why it refuses writes or may lose tasks; "" = nothing known."""
    used_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything on screen, of one instant."""

    question: Question
    now_ms: int
    """The server's clock."""
    taken_s: float
    """Our monotonic clock when the answer was there."""
    rtt_ms: float
    """From question to answer, the server's work and our reading included; the median of the last few."""
    queues: tuple[QueueStats, ...]
    fleet: Fleet
    tasks: TaskList | None = None
    detail: Detail | None = None
    failures: tuple[TaskView, ...] = ()
    audited: tuple[Audited, ...] = ()
    part: Any = None
    """What the flow of the question's part came to."""
    groups: GroupsAnswer | None = None
    waiting: Waiting | None = None
    alerts: tuple[AlertState, ...] = ()
    """The user's alerts that fire."""
    alert_log: tuple[AlertEvent, ...] = ()
    """What fired and was over since the console looks, the oldest first."""
    server: ServerFacts = ServerFacts()
    is_emptied: bool = False
    """All queues that were there a moment ago are gone."""
    depths: Mapping[TaskState, int] = field(default_factory=dict)
    """Of all queues together."""

    def queue(self, name: str) -> QueueStats | None:
        """One queue's numbers."""
        return next((q for q in self.queues if q.queue == name), None)


@dataclass(frozen=True, slots=True)
class Trouble:
    """No answer came: why, and what is done about it."""

    text: str
    code: str
    since_s: float
    """Our monotonic clock when it began."""
    tries: int
    next_try_s: float
    """Seconds until the next try."""
