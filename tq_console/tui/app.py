"""The console: one frame, the panes between which the tabs choose, and the one way in which data flows.

poller ──► immutable snapshot ──► header, tabs, visible pane
key ──► pane ──► plan ──► performer: ask, do through the link, tell
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar

from rich.text import Text
from textual import events, on, work
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.driver import Driver
from textual.drivers.linux_driver import LinuxDriver
from textual.message import Message
from textual.notifications import SeverityLevel
from textual.screen import Screen
from textual.widgets import ContentSwitcher

from tq_console.tui.actions.performing import Performed, Performer
from tq_console.tui.detail.detail_screen import DetailScreen
from tq_console.tui.frame.help import HelpScreen
from tq_console.tui.frame.hints import hint_line
from tq_console.tui.frame.palette import ConsoleCommands
from tq_console.tui.frame.status import LinkState, header_lines
from tq_console.tui.frame.tabs import Tab, TabLine
from tq_console.tui.local.local_workers import LocalWorkers
from tq_console.tui.look.canvas import Canvas
from tq_console.tui.look.themes import DARK, LIGHT, THEMES
from tq_console.tui.lost_terminal import LosableTerminalDriver
from tq_console.tui.panes.dlq import DlqPane
from tq_console.tui.panes.overview import OverviewPane
from tq_console.tui.panes.pane import (
    NeedChanged,
    NothingToDo,
    Pane,
    PlaceChosen,
    PlanMade,
    SubmitWanted,
    TaskOpened,
)
from tq_console.tui.panes.queues import QueuesPane
from tq_console.tui.panes.task_list import TasksPane
from tq_console.tui.panes.workers import WorkersPane
from tq_console.tui.watch.link import Link
from tq_console.tui.watch.poller import INTERVAL_S, Poller
from tq_console.tui.watch.snapshot import Detail, Question, Snapshot, Trouble
from tq_console.view.secrets import Masker
from tq_console.view.text import ELLIPSIS, visible, visible_lines
from tq_core.model import TaskState

ENDING_SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
INTERRUPTED = 130
DEBUG_VARIABLE = "TQ_DEBUG"
WIDTHS = (100, 160)
"""From so many columns on the terminal counts as normal, as wide."""
WIDTH_CLASSES = ("-narrow", "-normal", "-wide")
TALL = 32
TALL_CLASS = "-tall"
QUIT_WITHIN_S = 2.0
SWITCH_S = 1.0
"""An answer for a screen may take so long before what it showed last is called stale."""
TOAST_S = 6.0
TOAST_MAX = 600
"""Characters of what is said in a corner: more would hide the screen."""


def _hint_rank(binding_id: str) -> int:
    return 1 if binding_id == "app.help" else 2 if binding_id.startswith(("app.", "table.")) else 0


def _room_classes(horizontal: int, vertical: int) -> set[str]:
    return {WIDTH_CLASSES[horizontal], *([TALL_CLASS] if vertical else [])}


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


class ConsoleApp(App[int]):
    """The whole console."""

    CSS_PATH = "console.tcss"
    TITLE = "tq"
    COMMANDS = App.COMMANDS | {ConsoleCommands}
    BINDINGS: ClassVar[list[BindingType]] = [
        *(
            Binding(key, f"go('{name}')", title, show=False, tooltip=f"{title} screen", id=f"app.{name}")
            for key, name, title in (
                ("1", "overview", "Overview"),
                ("2", "queues", "Queues"),
                ("3", "workers", "Workers"),
                ("4", "tasks", "Tasks"),
                ("5", "dlq", "DLQ"),
            )
        ),
        Binding("question_mark", "help", "help", tooltip="This help", id="app.help"),
        Binding("colon,ctrl+p", "command_palette", "commands", tooltip="Command palette", id="app.palette"),
        Binding("f", "freeze", "freeze", show=False, tooltip="Freeze what is shown, or follow again", id="app.freeze"),
        Binding("ctrl+r", "refresh", "refresh", show=False, tooltip="Ask the broker now", id="app.refresh"),
        Binding("c", "copy_id", "copy id", show=False, tooltip="Copy the id under the cursor", id="app.copy"),
        Binding("minus", "last_view", "last view", show=False, tooltip="The screen before", id="app.last"),
        Binding("backspace", "last_view", "last view", show=False, tooltip="The screen before", id="app.last_view"),
        Binding("f2", "toggle_theme", "theme", show=False, tooltip="Light or dark", id="app.theme"),
        Binding("q", "leave", "back", show=False, tooltip="Back; at the root: quit", id="app.back"),
        Binding("escape", "leave(False)", "back", show=False, tooltip="Back", id="app.escape"),
        Binding("ctrl+q", "quit_now", "quit", show=False, priority=True, tooltip="Quit", id="app.quit"),
        Binding("ctrl+c", "interrupt", "quit", show=False, priority=True, tooltip="Twice: quit", id="app.interrupt"),
    ]

    def __init__(
        self,
        link: Link,
        *,
        masker: Masker | None = None,
        first: str = "overview",
        interval_s: float = INTERVAL_S,
        clock: Callable[[], float] = time.monotonic,
        on_first_frame: Callable[[], None] | None = None,
    ) -> None:
        """Makes the console of one broker.

        Args:
            first: The screen to begin with.
            clock: Our monotonic clock; fixed for pictures.
            on_first_frame: Called when something from the broker has been painted, or it could not be reached.
        """
        super().__init__()
        for theme in THEMES:
            self.register_theme(theme)
        # Before anything is styled: to style everything twice takes a tenth of a second.
        self.theme = DARK.name
        self.link = link
        self._masker = masker or Masker.from_environment()
        self._clock = clock
        self._first = first
        self.snapshot: Snapshot | None = None
        self.trouble: Trouble | None = None
        self._views: list[str] = [first]
        self._progress = ""
        self._on_first_frame = on_first_frame
        self._interrupted_s = self._switched_s = float("-inf")
        self.poller = Poller(
            link,
            self.question,
            on_snapshot=self._post_snapshot,
            on_trouble=self._post_trouble,
            interval_s=interval_s,
            clock=clock,
        )
        self.local_workers = LocalWorkers(link.address, is_read_only=link.is_read_only)
        self.performer = Performer(self, link, on_done=self._tell, on_progress=self._show_progress)

    def get_driver_class(self) -> type[Driver]:
        """Textual's choice; for a terminal one that outlives it."""
        chosen = super().get_driver_class()
        return LosableTerminalDriver if chosen is LinuxDriver else chosen

    # --- what it is made of ---

    def compose(self) -> ComposeResult:
        """Header, tabs, panes, hints."""
        actor = self.link.actor
        yield Canvas(id="header")
        yield TabLine(id="tabs")
        with ContentSwitcher(initial=self._first, id="body"):
            yield OverviewPane(masker=self._masker, id="overview")
            yield QueuesPane(masker=self._masker, actor=actor, id="queues")
            yield WorkersPane(actor=actor, local=self.local_workers, id="workers")
            yield TasksPane(TaskState.RUNNING, masker=self._masker, actor=actor, id="tasks")
            yield DlqPane(TaskState.FAILED, masker=self._masker, actor=actor, id="dlq")
        yield Canvas(id="hints")

    def on_mount(self) -> None:
        """Starts to ask."""
        self._end_on_signals()
        # Only then are the panes made of what they are made of.
        self.call_after_refresh(self._begin)

    def _begin(self) -> None:
        self._fit()
        self.pane.take_focus()
        self._paint_frame()
        self.set_interval(1.0, self._tick)
        self.run_worker(self.poller.run(), group="poll", exclusive=True, exit_on_error=False)

    @property
    def base(self) -> Screen[Any]:
        """The screen that the panes are on, whatever is above it."""
        return self.screen_stack[0]

    @property
    def panes(self) -> list[Pane]:
        return list(self.base.query(Pane))

    @property
    def pane(self) -> Pane:
        """The one that is shown."""
        current = self.base.query_one("#body", ContentSwitcher).current
        return self.base.query_one(f"#{current}", Pane)

    @property
    def detail(self) -> DetailScreen | None:
        """The task that is shown whole, perhaps below a question or the help."""
        return next((screen for screen in reversed(self.screen_stack) if isinstance(screen, DetailScreen)), None)

    @property
    def is_whole(self) -> bool:
        """Whether all that is painted on is there: not while the console ends, when messages may still come in."""
        if not self._screen_stack:
            return False
        return bool(self.base.query("#hints")) and all(pane.is_attached and pane.children for pane in self.panes)

    # --- the flow ---

    def question(self) -> Question:
        """What the visible screen needs now."""
        detail = self.detail
        return Question("detail", detail_id=detail.task_id) if detail is not None else self.pane.question()

    def _post_snapshot(self, snapshot: Snapshot) -> None:
        self.post_message(SnapshotTaken(snapshot))

    def _post_trouble(self, trouble: Trouble) -> None:
        self.post_message(TroubleMet(trouble))

    @on(SnapshotTaken)
    def _snapshot_taken(self, event: SnapshotTaken) -> None:
        if not self.is_whole:
            return
        try:
            self.show(event.snapshot)
        except Exception as error:
            if os.environ.get(DEBUG_VARIABLE):
                raise
            text = f"internal error, {type(error).__name__}: {error}; {DEBUG_VARIABLE}=1 shows where"
            self.trouble = Trouble(text, "internal", self._clock(), 1, self.poller.interval_s)
            self._paint_header()
        self._tell_first_frame()

    def show(self, snapshot: Snapshot) -> None:
        """Shows a snapshot everywhere it concerns."""
        self.snapshot, self.trouble = snapshot, None
        if self.detail is not None:
            self.detail.show(snapshot)
        if snapshot.question.screen == self.pane.id:
            self.pane.show(snapshot)
        self._paint_frame()

    @on(TroubleMet)
    def _trouble_met(self, event: TroubleMet) -> None:
        self.trouble = event.trouble
        self._tell_first_frame()
        if self.is_whole:
            self._paint_header()

    def _tell_first_frame(self) -> None:
        if self._on_first_frame is not None:
            self.call_after_refresh(self._on_first_frame)
            self._on_first_frame = None

    @on(NeedChanged)
    def _need_changed(self, event: NeedChanged) -> None:
        self._ask(is_missing=event.is_missing)

    def _ask(self, *, is_missing: bool) -> None:
        """Asks at once; frozen, only for what is not on screen yet."""
        if is_missing and self.poller.is_frozen:
            self.poller.ask_once()
        else:
            self.poller.poke()

    # --- the frame ---

    def _paint_frame(self) -> None:
        self._paint_header()
        self._paint_tabs()
        self._paint_hints()

    def _tick(self) -> None:
        if self.is_whole:
            self._paint_header()

    def _paint_header(self) -> None:
        state = LinkState(
            name=self.link.name,
            is_read_only=self.link.is_read_only,
            is_protected=self.link.is_protected,
            is_frozen=self.poller.is_frozen,
            trouble=self.trouble,
        )
        now_s, width = self._clock(), self.size.width
        header = self.base.query_one("#header", Canvas)
        header.paint(header_lines(self.snapshot, state, now_s=now_s, width=width, data_s=self._data_s(now_s)))
        if self.detail is not None:
            self.detail.show_link(state, now_s)

    def _data_s(self, now_s: float) -> float | None:
        """When what is on screen was taken: a pane that nothing new has reached shows older data than the header."""
        snapshot, shown = self.snapshot, self.pane.snapshot
        if snapshot is None or snapshot is shown:
            return snapshot.taken_s if snapshot else None
        is_just_coming = self.trouble is None and not self.poller.is_frozen and now_s - self._switched_s < SWITCH_S
        if is_just_coming or self.detail is not None:
            return snapshot.taken_s
        return min(snapshot.taken_s, shown.taken_s) if shown else None

    def _paint_tabs(self) -> None:
        failed = self.snapshot.depths.get(TaskState.FAILED, 0) if self.snapshot else 0
        tabs = [
            Tab(
                pane.id or "",
                str(number),
                pane.TITLE,
                f"{failed:,}" if pane.id == "dlq" and failed else "",
                "cell--bad",
            )
            for number, pane in enumerate(self.panes, start=1)
        ]
        self.base.query_one("#tabs", TabLine).show(tabs, self.pane.id or "")

    def _paint_hints(self) -> None:
        hints = self.base.query_one("#hints", Canvas)
        if self._progress:
            hints.paint([[(f" {self._progress} ", "cell--badge-warn")]])
            return
        bindings = [] if self.screen is not self.base else list(self.screen.active_bindings.values())
        # What is special here comes first, what works everywhere last.
        bindings.sort(key=lambda active: _hint_rank(active.binding.id or ""))
        hints.paint([hint_line(bindings, self.size.width, useless=self.pane.useless())])

    def _show_progress(self, text: str) -> None:
        if text != self._progress:
            self._progress = text
            self._paint_hints()

    def on_resize(self, event: events.Resize) -> None:
        """Another size of the terminal."""
        del event
        self.call_after_refresh(self._refit)

    def _refit(self) -> None:
        if not self.is_whole:
            return
        self._fit()
        self._paint_frame()
        if self.snapshot is not None and self.snapshot.question.screen == self.pane.id:
            self.pane.show(self.snapshot)
        self.poller.poke()

    def get_default_screen(self) -> Screen[Any]:
        """The screen of the panes, of its size from the start, so that it need not be styled twice."""
        return Screen(id="_default", classes=" ".join(_room_classes(*self._room())))

    def _room(self) -> tuple[int, int]:
        """How wide (0 narrow, 1 normal, 2 wide) and how high (0 short, 1 tall) the terminal is."""
        return sum(self.size.width >= width for width in WIDTHS), int(self.size.height >= TALL)

    def _fit(self) -> None:
        """Tells everything how much room there is."""
        horizontal, vertical = self._room()
        wanted = (self.base.classes - {*WIDTH_CLASSES, TALL_CLASS}) | _room_classes(horizontal, vertical)
        if wanted != self.base.classes:
            # In one step, for each styles everything anew.
            self.base.set_classes(wanted)
        for pane in self.panes:
            pane.set_breakpoints(horizontal, vertical)

    # --- going from place to place ---

    def action_go(self, name: str) -> None:
        """Shows a screen."""
        while isinstance(self.screen, (DetailScreen, HelpScreen)):
            self.pop_screen()
        if self.screen is not self.base:
            self.notify("finish or leave what is open first: esc leaves it", severity="warning", timeout=3)
            return
        if name == self.pane.id:
            return
        self._views.append(self.pane.id or "")
        del self._views[:-20]
        self._switch(name)

    def _switch(self, name: str) -> None:
        self.base.query_one("#body", ContentSwitcher).current = name
        self._switched_s = self._clock()
        self.pane.take_focus()
        self._paint_frame()
        self._ask(is_missing=self.pane.snapshot is None)

    def action_last_view(self) -> None:
        """The screen before this one."""
        if len(self._views) > 1:
            self._switch(self._views.pop())

    @on(TabLine.Chosen)
    def _tab_chosen(self, event: TabLine.Chosen) -> None:
        self.action_go(event.tab_id)

    @on(PlaceChosen)
    def _place_chosen(self, event: PlaceChosen) -> None:
        self.action_go(event.screen_name)
        if self.screen is self.base:
            self.pane.place(queue=event.queue, state=event.state)
            self.poller.poke()

    def show_queue(self, queue: str) -> None:
        """The tasks of one queue."""
        self.post_message(PlaceChosen("tasks", queue=queue))

    @on(TaskOpened)
    def _task_opened(self, event: TaskOpened) -> None:
        if self.screen is not self.base:
            # A second press, that came before the screen.
            return
        known = self.pane.known(event.task_id)
        before = replace(self.snapshot, detail=Detail(event.task_id, known)) if self.snapshot and known else None
        detail = DetailScreen(event.task_id, masker=self._masker, actor=self.link.actor, before=before)
        self.push_screen(detail, lambda _: self._back())
        self._ask(is_missing=True)

    def _back(self) -> None:
        self._paint_frame()
        self.poller.poke()

    def action_leave(self, may_quit: bool = True) -> None:
        """Leaves what is above; at the root q quits, and escape, which fingers press twice, does nothing."""
        if self.screen is not self.base:
            self.pop_screen()
            self._back()
        elif len(self._views) > 1:
            self.action_last_view()
        elif may_quit:
            self.action_interrupt()

    def action_help(self) -> None:
        """All keys of this screen."""
        self.push_screen(HelpScreen(self.pane.TITLE, self.screen.active_bindings.values()))

    # --- looking ---

    def action_freeze(self) -> None:
        """Stops asking, or goes on."""
        self.poller.is_frozen = not self.poller.is_frozen
        self._paint_header()
        if not self.poller.is_frozen:
            self.poller.poke()

    def action_refresh(self) -> None:
        """Asks now, frozen or not."""
        self.poller.ask_once()

    def action_toggle_theme(self) -> None:
        """Light or dark."""
        self.theme = LIGHT.name if self.theme == DARK.name else DARK.name

    def action_copy_id(self) -> None:
        """Copies the id under the cursor."""
        chosen = self.detail.task_id if self.detail is not None else self.pane.subject
        if chosen:
            self.copy_to_clipboard(chosen)
            self.notify(f"copied {chosen}", timeout=2)
        else:
            self._nothing_to_do(NothingToDo("nothing here has an id to copy"))

    # --- acting ---

    def notify(
        self,
        message: str,
        *,
        title: str = "",
        severity: SeverityLevel = "information",
        timeout: float | None = None,
        markup: bool = False,
    ) -> None:
        """Says something in a corner, as text: what nodes, tasks and Redis say is part of it."""
        del markup
        cut = ELLIPSIS if len(message) > TOAST_MAX else ""
        text, about = "\n".join(visible_lines(message[:TOAST_MAX] + cut)), visible(title)
        super().notify(text, title=about, severity=severity, timeout=timeout, markup=False)

    @on(PlanMade)
    def _plan_made(self, event: PlanMade) -> None:
        self._perform(event)

    @work(exit_on_error=False)
    async def _perform(self, event: PlanMade) -> None:
        await self.performer.perform(event.plan)
        self.poller.poke()

    def _tell(self, performed: Performed) -> None:
        self.notify(
            f"{performed.told.text}\n$ {performed.command}",
            title="" if performed.told.is_good else "not done as asked",
            severity="information" if performed.told.is_good else "warning",
            markup=False,
            timeout=TOAST_S,
        )

    @on(NothingToDo)
    def _nothing_to_do(self, event: NothingToDo) -> None:
        self.notify(event.why, severity="warning", markup=False, timeout=3)

    @on(SubmitWanted)
    def _submit_wanted(self, event: SubmitWanted) -> None:
        forms = [worker for worker in self.workers if worker.group == "form" and not worker.is_finished]
        # A second press, that came before the form; one whose task is just being submitted is no reason to wait.
        if len(forms) <= self.performer.under_way:
            self._open_form(event)

    @work(exit_on_error=False, group="form")
    async def _open_form(self, event: SubmitWanted) -> None:
        from tq_console.tui.forms.submit_screen import open_submit

        try:
            await open_submit(self, self.link, self.performer, from_id=event.from_id, queue=event.queue)
        except Exception as error:  # noqa: BLE001 - the seam of one form: that it cannot be opened is told
            text = f"internal error, {type(error).__name__}: {error}"
            self.notify(text, title="the form cannot be opened", severity="error")
        self.poller.poke()

    # --- leaving ---

    def action_interrupt(self) -> None:
        """The first time says how to quit, the second time does it."""
        now_s = self._clock()
        if now_s - self._interrupted_s <= QUIT_WITHIN_S:
            self.action_quit_now()
            return
        self._interrupted_s = now_s
        under_way = self.performer.under_way
        busy = f"; {under_way} change still under way" if under_way else ""
        self.notify(f"once more to quit{busy}", markup=False, timeout=QUIT_WITHIN_S)

    def _end_on_signals(self) -> None:
        """Lets a signal, or the terminal's going, end the console in order."""
        if self.is_headless:
            return
        loop = asyncio.get_running_loop()
        for number in ENDING_SIGNALS:
            loop.add_signal_handler(number, partial(self.exit, INTERRUPTED))

    def _fatal_error(self) -> None:
        """Ends with one line instead of Python's traceback: a bug of ours is no reason to frighten anybody."""
        error = self._exception
        if os.environ.get(DEBUG_VARIABLE):
            super()._fatal_error()
            return
        text = f"tq: internal error, {type(error).__name__}: {error}; {DEBUG_VARIABLE}=1 shows where"
        self._exit_renderables.append(Text(visible(" ".join(text.split()))))
        self._close_messages_no_wait()

    def action_quit_now(self) -> None:
        """Ends the console."""
        self.exit(0)

    async def on_unmount(self) -> None:
        """Lets go of the broker."""
        with contextlib.suppress(Exception):
            await self.link.aclose()
