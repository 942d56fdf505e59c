"""The line in which a query is typed: what may stand next, what is wrong and where, and what was used before."""

from __future__ import annotations

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.message import Message
from textual.widgets import Input

from tq_console.tui.filtering.history import History
from tq_console.tui.look.canvas import Canvas, Line, Span
from tq_console.tui.look.focus import focus_now
from tq_console.tui.look.wrapping import wrapped
from tq_console.view.text import cell_width, fit, visible
from tq_core.errors import InvalidQueryError
from tq_core.masking import Masker
from tq_core.query.completion import Known, Suggestion, Suggestions, suggest
from tq_core.query.query import parse_query

PLACEHOLDER = "state:failed type:mail* error:timeout age:>10m args.user.id=42 NOT … OR … or plain words"
REFUSAL_LINES = 3
_KEYS: Line = [
    ("tab", "cell--key"),
    (" completes  ", "cell--dim"),
    ("↑↓", "cell--key"),
    (" used before  ", "cell--dim"),
    ("ctrl+s", "cell--key"),
    (" saves as a view  ", "cell--dim"),
    ("esc", "cell--key"),
    (" leaves", "cell--dim"),
]


class FilterInput(Input):
    """The line itself."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("tab", "complete(1)", "complete", show=False, tooltip="Take what may stand next", id="filter.complete"),
        Binding("shift+tab", "complete(-1)", "complete", show=False, tooltip="The one before", id="filter.back"),
        Binding("up", "past(-1)", "before", show=False, tooltip="What was looked for before", id="filter.up"),
        Binding("down", "past(1)", "after", show=False, tooltip="What was looked for after that", id="filter.down"),
        Binding("ctrl+s", "save", "save", show=False, tooltip="Save as a view", id="filter.save"),
        Binding("escape", "leave", "leave", show=False, tooltip="Leave the filter as it was", id="filter.leave"),
    ]

    @property
    def bar(self) -> FilterBar:
        """What it is the line of; called at once, for a message would come after the keys that were typed behind it."""
        assert isinstance(self.parent, FilterBar)
        return self.parent

    def action_complete(self, step: int) -> None:
        """Takes what may stand next, or the one after it."""
        self.bar.complete(step)

    def action_past(self, step: int) -> None:
        """Goes through what was used before."""
        self.bar.go_back(step)

    def action_save(self) -> None:
        """Saves what stands there."""
        self.bar.ask_to_save()

    def action_leave(self) -> None:
        """Leaves."""
        self.bar.post_message(FilterBar.Left())

    def action_cursor_right(self, select: bool = False) -> None:
        """At the end takes what may stand next."""
        if not select and self.cursor_position == len(self.value):
            self.action_complete(1)
        else:
            super().action_cursor_right(select)


class FilterBar(Container):
    """The line with two lines of help above it."""

    DEFAULT_CSS = """
    FilterBar {
        display: none;
        height: auto;
        background: $panel;
    }
    FilterBar.open { display: block; }
    FilterBar Canvas { height: auto; background: $panel; }
    FilterBar FilterInput:focus { border: none; }
    FilterBar FilterInput {
        height: 1;
        border: none;
        padding: 0 1;
        background: $surface;
    }
    """

    class Applied(Message):
        """The query is to be used."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    class Left(Message):
        """Nothing is to be changed."""

    class SaveWanted(Message):
        """The query is to be saved under a name."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    def __init__(self, *, masker: Masker) -> None:
        super().__init__()
        self._masker = masker
        self._history = History()
        self._known = Known()
        self._suggestions = Suggestions(0)
        self._chosen: int | None = None
        self._completing = ""
        """What stands there after a completion: tab again takes the next one."""
        self._rest = ""
        """What stood behind the cursor when completing began."""

    def compose(self) -> ComposeResult:
        """Help, then the line."""
        yield Canvas()
        yield FilterInput(placeholder=PLACEHOLDER, select_on_focus=False, classes="filter")

    @property
    def is_open(self) -> bool:
        return self.has_class("open")

    @property
    def line(self) -> FilterInput:
        return self.query_one(FilterInput)

    def open(self, text: str, known: Known) -> None:
        """Shows itself and takes the keys."""
        self._known = known
        self._history.leave()
        self.line.value = text
        self.line.cursor_position = len(text)
        self.add_class("open")
        focus_now(self.line)
        self._look()

    def close(self) -> None:
        """Hides itself."""
        self.remove_class("open")

    # --- what is typed ---

    @on(Input.Changed)
    def _changed(self, event: Input.Changed) -> None:
        event.stop()
        if event.value != self._completing:
            self._look()

    def on_resize(self) -> None:
        """Other room for the help."""
        if self.is_open:
            self._paint()

    def _look(self) -> None:
        """Works out what may stand next."""
        self._suggestions = suggest(self.line.value, self.line.cursor_position, self._known)
        self._chosen, self._completing = None, ""
        self._paint()

    def _refusal(self) -> InvalidQueryError | None:
        if not self.line.value.strip():
            return None
        try:
            parse_query(self.line.value, masker=self._masker)
        except InvalidQueryError as error:
            return error
        return None

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        refused = self._refusal()
        if refused is not None:
            self._suggestions, self._chosen = Suggestions(0), None
            self._paint()
            return
        text = event.value.strip()
        self._history.add(text)
        self.post_message(self.Applied(text))

    def go_back(self, step: int) -> None:
        """Puts what was used before into the line, or what was used after that."""
        self._put(self._history.go(step, self.line.value))

    def ask_to_save(self) -> None:
        """Asks for the query to be saved, where it is one."""
        if self._refusal() is None and self.line.value.strip():
            self.post_message(self.SaveWanted(self.line.value.strip()))

    def _put(self, text: str) -> None:
        self.line.value = text
        self.line.cursor_position = len(text)
        self._look()

    def complete(self, step: int) -> None:
        """Takes what may stand next; again, the one after it (1) or before it (-1)."""
        if self.line.value != self._completing:
            # That it has changed may not have been told yet.
            self._look()
        found = self._suggestions.found
        if not found:
            return
        if self._chosen is None:
            self._chosen = 0 if step > 0 else len(found) - 1
            self._rest = self.line.value[self.line.cursor_position :]
        else:
            self._chosen = (self._chosen + step) % len(found)
        head = self.line.value[: self._suggestions.start] + found[self._chosen].text
        self._completing = head + self._rest
        self.line.value = self._completing
        self.line.cursor_position = len(head)
        if len(found) == 1:
            # Nothing to choose from: what comes next is the next word.
            self._look()
        self._paint()

    # --- painting ---

    def _paint(self) -> None:
        refused, found = self._refusal(), self._suggestions.found
        # While a word is being typed that may still become right, what it may become is said instead.
        is_unfinished = bool(found) and refused is not None and refused.position >= self._suggestions.start
        lines: list[Line]
        if refused is not None and not is_unfinished:
            shift = self.line.scroll_offset.x
            before = visible(self.line.value[: refused.position])
            at = max(0, min(cell_width(before) - shift, self.size.width - 3))
            told = wrapped((refused.message, "cell--bad"), self.size.width - 2, REFUSAL_LINES)
            lines = [*([(" ", ""), *line] for line in told), [(" " * (at + 1) + "▾", "cell--bad")]]
        elif found:
            room = max(0, self.size.width - 30)
            about: Span = (f" {fit(visible(found[self._chosen or 0].about), room)}  ", "cell--dim")
            lines = [self._choices(found), [about, *_KEYS]]
        else:
            lines = [[(" ", "")], [(" ", ""), *_KEYS]]
        self.query_one(Canvas).paint(lines)

    def _choices(self, found: tuple[Suggestion, ...]) -> Line:
        """As many as fit, the chosen one among them."""
        words = [fit(visible(each.text.strip()), 40) for each in found]
        room, first = self.size.width - 4, 0
        chosen = self._chosen or 0
        while first < chosen and sum(cell_width(word) + 2 for word in words[first : chosen + 1]) > room:
            first += 1
        line: list[Span] = [(" " if not first else "…", "cell--dim")]
        for at, word in enumerate(words[first:], start=first):
            room -= cell_width(word) + 2
            if room < 0:
                line.append(("…", "cell--dim"))
                break
            style = "cell--selected" if at == self._chosen else "cell--accent" if at == chosen else ""
            line += [(f"{word}", style), ("  ", "")]
        return line
