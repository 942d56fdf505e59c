"""The form for a new task: nothing leaves it that `tq submit` would refuse; nothing on it is obeyed or betrayed."""

from __future__ import annotations

import re
import shlex
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from textual import events, work
from textual.app import App
from textual.pilot import Pilot
from textual.widget import Widget

from tests.queue_driver import QueueDriver
from tests.waiting import wait_until_async
from tq_console.tui.actions.performing import Performed, Performer
from tq_console.tui.actions.submit import same, submit, submit_command
from tq_console.tui.forms.choice import Choice
from tq_console.tui.forms.draft import line_from, option_problem
from tq_console.tui.forms.field_row import FieldRow, OptionRow
from tq_console.tui.forms.fields import FieldSpec, read, read_more, specs_of, written
from tq_console.tui.forms.json_area import JsonArea
from tq_console.tui.forms.json_text import JsonTextError, json_page, read_object
from tq_console.tui.forms.leave_bar import LeaveBar
from tq_console.tui.forms.line_input import LineInput
from tq_console.tui.forms.open_form import open_submit
from tq_console.tui.forms.schema_words import choices, type_words
from tq_console.tui.forms.stand_ins import NOTHING, StandIns
from tq_console.tui.forms.submit_screen import SubmitScreen
from tq_console.tui.forms.type_choice import TypeInput, TypeList, matching
from tq_console.tui.look.canvas import Canvas
from tq_console.tui.watch.link import Link
from tq_console.view.secrets import Masker
from tq_console.view.submission import SubmissionRules, TaskLine, line_of
from tq_core.errors import InvalidArgumentsError
from tq_core.model import TaskState, TaskView
from tq_core.roles import inspector, operator, producer, registry
from tq_core.roles.registry import PublishedType
from tq_core.settings import resolve_broker

SEND_MAIL = PublishedType(
    name="send_mail",
    queue="mail",
    doc="Sends one mail.\n\nAnd more.",
    max_attempts=7,
    schema={
        "type": "object",
        "properties": {
            "to": {"type": "string", "description": "who gets it"},
            "copies": {"type": "integer", "minimum": 1, "default": 1},
            "format": {"enum": ["html", "text"], "default": "text"},
            "urgent": {"type": "boolean"},
            "tags": {"type": "array", "items": {"type": "string"}},
            "password": {"type": "string"},
        },
        "required": ["to"],
        "additionalProperties": False,
    },
)
RESIZE = PublishedType(name="resize", queue="images", doc="Scales an image.")
HOSTILE = "\x1b]0;owned\x07[/foo]\u202e\n"


class Host(App[None]):
    """Opens one form over a real queue."""

    def __init__(self, link: Link, *, from_id: str | None, queue: str | None) -> None:
        super().__init__()
        self.link = link
        self.performed: list[Performed] = []
        self.is_done = False
        self._from_id, self._queue = from_id, queue

    def on_mount(self) -> None:
        self.open_form()

    @work
    async def open_form(self) -> None:
        performer = Performer(self, self.link, on_done=self.performed.append, on_progress=lambda _: None)
        await open_submit(self, self.link, performer, from_id=self._from_id, queue=self._queue)
        self.is_done = True


class Form:
    """A form that is on screen."""

    def __init__(self, app: Host, pilot: Pilot[None]) -> None:
        self.app, self.pilot = app, pilot

    @property
    def screen(self) -> SubmitScreen:
        return next(screen for screen in self.app.screen_stack if isinstance(screen, SubmitScreen))

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)
        await self.pilot.pause()

    async def write(self, text: str) -> None:
        """Types a text."""
        await self.press(*("space" if c == " " else c for c in text))

    async def until(self, predicate: Callable[[], Any], what: str) -> Any:
        async def asked() -> Any:
            await self.pilot.pause()
            return predicate()

        return await wait_until_async(asked, 10, what)

    async def choose(self, name: str) -> None:
        """Writes a type and takes it."""
        await self.write(name)
        await self.press("enter")
        await self.until(lambda: self.screen._fields_of == name, f"the fields of {name}")
        await self.until(lambda: not isinstance(self.app.focused, TypeInput), "the focus to go on")

    def row(self, name: str) -> FieldRow:
        return next(row for row in self.screen.query(FieldRow) if row.spec.name == name)

    def option(self, name: str) -> OptionRow:
        return next(row for row in self.screen.query(OptionRow) if row.option == name)

    def fill(self, name: str, text: str) -> None:
        """Puts a text into a field at once."""
        self.row(name).query_one(LineInput).value = text

    @property
    def shown(self) -> str:
        """What is on screen."""
        width, height = self.app.size
        lines = self.app.screen._compositor.render_strips(self.app.size)[:height]
        return "\n".join("".join(segment.text for segment in strip)[:width] for strip in lines)

    @property
    def message(self) -> str:
        return " ".join(self.screen.query_one("#submit-message", Canvas).text.split())

    @property
    def about(self) -> str:
        return " ".join(self.screen.query_one("#submit-about", Canvas).text.split())

    def holds(self, name: str, text: str) -> bool:
        return text in self.row(name).text

    def is_in_sight(self, widget: Widget) -> bool:
        return self.app.screen.find_widget(widget).visible_region.height > 0

    async def performed(self) -> Performed:
        await self.until(lambda: self.app.performed, "the task to be enqueued")
        return self.app.performed[-1]


