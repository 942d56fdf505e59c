"""The line behind `:`: the words of `tq`, through the same questions and refusals as the keys."""

from __future__ import annotations

import asyncio
import csv
import os
from pathlib import Path

import pytest
from textual.app import App
from textual.widgets import Input

from tests.queue_driver import QueueDriver
from tests.tui.console_on_queue import ConsoleOnQueue, console_on
from tq_console.cli.inside import InsideCommands
from tq_console.tui.actions.confirm import ConfirmWindow
from tq_console.tui.actions.performing import Performer
from tq_console.tui.actions.plan import Level
from tq_console.tui.command_line.bar import CommandBar
from tq_console.tui.command_line.commands import CommandDesk, CommandStoppedError
from tq_console.tui.command_line.output_screen import OutputScreen
from tq_console.tui.command_line.words import Act, Go, Run, meaning, unlock_words
from tq_console.tui.panes.task_list import TaskListPane
from tq_console.tui.watch.link import Link
from tq_core.broker.folder import state_root
from tq_core.errors import InvalidInputError
from tq_core.model import TaskState
from tq_core.roles import registry
from tq_core.settings import resolve_broker


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", None),
        (":q", Act("q", ())),
        ("queue mail", Act("queue", ("mail",))),
        ("tasks", Go("tasks")),
        ("tasks state:failed type:mail*", Go("tasks", "state:failed type:mail*")),
        ("tasks it's", Go("tasks", "it's")),
        ("tasks retyr x", Run(("tasks", "retyr", "x"))),
        ("queues puse", Run(("queues", "puse"))),
        ("tasks list --json", Run(("tasks", "list", "--json"))),
        ("tq tasks list", Run(("tasks", "list"))),
        ("pause default --why 'a b'", Run(("queues", "pause", "default", "--why", "a b"))),
        ("scale w3 +4", Run(("workers", "scale", "w3", "+4"))),
        ("unlock 10m two words", Act("unlock", ("10m", "two", "words"))),
        ("stats", Run(("stats",))),
    ],
)
def test_a_line_means_a_place_an_act_or_a_command(text: str, wanted: object) -> None:
    words = {"tasks": ("list", "retry"), "queues": ("pause",)}
    assert meaning(text, screens=("overview", "tasks", "queues"), commands=lambda g: words.get(g, ())) == wanted


def test_how_long_and_why_are_both_wanted_to_unlock() -> None:
    assert unlock_words(("1h30m", "a", "reason")) == (5400, "a reason")
    for rest in ((), ("10m",), ("soon", "a reason")):
        with pytest.raises(InvalidInputError):
            unlock_words(rest)


def test_what_is_no_command_here_says_why_and_what_writes_says_how_sure_one_must_be() -> None:
    commands = InsideCommands()
    for line, why in (
        ("quees", "did you mean queues"),
        ("queues pause", "Missing argument"),
        ("queues pause mail --wy x", "--wy"),
        ("demo", "run it in a shell"),
        ("console", "already"),
        ("broker wipe x --yes", "take away the broker"),
        ("config set theme light", "in a shell"),
        ("tasks retry -", "no standard input"),
    ):
        assert why in commands.problem(line.split()), line
    for line in ("stats", "config list", "tasks list state:failed", "queues pause -h", "workers scale w3 -2"):
        assert commands.problem(line.split()) == "", line
    for line, level in (
        ("queues pause mail", Level.NONE),
        ("tasks retry x", Level.NONE),
        ("tasks retry x y", Level.BAR),
        ("tasks kill x", Level.BAR),
        ("workers scale w3 +4", Level.NONE),
        ("workers scale w3 -1", Level.BAR),
        ("workers scale w3 0", Level.BAR),
        ("workers stop w3", Level.BAR),
    ):
        assert commands.level(line.split()) is level, line


