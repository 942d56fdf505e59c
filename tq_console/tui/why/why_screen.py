"""The panel that says why: what holds something, who did it, when it starts, and what to do."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen

from tq_console.tui.actions.desk import Desk
from tq_console.tui.look.canvas import Canvas, Line
from tq_console.tui.look.wrapping import wrapped
from tq_console.view.secrets import Masker
from tq_console.view.text import visible
from tq_core.errors import TqError
from tq_core.roles.why import Answer
from tq_core.transport.steps import Flow

REFRESH_S = 2.0
LABEL = 10
WORDS_LINES = 4
FACT_LINES = 3


async def open_why(desk: Desk, kind: str, name: str) -> None:
    """Shows why a task, a queue, or a member (a node or worker) is as it is.

    To be run in a worker of the app's.
    """
    await desk.app.push_screen_wait(WhyScreen(desk, kind, name))


def flow_of(kind: str, name: str) -> Callable[[], Flow[Answer]]:
    """The question, as the `tq` command puts it."""
    if kind == "task":
        from tq_core.roles.why_task import why_task

        return lambda: why_task(name)
    if kind == "queue":
        from tq_core.roles.why_queue import why_queue

        return lambda: why_queue(name)
    from tq_core.roles.why_member import why_member

    return lambda: why_member(name)


class WhyScreen(ModalScreen[None]):
    """One answer, asked again while it is on screen."""

    DEFAULT_CSS = """
    WhyScreen {
        align: center middle;
        #why-box {
            width: 92; max-width: 96%; height: auto; max-height: 90%;
            border: round $border; background: $surface; padding: 0 1;
            border-title-color: $secondary; border-title-style: bold;
        }
        Canvas { height: auto; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,w,enter", "leave", "close", tooltip="Close this", id="why.close"),
        Binding("j,down", "scroll(1)", "down", show=False, tooltip="Down", id="why.down"),
        Binding("k,up", "scroll(-1)", "up", show=False, tooltip="Up", id="why.up"),
    ]

    def __init__(self, desk: Desk, kind: str, name: str) -> None:
        """Makes the panel.

        Args:
            kind: task, queue or member.
        """
        super().__init__()
        self._desk, self.kind, self.name_of = desk, kind, name
        self._ask = flow_of(kind, name)
        self._answer: Answer | None = None
        self._trouble = ""

    def compose(self) -> ComposeResult:
        """One canvas that can be scrolled."""
        with VerticalScroll(id="why-box") as box:
            box.border_title = "Why"
            box.border_subtitle = "esc closes"
            yield Canvas(id="why-lines")

    def on_mount(self) -> None:
        """Asks, and again now and then."""
        self._paint()
        self.query_one("#why-box").focus()
        self._look()
        self.set_interval(REFRESH_S, self._look)

    def on_resize(self) -> None:
        """Wraps anew."""
        self.call_after_refresh(self._paint)

    def _look(self) -> None:
        self.run_worker(self._bring(), group="why", exclusive=True, exit_on_error=False)

    async def _bring(self) -> None:
        try:
            self._answer, self._trouble = await self._desk.link.ask(self._ask()), ""
        except TqError as error:
            self._trouble = error.message
        if self.is_mounted:
            self._paint()

    def _paint(self) -> None:
        canvas = self.query_one(Canvas)
        width = max(20, canvas.size.width or 80)
        lines: list[Line] = [[(f"{self.kind} ".replace("member ", ""), "cell--dim"), (self.name_of, "cell--bold")]]
        if self._answer is not None:
            lines += why_lines(self._answer, width, self._desk.masker)
        if self._trouble:
            # What was known stays, and is said to be old.
            old = "this is how it was; " if self._answer is not None else ""
            lines += [[], *wrapped((f"{old}{self._trouble}", "cell--warn"), width, FACT_LINES)]
        elif self._answer is None:
            lines.append([("… asking", "cell--dim")])
        canvas.paint(lines)

    def action_leave(self) -> None:
        """Closes it; a second press, that was on its way already, closes nothing else."""
        if self.app.screen is self:
            self.dismiss(None)

    def action_scroll(self, lines: int) -> None:
        """Moves the page."""
        self.query_one("#why-box").scroll_relative(y=lines, animate=False)


HOLDING = frozenset(
    {
        *(
            "paused",
            "no_worker",
            "nodes_paused",
            "no_processes",
            "no_handler",
            "breaker",
            "limit",
            "full",
            "broker",
            "newer",
        ),
        *("lost", "crash_loop", "failed", "lease_overdue", "unreadable", "loop_blocked"),
    }
)
"""What somebody should do something about."""


def why_lines(answer: Answer, width: int, masker: Masker) -> list[Line]:
    """The answer: the sentence, the facts, the expected start, what to do."""
    style = "cell--warn" if answer.code in HOLDING else "cell--good"
    lines: list[Line] = [*wrapped((masker.masked(answer.what), style), width, WORDS_LINES), []]
    for label, text in answer.facts:
        lines += _labelled(label, masker.masked(text), width, "")
    if answer.start is not None:
        lines += [
            [],
            *_labelled("start" if answer.kind == "task" else "drains", answer.start.words, width, "cell--bold"),
        ]
    if answer.cures:
        lines.append([])
    for cure in answer.cures:
        lines += _labelled("do", cure.text, width, "")
        if cure.command:
            lines += _labelled("", f"$ {shlex.join(('tq', *cure.command))}", width, "cell--accent")
    return lines


def _labelled(label: str, text: str, width: int, style: str) -> list[Line]:
    found = wrapped((visible(text), style), max(10, width - LABEL), FACT_LINES) or [[]]
    return [[((label if n == 0 else "").ljust(LABEL), "cell--dim"), *line] for n, line in enumerate(found)]