@asynccontextmanager
async def form_on(
    q: QueueDriver,
    *types: PublishedType,
    size: tuple[int, int] = (80, 24),
    from_id: str | None = None,
    queue: str | None = None,
) -> AsyncIterator[Form]:
    """Opens the form over the driver's queue; `types` have been published."""
    q.run(registry.publish_types(types))
    link = Link(resolve_broker(q.url), actor="ann")
    app = Host(link, from_id=from_id, queue=queue)
    try:
        async with app.run_test(size=size) as pilot:
            form = Form(app, pilot)
            await form.until(lambda: isinstance(app.screen, SubmitScreen) and app.screen._first is not None, "the form")
            yield form
    finally:
        await link.aclose()


def only_task(q: QueueDriver, state: TaskState = TaskState.PENDING) -> TaskView:
    (view,) = q.run(inspector.list_tasks([q.queue], [state], limit=5, payload_max=2_000_000)).tasks
    return view


# --- the type ---


async def test_typing_narrows_the_types_and_enter_takes_the_marked_one(q: QueueDriver) -> None:
    async with form_on(q, SEND_MAIL, RESIZE) as form:
        listed = form.screen.query_one(TypeList)
        assert "send_mail" in listed.text
        assert "Scales an image." in listed.text
        await form.write("end")
        await form.until(lambda: "resize" not in listed.text, "a shorter list")
        assert "Sends one mail." in listed.text
        assert "And more" not in listed.text
        await form.press("tab")
        await form.until(lambda: form.screen._fields_of == "send_mail", "its fields")
        assert [row.spec.name for row in form.screen.query(FieldRow)] == list(SEND_MAIL.schema["properties"])
        await form.until(lambda: form.row("to").query_one(LineInput).has_focus, "the focus on the first field")


async def test_the_arrows_choose_another_type(q: QueueDriver) -> None:
    async with form_on(q, SEND_MAIL, RESIZE) as form:
        await form.press("down", "enter")
        await form.until(lambda: form.screen._fields_of == "send_mail", "the second of them")


async def test_an_unknown_type_is_refused_with_the_nearest_names_and_can_be_forced(q: QueueDriver) -> None:
    async with form_on(q, SEND_MAIL, queue="mail") as form:
        await form.write("send_mial")
        assert "send_mail" in form.screen.query_one(TypeList).text
        await form.press("ctrl+s")
        assert "did you mean send_mail?" in form.about
        assert "ctrl+g" in form.about
        assert "--force" not in form.about
        assert q.depths() == {}
        await form.press("ctrl+g")
        assert "FORCED" in form.shown
        await form.press("ctrl+s")
        performed = await form.performed()
        assert performed.command == "tq submit send_mial --queue mail --force"
        assert only_task(q).type == "send_mial"


async def test_where_nothing_is_published_any_type_goes_with_a_warning(q: QueueDriver) -> None:
    async with form_on(q, queue="mail") as form:
        assert "no worker has published" in form.about
        await form.write("greet")
        await form.press("enter")
        await form.until(lambda: form.screen.query("#submit-more"), "a line for the arguments")
        await form.until(lambda: not isinstance(form.app.focused, TypeInput), "the focus to go on")
        assert "not checked" in form.about
        await form.write("""n=5 name='ana b' tags='["x"]'""")
        await form.press("enter")
        await form.performed()
        assert only_task(q).args == {"n": 5, "name": "ana b", "tags": ["x"]}


async def test_a_published_type_goes_to_its_own_queue_wherever_the_cursor_was(q: QueueDriver) -> None:
    async with form_on(q, SEND_MAIL, queue="elsewhere") as form:
        await form.choose("send_mail")
        await form.write("ana")
        await form.press("ctrl+s")
        assert (await form.performed()).title == "Submit send_mail to mail"


def test_the_types_of_the_queue_at_hand_come_first() -> None:
    types = {one.name: one for one in (RESIZE, SEND_MAIL)}
    assert [one.name for one in matching(types, "", "mail")] == ["send_mail", "resize"]
    assert [one.name for one in matching(types, "", "images")] == ["resize", "send_mail"]


