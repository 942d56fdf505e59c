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
from tq_console.tui.look.wrapping import wrapped
from tq_console.view.text import fit, visible

FACT_LINES = 4
ROOM = 50
"""Cells for a fact while nobody has said how many there are."""


_LEAVE = (("esc", "cell--key"), (" leaves it", ""))


class Question(ModalScreen[bool]):
    """A plan that waits for a yes."""

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        self.plan = plan

    def answer(self, is_yes: bool) -> None:
        """Ends the question; a second press, that was on its way already, ends nothing else."""
        if self.app.screen is self:
            self.dismiss(is_yes)


class ConfirmBar(Question):
    """One line over the hints: y does it, anything else does not. What is above goes on living."""

    def compose(self) -> ComposeResult:
        """The question and what is to be known."""
        yield Canvas(id="confirm-bar")

    def on_mount(self) -> None:
        """Paints the question."""
        self._paint()

    def on_resize(self) -> None:
        """Wraps anew: what is at stake is never cut off."""
        self._paint()

    def _paint(self) -> None:
        lines: list[Line] = [
            [
                (f" {self.plan.title}? ", "cell--badge-warn"),
                ("  y", "cell--key"),
                (" yes   ", ""),
                ("n", "cell--key"),
                (" no", ""),
            ]
        ]
        for fact in self.plan.facts:
            lines += [[(" ", ""), *line] for line in wrapped((fact, ""), self.app.size.width - 2, FACT_LINES)]
        lines.append([(f" $ {self.plan.command}", "cell--dim")])
        self.query_one(Canvas).paint(lines)

    def on_key(self, event: events.Key) -> None:
        """Only y is a yes."""
        event.stop()
        event.prevent_default()
        if event.key == "y":
            self.answer(True)
        elif event.key in ("n", "escape", "q", "enter"):
            self.answer(False)


class ConfirmWindow(Question):
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
        super().__init__(plan)
        self._word = visible(word)
        self._facts = facts
        self._is_known = facts is not None

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

    def tell(self, facts: tuple[str, ...], *, is_known: bool = True) -> None:
        """The facts have come; where they could not be had, that is said and there is no yes."""
        self._facts, self._is_known = facts, is_known
        if self.is_mounted:
            self._paint()

    def on_resize(self) -> None:
        """Cuts what does not fit."""
        self.call_after_refresh(self._paint)

    def _paint(self) -> None:
        lines: list[Line] = [[(self.plan.title, "cell--bold")], []]
        if self._facts is None:
            lines.append([("asking the server what that would hit …", "cell--dim")])
        else:
            # What is at stake is said whole; of samples what fits on a line, and that they are cut.
            room = self.query_one("#confirm-text").size.width or ROOM
            for fact in self.plan.facts:
                lines += wrapped((fact, ""), room, FACT_LINES)
            lines += [[(fit(visible(fact), room), "")] for fact in self._facts]
        lines += [[], [(f"$ {self.plan.command}", "cell--dim")], []]
        if self._facts is not None and not self._is_known:
            lines.append([("nothing is done without knowing that; ", ""), *_LEAVE])
        elif self._word:
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
        if event.key == "y" and self._is_known:
            self.answer(True)
        elif event.key in ("n", "escape", "q", "enter"):
            self.answer(False)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """The name, exactly."""
        if event.value != self._word:
            event.input.value = ""
            event.input.placeholder = f"that is not {self._word}: nothing done yet"
        elif self._is_known:
            self.answer(True)

    def action_answer(self, answer: bool) -> None:
        """Leaves it."""
        self.answer(answer)


def level_of(plan: Plan, *, is_protected: bool) -> Level:
    """How sure somebody must be: one level more where the broker is protected."""
    if is_protected and plan.level >= Level.BAR:
        return Level.TYPED
    return plan.level
