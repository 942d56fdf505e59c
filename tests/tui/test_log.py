"""The Log screen: every entry once and in order, however it is read; followed, held, filtered, undone."""

from __future__ import annotations

import random

import pytest

from tests.queue_driver import QueueDriver
from tests.tui.console_on_queue import console_on
from tq_console.tui.frame.tabs import Tab, tab_line
from tq_console.tui.lists import log_book
from tq_console.tui.lists.log_book import LogBook
from tq_console.tui.lists.log_filter import chooser
from tq_console.tui.lists.log_rows import happenings
from tq_console.tui.panes.log import LogPane
from tq_core.errors import InvalidInputError
from tq_core.roles import events, operator
from tq_core.roles.log import Entry, Part, Stream, Want, streams

QUEUES = ("a", "b")


class World:
    """Streams as a server has them."""

    def __init__(self, dice: random.Random) -> None:
        self.dice = dice
        self.ms = 1000
        self.entries: dict[Stream, list[Entry]] = {stream: [] for stream in streams(QUEUES)}

    def happen(self, count: int) -> None:
        busy, *_ = there = list(self.entries)
        for _ in range(count):
            self.ms += self.dice.randrange(3)
            stream = busy if self.dice.random() < 0.8 else self.dice.choice(there)
            last = self.entries[stream][-1].at if self.entries[stream] else (0, 0)
            number = last[1] + 1 if last[0] == self.ms else 0
            self.entries[stream].append(Entry(stream, f"{self.ms}-{number}", None))

    def answer(self, want: Want) -> Part:
        def at(cursor: str, otherwise: tuple[int, int]) -> tuple[int, int]:
            ms, _, number = cursor.partition("-")
            return (int(ms), int(number)) if cursor else otherwise

        after, before = at(want.after, (0, -1)), at(want.before, (10**9, 0))
        found = [entry for entry in reversed(self.entries[want.stream]) if after < entry.at < before]
        return Part(want, tuple(found[: want.limit]))

    @property
    def all(self) -> list[tuple[int, int]]:
        return sorted((entry.at for some in self.entries.values() for entry in some), reverse=True)


@pytest.mark.parametrize("seed", range(4))
def test_whatever_is_read_is_all_that_happened_since(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, number in (("FIRST", 30), ("NEW", 30), ("OLDER", 40), ("LEAST", 3), ("KEPT", 60)):
        monkeypatch.setattr(log_book, name, number)
    dice = random.Random(seed)
    world, book = World(dice), LogBook()
    world.happen(dice.choice((0, 5, 150)))
    for step in range(24):
        is_following = step < 12 or dice.random() < 0.7
        parts = [world.answer(w) for w in book.wanted(QUEUES, is_older=dice.random() < 0.4, is_following=is_following)]
        dice.shuffle(parts)
        book.accept([*parts, *parts], is_following=is_following)
        assert [entry.at for entry in book.entries] == [at for at in world.all if at >= book.since]
        if is_following:
            assert book.read_count <= 60 + 2 * len(streams(QUEUES)) + 1
        world.happen(dice.choice((0, 1, 3, 20, 60)))
    while not book.is_whole:
        book.accept(map(world.answer, book.wanted(QUEUES, is_older=True, is_following=False)), is_following=False)
    assert [entry.at for entry in book.entries] == world.all
    monkeypatch.setattr(log_book, "HELD", 10)
    assert book.wanted(QUEUES, is_following=False) == ()
    assert book.is_held


def test_words_choose_entries_and_what_is_none_is_said(q: QueueDriver) -> None:
    q.put_many(2)
    q.fail(q.take_one(), verdict="fatal")
    q.run(operator.pause_queue("mail", actor="ann", why="bad deploy"))
    found, _ = q.run(events.latest(["mail"]))
    stream = Stream("mail", is_audit=False)
    acts = q.run(operator.audit_log(["mail"]))
    lines = happenings(
        [
            *(Entry(stream, e.cursor, e, len(e.ids)) for e in found),
            *(Entry(Stream("mail", is_audit=True), "1-1", a) for a in acts),
        ]
    )

    def kinds(words: str) -> list[str]:
        return [line.what for line in lines if chooser(words)(line)]

    assert kinds("kind:enq*") == ["enqueued"]
    assert kinds("NOT kind:enqueued who:node*") == ["claimed", "failed"]
    assert "pause" in kinds('"bad deploy"')
    assert kinds("queue:other") == []
    for words in ("typ:x", "NOT", "'"):
        with pytest.raises(InvalidInputError):
            chooser(words)


def test_every_tab_is_seen_at_any_width() -> None:
    tabs = [Tab(name.lower(), str(n), name) for n, name in enumerate(("Overview", "Queues", "Metrics", "Log"), start=1)]
    assert "".join(text for text, _ in tab_line(tabs, "queues", width=80)[0]).startswith(" 1 Overview ▸2 Queues ")
    for width in (80, 36, 26, 22, 16):
        line, ends = tab_line(tabs, "log", width=width)
        assert sum(len(text) for text, _ in line) == ends[-1][0] <= width


@pytest.mark.server
async def test_the_log_is_followed_held_filtered_and_what_people_did_undone(q: QueueDriver) -> None:
    for _ in range(40):
        q.put_one()
    task = q.take_one()
    q.fail(task, verdict="fatal")
    async with console_on(q, first="log") as console:
        pane = console.app.pane
        assert isinstance(pane, LogPane)
        await console.until_shown("▶ following")
        await console.until(lambda: console.table.total == 42, "all entries")
        await console.press("pagedown")
        held = console.table.cursor_id
        await console.until_shown("‖ held")
        q.put_one()
        await console.until_shown("+1 new")
        assert console.table.cursor_id == held
        await console.press("f")
        await console.until(lambda: console.table.cursor_index == 0 and "+1 new" not in console.screen_text, "the top")

        await console.press("right_square_bracket", "right_square_bracket")
        await console.until(lambda: console.table.total == 1, "the failure alone")
        await console.press("enter")
        await console.until(lambda: console.app.detail is not None, "its task")
        assert console.app.detail is not None
        assert console.app.detail.task_id == task.id
        await console.press("escape")

        q.run(operator.purge("mail", actor="bob"))
        q.run(operator.pause_queue("mail", actor="ann", why="[/foo] \x1b[31m"))
        await console.press("2", "at")
        await console.until_shown("» pause")
        assert "\x1b" not in console.screen_text
        assert "[/foo]" in console.screen_text
        await console.press("z")
        await console.until(lambda: any("cannot be undone" in toast for toast in console.toasts), "why not")
        await console.press("slash", *"who", "colon", *"bob", "enter")
        await console.until(lambda: console.table.total == 1, "what bob did")
        await console.press("z", "y")
        await console.until(lambda: q.depths().get("pending") == 40, "the tasks to come back")
        assert console.done[-1].startswith("tq undo ")
        await console.press("escape", "slash", *"nix", "enter")
        await console.until_shown("nothing people fits /nix")
