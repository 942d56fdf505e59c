"""The query language: what it says, what it refuses and where, and that nobody can spell out a secret by it."""

from __future__ import annotations

import contextlib
import shlex
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tq_core.errors import InvalidInputError, InvalidQueryError
from tq_core.masking import Masker
from tq_core.model import TaskState, TaskView
from tq_core.query import grammar
from tq_core.query.completion import Known, suggest
from tq_core.query.keys import KEYS
from tq_core.query.query import TaskQuery, parse_query
from tq_core.query.tree import And, Node, Not, Or, Term

NOW_MS = 1_700_000_000_000
ARGS = {
    "user": {"id": 42, "name": "Ann"},
    "amount": 12.5,
    "tags": ["urgent", "eu"],
    "items": [{"sku": "a"}, {"sku": "b"}],
    "is_paid": True,
    "password": "hunter2",
    "link": "https://ann:hunter2@example.org/x",
}


def task(**fields: Any) -> TaskView:
    known: dict[str, Any] = {
        "id": "01jd7q0v3k0a19c8x7v6b5n4m2",
        "type": "send_mail",
        "queue": "mail",
        "state": TaskState.FAILED,
        "priority": 50,
        "attempt": 3,
        "max_attempts": 4,
        "args": ARGS,
        "payload_bytes": 100,
        "error": {"reason": "timeout", "type": "TimeoutError", "message": "no answer from smtp://x:hunter2@mx"},
        "worker_id": "node.w3",
        "created_at_ms": NOW_MS - 600_000,
        "finished_at_ms": NOW_MS - 60_000,
        "duration_ms": 5_000,
    }
    return TaskView(**(known | fields))


FITS = """
state:failed | state=failed | state:*ed | type:send_* | type=send_mail | queue:mail | reason:timeout | error:TIMEOUT
error:no*smtp | Ann | ann | "no answer" | age:>9m | age>9m | age:<=10m | ended:<2m | took:>=5s | attempt:3 | attempt:>2
attempt=3 | priority:high | priority:50 | priority:<=high | worker:*w3 | id:*n4m2 | args.user.id=42 | args.user.id:4*
args.user.name=Ann | args.amount>12 | args.amount:<=12.5 | args.amount=12.50 | args.tags:urgent | args.tags.1=eu
args.items.sku=b | args.items.0.sku=a | args.is_paid=true | args:EU | args.link:*example.org/x
NOT type:other | -type:other | -(type:other OR queue:other) | type:other OR Ann | (type:other | queue:mail) AND Ann
NOT NOT Ann | NOT args.nothing=1 | NOT result.x=1 | args.user:*Ann*
"""
FITS_NOT = """
state:pending | type:send | type:SEND_MAIL | type=send_* | error:refused | bob | age:>10m | ended:>2m | took:<5s
attempt:<3 | priority:normal | args.user.id=4 | args.user.id:>42 | args.tags.5=eu | args.nothing:* | result:x
-Ann | Ann AND NOT type:send_mail | NOT (Ann bob | type:send_mail) | hunter2 | *hunter* | args:hunter
args.user=42 | error:hunter | args.link:*hunter*
"""


def _cases(text: str) -> list[str]:
    """The queries between the bars that are in no parentheses."""
    cases, depth = [""], 0
    for char in text.strip().replace("\n", "|"):
        depth += {"(": 1, ")": -1}.get(char, 0)
        if char == "|" and not depth:
            cases.append("")
        else:
            cases[-1] += char
    return [case.strip() for case in cases]


@pytest.mark.parametrize(("text", "wanted"), [(t, True) for t in _cases(FITS)] + [(t, False) for t in _cases(FITS_NOT)])
def test_a_query_fits_or_fits_not(text: str, wanted: bool) -> None:
    assert parse_query(text, masker=Masker()).judge(NOW_MS)(task()) is wanted