# --- the fields ---


async def test_a_filled_form_becomes_a_task(q: QueueDriver) -> None:
    async with form_on(q, SEND_MAIL) as form:
        await form.choose("send_mail")
        await form.write("123")
        await form.press("down")
        await form.write("2")
        form.fill("tags", '["a","b"]')
        form.screen.query(Choice).first().value = 0
        await form.press("ctrl+s")
        performed = await form.performed()
        task = only_task(q)
        assert task.args == {"to": "123", "copies": 2, "format": "html", "tags": ["a", "b"]}
        assert (task.max_attempts, task.options.submitted_by) == (7, "ann")
        assert task.id in performed.told.text
        command = """tq submit send_mail to=123 copies=2 format=html 'tags=["a","b"]'"""
        assert performed.command == command
        await form.until(lambda: form.app.is_done, "the form to be closed")


async def test_what_is_wrong_is_said_beside_the_field_while_it_is_typed(q: QueueDriver) -> None:
    async with form_on(q, SEND_MAIL) as form:
        await form.choose("send_mail")
        await form.press("down")
        await form.write("x")
        await form.until(lambda: form.row("copies").problem, "a problem")
        assert "✗ expected a whole number" in form.shown
        await form.press("backspace")
        await form.write("3")
        await form.until(lambda: not form.row("copies").problem, "no problem")


async def test_missing_fields_are_found_on_submit_and_nothing_is_written(q: QueueDriver) -> None:
    async with form_on(q, SEND_MAIL) as form:
        await form.choose("send_mail")
        form.fill("copies", "0")
        await form.press("ctrl+s")
        assert form.row("to").problem.startswith("missing")
        assert ">= 1" in form.row("copies").problem
        assert "2 fields are not right" in form.message
        await form.until(lambda: form.row("to").query_one(LineInput).has_focus, "the focus on the first of them")
        assert q.depths() == {}


async def test_enter_leads_on_and_submits_from_the_last_field(q: QueueDriver) -> None:
    one = PublishedType(
        name="greet",
        queue="mail",
        schema={"properties": {"a": {"type": "string"}, "b": {"type": "string"}}, "additionalProperties": False},
    )
    async with form_on(q, one) as form:
        await form.choose("greet")
        await form.write("x")
        await form.press("enter")
        assert form.row("b").query_one(LineInput).has_focus
        await form.write("y")
        await form.press("enter")
        await form.performed()
        assert only_task(q).args == {"a": "x", "b": "y"}


async def test_a_choice_is_made_with_enter_and_letters(q: QueueDriver) -> None:
    async with form_on(q, SEND_MAIL) as form:
        await form.choose("send_mail")
        await form.write("ana")
        await form.press("down", "down")
        assert isinstance(form.app.focused, Choice)
        await form.press("enter", *"text", "enter")
        await form.until(lambda: form.row("format").value() == "text", "the choice")
        await form.press("down", "enter", "down", "enter")
        await form.until(lambda: form.row("urgent").value() is True, "the other choice")
        await form.press("ctrl+s")
        await form.performed()
        assert only_task(q).args == {"to": "ana", "format": "text", "urgent": True}


async def test_a_form_that_is_forced_checks_no_arguments(q: QueueDriver) -> None:
    async with form_on(q, SEND_MAIL) as form:
        await form.choose("send_mail")
        form.fill("copies", "many")
        await form.press("ctrl+g", "ctrl+s")
        assert (await form.performed()).command == "tq submit send_mail copies=many --force"
        assert only_task(q).args == {"copies": "many"}


@pytest.mark.slow
async def test_pasted_lines_are_kept_as_json_text(q: QueueDriver) -> None:
    async with form_on(q, SEND_MAIL) as form:
        await form.choose("send_mail")
        assert form.app.focused is not None
        form.app.focused.post_message(events.Paste(f"first\nsecond{HOSTILE}"))
        await form.until(lambda: form.row("to").text, "the paste")
        assert form.shown.replace("\n", "").isprintable()
        await form.press("ctrl+s")
        await form.performed()
        assert only_task(q).args == {"to": f"first\nsecond{HOSTILE}".removesuffix("\n")}


async def test_pasted_json_is_the_value_that_it_is(q: QueueDriver) -> None:
    async with form_on(q, SEND_MAIL) as form:
        await form.choose("send_mail")
        await form.write("ana")
        form.row("tags").query_one(LineInput).post_message(events.Paste('[\n  "a",\n  "b"\n]\n'))
        await form.until(partial(form.holds, "tags", '["a","b"]'), "one line of it")
        await form.press("ctrl+s")
        await form.performed()
        assert only_task(q).args == {"to": "ana", "tags": ["a", "b"]}


