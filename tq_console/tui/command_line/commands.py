"""What the line needs of whoever knows the commands, and what commands are given here instead of a terminal."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import Future
from typing import Any, Protocol, TypeVar

from tq_console.tui.actions.performing import Performer
from tq_console.tui.actions.plan import Level, Plan, Told, command_line
from tq_console.tui.watch.link import Link
from tq_core.errors import RefusedError
from tq_core.transport.steps import Flow

T = TypeVar("T")

SAID_MAX = 1_000_000
"""Characters of what a command says."""


class CommandStoppedError(Exception):
    """A command was stopped while it asked for something.

    No KeyboardInterrupt: that would end the event loop of who waits for the thread.
    """


class Suggestion(Protocol):
    """One way on."""

    @property
    def text(self) -> str:
        """What takes the place of what was typed from `start` on."""

    @property
    def shown(self) -> str: ...
    @property
    def help(self) -> str: ...
    @property
    def start(self) -> int: ...


class Commands(Protocol):
    """The commands of `tq`, to be run without a shell. All of it blocks, and belongs into a thread."""

    def suggestions(self, text: str, desk: CommandDesk) -> Sequence[Suggestion]:
        """What may follow at the end of a line."""

    def words_of(self, group: str) -> Sequence[str]:
        """The commands in a group; none where there is no such group."""

    def problem(self, words: Sequence[str]) -> str:
        """Why these words are no command that can be run here; "" = they are one."""

    def level(self, words: Sequence[str]) -> Level:
        """How sure somebody must be of it, if it writes and asks nothing by itself."""

    def run(self, words: Sequence[str], desk: CommandDesk) -> int:
        """Runs one, and says what it has to say on the desk; returns its exit code."""

    def holds_secret(self, line: str) -> bool:
        """Whether a line is not to be remembered."""


class Said:
    """What a command has said so far; whoever says too much is cut short, and that is said."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._talk: list[str] = []
        self._chars = 0

    def write(self, text: str, *, is_talk: bool) -> None:
        """Adds to it."""
        room = max(0, SAID_MAX - self._chars)
        self._chars += len(text)
        for parts in (self._parts, self._talk) if is_talk else (self._parts,):
            parts.append(text[:room])

    @property
    def text(self) -> str:
        """All of it."""
        cut = self._chars - SAID_MAX
        more = f"\n… and {cut:,} more characters: run it in a shell" if cut > 0 else ""
        return "".join(self._parts) + more

    @property
    def talk(self) -> str:
        """What is no data."""
        return "".join(self._talk)


class CommandDesk:
    """Where one command is run: its way to the broker and to whoever sits here, from the thread that it is run in.

    What it asks for is done by `serve`, in the loop of the console, one thing after the other.
    """

    def __init__(
        self,
        link: Link,
        performer: Performer,
        *,
        words: Sequence[str],
        level: Level,
        width: int,
        make_room: Callable[[], None],
    ) -> None:
        """Prepares for one command.

        Args:
            link: The way to the broker.
            performer: Who asks before something is changed.
            words: Of the command.
            level: How sure somebody must be of what it changes.
            width: Columns for what it prints.
            make_room: Takes away what stands above the panes, before something is asked.
        """
        self.link, self.width, self._make_room = link, width, make_room
        self._performer, self._level = performer, level
        self.command = command_line(*words)
        self.said = Said()
        self.is_shown = False
        """Whether what it says is, or was, shown while it ran."""
        self.changed = False
        """Whether anything was written, or may have been."""
        self._is_sure = False
        self._is_over = threading.Event()
        self._loop = asyncio.get_running_loop()
        self._wanted: asyncio.Queue[tuple[Callable[[], Coroutine[Any, Any, Any]], Future[Any]]] = asyncio.Queue()

    # --- for the thread ---

    def ask(self, flow: Flow[T]) -> T:
        """Runs a flow that reads.

        Raises:
            CommandStoppedError: it was stopped.
            TqError: what the flow raised.
        """
        return self._in_loop(lambda: self.link.ask(flow))

    def change(self, flow: Flow[T]) -> T:
        """Runs a flow that writes, once somebody is as sure as the command needs it.

        Raises:
            CommandStoppedError: it was stopped.
            RefusedError: the answer was no, or nothing may be written now.
            TqError: what the flow raised.
        """
        return self._in_loop(lambda: self._change(flow))

    def is_sure(self, what: str, *, can_undo: bool) -> bool:
        """Asks whether what a command is about to do is meant.

        Args:
            what: With its exact count, as `delete 1,234 failed tasks of mail`.
            can_undo: Whether `tq undo` puts back what it takes.
        """
        end = "tq undo can put them back for a while" if can_undo else "it cannot be undone"
        return self._in_loop(lambda: self._ask_sure(what, end))

    def _in_loop(self, make: Callable[[], Coroutine[Any, Any, T]]) -> T:
        if self._is_over.is_set():
            raise CommandStoppedError
        future: Future[T] = Future()
        self._loop.call_soon_threadsafe(self._wanted.put_nowait, (make, future))
        while True:
            try:
                return future.result(timeout=0.2)
            except TimeoutError:
                if future.done():
                    raise
                if self._is_over.is_set():
                    raise CommandStoppedError from None

    # --- for the loop ---

    async def serve(self) -> None:
        """Does what the command asks for; to be run in a worker of the app's, until the command has ended."""
        while True:
            make, future = await self._wanted.get()
            try:
                future.set_result(await make())
            except Exception as error:  # noqa: BLE001 - the seam between the command's thread and the loop
                future.set_exception(error)

    def stop(self) -> None:
        """Lets the command end at the next thing that it asks for."""
        self._is_over.set()

    async def _change(self, flow: Flow[T]) -> T:
        if why := self.link.refusal:
            flow.close()
            raise RefusedError(why)
        if not self._is_sure and not await self._is_wanted(f"Run {self.command}", self._level, ()):
            flow.close()
            raise RefusedError("not confirmed: nothing was done")
        self._is_sure = self.changed = True
        return await self._performer.carry_out(flow)

    async def _ask_sure(self, what: str, end: str) -> bool:
        self._is_sure = await self._is_wanted(
            f"{what[:1].upper()}{what[1:]}", Level.MODAL, (f"on {self.link.name}", end)
        )
        return self._is_sure

    async def _is_wanted(self, title: str, level: Level, facts: tuple[str, ...]) -> bool:
        self._make_room()
        return await self._performer.approve(
            Plan(title=title, command=self.command, level=level, flow=_nothing, tell=Told, facts=facts)
        )


def _nothing(_told: Any) -> Flow[str]:
    yield from ()
    return ""
