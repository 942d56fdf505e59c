"""A list of tasks that can be filtered, sorted and searched on."""

from __future__ import annotations

from typing import ClassVar

from textual import on
from textual.binding import Binding, BindingType

from tq_console.tui.filtering.filter_bar import FilterBar
from tq_console.tui.filtering.picker import Choice, Picker
from tq_console.tui.lists.feed import TaskFeed
from tq_console.tui.lists.hunt import LOOK_MORE, HuntFeed
from tq_console.tui.lists.sorting import SORTED_MAX, sortable
from tq_console.tui.look.canvas import Line, Span
from tq_console.tui.look.focus import focus_now
from tq_console.tui.look.glyphs import TASK_SIGNS
from tq_console.tui.panes.pane import NeedChanged, NothingToDo
from tq_console.tui.panes.task_table import TaskTablePane
from tq_console.tui.watch.snapshot import Snapshot
from tq_console.view.formats import plural
from tq_console.view.text import cell_width, fit, visible
from tq_core.model import TaskState
from tq_core.query.completion import Known
from tq_core.query.query import parse_query
from tq_core.roles.registry import NodeInfo

WORDS_LEAST = 12
"""Cells of the filter that are shown however little room there is."""


class FilteredListPane(TaskTablePane):
    """Tasks of one state or several, of one queue or all, all of them or those that fit."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "filter", "filter", tooltip="Filter: type:mail* error:timeout age:>10m", id="tasks.filter"),
        Binding("full_stop", "search_on", "search on", show=False, tooltip="Search more tasks", id="tasks.more"),
        Binding("s", "sort", "sort", show=False, tooltip="Sort by a column; again reverses", id="tasks.sort"),
        Binding("Q", "next_queue", "queue", show=False, tooltip="Next queue, then all of them", id="tasks.queue"),
        Binding("escape", "clear_filter", "clear filter", show=False, id="tasks.clear_filter"),
    ]
    STATES: ClassVar[tuple[TaskState, ...] | None] = None
    """Those that it can show; None = all."""
    _tab: TaskState | None = None
    _sorted_by: tuple[str, bool] | None = None
    """Heading of a column, and whether from the greatest down."""

    # --- which list it is ---

    @property
    def is_sorted(self) -> bool:
        """Whether it is sorted by a column."""
        return self._sorted_by is not None

    @property
    def tab(self) -> TaskState:
        """The state that is chosen beside the filter, and to which the list goes back when that is cleared."""
        return self._tab or self.feed.state

    def search(self, query: str) -> None:
        """Shows what a query chooses, of all queues."""
        self.go_to(self.tab, queue=None, words=query)

    def place(self, *, queue: str | None, state: TaskState | None) -> None:
        """Goes to a list."""
        self.go_to(state or self.tab, queue=queue, words="")

    def go_to(self, state: TaskState, *, queue: str | None, words: str) -> None:
        """Another list, from its start; a query that names states beats the state."""
        states = parse_query(words, masker=self._masker).states if words else ()
        named = states if words and parse_query(words, masker=self._masker).names_state else (state,)
        named = tuple(state for state in named if self.STATES is None or state in self.STATES)
        if not named:
            known = ", ".join(self.STATES or TaskState)
            self.post_message(NothingToDo(f"no task here can fit that: {self.TITLE} has those that are {known}"))
            return
        self._tab = named[0] if len(named) == 1 else state
        if (named, queue, words) == (self.feed.states, self.feed.queue, self.feed.words) and not self._sorted_by:
            return
        self._sorted_by = None
        if words or len(named) > 1:
            self.put(HuntFeed(named, queue=queue, words=words))
        else:
            self.put(TaskFeed(named[0], queue=queue))

    def action_next_queue(self) -> None:
        """The next queue in turn, after the last one all of them."""
        names = [q.queue for q in self.snapshot.queues] if self.snapshot else []
        choices: list[str | None] = [None, *names]
        here = choices.index(self.feed.queue) if self.feed.queue in choices else 0
        self.go_to(self.tab, queue=choices[(here + 1) % len(choices)], words=self.feed.words)

    # --- what it says of itself ---

    def list_lines(self) -> list[Line]:
        """Which list this is, how long, and what is marked."""
        return [self._about()]

    def _about(self) -> Line:
        feed, table = self.feed, self.table
        sign = TASK_SIGNS[feed.state]
        total = feed.total
        states = f"{len(feed.states)} states" if len(feed.states) > 1 else ""
        line: list[Span] = [(f" {states or sign} ", "" if states else sign.style)]
        line.append((f"in {feed.queue or 'all queues'}", ""))
        if total:
            line.append((f"  {table.cursor_index + 1:,} of {total:,}", "cell--dim"))
        place_of_words = len(line)
        if isinstance(feed, HuntFeed):
            line += self._how_far(feed)
        if table.is_all_marked:
            line.append((f"  ● {self.all_words()} marked", "cell--warn"))
        elif table.marked:
            line.append((f"  ● {len(table.marked):,} marked", "cell--warn"))
        if table.new_above:
            line.append((f"  +{table.new_above:,} new ↑g", "cell--busy"))
        if table.is_ghost:
            line.append((f"  this task has left the list ({table.ghost_note})", "cell--warn"))
        if feed.words:
            # How much was searched must be seen whatever was searched for.
            room = self.size.width - sum(cell_width(visible(text)) for text, _ in line) - 3
            line.insert(place_of_words, (f"  /{fit(visible(feed.words), max(WORDS_LEAST, room))}", "cell--accent"))
        return line

    def all_words(self) -> str:
        """How many all tasks of the list are, as far as that is known."""
        feed = self.feed
        is_exact = not isinstance(feed, HuntFeed) or feed.is_whole
        return f"{'all' if is_exact else 'all that fit, at least'} {feed.total:,}"

    def _how_far(self, feed: HuntFeed) -> list[Span]:
        """How much was searched of how much, and what is not known."""
        spans: list[Span] = []
        if self._sorted_by:
            spans.append((f"  sorted by {self._sorted_by[0]} {'▼' if self._sorted_by[1] else '▲'}", "cell--busy"))
        search = feed.search
        if search is None:
            return [*spans, ("  searching …", "cell--busy")]
        if feed.words:
            spans.append((f" (searched {search.looked:,} of {search.total:,})", "cell--dim"))
        if feed.is_full:
            spans.append((f"  only {feed.total:,} are kept: filter for fewer", "cell--warn"))
        elif feed.is_searching:
            spans.append((" …", "cell--busy"))
        elif not feed.is_whole:
            spans.append((f"  . searches {LOOK_MORE:,} more", "cell--key"))
        if feed.unread:
            spans.append((f"  {feed.unread:,} too long to tell", "cell--warn"))
        return spans

    def _empty_text(self) -> str:
        feed = self.feed
        if not feed.words:
            return super()._empty_text()
        what = feed.state if len(feed.states) == 1 else "task"
        if isinstance(feed, HuntFeed) and not feed.is_whole:
            if feed.search is None or feed.is_searching:
                return f"searching for /{feed.words} …"
            return f"nothing {what} fits /{feed.words} so far · . searches on · esc clears the filter"
        return f"nothing {what} fits /{feed.words} · esc clears the filter"

    def show(self, snapshot: Snapshot) -> None:
        """The rows, and what is said where there are none."""
        super().show(snapshot)
        if self.table.is_all_marked and not self.feed.total:
            self.table.clear_marks()
        if isinstance(self.feed, HuntFeed) and not self.feed.total and self.table.empty_text != self._empty_text():
            self.table.empty_text = self._empty_text()

    # --- the filter ---

    @property
    def bar(self) -> FilterBar:
        return self.query_one(FilterBar)

    def action_filter(self) -> None:
        """Opens the filter."""
        self.bar.open(self.feed.words, self._known_names())

    def _known_names(self) -> Known:
        """Names for what is typed: those that the last answer had, and those on screen."""
        if self.snapshot is None:
            return Known()
        fleet = self.snapshot.fleet
        types = {name for node in fleet.nodes if isinstance(node.info, NodeInfo) for name in node.info.types}
        types.update(row.task.type for row in self.feed.rows())
        return Known(
            queues=[q.queue for q in self.snapshot.queues],
            types=sorted(types),
            workers=[member.id for member in fleet.workers],
        )

    @on(FilterBar.Applied)
    def _applied(self, event: FilterBar.Applied) -> None:
        event.stop()
        self._close_filter()
        self.apply(event.text)

    def apply(self, words: str) -> None:
        """Shows what fits a query."""
        self.go_to(self.tab, queue=self.feed.queue, words=words)

    @on(FilterBar.Left)
    def _left(self, event: FilterBar.Left) -> None:
        event.stop()
        self._close_filter()

    def _close_filter(self) -> None:
        self.bar.close()
        focus_now(self.table)

    def action_clear_filter(self) -> None:
        """Shows all tasks of the list again, in their own order, and no marks."""
        if self.feed.words or self._sorted_by or len(self.feed.states) > 1:
            self.go_to(self.tab, queue=self.feed.queue, words="")
        elif self.table.marked or self.table.is_all_marked:
            self.table.clear_marks()

    def action_search_on(self) -> None:
        """Searches more tasks for what fits."""
        feed = self.feed
        if not isinstance(feed, HuntFeed):
            self.post_message(NothingToDo("nothing is searched here: / filters"))
        elif feed.search_on():
            self.paint_line()
            self.post_message(NeedChanged())
        elif feed.is_searching:
            self.post_message(NothingToDo("it is still searching"))
        else:
            why = f"{feed.total:,} were found, and no more are kept" if feed.is_full else "all there are were searched"
            self.post_message(NothingToDo(why))

    # --- sorting ---

    def action_sort(self) -> None:
        """Asks by which column, where the whole list can be had."""
        if why := self._why_unsorted():
            self.post_message(NothingToDo(why))
            return
        titles = list(sortable(self.feed.states, self._masker))
        by, is_reversed = self._sorted_by or ("", False)
        choices = [
            Choice("in the list's own order"),
            *(Choice(t, "again: reversed" if t == by else "") for t in titles),
        ]
        at = titles.index(by) + 1 if by in titles else 0

        def chosen(number: int | None) -> None:
            if number is not None:
                title = titles[number - 1] if number else ""
                self.sort_by(title, is_reversed=title == by and not is_reversed)

        self.app.push_screen(Picker("Sort by", choices, at=at), chosen)

    def _why_unsorted(self) -> str:
        feed = self.feed
        if isinstance(feed, HuntFeed) and not feed.is_whole:
            return "only a whole list can be sorted, and this one is not searched to its end: . searches on"
        if isinstance(feed, TaskFeed) and feed.group:
            return "tasks that failed alike keep their order: / filters all of them, and those can be sorted"
        if feed.total > SORTED_MAX:
            return f"{plural(feed.total, 'task')}: only lists of up to {SORTED_MAX:,} are sorted; / filters"
        return "" if feed.total else "nothing here to sort"

    def sort_by(self, title: str, *, is_reversed: bool = False) -> None:
        """Sorts by a column; "" = the list's own order."""
        if not title and not self.feed.words and len(self.feed.states) == 1:
            self._sorted_by = None
            self.put(TaskFeed(self.feed.state, queue=self.feed.queue))
            return
        if not isinstance(self.feed, HuntFeed):
            self.put(HuntFeed(self.feed.states, queue=self.feed.queue, look_max=SORTED_MAX))
        assert isinstance(self.feed, HuntFeed)
        self._sorted_by = (title, is_reversed) if title else None
        self.feed.sort(sortable(self.feed.states, self._masker).get(title), is_reversed=is_reversed)
        self.show_rows()
        self.table.action_first()
        self.paint_line()