@pytest.mark.slow
async def test_what_is_pasted_and_too_long_for_a_line_is_kept_whole(q: QueueDriver) -> None:
    async with form_on(q, SEND_MAIL) as form:
        await form.choose("send_mail")
        for text, name in (("x" * 500_000, "to"), ('["' + "y" * 5000 + '",\n"z"]', "tags")):
            form.row(name).query_one(LineInput).post_message(events.Paste(text))
            await form.until(partial(form.holds, name, "kept whole"), "the stand-in")
        await form.press("ctrl+s")
        assert "of JSON on stdin" in (await form.performed()).command
        assert only_task(q).args == {"to": "x" * 500_000, "tags": ["y" * 5000, "z"]}


# --- JSON instead of fields ---


@pytest.mark.slow
async def test_values_go_over_to_json_and_back(q: QueueDriver) -> None:
    async with form_on(q, SEND_MAIL) as form:
        await form.choose("send_mail")
        form.fill("to", "ana")
        form.fill("copies", "0")
        await form.press("ctrl+t")
        area = form.screen.query_one(JsonArea)
        assert read_object(area.text) == {"to": "ana", "copies": 0}
        area.text = '{"to": "", "tags": ["x"], "urgent": false}'
        await form.press("ctrl+t")
        assert [form.row(name).text for name in ("to", "copies", "tags")] == ['""', "", '["x"]']
        assert form.row("urgent").value() is False
        await form.press("ctrl+s")
        assert "--data" not in (await form.performed()).command
        assert only_task(q).args == {"to": "", "tags": ["x"], "urgent": False}


async def test_invalid_json_says_where_and_stays(q: QueueDriver) -> None:
    async with form_on(q, SEND_MAIL) as form:
        await form.choose("send_mail")
        await form.press("ctrl+t")
        area = form.screen.query_one(JsonArea)
        area.text = '{"to": "ana",\n "copies" 2}'
        for key in ("ctrl+t", "ctrl+s"):
            await form.press(key)
            assert "line 2, column 11: expected ':'" in form.message
            assert area.display
            assert area.cursor_location == (1, 10)
        assert q.depths() == {}
        area.text = '{"copies": 0, "cc": 1}'
        await form.press("ctrl+s")
        for said in ("to: missing", "copies: expected a whole number >= 1", "cc: this type does not take it"):
            assert said in form.message
        area.text = '{"to": "ana"}'
        await form.press("ctrl+s")
        assert (await form.performed()).command == """tq submit send_mail --data '{"to":"ana"}'"""


# --- options ---


async def test_options_reach_the_task_and_the_command(q: QueueDriver) -> None:
    async with form_on(q, SEND_MAIL, RESIZE) as form:
        await form.choose("resize")
        await form.press("ctrl+o")
        await form.until(lambda: form.option("queue").query_one(LineInput).has_focus, "the options")
        for name, text in {
            "queue": "mail",
            "priority": "high",
            "delay": "1h30m",
            "max_attempts": "2",
            "timeout": "5m",
            "unique": "a b",
            "id": "monday",
        }.items():
            form.option(name).write(text)
        await form.press("ctrl+s")
        performed = await form.performed()
        task = only_task(q, TaskState.SCHEDULED)
        assert (task.id, task.priority, task.max_attempts) == ("monday@mail", 50, 2)
        assert (task.options.timeout_s, task.unique_key) == (300, "a b")
        assert performed.command == (
            "tq submit resize --queue mail --priority high --delay 1h30m --max-attempts 2 --timeout 5m "
            "--unique 'a b' --id monday"
        )


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("queue", "no spaces", "queue"),
        ("priority", "urgent", "critical, high"),
        ("delay", "soon", "1h30m"),
        ("at", "someday", "2030-01-31"),
        ("max_attempts", "0", "1 to 1000"),
        ("max_attempts", "x", "whole number"),
        ("timeout", "0", "above 0"),
        ("id", "no/slash", "id"),
    ],
)
def test_each_option_says_what_is_wrong_with_it(name: str, text: str, said: str) -> None:
    assert said in option_problem(name, text)


async def test_a_wrong_option_is_refused_beside_its_field(q: QueueDriver) -> None:
    async with form_on(q, SEND_MAIL) as form:
        await form.choose("send_mail")
        await form.write("ana")
        row = form.option("timeout")
        row.write("soon")
        await form.until(lambda: row.problem, "a problem")
        await form.press("ctrl+s")
        await form.until(lambda: row.query_one(LineInput).has_focus, "the focus on it")
        await form.until(lambda: "✗ timeout 'soon'" in form.shown, "what is wrong")
        assert "timeout" in form.message
        assert q.depths() == {}


