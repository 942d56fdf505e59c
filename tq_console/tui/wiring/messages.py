"""What the poller, and whoever knows where to go, tell the app."""

from __future__ import annotations

from textual.message import Message

from tq_console.tui.watch.link import Link
from tq_console.tui.watch.snapshot import Snapshot, Trouble


class SnapshotTaken(Message):
    """A new snapshot is there."""

    def __init__(self, snapshot: Snapshot, link: Link) -> None:
        super().__init__()
        self.snapshot, self.link = snapshot, link


class TroubleMet(Message):
    """No answer came."""

    def __init__(self, trouble: Trouble, link: Link) -> None:
        super().__init__()
        self.trouble, self.link = trouble, link


class ContextWanted(Message):
    """Another broker is to be shown."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name
