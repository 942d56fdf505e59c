"""Which lines of the log are shown: some kinds of them, and of those what fits words."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from typing import TypeAlias

from tq_console.tui.lists.log_rows import Happening
from tq_core.errors import InvalidInputError

Test: TypeAlias = Callable[[Happening], bool]

_USUAL = {"enqueued", "unblocked", "claimed", "completed", "released", "restored", "replaced"}
_FAILURES = {"retrying", "failed", "crashed", "lost", "expired", "breaker", "fired"}

KINDS: tuple[tuple[str, Test], ...] = (
    ("all", lambda _: True),
    ("notable", lambda happening: happening.act is not None or happening.what not in _USUAL),
    ("failures", lambda happening: happening.act is None and happening.what in _FAILURES),
    ("people", lambda happening: happening.act is not None),
)
"""What each kind is called, and what is of it."""
PEOPLE = 3
_FIELDS: dict[str, Callable[[Happening], Sequence[str]]] = {
    "kind": lambda happening: (happening.what,),
    "queue": lambda happening: (happening.queue,),
    "who": lambda happening: (happening.who,),
    "id": lambda happening: happening.ids,
}


def chooser(text: str) -> Test:
    """Whether a line of the log fits words such as `kind:failed queue:mail* NOT who:ann timeout`.

    Raises:
        InvalidInputError: a word is none of these; says which.
    """
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise InvalidInputError(f"{text!r}: {str(error).lower()}") from error
    tests: list[Test] = []
    is_not = False
    for word in words:
        if word == "NOT":
            is_not = not is_not
            continue
        tests.append(_negated(_test(word)) if is_not else _test(word))
        is_not = False
    if is_not:
        raise InvalidInputError("NOT stands before a word: NOT kind:claimed")
    return lambda happening: all(test(happening) for test in tests)


def _negated(test: Test) -> Test:
    return lambda happening: not test(happening)


def _test(word: str) -> Test:
    name, colon, value = word.partition(":")
    field = _FIELDS.get(name) if colon else None
    if field is not None:
        return lambda happening: any(fnmatchcase(text, value) for text in field(happening))
    if colon and name.isalpha() and name.islower():
        known = ", ".join(f"{known}:" for known in _FIELDS)
        raise InvalidInputError(f"the log cannot be filtered by {name!r}: use {known} or plain words")
    plain = word.lower()
    return lambda happening: plain in happening.text