# --- how it ends ---


async def test_a_held_unique_key_names_its_holder_and_the_form_is_open_again(q: QueueDriver) -> None:
    holder = q.put_one(unique_key="k")
    async with form_on(q, SEND_MAIL) as form:
        await form.choose("send_mail")
        await form.write("ana")
        form.option("unique").write("k")
        await form.press("ctrl+s")
        performed = await form.performed()
        assert holder in performed.told.text
        assert not performed.told.is_good
        await form.until(lambda: isinstance(form.app.screen, SubmitScreen), "the form again")
        await form.until(lambda: form.row("to").text == "ana", "what was typed")
        assert holder in form.message
        form.option("unique").write("")
        await form.press("ctrl+s")
        await form.until(lambda: form.app.is_done, "the second time to be right")
        assert q.depths() == {"pending": 2}


async def test_an_id_that_is_there_already_is_no_second_task(q: QueueDriver) -> None:
    q.put_one(name="monday")
    async with form_on(q, SEND_MAIL) as form:
        await form.choose("send_mail")
        await form.write("ana")
        form.option("id").write("monday")
        await form.press("ctrl+s")
        assert (await form.performed()).told.text == "monday@mail was there already: nothing was added"
        assert q.depths() == {"pending": 1}


async def test_a_full_queue_says_so_and_keeps_what_was_typed(q: QueueDriver) -> None:
    q.put_one()
    q.run(operator.configure_queue("mail", {"max_size": 1}, actor="t"))
    async with form_on(q, SEND_MAIL) as form:
        await form.choose("send_mail")
        await form.write("ana")
        await form.press("ctrl+t", "ctrl+s")
        assert "at most 1" in (await form.performed()).told.text
        await form.until(lambda: isinstance(form.app.screen, SubmitScreen) and form.message, "the form again")
        assert read_object(form.screen.query_one(JsonArea).text) == {"to": "ana"}


async def test_escape_leaves_at_once_where_nothing_was_typed(q: QueueDriver) -> None:
    async with form_on(q, SEND_MAIL) as form:
        await form.press("escape")
        await form.until(lambda: form.app.is_done, "the form to be closed")


async def test_escape_asks_where_something_was_typed(q: QueueDriver) -> None:
    async with form_on(q, SEND_MAIL) as form:
        await form.write("s")
        await form.press("escape")
        await form.until(lambda: isinstance(form.app.screen, LeaveBar), "the question")
        await form.press("n")
        await form.until(lambda: isinstance(form.app.screen, SubmitScreen), "the form")
        await form.press("escape", "y")
        await form.until(lambda: form.app.is_done, "the form to be closed")
        assert q.depths() == {}


@pytest.mark.parametrize("key", ["y", "n"])
async def test_a_second_answer_that_is_on_its_way_ends_nothing_else(q: QueueDriver, key: str) -> None:
    async with form_on(q, SEND_MAIL) as form:
        await form.write("s")
        await form.press("escape")
        await form.until(lambda: isinstance(form.app.screen, LeaveBar), "the question")
        question = form.app.screen
        for _ in range(3):
            question.post_message(events.Key(key, key))
        if key == "y":
            await form.until(lambda: form.app.is_done, "the form to be closed")
        else:
            await form.until(lambda: isinstance(form.app.screen, SubmitScreen), "the form")
            await form.pilot.pause()
            assert isinstance(form.app.screen, SubmitScreen)


async def test_a_read_only_console_opens_no_form(q: QueueDriver) -> None:
    link = Link(resolve_broker(q.url), actor="ann", is_read_only=True)
    app = Host(link, from_id=None, queue=None)
    async with app.run_test(notifications=True) as pilot:
        form = Form(app, pilot)
        await form.until(lambda: app.is_done, "the refusal")
        assert ["read-only" in notice.message for notice in app._notifications] == [True]


async def test_a_task_that_is_gone_is_said_to_be(q: QueueDriver) -> None:
    link = Link(resolve_broker(q.url), actor="ann")
    app = Host(link, from_id="nothing@mail", queue=None)
    try:
        async with app.run_test(notifications=True) as pilot:
            form = Form(app, pilot)
            await form.until(lambda: app.is_done, "the refusal")
            assert ["nothing@mail" in notice.message for notice in app._notifications] == [True]
    finally:
        await link.aclose()


# --- edit and resubmit ---


