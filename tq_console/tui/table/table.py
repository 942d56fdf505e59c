"""The table itself: a cursor, marks and a view over a list of which only a window is loaded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.scrollbar import ScrollBar
from textual.strip import Strip
from textual.widget import Widget

from tq_console.tui.table.following import Cursor, follow, neighbour, row_at
from tq_console.tui.table.layout import Layout, lay_out
from tq_console.tui.table.line import BLANK, Bar, Kind, Line, difference, draw, draw_heading
from tq_console.tui.table.marks import Marks
from tq_console.tui.table.rows import FULL, NORMAL, Column, Row, Wanted, Window
from tq_console.tui.table.thumb import changed_cells, thumb

HEADING_LINES = 1
WHEEL_LINES = 3
UNMEASURED_LINES = 40
"""Lines to ask for while the height of the table is not known yet."""
GONE = "gone"
_NOTHING = Window(0, 0, ())


class VirtualTable(ScrollView, can_focus=True, inherit_bindings=False):
    """Rows of a list of any length. It holds no more of them than its last window.

    The lines on screen are values, compared with those drawn before: only cells that differ are drawn again, whatever
    the change came from (a new window, the cursor, a mark, scrolling).
    """

    ALLOW_SELECT = False
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "table--header",
        "table--cursor",
        "table--cursor-blurred",
        "table--marked",
        "table--ghost",
        "table--placeholder",
        "table--dim",
        "table--signs",
        "cell--good",
        "cell--busy",
        "cell--warn",
        "cell--bad",
        "cell--dim",
        "cell--accent",
        "cell--bold",
    }
    DEFAULT_CSS = """
    VirtualTable {
        width: 1fr;
        height: 1fr;
        overflow-x: hidden;
        overflow-y: auto;
        scrollbar-gutter: stable;
        scrollbar-size-vertical: 1;
        .table--header { background: $panel; color: $foreground; text-style: bold; }
        .table--cursor { background: $primary 25%; text-style: bold; }
        .table--cursor-blurred { background: $primary 10%; }
        .table--marked { background: $warning 15%; }
        .table--ghost { color: $text-muted; text-style: italic; }
        .table--placeholder { color: $text-disabled; }
        .table--dim { color: $text-muted; }
        .table--signs { color: $accent; text-style: bold; }
        .cell--good { color: $success; }
        .cell--busy { color: $primary; }
        .cell--warn { color: $warning; }
        .cell--bad { color: $error; text-style: bold; }
        .cell--dim { color: $text-muted; }
        .cell--accent { color: $accent; }
        .cell--bold { text-style: bold; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down,j", "move(1)", "down", show=False, tooltip="Next row", id="table.down"),
        Binding("up,k", "move(-1)", "up", show=False, tooltip="Row before", id="table.up"),
        Binding("pagedown", "page(1)", "page down", show=False, tooltip="A page down", id="table.page_down"),
        Binding("pageup", "page(-1)", "page up", show=False, tooltip="A page up", id="table.page_up"),
        Binding("ctrl+d", "half_page(1)", "half down", show=False, tooltip="Half a page down", id="table.half_down"),
        Binding("ctrl+u", "half_page(-1)", "half up", show=False, tooltip="Half a page up", id="table.half_up"),
        Binding("home,g", "first", "top", show=False, tooltip="First row, with what is new", id="table.first"),
        Binding("end,G", "last", "bottom", show=False, tooltip="Last row", id="table.last"),
        Binding("right", "sideways(1)", "right", show=False, tooltip="Columns at the right", id="table.right"),
        Binding("left", "sideways(-1)", "left", show=False, tooltip="Columns at the left", id="table.left"),
        Binding(
            "space", "toggle_mark", "mark", show=False, tooltip="Mark the row, or take its mark away", id="table.mark"
        ),
        Binding(
            "v", "mark_range", "mark range", show=False, tooltip="Mark from the last mark to here", id="table.range"
        ),
        Binding(
            "ctrl+backslash", "clear_marks", "no marks", show=False, tooltip="Take all marks away", id="table.clear"
        ),
        Binding(
            "ctrl+w",
            "widen",
            "wide columns",
            show=False,
            tooltip="All columns, wide; ← → move over them",
            id="table.wide",
        ),
        Binding("enter", "open", "open", tooltip="Open the row", id="table.open"),
    ]

    class TableMessage(Message):
        """Something happened in a table."""

        def __init__(self, table: VirtualTable) -> None:
            super().__init__()
            self.table = table

        @property
        def control(self) -> VirtualTable:
            """The table; lets handlers choose by selector."""
            return self.table

    class CursorMoved(TableMessage):
        """The cursor is on another row, or the row under it has become known."""

        def __init__(self, table: VirtualTable, row_id: str | None, index: int) -> None:
            super().__init__(table)
            self.row_id, self.index = row_id, index

    class Opened(TableMessage):
        """A row was chosen."""

        def __init__(self, table: VirtualTable, row_id: str) -> None:
            super().__init__(table)
            self.row_id = row_id

    class WindowWanted(TableMessage):
        """The window no longer covers what is on screen and a margin: see `wanted`."""

    class MarksChanged(TableMessage):
        """Other rows are marked than before."""

        def __init__(self, table: VirtualTable, missing: int = 0) -> None:
            """Says so.

            Args:
                missing: Rows that were meant too and are not loaded.
            """
            super().__init__(table)
            self.missing = missing

    def __init__(
        self,
        columns: Sequence[Column],
        *,
        empty_text: str = "",
        id: str | None = None,  # noqa: A002 - Textual's name
        classes: str | None = None,
    ) -> None:
        super().__init__(id=id, classes=classes)
        self._columns = tuple(columns)
        self._breakpoint = NORMAL
        self._empty_text = empty_text
        self._layout_now: Layout = lay_out(self._columns, NORMAL, 0)
        self._body_lines = 0
        self._window = _NOTHING
        self._is_loaded = False
        self._indices: dict[str, int] = {}
        self._cursor = Cursor()
        self._ghost_note = GONE
        self._new_above = 0
        self._marks = Marks()
        self._asked: tuple[int, int] | None = None
        self._lines: list[Line] = []
        self._strips: dict[int, Strip] = {}
        self._styles_by_name: dict[str, Style] = {}
        self._base: Style | None = None
        self._thumb: tuple[int, int] | None = None
        self._is_full = False
        self._is_placing = False
        self._is_first_click_open = False

    # --- what it says ---

    @property
    def cursor_index(self) -> int:
        """Place of the cursor in the list, counted from 0."""
        return self._cursor.index

    @property
    def cursor_id(self) -> str | None:
        """Id of the row under the cursor, also of a ghost; None = no row, or not loaded."""
        return self._cursor.id

    @property
    def cursor_row(self) -> Row | None:
        """The row under the cursor as it was last seen."""
        return self._cursor.row

    @property
    def is_ghost(self) -> bool:
        """Whether the row under the cursor has left the list."""
        return self._cursor.is_ghost

    @property
    def new_above(self) -> int:
        """Rows that came in above since the user was last at the top."""
        return self._new_above

    @property
    def marked(self) -> tuple[str, ...]:
        """Ids of the marked rows in the order in which they were marked, loaded or not."""
        return self._marks.ids

    @property
    def is_all_marked(self) -> bool:
        """Whether all rows of the list are marked, loaded or not; `marked` names none of them."""
        return self._marks.is_all

    def mark_all(self) -> None:
        """Marks all rows of the list."""
        self._marks.add_all()
        self._draw_changes()
        self.post_message(self.MarksChanged(self))

    def marked_or_cursor(self) -> tuple[str, ...]:
        """What an action is about: the marked rows, else the one under the cursor; nothing where all are marked."""
        if self._marks.is_all:
            return ()
        if self._marks:
            return self._marks.ids
        return (self._cursor.id,) if self._cursor.id is not None else ()

    @property
    def total(self) -> int:
        """Rows of the whole list."""
        return self._window.total

    @property
    def wanted(self) -> Wanted:
        """What to load next: the rows on screen, a page to either side, and the row to hold on to."""
        page = self._body_lines or UNMEASURED_LINES
        top = self._top
        first = max(0, top - page)
        held: tuple[Row, int] | None = None
        if self._cursor.is_ghost:
            held = neighbour(self._cursor, self._window)
        elif self._cursor.row is not None:
            held = self._cursor.row, self._cursor.index
        row_id, index = (held[0].id, held[1]) if held else (None, self._cursor.index)
        # The end is not cut to the total: the list may have grown since.
        return Wanted(first, top + 2 * page - first, row_id, index)

    # --- what its owner sets ---

    @property
    def breakpoint(self) -> int:
        """Which of the widths of each column holds."""
        return self._breakpoint

    @breakpoint.setter  # noqa: A003 - the name of the property above
    def breakpoint(self, breakpoint_: int) -> None:
        if breakpoint_ != self._breakpoint:
            self._breakpoint = breakpoint_
            self._lay_out_again()

    @property
    def ghost_note(self) -> str:
        """What has become of the row under the cursor, in a word or two; starts anew with each ghost."""
        return self._ghost_note

    @ghost_note.setter
    def ghost_note(self, note: str) -> None:
        self._ghost_note = note
        self._draw_changes()

    @property
    def empty_text(self) -> str:
        """Words for a list without rows."""
        return self._empty_text

    @empty_text.setter
    def empty_text(self, text: str) -> None:
        self._empty_text = text
        self._draw_changes()

    def set_columns(self, columns: Sequence[Column]) -> None:
        """Shows other columns; the next window brings rows for them."""
        if tuple(columns) != self._columns:
            self._columns = tuple(columns)
            self._lay_out_again()

    def reset(self, columns: Sequence[Column], *, empty_text: str = "") -> None:
        """Begins another list, from its top: nothing loaded, nothing marked."""
        self._window, self._is_loaded, self._indices = _NOTHING, False, {}
        self._cursor, self._new_above, self._asked = Cursor(), 0, None
        self._empty_text = empty_text
        had_marks = self._marks.clear()
        self._columns = tuple(columns)
        self._set_length()
        self._place(0)
        self._lay_out_again(skip=0)
        if had_marks:
            self.post_message(self.MarksChanged(self))

    def show(self, window: Window, *, ghost: bool = False) -> None:
        """Takes a new window; the row under the cursor stays on its line of the screen where that is possible.

        Args:
            ghost: Whether it is known that the row under the cursor has left the list. Without it the table
                concludes so when a window covers the row's place and does not hold it.
        """
        before, was, top = self._window, self._cursor, self._top
        self._window, self._is_loaded = window, True
        self._indices = {row.id: window.offset + i for i, row in enumerate(window.rows)}
        self._cursor = follow(was, before, window, self._indices, is_gone=ghost)
        if self._cursor.is_ghost and not was.is_ghost:
            self._ghost_note = GONE
        shift = self._cursor.index - was.index if was.row is not None else 0
        if self._marks.anchor is not None:
            row_id, index = self._marks.anchor
            self._marks.anchor = row_id, self._indices.get(row_id, index + shift)
        self._set_length()
        self._place(self._revealing(top + shift))
        self._new_above = max(0, min(self._new_above + shift, self._cursor.index)) if self._top else 0
        self._draw_changes()
        if self._cursor.id != was.id:
            self.post_message(self.CursorMoved(self, self._cursor.id, self._cursor.index))

    def move_to(self, index: int) -> None:
        """Puts the cursor on a row, loaded or not; scrolls no further than needed."""
        self._go(index)

    # --- keys ---

    def action_move(self, step: int) -> None:
        """To the next row or the one before."""
        # The row below a ghost has the ghost's index.
        self._go(self._cursor.index + step - (self._cursor.is_ghost and step > 0))

    def action_page(self, step: int) -> None:
        """A page on; the cursor stays on its line of the screen."""
        self._leap(step * max(1, self._body_lines))

    def action_half_page(self, step: int) -> None:
        """Half a page on; the cursor stays on its line of the screen."""
        self._leap(step * max(1, self._body_lines // 2))

    def action_first(self) -> None:
        """To the top, where new rows are."""
        self._go(0)

    def action_last(self) -> None:
        """To the end."""
        self._go(self._window.total - 1)

    def action_sideways(self, step: int) -> None:
        """Leaves out one more column at the left, or one less."""
        if step < 0 or self._layout_now.has_more:
            self._lay_out_again(skip=self._layout_now.skipped + step)

    def action_widen(self) -> None:
        """Shows all columns in their full width, or again those that fit."""
        self._is_full = not self._is_full
        self._lay_out_again(skip=0)

    def action_toggle_mark(self) -> None:
        """Marks the row or takes its mark away, and goes on to the next."""
        if self._cursor.row is not None:
            self._marks.toggle(self._cursor.row.id, self._cursor.index)
            self.post_message(self.MarksChanged(self))
        self.action_move(1)
        self._draw_changes()

    def action_mark_range(self) -> None:
        """Marks the rows between the last mark and the cursor, as far as they are loaded."""
        here = self._cursor.index
        start = self._marks.anchor[1] if self._marks.anchor else here
        first, last = min(start, here), max(start, here)
        offset = self._window.offset
        rows = self._window.rows[max(0, first - offset) : max(0, last + 1 - offset)]
        if rows and self._marks.add(row.id for row in rows):
            self._draw_changes()
            self.post_message(self.MarksChanged(self, last + 1 - first - len(rows)))
        if self._cursor.row is not None:
            self._marks.anchor = self._cursor.row.id, here

    def action_clear_marks(self) -> None:
        """Takes all marks away."""
        self.clear_marks()

    def clear_marks(self) -> None:
        """Takes all marks away."""
        if self._marks.clear():
            self._draw_changes()
            self.post_message(self.MarksChanged(self))

    def action_open(self) -> None:
        """Opens the row under the cursor."""
        if self._cursor.row is not None:
            self.post_message(self.Opened(self, self._cursor.row.id))

    # --- mouse ---

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """The view goes down, with shift the columns to the left."""
        self._wheel(event, lambda: self.action_sideways(1) if event.shift else self._scroll_by(WHEEL_LINES))

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """The view goes up, with shift the columns to the right."""
        self._wheel(event, lambda: self.action_sideways(-1) if event.shift else self._scroll_by(-WHEEL_LINES))

    def on_mouse_scroll_right(self, event: events.MouseScrollRight) -> None:
        """The columns go to the left."""
        self._wheel(event, lambda: self.action_sideways(1))

    def on_mouse_scroll_left(self, event: events.MouseScrollLeft) -> None:
        """The columns go to the right."""
        self._wheel(event, lambda: self.action_sideways(-1))

    def _wheel(self, event: events.MouseEvent, act: Callable[[], None]) -> None:
        event.stop()
        event.prevent_default()
        act()

    def on_click(self, event: events.Click) -> None:
        """Moves the cursor; opens the row that the cursor is on already, or with the second click of two."""
        line = event.y - HEADING_LINES + self._top
        if event.y < HEADING_LINES or line >= self._length:
            return
        event.stop()
        is_here = line == self._cursor.index
        if event.chain == 1:
            self._is_first_click_open = is_here
        if is_here and event.chain == (1 if self._is_first_click_open else 2):
            self.action_open()
        elif not is_here:
            self._go(line - (self._cursor.is_ghost and line > self._cursor.index))

    # --- where it is ---

    @property
    def _top(self) -> int:
        """Line of the list that is the first on screen."""
        return self.scroll_offset.y

    @property
    def _length(self) -> int:
        """Lines of the list: its rows, and a ghost where it was."""
        return self._window.total + self._cursor.is_ghost

    def _revealing(self, top: int) -> int:
        """The top line nearest to one at which the cursor is on screen; the same while there is no screen."""
        if not self._body_lines:
            return top
        return max(self._cursor.index - self._body_lines + 1, min(top, self._cursor.index))

    def _go(self, index: int, *, top: int | None = None) -> None:
        """Puts the cursor on a row; a ghost is gone with that."""
        was = self._cursor
        index = max(0, min(index, self._window.total - 1))
        self._cursor = Cursor(index, row_at(self._window, index))
        self._set_length()
        self._place(self._revealing(self._top if top is None else top))
        if not self._top:
            self._new_above = 0
        self._draw_changes()
        if self._cursor != was:
            self.post_message(self.CursorMoved(self, self._cursor.id, index))

    def _leap(self, lines: int) -> None:
        self._go(self._cursor.index + lines, top=self._top + lines)

    def _scroll_by(self, lines: int) -> None:
        self._place(self._top + lines)
        self._keep_cursor_on_screen()

    def _keep_cursor_on_screen(self) -> None:
        """Takes the cursor along when the view has moved away from it."""
        top, last = self._top, self._top + max(1, self._body_lines) - 1
        if not self._top:
            self._new_above = 0
        if top <= self._cursor.index <= last:
            self._draw_changes()
        elif self._cursor.index > last:
            self._go(last, top=top)
        else:
            # What was above the view and is a line no more moves the lines on screen up by one.
            top -= self._cursor.is_ghost
            self._go(top, top=top)

    def _place(self, top: int) -> None:
        """Scrolls without drawing: `_draw_changes` finds out which lines differ."""
        if top == self.scroll_y or not self.is_attached:
            return
        self._is_placing = True
        try:
            self.scroll_to(y=top, animate=False, force=True)
        finally:
            self._is_placing = False

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Follows a scroll that came from elsewhere, such as the scroll bar."""
        # A table that grows is scrolled back by Textual before it is told its size: that moves no cursor.
        is_growing = self.size.height - HEADING_LINES > self._body_lines
        if not self._is_placing and not is_growing and round(old_value) != round(new_value):
            self._keep_cursor_on_screen()

    def _set_length(self) -> None:
        """Tells Textual how long the list is; it lays out anew only where the scroll bar comes or goes."""
        size = Size(1, HEADING_LINES + self._length)
        if size == self.virtual_size:
            return
        if (size.height > self.container_size.height) == self.show_vertical_scrollbar:
            self.set_reactive(Widget.virtual_size, size)
            # The new end may be above the view.
            self._place(min(self._top, self.max_scroll_y))
        else:
            self.virtual_size = size

    def _want(self) -> None:
        """Says so when the window does not cover what is on screen and half a page to either side."""
        if not self._body_lines:
            return
        if self._is_loaded:
            margin = self._body_lines // 2
            first = max(0, self._top - margin)
            last = min(self._window.total, self._top + self._body_lines + margin)
            offset, rows = self._window.offset, self._window.rows
            if first >= last or (offset <= first and last <= offset + len(rows)):
                self._asked = None
                return
        wanted = self.wanted
        # Once for each place: an answer that falls short must not make a loop of questions.
        if self._asked != (wanted.first, wanted.count):
            self._asked = wanted.first, wanted.count
            self.post_message(self.WindowWanted(self))

    # --- drawing ---

    def on_resize(self) -> None:
        """Lays out for the new size; the cursor stays on screen."""
        self._lay_out_again()

    def watch_has_focus(self, has_focus: bool) -> None:
        """Shows whether keys go to the cursor."""
        super().watch_has_focus(has_focus)
        self._draw_changes()

    def notify_style_update(self) -> None:
        """Forgets what was drawn in other colours."""
        self._styles_by_name.clear()
        self._base = None
        self._strips.clear()
        super().notify_style_update()

    def _lay_out_again(self, *, skip: int | None = None) -> None:
        """Draws all lines, with the columns where they belong now."""
        size = self.scrollable_content_region.size
        skip = self._layout_now.skipped if skip is None else skip
        self._layout_now = lay_out(self._columns, FULL if self._is_full else self._breakpoint, size.width, skip=skip)
        self._body_lines = max(0, size.height - HEADING_LINES)
        self._place(self._revealing(self._top))
        self._lines = self._lines_now()
        self._strips.clear()
        self.refresh()
        self._draw_bar()
        self._want()

    def _draw_changes(self) -> None:
        """Draws again the cells on screen that differ from what was drawn."""
        now = self._lines_now()
        for y, (old, new) in enumerate(zip(self._lines, now, strict=True)):
            cells = difference(old, new, self._layout_now)
            if cells is not None:
                self._strips.pop(y, None)
                self.refresh(Region(cells[0], HEADING_LINES + y, cells[1] - cells[0], 1))
        self._lines = now
        self._draw_bar()
        self._want()

    def _draw_bar(self) -> None:
        """Draws again what looks different of the scroll bar: all of it is as many lines as the table has."""
        if not self.show_vertical_scrollbar:
            self._thumb = None
            return
        bar = self.vertical_scrollbar
        bar.set_reactive(ScrollBar.window_virtual_size, self.virtual_size.height)
        bar.set_reactive(ScrollBar.position, self.scroll_y)
        looks = thumb(bar.size.height, self.virtual_size.height, self.container_size.height, self.scroll_y)
        was, self._thumb = self._thumb, looks
        if was is None:
            bar.refresh()
        elif looks != was:
            bar.refresh(*(Region(0, y, bar.size.width, lines) for y, lines in changed_cells(was, looks)))

    def _lines_now(self) -> list[Line]:
        if self._is_loaded and not self._length:
            lines = [BLANK] * self._body_lines
            if lines:
                lines[(len(lines) - 1) // 2] = Line(Kind.EMPTY, note=self._empty_text)
            return lines
        top = self._top
        return [self._line(top + y) for y in range(self._body_lines)]

    def _line(self, number: int) -> Line:
        """The line of the list with a number."""
        cursor, window = self._cursor, self._window
        bar = Bar.NONE
        if number == cursor.index:
            bar = Bar.FOCUSED if self.has_focus else Bar.BLURRED
            if cursor.is_ghost:
                return Line(Kind.GHOST, cursor.row, bar, self._is_marked(cursor.row), self._ghost_note)
        index = number - (cursor.is_ghost and number > cursor.index)
        if index >= window.total:
            return BLANK
        row = row_at(window, index)
        if row is None:
            return Line(Kind.PLACEHOLDER, None, bar)
        return Line(Kind.ROW, row, bar, self._is_marked(row))

    def _is_marked(self, row: Row | None) -> bool:
        return row is not None and row.id in self._marks

    def render_line(self, y: int) -> Strip:
        """One line of the screen, exactly as wide as the table."""
        strip = self._strips.get(y - HEADING_LINES)
        if strip is None:
            strip = self._strips[y - HEADING_LINES] = self._drawn(y - HEADING_LINES)
        return strip

    def _drawn(self, y: int) -> Strip:
        if self._base is None:
            self._base = self.rich_style
        if y < 0:
            return draw_heading(self._columns, self._layout_now, self._base + self._style("table--header"))
        line = self._lines[y] if y < len(self._lines) else BLANK
        return draw(line, self._layout_now, base=self._base, style_of=self._style)

    def _style(self, name: str) -> Style:
        """What a component class changes of a style; names that are none change nothing."""
        found = self._styles_by_name.get(name)
        if found is None:
            found = self._styles_by_name[name] = self._component(name)
        return found

    def _component(self, name: str) -> Style:
        try:
            own = self.get_component_rich_style(name, partial=True)
        except KeyError:
            return Style.null()
        # Colours that depend on what is behind them (`auto 60%`, `$primary 25%`) are only in the whole style.
        whole = self.get_component_rich_style(name)
        mixed = Style(color=whole.color if own.color else None, bgcolor=whole.bgcolor if own.bgcolor else None)
        return own + mixed
