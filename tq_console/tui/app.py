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
from typing import TYPE_CHECKING, Any, ClassVar

from textual import events, on, work
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.widgets import ContentSwitcher

from tq_console.tui.actions.desk import Desk, WindowWanted
from tq_console.tui.actions.errands import ErrandWanted
from tq_console.tui.actions.performing import Performed, Performer
from tq_console.tui.actions.stopping import KEY as STOP_KEY
from tq_console.tui.actions.stopping import Stop
from tq_console.tui.detail.detail_screen import DetailScreen
from tq_console.tui.frame.help import HelpScreen
from tq_console.tui.frame.palette import ConsoleCommands
from tq_console.tui.frame.tabs import TabLine
from tq_console.tui.local.local_workers import LocalWorkers
from tq_console.tui.look.canvas import Canvas
from tq_console.tui.look.themes import DARK, PREFIX, THEMES, after, short_name
from tq_console.tui.panes.pane import (
    NeedChanged,
    NothingToDo,
    Pane,
    PlaceChosen,
    PlanMade,
    SubmitWanted,
    TaskOpened,
)
from tq_console.tui.terminal_app import DEBUG_VARIABLE, TerminalApp
from tq_console.tui.watch.link import Link
from tq_console.tui.watch.poller import INTERVAL_S, Poller
from tq_console.tui.watch.snapshot import Question, Snapshot, Trouble
from tq_console.tui.wiring.alerts import AlertWatch
from tq_console.tui.wiring.contexts import Contexts
from tq_console.tui.wiring.frame import Frame
from tq_console.tui.wiring.messages import ContextWanted, SnapshotTaken, TroubleMet
from tq_console.tui.wiring.navigation import Navigation
from tq_console.tui.wiring.screens import SCREENS, Means
from tq_console.view.preferences import Preferences
from tq_console.view.secrets import Masker
from tq_core.errors import TqError

if TYPE_CHECKING:
    from tq_console.tui.command_line.commands import Commands
    from tq_console.tui.wiring.command_line import CommandLine

HISTORY_FILE = "console_history"
QUIT_WITHIN_S = 2.0
LOW_BANDWIDTH_FACTOR = 3.0
"""So much rarer the broker is asked, and the clock in the header ticks, where the line is slow."""
TOAST_S = 6.0
PROBLEMS_SHOWN = 4


