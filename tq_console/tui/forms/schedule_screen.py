"""The form for a new schedule, or for changes to one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

from textual import on
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widget import Widget

from tq_console.tui.actions import schedules as plans
from tq_console.tui.actions.performing import Performer
from tq_console.tui.forms.choice import Choice
from tq_console.tui.forms.field_row import OptionRow, Row
from tq_console.tui.forms.leave_bar import LeaveBar
from tq_console.tui.forms.open_form import Reader
from tq_console.tui.forms.schedule_draft import (
    ENTRIES,
    OF_NEW_ONLY,
    Checked,
    Entry,
    ScheduleDraft,
    checked,
    draft_of,
    new_draft,
)
from tq_console.tui.forms.stand_ins import StandIns
from tq_console.tui.forms.submit_screen import NOTHING_PUBLISHED
from tq_console.tui.frame.help import HelpScreen
from tq_console.tui.frame.hints import hint_line
from tq_console.tui.look.canvas import Canvas, Line
from tq_console.tui.look.wrapping import wrapped
from tq_console.view.formats import span_ahead
from tq_console.view.schedule_words import fire_text, next_fires_ms, when_words
from tq_console.view.secrets import Masker
from tq_console.view.submission import DEFAULT_QUEUE
from tq_core.errors import TqError
from tq_core.roles import registry, schedules
from tq_core.roles.registry import PublishedType
from tq_core.roles.schedules import ScheduleView
from tq_core.transport.together import together

FIRES_SHOWN = 3


async def open_schedule(
    app: App[Any], link: Reader, performer: Performer, *, view: ScheduleView | None, queue: str | None, masker: Masker
) -> None:
    """Shows the form and does what it was filled with; opened again where that is refused.

    To be run in a worker of the app's.

    Args:
        view: The schedule that is changed; None for a new one.
        queue: Where the cursor is.
    """
    if why := link.refusal:
        app.notify(why, severity="warning", markup=False)
        return
    stand_ins = StandIns(masker)
    where = view.queue if view is not None else queue or DEFAULT_QUEUE
    try:
        types, now_ms = await link.ask(together([registry.published_types(), schedules.server_now_ms(where)]))
        draft = new_draft(queue) if view is None else draft_of(view, stand_ins)
    except TqError as error:
        app.notify(error.message, title="the form cannot be opened", severity="warning", markup=False)
        return
    while True:
        screen = ScheduleScreen(types, draft, actor=link.actor, masker=masker, now_ms=now_ms)
        filled: ScheduleDraft | None = await app.push_screen_wait(screen)
        schedule = checked(filled, types, stand_ins, actor=link.actor).schedule if filled is not None else None
        if filled is None or schedule is None:
            return
        how = {"masker": masker, "actor": link.actor, "is_forced": filled.is_forced}
        plan = plans.add(schedule, **how) if view is None else plans.edit(view, schedule, **how)  # type: ignore[arg-type]
        told = await performer.perform(plan)
        if told is None or told.is_good:
            return
        draft = replace(filled, message=told.text)


class PickRow(Row):
    """One field with few values."""

    def __init__(self, entry: Entry, *, value: str) -> None:
        self.option = entry.name
        self._choices, self._value = entry.choices, value
        super().__init__(entry.label, note=entry.words, id=f"schedule-{entry.name}")

    def editor(self) -> Widget:
        """A choice."""
        chosen = self._choices.index(self._value) if self._value in self._choices else 0
        return Choice(self._choices, prompt="choose", chosen=chosen)

    @property
    def text(self) -> str:
        """The chosen word."""
        chosen = self.query_one(Choice).chosen
        return self._choices[0 if chosen is None else chosen]

    def on_select_changed(self, event: Choice.Changed) -> None:
        """Somebody chose."""
        event.stop()
        self.noticed()


class ScheduleScreen(ModalScreen[ScheduleDraft | None]):
    """Takes what a schedule is made of, says what it means, and lets nothing go that is not right."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+s", "submit", "save", tooltip="Check everything and save it", id="schedule_form.submit"),
        Binding("escape", "leave", "leave", tooltip="Leave without saving", id="schedule_form.leave"),
        Binding("ctrl+g", "force", "force", tooltip="Do not check type and arguments", id="schedule_form.force"),
        Binding("down", "move(1)", "next field", show=False, tooltip="The next field", id="schedule_form.down"),
        Binding("up", "move(-1)", "field before", show=False, tooltip="The field before", id="schedule_form.up"),
        Binding("f1", "help", "keys", show=False, tooltip="All keys of this form", id="schedule_form.help"),
    ]
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (72, "-normal")]  # noqa: RUF012 - an instance variable in Textual
    VERTICAL_BREAKPOINTS = [(0, "-short"), (28, "-tall")]  # noqa: RUF012 - same
    DEFAULT_CSS = """
    ScheduleScreen {
        align: center middle;
    }
    #schedule-window {
        width: 96%;
        max-width: 104;
        height: auto;
        max-height: 96%;
        border: round $border;
        border-title-color: $secondary;
        border-title-style: bold;
        background: $surface;
    }
    ScheduleScreen.-narrow #schedule-window, ScheduleScreen.-short #schedule-window {
        width: 100%;
        max-height: 100%;
        border: none;
        border-top: round $border;
    }
    #schedule-body {
        height: auto;
        max-height: 1fr;
        scrollbar-size-vertical: 1;
    }
    ScheduleScreen.-narrow .row-label { width: 15; }
    ScheduleScreen.-narrow .row-note { margin-left: 15; }
    ScheduleScreen.-short .row-note { display: none; }
    ScheduleScreen.-short Row.-here .row-note, ScheduleScreen.-short Row.-wrong .row-note { display: block; }
    #schedule-means { height: auto; padding: 0 1; border-top: solid $border; }
    #schedule-hints { height: 1; background: $panel; }
    """

    def __init__(
        self,
        types: Mapping[str, PublishedType],
        draft: ScheduleDraft,
        *,
        actor: str,
        masker: Masker,
        now_ms: int,
    ) -> None:
        """Makes a form that is filled with a draft.

        Args:
            types: What workers have published.
            now_ms: The server's time, from which the next fires are counted.
        """
        super().__init__()
        self._types, self._draft, self._actor, self._now_ms = types, draft, actor, now_ms
        self._stand_ins = StandIns(masker)
        self._is_forced = draft.is_forced
        self._touched: set[str] = set()
        self._first: object = None
        self._is_done = False

    # --- what it is made of ---

    def compose(self) -> ComposeResult:
        """The fields, what they mean, hints."""
        with Vertical(id="schedule-window"):
            with VerticalScroll(id="schedule-body", can_focus=False):
                for entry in ENTRIES:
                    value = self._draft.text(entry.name)
                    if self._draft.before is not None and entry.name in OF_NEW_ONLY:
                        continue
                    if entry.choices:
                        yield PickRow(entry, value=value)
                    else:
                        yield EntryRow(entry, value=value)
            yield Canvas(id="schedule-means")
            yield Canvas(id="schedule-hints")

    def on_mount(self) -> None:
        """Says what it is about."""
        self._show_title()
        self._first = self._texts()
        self._show(problem=self._draft.message)
        self.call_after_refresh(self._rows[0].take_focus)

    def on_resize(self) -> None:
        """Fits what is said."""
        self.call_after_refresh(self._show)

    def on_descendant_focus(self) -> None:
        """Shows the keys of what has the focus."""
        self._show_hints()

    @property
    def _rows(self) -> list[EntryRow | PickRow]:
        return [row for row in self.query(Row) if isinstance(row, (EntryRow, PickRow))]

    def _texts(self) -> dict[str, str]:
        return {row.option: row.text for row in self._rows}

    def _filled(self) -> ScheduleDraft:
        texts = {**self._draft.texts, **self._texts()}
        return replace(self._draft, texts=texts, is_forced=self._is_forced, message="")

    def _check(self) -> Checked:
        return checked(self._filled(), self._types, self._stand_ins, actor=self._actor)

    # --- while it is filled ---

    @on(Row.Edited)
    def _edited(self, event: Row.Edited) -> None:
        row = event.row
        if event.is_change and isinstance(row, (EntryRow, PickRow)):
            self._touched.add(row.option)
            self._show()

    def _show(self, *, problem: str = "") -> None:
        """What is wrong with the fields that were touched, and what the rule means."""
        if not self.is_mounted:
            return
        found = self._check()
        for row in self._rows:
            row.tell(found.problems.get(row.option, "") if row.option in self._touched else "")
        self._paint_means(found, problem)
        self._show_hints()

    def _paint_means(self, found: Checked, problem: str) -> None:
        canvas = self.query_one("#schedule-means", Canvas)
        width = max(20, (canvas.size.width or self.size.width) - 2)
        lines: list[Line] = []
        if problem:
            lines += wrapped((f"✗ {problem}", "cell--bad"), width, 3)
        elif not self._types:
            lines += wrapped((f"! {NOTHING_PUBLISHED}", "cell--warn"), width, 2)
        if found.when is not None:
            lines += wrapped((when_words(found.when), "cell--bold"), width, 2)
            fires = next_fires_ms(found.when, self._now_ms, count=FIRES_SHOWN)
            lines += [
                [(fire_text(found.when, ms), ""), (f"  {span_ahead(ms - self._now_ms)}", "cell--dim")] for ms in fires
            ]
        else:
            lines.append([("it is not said yet when it fires", "cell--dim")])
        before = self._draft.before
        if before is not None and plans.is_declared(before):
            text = "code declares it: what is changed here holds until a worker of that code starts"
            lines += wrapped((text, "cell--warn"), width, 2)
        canvas.paint(lines)

    # --- what the keys do ---

    def action_move(self, step: int) -> None:
        """The next field, or the one before."""
        if step > 0:
            self.focus_next()
        else:
            self.focus_previous()

    def action_force(self) -> None:
        """Checks nothing against what workers published, or checks again."""
        self._is_forced = not self._is_forced
        self._show_title()
        self._show()

    def action_help(self) -> None:
        """All keys of the form."""
        self.app.push_screen(HelpScreen("schedule form", self.active_bindings.values()))

    def on_input_submitted(self) -> None:
        """Enter leads on; in the last field it saves."""
        here = self.focused
        chain = self.focus_chain
        if here is not None and chain and chain[-1] is not here:
            self.focus_next()
        else:
            self.action_submit()

    def action_submit(self) -> None:
        """Checks everything, and hands it over where all is right."""
        if self._is_done:
            return
        found = self._check()
        if found.schedule is not None:
            self._is_done = True
            self.dismiss(self._filled())
            return
        self._touched = {row.option for row in self._rows}
        count = len(found.problems)
        said = found.problems.get("") or f"not saved: {count} field{' is' if count == 1 else 's are'} not right"
        self._show(problem=said)
        wrong = next((row for row in self._rows if row.problem), None)
        if wrong is not None:
            wrong.take_focus()

    def action_leave(self) -> None:
        """Leaves; asks first where something was typed."""
        if self._texts() == self._first:
            self.dismiss(None)
        else:
            self.app.push_screen(LeaveBar(), self._left)

    def _left(self, is_leaving: bool | None) -> None:
        if is_leaving:
            self.dismiss(None)

    # --- what is said ---

    def _show_title(self) -> None:
        before = self._draft.before
        title = "New schedule" if before is None else f"Change {plans.reference(before)}"
        forced = " · FORCED: type and arguments are not checked" if self._is_forced else ""
        self.query_one("#schedule-window").border_title = Content(f"{title}{forced}").markup

    def _show_hints(self) -> None:
        hints = self.query_one("#schedule-hints", Canvas)
        hints.paint([hint_line(list(self.active_bindings.values()), hints.size.width or self.size.width)])


class EntryRow(OptionRow):
    """One field that is written on."""

    def __init__(self, entry: Entry, *, value: str) -> None:
        super().__init__(entry.name, entry.label, entry.words, value=value)
        self._is_required = entry.is_required
