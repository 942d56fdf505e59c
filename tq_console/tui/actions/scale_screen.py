"""The window that asks how many processes, and slots, a node is to have."""

from __future__ import annotations

import enum
from typing import ClassVar, NamedTuple, TypeAlias

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input

from tq_console.tui.actions.workers import PROCESSES_MAX
from tq_console.tui.look.canvas import Canvas
from tq_core.errors import InvalidInputError
from tq_core.roles.registry import NodeInfo
from tq_core.worker_bounds import Bounds

SLOTS_MAX = 1000


class Size(NamedTuple):
    """Exact numbers."""

    processes: int
    slots: int | None


class Off(enum.Enum):
    """The number of processes is not set by itself any more."""

    OFF = "off"


Wish: TypeAlias = Size | Bounds | Off


def parse_wish(text: str) -> Wish:
    """Exact numbers, bounds as 1:8, or off.

    Raises:
        InvalidInputError: it is none of them.
    """
    words = text.strip()
    if words.lower() == "off":
        return Off.OFF
    return Bounds.parse(words) if ":" in words else Size(*parse_size(words))


def parse_size(text: str) -> tuple[int, int | None]:
    """Processes, and slots of each where they are given.

    Raises:
        InvalidInputError: it is not one or two numbers in their range.
    """
    words = text.replace(",", " ").split()
    if len(words) not in (1, 2) or not all(word.isascii() and word.isdigit() and len(word) < 6 for word in words):
        raise InvalidInputError(f"{text.strip()!r}: write processes, or processes and slots, as 4 or 4 10")
    processes, *rest = map(int, words)
    if processes > PROCESSES_MAX:
        raise InvalidInputError(f"{processes} processes: at most {PROCESSES_MAX}")
    if rest and not 1 <= rest[0] <= SLOTS_MAX:
        raise InvalidInputError(f"{rest[0]} slots: from 1 to {SLOTS_MAX}")
    return processes, rest[0] if rest else None


class ScaleScreen(ModalScreen[Wish | None]):
    """Asks for the exact numbers; None where the node is to stay as it is."""

    DEFAULT_CSS = """
    ScaleScreen {
        align: center middle;
        #scale-window {
            width: 64; max-width: 96%; height: auto;
            border: round $border; background: $surface; padding: 0 1;
        }
        Canvas { height: auto; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "leave it", tooltip="Change nothing", id="scale.leave"),
    ]

    def __init__(self, node: NodeInfo) -> None:
        super().__init__()
        self._node = node

    def compose(self) -> ComposeResult:
        """What it has, the numbers, what was wrong with them."""
        with Vertical(id="scale-window") as box:
            box.border_title = "Scale"
            yield Canvas(id="scale-before")
            yield Input(str(self._node.processes), placeholder="N, N C, MIN:MAX or off", id="scale-size")
            yield Canvas(id="scale-after")

    def on_mount(self) -> None:
        """Says what it has now."""
        node = self._node
        scale = node.autoscale
        self.query_one("#scale-before", Canvas).paint(
            [
                [(node.node_id, "cell--bold"), (f" has {node.processes} processes of {node.slots} slots", "")],
                [("processes, or processes and slots of each: 4 or 4 10", "cell--dim")],
                [("bounds to scale itself between: 1:8; off ends that", "cell--dim")],
                *([[(f"it autoscales between {scale.least} and {scale.most}", "cell--accent")]] if scale else []),
            ]
        )
        self._say("")
        self.query_one(Input).focus()

    def _say(self, problem: str) -> None:
        keys = [("⏎", "cell--key"), (" scale it    ", ""), ("esc", "cell--key"), (" leave it", "")]
        self.query_one("#scale-after", Canvas).paint([[(problem, "cell--bad")] if problem else [], keys])

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """The numbers, if they are some."""
        event.stop()
        try:
            wanted = parse_wish(event.value)
        except InvalidInputError as error:
            self._say(error.message)
            return
        self.dismiss(wanted)

    def action_leave(self) -> None:
        """Changes nothing."""
        self.dismiss(None)
