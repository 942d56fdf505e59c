"""The DLQ screen: what failed for good."""

from __future__ import annotations

from tq_console.tui.panes.task_list import TaskListPane


class DlqPane(TaskListPane):
    """What failed for good, the newest first."""

    TITLE = "DLQ"
