"""The form for a new task, or for the same as another task with changes."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from textual.binding import Binding, BindingType

from tq_console.tui.forms.draft import (
    RecentWanted,
    Submission,
    line_from,
    option_problem,
)
from tq_console.tui.forms.field_row import FieldRow, MoreRow, OptionRow, Row
from tq_console.tui.forms.fields import plain
from tq_console.tui.forms.leave_bar import LeaveBar
from tq_console.tui.forms.submit_arguments import FormArguments
from tq_console.tui.forms.submit_parts import NOTHING_PUBLISHED
from tq_console.tui.frame.help import HelpScreen
from tq_console.view.submission import TaskLine
from tq_core.errors import InvalidArgumentsError, TqError

__all__ = ["NOTHING_PUBLISHED", "SubmitScreen"]


class SubmitScreen(FormArguments):
    """Takes a type, arguments and options, and lets nothing go that is not right.

    A key is handled in the task of the widget that has the focus, and making fields takes its time. So what keys do to
    the form is put into the form's own queue of messages: one thing after the other, never on half a form.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+s", "submit", "submit", tooltip="Check everything and enqueue the task", id="submit.submit"),
        Binding("escape", "leave", "leave", tooltip="Leave without submitting", id="submit.leave"),
        Binding("ctrl+t", "toggle_raw", "JSON", tooltip="Arguments as JSON text, or as fields again", id="submit.raw"),
        Binding("ctrl+o", "toggle_options", "options", tooltip="Queue, priority, delay and more", id="submit.options"),
        Binding("ctrl+r", "recent", "recent", tooltip="Fill it from a task submitted lately", id="submit.recent"),
        Binding("ctrl+g", "toggle_force", "force", tooltip="Do not check type and arguments", id="submit.force"),
        Binding("down", "move(1)", "next field", show=False, tooltip="The next field", id="submit.down"),
        Binding("up", "move(-1)", "field before", show=False, tooltip="The field before", id="submit.up"),
        Binding("pagedown", "page(1)", "page down", show=False, tooltip="Further down the form", id="submit.pagedown"),
        Binding("pageup", "page(-1)", "page up", show=False, tooltip="Further up the form", id="submit.pageup"),
        Binding("f1", "help", "keys", show=False, tooltip="All keys of this form", id="submit.help"),
    ]
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (72, "-normal")]  # noqa: RUF012 - an instance variable in Textual
    VERTICAL_BREAKPOINTS = [(0, "-short"), (22, "-tall")]  # noqa: RUF012 - same
    DEFAULT_CSS = """
    SubmitScreen {
        align: center middle;
    }
    #submit-window {
        width: 96%;
        max-width: 108;
        height: 92%;
        max-height: 38;
        border: round $border;
        border-title-color: $secondary;
        border-title-style: bold;
        background: $surface;
        padding: 0;
    }
    SubmitScreen.-narrow #submit-window, SubmitScreen.-short #submit-window {
        width: 100%;
        height: 100%;
        border: none;
        border-top: round $border;
    }
    #submit-body {
        height: 1fr;
        scrollbar-size-vertical: 1;
    }
    #submit-fields, #submit-options {
        height: auto;
    }
    #submit-type {
        margin-bottom: 1;
    }
    SubmitScreen.-short #submit-type {
        margin-bottom: 0;
    }
    SubmitScreen.-narrow .row-label {
        width: 15;
    }
    SubmitScreen.-narrow .row-note, SubmitScreen.-narrow #submit-about, SubmitScreen.-narrow TypeList {
        margin-left: 15;
    }
    SubmitScreen.-short .row-note {
        display: none;
    }
    SubmitScreen.-short Row.-here .row-note, SubmitScreen.-short Row.-wrong .row-note {
        display: block;
    }
    #submit-raw {
        margin: 0 1;
    }
    #submit-message {
        height: auto;
        max-height: 3;
        padding: 0 1;
    }
    #submit-hints {
        height: 1;
        background: $panel;
    }
    """

    async def on_mount(self) -> None:
        """Fills the form."""
        self.query_one("#submit-options").display = bool(
            set(self._draft.options) - {"queue", "priority", "max_attempts", "timeout"}
        )
        self._show_title()
        self._show_about()
        if self._is_raw:
            self._fill_raw()
        elif self._draft.task_type:
            await self._make_fields()
        self._show_mode()
        self._show_fold()
        self._show_message()
        if self._draft.task_type:
            self._focus_first()
        else:
            self._choice.take_focus()
        self._first = self._state()

    # --- force ---

    def action_toggle_force(self) -> None:
        """Checks nothing against what workers published, or checks again."""
        self.call_later(self._toggle_force)

    async def _toggle_force(self) -> None:
        self._is_forced = not self._is_forced
        for row in self.query(Row):
            if isinstance(row, (FieldRow, MoreRow)):
                row.check(is_forced=self._is_forced)
        self._say("", "")
        self._show_title()
        if self._choice.text and not (self._choice.is_open and self._published is None):
            await self._settle_type()
        self._show_about()

    # --- moving ---

    def action_move(self, step: int) -> None:
        """The next field, or the one before."""
        if step > 0:
            self.focus_next()
        else:
            self.focus_previous()

    def action_page(self, step: int) -> None:
        """A page of the form."""
        body = self.query_one("#submit-body")
        body.scroll_relative(y=step * max(1, body.size.height - 1), animate=False)

    def action_help(self) -> None:
        """All keys of the form."""
        self.app.push_screen(HelpScreen("submit form", self.active_bindings.values()))

    # --- the end ---

    def action_submit(self) -> None:
        """Checks everything, and hands it over where all is right."""
        self.call_later(self._submit)

    async def _submit(self) -> None:
        if self._is_done:
            return
        await self._settle_type()
        if self._is_raw:
            args = self._read_raw()
            problems: dict[str, str] = {}
            if args is None:
                return
        else:
            args, problems = self._read_fields()
        wrong_option = self._check_options()
        if not self._choice.text:
            self._choice.tell([("✗ a type is needed", "cell--bad")])
            self._choice.take_focus()
            return
        if problem := self._type_problem():
            self._choice.tell([(f"✗ {problem}", "cell--bad")])
            self._choice.take_focus()
            return
        options = {row.option: row.text for row in self._option_rows if row.text}
        line: TaskLine | None = None
        try:
            draft = self._draft
            line = line_from(self._choice.text, args, options, linked_to=draft.linked_to, expires=draft.expires)
            queue, task = self._rules().checked(line)
        except InvalidArgumentsError as error:
            self._refuse(dict(error.problems) | problems)
            return
        except TqError as error:
            if wrong_option is not None:
                self._say(f"{wrong_option.label}: {wrong_option.problem}", "cell--bad")
                self._open_options(is_open=True)
                self.call_after_refresh(wrong_option.take_focus)
            elif problems:
                self._refuse(problems)
            else:
                self._say(error.message, "cell--bad")
            return
        if problems:
            self._refuse(problems)
            return
        draft = replace(
            self._draft,
            task_type=self._choice.text,
            args=args,
            options=options,
            is_forced=self._is_forced,
            is_raw=self._is_raw,
        )
        self._is_done = True
        self.dismiss(Submission(queue=queue, task=task, line=line, draft=draft))

    def _check_options(self) -> OptionRow | None:
        """Shows what is wrong with the options; the first that is."""
        for row in self._option_rows:
            row.tell(option_problem(row.option, row.text))
        return next((row for row in self._option_rows if row.problem), None)

    def _refuse(self, problems: dict[str, str]) -> None:
        """Shows each problem beside its field, and goes to the first."""
        rows = {row.spec.name: row for row in self._rows}
        elsewhere = []
        for name, problem in problems.items():
            if self._is_raw or (name not in rows and self._more is None):
                elsewhere.append(f"{name}: {plain(problem)}" if name else problem)
            elif name in rows:
                rows[name].tell(plain(problem))
            elif self._more is not None:
                self._more.tell(f"{name}: {plain(problem)}" if name else problem)
        wrong = next((row for row in self.query(Row) if row.problem), None)
        if elsewhere:
            self._say("; ".join(elsewhere), "cell--bad")
        else:
            are = "1 field is" if len(problems) == 1 else f"{len(problems)} fields are"
            way_out = "" if self._is_forced else "; ctrl+g turns this check off"
            self._say(f"not submitted: {are} not right{way_out}", "cell--bad")
        if wrong is not None and not self._is_raw:
            wrong.take_focus()

    def action_recent(self) -> None:
        """Fills the form from a task that was submitted from here lately."""
        if self._state() == self._first:
            self.dismiss(RecentWanted())
        else:
            self._say("what was typed would be lost: submit it, or leave the form first", "cell--warn")

    def action_leave(self) -> None:
        """Leaves; asks first where something was typed."""
        if self._state() == self._first:
            self.dismiss(None)
        else:
            self.app.push_screen(LeaveBar(), self._left)

    def _left(self, is_leaving: bool | None) -> None:
        if is_leaving:
            self.dismiss(None)