async def test_a_task_is_asked_for_again_with_a_change_and_linked(q: QueueDriver) -> None:
    old = producer.new_task("send_mail", {"to": "ana", "copies": 2}, priority="high", max_attempts=3)
    (enqueued,) = q.put(old)
    async with form_on(q, SEND_MAIL, from_id=enqueued.task_id) as form:
        assert f"Edit and resubmit {enqueued.task_id}" in form.shown
        assert [form.row(name).text for name in ("to", "copies")] == ["ana", "2"]
        assert [form.option(name).text for name in ("queue", "priority", "max_attempts")] == ["mail", "high", "3"]
        await form.until(lambda: form.row("to").query_one(LineInput).has_focus, "the focus on the first field")
        await form.write("bob")
        await form.press("ctrl+s")
        performed = await form.performed()
        assert performed.command == f"tq submit send_mail --from {enqueued.task_id} to=bob"
        tasks = q.run(inspector.list_tasks(["mail"], [TaskState.PENDING], limit=5)).tasks
        new = next(task for task in tasks if task.id != enqueued.task_id)
        assert (new.args, new.priority, new.max_attempts) == ({"to": "bob", "copies": 2}, 50, 3)
        assert new.options.linked_to == enqueued.task_id


async def test_arguments_that_no_longer_fit_are_marked_and_can_be_left_out(q: QueueDriver) -> None:
    (enqueued,) = q.put(producer.new_task("send_mail", {"to": 5, "cc": "x"}))
    async with form_on(q, SEND_MAIL, from_id=enqueued.task_id) as form:
        await form.press("ctrl+s")
        assert "expected text" in form.row("to").problem
        assert "does not take it" in form.row("cc").problem
        form.fill("to", "")
        await form.until(lambda: not form.row("to").problem, "an empty field")
        form.fill("to", "ana")
        form.fill("cc", "")
        await form.press("ctrl+s")
        assert """--data '{"to":"ana"}'""" in (await form.performed()).command


async def test_secrets_are_never_on_screen_and_stay_what_they_are(q: QueueDriver) -> None:
    args = {"to": "redis://u:p4ss@host/", "password": "hunter2", "deep": {"token": "t0k3n", "n": 1}}
    task_type = PublishedType(name="open", queue="mail")
    (enqueued,) = q.put(producer.new_task("open", args))
    async with form_on(q, task_type, size=(120, 40), from_id=enqueued.task_id) as form:
        seen = form.shown
        await form.press("ctrl+t")
        seen += form.shown
        area = form.screen.query_one(JsonArea)
        area.text = area.text.replace('"n": 1', '"n": 2')
        await form.press("ctrl+s")
        performed = await form.performed()
        seen += performed.command + performed.told.text
        assert "***" in seen
        assert not re.search("p4ss|hunter2|t0k3n", seen)
        tasks = q.run(inspector.list_tasks(["mail"], [TaskState.PENDING], limit=5, payload_max=1000)).tasks
        new = next(task for task in tasks if task.id != enqueued.task_id)
        assert new.args == {**args, "deep": {"token": "t0k3n", "n": 2}}


async def test_a_mask_that_was_changed_is_never_enqueued(q: QueueDriver) -> None:
    (enqueued,) = q.put(producer.new_task("send_mail", {"to": "redis://u:p4ss@host/", "password": "hunter2"}))
    async with form_on(q, SEND_MAIL, from_id=enqueued.task_id) as form:
        form.fill("to", "redis://u:***@other/")
        form.fill("password", "***x")
        for keys in (["ctrl+s"], ["ctrl+g", "ctrl+s"]):
            await form.press(*keys)
            assert "hides a secret" in form.row("to").problem
            assert "hides a secret" in form.row("password").problem
        assert q.depths() == {"pending": 1}


# --- whatever comes ---

ODD_SCHEMAS: dict[str, Mapping[str, Any]] = {
    "nothing said": {},
    "properties are no object": {"properties": [1], "required": "to", "additionalProperties": 7},
    "a property is no schema": {"properties": {"a": 5, "b": None, "c": True}},
    "circles": {"properties": {"a": {"$ref": "#/$defs/A"}}, "$defs": {"A": {"$ref": "#/$defs/A"}}},
    "nested circle": {
        "properties": {"a": {"$ref": "#/$defs/A"}},
        "$defs": {"A": {"anyOf": [{"$ref": "#/$defs/A"}, {"type": "null"}]}},
    },
    "oneOf": {"properties": {"a": {"oneOf": [{"type": "string"}, {"type": ["integer", "null"]}]}}},
    "odd enum": {"properties": {"a": {"enum": []}, "b": {"enum": [[1], {}]}, "c": {"enum": [1, 1.0, True, None, "1"]}}},
    "markup": {"properties": {"[/foo]": {"type": "[red]", "default": "[/]", "description": HOSTILE}, HOSTILE: {}}},
    "very many": {"properties": {f"p{n}": {"type": "integer"} for n in range(500)}},
}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if n % 4 == 0 else pytest.mark.slow) for n, name in enumerate(ODD_SCHEMAS)]
)
async def test_an_odd_schema_is_a_form_all_the_same(q: QueueDriver, name: str) -> None:
    odd = PublishedType(name="odd", queue="mail", schema=dict(ODD_SCHEMAS[name]))
    async with form_on(q, odd, size=(60, 16)) as form:
        await form.choose("odd")
        await form.press("ctrl+t")
        form.screen.query_one(JsonArea).text = '{"a": null, "z": [1, {"y": 2}]}'
        await form.press("ctrl+t")
        assert form.shown.replace("\n", "").isprintable()
        await form.press("ctrl+g", "ctrl+s")
        await form.performed()
        assert only_task(q).args == {"a": None, "z": [1, {"y": 2}]}


