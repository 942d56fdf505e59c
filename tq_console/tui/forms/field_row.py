"""One row of a form: a label, a line to write on, and below it what fits or what is wrong."""

from __future__ import annotations

from typing import Any

from textual import events
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.widget import Widget

from tq_console.tui.actions.submit import same
from tq_console.tui.forms.choice import Choice
from tq_console.tui.forms.fields import FieldSpec, plain, problem_of, read, read_more, written
from tq_console.tui.forms.line_input import LineInput
from tq_console.tui.forms.schema_words import choice_word
from tq_console.tui.forms.stand_ins import LONGEST_TEXT, NOTHING, StandIns
from tq_console.tui.look.canvas import Canvas, Line
from tq_console.tui.look.wrapping import wrapped
from tq_console.view.text import ELLIPSIS, fit, json_line, visible
from tq_core.errors import InvalidArgumentsError

LABEL_CELLS = 17
LONGEST_DEFAULT = 40
PROBLEM_LINES = 3


class Row(Vertical):
    """A label, an editor, a note."""

    DEFAULT_CSS = """
    Row {
        height: auto;
    }
    Row > Horizontal {
        height: 1;
    }
    Row .row-label {
        width: 19;
        height: 1;
        padding: 0 1;
    }
    Row .row-note {
        height: auto;
        margin-left: 19;
        padding: 0 1;
    }
    """

    class Edited(Message):
        """Something stands there: what it was made with, or what somebody wrote."""

        def __init__(self, row: Row, *, is_change: bool) -> None:
            super().__init__()
            self.row, self.is_change = row, is_change

    def __init__(self, label: str, *, is_required: bool = False, note: str = "", id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self._label, self._is_required, self._note = label, is_required, note
        self.problem = ""
        self._seen: str | None = None

    @property
    def text(self) -> str:
        """What stands there."""
        raise AssertionError("each row has its own")

    @property
    def label(self) -> str:
        return self._label

    def editor(self) -> Widget:
        """What is written on."""
        raise AssertionError("each row has its own")

    def compose(self) -> ComposeResult:
        """Label and editor side by side, the note below."""
        with Horizontal():
            yield Canvas(classes="row-label")
            yield self.editor()
        yield Canvas(classes="row-note")

    def on_mount(self) -> None:
        """Paints the words."""
        self._paint_label()
        self._paint_note()
        self.call_after_refresh(self.noticed)

    def on_resize(self) -> None:
        """Cuts the words where they must be."""
        self.call_after_refresh(self._fit)

    def _fit(self) -> None:
        self._paint_label()
        self._paint_note()

    def on_descendant_focus(self) -> None:
        """Where there is little room, only the row that is written on has its note."""
        self.add_class("-here")
        self._show_whole()

    def on_descendant_blur(self) -> None:
        """As every other row."""
        self.remove_class("-here")

    def _show_whole(self) -> None:
        """The note is in sight with what is written on, once it is known how high it is."""
        self.call_after_refresh(self.scroll_visible, animate=False)

    def on_click(self, event: events.Click) -> None:
        """Anywhere on the row means its editor."""
        event.stop()
        self.take_focus()

    def noticed(self) -> None:
        """Tells the form of what stands there now; the first time it is what the row was made with."""
        text = self.text
        self.post_message(self.Edited(self, is_change=self._seen not in (None, text)))
        self._seen = text

    def take_focus(self) -> None:
        """Goes to the editor."""
        self.query(f"{LineInput.__name__}, {Choice.__name__}").first().focus()

    def tell(self, problem: str) -> None:
        """Shows what is wrong; "" when nothing is."""
        if problem != self.problem:
            self.problem = problem
            self.set_class(bool(problem), "-wrong")
            self._paint_note()
            if self.has_class("-here"):
                self._show_whole()

    def set_note(self, note: str) -> None:
        """Changes what is said where nothing is wrong."""
        self._note = note
        self._paint_note()

    def _paint_label(self) -> None:
        canvas = self.query_one(".row-label", Canvas)
        width = (canvas.size.width or LABEL_CELLS) - 2
        mark: Line = [(" *", "cell--warn")] if self._is_required else []
        canvas.paint([[(fit(visible(self._label), width if self._is_required else width + 2), "cell--bold"), *mark]])

    def _paint_note(self) -> None:
        canvas = self.query_one_optional(".row-note", Canvas)
        if canvas is None:
            return
        cells = canvas.size.width or 200
        if self.problem:
            canvas.paint(wrapped((f"✗ {self.problem}", "cell--bad"), cells, PROBLEM_LINES))
        else:
            canvas.paint([[(fit(visible(self._note), cells), "cell--dim")]])


class FieldRow(Row):
    """One argument."""

    def __init__(self, spec: FieldSpec, stand_ins: StandIns, *, value: Any = NOTHING) -> None:
        self.spec = spec
        self._stand_ins = stand_ins
        self._original = value
        self._is_json = False
        self._text = ""
        self._chosen: int | None = None
        if value is not NOTHING:
            self._chosen = next((n for n, choice in enumerate(spec.choices) if same(choice, value)), None)
            self._text, self._is_json = written(spec, stand_ins.shown(value, spec.name))
        # A value that is none of the choices is shown as it is, with what is wrong with it.
        self.is_choice = bool(spec.choices) and (value is NOTHING or self._chosen is not None)
        super().__init__(spec.name, is_required=spec.is_required, note=self._words())

    def editor(self) -> Widget:
        """A choice where the schema lists what fits, else a line."""
        prompt = "choose" if self.spec.is_required else "left out"
        if self.is_choice:
            words = [choice_word(choice) for choice in self.spec.choices]
            return Choice(words, prompt=prompt, chosen=self._chosen)
        return LineInput(
            self._text,
            placeholder="" if self.spec.is_required else prompt,
            password=self._stand_ins.is_secret(self.spec.name),
        )

    @property
    def text(self) -> str:
        """What stands there; of a choice its number."""
        if self.is_choice:
            chosen = self.query_one(Choice).chosen
            return "" if chosen is None else str(chosen)
        return self.query_one(LineInput).value

    def value(self, *, is_forced: bool = False) -> Any:
        """The value that is meant; NOTHING where the argument is left out.

        Raises:
            InvalidArgumentsError: the text means none that fits.
        """
        if self.is_choice:
            chosen = self.query_one(Choice).chosen
            return NOTHING if chosen is None else self.spec.choices[chosen]
        text = self.query_one(LineInput).value
        if self._original is not NOTHING and text == self._text:
            return self._original
        if not text:
            return NOTHING
        new = read(self.spec, text, is_json=self._is_json, is_forced=is_forced)
        return self._stand_ins.restored(new, self._original, self.spec.name)

    def check(self, *, is_forced: bool = False) -> None:
        """Shows what is wrong with what stands there now."""
        try:
            value = self.value(is_forced=is_forced)
            problem = "" if value is NOTHING or is_forced else problem_of(self.spec, value)
        except InvalidArgumentsError as error:
            problem = error.problems.get(self.spec.name, error.message)
        self.tell(plain(problem))

    def on_input_changed(self, event: LineInput.Changed) -> None:
        """Somebody writes; an emptied line is plain text again."""
        event.stop()
        if not event.value and self._is_json and event.value != self._text:
            self._is_json = False
            self.set_note(self._words())
        self.noticed()

    def on_select_changed(self, event: Choice.Changed) -> None:
        """Somebody chose."""
        event.stop()
        self.noticed()

    def on_line_input_pasted(self, event: LineInput.Pasted) -> None:
        """Several lines, or what no line can show, become JSON text; what is too long is kept whole."""
        event.stop()
        line_input = event.line_input
        start, end = sorted(line_input.selection)
        before, after = line_input.value[:start], line_input.value[end:]
        if self._is_json:
            new = before + json_line(event.text)[1:-1] + after
        elif event.text.isprintable():
            new = before + event.text + after
        else:
            new = self._on_one_line(before + event.text + after)
        if len(new) > LONGEST_TEXT:
            self._keep(new)
            return
        line_input.value = new
        line_input.cursor_position = len(new)
        self.set_note(self._words())

    def _on_one_line(self, text: str) -> str:
        """Several lines as one: of JSON what it is, of any other text a text as JSON writes it."""
        try:
            value = read(self.spec, text, is_json=False)
        except InvalidArgumentsError:
            value = text
        self._is_json = isinstance(value, str)
        return json_line(value)

    def _keep(self, text: str) -> None:
        """Takes a text that is too long to be edited for the value that it means."""
        try:
            value = read(self.spec, text, is_json=self._is_json)
        except InvalidArgumentsError as error:
            self.tell(plain(error.problems.get(self.spec.name, error.message)))
            return
        self._original = value
        self._text, self._is_json = written(self.spec, self._stand_ins.shown(value, self.spec.name))
        self.query_one(LineInput).value = self._text
        self.set_note(self._words())

    def _words(self) -> str:
        spec = self.spec
        parts = [spec.words + (", written as JSON" if self._is_json and "JSON" not in spec.words else "")]
        if spec.default is not NOTHING:
            default = json_line(self._stand_ins.shown(spec.default, spec.name))
            cut = default if len(default) <= LONGEST_DEFAULT else default[:LONGEST_DEFAULT] + ELLIPSIS
            parts.append(f"default {cut}")
        if spec.description:
            parts.append(spec.description)
        if len(visible(spec.name)) > LABEL_CELLS - 2:
            parts.append(f"({visible(spec.name)})")
        return " · ".join(parts)


class MoreRow(Row):
    """Arguments that have no row of their own."""

    def __init__(self, spec: FieldSpec, *, is_only: bool) -> None:
        self.spec = spec
        words = 'key=value words, or a JSON object: {"key": "value"}'
        super().__init__("arguments" if is_only else "more", note=words, id="submit-more")

    def editor(self) -> Widget:
        """A line."""
        return LineInput(placeholder="none")

    @property
    def text(self) -> str:
        """What stands there."""
        return self.query_one(LineInput).value

    def value(self, *, is_forced: bool = False) -> dict[str, Any]:
        """The arguments.

        Raises:
            InvalidArgumentsError: they cannot be read, or do not fit.
        """
        return read_more(self.spec.root, self.text, is_forced=is_forced) if self.text.strip() else {}

    def check(self, *, is_forced: bool = False) -> None:
        """Shows what is wrong with what stands there now."""
        try:
            found = self.value(is_forced=is_forced)
            problems = {} if is_forced else {name: problem_of(self.spec_of(name), v) for name, v in found.items()}
            problem = next((f"{name}: {plain(said)}" for name, said in problems.items() if said), "")
        except InvalidArgumentsError as error:
            problem = error.message
        self.tell(problem)

    def spec_of(self, name: str) -> FieldSpec:
        """One of its arguments."""
        return FieldSpec(name, self.spec.root)

    def on_input_changed(self, event: LineInput.Changed) -> None:
        """Somebody writes."""
        event.stop()
        self.noticed()

    def on_line_input_pasted(self, event: LineInput.Pasted) -> None:
        """Line ends are spaces between words, and in JSON."""
        event.stop()
        event.line_input.replace(visible(" ".join(event.text.split())), *event.line_input.selection)


class OptionRow(Row):
    """One option of the task."""

    def __init__(self, name: str, label: str, note: str, *, value: str) -> None:
        self.option = name
        self._value = value
        super().__init__(label, note=note, id=f"submit-{name.replace('_', '-')}")

    def editor(self) -> Widget:
        """A line."""
        return LineInput(self._value)

    @property
    def text(self) -> str:
        """What stands there."""
        return self.query_one(LineInput).value.strip()

    def write(self, text: str) -> None:
        """Puts a text there."""
        self.query_one(LineInput).value = text

    def on_input_changed(self, event: LineInput.Changed) -> None:
        """Somebody writes."""
        event.stop()
        self.noticed()

    def on_line_input_pasted(self, event: LineInput.Pasted) -> None:
        """One line of it."""
        event.stop()
        event.line_input.replace(visible(" ".join(event.text.split())), *event.line_input.selection)
