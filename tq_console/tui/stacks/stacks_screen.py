"""The stacks of a node or worker, as its processes told them; asked again by a key, since each question is audited."""

from __future__ import annotations

import time
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen

from tq_console.tui.actions.desk import Desk
from tq_console.tui.actions.workers import ACK_TIMEOUT_S
from tq_console.tui.detail.traceback_lines import traceback_spans
from tq_console.tui.look.canvas import Canvas, Line
from tq_console.tui.look.wrapping import wrapped
from tq_core.errors import TqError
from tq_core.roles import registry
from tq_core.roles.registry import Ack
from tq_core.transport.steps import Flow

FOLLOW_S = 3.0


async def open_stacks(desk: Desk, about: tuple[str, str | None]) -> None:
    """Shows what a node, or one of its workers, is doing now.

    To be run in a worker of the app's.

    Args:
        about: The node, and the worker where it is about one.
    """
    if why := desk.link.refusal:
        desk.app.notify(why, severity="warning", markup=False)
        return
    await desk.app.push_screen_wait(StacksScreen(desk, *about))


class StacksScreen(ModalScreen[None]):
    """Asks at once, and when told to."""

    DEFAULT_CSS = """
    StacksScreen {
        align: center middle;
        #stacks-box {
            width: 98%; height: 94%;
            border: round $border; background: $surface; padding: 0 1;
        }
        Canvas { height: auto; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,S", "leave", "close", tooltip="Close this", id="stacks.close"),
        Binding("r", "look", "again", tooltip="Ask again", id="stacks.again"),
        Binding("f", "follow", "follow", tooltip="Ask every few seconds, or no more", id="stacks.follow"),
        Binding("j,down", "scroll(1)", "down", show=False, tooltip="Down", id="stacks.down"),
        Binding("k,up", "scroll(-1)", "up", show=False, tooltip="Up", id="stacks.up"),
        Binding("ctrl+d,pagedown", "page(1)", "page down", show=False, tooltip="A page down", id="stacks.page_down"),
        Binding("ctrl+u,pageup", "page(-1)", "page up", show=False, tooltip="A page up", id="stacks.page_up"),
    ]

    def __init__(self, desk: Desk, node_id: str, worker_id: str | None) -> None:
        super().__init__()
        self._desk, self._node_id, self._worker_id = desk, node_id, worker_id
        self._ack: Ack | None = None
        self._taken_s: float | None = None
        self._said = "… asking"
        self._follows = False

    def compose(self) -> ComposeResult:
        """One canvas that can be scrolled."""
        with VerticalScroll(id="stacks-box") as box:
            box.border_subtitle = "r again · f follow · esc closes"
            yield Canvas()

    def on_mount(self) -> None:
        """Asks."""
        self.query_one("#stacks-box").focus()
        self._paint()
        self.action_look()
        self.set_interval(FOLLOW_S, self._follow)

    def on_resize(self) -> None:
        """Wraps anew."""
        self.call_after_refresh(self._paint)

    def _order(self) -> Flow[Ack | None]:
        args = {"worker_id": self._worker_id} if self._worker_id else {}
        command = yield from registry.send_command(self._node_id, "stacks", actor=self._desk.actor, args=args)
        return (yield from registry.await_ack(command, timeout_s=ACK_TIMEOUT_S))

    async def _bring(self) -> None:
        try:
            ack = await self._desk.link.change(self._order())
        except TqError as error:
            self._said = error.message
        else:
            if ack is None:
                self._said = f"no answer within {ACK_TIMEOUT_S:g} s"
            elif not ack.ok:
                self._said = f"refused: {ack.text or 'no reason given'}"
            else:
                self._ack, self._taken_s, self._said = ack, time.monotonic(), ""
        if self.is_mounted:
            self._paint()

    def _paint(self) -> None:
        canvas = self.query_one(Canvas)
        width = max(20, canvas.size.width or 80)
        taken = time.strftime("%H:%M:%S") if self._taken_s is not None and not self._said else ""
        lines: list[Line] = [
            [
                ("stacks of ", "cell--dim"),
                (self._worker_id or self._node_id, "cell--bold"),
                (f"  {taken}", "cell--dim"),
                ("  followed" if self._follows else "", "cell--busy"),
            ]
        ]
        if self._said:
            old = "what follows is how it was: " if self._ack is not None else ""
            lines += wrapped((f"{old}{self._said}", "cell--warn"), width, 3)
        for name, text in (self._ack.data if self._ack is not None else {}).items():
            lines += [[], [(str(name), "cell--title")], *traceback_spans(str(text), width)]
        canvas.paint(lines)

    def _follow(self) -> None:
        if self._follows:
            self.action_look()

    def action_look(self) -> None:
        """Asks again, unless it is being asked."""
        if not any(worker.group == "stacks" and not worker.is_finished for worker in self.workers):
            self.run_worker(self._bring(), group="stacks", exit_on_error=False)

    def action_follow(self) -> None:
        """Asks every few seconds, or no more."""
        self._follows = not self._follows
        self._paint()

    def action_scroll(self, lines: int) -> None:
        """Moves the page."""
        self.query_one("#stacks-box").scroll_relative(y=lines, animate=False)

    def action_page(self, pages: int) -> None:
        """A page further."""
        box = self.query_one("#stacks-box")
        box.scroll_relative(y=pages * max(1, box.size.height - 1), animate=False)

    def action_leave(self) -> None:
        """Closes it."""
        if self.app.screen is self:
            self.dismiss(None)
