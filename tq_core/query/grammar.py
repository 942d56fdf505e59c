"""Reading and writing queries: `state:failed (type:mail* OR queue:a) age:>10m NOT error:timeout invoice`.

    query  = and { ("OR" | "|") and }
    and    = part { ["AND"] part }
    part   = "NOT" part | "-" part | "(" query ")" | term
    term   = key ":" value | key "=" value | key (">" | "<" | ">=" | "<=") value | text

What is refused names the character from which on it cannot be read, counted from 1, and what was expected there.
"""

from __future__ import annotations

import re
from typing import Final, cast

from tq_core.errors import InvalidInputError, InvalidQueryError
from tq_core.masking import Masker
from tq_core.model import TaskState, parse_priority
from tq_core.names import nearest
from tq_core.query.keys import KEYS, NUMBER, Key, Sort, duration_ms, states_like
from tq_core.query.tokens import JOINING, Kind, Token, tokens
from tq_core.query.tree import And, Node, Not, Operator, Or, Term

LONGEST: Final = 4_000
TERMS_MAX: Final = 200
DEEPEST: Final = 40

_COMPARED = (Sort.DURATION, Sort.COUNT, Sort.PRIORITY, Sort.DATA)
_FIELD = re.compile(r"[^\s:=<>()|'\"\\.]+")
_SAFE = re.compile(r"[A-Za-z0-9_.,@*?/%+~^#$!&;{}\[\]-]+", re.ASCII)
_ANY_KEY = ", ".join(f"{name}:…" for name in KEYS)
_DIGITS = re.compile(r"[0-9]{1,9}", re.ASCII)


def parse(text: str, *, masker: Masker | None = None) -> Node:
    """The query of a text.

    Args:
        masker: Says which fields are secret and cannot be searched; None = as the environment says.

    Raises:
        InvalidQueryError: it cannot be read, with the position.
    """
    if len(text) > LONGEST:
        raise InvalidQueryError(f"{len(text):,} characters: a query has {LONGEST:,} at most", LONGEST)
    parser = _Parser(tokens(text), masker or Masker.from_environment())
    return parser.whole()


class _Parser:
    def __init__(self, found: list[Token], masker: Masker) -> None:
        self._tokens, self._at, self._terms, self._masker = found, 0, 0, masker

    @property
    def _token(self) -> Token:
        return self._tokens[self._at]

    def _take(self) -> Token:
        token = self._token
        self._at += token.kind is not Kind.END
        return token

    def whole(self) -> Node:
        node = self._either(DEEPEST)
        if self._token.kind is not Kind.END:
            raise _refused(self._token.start, 'expected the end, or "(" before this ")"')
        return node

    def _either(self, depth: int) -> Node:
        parts = [self._all(depth)]
        while self._token.kind is Kind.OR:
            self._take()
            parts.append(self._all(depth))
        return parts[0] if len(parts) == 1 else Or(tuple(parts))

    def _all(self, depth: int) -> Node:
        parts = [self._part(depth)]
        while self._token.kind in (Kind.WORD, Kind.NOT, Kind.OPEN, Kind.AND):
            if self._token.kind is Kind.AND:
                self._take()
            parts.append(self._part(depth))
        return parts[0] if len(parts) == 1 else And(tuple(parts))

    def _part(self, depth: int) -> Node:
        if not depth:
            raise _refused(self._token.start, f"expected at most {DEEPEST} levels in one another")
        token = self._take()
        match token.kind:
            case Kind.NOT:
                return Not(self._part(depth - 1))
            case Kind.OPEN:
                node = self._either(depth - 1)
                if self._take().kind is not Kind.CLOSE:
                    raise _refused(self._token.start, f'expected ")" for the "(" at {token.start + 1}')
                return node
            case Kind.WORD:
                self._terms += 1
                if self._terms > TERMS_MAX:
                    raise _refused(token.start, f"expected at most {TERMS_MAX} conditions")
                if token.text[:1] == "-" and len(token.text) > 1 and not token.quoted[0]:
                    return Not(self._term(token.tail(1)))
                return self._term(token)
        if token.kind is Kind.END and not self._terms:
            raise _refused(token.start, f"expected {_ANY_KEY} or a plain word")
        raise _refused(token.start, f"expected a condition such as type:mail*, or text, not {token.kind.value}")

    # --- one condition ---

    def _term(self, token: Token) -> Term:
        text = token.text
        end = next((i for i, char in enumerate(text) if char in ":=<>" and not token.quoted[i]), len(text))
        name = text[:end]
        if not text:
            raise _refused(token.start, "expected text between the quotes")
        if any(token.quoted[:end]):
            return Term("", ":", text)
        if end == len(text):
            if text in KEYS:
                raise _refused(token.end, f'expected ":" and a value, such as {KEYS[text].example}; quote it as text')
            return Term("", ":", text)
        head, *path = name.split(".")
        key = KEYS.get(head if path else name)
        if key is None or (path and key.sort is not Sort.DATA):
            if text[end] != ":":
                return Term("", ":", text)
            raise _refused(token.start, _unknown(name))
        if text[end] in "<>" and key.sort not in _COMPARED:
            raise _refused(token.at[end], f'expected ":" after {key.name}, such as {key.example}')
        operator, skip = _operator(token, end, key)
        value = token.tail(skip)
        if not value.text:
            raise _refused(value.start, f"expected a value, such as {key.example}")
        return self._checked(Term(key.name, operator, value.text, tuple(path)), token, value.start)

    def _checked(self, term: Term, token: Token, at: int) -> Term:
        key, is_exact = KEYS[term.key], term.operator == "="
        match key.sort:
            case Sort.STATE:
                if not states_like(term.value, is_exact=is_exact):
                    near = nearest(term.value, TaskState)
                    hint = f"did you mean {' or '.join(near)}? There are " if near else ""
                    raise _refused(at, f"expected a state: {hint}{', '.join(TaskState)}")
            case Sort.WITHIN if is_exact:
                raise _refused(at - 1, f'expected ":" after {key.name}, whose text is searched')
            case Sort.DURATION:
                if term.operator in (":", "="):
                    raise _refused(at, f"expected > or < and a duration, such as {key.example}")
                if duration_ms(term.value) is None:
                    raise _refused(at, f"expected a duration such as 10m, 1h30m or 500ms, not {term.value!r}")
            case Sort.COUNT:
                if not _DIGITS.fullmatch(term.value):
                    raise _refused(at, f"expected a whole number, such as {key.example}, not {term.value!r}")
            case Sort.PRIORITY:
                try:
                    parse_priority(term.value)
                except InvalidInputError as error:
                    raise _refused(at, f"expected a priority: {error.message}") from error
            case Sort.DATA:
                self._check_data(term, token, at)
            case _:
                pass
        return term

    def _check_data(self, term: Term, token: Token, at: int) -> None:
        if not term.path and term.operator != ":":
            raise _refused(at - 1, f'expected a field before "{term.operator}", such as {KEYS[term.key].example}')
        for field in term.path:
            if not _FIELD.fullmatch(field):
                raise _refused(token.start, f"expected a field between the dots, such as {KEYS[term.key].example}")
            if self._masker.is_secret(field):
                raise _refused(
                    token.start,
                    f"expected a field that is not secret: {'.'.join((term.key, *term.path))} is masked, "
                    "and what is masked cannot be searched for",
                )
        if term.operator not in (":", "=") and not NUMBER.fullmatch(term.value):
            raise _refused(at, f"expected a number after {term.operator}, not {term.value!r}; quote it as text")


