"""Whatever stands in a task, a terminal never obeys it."""

from __future__ import annotations

import json

import pytest

from tests.cli.conftest import Tq
from tests.queue_driver import QueueDriver
from tq_console.view.tables import Column, render
from tq_console.view.text import cell_width, fit, json_line, pad, visible, visible_lines

HOSTILE = (
    "\x1b[2J\x1b]0;owned\x07\r\n\t\x00\x7f\x9b31m\x85 \u202eevil\u2066 \u200b\u200f\ufeff \u2028\u2029 "
    "\U000e0041 [bold]x[/bold] \ud800".encode("utf-8", "surrogatepass").decode("utf-8", "replace")
)
DANGEROUS = (
    {chr(c) for c in range(32)} - {"\n"}
    | {chr(c) for c in range(0x7F, 0xA0)}
    | set("\u200b\u200f\u202e\u2066\ufeff\u2028\u2029")
) | {"\U000e0041"}


@pytest.fixture
def hostile_id(mail: QueueDriver) -> str:
    """A failed task that is hostile wherever somebody from outside may write."""
    task_id = mail.put_one({HOSTILE: HOSTILE}, unique_key=HOSTILE)
    detail = {"type": HOSTILE, "message": HOSTILE, "traceback": HOSTILE, HOSTILE: HOSTILE}
    mail.fail(mail.take_one(worker_id="w\x1b[31m.1"), verdict="fatal", reason="fatal", detail=detail)
    return task_id


@pytest.mark.parametrize(
    "words",
    [
        ["tasks", "list"],
        ["tasks", "list", "--json"],
        ["tasks", "show", "ID"],
        ["tasks", "show", "ID", "--json"],
        ["tasks", "tree", "ID"],
        ["tasks", "tree", "ID", "--json"],
        ["tasks", "wait", "ID"],
        ["dlq", "list"],
        ["dlq", "groups"],
        ["dlq", "groups", "--json"],
        ["dlq", "export"],
        ["events"],
        ["events", "--json"],
        ["audit", "--log"],
        ["stats"],
    ],
    ids=" ".join,
)
def test_no_output_carries_what_a_terminal_obeys(tq: Tq, hostile_id: str, words: list[str]) -> None:
    ran = tq(*(hostile_id if word == "ID" else word for word in words))
    assert ran.code in {0, 1}
    assert not DANGEROUS & set(ran.out + ran.err)


def test_records_say_exactly_what_was_stored(tq: Tq, hostile_id: str) -> None:
    assert tq.ok("tasks", "show", hostile_id, "--json").record["args"] == {HOSTILE: HOSTILE}


def test_what_a_person_types_is_shown_safely_too(tq: Tq, mail: QueueDriver) -> None:
    tq.ok("queues", "pause", "mail", "--why", HOSTILE.replace("\x00", "")) if mail.put_one() else None
    for words in (["stats"], ["queues", "list"], ["audit", "--log"], ["tasks", "show", "\x1b[31m"], ["\x1b[31m"]):
        ran = tq(*words)
        assert not DANGEROUS & set(ran.out + ran.err), words


def test_markup_is_text_like_any_other() -> None:
    assert visible("[bold]x[/bold] <b>") == "[bold]x[/bold] <b>"


def test_letters_of_all_scripts_stay() -> None:
    text = "Grüße 你好 مرحبا 🎉 e\u0301"
    assert visible(text) == text
    assert json.loads(json_line(text)) == text


def test_escapes_are_what_a_programmer_would_write() -> None:
    assert visible("a\x1b[0m\n\x9b\u202e\U000e0041") == "a\\x1b[0m\\n\\x9b\\u202e\\U000e0041"
    assert visible_lines("a\r\n\tb") == ["a", "    b"]


def test_json_for_an_output_without_unicode_is_ascii() -> None:
    text = json_line({"a": "é🎉\u202e"}, is_ascii=True)
    assert text.isascii()
    assert json.loads(text) == {"a": "é🎉\u202e"}


def test_columns_line_up_whatever_the_width_of_the_letters() -> None:
    lines = render([Column("A"), Column("B")], [("你好", "x"), ("e\u0301", "x"), ("abcd", "x")])
    assert len({cell_width(line) for line in lines[1:]}) == 1
    assert pad("你", 4) == "你  "


def test_what_is_read_in_a_table_stays_readable_while_others_can_give_way() -> None:
    columns = [
        Column("ID"),
        Column("TYPE", is_flexible=True),
        Column("WORKER", is_flexible=True, is_optional=True),
        Column("ERROR", is_flexible=True, readable=40),
    ]
    rows = [("0" * 26, "t" * 20, "w" * 20, "e" * 60)]

    assert render(columns, rows, width=120)[1].split() == ["0" * 26, "t" * 20, "w" * 20, "e" * 47 + "…"]
    assert render(columns, rows, width=90)[1].split() == ["0" * 26, "t" * 20, "e" * 39 + "…"]
    assert render(columns, rows, width=60)[1].split() == ["0" * 26, "t" * 13 + "…", "e" * 15 + "…"]


@pytest.mark.parametrize("width", [200, 60, 30, 12, 5, 1])
def test_a_table_never_exceeds_its_width(width: int) -> None:
    columns = [
        Column("ID"),
        Column("LONG", is_flexible=True),
        Column("N", is_right=True),
        Column("ALSO", is_flexible=True),
    ]
    rows = [("0123456789", "你" * 40, "5", "x" * 50), ("a", "b", "1,000", "c")]
    assert max(cell_width(line) for line in render(columns, rows, width=width)) <= width


def test_a_table_leaves_out_what_matters_least_before_it_cuts() -> None:
    columns = [Column("ID"), Column("MINOR", is_optional=True), Column("MAJOR"), Column("LEAST", is_optional=True)]
    rows = [("0123456789", "abcde", "x" * 10, "y")]
    assert render(columns, rows, width=40)[0].split() == ["ID", "MINOR", "MAJOR", "LEAST"]
    assert render(columns, rows, width=30)[0].split() == ["ID", "MINOR", "MAJOR"]
    assert render(columns, rows, width=22)[0].split() == ["ID", "MAJOR"]


def test_what_is_cut_ends_in_an_ellipsis() -> None:
    assert fit("abcdef", 4) == "abc…"
    assert fit("你好世界", 4) == "你…"
    assert fit("abc", 3) == "abc"
