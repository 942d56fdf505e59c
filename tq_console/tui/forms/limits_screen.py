"""The window for what limits a queue; and the choice of its breakers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, Label

from tq_console.tui.actions import limits as plans
from tq_console.tui.actions.desk import Desk
from tq_console.tui.actions.limits import SETTINGS, Value
from tq_console.tui.actions.messages import NothingToDo
from tq_console.tui.look.canvas import Canvas, Line
from tq_console.tui.look.wrapping import wrapped
from tq_console.tui.picking.pick_screen import Choice, PickScreen
from tq_console.view.formats import age
from tq_console.view.limits import breaker_line
from tq_core.errors import InvalidInputError
from tq_core.model import TaskState
from tq_core.roles import inspector, limits
from tq_core.roles.inspector import QueueStats
from tq_core.roles.limits import Limits
from tq_core.transport.together import together

BREAKERS_SHOWN = 3
LINES = 2


async def open_limits(desk: Desk, queue: str) -> None:
    """Shows the limits of a queue and sets what was changed.

    To be run in a worker of the app's.
    """
    (numbers,), rules = await desk.link.ask(together([inspector.stats([queue], minutes=1), limits.read(queue)]))
    wanted: Mapping[str, Value] | None = await desk.app.push_screen_wait(LimitsScreen(numbers, rules))
    before = plans.values_of(numbers, rules)
    if wanted is None or wanted == before:
        return
    await desk.performer.perform(plans.set_limits(queue, before, wanted, actor=desk.actor))


async def choose_breaker(desk: Desk, queue: str) -> None:
    """Shows the breakers of a queue, and opens or closes the one that is chosen.

    To be run in a worker of the app's.
    """
    rules = await desk.link.ask(limits.read(queue))
    if not rules.breakers:
        why = f"{queue} has no breaker: `tq queues breaker {queue} TYPE --failures 50%` gives a type one"
        desk.app.post_message(NothingToDo(why))
        return
    choices = []
    for view in rules.breakers:
        is_closed = view.state == "closed"
        runs = f"{view.failed:,} of {view.ok + view.failed:,} failed, {view.waiting:,} wait"
        text = f"{'open' if is_closed else 'close'} {view.type}"
        note = f"{view.state.replace('_', '-')}, {runs}"
        choices.append(Choice(view.type, text, note, "" if is_closed else "cell--bad"))
    about = f"breakers of {queue}: an open one holds its tasks back"
    chosen: str | None = await desk.app.push_screen_wait(PickScreen("Breakers", choices, about=about, verb="do it"))
    found = next((each for each in rules.breakers if each.type == chosen), None)
    if found is not None:
        word = "open" if found.state == "closed" else "close"
        await desk.performer.perform(plans.steer_breaker(found, word, actor=desk.actor))


class LimitsScreen(ModalScreen[Mapping[str, Value] | None]):
    """Takes limits; None where all is to stay as it is."""

    DEFAULT_CSS = """
    LimitsScreen {
        align: center middle;
        #limits-box {
            width: 80; max-width: 98%; height: auto; max-height: 96%;
            border: round $border; background: $surface; padding: 0 1;
            border-title-color: $secondary; border-title-style: bold;
        }
        Canvas { height: auto; }
        Horizontal { height: 1; }
        .limit-label { width: 13; color: $text-muted; }
        Input { width: 18; }
        .limit-words { width: 1fr; padding-left: 1; color: $text-muted; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+s", "submit", "set them", tooltip="Set what was changed", id="limits.submit"),
        Binding("down", "app.focus_next", "next", show=False, tooltip="The next field", id="limits.down"),
        Binding("up", "app.focus_previous", "before", show=False, tooltip="The field before", id="limits.up"),
        Binding("escape", "leave", "leave", tooltip="Change nothing", id="limits.leave"),
    ]

    def __init__(self, numbers: QueueStats, rules: Limits) -> None:
        super().__init__()
        self._numbers, self._rules = numbers, rules
        self._before = plans.values_of(numbers, rules)
        self._problem = ""

    def compose(self) -> ComposeResult:
        """What runs now, a field for each limit, the breakers, what was wrong."""
        with Vertical(id="limits-box") as box:
            box.border_title = "Limits"
            yield Canvas(id="limits-now")
            for setting in SETTINGS:
                value = self._before[setting.name]
                with Horizontal():
                    yield Label(setting.label, classes="limit-label", markup=False)
                    text = "" if value is None else str(value)
                    yield Input(text, placeholder="no limit", id=f"limit-{setting.name}", compact=True)
                    yield Label(setting.words, classes="limit-words", markup=False)
            yield Canvas(id="limits-more")

    def on_mount(self) -> None:
        """Says how full it is."""
        numbers = self._numbers
        depths = numbers.depths
        oldest = f", oldest {age(numbers.oldest_age_ms)}" if depths[TaskState.PENDING] else ""
        now = f"{numbers.waiting:,} wait{oldest}, {depths[TaskState.RUNNING]:,} run"
        self.query_one("#limits-now", Canvas).paint([[(f"{numbers.queue}  ", "cell--bold"), (now, "cell--dim")], []])
        self._paint()
        self.query_one("#limit-running", Input).focus()

    def on_resize(self) -> None:
        """Fits it anew."""
        self.call_after_refresh(self._paint)

    def _paint(self) -> None:
        canvas = self.query_one("#limits-more", Canvas)
        width = max(20, canvas.size.width or 60)
        lines: list[Line] = []
        for view in self._rules.breakers[:BREAKERS_SHOWN]:
            style = "" if view.state == "closed" else "cell--bad"
            lines += wrapped((f"breaker {breaker_line(view)}", style), width, LINES)
        if self._rules.keys:
            named = ", ".join(list(self._rules.keys)[:5])
            lines += wrapped((f"keys with limits of their own: {named}: `tq queues limit … --key`", ""), width, LINES)
        lines.append([(self._problem, "cell--bad")])
        lines.append([("⏎", "cell--key"), (" set them    ", ""), ("esc", "cell--key"), (" leave it", "")])
        self.query_one("#limits-more", Canvas).paint([[], *lines])

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Sets them."""
        event.stop()
        self.action_submit()

    def action_submit(self) -> None:
        """Hands over what is wanted, if all of it can be read."""
        wanted: dict[str, Value] = {}
        for setting in SETTINGS:
            box = self.query_one(f"#limit-{setting.name}", Input)
            try:
                wanted[setting.name] = plans.read_value(setting, box.value)
            except InvalidInputError as error:
                self._problem = f"{setting.label}: {error.message}"
                self._paint()
                box.focus()
                return
        if self.app.screen is self:
            self.dismiss(wanted)

    def action_leave(self) -> None:
        """Changes nothing."""
        if self.app.screen is self:
            self.dismiss(None)
