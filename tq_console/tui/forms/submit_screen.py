"""The form for a new task, or for the same as another task with changes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar, TypeVar, cast

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widget import Widget

from tq_console.tui.forms.draft import (
    OPTIONS,
    Draft,
    Submission,
    line_from,
    option_problem,
)
from tq_console.tui.forms.field_row import FieldRow, MoreRow, OptionRow, Row
from tq_console.tui.forms.fields import MOST_FIELDS, FieldSpec, meant, plain, specs_of, takes_more
from tq_console.tui.forms.fold import Fold
from tq_console.tui.forms.json_area import JsonArea
from tq_console.tui.forms.json_text import JsonTextError, json_page, read_object
from tq_console.tui.forms.leave_bar import LeaveBar
from tq_console.tui.forms.stand_ins import NOTHING, StandIns
from tq_console.tui.forms.type_choice import TypeChoice, first_line
from tq_console.tui.frame.help import HelpScreen
from tq_console.tui.frame.hints import hint_line
from tq_console.tui.look.canvas import Canvas, Line
from tq_console.tui.look.wrapping import wrapped
from tq_console.view.secrets import Masker
from tq_console.view.submission import DEFAULT_QUEUE, SubmissionRules, TaskLine
from tq_core.errors import InvalidArgumentsError, TqError, UnknownTaskTypeError
from tq_core.roles.registry import PublishedType

T = TypeVar("T")

MESSAGE_LINES = 3
NOTHING_PUBLISHED = "no worker has published its task types yet: type and arguments are not checked"
FORCE = "--force enqueues it all the same"


class SubmitScreen(ModalScreen[Submission | None]):
    """Takes a type, arguments and options, and lets nothing go that is not right.

    A key is handled in the task of the widget that has the focus, and making fields takes its time. So what keys do to
    the form is put into the form's own queue of messages: one thing after the other, never on half a form.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+s", "submit", "submit", tooltip="Check everything and enqueue the task", id="submit.submit"),
        Binding("escape", "leave", "leave", tooltip="Leave without submitting", id="submit.leave"),
        Binding("ctrl+t", "toggle_raw", "JSON", tooltip="Arguments as JSON text, or as fields again", id="submit.raw"),
        Binding("ctrl+o", "toggle_options", "options", tooltip="Queue, priority, delay and more", id="submit.options"),
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

    def __init__(
        self,
        types: Mapping[str, PublishedType],
        draft: Draft,
        *,
        actor: str,
        masker: Masker,
    ) -> None:
        """Makes a form that is filled with a draft.

        Args:
            types: What workers have published.
            actor: Who is written down as the one who submitted.
        """
        super().__init__()
        self._types, self._draft, self._actor = types, draft, actor
        self._stand_ins = StandIns(masker)
        self._is_forced, self._is_raw = draft.is_forced, draft.is_raw
        self._args = dict(draft.args)
        """The arguments as fields or text were last filled with them."""
        self._fields_of: str | None = None
        """The type that the fields were made for."""
        self._is_queue_suggested = False
        self._raw_filled = ""
        self._first: object = None
        self._is_done = False
        self._message, self._message_style = draft.message, "cell--bad"

    # --- what it is made of ---

    def compose(self) -> ComposeResult:
        """Type, fields or text, options, message, hints."""
        with Vertical(id="submit-window"):
            yield TypeChoice(self._types, text=self._draft.task_type, queue=self._draft.suggested_queue)
            with Body(id="submit-body"):
                yield Vertical(id="submit-fields")
                raw = JsonArea("")
                raw.id = "submit-raw"
                yield raw
                yield Fold()
                with Vertical(id="submit-options"):
                    for option in OPTIONS:
                        yield OptionRow(
                            option.name, option.label, option.words, value=self._draft.options.get(option.name, "")
                        )
            yield Canvas(id="submit-message")
            yield Canvas(id="submit-hints")

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

    def on_resize(self) -> None:
        """Fits message and hints."""
        self.call_after_refresh(self._repaint)

    def on_descendant_focus(self) -> None:
        """Shows the keys of what has the focus."""
        self._show_hints()

    @property
    def _choice(self) -> TypeChoice:
        return self.query_one(TypeChoice)

    @property
    def _raw(self) -> JsonArea:
        return self.query_one(JsonArea)

    @property
    def _rows(self) -> list[FieldRow]:
        return list(self.query(FieldRow))

    @property
    def _more(self) -> MoreRow | None:
        return self.query_one_optional(MoreRow)

    @property
    def _option_rows(self) -> list[OptionRow]:
        return list(self.query(OptionRow))

    @property
    def _published(self) -> PublishedType | None:
        return self._types.get(self._choice.text)

    @property
    def _schema(self) -> Mapping[str, Any]:
        return self._published.schema if self._published else {}

    def _rules(self) -> SubmissionRules:
        return SubmissionRules(self._types, submitted_by=self._actor, is_forced=self._is_forced)

    def _state(self) -> object:
        """What could be lost."""
        texts = tuple(row.text for row in (*self._rows, *self.query(MoreRow), *self._option_rows))
        return self._choice.text, self._is_raw and self._raw.text, self._is_forced, texts

    # --- the type ---

    @on(TypeChoice.Edited)
    async def _type_edited(self) -> None:
        self._show_about()
        if self._choice.text in self._types:
            await self._settle_type()

    @on(TypeChoice.Left)
    async def _type_left(self) -> None:
        await self._settle_type()

    @on(TypeChoice.Taken)
    async def _type_taken(self) -> None:
        await self._settle_type()
        if self._fields_of == self._choice.text and self._choice.text:
            await self._go_on(self._choice)

    async def _settle_type(self) -> None:
        """Makes the fields for the type that is written now, if it may be one; what was filled in stays."""
        name = self._choice.text
        self._show_about()
        if not name or name == self._fields_of or self._type_problem():
            return
        published = self._types.get(name)
        self._suggest_queue(published)
        if self._is_raw:
            self._fields_of = name
        else:
            self._args, _ = self._read_fields()
            await self._make_fields()
        self._show_fold()

    def _suggest_queue(self, published: PublishedType | None) -> None:
        """A type goes to its own queue; one that nobody published to where the cursor was."""
        suggested = self._draft.suggested_queue
        row = self._option_row("queue")
        is_ours = self._is_queue_suggested and row.text == suggested
        if published is not None and is_ours:
            row.write("")
            self._is_queue_suggested = False
        elif published is None and suggested and not row.text:
            row.write(suggested)
            self._is_queue_suggested = True
        row.set_note(f"empty: {published.queue}, the type's own" if published else f"empty: {DEFAULT_QUEUE}")

    def _type_problem(self) -> str:
        try:
            self._rules().published(self._choice.text)
        except UnknownTaskTypeError as error:
            return error.message.replace(FORCE, "ctrl+g turns this check off")
        except TqError as error:
            return error.message
        return ""

    def _show_about(self) -> None:
        name = self._choice.text
        published = self._published
        said: Line
        if published is not None:
            doc = first_line(published.doc)
            said = [(f"{published.queue}", "cell--busy"), (f" · {doc}" if doc else "", "cell--dim")]
        elif name and self._choice.is_open:
            said = [("one of these?", "cell--dim")]
        elif name and (problem := self._type_problem()):
            said = [(f"✗ {problem}", "cell--bad")]
        elif not self._types:
            said = [(f"! {NOTHING_PUBLISHED}", "cell--warn")]
        elif name:
            said = [("! forced: no worker has published this type", "cell--warn")]
        else:
            said = [(f"{len(self._types):,} published by workers within the last week", "cell--dim")]
        self._choice.tell(said)

    # --- the fields ---

    async def _make_fields(self) -> None:
        box = self.query_one("#submit-fields")
        schema = self._schema
        specs = specs_of(schema, self._args)
        rows: list[Row] = [FieldRow(spec, self._stand_ins, value=self._args.get(spec.name, NOTHING)) for spec in specs]
        if takes_more(schema):
            rows.append(MoreRow(FieldSpec("", schema), is_only=not rows))
        async with self.batch():
            await box.remove_children()
            await box.mount_all(rows)
        self._fields_of = self._choice.text
        if len(specs) == MOST_FIELDS:
            self._say(f"the first {MOST_FIELDS} fields are shown; ctrl+t shows all arguments as JSON", "cell--warn")

    def _read_fields(self) -> tuple[dict[str, Any], dict[str, str]]:
        """The arguments in the fields, and what is wrong with those that cannot be read.

        What cannot be read is passed on as what it looks like.
        """
        if self._fields_of is None:
            return dict(self._args), {}
        rows = self._rows
        with_row = {row.spec.name for row in rows}
        args: dict[str, Any] = {}
        problems: dict[str, str] = {}
        for row in rows:
            try:
                value = row.value(is_forced=self._is_forced)
            except InvalidArgumentsError as error:
                problems |= {row.spec.name: error.problems.get(row.spec.name, error.message)}
                value = meant(row.spec, row.text)
            if value is not NOTHING:
                args[row.spec.name] = value
        if self._more is not None:
            try:
                more = self._more.value(is_forced=self._is_forced)
                twice = [name for name in more if name in with_row]
                if twice:
                    problems[""] = f"{twice[0]!r} has a field of its own above"
                args |= {name: value for name, value in more.items() if name not in with_row}
            except InvalidArgumentsError as error:
                problems[""] = error.message
        if len(rows) >= MOST_FIELDS:
            # Beyond so many fields arguments have no row, and stay what they are.
            args |= {name: value for name, value in self._args.items() if name not in with_row}
        return args, problems

    @on(Row.Edited)
    def _row_edited(self, event: Row.Edited) -> None:
        row = event.row
        if isinstance(row, (FieldRow, MoreRow)):
            row.check(is_forced=self._is_forced)
        elif isinstance(row, OptionRow):
            row.tell(option_problem(row.option, row.text))
            self._show_fold()
        if event.is_change and not any(row.problem for row in self.query(Row)):
            self._say("", "")

    def _option_row(self, name: str) -> OptionRow:
        return next(row for row in self._option_rows if row.option == name)

    # --- text instead of fields ---

    def action_toggle_raw(self) -> None:
        """The arguments as JSON text, or as fields again; what was written goes over."""
        self.call_later(self._toggle_raw)

    async def _toggle_raw(self) -> None:
        if self._is_raw:
            args = self._read_raw()
            if args is None:
                return
            self._args, self._is_raw = args, False
            await self._make_fields()
            for row in self._rows:
                row.check(is_forced=self._is_forced)
        else:
            args, problems = self._read_fields()
            if "" in problems and self._more is not None:
                self._more.tell(problems[""])
                self._more.take_focus()
                return
            self._args, self._is_raw = args, True
            self._fill_raw()
        self._show_mode()
        self._focus_first()
        self._say("", "")

    def _read_raw(self) -> dict[str, Any] | None:
        """The arguments in the text; None where it is no JSON object, which is said."""
        try:
            return cast(dict[str, Any], self._stand_ins.restored(read_object(self._raw.text), self._args))
        except JsonTextError as error:
            lines = self._raw.document.line_count
            row = min(error.line, lines) - 1
            self._raw.move_cursor((row, min(error.column - 1, len(self._raw.document[row]))))
            self._raw.focus()
            self._say(error.message, "cell--bad")
        except InvalidArgumentsError as error:
            self._raw.focus()
            self._say(error.message, "cell--bad")
        return None

    def _fill_raw(self) -> None:
        self._raw.text = self._raw_filled = json_page(self._stand_ins.shown(self._args))

    @on(JsonArea.Changed)
    def _raw_changed(self) -> None:
        if self._message and self._raw.text != self._raw_filled:
            self._say("", "")

    def _show_mode(self) -> None:
        self.query_one("#submit-fields").display = not self._is_raw
        self._raw.display = self._is_raw
        self._show_hints()

    # --- options, force ---

    @on(Fold.Toggled)
    def _fold_toggled(self) -> None:
        self._open_options(is_open=not self.query_one("#submit-options").display)

    def action_toggle_options(self) -> None:
        """Opens the options and goes there, or closes them."""
        box = self.query_one("#submit-options")
        is_open = not box.display
        if not is_open and self.focused is not None and box in self.focused.ancestors:
            self.query_one(Fold).focus()
        self._open_options(is_open=is_open)
        if is_open:
            self.call_after_refresh(self._option_rows[0].take_focus)

    def _open_options(self, *, is_open: bool) -> None:
        self.query_one("#submit-options").display = is_open
        self._show_fold()

    def _show_fold(self) -> None:
        labels = {option.name: option.label for option in OPTIONS}
        said = " · ".join(f"{labels[row.option]} {row.text}" for row in self._option_rows if row.text)
        published = self._published
        own = published.queue if published else DEFAULT_QUEUE
        queue = "" if self._option_row("queue").text or not self._choice.text else f"queue {own}"
        words = " · ".join(filter(None, (queue, said)))
        self.query_one(Fold).show(is_open=bool(self.query_one("#submit-options").display), said=words)

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

    async def on_input_submitted(self) -> None:
        """Enter leads on; in the last field it submits."""
        if self.focused is not None:
            await self._go_on(self.focused)

    async def _go_on(self, here: Widget) -> None:
        chain = self.focus_chain
        at = next((n for n, widget in enumerate(chain) if widget is here or here in widget.ancestors), None)
        following = chain[at + 1] if at is not None and at + 1 < len(chain) else None
        is_folded = isinstance(following, Fold) and not self.query_one("#submit-options").display
        if following is None or (is_folded and here is not self._choice):
            await self._submit()
        else:
            following.focus()

    def _focus_first(self) -> None:
        """Goes to the first thing to fill in."""

        def focus() -> None:
            wrong = next((row for row in self._rows if row.problem), None)
            if self._is_raw:
                self._raw.focus()
            elif wrong is not None:
                wrong.take_focus()
            elif self._rows:
                self._rows[0].take_focus()
            elif self._more is not None:
                self._more.take_focus()
            else:
                self.query_one(Fold).focus()

        self.call_after_refresh(focus)

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

    def action_leave(self) -> None:
        """Leaves; asks first where something was typed."""
        if self._state() == self._first:
            self.dismiss(None)
        else:
            self.app.push_screen(LeaveBar(), self._left)

    def _left(self, is_leaving: bool | None) -> None:
        if is_leaving:
            self.dismiss(None)

    # --- what is said ---

    def _show_title(self) -> None:
        linked = self._draft.linked_to
        title = f"Edit and resubmit {linked}" if linked else "New task"
        forced = " · FORCED: type and arguments are not checked" if self._is_forced else ""
        self.query_one("#submit-window").border_title = Content(f"{title}{forced}").markup

    def _say(self, message: str, style: str) -> None:
        self._message, self._message_style = message, style
        self._show_message()

    def _repaint(self) -> None:
        self._show_message()
        self._show_hints()

    def _show_message(self) -> None:
        canvas = self.query_one("#submit-message", Canvas)
        canvas.display = bool(self._message)
        width = max(20, self.query_one("#submit-window").size.width - 4)
        canvas.paint(wrapped((self._message, self._message_style), width, MESSAGE_LINES))

    def _show_hints(self) -> None:
        bindings = list(self.active_bindings.values())
        hints = self.query_one("#submit-hints", Canvas)
        hints.paint([hint_line(bindings, hints.size.width or self.size.width)])


class Body(VerticalScroll, can_focus=False, inherit_bindings=False):
    """What can be scrolled; arrows lead from field to field instead."""
