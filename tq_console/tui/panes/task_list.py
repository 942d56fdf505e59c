"""A list of tasks with all that is done to many: views, all that fit, exports; the Tasks and the DLQ screens."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from textual import on
from textual.binding import Binding, BindingType

from tq_console.tui.actions.errands import Errand, ErrandWanted, Reader, Say
from tq_console.tui.actions.plan import command_line
from tq_console.tui.actions.stopping import Stop
from tq_console.tui.actions.whole_list import Act, WholeList, on_all
from tq_console.tui.filtering.filter_bar import FilterBar
from tq_console.tui.filtering.picker import Choice, Picker, Prompt
from tq_console.tui.lists.feed import TaskFeed
from tq_console.tui.panes.filtered_list import FilteredListPane
from tq_console.tui.panes.pane import NothingToDo, PlaceChosen, PlanMade, TaskOpened
from tq_console.view.formats import plural
from tq_core.errors import InvalidInputError, TqError
from tq_core.model import PRIORITIES
from tq_core.query.query import parse_query
from tq_core.query.tree import Or
from tq_core.roles import search
from tq_core.roles.jobs import Action

ID_LOOK_MAX = 20_000
"""Tasks that are looked at for a part of an id."""


class TaskListPane(FilteredListPane):
    """Tasks, one by one or all that fit."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("a", "mark_all", "all", show=False, tooltip="Mark all of the list, loaded or not", id="tasks.all"),
        Binding("b", "views", "views", show=False, tooltip="Saved views: filters with a name", id="tasks.views"),
        Binding("i", "jump", "id", show=False, tooltip="Open a task by its id, its beginning or end", id="tasks.jump"),
        Binding("o", "export", "export", show=False, tooltip="Marked tasks or all into a file", id="tasks.export"),
    ]

    # --- all of them ---

    @property
    def whole(self) -> WholeList:
        """All tasks of the list, on screen or not."""
        return WholeList(self.feed.states, self.feed.queue, self.feed.words)

    def why_not_whole(self) -> str:
        """Why not all of the list can be acted on; "" = they can."""
        if isinstance(self.feed, TaskFeed) and self.feed.group:
            return "a group is acted on as a whole by R and, among the groups, by D"
        return "" if self.feed.total else "nothing here to mark"

    def action_mark_all(self) -> None:
        """Marks all tasks of the list, on screen or not; once more takes the marks away."""
        if self.table.is_all_marked:
            self.table.clear_marks()
        elif why := self.why_not_whole():
            self.post_message(NothingToDo(why))
        else:
            self.table.mark_all()

    def _on_all(self, action: Action) -> bool:
        """Makes the plan for all tasks of the list; False where not all are marked."""
        if not self.table.is_all_marked:
            return False
        self._plan_for(Act(action), self.whole)
        return True

    def _plan_for(self, act: Act, whole: WholeList) -> None:
        queues = self.snapshot.queues if self.snapshot else ()
        plan = on_all(act, whole, queues, actor=self.actor, masker=self._masker)
        self.post_message(NothingToDo(plan) if isinstance(plan, str) else PlanMade(plan))

    def _ask_for_all(self, title: str, acts: Mapping[str, Act]) -> None:
        """Asks which of several acts is meant for all tasks of the list, as it is now."""
        whole, choices = self.whole, list(acts)

        def chosen(number: int | None) -> None:
            if number is not None:
                self._plan_for(acts[choices[number]], whole)

        self.app.push_screen(Picker(title, [Choice(name) for name in choices]), chosen)

    def action_retry(self) -> None:
        """Runs ended tasks again."""
        if not self._on_all("retry"):
            super().action_retry()

    def action_cancel(self) -> None:
        """Cancels tasks that have not ended."""
        if not self._on_all("cancel"):
            super().action_cancel()

    def action_kill(self) -> None:
        """Kills running tasks."""
        if not self._on_all("kill"):
            super().action_kill()

    def action_discard(self) -> None:
        """Deletes tasks."""
        if not self._on_all("delete"):
            super().action_discard()

    def action_reprioritise(self) -> None:
        """Asks for another priority."""
        if self.table.is_all_marked:
            acts = {name: Act("reprioritise", priority=number) for name, number in PRIORITIES.items()}
            self._ask_for_all("The priority of all of them", acts)
        else:
            super().action_reprioritise()

    def action_move(self) -> None:
        """Asks for another queue."""
        if self.table.is_all_marked:
            queues = [q.queue for q in self.snapshot.queues] if self.snapshot else []
            self._ask_for_all("Move all of them to", {name: Act("move", to=name) for name in queues})
        else:
            super().action_move()

    def action_export(self) -> None:
        """Asks for a file, and writes the marked tasks into it, or all."""
        from tq_console.tui.actions import exporting

        marked = self.table.marked
        if not marked and (why := self.why_not_whole()):
            self.post_message(NothingToDo(why.replace("to mark", "to write")))
            return
        chosen = marked or self.whole
        count = f"the {plural(len(marked), 'marked task')}" if marked else f"{self.all_words()} of the list"
        about = [
            f"{count}, with their arguments, secrets masked",
            "a name that ends in .csv makes it CSV, else JSON lines",
        ]

        def named(name: str | None) -> None:
            if name is not None:
                stop = Stop()
                try:
                    errand = exporting.export(name, chosen, masker=self._masker, stop=stop)
                except InvalidInputError as error:
                    self.post_message(NothingToDo(error.message))
                else:
                    self.post_message(ErrandWanted(errand, ends_by=stop))

        name = exporting.file_name("-".join(self.feed.states) if len(self.feed.states) < 3 else "tasks")
        self.app.push_screen(Prompt("Write to a file", text=name, about=about), named)

    # --- by its id ---

    def action_jump(self) -> None:
        """Asks for an id, or a part of one, and opens the task."""

        def said(part: str | None) -> None:
            if part is not None:
                self.post_message(ErrandWanted(self._opening(part)))

        about = ["whole, or how it begins or ends, as lists show it"]
        self.app.push_screen(Prompt("Open a task by its id", about=about, placeholder="01jd7q… or b5n4m2"), said)

    def _opening(self, part: str) -> Errand:
        async def errand(link: Reader, say: Say) -> str:
            say(f"looking for {part} …")
            found = await link.ask(search.by_id_part(part, look_max=ID_LOOK_MAX))
            if len(found.tasks) == 1:
                self.post_message(TaskOpened(found.tasks[0].id))
                return ""
            if found.tasks:
                return f"several ids begin or end with {part}: {', '.join(task.id for task in found.tasks)} …"
            at = found.search
            among = f" among the {at.looked:,} of {at.total:,} tasks that were looked at" if at.total else ""
            return f"no id is {part}, or begins or ends so{among}"

        return errand

    # --- views ---

    def action_views(self) -> None:
        """Asks which saved view to show."""
        from tq_console.view.saved_views import saved_views

        try:
            found = list(saved_views().items())
        except TqError as error:
            self.post_message(NothingToDo(error.message))
            return
        if not found:
            self.post_message(NothingToDo("no view is saved yet: / types a filter, ctrl+s there saves it"))
            return

        def chosen(number: int | None) -> None:
            if number is not None:
                self._show_view_of(*found[number])

        self.app.push_screen(Picker("Views", [Choice(name, words) for name, words in found]), chosen)

    def _show_view_of(self, name: str, words: str) -> None:
        try:
            query = parse_query(words, masker=self._masker)
        except TqError as error:
            self.post_message(NothingToDo(f"the view {name}: {error.message}"))
            return
        if self.STATES is None or set(self.STATES) & set(query.states):
            self.go_to(self.tab, queue=None if "queue" in query.keys else self.feed.queue, words=words)
        else:
            self.post_message(PlaceChosen("tasks", words=words))

    @on(FilterBar.SaveWanted)
    def _save_wanted(self, event: FilterBar.SaveWanted) -> None:
        event.stop()
        words = self.view_words(event.text)

        def named(name: str | None) -> None:
            if name is not None:
                self._save(name, words)

        about = [words, "kept in the configuration file; b shows it, as does tq tasks list --view NAME"]
        self.app.push_screen(Prompt("Save as a view", about=about, placeholder="a name"), named)

    def view_words(self, words: str) -> str:
        """The query with what the list is of, so that it says the same elsewhere."""
        query = parse_query(words, masker=self._masker)
        head = [] if query.names_state or len(self.feed.states) > 1 else [f"state:{self.feed.state}"]
        if self.feed.queue is not None and "queue" not in query.keys:
            head.append(f"queue:{self.feed.queue}")
        return " ".join([*head, f"({words})" if head and isinstance(query.root, Or) else words])

    def _save(self, name: str, words: str) -> None:
        from tq_console.view.saved_views import save_view

        try:
            path = save_view(name, words)
        except TqError as error:
            self.post_message(NothingToDo(error.message))
            return
        self.app.notify(
            f"saved as {name} in {path}\n$ {command_line('config', 'set', f'views.{name}', words)}", timeout=4
        )
