"""The Workers screen: nodes and their workers as a tree, what runs in each, and what can be done to them."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.timer import Timer

from tq_console.tui.actions import workers as worker_plans
from tq_console.tui.actions.messages import WindowWanted
from tq_console.tui.actions.scale_screen import ScaleScreen, Size, Wish
from tq_console.tui.actions.scaling import SETTLE_S, Scaling
from tq_console.tui.lists.fail_rates import FailRates
from tq_console.tui.lists.slots import Yardstick
from tq_console.tui.lists.worker_rows import COLUMNS, Leaf, node_lines, slot_lines, tree, window
from tq_console.tui.local.local_workers import Ended, LocalWorkers
from tq_console.tui.local.log_screen import LogScreen
from tq_console.tui.local.start_screen import StartScreen
from tq_console.tui.look.canvas import Canvas, Line, Span
from tq_console.tui.look.focus import focus_now
from tq_console.tui.panes.pane import NeedChanged, NothingToDo, Pane, PlaceChosen, PlanMade
from tq_console.tui.table.table import VirtualTable
from tq_console.tui.watch.snapshot import Question, Snapshot
from tq_console.view.formats import plural
from tq_core.errors import TqError
from tq_core.model import TaskState
from tq_core.roles.registry import NodeInfo, WorkerInfo
from tq_core.worker_bounds import Bounds

MINUTES = 5
LOOK_S = 1.0
"""How often local workers are looked at."""
ENDED_TOAST_S = 12.0


class WorkersPane(Pane):
    """All nodes and workers."""

    TITLE = "Workers"
    DEFAULT_CSS = """
    WorkersPane {
        .workers-line { height: 1; }
        .workers-body { height: 1fr; layout: vertical; }
        VirtualTable { height: 1fr; width: 1fr; }
        .workers-preview { display: none; height: 10; border-top: solid $border; }
    }
    WorkersPane.-below .workers-preview { display: block; }
    WorkersPane.-beside {
        .workers-body { layout: horizontal; }
        .workers-preview { display: block; height: 1fr; width: 64; border-top: none; border-left: solid $border; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("p", "pause", "pause/resume", tooltip="Let the node claim no more tasks, or go on", id="workers.pause"),
        Binding("plus", "step(1)", "more", tooltip="One worker process more on the node", id="workers.more"),
        Binding("minus", "step(-1)", "fewer", tooltip="One worker process fewer on the node", id="workers.fewer"),
        Binding("equals_sign", "scale", "scale", tooltip="How many processes and slots, or bounds", id="workers.scale"),
        Binding("T", "stop", "stop", tooltip="Stop the node: it finishes its tasks and ends", id="workers.stop"),
        Binding("K", "kill", "kill", tooltip="Kill the worker process; its tasks run again", id="workers.kill"),
        Binding("S", "stacks", "stacks", tooltip="What each thread and task does now", id="workers.stacks"),
        Binding("u", "reload", "reload", show=False, tooltip="Load the code anew, in turn", id="workers.reload"),
        Binding("W", "start", "start one", tooltip="Start a worker on this machine", id="workers.start"),
        Binding("L", "log", "its log", show=False, tooltip="The log of a worker started with W", id="workers.log"),
        Binding("escape", "drop", "drop it", show=False, tooltip="Forget + and - not yet ordered", id="workers.drop"),
    ]

    def __init__(
        self,
        *,
        actor: str,
        id: str,  # noqa: A002 - Textual's name
        local: LocalWorkers | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Makes the pane.

        Args:
            local: The workers of this machine; None where none can be started.
        """
        super().__init__(id=id)
        self._actor, self._local, self._clock = actor, local, clock
        self._scaling = Scaling()
        self._settling: Timer | None = None
        self._yardstick = Yardstick([])
        self._rates = FailRates()
        self._leaves: list[Leaf] = []
        self._by_id: dict[str, Leaf] = {}

    def compose(self) -> ComposeResult:
        """A line about all of them, the tree, and what the one under the cursor does."""
        yield Canvas(classes="workers-line")
        with Container(classes="workers-body"):
            yield VirtualTable(
                COLUMNS, empty_text="no worker · W starts one here · `tq-worker MODULE` starts one anywhere"
            )
            yield Canvas(classes="workers-preview")

    def on_mount(self) -> None:
        """Looks after local workers from now on."""
        self.set_interval(LOOK_S, self._look_after)

    @property
    def table(self) -> VirtualTable:
        return self.query_one(VirtualTable)

    @property
    def subject(self) -> str | None:
        return self.table.cursor_id

    @property
    def asks_why(self) -> tuple[str, str] | None:
        return ("member", self.table.cursor_id) if self.table.cursor_id else None

    def set_breakpoints(self, horizontal: int, vertical: int) -> None:
        """Shows as much as there is room for."""
        self.table.breakpoint = horizontal
        self.set_class(vertical == 1, "-below")
        self.set_class(vertical == 0 and horizontal == 2, "-beside")

    def take_focus(self) -> None:
        """The tree takes the keys."""
        focus_now(self.table)

    # --- what it needs and shows ---

    def question(self) -> Question:
        """The queues' run times say which tasks run long; the fleet comes with every answer."""
        return Question(self.id or "", minutes=MINUTES)

    def show(self, snapshot: Snapshot) -> None:
        """The tree."""
        super().show(snapshot)
        self._yardstick = Yardstick(snapshot.queues)
        self._rates.look(snapshot.fleet)
        self._leaves = tree(snapshot.fleet)
        self._by_id = {leaf.id: leaf for leaf in self._leaves}
        self._fill()
        self._paint()

    def _fill(self) -> None:
        if self.snapshot is not None:
            self.table.show(
                window(self._leaves, self.table.wanted, self.snapshot.fleet, self._yardstick, rates=self._rates)
            )

    def _paint(self) -> None:
        snapshot, preview = self.snapshot, self.query_one(".workers-preview", Canvas)
        self.query_one(".workers-line", Canvas).paint([self._line()])
        leaf = self._leaf()
        if snapshot is None or leaf is None or not preview.display:
            preview.paint([])
            return
        room = {"width": preview.size.width, "height": max(1, preview.size.height)}
        if leaf.worker is not None:
            preview.paint(slot_lines(leaf.worker, snapshot.fleet, self._yardstick, **room))
        else:
            preview.paint(node_lines(leaf, snapshot.fleet, self._yardstick, **room))

    def _line(self) -> Line:
        """How many there are, and what is about to be ordered."""
        fleet = self.snapshot.fleet if self.snapshot else None
        if fleet is None:
            return [(" … asking", "cell--dim")]
        nodes = [node for node in fleet.nodes if node.health != "lost"]
        workers = [worker for worker in fleet.workers if worker.health != "lost"]
        lost = len(fleet.nodes) - len(nodes) + len(fleet.workers) - len(workers)
        line: list[Span] = [(f" {plural(len(nodes), 'node')}, {plural(len(workers), 'worker')}", "")]
        if lost:
            line.append((f"  ✗ {lost:,} lost", "cell--bad"))
        if self._local is not None and self._local.running:
            line.append((f"  {len(self._local.running)} started here (L: log)", "cell--dim"))
        line += [
            (f"  {wish.node.node_id}: {wish.node.processes} → {wish.processes} in a moment", "cell--warn")
            for wish in self._scaling.wishes.values()
        ]
        return line

    # --- moving ---

    @on(VirtualTable.CursorMoved)
    def _moved(self, event: VirtualTable.CursorMoved) -> None:
        event.stop()
        self._paint()

    @on(VirtualTable.WindowWanted)
    def _wants(self, event: VirtualTable.WindowWanted) -> None:
        event.stop()
        # The whole fleet is here already: only its rows are made as they are wanted.
        if self.snapshot is None:
            self.post_message(NeedChanged())
        self._fill()

    @on(VirtualTable.Opened)
    def _opened(self, event: VirtualTable.Opened) -> None:
        event.stop()
        self.post_message(PlaceChosen("tasks", state=TaskState.RUNNING))

    # --- what the keys do to nodes and workers ---

    def _leaf(self) -> Leaf | None:
        """The line under the cursor."""
        return self._by_id.get(self.table.cursor_id or "")

    def _node(self, what: str) -> NodeInfo | None:
        """The node of the line under the cursor; None where nothing can be done to it, which is told."""
        leaf = self._leaf()
        if leaf is None:
            self.post_message(NothingToDo(f"no node here to {what}"))
        elif leaf.node is None or not isinstance(leaf.node.info, NodeInfo):
            self.post_message(NothingToDo(f"{leaf.node_id} cannot be told to {what}: it does not say what it is"))
        elif leaf.node.health == "lost":
            self.post_message(NothingToDo(f"{leaf.node_id} is lost: nobody is there to {what}"))
        else:
            return leaf.node.info
        return None

    def action_pause(self) -> None:
        """Pauses the node, or lets it go on."""
        node = self._node("pause")
        if node is not None:
            make = worker_plans.resume if node.state == "paused" else worker_plans.pause
            self.post_message(PlanMade(make(node, actor=self._actor)))

    def action_step(self, step: int) -> None:
        """One process more or fewer; ordered when nobody has pressed again for a moment."""
        node = self._node("scale")
        if node is None:
            return
        self._scaling.press(node, step, self._clock())
        self._paint()
        self._order_later()

    def _order_later(self) -> None:
        if self._settling is not None:
            self._settling.stop()
        # A little later than is asked for: a timer may be early by our clock.
        self._settling = self.set_timer(SETTLE_S + 0.02, self._order) if self._scaling.wishes else None

    def _order(self) -> None:
        for wish in self._scaling.settled(self._clock()):
            self.post_message(PlanMade(worker_plans.scale(wish.node, wish.processes, actor=self._actor)))
        self._paint()
        self._order_later()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Leaves escape to others while there is nothing to forget."""
        del parameters
        return bool(self._scaling.wishes) if action == "drop" else True

    def action_drop(self) -> None:
        """Forgets + and - that were not ordered yet."""
        self._scaling.wishes.clear()
        self._paint()

    def action_scale(self) -> None:
        """Asks for the exact numbers."""
        node = self._node("scale")
        if node is None:
            return
        self._scaling.drop(node.node_id)

        def scale(wanted: Wish | None) -> None:
            if isinstance(wanted, Size):
                plan = worker_plans.scale(node, wanted.processes, slots=wanted.slots, actor=self._actor)
                self.post_message(PlanMade(plan))
            elif wanted is not None:
                bounds = wanted if isinstance(wanted, Bounds) else None
                self.post_message(PlanMade(worker_plans.autoscale(node, bounds, actor=self._actor)))

        self.app.push_screen(ScaleScreen(node), scale)

    def action_reload(self) -> None:
        """Loads the code anew."""
        node = self._node("reload")
        if node is not None:
            self.post_message(PlanMade(worker_plans.reload(node, actor=self._actor)))

    def action_stacks(self) -> None:
        """Shows what it does now."""
        node, leaf = self._node("show its stacks"), self._leaf()
        if node is not None and leaf is not None:
            worker_id = leaf.worker.id if leaf.worker is not None and leaf.worker.health != "lost" else None
            self.post_message(WindowWanted("stacks", (node.node_id, worker_id)))

    def action_stop(self) -> None:
        """Stops the node."""
        node, leaf = self._node("stop"), self._leaf()
        if node is None or leaf is None:
            return
        workers = self._by_id[leaf.node_id].workers
        running = sum(len(w.info.running) for w in workers if w.health != "lost" and isinstance(w.info, WorkerInfo))
        self.post_message(PlanMade(worker_plans.stop(node, running, actor=self._actor)))

    def action_kill(self) -> None:
        """Kills the worker's process."""
        leaf = self._leaf()
        if leaf is None or leaf.worker is None:
            self.post_message(NothingToDo("K kills a worker process: go to one. T stops a whole node"))
        elif self._node("kill a worker") is None:
            return
        elif not isinstance(leaf.worker.info, WorkerInfo):
            self.post_message(NothingToDo(f"what {leaf.worker.id} says cannot be read"))
        elif leaf.worker.health == "lost":
            self.post_message(NothingToDo(f"{leaf.worker.id} is lost: nothing is there to kill"))
        else:
            self.post_message(PlanMade(worker_plans.kill(leaf.worker.info, actor=self._actor)))

    # --- workers of this machine ---

    def action_start(self) -> None:
        """Asks what to start, and starts it."""
        local = self._local
        if local is None:
            self.post_message(NothingToDo("this console cannot start workers"))
            return
        if local.refusal:
            self.post_message(NothingToDo(local.refusal))
            return

        def start(line: str | None) -> None:
            if line is None:
                return
            try:
                worker = local.start(line)
            except (TqError, OSError) as error:
                self.post_message(NothingToDo(error.message if isinstance(error, TqError) else str(error)))
                return
            self.app.notify(f"$ tq-worker {worker.line}\npid {worker.pid}; L shows its log", markup=False)
            self._paint()

        self.app.push_screen(StartScreen(local.last_line, local.broker), start)

    def action_log(self) -> None:
        """Shows the log of the local worker under the cursor, else of the newest."""
        leaf = self._leaf()
        node = leaf.node.info if leaf is not None and leaf.node is not None else None
        worker = None
        if self._local is not None:
            mine = self._local.by_pid(node.pid) if isinstance(node, NodeInfo) else None
            worker = mine or self._local.by_pid(None)
        if worker is None:
            self.post_message(NothingToDo("no worker was started from here: W starts one"))
        else:
            self.app.push_screen(LogScreen(worker))

    def _look_after(self) -> None:
        for ended in self._local.newly_ended() if self._local is not None else ():
            self.app.notify(
                ended_text(ended),
                title="a local worker ended",
                severity="information" if ended.exit_code == 0 else "error",
                markup=False,
                timeout=ENDED_TOAST_S,
            )
            self._paint()


def ended_text(ended: Ended) -> str:
    """How a local worker ended, and what it said last."""
    how = f"exit code {ended.exit_code}" if ended.exit_code >= 0 else f"ended by signal {-ended.exit_code}"
    return f"$ tq-worker {ended.line}\n{how}: {ended.last_words}"
