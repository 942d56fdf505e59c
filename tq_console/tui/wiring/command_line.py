"""The line behind `:` on one console: open it, understand what was typed, do it, and say what came of it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tq_console.tui.actions.plan import Level, Told, command_line
from tq_console.tui.command_line import exporting
from tq_console.tui.command_line.bar import CommandBar
from tq_console.tui.command_line.commands import CommandDesk, Commands, Suggestion
from tq_console.tui.command_line.history import LineHistory
from tq_console.tui.command_line.output_screen import OutputScreen
from tq_console.tui.command_line.words import OWN, SHORT, Act, Go, Run, meaning, unlock_words
from tq_console.tui.look.themes import PREFIX, THEMES, short_name
from tq_console.tui.panes.pane import PlaceChosen
from tq_console.tui.panes.task_list import TaskListPane
from tq_console.tui.wiring.screens import SCREENS
from tq_core.errors import InvalidInputError, NotFoundError, TqError
from tq_core.names import nearest
from tq_core.query.query import parse_query

if TYPE_CHECKING:
    from tq_console.tui.app import ConsoleApp

SOON_S = 0.5
"""A command that has not ended by then is shown at work."""
TOLD_LINES = 3
TOLD_CHARS = 240
TOLD_MARGIN = 6
"""What a command says in no more than this is said in a corner."""
REOPENS = (2, 3, 4, 5)
"""Exit codes after which the line comes back with what was wrong: usage, not found, unreachable, refused."""


@dataclass(frozen=True, slots=True)
class _Own:
    """A suggestion of our own."""

    text: str
    shown: str
    help: str
    start: int = 0


class CommandLine:
    """The line of one console."""

    def __init__(self, app: ConsoleApp, make_commands: Callable[[], Commands] | None, *, history: Path | None) -> None:
        self._app, self._make = app, make_commands
        self._history_file = history
        self._history: LineHistory | None = None
        self._made: Commands | None = None

    async def open(self, text: str = "", *, problem: str = "") -> None:
        """Takes a line and does what it says; to be run in a worker of the app's."""
        app = self._app
        if not app.is_free:
            app.notify("finish or leave what is open first: esc leaves it", severity="warning", timeout=3)
            return
        self._history = self._history or LineHistory(self._history_file)
        desk = self._desk(("tq",), Level.NONE)
        serving = asyncio.create_task(desk.serve())
        bar = CommandBar(
            text=text,
            problem=problem,
            history=self._history,
            suggest=lambda typed: self._suggestions(typed, desk),
            check=self._problem,
        )
        try:
            typed = await app.push_screen_wait(bar)
        finally:
            desk.stop()
            serving.cancel()
        if typed is None:
            return
        commands = self._commands()
        is_secret = typed[:1].isspace() or (commands is not None and commands.holds_secret(typed))
        self._history.add(typed.rstrip(), is_kept=not is_secret)
        await self._do(typed)

    def _commands(self) -> Commands | None:
        if self._made is None and self._make is not None:
            self._made = self._make()
        return self._made

    def _words_of(self, group: str) -> Collection[str]:
        commands = self._commands()
        return commands.words_of(group) if commands else ()

    def _meaning(self, text: str) -> Go | Act | Run | None:
        return meaning(text, screens=[entry.name for entry in SCREENS], commands=self._words_of)

    # --- while it is typed ---

    def _suggestions(self, text: str, desk: CommandDesk) -> Sequence[Suggestion]:
        first, has_more, rest = text.lstrip().partition(" ")
        commands = self._commands()
        if not has_more:
            own = [*OWN.items(), *((entry.name, f"{entry.title} screen") for entry in SCREENS)]
            own += [(word, f"tq {whole}") for word, whole in SHORT.items()]
            start = len(text) - len(first)
            found: list[Suggestion] = [_Own(word, word, about, start) for word, about in own if word.startswith(first)]
            seen = {each.text for each in found}
            if commands is not None:
                found += [each for each in commands.suggestions(text, desk) if each.text not in seen]
            return found
        start = len(text) - len(rest)
        if first == "ctx":
            return [
                _Own(c.name, c.name, c.marks or c.address, start)
                for c in self._app.contexts.choices()
                if c.name.startswith(rest)
            ]
        if first == "theme":
            return [_Own(n, n, "", start) for n in map(short_name, THEMES) if n.startswith(rest)]
        if first == "export":
            return [_Own(form, form, "", start) for form in exporting.FORMATS if form.startswith(rest)]
        if first == "queue":
            snapshot = self._app.snapshot
            names = [q.queue for q in snapshot.queues] if snapshot else []
            return [_Own(name, name, "", start) for name in names if name.startswith(rest)]
        if commands is None:
            return []
        if first == "help":
            return [_moved(each, start) for each in commands.suggestions(rest, desk)]
        if first in SHORT:
            whole = f"{SHORT[first]} {rest}"
            return [_moved(each, len(text) - len(whole)) for each in commands.suggestions(whole, desk)]
        return commands.suggestions(text, desk)

    def _problem(self, text: str) -> str:
        """What is wrong with a line, before anything is done; "" = nothing that can be told by now."""
        try:
            found = self._meaning(text)
            match found:
                case Go(query=query) if query:
                    parse_query(query)
                case Act(word="unlock", rest=rest):
                    unlock_words(rest)
                case Act(word="export", rest=rest):
                    exporting.chosen_file(rest, screen="list")
                case Act(word="theme", rest=rest) if rest and rest[0] not in map(short_name, THEMES):
                    return f"there is no theme {rest[0]!r}: there are {', '.join(map(short_name, THEMES))}"
                case Act(word="queue" | "task" as word, rest=rest) if len(rest) != 1:
                    return OWN[word]
                case Run(words=words):
                    commands = self._commands()
                    return commands.problem(words) if commands else "there are no commands here: use the keys"
        except TqError as error:
            return error.message
        return ""

    # --- what it does ---

    async def _do(self, text: str) -> None:
        try:
            found = self._meaning(text)
            match found:
                case Go():
                    await self._go(found)
                case Act():
                    await self._act(found)
                case Run():
                    await self._run(found.words, text)
        except (TqError, OSError) as error:
            await self.open(text, problem=error.message if isinstance(error, TqError) else str(error))

    async def _go(self, place: Go) -> None:
        if place.query:
            self._app.post_message(PlaceChosen(place.screen, words=place.query))
        else:
            await self._app.navigation.go(place.screen)

    async def _act(self, act: Act) -> None:
        app = self._app
        match act.word, act.rest:
            case (("q" | "quit"), _):
                app.action_quit_now()
            case "queue", (name,):
                self._queue(name)
            case "task", (task_id,):
                app.navigation.open_task(task_id)
            case "ctx", (name,):
                await app.contexts.switch(name)
            case "ctx", _:
                app.action_contexts()
            case "unlock", rest:
                for_s, why = unlock_words(rest)
                await app.contexts.unlock(for_s=for_s, why=why)
            case "lock", _:
                app.contexts.lock()
            case "freeze", _:
                app.action_freeze()
            case "theme", (name,):
                app.theme = f"{PREFIX}{name}"
            case "theme", _:
                app.action_toggle_theme()
            case "export", rest:
                await self._export(rest)
            case "help", ():
                app.action_help()
            case "help", rest:
                await self._run((*rest, "--help"), f"help {' '.join(rest)}")

    def _queue(self, name: str) -> None:
        snapshot = self._app.snapshot
        names = [queue.queue for queue in snapshot.queues] if snapshot else []
        if snapshot is not None and name not in names:
            near = nearest(name, names)
            hint = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(names[:8]) or 'none'}"
            raise NotFoundError(f"there is no queue {name!r}: {hint}")
        self._app.show_queue(name)

    async def _export(self, rest: tuple[str, ...]) -> None:
        pane = self._app.pane
        if self._app.is_in_browser:
            raise InvalidInputError("a page writes no files on the machine that it comes from: use tq there")
        form, path = exporting.chosen_file(rest, screen=pane.id or "")
        if isinstance(pane, TaskListPane):
            states = " OR ".join(f"state:{state}" for state in pane.feed.states)
            query = f"({states}) {pane.feed.words}".strip()
            queue = ["--queue", pane.feed.queue] if pane.feed.queue else []
            words = ("tasks", "export", query, *queue, "--format", form, "--output", str(path))
            await self._run(words, f"export {form} {path}")
            return
        commands = self._commands()
        words = exporting.words_for(pane.id or "")
        if commands is None:
            raise InvalidInputError("there are no commands here")
        desk = self._desk(words, Level.BAR)
        if await self._ended(commands, words, desk) == 0:
            count = await asyncio.to_thread(exporting.write_records, path, desk.said.text, form=form)
            self._app.notify(f"{count:,} rows are in {path.absolute()}", timeout=4)
        else:
            self._app.notify(_plain(desk.said.talk) or "it could not be read", severity="warning")

    # --- commands ---

    def _desk(self, words: Sequence[str], level: Level) -> CommandDesk:
        app = self._app
        return CommandDesk(
            app.link,
            app.performer,
            words=words,
            level=level,
            width=max(40, app.size.width - 4),
            make_room=self._make_room,
        )

    def _make_room(self) -> None:
        if isinstance(self._app.screen, OutputScreen):
            self._app.pop_screen()

    async def _ended(self, commands: Commands, words: Sequence[str], desk: CommandDesk) -> int:
        """Runs a command to its end, showing it at work where that takes a moment."""
        app = self._app
        running = asyncio.create_task(asyncio.to_thread(commands.run, words, desk))
        serving = asyncio.create_task(desk.serve())
        is_shown = False
        try:
            while not running.done():
                await asyncio.wait({running}, timeout=SOON_S)
                if not running.done() and not is_shown and app.is_free and not app.performer.under_way:
                    is_shown = desk.is_shown = True
                    self._show(words, desk, is_running=lambda: not running.done())
            return running.result()
        finally:
            desk.stop()
            serving.cancel()
            with contextlib.suppress(Exception):
                app.poller.poke()

    def _show(self, words: Sequence[str], desk: CommandDesk, *, is_running: Callable[[], bool]) -> None:
        title = command_line(*words)
        self._app.push_screen(
            OutputScreen(title, text=lambda: desk.said.text, is_running=is_running, stop=desk.stop),
            lambda _: self._app.navigation.uncover(),
        )

    async def _run(self, words: tuple[str, ...], text: str) -> None:
        app, commands = self._app, self._commands()
        if commands is None:
            raise InvalidInputError("there are no commands here: use the keys")
        level = await asyncio.to_thread(commands.level, words)
        desk = self._desk(words, level)
        code = await self._ended(commands, words, desk)
        said, talk = desk.said.text.strip("\n"), _plain(desk.said.talk)
        if isinstance(app.screen, OutputScreen) or (desk.is_shown and not desk.changed):
            # Who has left what it said has read it.
            return
        is_short = _is_short(said, app.size.width // 2 - TOLD_MARGIN)
        if code in REOPENS and is_short and not desk.changed and not talk.startswith("not confirmed"):
            if app.is_free:
                await self.open(text, problem=talk)
            else:
                app.notify(talk, severity="warning")
        elif not is_short and app.is_free:
            self._show(words, desk, is_running=lambda: False)
        elif desk.changed:
            told = Told(_plain(said) or "done", is_good=code == 0)
            app.performer.tell(title=desk.command, command=desk.command, told=told)
        else:
            app.notify(_plain(said) or "it said nothing", severity="information" if code == 0 else "warning")


def _is_short(said: str, room: int) -> bool:
    """Whether it can be said in a corner: a sentence that may be wrapped there, or lines that fit, as of no table."""
    lines = said.splitlines()
    fits = len(lines) <= 1 or max(map(len, lines)) <= room
    return fits and len(lines) <= TOLD_LINES and len(said) <= TOLD_CHARS


def _moved(each: Suggestion, by: int) -> _Own:
    return _Own(each.text, each.shown, each.help, each.start + by)


def _plain(text: str) -> str:
    """What was said, without the name of the program before each line."""
    return "\n".join(line.removeprefix("tq: ") for line in text.strip().splitlines())