async def test_a_command_that_was_stopped_ends_as_an_error_and_never_as_an_interruption() -> None:
    # An interruption in a thread would end the loop that waits for it, and the console with it.
    link = Link(resolve_broker("memory://left"), actor="ann")
    performer = Performer(App(), link, on_done=lambda _: None, on_progress=lambda _: None)
    desk = CommandDesk(link, performer, words=("x",), level=Level.NONE, width=80, make_room=lambda: None)
    asked = asyncio.create_task(asyncio.to_thread(desk.ask, registry.queue_numbers()))
    await asyncio.sleep(0)
    desk.stop()
    with pytest.raises(CommandStoppedError):
        await asked
    assert issubclass(CommandStoppedError, Exception)
    commands = InsideCommands()
    assert await asyncio.to_thread(commands.suggestions, "queues pause ", desk) == ()
    assert await asyncio.to_thread(commands.run, ("queues", "list"), desk) == 130


async def typed(console: ConsoleOnQueue, line: str, *, enter: bool = True) -> None:
    """Opens the line, puts a text on it, and presses enter."""
    await console.press("colon")
    await console.until(lambda: isinstance(console.app.screen, CommandBar), "the line")
    console.app.screen.query_one(Input).value = line
    await console.press(*(["enter"] if enter else []))


async def at_base(console: ConsoleOnQueue) -> None:
    await console.until(lambda: console.app.screen is console.app.base, "the panes")


@pytest.mark.server
async def test_commands_are_typed_completed_run_asked_about_and_shown(q: QueueDriver, own_environment: Path) -> None:
    q.put_many(3)
    async with console_on(q, size=(100, 30)) as console:
        app = console.app
        await console.until_shown("mail")
        # Completed from click, and from what the broker knows; what is wrong is said in place.
        await typed(console, "queues pa", enter=False)
        await console.until_shown("pause")
        await console.press("tab")
        await console.press(*"ma")
        await console.until_shown("3 wait")
        await console.press("tab", "enter")
        await console.until(lambda: q.stats().paused, "the queue to be paused")
        await at_base(console)
        assert console.done == ["tq queues pause mail"]
        await typed(console, "queues puse mail")
        await console.until_shown("did you mean pause or purge")
        await console.press("escape")
        await at_base(console)
        await typed(console, "resume nope")
        await console.until_shown("there is no queue")
        assert isinstance(app.screen, CommandBar)
        await console.press("escape")
        await at_base(console)
        # What takes much away asks with the command's own count, whatever --yes says; no means no.
        await typed(console, "purge mail --yes")
        await console.until(lambda: isinstance(app.screen, ConfirmWindow), "the question")
        await console.until_shown("Delete 3 pending tasks of mail")
        await console.press("n")
        await console.until(lambda: any("not confirmed" in toast for toast in console.toasts), "the refusal")
        assert q.depths() == {"pending": 3}
        # What goes on is shown, and stopped.
        await at_base(console)
        await typed(console, "events -f")
        await console.until(lambda: isinstance(app.screen, OutputScreen), "the output")
        await console.until_shown("running · esc stops it")
        await console.press("escape")
        await at_base(console)
        # Places, and back to a line of before; one with a secret is not kept.
        await typed(console, "tasks state:scheduled x")
        await console.until(lambda: app.pane.id == "tasks", "the tasks")
        pane = app.pane
        assert isinstance(pane, TaskListPane)
        assert (pane.feed.states, pane.feed.words) == ((TaskState.SCHEDULED,), "state:scheduled x")
        await typed(console, "tasks show password=hunter2", enter=True)
        await console.until(lambda: isinstance(app.screen, CommandBar), "the line again")
        await console.press("escape")
        await at_base(console)
        kept = state_root(os.environ) / "console_history"
        lines = kept.read_text().splitlines()
        assert lines[:2] == ["queues pause mail", "resume nope"]
        assert "hunter2" not in "".join(lines)
        assert kept.stat().st_mode & 0o077 == 0
        await console.press("colon")
        await console.until(lambda: isinstance(app.screen, CommandBar), "the line")
        await console.press("up", "up", "escape")
        await at_base(console)
        # Exports.
        await console.press("2")
        await console.until(lambda: console.table.total == 1, "the queue")
        file = own_environment / "rows.csv"
        await typed(console, f"export csv {file}")
        await console.until(lambda: file.exists() and file.read_text(), "the file")
        assert [row["queue"] for row in csv.DictReader(file.read_text().splitlines())] == ["mail"]
        await at_base(console)
        await typed(console, f"export csv {file}")
        await console.until_shown("is there already")
        await console.press("escape")
