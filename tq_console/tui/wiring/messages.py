"""What the poller tells the app."""

from __future__ import annotations

from textual.message import Message

from tq_console.tui.watch.snapshot import Snapshot, Trouble


class SnapshotTaken(Message):
    """A new snapshot is there."""

    def __init__(self, snapshot: Snapshot) -> None:
        super().__init__()
        self.snapshot = snapshot


class TroubleMet(Message):
    """No answer came."""

    def __init__(self, trouble: Trouble) -> None:
        super().__init__()
        self.trouble = trouble
