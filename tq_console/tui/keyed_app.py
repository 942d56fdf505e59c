"""What the keys of the frame do, and what panes ask of the app: each hands on to who can do it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from textual import on, work
from textual.binding import Binding, BindingType
from textual.screen import ModalScreen, Screen

from tq_console.tui.actions.errands import ErrandWanted
from tq_console.tui.actions.messages import ScheduleFormWanted, WindowWanted
from tq_console.tui.actions.performing import Performed, Performer
from tq_console.tui.actions.stopping import KEY as STOP_KEY
from tq_console.tui.actions.stopping import Stop
from tq_console.tui.detail.detail_screen import DetailScreen
from tq_console.tui.frame.help import HelpScreen
from tq_console.tui.frame.palette import Actions, Things
from tq_console.tui.frame.tabs import TabLine
from tq_console.tui.look.themes import after, short_name
from tq_console.tui.panes.pane import NothingToDo, Pane, PlaceChosen, PlanMade, SubmitWanted, TaskOpened
from tq_console.tui.terminal_app import TerminalApp
from tq_console.tui.wiring.messages import ContextWanted
from tq_console.tui.wiring.screens import SCREENS
from tq_console.tui.wiring.windows import NEVER_LEFT_OUT, WINDOW_BINDINGS, WINDOWS
from tq_core.errors import TqError

if TYPE_CHECKING:
    from collections.abc import Callable

    from tq_console.tui.watch.link import Link
    from tq_console.tui.watch.poller import Poller
    from tq_console.tui.watch.snapshot import Snapshot
    from tq_console.tui.wiring.command_line import CommandLine
    from tq_console.tui.wiring.contexts import Contexts
    from tq_console.tui.wiring.frame import Frame
    from tq_console.tui.wiring.navigation import Navigation
    from tq_console.tui.wiring.taking import Taking
    from tq_console.view.secrets import Masker
    from tq_core.model import TaskView

QUIT_WITHIN_S = 2.0
TOAST_S = 6.0


class KeyedApp(TerminalApp):
    """The console as its keys see it."""

    COMMANDS: ClassVar[set[Any]] = {Actions, Things}
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
        Binding("at", "people", "log", show=False, tooltip="The Log, of what people did", id="app.people"),
        Binding("f", "freeze", "freeze", show=False, tooltip="Freeze what is shown, or follow again", id="app.freeze"),
        Binding("ctrl+r", "refresh", "refresh", show=False, tooltip="Ask the broker now", id="app.refresh"),
        Binding("c", "copy_id", "copy id", show=False, tooltip="Copy the id under the cursor", id="app.copy"),
        *WINDOW_BINDINGS,
        Binding("y", "copy_menu", "copy", show=False, tooltip="Copy id, arguments, traceback …", id="app.copy_menu"),
        Binding("f12", "picture", "picture", show=False, tooltip="The screen as a picture", id="app.picture"),
        Binding("m", "maximise", "maximise", show=False, tooltip="All the room for the list", id="app.maximise"),
        Binding(
            "exclamation_mark", "pipe", "pipe", show=False, tooltip="Give marked tasks to a program", id="app.pipe"
        ),
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

    is_in_browser: bool
    snapshot: Snapshot | None
    link: Link
    masker: Masker
    poller: Poller
    performer: Performer
    navigation: Navigation
    frame: Frame
    contexts: Contexts
    clock: Callable[[], float]
    _interrupted_s = float("-inf")

    @property
    def is_free(self) -> bool:
        """Whether nothing is open that waits for an answer: a pane is shown, or a task whole."""
        return not isinstance(self.screen, ModalScreen)

    if TYPE_CHECKING:

        @property
        def base(self) -> Screen[Any]: ...
        @property
        def pane(self) -> Pane: ...
        @property
        def detail(self) -> DetailScreen | None: ...
        @property
        def command_line(self) -> CommandLine: ...
        @property
        def taking(self) -> Taking: ...

    # --- going from place to place ---

    async def action_go(self, name: str) -> None:
        """Shows a screen."""
        await self.navigation.go(name)

    async def action_people(self) -> None:
        """The Log, of what people did."""
        await self.navigation.go_to_people()

    async def action_last_view(self) -> None:
        """The screen before this one."""
        if not await self.navigation.back():
            self._nothing_to_do(NothingToDo("no screen was before this one"))

    @on(TabLine.Chosen)
    async def _tab_chosen(self, event: TabLine.Chosen) -> None:
        await self.action_go(event.tab_id)

    @on(PlaceChosen)
    async def _place_chosen(self, event: PlaceChosen) -> None:
        await self.navigation.go_to(event)

    def show_queue(self, queue: str) -> None:
        """The tasks of one queue."""
        from tq_console.tui.lists.queue_rows import worth_seeing

        found = self.snapshot.queue(queue) if self.snapshot is not None else None
        self.post_message(PlaceChosen("tasks", queue=queue, state=worth_seeing(found) if found else None))

    def show_tasks(self, query: str) -> None:
        """The tasks that a query chooses."""
        self.post_message(PlaceChosen("tasks", words=query))

    def open_task(self, task_id: str) -> None:
        """One task whole."""
        self.post_message(TaskOpened(task_id))

    def seen_tasks(self) -> list[TaskView]:
        """The tasks that are on screen or were a moment ago, each once."""
        snapshot = self.snapshot
        if snapshot is None:
            return []
        listed = [row.task for row in snapshot.tasks.rows] if snapshot.tasks is not None else []
        whole = [snapshot.detail.task] if snapshot.detail is not None and snapshot.detail.task is not None else []
        return list({task.id: task for task in (*whole, *listed, *snapshot.failures)}.values())

    @on(TaskOpened)
    def _task_opened(self, event: TaskOpened) -> None:
        self.navigation.open_task(event.task_id)

    async def action_leave(self, may_quit: bool = True) -> None:
        """Leaves what is above; at the root q quits, and escape, which fingers press twice, does nothing."""
        if not self.navigation.leave_above() and not await self.navigation.back() and may_quit:
            self.action_interrupt()

    def action_help(self) -> None:
        """All keys of this screen."""
        self.push_screen(HelpScreen(self.pane.TITLE, self.screen.active_bindings.values()))

    # --- the line behind : ---

    @work(exit_on_error=False, group="command")
    async def action_command_line(self, text: str = "") -> None:
        """A line for a command."""
        await self.command_line.open(text)

    # --- from broker to broker ---

    @work(exit_on_error=False, group="contexts", exclusive=True)
    async def action_contexts(self) -> None:
        """The picker of brokers."""
        if not self.is_free:
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
            self.taking.copy(chosen, chosen)
        else:
            self._nothing_to_do(NothingToDo("nothing here has an id to copy"))

    @work(exit_on_error=False, group="copy", exclusive=True)
    async def action_copy_menu(self) -> None:
        """What can be copied of what is under the cursor."""
        await self.taking.copy_one()

    def action_picture(self) -> None:
        """Writes what is on screen into a file."""
        self.taking.screenshot()

    @work(exit_on_error=False, group="pipe", exclusive=True)
    async def action_pipe(self) -> None:
        """Gives the chosen tasks to a program."""
        await self.taking.pipe()

    def action_maximise(self) -> None:
        """Gives the list all the room, or takes it back."""
        self.base.toggle_class("-maximised")

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

    def tell(self, performed: Performed) -> None:
        """Says what became of a change, and which command does the same."""
        self.notify(
            "\n".join(filter(None, (performed.told.text, f"$ {performed.command}", performed.undo_words))),
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
        self.post_message(WindowWanted("why", asked))

    def action_window(self, kind: str) -> None:
        """Opens a window that is about nothing on this screen."""
        self.post_message(WindowWanted(kind))

    @on(WindowWanted)
    def _window_wanted(self, event: WindowWanted) -> None:
        # A second press, that came before the window, opens no second one.
        is_open = any(worker.group == "window" and not worker.is_finished for worker in self.workers)
        if event.kind in NEVER_LEFT_OUT or not is_open:
            group = event.kind if event.kind in NEVER_LEFT_OUT else "window"
            self.run_worker(self._open_window(event), group=group, exit_on_error=False)

    async def _open_window(self, event: WindowWanted) -> None:
        from tq_console.tui.actions.desk import Desk

        desk = Desk(app=self, link=self.link, performer=self.performer, masker=self.masker, actor=self.link.actor)
        try:
            await WINDOWS[event.kind](desk, event.about)
        except Exception as error:  # noqa: BLE001 - the seam of one window: that it cannot be opened is told
            text = error.message if isinstance(error, TqError) else f"internal error, {type(error).__name__}: {error}"
            self.notify(text, title="this cannot be shown", severity="error")
        self.poller.poke()

    @on(SubmitWanted)
    @on(ScheduleFormWanted)
    def _form_wanted(self, event: SubmitWanted | ScheduleFormWanted) -> None:
        forms = [worker for worker in self.workers if worker.group == "form" and not worker.is_finished]
        # A second press, that came before the form; one whose task is just being submitted is no reason to wait.
        if len(forms) <= self.performer.under_way:
            self._open_form(event)

    @work(exit_on_error=False, group="form")
    async def _open_form(self, event: SubmitWanted | ScheduleFormWanted) -> None:
        try:
            if isinstance(event, SubmitWanted):
                from tq_console.tui.forms.open_form import open_submit

                await open_submit(self, self.link, self.performer, from_id=event.from_id, queue=event.queue)
            else:
                from tq_console.tui.forms.schedule_screen import open_schedule

                masker, view = self.masker, event.view
                await open_schedule(self, self.link, self.performer, view=view, queue=event.queue, masker=masker)
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
