"""What the form for a task is made of, and what it says; its options, which fold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen

from tq_console.tui.forms.draft import (
    OPTIONS,
    Draft,
    RecentWanted,
    Submission,
)
from tq_console.tui.forms.field_row import FieldRow, MoreRow, OptionRow
from tq_console.tui.forms.fold import Fold
from tq_console.tui.forms.json_area import JsonArea
from tq_console.tui.forms.stand_ins import StandIns
from tq_console.tui.forms.type_choice import TypeChoice
from tq_console.tui.frame.hints import hint_line
from tq_console.tui.look.canvas import Canvas
from tq_console.tui.look.wrapping import wrapped
from tq_console.view.secrets import Masker
from tq_console.view.submission import DEFAULT_QUEUE, SubmissionRules
from tq_core.roles.registry import PublishedType

MESSAGE_LINES = 3
NOTHING_PUBLISHED = "no worker has published its task types yet: type and arguments are not checked"
FORCE = "--force enqueues it all the same"


class FormParts(ModalScreen[Submission | RecentWanted | None]):
    """The widgets of the form and their state."""

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

    def _option_row(self, name: str) -> OptionRow:
        return next(row for row in self._option_rows if row.option == name)

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

    async def _submit(self) -> None:
        raise AssertionError("the screen itself ends the form")

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
