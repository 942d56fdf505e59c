"""Choosing a task type: typing narrows a list of those that workers have published."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.widgets import Input

from tq_console.tui.forms.line_input import LineInput
from tq_console.tui.look.canvas import Canvas, Line
from tq_console.tui.look.wrapping import wrapped
from tq_console.view.text import fit, pad, visible
from tq_core import names
from tq_core.roles.registry import PublishedType

ABOUT_LINES = 3
SHOWN = 8
SHOWN_SHORT = 5


def matching(types: Mapping[str, PublishedType], text: str, queue: str | None = None) -> list[PublishedType]:
    """The types that a text may mean, likeliest first; all for no text, the nearest where none holds it."""
    wanted = text.strip().lower()
    found = [published for name, published in types.items() if wanted in name.lower()]
    if not found:
        return [types[name] for name in names.nearest(text, types)]
    return sorted(
        found,
        key=lambda one: (one.name.lower() != wanted, not one.name.lower().startswith(wanted), one.queue != queue),
    )


class TypeInput(LineInput):
    """The line on which the type is written."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter,tab", "take", "take it", tooltip="Take the type that is marked in the list", id="type.take"),
        Binding("down", "mark(1)", "next type", show=False, tooltip="The next type of the list", id="type.down"),
        Binding("up", "mark(-1)", "type before", show=False, tooltip="The type before in the list", id="type.up"),
    ]

    @property
    def _owner(self) -> TypeChoice:
        owner = self.query_ancestor(TypeChoice)
        assert isinstance(owner, TypeChoice)
        return owner

    def action_take(self) -> None:
        """Takes the marked type."""
        self._owner.take()

    def action_mark(self, step: int) -> None:
        """Marks another type; from a closed list the arrow leads on."""
        if not self._owner.is_open and step > 0:
            self._owner.take()
        else:
            self._owner.mark(step)


class TypeList(Canvas):
    """The types that may be meant."""

    def on_click(self, event: events.Click) -> None:
        """Takes the one that was clicked."""
        event.stop()
        owner = self.query_ancestor(TypeChoice)
        assert isinstance(owner, TypeChoice)
        owner.take_line(event.y)


class TypeChoice(Vertical):
    """The field for the type, and the list below it."""

    DEFAULT_CSS = """
    TypeChoice {
        height: auto;
    }
    TypeChoice > Horizontal {
        height: 1;
    }
    TypeChoice .row-label {
        width: 19;
        height: 1;
        padding: 0 1;
    }
    TypeChoice TypeList, TypeChoice #submit-about {
        height: auto;
        margin-left: 19;
        padding: 0 1;
    }
    TypeChoice TypeList {
        display: none;
        background: $boost;
    }
    TypeChoice TypeList.open {
        display: block;
    }
    """

    class Edited(Message):
        """Another text stands there."""

    class Taken(Message):
        """This is the type; on to what comes next."""

    class Left(Message):
        """The focus went elsewhere."""

    def __init__(self, types: Mapping[str, PublishedType], *, text: str, queue: str | None) -> None:
        super().__init__(id="submit-type")
        self._types, self._queue = types, queue
        self._first_text = text
        self._matches: list[PublishedType] = []
        self._marked = 0
        self._taken = text
        self._said: Line = []
        self.is_open = False

    def compose(self) -> ComposeResult:
        """The line, what is known of the type, the list."""
        with Horizontal():
            yield Canvas(classes="row-label")
            yield TypeInput(self._first_text, placeholder="type to search", select_on_focus=False)
        yield Canvas(id="submit-about")
        yield TypeList()

    def on_mount(self) -> None:
        """Paints the label."""
        self.query_one(".row-label", Canvas).paint([[("type", "cell--bold"), (" *", "cell--warn")]])

    @property
    def text(self) -> str:
        """The type as it is written."""
        return self.query_one(TypeInput).value.strip()

    def take_focus(self) -> None:
        """Goes to the line."""
        self.query_one(TypeInput).focus()

    def tell(self, line: Line) -> None:
        """Says what is known of the type, or what is wrong with it."""
        self._said = line
        about = self.query_one("#submit-about", Canvas)
        if len(line) == 1:
            about.paint(wrapped(line[0], about.size.width or 60, ABOUT_LINES))
        else:
            about.paint([line])

    @on(Input.Changed)
    def _changed(self, event: Input.Changed) -> None:
        event.stop()
        self._show(is_open=self.query_one(TypeInput).has_focus and self.text != self._taken)
        self.post_message(self.Edited())

    def on_line_input_pasted(self, event: LineInput.Pasted) -> None:
        """A name has one line."""
        event.stop()
        event.line_input.replace(visible(" ".join(event.text.split())), *event.line_input.selection)

    def on_descendant_focus(self) -> None:
        """An empty field shows what there is."""
        if self.text not in self._types:
            self._show(is_open=True)

    def on_descendant_blur(self) -> None:
        """The list is for writing only."""
        self._show(is_open=False)
        self.post_message(self.Left())

    def on_resize(self) -> None:
        """Fits the list, and what is said."""
        self._paint()
        self.call_after_refresh(lambda: self.tell(self._said))

    def mark(self, step: int) -> None:
        """Marks another type of the list."""
        if self._matches:
            self._marked = max(0, min(len(self._matches) - 1, self._marked + step))
            self._paint()

    def take(self) -> None:
        """Takes the marked type, or what is written."""
        if self.is_open and self._matches:
            self._write(self._matches[self._marked].name)
        self._taken = self.text
        self._show(is_open=False)
        self.post_message(self.Taken())

    def take_line(self, y: int) -> None:
        """Takes the type on a line of the list."""
        index = self._top() + y
        if index < len(self._matches):
            self._marked = index
            self.take()

    def _write(self, name: str) -> None:
        line = self.query_one(TypeInput)
        line.value = name
        line.cursor_position = len(name)

    def _show(self, *, is_open: bool) -> None:
        self._matches = matching(self._types, self.text, self._queue)
        only = len(self._matches) == 1 and self._matches[0].name == self.text
        self.is_open = is_open and bool(self._matches) and not only
        self._marked = 0
        self._paint()

    @property
    def _room(self) -> int:
        return SHOWN_SHORT if self.screen.has_class("-short") else SHOWN

    def _top(self) -> int:
        return max(0, min(self._marked - self._room // 2, len(self._matches) - self._room))

    def _paint(self) -> None:
        shown = self.query_one(TypeList)
        shown.set_class(self.is_open, "open")
        if not self.is_open:
            return
        top = self._top()
        rows = self._matches[top : top + self._room]
        name_cells = min(32, max(len(one.name) for one in rows))
        queue_cells = min(16, max(len(one.queue) for one in rows))
        lines: list[Line] = []
        for number, one in enumerate(rows, start=top):
            is_marked = number == self._marked
            lines.append(
                [
                    ("▌" if is_marked else " ", "cell--accent"),
                    (pad(fit(visible(one.name), name_cells), name_cells), "cell--bold" if is_marked else ""),
                    (f"  {pad(fit(visible(one.queue), queue_cells), queue_cells)}", "cell--busy"),
                    (f"  {first_line(one.doc)}", "cell--dim"),
                ]
            )
        left = len(self._matches) - len(rows)
        if left > 0:
            lines.append([(f" {left:,} more: type to narrow, ↑↓ to move", "cell--dim")])
        shown.paint(lines)


def first_line(doc: str) -> str:
    """The first line of a type's description."""
    return next((line.strip() for line in doc.splitlines() if line.strip()), "")
