"""The type of a task and its arguments: as fields, made from what workers published, or as JSON text."""

from __future__ import annotations

from typing import Any, cast

from textual import on
from textual.widget import Widget

from tq_console.tui.forms.draft import (
    option_problem,
)
from tq_console.tui.forms.field_row import FieldRow, MoreRow, OptionRow, Row
from tq_console.tui.forms.fields import MOST_FIELDS, FieldSpec, meant, specs_of, takes_more
from tq_console.tui.forms.fold import Fold
from tq_console.tui.forms.json_area import JsonArea
from tq_console.tui.forms.json_text import JsonTextError, json_page, read_object
from tq_console.tui.forms.stand_ins import NOTHING
from tq_console.tui.forms.submit_parts import FORCE, NOTHING_PUBLISHED, FormParts
from tq_console.tui.forms.type_choice import TypeChoice, first_line
from tq_console.tui.look.canvas import Line
from tq_console.view.submission import DEFAULT_QUEUE
from tq_core.errors import InvalidArgumentsError, TqError, UnknownTaskTypeError
from tq_core.roles.registry import PublishedType


class FormArguments(FormParts):
    """Makes fields for the type that is written, reads them, and turns them into text and back."""

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

    # --- from field to field ---

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
