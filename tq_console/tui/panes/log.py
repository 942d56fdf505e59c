"""The Log screen: what happened and what people did, newest first; followed or held, and read back as far as kept."""

from __future__ import annotations

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.widgets import Input

from tq_console.tui.lists.log_book import LogBook
from tq_console.tui.lists.log_filter import KINDS, PEOPLE, Test, chooser
from tq_console.tui.lists.log_rows import COLUMNS, Happening, happening_lines, happenings, log_row, with_alerts
from tq_console.tui.look.canvas import Canvas, Line, Span
from tq_console.tui.look.focus import focus_now
from tq_console.tui.panes.pane import NeedChanged, NothingToDo, Pane, PlaceChosen, PlanMade, TaskOpened
from tq_console.tui.picking.undoing import undo as undo_plan
from tq_console.tui.table.rows import Window
from tq_console.tui.table.table import VirtualTable
from tq_console.tui.watch.log_part import LogAnswer, LogPart
from tq_console.tui.watch.snapshot import Question, Snapshot
from tq_console.view.formats import clock
from tq_console.view.secrets import Masker
from tq_core.errors import InvalidInputError
from tq_core.roles.undo import Undoable

SEARCHED = 5_000
"""So many entries are read by itself to fill the screen with what is looked for; G reads further."""