@pytest.mark.parametrize(
    "text", ["args.user.id=42", "NOT args.user.id=42", "bob", "-bob", "type:other OR bob", "args:x"]
)
def test_what_was_not_read_fits_neither_a_condition_nor_its_opposite(text: str) -> None:
    unread = task(args=None, payload_text='{"user":', payload_bytes=100_000)
    query = parse_query(text)
    assert query.judge(NOW_MS)(unread) is None
    assert not query.matcher(NOW_MS)(unread)
    assert parse_query(f"({text}) OR send_mail").matcher(NOW_MS)(unread)


@pytest.mark.parametrize(
    ("text", "at", "expected"),
    [
        ("", 1, "state:…, type:…"),
        ("  typ:x", 3, "did you mean type:…"),
        ("type", 5, '":" and a value'),
        ("type:", 6, "a value, such as type:mail*"),
        ("Ann (a", 7, '")" for the "(" at 5'),
        ("a)", 2, "the end"),
        ("a OR", 5, "a condition"),
        ("NOT", 4, "or a plain word"),
        ("age:10m", 5, "> or <"),
        ("age:>10", 6, "a duration"),
        ("state:fail", 7, "did you mean failed?"),
        ("a|b", 2, "spaces around"),
        ("x 'a", 3, "a closing '"),
        ("attempt:x", 9, "a whole number"),
        ("priority:hi", 10, "a priority"),
        ("args.x:>y", 9, "a number after >"),
        ("args=x", 5, "a field before"),
        ("error=x", 6, '":" after error'),
        ("type>5", 5, '":" after type'),
        ("x args.user.Password=a", 3, "not secret"),
        ("result.token:a*", 1, "not secret"),
        ("(" * 50 + "a", 41, "at most 40 levels"),
        ("a " * 201, 401, "at most 200 conditions"),
        ("a" * 4001, 1, "4,000 at most"),
    ],
)
def test_what_cannot_be_read_is_refused_with_the_place_and_what_was_expected(text: str, at: int, expected: str) -> None:
    with pytest.raises(InvalidQueryError) as refused:
        parse_query(text, masker=Masker())
    assert expected in refused.value.message
    if "4,000" not in expected:
        assert refused.value.position == at - 1
        assert refused.value.message.startswith(f"at {at}: expected ")


def test_states_and_queues_that_cannot_fit_are_known_before_anything_is_read() -> None:
    query = parse_query("(state:failed OR state:cancelled) -queue:a Ann")
    assert query.states == (TaskState.FAILED, TaskState.CANCELLED)
    assert not query.could_fit("a")
    assert query.could_fit("b", TaskState.FAILED)
    assert not query.could_fit("b", TaskState.PENDING)
    assert parse_query("NOT (state:failed Ann)").states == tuple(TaskState)
    assert parse_query("type:x queue:mail").queue == "mail"
    assert parse_query("type:x OR queue:mail").queue is None
    assert parse_query("age:>1m").needs_clock
    assert not parse_query("state:failed").needs_clock


@pytest.mark.parametrize("text", ["type:a error:'b c' x*", "code=500", "a.b", "queue:a,b"])
def test_words_that_older_versions_read_alike_are_known_as_such(text: str) -> None:
    assert parse_query(text).is_plain


@pytest.mark.parametrize(
    "text",
    [
        "NOT a",
        "-a",
        "a OR b",
        "a | b",
        "(a)",
        "f(x) AND b",
        "state:failed",
        "args.a=1",
        "type=x",
        '"type:x"',
        "age:>1m",
    ],
)
def test_what_older_versions_would_misread_is_not_plain(text: str) -> None:
    assert not parse_query(text).is_plain


KNOWN = Known(queues=["mail", "e mail", "m\x1b[2J"], types=["send_mail"], workers=["node.w3"])


