"""Taking things out of the console: into the clipboard, into a picture, into another program."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from tq_console.tui import clipboard
from tq_console.tui.actions.messages import NothingToDo
from tq_console.tui.actions.plan import Level, Plan, Told
from tq_console.tui.command_line.bar import CommandBar
from tq_console.tui.command_line.commands import Said
from tq_console.tui.command_line.history import LineHistory
from tq_console.tui.command_line.output_screen import OutputScreen
from tq_console.tui.lists.copies import Copy, copies_of
from tq_console.tui.panes.task_table import TaskTablePane
from tq_console.tui.table.table import VirtualTable
from tq_console.view.formats import plural
from tq_console.view.records import task_record
from tq_core.errors import TqError
from tq_core.roles import inspector
from tq_core.transport.steps import Flow

if TYPE_CHECKING:
    from tq_console.tui.app import ConsoleApp

PIPED_MAX = 5_000
"""Tasks that are given to a program at a time."""
PIPED_BYTES = 1_048_576
"""Of the arguments of each."""
READ_BYTES = 65_536
TOLD_CHARS = 60
"""A text that was copied is shown where it is no longer."""


class Taking:
    """What is taken out of one console."""

    def __init__(self, app: ConsoleApp) -> None:
        self._app = app
        self._programs = LineHistory(None)

    # --- the clipboard ---

    def copy(self, text: str, what: str) -> None:
        """Copies a text and says so, and how much where it is too long for a terminal."""
        fitting = clipboard.fitting(text)
        self._app.copy_to_clipboard(fitting)
        cut = f"the first {len(fitting):,} of {len(text):,} characters of " if len(fitting) < len(text) else ""
        self._app.notify(f"copied {cut}{what}", severity="warning" if cut else "information", timeout=3)

    def copies(self) -> list[Copy]:
        """What can be copied of what is under the cursor, or shown whole."""
        app = self._app
        pane, detail = app.pane, app.detail
        subject = detail.task_id if detail is not None else pane.subject
        task = pane.known(subject) if subject else None
        if app.snapshot is not None and app.snapshot.detail is not None and app.snapshot.detail.task_id == subject:
            task = app.snapshot.detail.task or task
        tables = [table for table in pane.query(VirtualTable) if table.region]
        row = tables[0].cursor_row if tables and detail is None else None
        cells = [cell.text for cell in row.cells] if row is not None else []
        screen = "tasks" if detail is not None else pane.id or ""
        if screen == "dlq" and pane.asks_why is None and subject:
            screen = "groups"
        return copies_of(subject, screen=screen, task=task, row=cells, masker=app.masker)

    async def copy_one(self) -> None:
        """The menu; to be run in a worker of the app's."""
        from tq_console.tui.frame.copy_menu import CopyMenu

        found = self.copies()
        if not found:
            self._app.post_message(NothingToDo("nothing here can be copied"))
            return
        chosen = await self._app.push_screen_wait(CopyMenu(found))
        if chosen is not None:
            is_short = len(chosen.text) <= TOLD_CHARS and chosen.text.isprintable()
            self.copy(chosen.text, chosen.text if is_short else f"the {chosen.name}")

    # --- pictures ---

    def screenshot(self) -> None:
        """Writes what is on screen as a picture; in a browser it is downloaded there."""
        app = self._app
        name = f"tq-{time.strftime('%Y%m%d-%H%M%S')}.svg"
        if app.is_in_browser:
            app.deliver_screenshot(filename=name)
            return
        path = Path.cwd() / name
        try:
            # Never over something that is there.
            with path.open("x", encoding="utf-8") as file:
                file.write(app.export_screenshot(title=f"tq · {app.link.name}"))
        except OSError as error:
            app.notify(f"{path}: {error.strerror or error}", title="no picture", severity="warning")
        else:
            app.notify(f"the screen is in {path}", timeout=4)

    # --- programs ---

    async def pipe(self) -> None:
        """Gives the chosen tasks to a program of the user's, as JSON lines; to be run in a worker of the app's."""
        app = self._app
        if app.is_in_browser or app.is_for_looking:
            why = "a page runs no programs" if app.is_in_browser else "a console for looking runs no programs"
            app.post_message(NothingToDo(why))
            return
        pane = app.pane
        ids = pane.chosen().ids if isinstance(pane, TaskTablePane) else ()
        if app.screen is not app.base or not ids:
            app.post_message(NothingToDo("no task here to give to a program: mark some, or put the cursor on one"))
            return
        if len(ids) > PIPED_MAX:
            app.post_message(
                NothingToDo(f"{len(ids):,} are too many for here: tq tasks export | PROGRAM takes them all")
            )
            return
        line = await app.push_screen_wait(
            CommandBar(
                text="",
                problem="",
                sign="!",
                hint=f"{plural(len(ids), 'task')} as JSON lines to a shell command, such as jq .args",
                history=self._programs,
                suggest=lambda _: (),
                check=lambda _: "",
            )
        )
        if line is None:
            return
        self._programs.add(line, is_kept=False)
        plan = Plan(
            title=f"Run {line!r} on {plural(len(ids), 'task')}",
            command=line,
            level=Level.BAR,
            flow=_nothing,
            tell=Told,
            facts=("it is a program of yours, run by the shell of this machine as you",),
        )
        if await app.performer.approve(plan):
            await self._run(line, ids)

    async def _run(self, line: str, ids: tuple[str, ...]) -> None:
        app = self._app
        try:
            tasks = await app.link.ask(inspector.show(ids, payload_max=PIPED_BYTES))
        except TqError as error:
            app.notify(error.message, severity="warning")
            return
        records = [task_record(task, app.masker) for task in tasks if task is not None]
        data = b"".join(msgspec.json.encode(record) + b"\n" for record in records)
        said = Said()
        process = await asyncio.create_subprocess_shell(
            line,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,  # all that it starts is ended with it
        )

        def stop() -> None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)

        running = asyncio.create_task(_talk(process, data, said))
        screen = OutputScreen(line, sign="!", text=lambda: said.text, is_running=lambda: not running.done(), stop=stop)
        app.push_screen(screen, lambda _: app.navigation.uncover())
        try:
            code = await running
        finally:
            stop()
        if code != 0:
            said.write(f"\nended with {code}\n", is_talk=True)


async def _talk(process: asyncio.subprocess.Process, data: bytes, said: Said) -> int:
    """Feeds a program and hears it to its end; returns its exit code."""
    assert process.stdin is not None
    assert process.stdout is not None

    async def feed(into: asyncio.StreamWriter) -> None:
        # A program that has seen enough closes its input.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            into.write(data)
            await into.drain()
        into.close()

    feeding = asyncio.create_task(feed(process.stdin))
    while chunk := await process.stdout.read(READ_BYTES):
        said.write(chunk.decode("utf-8", "replace"), is_talk=False)
    feeding.cancel()
    return await process.wait()


def _nothing(_told: object) -> Flow[str]:
    yield from ()
    return ""
