"""A task type's limit key: a fixed text, or one with arguments in braces, such as `{tenant}` or `mail-{tenant}`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from tq_core import names
from tq_core.errors import InvalidInputError

_PLACE = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")


def check_template(text: str, schema: Mapping[str, Any], *, task_type: str) -> str:
    """The template, if it names only arguments that every task of the type has.

    Raises:
        InvalidInputError: it names another, or has braces around anything else: nothing is ever evaluated.
    """
    required = schema.get("required", ())
    for name in _PLACE.findall(text):
        if name not in required:
            raise InvalidInputError(
                f"the task {task_type!r}, limit_key {text!r}: {name!r} is no argument that all of its tasks have"
            )
    if "{" in (rest := _PLACE.sub("", text)) or "}" in rest:
        raise InvalidInputError(
            f"the task {task_type!r}, limit_key {text!r}: braces hold the name of an argument, such as {{tenant}}"
        )
    names.encode_limit_key(_PLACE.sub("x", text))
    return text


def limit_key_of(text: str, args: Mapping[str, Any]) -> str:
    """The limit key of a task with these arguments.

    Raises:
        InvalidInputError: an argument is neither text nor a whole number, or the key cannot be one.
    """

    def value_of(place: re.Match[str]) -> str:
        value = args.get(place[1])
        if isinstance(value, bool) or not isinstance(value, str | int):
            raise InvalidInputError(
                f"the limit key {text!r} is made of {place[1]!r}, which is {type(value).__name__}: it must be text or "
                "a whole number"
            )
        return str(value)

    found = _PLACE.sub(value_of, text)
    names.encode_limit_key(found)
    return found
