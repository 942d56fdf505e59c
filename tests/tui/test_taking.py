"""What is taken out of the console: by the clipboard, as a picture, into a program; and what the palette finds."""

from __future__ import annotations

import base64
import re
from functools import partial
from pathlib import Path

import pytest
from textual.widgets import Input

from tests.queue_driver import QueueDriver
from tests.tui.console_on_queue import console_on
from tq_console.tui.app import ConsoleApp
from tq_console.tui.clipboard import BASE64_MAX, SCREEN_CHUNK, fitting, sequence
from tq_console.tui.command_line.bar import CommandBar
from tq_console.tui.command_line.output_screen import OutputScreen, folded
from tq_console.tui.frame.copy_menu import CopyMenu


def decoded(text: str) -> str:
    found = re.search(r"\x1b\]52;c;([A-Za-z0-9+/=]*)\a", text)
    assert found
    return base64.b64decode(found[1]).decode()


def test_a_text_reaches_the_terminal_also_through_tmux_and_screen() -> None:
    text = "é" * 2_000
    assert decoded(sequence(text, {})) == text
    through_tmux = sequence(text, {"TMUX": "/tmp/tmux,1,0"})
    assert through_tmux.startswith("\x1bPtmux;\x1b\x1b]52;c;")
    assert decoded(through_tmux.removeprefix("\x1bPtmux;").removesuffix("\x1b\\").replace("\x1b\x1b", "\x1b")) == text
    for environ in ({"STY": "1.tty"}, {"TERM": "screen-256color"}):
        parts = re.findall(r"\x1bP(.*?)\x1b\\", sequence(text, environ), re.DOTALL)
        assert max(map(len, parts)) <= SCREEN_CHUNK
        assert decoded("".join(parts)) == text


def test_a_text_that_is_too_long_is_cut_between_two_characters() -> None:
    cut = fitting("漢" * 100_000)
    assert 0 < len(cut) < 100_000
    assert len(base64.b64encode(cut.encode())) <= BASE64_MAX
    assert fitting("short") == "short"


def test_long_lines_of_output_are_folded_by_their_cells() -> None:
    assert folded("abcdef", 4) == ["abcd", "ef"]
    assert folded("漢字漢字", 5) == ["漢字", "漢字"]
    assert folded("", 5) == [""]


def _is_copied(app: ConsoleApp, text: str) -> bool:
    return app.clipboard == text


@pytest.mark.server
async def test_copies_pictures_programs_and_the_palette(
    q: QueueDriver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ids = q.put_many(3)
    async with console_on(q, first="tasks", size=(100, 30)) as console:
        app = console.app
        await console.press("right_square_bracket")
        await console.until(lambda: console.table.cursor_id == ids[0], "the tasks")
        for key, text in (("i", ids[0]), ("a", '{\n  "n": 0\n}'), ("c", f"tq tasks show {ids[0]}")):
            await console.press("y")
            await console.until(lambda: isinstance(app.screen, CopyMenu), "the menu")
            await console.press(key)
            await console.until(partial(_is_copied, app, text), text)
        app.taking.copy("x" * 200_000, "it all")
        cut = "the first 56,244 of 200,000 characters of it all"
        await console.until(lambda: any(cut in toast for toast in console.toasts), "how much")
        await console.press("f12")
        await console.until(lambda: list(tmp_path.glob("tq-*.svg")), "the picture")
        await console.press("m")
        await console.until(lambda: "1 Overview" not in console.screen_text, "more room")
        await console.press("m")
        await console.until_shown("1 Overview")
        # A program gets what is marked, after a yes; esc ends it.
        await console.press("space", "j", "space", "exclamation_mark")
        await console.until(lambda: isinstance(app.screen, CommandBar), "the line")
        app.screen.query_one(Input).value = "wc -l; sleep 600"
        await console.press("enter")
        await console.until_shown("Run 'wc -l; sleep 600' on 2 tasks?")
        await console.press("y")
        await console.until(lambda: isinstance(app.screen, OutputScreen), "its output")
        await console.until_shown("running · esc stops it")
        await console.until(lambda: re.search(r"│\s*2\s*│", console.screen_text), "the count")
        await console.press("escape")
        await console.until(lambda: app.screen is app.base, "the tasks again")
        await console.until(
            lambda: not any(worker.group == "pipe" and not worker.is_finished for worker in app.workers), "its end"
        )
        # The palette knows keys, queues, types and tasks.
        for typed, shown in (("prog", "key !"), ("queue ma", "its tasks"), ("type wor", "type work"), (ids[1], ids[1])):
            await console.press("ctrl+p")
            await console.until(lambda: app.screen is not app.base, "the palette")
            app.screen.query_one(Input).value = typed
            await console.until_shown(shown)
            await console.press("escape")
            await console.until(lambda: app.screen is app.base, "the tasks again")
        app.is_for_looking = True
        await console.press("exclamation_mark")
        await console.until(lambda: any("runs no programs" in toast for toast in console.toasts), "the refusal")
