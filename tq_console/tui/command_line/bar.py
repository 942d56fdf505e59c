"""The line at the bottom into which commands are typed: what may follow stands above it, and so does what is wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widgets import Input

from tq_console.tui.command_line.commands import Suggestion
from tq_console.tui.command_line.history import LineHistory
from tq_console.tui.look.canvas import Canvas, Line
from tq_console.view.text import fit, visible

SHOWN = 8
"""Suggestions that are shown at a time."""
WIDE = 28


class CommandBar(ModalScreen[str | None]):
    """One line; gives it back when it was accepted."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "leave", tooltip="Leave the line", id="line.leave"),
        Binding("tab", "complete(1)", "complete", tooltip="What may follow, one after the other", id="line.complete"),
        Binding("shift+tab", "complete(-1)", "back", show=False, tooltip="The suggestion before", id="line.before"),
        Binding("up", "history(-1)", "history", show=False, tooltip="The line before", id="line.older"),
        Binding("down", "history(1)", "history", show=False, tooltip="The line after", id="line.newer"),
    ]

    def __init__(
        self,
        *,
        text: str,
        problem: str,
        sign: str = ":",
        hint: str = "",
        history: LineHistory,
        suggest: Callable[[str], Sequence[Suggestion]],
        check: Callable[[str], str],
    ) -> None:
        """Opens the line.

        Args:
            text: What stands on it.
            problem: What was wrong with it.
            sign: What stands before it.
            hint: What it is for, where nothing is suggested.
            history: The lines before it.
            suggest: What may follow a text; called in a thread.
            check: What is wrong with a text, "" = nothing; called in a thread.
        """
        super().__init__()
        self._text, self._problem, self._sign, self._hint = text, problem, sign, hint
        self._history, self._suggest, self._check = history, suggest, check
        self._found: Sequence[Suggestion] = ()
        self._chosen = -1
        self._typed = text
        """What the suggestions are for."""
        self._put: str | None = text
        """What was put on the line by us, which is no typing."""

    def compose(self) -> ComposeResult:
        """Suggestions, and the line."""
        with Vertical(id="command-box"):
            yield Canvas(id="command-about")
            with Horizontal(id="command-row"):
                yield Canvas(id="command-sign")
                yield Input(self._text, id="command-input", select_on_focus=False)

    def on_mount(self) -> None:
        """Begins to suggest."""
        self.query_one("#command-sign", Canvas).paint([[(self._sign, "cell--key")]])
        self.query_one(Input).focus()
        self._paint()
        if not self._problem:
            self._look(self._text)

    @on(Input.Changed)
    def _changed(self, event: Input.Changed) -> None:
        if event.value == self._put:
            return
        self._problem, self._chosen, self._typed, self._put = "", -1, event.value, None
        self._look(event.value)

    @work(exclusive=True, group="suggest", exit_on_error=False)
    async def _look(self, text: str) -> None:
        # What cannot be seen cannot be put on the line.
        found = [each for each in await asyncio.to_thread(self._suggest, text) if each.text.isprintable()]
        if self._typed == text:
            self._found, self._chosen = found, -1
            self._paint()

    def action_complete(self, step: int) -> None:
        """Puts the next suggestion on the line; what all have in common first."""
        if not self._found:
            return
        if self._chosen < 0 and step > 0 and len(self._found) > 1:
            common = _common([each.text for each in self._found])
            start = self._found[0].start
            if len(common) > len(self._typed) - start and all(each.start == start for each in self._found):
                self._write(self._typed[:start] + common)
                self._typed, self._put = self._typed[:start] + common, None
                return
        self._chosen = (self._chosen + step) % len(self._found) if self._chosen >= 0 or step > 0 else -1
        chosen = self._found[self._chosen]
        text = self._typed[: chosen.start] + chosen.text
        if len(self._found) == 1:
            text += "" if chosen.text.endswith("=") else " "
            self._write(text)
            self._typed, self._put = text, None
            self._look(text)
        else:
            self._write(text)
        self._paint()

    def action_history(self, step: int) -> None:
        """Another line of before."""
        box = self.query_one(Input)
        self._write(self._history.back(box.value) if step < 0 else self._history.forward(box.value))
        self._found, self._chosen, self._problem = (), -1, ""
        self._paint()

    def _write(self, text: str) -> None:
        box = self.query_one(Input)
        self._put = text
        box.value = text
        box.cursor_position = len(text)

    @on(Input.Submitted)
    @work(exclusive=True, group="check", exit_on_error=False)
    async def _submitted(self, event: Input.Submitted) -> None:
        text = event.value
        problem = await asyncio.to_thread(self._check, text) if text.strip() else ""
        if self.app.screen is not self:
            return
        if problem:
            self._problem, self._found = problem, ()
            self._paint()
        else:
            self.dismiss(text if text.strip() else None)

    def action_leave(self) -> None:
        """Leaves it."""
        if self.app.screen is self:
            self.dismiss(None)

    def on_resize(self) -> None:
        """Cuts what does not fit."""
        self.call_after_refresh(self._paint)

    def _paint(self) -> None:
        if not self.is_mounted:
            return
        lines: list[Line] = []
        if self._problem:
            lines = [[(f" {part} ", "cell--bad")] for part in visible(self._problem).splitlines()[:3]]
        elif self._hint:
            lines = [[(f" {self._hint}", "cell--dim")]]
        elif self._found:
            at = max(0, self._chosen)
            first = max(0, min(at - SHOWN // 2, len(self._found) - SHOWN))
            width = self.app.size.width
            for i, each in enumerate(self._found[first : first + SHOWN], start=first):
                marked = i == self._chosen
                name = fit(visible(each.shown), WIDE).ljust(WIDE)
                help_text = fit(visible(each.help), max(10, width - WIDE - 4))
                lines.append([(f" {name} ", "cell--selected" if marked else "cell--key"), (help_text, "cell--dim")])
            more = len(self._found) - SHOWN
            if more > 0:
                lines.append([(f" {more:,} more · tab goes through them", "cell--dim")])
        self.query_one("#command-about", Canvas).paint(lines or [[("", "")]])
        self.query_one("#command-about", Canvas).display = bool(lines)


def _common(texts: Sequence[str]) -> str:
    """What texts begin with alike."""
    first, last = min(texts), max(texts)
    for i, letter in enumerate(first):
        if i >= len(last) or last[i] != letter:
            return first[:i]
    return first
