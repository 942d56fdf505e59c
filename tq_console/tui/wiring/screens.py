"""Every screen behind the tabs: a new one is a line here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tq_console.tui.local.local_workers import LocalWorkers
from tq_console.tui.panes.dlq import DlqPane
from tq_console.tui.panes.metrics import MetricsPane
from tq_console.tui.panes.overview import OverviewPane
from tq_console.tui.panes.pane import Pane
from tq_console.tui.panes.queues import QueuesPane
from tq_console.tui.panes.schedule import SchedulePane
from tq_console.tui.panes.tasks import TasksPane
from tq_console.tui.panes.workers import WorkersPane
from tq_console.view.secrets import Masker
from tq_core.model import TaskState


@dataclass(frozen=True, slots=True)
class Means:
    """What panes are made with."""

    actor: str
    """Who is written down with each change."""
    masker: Masker
    local: LocalWorkers


@dataclass(frozen=True, slots=True)
class ScreenEntry:
    """One screen."""

    key: str
    name: str
    """Also the pane's id in the tree of widgets."""
    title: str
    make: Callable[[str, Means], Pane]
    """Makes the pane of this id."""


SCREENS = (
    ScreenEntry("1", "overview", "Overview", lambda name, means: OverviewPane(masker=means.masker, id=name)),
    ScreenEntry(
        "2", "queues", "Queues", lambda name, means: QueuesPane(masker=means.masker, actor=means.actor, id=name)
    ),
    ScreenEntry(
        "3", "workers", "Workers", lambda name, means: WorkersPane(actor=means.actor, local=means.local, id=name)
    ),
    ScreenEntry(
        "4",
        "tasks",
        "Tasks",
        lambda name, means: TasksPane(TaskState.RUNNING, masker=means.masker, actor=means.actor, id=name),
    ),
    ScreenEntry(
        "5",
        "dlq",
        "DLQ",
        lambda name, means: DlqPane(TaskState.FAILED, masker=means.masker, actor=means.actor, id=name),
    ),
    ScreenEntry(
        "6", "schedule", "Schedule", lambda name, means: SchedulePane(masker=means.masker, actor=means.actor, id=name)
    ),
    ScreenEntry("7", "metrics", "Metrics", lambda name, _: MetricsPane(id=name)),
)
