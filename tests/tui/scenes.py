"""Snapshots made by hand, and an app around one pane that shows them: for looking at what a pane makes of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from textual.app import App, ComposeResult
from textual.message import Message

from tq_console.tui.actions.plan import Plan
from tq_console.tui.look.canvas import Canvas
from tq_console.tui.panes.pane import NothingToDo, Pane, PlaceChosen, PlanMade, SubmitWanted
from tq_console.tui.watch.snapshot import Question, Snapshot
from tq_core.model import TaskOptions, TaskState, TaskView
from tq_core.roles.inspector import Minute, Paused, QueueStats
from tq_core.roles.operator import Audited
from tq_core.roles.registry import Fleet, Member, NodeInfo, SlotInfo, WorkerInfo

NOW_MS = 1_700_000_030_000


def queue(
    name: str,
    *,
    depths: Mapping[TaskState, int] | None = None,
    oldest_ms: int | None = None,
    minutes: Mapping[int, dict[str, int]] | None = None,
    paused: Paused | None = None,
    max_size: int | None = None,
) -> QueueStats:
    """A queue in numbers; `minutes` are counts by how many minutes ago."""
    this = NOW_MS // 60_000 * 60_000
    counted = [Minute(this - ago * 60_000, counts) for ago, counts in (minutes or {}).items()]
    return QueueStats(
        queue=name,
        now_ms=NOW_MS,
        depths={state: (depths or {}).get(state, 0) for state in TaskState},
        counters={},
        limits={} if max_size is None else {"max_size": max_size},
        paused=paused,
        oldest_created_at_ms=None if oldest_ms is None else NOW_MS - oldest_ms,
        next_due_at_ms=None,
        minutes=tuple(sorted(counted, key=lambda minute: minute.start_ms)),
        minutes_asked=15,
    )


def node(node_id: str, *, silent_ms: int = 1000, is_readable: bool = True, **said: Any) -> Member:
    """A node with what it said; `said` beats what is usual."""
    usual: dict[str, Any] = {
        "host": "h",
        "pid": 4711,
        "processes": 1,
        "slots": 4,
        "queues": ("mail",),
        "tq_version": "0.3.0",
    }
    info = NodeInfo(node_id=node_id, **(usual | said)) if is_readable else None
    return Member(id=node_id, seen_at_ms=NOW_MS - silent_ms, silent_ms=silent_ms, info=info)


def worker(
    worker_id: str,
    *,
    running: Sequence[SlotInfo] = (),
    silent_ms: int = 1000,
    is_readable: bool = True,
    **said: Any,
) -> Member:
    """A worker with what it said."""
    usual: dict[str, Any] = {"node_id": worker_id.rpartition(".")[0], "pid": 4712, "slots": 4, "rss_bytes": 50 << 20}
    info = WorkerInfo(worker_id=worker_id, running=tuple(running), **(usual | said)) if is_readable else None
    return Member(id=worker_id, seen_at_ms=NOW_MS - silent_ms, silent_ms=silent_ms, info=info)


def slot(task_id: str, *, ran_ms: int = 500, task_type: str = "send", queue: str = "mail", **said: Any) -> SlotInfo:
    """A slot at work."""
    return SlotInfo(task_id=task_id, type=task_type, queue=queue, started_at_ms=NOW_MS - ran_ms, **said)


def failed_task(task_id: str, message: str, *, ago_ms: int = 1000, task_type: str = "send") -> TaskView:
    """A task that failed for good."""
    return TaskView(
        id=task_id,
        type=task_type,
        queue="mail",
        state=TaskState.FAILED,
        priority=100,
        attempt=4,
        max_attempts=4,
        created_at_ms=NOW_MS - 60_000,
        finished_at_ms=NOW_MS - ago_ms,
        error={"reason": "error", "type": "ValueError", "message": message},
        args={},
        payload_bytes=2,
        payload_text="{}",
        options=TaskOptions(),
    )


def act(by: str, action: str, target: str, *, ago_ms: int = 60_000, count: int = 1) -> Audited:
    """What somebody did."""
    return Audited(
        at_ms=NOW_MS - ago_ms, by=by, action=action, target=target, count=count, detail={}, op=f"{by}{action}{target}"
    )


def snapshot(
    question: Question,
    *,
    queues: Sequence[QueueStats] = (),
    nodes: Sequence[Member] = (),
    workers: Sequence[Member] = (),
    **more: Any,
) -> Snapshot:
    """All of it at one instant."""
    return Snapshot(
        question=question,
        now_ms=NOW_MS,
        taken_s=0.0,
        rtt_ms=1.0,
        queues=tuple(queues),
        fleet=Fleet(now_ms=NOW_MS, nodes=tuple(nodes), workers=tuple(workers)),
        depths={state: sum(q.depths[state] for q in queues) for state in TaskState},
        **more,
    )


class PaneApp(App[None]):
    """One pane in the room that the console would give it, and what it asked for."""

    CSS = "Pane { height: 1fr; }"

    def __init__(self, pane: Pane) -> None:
        super().__init__()
        self.shown = pane
        self.asked: list[Message] = []
        self.notes: list[str] = []

    def compose(self) -> ComposeResult:
        """The pane alone."""
        yield self.shown

    def on_mount(self) -> None:
        """As the console does it."""
        self.fit()
        self.shown.take_focus()

    def on_resize(self) -> None:
        """As the console does it."""
        self.fit()

    def fit(self) -> None:
        """Tells the pane how much room there is."""
        self.shown.set_breakpoints(sum(self.size.width >= w for w in (100, 160)), int(self.size.height >= 29))

    def on_plan_made(self, event: PlanMade) -> None:
        """Notes it."""
        self.asked.append(event)

    def on_nothing_to_do(self, event: NothingToDo) -> None:
        """Notes it."""
        self.asked.append(event)

    def on_place_chosen(self, event: PlaceChosen) -> None:
        """Notes it."""
        self.asked.append(event)

    def on_submit_wanted(self, event: SubmitWanted) -> None:
        """Notes it."""
        self.asked.append(event)

    def notify(self, message: str, **settings: Any) -> None:
        """Notes it."""
        self.notes.append(message)
        super().notify(message, **settings)

    @property
    def plans(self) -> list[Plan]:
        """Those that were made."""
        return [event.plan for event in self.asked if isinstance(event, PlanMade)]

    @property
    def refusals(self) -> list[str]:
        """Why keys did nothing."""
        return [event.why for event in self.asked if isinstance(event, NothingToDo)]

    @property
    def lines(self) -> list[str]:
        """What is on the terminal, line by line."""
        return ["".join(segment.text for segment in strip) for strip in self.screen._compositor.render_strips()]

    def canvas(self, part: str) -> str:
        """What is painted in a part of the pane."""
        return self.query_one(part, Canvas).text
