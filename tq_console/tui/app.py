"""The console: one frame, the panes between which the tabs choose, and the one way in which data flows.

poller ──► immutable snapshot ──► header, tabs, visible pane
key ──► pane ──► plan ──► performer: ask, do through the link, tell
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Callable
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from textual import events, on, work
from textual.app import ComposeResult
from textual.screen import Screen
from textual.widgets import ContentSwitcher

from tq_console.tui.actions.performing import Performer
from tq_console.tui.actions.submitted import Submitted
from tq_console.tui.detail.detail_screen import DetailScreen
from tq_console.tui.frame.tabs import TabLine
from tq_console.tui.keyed_app import TOAST_S, KeyedApp
from tq_console.tui.local.local_workers import LocalWorkers
from tq_console.tui.look.canvas import Canvas
from tq_console.tui.look.themes import DARK, PREFIX, THEMES
from tq_console.tui.panes.pane import (
    NeedChanged,
    Pane,
)
from tq_console.tui.terminal_app import DEBUG_VARIABLE
from tq_console.tui.watch.link import Link
from tq_console.tui.watch.poller import INTERVAL_S, Poller
from tq_console.tui.watch.snapshot import Question, Snapshot, Trouble
from tq_console.tui.wiring.alerts import AlertWatch
from tq_console.tui.wiring.contexts import Contexts
from tq_console.tui.wiring.frame import Frame
from tq_console.tui.wiring.messages import SnapshotTaken, TroubleMet
from tq_console.tui.wiring.navigation import Navigation
from tq_console.tui.wiring.screens import Means, screen_named
from tq_console.view.preferences import Preferences
from tq_console.view.secrets import Masker
from tq_core.errors import TqError

if TYPE_CHECKING:
    from tq_console.tui.command_line.commands import Commands
    from tq_console.tui.wiring.command_line import CommandLine
    from tq_console.tui.wiring.taking import Taking

HISTORY_FILE = "console_history"
SUBMITTED_FILE = "console_submitted"
LOW_BANDWIDTH_FACTOR = 3.0
"""So much rarer the broker is asked, and the clock in the header ticks, where the line is slow."""
PROBLEMS_SHOWN = 4
UNLOCK_S = 600.0


class ConsoleApp(KeyedApp):
    """The whole console."""

    CSS_PATH = "console.tcss"
    TITLE = "tq"

    def __init__(
        self,
        link: Link,
        *,
        masker: Masker | None = None,
        preferences: Preferences | None = None,
        make_commands: Callable[[], Commands] | None = None,
        is_read_only: bool = False,
        first: str = "overview",
        interval_s: float = INTERVAL_S,
        clock: Callable[[], float] = time.monotonic,
        on_first_frame: Callable[[], None] | None = None,
        is_in_browser: bool = False,
        welcome_file: Path | None = None,
        unlock: str = "",
    ) -> None:
        """Makes the console of one broker.

        Args:
            make_commands: Brings the commands for the line behind `:`, when it is first needed.
            is_read_only: No broker is written to from here, whichever is gone to.
            first: The screen to begin with.
            clock: Our monotonic clock; fixed for pictures.
            on_first_frame: Called when something from the broker has been painted, or it could not be reached.
            welcome_file: Remembers that its user has been told which keys lead to all others; None = is not told.
            unlock: Why a protected broker is to be written to from the start, for UNLOCK_S; "" = it is locked.
            is_in_browser: Whether its user is somebody else than whose machine it runs on: no programs, no files.
        """
        super().__init__()
        self.is_in_browser = is_in_browser
        self._welcome_file, self._unlock = welcome_file, unlock
        for theme in THEMES:
            self.register_theme(theme)
        # Before anything is styled: to style everything twice takes a tenth of a second.
        self.preferences = preferences or Preferences()
        self.theme = f"{PREFIX}{self.preferences.theme}" if self.preferences.theme else DARK.name
        self.is_ascii = bool(self.preferences.is_ascii)
        self.is_for_looking = is_read_only
        """Whether no broker is written to from here, whichever is shown."""
        self.masker = masker or Masker.from_environment()
        self.clock = clock
        self._first = first
        self._on_first_frame = on_first_frame
        self._is_first_frame = True
        self._interval_s = interval_s * (LOW_BANDWIDTH_FACTOR if self.preferences.is_low_bandwidth else 1.0)
        self._local: dict[str, LocalWorkers] = {}
        self.is_renewing = False
        """Whether the panes are just being made anew."""
        self.alerts = AlertWatch(self)
        self.frame = Frame(self)
        self.navigation = Navigation(self, first=first)
        self.connect(link)
        self.contexts = Contexts(self)
        self._make_commands = make_commands

    def connect(self, link: Link) -> None:
        """Makes everything that belongs to one broker; of another one nothing is known any more."""
        self.link = link
        self.snapshot = None
        self.trouble: Trouble | None = None
        self.poller = Poller(
            link,
            self.question,
            on_snapshot=partial(self._post_snapshot, link),
            on_trouble=partial(self._post_trouble, link),
            interval_s=self._interval_s,
            clock=self.clock,
        )
        if link.name not in self._local:
            self._local[link.name] = LocalWorkers(
                link.address, is_read_only=lambda: self.link.is_read_only, is_in_browser=self.is_in_browser
            )
        self.local_workers = self._local[link.name]
        self.performer = Performer(
            self,
            link,
            on_done=self.tell,
            on_progress=self.frame.show_progress,
            submitted=Submitted(None if self.is_in_browser else _submitted_file),
        )
        self.alerts.begin()

    def stop_local_workers(self) -> None:
        """Ends the workers that were started from here, of whichever broker."""
        for local in self._local.values():
            local.stop_all()

    @property
    def means(self) -> Means:
        """What panes are made with."""
        return Means(actor=self.link.actor, masker=self.masker, local=self.local_workers)

    # --- what it is made of ---

    def compose(self) -> ComposeResult:
        """Header, tabs, panes, hints."""
        yield Canvas(id="header")
        yield TabLine(id="tabs")
        with ContentSwitcher(initial=self._first, id="body"):
            yield screen_named(self._first).make(self.means)
        yield Canvas(id="hints")

    def on_mount(self) -> None:
        """Starts to ask."""
        self.end_on_signals()
        if self.preferences.keys:
            from tq_console.tui.wiring.keymap import usable

            self.set_keymap(usable(self.preferences.keys))
        # Only then are the panes made of what they are made of.
        self.call_after_refresh(self._begin)

    def _begin(self) -> None:
        self.frame.fit()
        self.pane.take_focus()
        self.frame.paint()
        self.set_interval(LOW_BANDWIDTH_FACTOR if self.preferences.is_low_bandwidth else 1.0, self._tick)
        self.begin_asking()

    def begin_asking(self) -> None:
        """Asks the broker that is shown now, and no other any more."""
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
        if not self._screen_stack or self.is_renewing:
            return False
        return bool(self.base.query("#hints")) and all(pane.is_attached and pane.children for pane in self.panes)

    # --- the flow ---

    def question(self) -> Question:
        """What the visible screen needs now."""
        detail = self.detail
        return Question("detail", detail_id=detail.task_id) if detail is not None else self.pane.question()

    def _post_snapshot(self, link: Link, snapshot: Snapshot) -> None:
        self.post_message(SnapshotTaken(snapshot, link))

    def _post_trouble(self, link: Link, trouble: Trouble) -> None:
        self.post_message(TroubleMet(trouble, link))

    @on(SnapshotTaken)
    def _snapshot_taken(self, event: SnapshotTaken) -> None:
        if not self.is_whole or event.link is not self.link:
            return
        try:
            self.show(event.snapshot)
        except Exception as error:
            if os.environ.get(DEBUG_VARIABLE):
                raise
            text = f"internal error, {type(error).__name__}: {error}; {DEBUG_VARIABLE}=1 shows where"
            self.trouble = Trouble(text, "internal", self.clock(), 1, self.poller.interval_s)
            self.frame.paint_header()
        self._tell_first_frame()

    def show(self, snapshot: Snapshot) -> None:
        """Shows a snapshot everywhere it concerns."""
        snapshot = self.alerts.look(snapshot)
        self.snapshot, self.trouble = snapshot, None
        if self.detail is not None:
            self.detail.show(snapshot)
        if snapshot.question.screen == self.pane.id:
            self.pane.show(snapshot)
        self.frame.paint()

    @on(TroubleMet)
    def _trouble_met(self, event: TroubleMet) -> None:
        if event.link is not self.link:
            return
        self.trouble = event.trouble
        self._tell_first_frame()
        if self.is_whole:
            self.frame.paint_header()

    def _tell_first_frame(self) -> None:
        if self._is_first_frame:
            self._is_first_frame = False
            self.call_after_refresh(self._begun)

    def _begun(self) -> None:
        if self._on_first_frame is not None:
            self._on_first_frame()
        if self._welcome_file is not None:
            from tq_console.tui.wiring.welcome import welcome

            welcome(self, self._welcome_file)
        if self._unlock:
            self._unlock_now()
        if self.preferences.keys or self.preferences.problems:
            self._check_preferences()
        if self.preferences.has_alerts:
            self.run_worker(self.alerts.read(), group="alerts", exit_on_error=False)

    @work(exit_on_error=False, group="contexts")
    async def _unlock_now(self) -> None:
        try:
            await self.contexts.unlock(for_s=UNLOCK_S, why=self._unlock)
        except TqError as error:
            self.notify(error.message, severity="warning", timeout=TOAST_S)

    @work(exit_on_error=False, group="preferences")
    async def _check_preferences(self) -> None:
        from tq_console.tui.wiring.keymap import key_problems

        # To look through all keys loads every screen: not before the first frame, and not where nobody asked for keys.
        keys = await asyncio.to_thread(key_problems, self.preferences.keys) if self.preferences.keys else []
        found = [*self.preferences.problems, *keys]
        if found:
            more = f"\nand {len(found) - PROBLEMS_SHOWN} more" if len(found) > PROBLEMS_SHOWN else ""
            text = "\n".join(found[:PROBLEMS_SHOWN]) + more + "\n$ tq config check"
            self.notify(text, title="the configuration", severity="warning", timeout=TOAST_S * 2)

    @on(NeedChanged)
    def _need_changed(self, event: NeedChanged) -> None:
        self.ask_again(is_missing=event.is_missing)

    def ask_again(self, *, is_missing: bool) -> None:
        """Asks at once; frozen, only for what is not on screen yet."""
        if is_missing and self.poller.is_frozen:
            self.poller.ask_once()
        else:
            self.poller.poke()

    # --- the frame ---

    def _tick(self) -> None:
        if self.is_whole:
            self.contexts.look()
            self.frame.paint_header()

    def on_resize(self, event: events.Resize) -> None:
        """Another size of the terminal."""
        del event
        self.call_after_refresh(self._refit)

    def _refit(self) -> None:
        if not self.is_whole:
            return
        self.frame.fit()
        self.frame.paint()
        if self.snapshot is not None and self.snapshot.question.screen == self.pane.id:
            self.pane.show(self.snapshot)
        self.poller.poke()

    def get_default_screen(self) -> Screen[Any]:
        """The screen of the panes, of its size from the start, so that it need not be styled twice."""
        return Screen(id="_default", classes=" ".join(self.frame.room_classes()))

    # --- what is made when it is first needed ---

    @cached_property
    def command_line(self) -> CommandLine:
        """Made when it is first opened."""
        from tq_console.tui.wiring.command_line import CommandLine
        from tq_core.broker.folder import state_root

        history = None if self.is_in_browser else state_root(os.environ) / HISTORY_FILE
        return CommandLine(self, self._make_commands, history=history)

    @cached_property
    def taking(self) -> Taking:
        """Made when something is first taken out."""
        from tq_console.tui.wiring.taking import Taking

        return Taking(self)

    async def on_unmount(self) -> None:
        """Lets go of the broker."""
        self.alerts.close()
        with contextlib.suppress(Exception):
            await self.link.aclose()


def _submitted_file() -> Path:
    from tq_core.broker.folder import state_root

    return state_root(os.environ) / SUBMITTED_FILE
