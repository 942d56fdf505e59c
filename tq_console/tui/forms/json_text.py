"""Arguments as JSON text: laid out to be edited, and read back with the place of what is wrong."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from tq_console.view.text import json_line
from tq_core.errors import InvalidInputError

_BYTE = re.compile(r" \((?:byte|char|character) (\d+)\)")


class JsonTextError(InvalidInputError):
    """A text is no JSON object; knows where it stops being one."""

    def __init__(self, message: str, line: int, column: int) -> None:
        super().__init__(message)
        self.line, self.column = line, column
        """From 1."""


def json_page(value: dict[str, Any]) -> str:
    """The object over several lines, with nothing in it that a terminal would obey."""
    return "{\n  \n}" if not value else str(msgspec.json.format(json_line(value), indent=2))


def read_object(text: str) -> dict[str, Any]:
    """The object that a text is.

    Raises:
        JsonTextError: it is none.
    """
    raw = text.encode("utf-8", "surrogatepass")
    if not raw.strip():
        return {}
    try:
        found = msgspec.json.decode(raw)
    except RecursionError as error:
        raise JsonTextError("this JSON is nested too deeply", 1, 1) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        said = str(error)
        match = _BYTE.search(said)
        place = min(int(match.group(1)), len(raw)) if match else len(raw)
        before = raw[:place].decode("utf-8", "ignore")
        line, column = before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1
        what = _BYTE.sub("", said).removeprefix("JSON is malformed: ").removeprefix("Input data was truncated")
        what = what.strip() or "it ends too early"
        raise JsonTextError(f"no valid JSON at line {line}, column {column}: {what}", line, column) from error
    if not isinstance(found, dict):
        raise JsonTextError('write a JSON object like {"key": "value"}: arguments have names', 1, 1)
    return found
