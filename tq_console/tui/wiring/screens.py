"""Every screen behind the tabs: a new one is a line here. Each is loaded and made when it is first gone to."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tq_console.tui.local.local_workers import LocalWorkers
from tq_console.tui.panes.pane import Pane
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
    pane: str
    """Module and class in `panes`, as `queues:QueuesPane`."""
    settings: Callable[[Means], Mapping[str, Any]]
    """What the class is called with, beside its id."""

    def make(self, means: Means) -> Pane:
        """Loads and makes the pane."""
        module, _, name = self.pane.partition(":")
        pane: Pane = getattr(importlib.import_module(f"{PANES}.{module}"), name)(id=self.name, **self.settings(means))
        return pane


PANES = "tq_console.tui.panes"


def _plain(means: Means) -> Mapping[str, Any]:
    return {"masker": means.masker, "actor": means.actor}


SCREENS = (
    ScreenEntry("1", "overview", "Overview", "overview:OverviewPane", lambda means: {"masker": means.masker}),
    ScreenEntry("2", "queues", "Queues", "queues:QueuesPane", _plain),
    ScreenEntry(
        "3", "workers", "Workers", "workers:WorkersPane", lambda means: {"actor": means.actor, "local": means.local}
    ),
    ScreenEntry("4", "tasks", "Tasks", "tasks:TasksPane", lambda means: {"state": TaskState.RUNNING, **_plain(means)}),
    ScreenEntry("5", "dlq", "DLQ", "dlq:DlqPane", lambda means: {"state": TaskState.FAILED, **_plain(means)}),
    ScreenEntry("6", "schedule", "Schedule", "schedule:SchedulePane", _plain),
    ScreenEntry("7", "metrics", "Metrics", "metrics:MetricsPane", lambda _: {}),
    ScreenEntry("8", "log", "Log", "log:LogPane", _plain),
)


def screen_named(name: str) -> ScreenEntry:
    """One of them."""
    return next(entry for entry in SCREENS if entry.name == name)