def nested(depth: int) -> dict[str, Any]:
    found: dict[str, Any] = {"end": 1}
    for _ in range(depth):
        found = {"a": found}
    return found


WHATEVER: dict[str, dict[str, Any]] = {
    "a text of a mebibyte": {"text": "x" * 1_000_000, "n": 1},
    "a long list": {"rows": list(range(100_000))},
    "deep": nested(400),
    "hostile": {"[/foo]": "[bold]", HOSTILE: HOSTILE, "": [], "k" * 300: "漢" * 100, "a=b": "-c"},
    "more fields than are shown": {f"k{n}": n for n in range(300)},
}


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.slow) if n.startswith("more") else n for n in WHATEVER]
)
async def test_whatever_a_task_holds_can_be_submitted_again_and_is_the_same(q: QueueDriver, name: str) -> None:
    args = WHATEVER[name]
    (enqueued,) = q.put(producer.new_task("open", args))
    async with form_on(q, PublishedType(name="open", queue="mail"), from_id=enqueued.task_id) as form:
        assert form.shown.replace("\n", "").isprintable()
        await form.press("ctrl+t")
        assert form.shown.replace("\n", "").isprintable()
        await form.press("ctrl+t", "ctrl+s")
        performed = await form.performed()
        assert performed.command == f"tq submit open --from {enqueued.task_id}"
        for task in q.run(inspector.list_tasks(["mail"], [TaskState.PENDING], limit=5, payload_max=2_000_000)).tasks:
            assert task.args == args


@pytest.mark.parametrize(
    "size", [(60, 16), *(pytest.param(size, marks=pytest.mark.slow) for size in ((80, 24), (120, 40)))]
)
async def test_the_focus_is_always_in_sight(q: QueueDriver, size: tuple[int, int]) -> None:
    async with form_on(q, SEND_MAIL, size=size) as form:
        await form.choose("send_mail")
        await form.press("ctrl+o")
        seen = []
        for _ in range(len(form.screen.focus_chain)):
            await form.press("up")
            focused = form.app.focused
            assert focused is not None
            await form.until(partial(form.is_in_sight, focused), "it in sight")
            seen.append(focused)
            if isinstance(focused, TypeInput):
                break
        assert len(seen) > 5
        assert "ctrl+s submit" in form.shown


# --- pure parts ---

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)
property_schemas = st.sampled_from(
    [
        {},
        {"type": "string"},
        {"type": "integer"},
        {"type": "boolean"},
        {"anyOf": [{"type": "string"}, {"type": "null"}]},
    ]
)


@given(json_values, property_schemas)
def test_a_written_value_is_read_as_the_same_or_refused(value: Any, wanted: dict[str, Any]) -> None:
    (spec,) = specs_of({"properties": {"f": wanted}})
    text, is_json = written(spec, value)
    assert text.isprintable()
    try:
        found = read(spec, text, is_json=is_json)
    except InvalidArgumentsError:
        return
    assert same(found, value)


@given(st.dictionaries(st.text(max_size=6) | st.sampled_from(["password", "url"]), json_values, max_size=4))
def test_what_is_shown_and_left_alone_is_the_value_again(args: dict[str, Any]) -> None:
    stand_ins = StandIns(Masker())
    page = json_page(stand_ins.shown(args))
    assert page.replace("\n", "").isprintable()
    assert same(stand_ins.restored(read_object(page), args), args)


def test_a_stand_in_that_moved_is_refused() -> None:
    stand_ins = StandIns(Masker())
    args = {"long": "x" * 5000, "password": "p", "n": 1}
    shown = stand_ins.shown(args)
    assert shown == {"long": "⟪4.9 KiB of text, kept whole⟫", "password": "***", "n": 1}
    for moved in ({"other": shown["long"]}, {"long": shown["long"] + "!"}, {"token": "***"}):
        with pytest.raises(InvalidArgumentsError):
            stand_ins.restored(moved, args)
    assert stand_ins.restored({"note": "***"}, NOTHING) == {"note": "***"}


