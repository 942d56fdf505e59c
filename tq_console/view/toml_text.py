"""Changing one value of a TOML text and nothing else: comments, order and layout stay as somebody wrote them.

A change is made in the text and then checked: the text must parse to what it meant before but for the one value. What
is laid out too cleverly for that is refused, never guessed at.
"""

from __future__ import annotations

import copy
import json
import re
import tomllib
from collections.abc import Sequence
from typing import Any, TypeAlias

from tq_core.errors import InvalidInputError

Value: TypeAlias = str | bool | int | float | list[str]
_BARE = re.compile(r"[A-Za-z0-9_-]+")


def with_value(text: str, path: Sequence[str], value: Value) -> str:
    """The text with a value set, in the place where it stood or at the end of its table.

    Args:
        text: TOML.
        path: The tables from the outside in, then the key.

    Raises:
        InvalidInputError: the text cannot be changed safely.
    """
    wanted = copy.deepcopy(tomllib.loads(text))
    *tables, key = path
    at: Any = wanted
    for name in tables:
        at = at.setdefault(name, {})
        if not isinstance(at, dict):
            raise InvalidInputError(f"{_dotted(path)}: {name} is no table")
    at[key] = value
    lines = _lines(text)
    start, end = _block(lines, tables)
    new = f"{_quoted(key)} = {_written(value)}\n"
    if start is None:
        gap = ["\n"] if lines and lines[-1].strip() else []
        lines += [*gap, f"[{_dotted(tables)}]\n", new]
    elif (found := _entry(lines, start, end, key)) is not None:
        first, after = found
        lines[first:after] = [new[:-1] + _comment(lines, first, after) + "\n"]
    else:
        while end > start and not lines[end - 1].strip():
            end -= 1
        is_above_header = not tables and end < len(lines) and lines[end].lstrip().startswith("[")
        lines[end:end] = [new, "\n"] if is_above_header else [new]
    return _checked("".join(lines), wanted, path)


def without(text: str, path: Sequence[str]) -> str:
    """The text without a value or a whole table; the comment that stands right above a table goes with it.

    Args:
        text: TOML.
        path: The tables from the outside in, then the key or the table that is to go.

    Raises:
        InvalidInputError: there is no such thing, or the text cannot be changed safely.
    """
    wanted = copy.deepcopy(tomllib.loads(text))
    *tables, key = path
    at: Any = wanted
    for name in tables:
        at = at.get(name) if isinstance(at, dict) else None
    if not isinstance(at, dict) or key not in at:
        raise InvalidInputError(f"{_dotted(path)} is not there")
    gone = at.pop(key)
    lines = _lines(text)
    if isinstance(gone, dict):
        while (block := _block(lines, path, is_deep=True))[0] is not None:
            start, end = block
            assert start is not None
            start -= 1
            while start and lines[start - 1].lstrip().startswith("#"):
                start -= 1
            if start > 0 and end < len(lines) and lines[start - 1].strip() and not lines[end - 1].strip():
                end -= 1
            del lines[start:end]
    else:
        start, end = _block(lines, tables)
        found = _entry(lines, start or 0, end, key)
        if found is None:
            raise InvalidInputError(f"{_dotted(path)} is written in a way that cannot be changed here: edit the file")
        del lines[found[0] : found[1]]
    return _checked("".join(lines), wanted, path)


def _checked(text: str, wanted: dict[str, Any], path: Sequence[str]) -> str:
    try:
        found = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        found = None
    if found is not None and _pruned(found) == _pruned(wanted):
        return text
    raise InvalidInputError(f"{_dotted(path)} is written in a way that cannot be changed here: edit the file")


def _pruned(value: Any) -> Any:
    """Without empty tables: whether one is there means nothing."""
    if not isinstance(value, dict):
        return value
    found = {name: _pruned(each) for name, each in value.items()}
    return {name: each for name, each in found.items() if each != {}}


def _lines(text: str) -> list[str]:
    lines = text.splitlines(keepends=True)
    if lines and not lines[-1].endswith("\n"):
        lines[-1] += "\n"
    return lines


def _block(lines: list[str], table: Sequence[str], *, is_deep: bool = False) -> tuple[int | None, int]:
    """First line after a table's header, and the line after its last; the root table begins with the text.

    Args:
        lines: Of the text.
        table: Its names from the outside in.
        is_deep: The first block of the table or of any table in it.
    """
    start: int | None = None if table else 0
    for i, line in enumerate(lines):
        header = _header(line)
        if header is None:
            continue
        if start is not None:
            # What stands right above a header belongs to it.
            end = i
            while end > start and lines[end - 1].lstrip().startswith("#"):
                end -= 1
            return start, end
        if header == list(table) or (is_deep and header[: len(table)] == list(table)):
            start = i + 1
    return start, len(lines)


def _header(line: str) -> list[str] | None:
    """The names of the table that a line opens; None where it opens none."""
    if not line.lstrip().startswith("["):
        return None
    try:
        at: Any = tomllib.loads(line)
    except tomllib.TOMLDecodeError:
        return None
    names = []
    while isinstance(at, dict) and at:
        ((name, at),) = at.items()
        names.append(name)
        if isinstance(at, list):
            names.append("")  # an array of tables, of which we change none
            break
    return names


def _entry(lines: list[str], start: int, end: int, key: str) -> tuple[int, int] | None:
    """First line of a key's value, and the one after its last."""
    i = start
    while i < end:
        after = _end_of_entry(lines, i, end)
        if after is not None:
            if list(tomllib.loads("".join(lines[i:after]))) == [key]:
                return i, after
            i = after
        else:
            i += 1
    return None


def _end_of_entry(lines: list[str], first: int, end: int) -> int | None:
    for after in range(first + 1, end + 1):
        try:
            return after if tomllib.loads("".join(lines[first:after])) else None
        except tomllib.TOMLDecodeError:
            continue
    return None


def _comment(lines: list[str], first: int, after: int) -> str:
    """The comment behind a value of one line; "" = none."""
    line = lines[first].rstrip("\n")
    if after != first + 1:
        return ""
    for at in (i for i, letter in enumerate(line) if letter == "#"):
        try:
            if tomllib.loads(line[:at]) == tomllib.loads(line):
                return "   " + line[at:]
        except tomllib.TOMLDecodeError:
            continue
    return ""


def _written(value: Value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return "[" + ", ".join(map(_written, value)) + "]"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f") if isinstance(value, str) else repr(value)


def _quoted(name: str) -> str:
    return name if _BARE.fullmatch(name) else _written(name)


def _dotted(path: Sequence[str]) -> str:
    return ".".join(map(_quoted, path))