@pytest.mark.parametrize(
    ("typed", "start", "found"),
    [
        ("", 0, ["state:", "type:"]),
        ("st", 0, ["state:"]),
        ("type:x -qu", 8, ["queue:"]),
        ("(er", 1, ["error:"]),
        ("a NO", 2, ["NOT "]),
        ("queue:", 0, ["queue:mail ", 'queue:"e mail" ']),
        ("queue:MA", 0, ["queue:mail ", 'queue:"e mail" ']),
        ('queue:"e m', 0, ['queue:"e mail" ']),
        ("state:ed", 0, ["state:scheduled ", "state:blocked "]),
        ("age", 0, ["age:>"]),
        ("age:", 0, ["age:>10m "]),
        ("args.x=1 type:", 9, ["type:send_mail "]),
        ("args", 0, ["args."]),
        ("text", 0, []),
        ("state:failed", 0, []),
    ],
)
def test_what_may_stand_next_is_told(typed: str, start: int, found: list[str]) -> None:
    told = suggest(typed, len(typed), KNOWN)
    texts = [suggestion.text for suggestion in told.found]
    assert told.start == start
    assert set(found) <= set(texts)
    assert bool(found) == bool(texts)


PIECES = st.sampled_from(
    [
        *KEYS,
        *"():=<>|-'\"\\*?[]!.~&",
        " ",
        " ",
        "NOT ",
        " OR ",
        "AND",
        "10m",
        "args.a",
        "state:failed",
        "failed",
        "5",
        "-(",
    ]
)
TEXTS = st.lists(PIECES | st.text(max_size=4), max_size=12).map("".join)


def read(text: str) -> TaskQuery | None:
    try:
        return parse_query(text)
    except InvalidQueryError as error:
        if not 0 <= error.position <= len(text):
            raise
        return None


@given(TEXTS)
def test_any_text_is_a_query_that_can_be_written_and_asked_or_is_refused(text: str) -> None:
    for suggestion in suggest(text, len(text) // 2, KNOWN).found:
        assert suggestion.text.isprintable()
    query = read(text)
    if query is None:
        return
    written = grammar.written(query.root)
    assert grammar.parse(written) == query.root
    assert grammar.written(grammar.parse(written)) == written
    assert query.judge(NOW_MS)(task()) in (True, False, None)
    query.could_fit("mail", TaskState.FAILED)


VALUES = st.text(min_size=1, max_size=6)
TERMS = st.one_of(
    st.builds(Term, st.sampled_from(["", "error", "args", "result"]), st.just(":"), VALUES),
    st.builds(Term, st.sampled_from(["type", "queue", "id", "reason", "worker"]), st.sampled_from([":", "="]), VALUES),
    st.builds(Term, st.just("args"), st.sampled_from([":", "="]), VALUES, st.just(("a", "b"))),
    st.builds(Term, st.just("age"), st.sampled_from([">", "<=", "<"]), st.just("10m")),
)
TREES: st.SearchStrategy[Node] = st.recursive(
    TERMS,
    lambda inner: (
        inner.map(Not)
        | st.lists(inner, min_size=2, max_size=3).map(lambda parts: And(tuple(parts)))
        | st.lists(inner, min_size=2, max_size=3).map(lambda parts: Or(tuple(parts)))
    ),
    max_leaves=8,
)


@given(TREES)
def test_any_query_is_written_so_that_it_is_read_again(tree: Node) -> None:
    assert grammar.parse(grammar.written(tree)) == tree


@given(st.lists(st.text(max_size=6) | st.sampled_from(["type:a*", "error:x y", "id:1", "a b"]), min_size=1, max_size=4))
def test_what_is_plain_means_what_it_meant_before(words: list[str]) -> None:
    text = " ".join(map(shlex.quote, words))
    with contextlib.suppress(InvalidInputError):
        query = parse_query(text)
        if query.is_plain:
            parts = query.root.parts if isinstance(query.root, And) else (query.root,)
            assert all(isinstance(part, Term) for part in parts)
            assert len(parts) == len(shlex.split(text))