def _operator(token: Token, end: int, key: Key) -> tuple[Operator, int]:
    """The operator that begins at a character, and the place of the value."""
    text, skip = token.text, end
    if text[skip] == ":":
        skip += 1
        is_compared = key.sort in _COMPARED and text[skip : skip + 1] in ("<", ">", "=") and not token.quoted[skip]
        if not is_compared:
            return ":", skip
    if text[skip] == "=":
        return "=", skip + 1
    if text[skip + 1 : skip + 2] == "=" and not token.quoted[skip + 1]:
        return cast(Operator, text[skip : skip + 2]), skip + 2
    return cast(Operator, text[skip]), skip + 1


def _unknown(name: str) -> str:
    near = nearest(name.partition(".")[0], KEYS)
    hint = f"; did you mean {' or '.join(f'{n}:…' for n in near)}?" if near else ""
    return f"expected {_ANY_KEY} or a plain word, not {name!r}{hint}; text with a colon is quoted"


def _refused(position: int, what: str) -> InvalidQueryError:
    return InvalidQueryError(f"at {position + 1}: {what}", position)


# --- writing ---


def written(node: Node) -> str:
    """The query as text; to parse that gives the same query."""
    match node:
        case Term():
            return _written_term(node)
        case Not(part):
            return f"NOT {_nested(part)}"
        case And(parts):
            return " ".join(_nested(part) for part in parts)
        case Or(parts):
            return " OR ".join(f"({written(part)})" if isinstance(part, Or) else written(part) for part in parts)


def _nested(node: Node) -> str:
    return f"({written(node)})" if isinstance(node, (And, Or)) else written(node)


def _written_term(term: Term) -> str:
    if not term.key:
        is_safe = _SAFE.fullmatch(term.value) and term.value[0] != "-" and term.value not in {*KEYS, *JOINING}
        return term.value if is_safe else quoted(term.value)
    value = quoted_where_needed(term.value)
    sign = term.operator if term.operator in (":", "=") else f":{term.operator}"
    return ".".join((term.key, *term.path)) + sign + value


def quoted_where_needed(text: str) -> str:
    """A value as it stands behind its key."""
    return text if _SAFE.fullmatch(text) else quoted(text)


def quoted(text: str) -> str:
    """A text as one word of a query, whatever is in it."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
