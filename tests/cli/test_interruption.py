"""Ctrl-C at any time shows a line of ours or nothing, never what Python thinks of it."""

from __future__ import annotations

import signal

import pytest

from tests.interrupting import interrupted_at, interrupted_at_its_end

TQ = "from tq_console.entry import tq; tq()"


@pytest.mark.parametrize("module", ["click", "tq_console.cli.invocation", "tq_core.errors"])
def test_ctrl_c_while_the_command_loads_ends_it_without_a_word(module: str) -> None:
    done = interrupted_at(module, TQ, "stats")
    assert (done.code, done.out, done.err) == (-signal.SIGINT, "", "")


def test_ctrl_c_once_the_command_is_there_is_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TQ_URL", "redis://127.0.0.1:1")
    done = interrupted_at("tq_console.cli.stats", TQ, "stats")
    assert (done.code, done.out, done.err) == (130, "", "tq: interrupted\n")


def test_ctrl_c_when_all_is_said_adds_nothing() -> None:
    done = interrupted_at_its_end(TQ, "--version")
    assert (done.code, done.err) == (-signal.SIGINT, "")
    assert done.out.startswith("tq ")


def test_the_console_ends_without_a_word_too() -> None:
    done = interrupted_at("click", "from tq_console.entry import tq_console; tq_console()")
    assert (done.code, done.out, done.err) == (-signal.SIGINT, "", "")