@pytest.mark.parametrize(
    ("text", "line", "column"),
    [('{"a": ', 1, 7), ('{\n"a": 1,\n}', 3, 1), ('{"é": x}', 1, 7), ("[1]", 1, 1), ("[" * 5000, 1, 1)],
)
def test_json_that_is_none_says_where(text: str, line: int, column: int) -> None:
    with pytest.raises(JsonTextError) as caught:
        read_object(text)
    assert (caught.value.line, caught.value.column) == (line, column)


def test_arguments_without_fields_are_words_or_an_object() -> None:
    assert read_more({}, "a=1 b='x y'") == {"a": 1, "b": "x y"}
    assert read_more({}, ' {"a": [1]}') == {"a": [1]}
    for wrong in ("a", "a=1 a=2", "a='x", "{", "=1"):
        with pytest.raises(InvalidArgumentsError):
            read_more({}, wrong)


@pytest.mark.parametrize(
    ("schema", "words", "listed"),
    [
        ({"type": "integer", "minimum": 1}, "whole number from 1", ()),
        ({"type": "boolean"}, "true or false", (True, False)),
        ({"enum": ["a", 1]}, "one of a, 1", ("a", 1)),
        ({"anyOf": [{"enum": ["a"]}, {"type": "null"}]}, "one of a or null", ("a", None)),
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, "text or null", ()),
        ({"type": "array", "items": {"type": "string"}}, "list of text, as JSON", ()),
        ({"type": "null"}, "null", ()),
        ({"type": "string", "format": "date"}, "date like 2030-01-31", ()),
        (True, "anything", ()),
    ],
)
def test_a_schema_is_said_in_words(schema: Any, words: str, listed: tuple[Any, ...]) -> None:
    assert type_words(schema, {}) == words
    assert choices(schema, {}) == listed


def command(args: dict[str, Any], *, before: TaskLine | None = None, **options: str) -> str:
    line = line_from("t", args, options, linked_to=before.linked_to if before else None)
    queue, task = SubmissionRules({}, submitted_by="", is_forced=False).checked(line)
    return submit_command(queue, task, line, masker=Masker(), schema={}, before=before)


def test_a_command_is_honest_about_what_it_leaves_out() -> None:
    assert command({"password": "x", "n": "5"}) == """tq submit t --data '{"password":"***","n":"5"}'"""
    assert command({"password": "x"}) == "tq submit t 'password=***'"
    assert command({"text": "x" * 5000}) == "tq submit t --data -   # 4.9 KiB of JSON on stdin"
    assert "\x1b" not in command({HOSTILE: HOSTILE}, unique=HOSTILE)
    before = TaskLine(type="t", args={"a": 1, "b": 2}, queue="mail", priority=100, timeout=30.0, linked_to="x")
    kept = {"queue": "mail", "priority": "normal"}
    assert command({"a": 1, "b": 3}, before=before, timeout="30s", **kept) == "tq submit t --from x b=3"
    assert (
        command({"a": 1}, before=before, timeout="1m", **kept)
        == """tq submit t --from x --data '{"a":1}' --timeout 1m"""
    )
    assert command(before.args, before=before, **kept) == "tq submit t --from x   # and without its timeout"


@given(st.dictionaries(st.text(max_size=5), json_values, min_size=1, max_size=3))
def test_a_command_without_secrets_means_the_same_arguments(args: dict[str, Any]) -> None:
    import msgspec

    masker = Masker()
    if masker.masked(args) != args:
        return
    words = shlex.split(command(args))[3:]
    if words[0] != "--data":
        found = SubmissionRules({}, submitted_by="", is_forced=False).arguments("t", words)
    elif words[1] == "-":
        return
    else:
        found = msgspec.json.decode(words[1])
    assert same(found, args)


def test_a_task_without_readable_arguments_makes_no_line() -> None:
    task = TaskView(
        id="a@mail", type="t", queue="mail", state=TaskState.FAILED, priority=100, attempt=1, max_attempts=1
    )
    with pytest.raises(Exception, match="cannot be read whole"):
        line_of(task)


def test_the_plan_says_what_it_does() -> None:
    line = line_from("t", {}, {})
    queue, task = SubmissionRules({}, submitted_by="", is_forced=False).checked(line)
    plan = submit(queue, task, line, masker=Masker())
    assert (plan.title, plan.level, plan.command) == ("Submit t to default", 0, "tq submit t")
    assert plan.tell([producer.Enqueued("x", True)]).text == "x enqueued in default"


def test_a_field_that_nobody_named_takes_anything() -> None:
    assert read(FieldSpec("x", {}), "[1", is_json=False) == "[1"
