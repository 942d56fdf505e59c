"""Asking before doing: a line at the bottom, or a window that says exactly what will happen."""

from __future__ import annotations

from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input

from tq_console.tui.actions.plan import Level, Plan
from tq_console.tui.look.canvas import Canvas, Line


class ConfirmBar(ModalScreen[bool]):
    """One line over the hints: y does it, anything else does not. What is above goes on living."""

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        self._plan = plan

    def compose(self) -> ComposeResult:
        """The question and what is to be known."""
        yield Canvas(id="confirm-bar")

    def on_mount(self) -> None:
        """Paints the question."""
        facts = "; ".join(self._plan.facts)
        lines: list[Line] = [
            [
                (f" {self._plan.title}? ", "cell--badge-warn"),
                ("  y", "cell--key"),
                (" yes   ", ""),
                ("n", "cell--key"),
                (" no", ""),
            ]
        ]
        if facts:
            lines.append([(f" {facts}", "")])
        lines.append([(f" $ {self._plan.command}", "cell--dim")])
        self.query_one(Canvas).paint(lines)

    def on_key(self, event: events.Key) -> None:
        """Only y is a yes."""
        event.stop()
        event.prevent_default()
        if event.key == "y":
            self.dismiss(True)
        elif event.key in ("n", "escape", "q", "enter"):
            self.dismiss(False)


class ConfirmWindow(ModalScreen[bool]):
    """Says what will happen, as the server has it now; at level TYPED the name must be typed."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "answer(False)", "no", id="confirm.no"),
    ]

    def __init__(self, plan: Plan, *, word: str, facts: tuple[str, ...] | None) -> None:
        """Asks.

        Args:
            word: What must be typed; "" where y is enough.
            facts: None while the server is still asked; `tell` brings them.
        """
        super().__init__()
        self._plan, self._word = plan, word
        self._facts = facts

    def compose(self) -> ComposeResult:
        """The plan, its facts, and the answer."""
        with Vertical(id="confirm-window") as box:
            box.border_title = "Are you sure?"
            yield Canvas(id="confirm-text")
            if self._word:
                yield Input(placeholder=f"type {self._word} to go on", id="confirm-word")

    def on_mount(self) -> None:
        """Paints what is known."""
        self._paint()
        if self._word:
            self.query_one(Input).focus()

    def tell(self, facts: tuple[str, ...]) -> None:
        """The facts have come."""
        self._facts = facts
        self._paint()

    def _paint(self) -> None:
        lines: list[Line] = [[(self._plan.title, "cell--bold")], []]
        if self._facts is None:
            lines.append([("asking the server what that would hit …", "cell--dim")])
        else:
            lines += [[(fact, "")] for fact in (*self._plan.facts, *self._facts)]
        lines += [[], [(f"$ {self._plan.command}", "cell--dim")], []]
        if self._word:
            lines.append([("type the name and press ⏎ to do it, ", ""), ("esc", "cell--key"), (" to leave it", "")])
        else:
            lines.append([("y", "cell--key"), (" do it    ", ""), ("n", "cell--key"), (" leave it", "")])
        self.query_one("#confirm-text", Canvas).paint(lines)

    def on_key(self, event: events.Key) -> None:
        """y or n, where no name is to be typed; y only once the facts are there."""
        if self._word:
            return
        event.stop()
        event.prevent_default()
        if event.key == "y" and self._facts is not None:
            self.dismiss(True)
        elif event.key in ("n", "escape", "q", "enter"):
            self.dismiss(False)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """The name, exactly."""
        if self._facts is not None and event.value == self._word:
            self.dismiss(True)
        else:
            event.input.value = ""
            event.input.placeholder = f"that is not {self._word}: nothing done yet"

    def action_answer(self, answer: bool) -> None:
        """Leaves it."""
        self.dismiss(answer)


def level_of(plan: Plan, *, is_protected: bool) -> Level:
    """How sure somebody must be: one level more where the broker is protected."""
    if is_protected and plan.level >= Level.BAR:
        return Level.TYPED
    return plan.level
