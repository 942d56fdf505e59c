"""The Tasks screen: tasks by state."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import Binding, BindingType

from tq_console.tui.look.canvas import Line
from tq_console.tui.look.glyphs import TASK_SIGNS
from tq_console.tui.panes.task_list import TaskListPane
from tq_core.model import TaskState
from tq_core.query.query import parse_query

STATE_ORDER = (
    TaskState.RUNNING,
    TaskState.PENDING,
    TaskState.RETRYING,
    TaskState.SCHEDULED,
    TaskState.BLOCKED,
    TaskState.COMPLETED,
    TaskState.FAILED,
    TaskState.CANCELLED,
)


class TasksPane(TaskListPane):
    """Tasks by state, a tab each with its count."""

    TITLE = "Tasks"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("right_square_bracket", "next_state(1)", "state", tooltip="Next state", id="tasks.next_state"),
        Binding(
            "left_square_bracket", "next_state(-1)", "state", show=False, tooltip="State before", id="tasks.prev_state"
        ),
    ]

    def list_lines(self) -> list[Line]:
        """The tabs of the states, then what the list is."""
        return [self._state_tabs(), *super().list_lines()]

    def _state_tabs(self) -> Line:
        depths = self._depths()
        spans = []
        for state in STATE_ORDER:
            sign = TASK_SIGNS[state]
            number = depths.get(state, 0)
            is_current = state in self.feed.states
            if self._horizontal == 0:
                word = f"{sign.word} " if is_current and len(self.feed.states) == 1 else ""
                text = f" {sign.glyph} {word}{_short(number)} "
            else:
                text = f" {sign} {_short(number)} "
            style = "cell--selected" if is_current else sign.style if number else "cell--dim"
            spans.append((text, style))
        return spans

    def _depths(self) -> dict[TaskState, int]:
        if self.snapshot is None:
            return {}
        if self.feed.queue is None:
            return dict(self.snapshot.depths)
        numbers = self.snapshot.queue(self.feed.queue)
        return dict(numbers.depths) if numbers else {}

    def action_next_state(self, step: int) -> None:
        """The list of the next state; what a filter says of states goes, the rest of it stays."""
        here = STATE_ORDER.index(self.tab)
        words = self.feed.words
        if words and parse_query(words, masker=self._masker).names_state:
            words = parse_query(words, masker=self._masker).without_states()
        self.go_to(STATE_ORDER[(here + step) % len(STATE_ORDER)], queue=self.feed.queue, words=words)


def _short(number: int) -> str:
    """A count in at most five cells."""
    if number < 10_000:
        return f"{number:,}"
    if number < 1_000_000:
        return f"{number / 1000:.0f}k"
    return f"{number / 1_000_000:.1f}M"
