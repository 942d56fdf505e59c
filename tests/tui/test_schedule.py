"""The Schedule screen: what is due, and what its keys do to schedules."""

from __future__ import annotations

import pytest

from tests.queue_driver import QueueDriver
from tests.tui.console_on_queue import ConsoleOnQueue, console_on
from tq_console.tui.forms.schedule_draft import ScheduleDraft, checked, draft_of, new_draft
from tq_console.tui.forms.schedule_screen import EntryRow, ScheduleScreen
from tq_console.tui.forms.stand_ins import StandIns
from tq_console.view.secrets import MASK, Masker
from tq_core.model import TaskState
from tq_core.roles import registry, schedules
from tq_core.roles.registry import PublishedType
from tq_core.roles.schedules import ScheduleView, new_schedule

MAIL = PublishedType(
    name="send_mail",
    queue="mail",
    schema={
        "type": "object",
        "properties": {"to": {"type": "string"}, "copies": {"type": "integer"}, "password": {"type": "string"}},
        "required": ["to"],
    },
)
TYPES = {"send_mail": MAIL}
STAND_INS = StandIns(Masker())


def problems(draft: ScheduleDraft, **texts: str) -> dict[str, str]:
    filled = ScheduleDraft(texts={**draft.texts, **texts}, before=draft.before)
    return dict(checked(filled, TYPES, STAND_INS, actor="ann").problems)


GOOD = {"name": "daily", "type": "send_mail", "args": "to=x@y copies=2", "cron": "0 8 * * *", "tz": "Europe/Rome"}


@pytest.mark.parametrize(
    ("texts", "where", "words"),
    [
        ({"name": ""}, "name", "needed"),
        ({"name": "a b"}, "name", "cannot be a schedule's name"),
        ({"type": "send_mial"}, "type", "ctrl+g turns this check off"),
        ({"args": "copies=2"}, "args", "to: missing"),
        ({"args": "to=x copies=two"}, "args", "copies: expected a whole number"),
        ({"args": "{"}, "args", "no valid JSON"),
        ({"cron": ""}, "cron", "say when"),
        ({"cron": "61 * * * *"}, "cron", "cannot be read"),
        ({"every": "5m"}, "cron", "either cron or every"),
        ({"cron": "", "every": "soon"}, "every", "no duration"),
        ({"cron": "", "every": "500d"}, "every", "from 1 to a year"),
        ({"tz": "Mars"}, "tz", "no time zone 'Mars'"),
        ({"jitter": "-1"}, "jitter", "no duration"),
        ({"jitter": "9d"}, "", "from 0 to 86400"),
        ({"queue": "a b"}, "queue", "cannot be a queue's name"),
    ],
)
def test_each_field_says_what_is_wrong_with_it(texts: dict[str, str], where: str, words: str) -> None:
    draft = ScheduleDraft(texts={**new_draft(None).texts, **GOOD})
    assert problems(draft) == {}
    found = problems(draft, **texts)
    assert list(found) == [where]
    assert words in found[where]


def view_of(**options: object) -> ScheduleView:
    schedule = new_schedule(
        "daily",
        "send_mail",
        {"to": "x", "password": "hunter2"},
        queue="mail",
        **{"every_s": 5400, **options},  # type: ignore[arg-type]
    )
    return ScheduleView(name="daily", queue="mail", schedule=schedule, spec=schedules.encode(schedule))


def test_a_form_filled_with_a_schedule_means_the_same_and_shows_no_secret() -> None:
    for options in (
        {"overlap": False, "jitter_s": 90, "missed": "all", "priority": "high"},
        {"every_s": None, "cron": "@daily", "tz": "Europe/Rome"},
    ):
        view = view_of(**options)
        draft = draft_of(view, STAND_INS)
        assert "hunter2" not in str(draft.texts)
        assert checked(draft, TYPES, STAND_INS, actor="ann").schedule == view.schedule
    view = view_of()
    draft = draft_of(view, STAND_INS)
    changed = draft.texts["args"].replace('"x"', '"z"')
    new = checked(ScheduleDraft(texts={**draft.texts, "args": changed}, before=view), TYPES, STAND_INS, actor="ann")
    assert new.schedule is not None
    assert new.schedule.args == {"to": "z", "password": "hunter2"}
    assert "hides a secret" in problems(draft, args=f'{{"to": "x", "password": "a{MASK}"}}')["args"]


