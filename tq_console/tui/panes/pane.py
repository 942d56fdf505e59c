"""What every pane is: it says what it needs, shows what came, and asks for everything else by message."""

from __future__ import annotations

from collections.abc import Collection
from typing import ClassVar

from textual.containers import Container
from textual.message import Message

from tq_console.tui.actions.messages import NothingToDo, PlanMade, SubmitWanted, TaskOpened
from tq_console.tui.watch.snapshot import Question, Snapshot
from tq_core.model import TaskState, TaskView

__all__ = ["NeedChanged", "NothingToDo", "Pane", "PlaceChosen", "PlanMade", "SubmitWanted", "TaskOpened"]


class NeedChanged(Message):
    """The pane needs something else than a moment ago."""

    def __init__(self, *, is_missing: bool = True) -> None:
        """Says so.

        Args:
            is_missing: Whether there is a hole on screen until it comes, so that it is asked for though all is frozen.
        """
        super().__init__()
        self.is_missing = is_missing


class PlaceChosen(Message):
    """Another screen is to be shown, perhaps at a queue or state."""

    def __init__(
        self, screen: str, *, queue: str | None = None, state: TaskState | None = None, words: str = ""
    ) -> None:
        """Says which.

        Args:
            words: A query, for a screen of tasks.
        """
        super().__init__()
        self.screen_name, self.queue, self.state, self.words = screen, queue, state, words


class Pane(Container):
    """One screen."""

    TITLE: ClassVar[str] = ""

    snapshot: Snapshot | None = None
    """The last one that was shown here."""

    @property
    def subject(self) -> str | None:
        """Id or name of what is under the cursor; None where nothing there has one."""
        return None

    @property
    def asks_why(self) -> tuple[str, str] | None:
        """What `w` explains here: task, queue or member (a node or worker), and its id or name."""
        return None

    def question(self) -> Question:
        """What the pane needs now."""
        return Question(self.TITLE)

    def show(self, snapshot: Snapshot) -> None:
        """Shows what came; called while the pane is on screen only."""
        self.snapshot = snapshot

    def set_breakpoints(self, horizontal: int, vertical: int) -> None:
        """The terminal has another size: 0 narrow, 1 normal, 2 wide; 0 short, 1 tall."""

    def take_focus(self) -> None:
        """Puts the focus where keys are useful."""

    def useless(self) -> Collection[str]:
        """Actions whose keys would do nothing to what is chosen, and are no hints here."""
        return ()

    def known(self, task_id: str) -> TaskView | None:
        """A task of which the pane shows something."""
        del task_id
        return None

    def search(self, query: str) -> None:
        """Shows what a query chooses."""

    def place(self, *, queue: str | None, state: TaskState | None) -> None:
        """Goes to a queue or state; None = where it is."""