class LogPane(Pane):
    """Events and people's writes of all queues and of the fleet."""

    TITLE = "Log"
    DEFAULT_CSS = """
    LogPane {
        .log-line { height: 2; }
        .log-lines { height: 1fr; }
        .log-filter { display: none; height: 1; border: none; padding: 0 1; background: $panel; }
        .log-filter.open { display: block; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f", "follow", "follow", tooltip="Follow what is new, or hold what is here", id="log.follow"),
        Binding("z", "undo", "undo", tooltip="Undo what was done here, while UNDO says how long", id="log.undo"),
        Binding(
            "slash", "filter", "filter", tooltip="kind:failed queue:mail* NOT who:ann, plain words", id="log.filter"
        ),
        Binding("right_square_bracket", "kind(1)", "kinds", tooltip="The next kind of entries", id="log.next"),
        Binding("left_square_bracket", "kind(-1)", "kinds", show=False, tooltip="The kind before", id="log.previous"),
        Binding("G,end", "oldest", "further back", show=False, tooltip="The oldest read; reads on", id="log.oldest"),
        Binding("escape", "clear_filter", "clear filter", show=False, id="log.clear_filter"),
    ]

    def __init__(self, *, masker: Masker, actor: str, id: str) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self._masker, self._actor = masker, actor
        self._horizontal, self._vertical = 1, 1
        self._book = LogBook()
        self._kind, self._words = 0, ""
        self._fits: Test = chooser("")
        self._chosen: list[Happening] = []
        self._by_id: dict[str, Happening] = {}
        self._undoable: dict[str, Undoable] = {}
        self._is_following = True
        self._is_older_wanted = False
        self._shown_of: tuple[object, object] | None = None

    def compose(self) -> ComposeResult:
        """The kinds, the list, the filter, and the entry under the cursor."""
        yield Canvas(classes="log-line")
        with Container(classes="list-and-preview"):
            with Container(classes="list-body"):
                yield VirtualTable(COLUMNS, empty_text="nothing has happened yet")
                yield Input(placeholder="kind:failed queue:mail* NOT who:ann, or plain words", classes="log-filter")
            with Container(classes="preview"):
                yield Canvas(classes="log-lines")

    @property
    def table(self) -> VirtualTable:
        return self.query_one(VirtualTable)

    @property
    def _happening(self) -> Happening | None:
        """The entry under the cursor."""
        return self._by_id.get(self.table.cursor_id or "")

    @property
    def subject(self) -> str | None:
        happening = self._happening
        if happening is None:
            return None
        return happening.ids[0] if happening.ids else happening.act.op if happening.act else None

    @property
    def asks_why(self) -> tuple[str, str] | None:
        happening = self._happening
        if happening is None:
            return None
        return ("task", happening.ids[0]) if happening.ids else ("queue", happening.queue) if happening.queue else None

    @property
    def has_preview(self) -> bool:
        """Whether there is room for the preview."""
        return self._horizontal == 2 or (self._horizontal == 1 and self._vertical == 1)

    def set_breakpoints(self, horizontal: int, vertical: int) -> None:
        """Shows as much as there is room for."""
        self._horizontal, self._vertical = horizontal, vertical
        self.table.breakpoint = horizontal
        self.query_one(".preview").display = self.has_preview

    def take_focus(self) -> None:
        """The list takes the keys."""
        focus_now(self.table)

    def show_people(self) -> None:
        """Only what people did, all of it."""
        self._choose(PEOPLE, "")

    # --- what it needs and shows ---

    def question(self) -> Question:
        """What is new, and further back where that is looked for."""
        snapshot = self.snapshot
        if snapshot is None:
            return Question(self.id or "")
        queues = [q.queue for q in snapshot.queues]
        wants = self._book.wanted(queues, is_older=self._is_older_wanted, is_following=self._is_following)
        return Question(self.id or "", part=LogPart(wants))

    def show(self, snapshot: Snapshot) -> None:
        """The list; the row under the cursor stays where it is unless the newest are followed."""
        is_first, self.snapshot = self.snapshot is None, snapshot
        if isinstance(snapshot.part, LogAnswer):
            self._book.accept(snapshot.part.parts, is_following=self._is_following)
            self._undoable = {each.op: each for each in snapshot.part.undoable}
            self._is_older_wanted = False
        self._fill()
        if is_first or self._is_screen_wanting():
            self.post_message(NeedChanged())

    def _is_screen_wanting(self) -> bool:
        """Whether there is room for more of what is looked for, and more may be found; asks for it then."""
        wanting = len(self._chosen) < 2 * max(1, self.table.size.height)
        if wanting and not self._book.is_whole and 0 < self._book.read_count < SEARCHED:
            self._is_older_wanted = True
        return self._is_older_wanted

    def _fill(self) -> None:
        entries = self._book.entries
        # The book makes a new list where anything is new.
        alerts = self.snapshot.alert_log if self.snapshot else ()
        if self._shown_of is None or self._shown_of[0] is not entries or self._shown_of[1] != alerts:
            self._shown_of = (entries, alerts)
            of_kind = KINDS[self._kind][1]
            found = with_alerts(happenings(entries), alerts)
            self._chosen = [h for h in found if of_kind(h) and self._fits(h)]
            self._by_id = {happening.id: happening for happening in self._chosen}
        table = self.table
        table.empty_text = self._empty_text()
        self._show_rows()
        if self._is_following and table.cursor_index:
            table.move_to(0)
            self._show_rows()
        self._paint()

    def _show_rows(self) -> None:
        """Only the rows that are wanted are made."""
        wanted = self.table.wanted
        now_ms = self.snapshot.now_ms if self.snapshot else 0
        places = {happening.id: index for index, happening in enumerate(self._chosen)}
        at = places.get(wanted.anchor_id or "", wanted.anchor_index)
        first = max(0, min(wanted.first, wanted.first + at - wanted.anchor_index))
        last = wanted.first + wanted.count + max(0, at - wanted.anchor_index)
        rows = tuple(
            log_row(happening, self._undoable, now_ms, is_narrow=not self._horizontal)
            for happening in self._chosen[first:last]
        )
        self.table.show(Window(len(self._chosen), first, rows))

    def _paint(self) -> None:
        self.query_one(".log-line", Canvas).paint([self._kinds_line(), self._about()])
        happening = self._happening
        if not self.has_preview:
            return
        canvas = self.query_one(".log-lines", Canvas)
        if happening is None or self.snapshot is None:
            canvas.paint([])
            return
        room = self.query_one(".preview").content_size
        undo = self._undoable.get(happening.act.op) if happening.act else None
        size = {"width": room.width, "height": room.height}
        canvas.paint(happening_lines(happening, undo, self.snapshot.now_ms, masker=self._masker, **size))

    def _kinds_line(self) -> Line:
        line: list[Span] = [(" ", "")]
        for number, (word, _) in enumerate(KINDS):
            line.append((f" {word} ", "cell--selected" if number == self._kind else "cell--dim"))
        if self._words:
            line.append((f"  /{self._words}", "cell--accent"))
        return line

    def _about(self) -> Line:
        """How far it was read, and whether it is followed."""
        book, table = self._book, self.table
        if not book.read_count and not book.is_whole:
            return [(" … asking", "cell--dim")]
        line: list[Span] = [(" ▶ following", "cell--good") if self._is_following else (" ‖ held", "cell--warn")]
        if table.new_above:
            line.append((f"  +{table.new_above:,} new ↑g", "cell--busy"))
        if book.is_held:
            line.append(("  nothing new is read: f goes on", "cell--bad"))
        if self._chosen:
            line.append((f"  {table.cursor_index + 1:,} of {len(self._chosen):,}", ""))
        line.append((f"  read {book.read_count:,}", "cell--dim"))
        if book.is_whole:
            line.append((", all that is kept", "cell--dim"))
        elif book.entries:
            line.append((f", back to {clock(book.since[0])[:19]} (G: further)", "cell--dim"))
        return line

    def _empty_text(self) -> str:
        if self._words or self._kind:
            what = f"nothing {KINDS[self._kind][0]} fits" if self._kind else "nothing fits"
            return (
                f"{what} /{self._words} · esc clears the filter"
                if self._words
                else "nothing of this kind · ] for others"
            )
        return "nothing has happened yet"

    # --- moving ---

    @on(VirtualTable.CursorMoved)
    def _moved(self, event: VirtualTable.CursorMoved) -> None:
        event.stop()
        if self.table.cursor_index and self._is_following:
            self._is_following = False
        self._paint()

    @on(VirtualTable.WindowWanted)
    def _wants(self, event: VirtualTable.WindowWanted) -> None:
        event.stop()
        self._show_rows()
        self._read_on()

    def _read_on(self) -> None:
        """Reads further back where the end of what was read is near."""
        is_near = self.table.cursor_index + 2 * self.table.size.height >= len(self._chosen)
        if is_near and not self._book.is_whole and not self._is_older_wanted and self._book.read_count:
            self._is_older_wanted = True
            self.post_message(NeedChanged())

    def action_oldest(self) -> None:
        """The oldest that was read, and further back."""
        self.table.action_last()
        self._read_on()

    @on(VirtualTable.Opened)
    def _opened(self, event: VirtualTable.Opened) -> None:
        event.stop()
        happening = self._by_id.get(event.row_id)
        if happening is None:
            return
        if happening.ids:
            self.post_message(TaskOpened(happening.ids[0]))
        elif happening.queue:
            self.post_message(PlaceChosen("tasks", queue=happening.queue))
        else:
            self.post_message(PlaceChosen("workers"))

    # --- what the keys do ---

    def action_follow(self) -> None:
        """Follows the newest, or holds what is here."""
        self._is_following = not self._is_following
        if self._is_following:
            self.table.move_to(0)
            self.post_message(NeedChanged())
        self._paint()

    def action_undo(self) -> None:
        """Undoes what was done here."""
        happening = self._happening
        if happening is None or happening.act is None:
            self.post_message(NothingToDo("this happened by itself: z undoes what people did (@ shows that)"))
            return
        undo = self._undoable.get(happening.act.op)
        if undo is None:
            self.post_message(NothingToDo(f"{happening.what} cannot be undone, or not any more"))
        else:
            self.post_message(PlanMade(undo_plan(undo, actor=self._actor)))

    def action_kind(self, step: int) -> None:
        """The next kind of entries."""
        self._choose((self._kind + step) % len(KINDS), self._words)

    def action_filter(self) -> None:
        """Opens the filter."""
        box = self.query_one(".log-filter", Input)
        box.value = self._words
        box.add_class("open")
        focus_now(box)

    def action_clear_filter(self) -> None:
        """Shows everything of this kind again."""
        self._close_filter()
        if self._words:
            self._choose(self._kind, "")

    @on(Input.Submitted, ".log-filter")
    def _filtered(self, event: Input.Submitted) -> None:
        event.stop()
        words = event.value.strip()
        try:
            chooser(words)
        except InvalidInputError as error:
            self.post_message(NothingToDo(error.message))
            return
        self._close_filter()
        self._choose(self._kind, words)

    def _close_filter(self) -> None:
        self.query_one(".log-filter", Input).remove_class("open")
        focus_now(self.table)

    def _choose(self, kind: int, words: str) -> None:
        """Other entries of the log, from the newest on."""
        self._kind, self._words, self._fits = kind, words, chooser(words)
        self._shown_of, self._is_following = None, True
        self.table.reset(COLUMNS, empty_text=self._empty_text())
        self._fill()
        self._is_screen_wanting()
        self.post_message(NeedChanged())