def fill(console: ConsoleOnQueue, **texts: str) -> None:
    """Writes on the lines of the form."""
    for row in console.app.screen.query(EntryRow):
        if row.option in texts:
            row.write(texts[row.option])


@pytest.mark.server
async def test_schedules_are_added_changed_run_paused_and_removed_by_keys(q: QueueDriver) -> None:
    q.run(registry.publish_types([MAIL]))
    q.put_one(delay_s=600)
    declared = new_schedule("ping", "send_mail", {"to": "x", "password": "hunter2"}, queue="mail", every_s=86_400)
    q.run(schedules.declare([declared], is_start=True))

    def view(name: str) -> ScheduleView:
        return q.run(schedules.find(name))

    async with console_on(q, first="schedule") as console:
        await console.until_shown("every 1 d")
        await console.until_shown(f'"password":"{MASK}"')
        assert "hunter2" not in console.screen_text
        await console.until_shown("declared by code")
        for wanted in ("1 schedule", "1 scheduled", "never fired"):
            assert wanted in console.screen_text

        await console.press("n")
        await console.until(lambda: isinstance(console.app.screen, ScheduleScreen), "the form")
        await console.press("ctrl+s")
        await console.until_shown("not saved: 3 fields are not right")
        fill(console, name="daily", type="send_mail", args="to=x", cron="0 8 * * 1-5")
        await console.until_shown("at 08:00 on Monday through Friday")
        await console.press("ctrl+s")
        await console.until(lambda: console.done, "the schedule")
        assert console.done[-1] == (
            "tq cron add daily send_mail --data '{\"to\":\"x\"}' --cron '0 8 * * 1-5' --queue mail"
        )
        await console.until_shown("2 schedules")
        assert schedules.readable(view("daily")).args == {"to": "x"}

        table = console.table
        table.move_to(next(i for i, row in enumerate(table._window.rows) if row.id == "cron:daily@mail"))
        await console.press("p")
        await console.until_shown("‖ paused by ann")
        await console.press("z")
        await console.until(lambda: view("daily").paused is None, "the pause to be taken back")
        await console.press("x")
        await console.until(lambda: q.depths().get("pending"), "its task")
        assert console.done[-1] == "tq cron run daily@mail"
        await console.press("enter")
        await console.until(lambda: any("has not fired yet" in toast for toast in console.toasts), "why not")

        await console.press("e")
        await console.until(lambda: isinstance(console.app.screen, ScheduleScreen), "the form")
        fill(console, cron="@daily")
        await console.press("ctrl+s")
        await console.until(lambda: len(console.done) == 5, "the change")
        assert console.done[-1] == "tq cron edit daily@mail --cron @daily"
        await console.press("D", "n", "D", "y")
        await console.until(lambda: len(q.run(schedules.schedules(["mail"]))) == 1, "the schedule to go")

        await console.until(lambda: table.total == 2, "its row to go")
        table.move_to(0)
        await console.press("D")
        await console.until_shown("it comes back when a worker")
        await console.press("y")
        await console.until(lambda: not q.run(schedules.schedules(["mail"])), "the declared one to go")
        assert console.done[-1] == "tq cron remove ping@mail --force"

        await console.until(lambda: table.total == 1, "the task alone")
        table.move_to(0)
        await console.press("x")
        await console.until(lambda: any("this is a task that runs once" in toast for toast in console.toasts), "why")
        await console.press("enter")
        await console.until(lambda: console.app.detail is not None, "the task whole")
    acts = [act["do"] for act in q.audited()]
    assert acts == [
        *("add_schedule", "pause_schedule", "resume_schedule", "run_schedule", "edit_schedule"),
        *("remove_schedule", "remove_schedule"),
    ]
    assert q.depths() == {str(TaskState.PENDING): 1, str(TaskState.SCHEDULED): 1}
