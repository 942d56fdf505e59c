"""What a JSON schema allows, in the words of its reader; a schema comes from outside and may say anything."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tq_console.view.text import json_line

DEEPEST = 4
MOST_CHOICES = 200

_TYPES = {
    "string": "text",
    "integer": "whole number",
    "number": "number",
    "boolean": "true or false",
    "null": "null",
    "array": "list as JSON",
    "object": "object as JSON",
}
_FORMATS = {
    "date": "date like 2030-01-31",
    "date-time": "time like 2030-01-31T18:00:00Z",
    "time": "time of day like 18:00:00",
    "duration": "duration like PT5M",
    "uuid": "UUID",
    "decimal": "decimal number",
}
_LIMITS = (
    ("minimum", "from {}"),
    ("exclusiveMinimum", "above {}"),
    ("maximum", "to {}"),
    ("exclusiveMaximum", "below {}"),
    ("multipleOf", "a multiple of {}"),
    ("minLength", "at least {} characters"),
    ("maxLength", "at most {} characters"),
    ("minItems", "at least {} items"),
    ("maxItems", "at most {} items"),
    ("pattern", "like {}"),
)


def resolved(schema: Any, root: Mapping[str, Any]) -> Mapping[str, Any]:
    """The schema that a reference leads to; {} where it leads nowhere."""
    for _ in range(20):
        if not isinstance(schema, Mapping):
            return {}
        reference = schema.get("$ref")
        if not isinstance(reference, str):
            return schema
        definitions = root.get("$defs")
        target = reference.removeprefix("#/$defs/")
        schema = definitions.get(target) if isinstance(definitions, Mapping) else None
    return {}


def type_words(schema: Any, root: Mapping[str, Any], depth: int = 0) -> str:
    """What kind of value fits."""
    schema = resolved(schema, root)
    options = schema.get("anyOf", schema.get("oneOf"))
    if isinstance(options, list) and options and depth < DEEPEST:
        words = dict.fromkeys(type_words(option, root, depth + 1) for option in options[:8])
        return " or ".join(words) + (" or …" if len(options) > 8 else "")
    allowed = schema.get("enum")
    if isinstance(allowed, list):
        listed = ", ".join(choice_word(value) for value in allowed[:6])
        return f"one of {listed}{', …' if len(allowed) > 6 else ''}"
    word = schema.get("type")
    if isinstance(word, list):
        return " or ".join(_TYPES.get(str(one), str(one)) for one in word[:8])
    if not isinstance(word, str):
        return "anything"
    if word == "array" and "items" in schema and depth < DEEPEST:
        inner = type_words(schema["items"], root, depth + 1)
        said = "list as JSON" if inner == "anything" else f"list of {inner}, as JSON"
        said = said if depth == 0 else said.removesuffix(", as JSON")
    elif word == "string" and schema.get("contentEncoding") == "base64":
        said = "bytes as base64"
    elif word == "string":
        said = _FORMATS.get(str(schema.get("format")), "text")
    else:
        said = _TYPES.get(word, word)
    limits = [form.format(schema[key]) for key, form in _LIMITS if isinstance(schema.get(key), (int, float, str))]
    return " ".join([said, *limits]) if limits else said


def choices(schema: Any, root: Mapping[str, Any], depth: int = 0) -> tuple[Any, ...]:
    """The few values that fit, where a schema lists them; () where it does not."""
    schema = resolved(schema, root)
    allowed = schema.get("enum")
    if isinstance(allowed, list) and "anyOf" not in schema:
        is_plain = all(isinstance(value, (str, int, float, bool, type(None))) for value in allowed)
        return tuple(allowed) if allowed and is_plain and len(allowed) <= MOST_CHOICES else ()
    if schema.get("type") == "boolean":
        return (True, False)
    if schema.get("type") == "null" and depth:
        return (None,)
    options = schema.get("anyOf")
    if isinstance(options, list) and options and depth < DEEPEST:
        each = [choices(option, root, depth + 1) for option in options]
        found = [value for one in each for value in one]
        # A field that may be null or anything else is typed; only null alone is no choice.
        return tuple(found) if all(each) and len(found) > 1 else ()
    return ()


def choice_word(value: Any) -> str:
    """A value of a list of choices as it is read."""
    return value if isinstance(value, str) and value else json_line(value)


def description_of(schema: Any, root: Mapping[str, Any]) -> str:
    """What the schema says the field is for; "" where it says nothing."""
    for found in (schema, resolved(schema, root)):
        text = found.get("description") if isinstance(found, Mapping) else None
        if isinstance(text, str) and text.strip():
            return " ".join(text.split())
    return ""