class ConsoleApp(TerminalApp):
    """The whole console."""

    CSS_PATH = "console.tcss"
    TITLE = "tq"
    COMMANDS = App.COMMANDS | {ConsoleCommands}
    BINDINGS: ClassVar[list[BindingType]] = [
        *(
            Binding(
                entry.key,
                f"go('{entry.name}')",
                entry.title,
                show=False,
                tooltip=f"{entry.title} screen",
                id=f"app.{entry.name}",
            )
            for entry in SCREENS
        ),
        Binding("question_mark", "help", "help", tooltip="This help", id="app.help"),
        Binding("colon", "command_line", "commands", tooltip="A command, as after tq", id="app.command"),
        Binding("ctrl+p", "command_palette", "palette", show=False, tooltip="Find keys and things", id="app.palette"),
        Binding("f", "freeze", "freeze", show=False, tooltip="Freeze what is shown, or follow again", id="app.freeze"),
        Binding("ctrl+r", "refresh", "refresh", show=False, tooltip="Ask the broker now", id="app.refresh"),
        Binding("c", "copy_id", "copy id", show=False, tooltip="Copy the id under the cursor", id="app.copy"),
        Binding("w", "why", "why", tooltip="Why it waits, who did that, when it starts, what to do", id="app.why"),
        Binding("minus", "last_view", "last view", show=False, tooltip="The screen before", id="app.last"),
        Binding("backspace", "last_view", "last view", show=False, tooltip="The screen before", id="app.last_view"),
        Binding(STOP_KEY, "stop", "stop", show=False, tooltip="Stop a bulk action or export", id="app.stop"),
        Binding("f2", "toggle_theme", "theme", show=False, tooltip="The next theme: dark, light, …", id="app.theme"),
        Binding("f3", "contexts", "contexts", show=False, tooltip="Another broker", id="app.contexts"),
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
        preferences: Preferences | None = None,
        make_commands: Callable[[], Commands] | None = None,
        is_read_only: bool = False,
        first: str = "overview",
        interval_s: float = INTERVAL_S,
        clock: Callable[[], float] = time.monotonic,
        on_first_frame: Callable[[], None] | None = None,
        is_in_browser: bool = False,
    ) -> None:
        """Makes the console of one broker.

        Args:
            make_commands: Brings the commands for the line behind `:`, when it is first needed.
            is_read_only: No broker is written to from here, whichever is gone to.
            first: The screen to begin with.
            clock: Our monotonic clock; fixed for pictures.
            on_first_frame: Called when something from the broker has been painted, or it could not be reached.
            is_in_browser: Whether its user is somebody else than whose machine it runs on: no programs, no files.
        """
        super().__init__()
        self.is_in_browser = is_in_browser
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
        self._interrupted_s = float("-inf")
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
        self.snapshot: Snapshot | None = None
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
        self.performer = Performer(self, link, on_done=self._tell, on_progress=self.frame.show_progress)
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
            for entry in SCREENS:
                yield entry.make(entry.name, self.means)
        yield Canvas(id="hints")

    def on_mount(self) -> None:
        """Starts to ask."""
        self.end_on_signals()
        if self.preferences.keys:
            self.set_keymap(dict(self.preferences.keys))
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
        if self.preferences.keys or self.preferences.problems:
            self._check_preferences()
        if self.preferences.has_alerts:
            self.run_worker(self.alerts.read(), group="alerts", exit_on_error=False)

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

    # --- going from place to place ---

    def action_go(self, name: str) -> None:
        """Shows a screen."""
        self.navigation.go(name)

    def action_last_view(self) -> None:
        """The screen before this one."""
        self.navigation.back()

    @on(TabLine.Chosen)
    def _tab_chosen(self, event: TabLine.Chosen) -> None:
        self.action_go(event.tab_id)

    @on(PlaceChosen)
    def _place_chosen(self, event: PlaceChosen) -> None:
        self.navigation.go_to(event)

    def show_queue(self, queue: str) -> None:
        """The tasks of one queue."""
        self.post_message(PlaceChosen("tasks", queue=queue))

    @on(TaskOpened)
    def _task_opened(self, event: TaskOpened) -> None:
        self.navigation.open_task(event.task_id)

    def action_leave(self, may_quit: bool = True) -> None:
        """Leaves what is above; at the root q quits, and escape, which fingers press twice, does nothing."""
        if not self.navigation.leave_above() and not self.navigation.back() and may_quit:
            self.action_interrupt()

    def action_help(self) -> None:
        """All keys of this screen."""
        self.push_screen(HelpScreen(self.pane.TITLE, self.screen.active_bindings.values()))

    # --- the line behind : ---

    @cached_property
    def command_line(self) -> CommandLine:
        """Made when it is first opened."""
        from tq_console.tui.wiring.command_line import CommandLine
        from tq_core.broker.folder import state_root

        history = None if self.is_in_browser else state_root(os.environ) / HISTORY_FILE
        return CommandLine(self, self._make_commands, history=history)

    @work(exit_on_error=False, group="command")
    async def action_command_line(self, text: str = "") -> None:
        """A line for a command."""
        await self.command_line.open(text)

    # --- from broker to broker ---

    @work(exit_on_error=False, group="contexts", exclusive=True)
    async def action_contexts(self) -> None:
        """The picker of brokers."""
        if self.screen is not self.base:
            self._nothing_to_do(NothingToDo("finish or leave what is open first: esc leaves it"))
            return
        if self.is_in_browser:
            self._nothing_to_do(NothingToDo("a page shows the broker that it was opened for and no other"))
            return
        from tq_console.tui.frame.context_list import ContextList

        try:
            choices = self.contexts.choices()
        except TqError as error:
            self.notify(error.message, severity="warning")
            return
        chosen = await self.push_screen_wait(ContextList(choices))
        if chosen is not None:
            self.post_message(ContextWanted(chosen))

    @on(ContextWanted)
    async def _context_wanted(self, event: ContextWanted) -> None:
        try:
            await self.contexts.switch(event.name)
        except TqError as error:
            self.notify(error.message, severity="warning")

    # --- looking ---

    def action_freeze(self) -> None:
        """Stops asking, or goes on."""
        self.poller.is_frozen = not self.poller.is_frozen
        self.frame.paint_header()
        if not self.poller.is_frozen:
            self.poller.poke()

    def action_refresh(self) -> None:
        """Asks now, frozen or not."""
        self.poller.ask_once()

    def action_toggle_theme(self) -> None:
        """The next theme."""
        self.theme = after(self.theme)
        name = short_name(self.theme)
        self.notify(f"theme {name}; to keep it: tq config set theme {name}", timeout=3)

    def action_copy_id(self) -> None:
        """Copies the id under the cursor."""
        chosen = self.detail.task_id if self.detail is not None else self.pane.subject
        if chosen:
            self.copy_to_clipboard(chosen)
            self.notify(f"copied {chosen}", timeout=2)
        else:
            self._nothing_to_do(NothingToDo("nothing here has an id to copy"))

    # --- acting ---

    @on(PlanMade)
    def _plan_made(self, event: PlanMade) -> None:
        self._perform(event)

    @work(exit_on_error=False)
    async def _perform(self, event: PlanMade) -> None:
        await self.performer.perform(event.plan)
        self.poller.poke()

    @on(ErrandWanted)
    def _errand_wanted(self, event: ErrandWanted) -> None:
        self.run_worker(self._run_errand(event), exit_on_error=False)

    async def _run_errand(self, event: ErrandWanted) -> None:
        stop = event.ends_by or Stop()
        self.performer.stops.begin(stop)
        try:
            if said := await event.errand(self.link, self.frame.show_progress):
                self.notify(said, timeout=TOAST_S)
        except TqError as error:
            self._nothing_to_do(NothingToDo(error.message))
        except OSError as error:
            self._nothing_to_do(NothingToDo(f"{error.filename or ''}: {error.strerror or error}"))
        except Exception as error:  # noqa: BLE001 - the seam of one errand: what becomes of it is told, whatever it is
            self._nothing_to_do(NothingToDo(f"internal error, {type(error).__name__}: {error}"))
        finally:
            self.performer.stops.end(stop)
            self.frame.show_progress("")

    def action_stop(self) -> None:
        """Ends what goes on for long, between two steps of it."""
        if self.performer.stops.want():
            self.notify("stopping …", timeout=2)
        else:
            self._nothing_to_do(NothingToDo("nothing is under way that could be stopped"))

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

    def action_why(self) -> None:
        """Says why what is under the cursor is as it is."""
        asked = ("task", self.detail.task_id) if self.detail is not None else self.pane.asks_why
        if asked is None:
            self._nothing_to_do(NothingToDo("nothing here to explain: go to a task, a queue or a worker"))
            return
        kind, name = asked

        async def opening(desk: Desk) -> None:
            from tq_console.tui.why.why_screen import open_why

            await open_why(desk, kind, name)

        self.post_message(WindowWanted(opening))

    @on(WindowWanted)
    def _window_wanted(self, event: WindowWanted) -> None:
        # A second press, that came before the window; what a key does to a task goes on all the same.
        if not any(worker.group == "window" and not worker.is_finished for worker in self.workers):
            self._open_window(event)

    @work(exit_on_error=False, group="window")
    async def _open_window(self, event: WindowWanted) -> None:
        desk = Desk(app=self, link=self.link, performer=self.performer, masker=self.masker, actor=self.link.actor)
        try:
            await event.opening(desk)
        except Exception as error:  # noqa: BLE001 - the seam of one window: that it cannot be opened is told
            text = error.message if isinstance(error, TqError) else f"internal error, {type(error).__name__}: {error}"
            self.notify(text, title="this cannot be shown", severity="error")
        self.poller.poke()

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
        now_s = self.clock()
        if now_s - self._interrupted_s <= QUIT_WITHIN_S:
            self.action_quit_now()
            return
        self._interrupted_s = now_s
        under_way = self.performer.under_way
        busy = f"; {under_way} change still under way" if under_way else ""
        self.notify(f"once more to quit{busy}", markup=False, timeout=QUIT_WITHIN_S)

    def action_quit_now(self) -> None:
        """Ends the console."""
        self.exit(0)

    async def on_unmount(self) -> None:
        """Lets go of the broker."""
        self.alerts.close()
        with contextlib.suppress(Exception):
            await self.link.aclose()
