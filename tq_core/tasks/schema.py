"""Checks arguments against a published JSON schema, without the code that published it.

Understands what `tq_core.tasks.json_schema` writes, and gives the verdict that msgspec gives in the worker: values
that are not containers are judged by msgspec itself, as the type that the schema stands for. A schema comes from
outside: words it does not know are passed over, and references in circles end.
"""

from __future__ import annotations

import datetime as dt
import decimal
import functools
import re
import uuid
from collections.abc import Iterable, Mapping
from typing import Annotated, Any

import msgspec

from tq_core.errors import InvalidArgumentsError
from tq_core.tasks.arguments import problem_text

MAX_DEPTH = 100
MAX_STEPS = 500_000
"""What is spent on one set of arguments; beyond it they pass, and the worker has the last word."""
MAX_PROBLEM_CHARS = 300

_TYPE_WORDS: dict[str, Any] = {"string": str, "integer": int, "number": float, "boolean": bool, "null": None}
_FORMATS: dict[str, Any] = {
    "date": dt.date,
    "date-time": dt.datetime,
    "decimal": decimal.Decimal,
    "duration": dt.timedelta,
    "time": dt.time,
    "uuid": uuid.UUID,
}
_LIMITS = {
    "minimum": "ge",
    "exclusiveMinimum": "gt",
    "maximum": "le",
    "exclusiveMaximum": "lt",
    "multipleOf": "multiple_of",
    "minLength": "min_length",
    "maxLength": "max_length",
    "pattern": "pattern",
    "x-minBytes": "min_length",
    "x-maxBytes": "max_length",
    "x-timezone": "tz",
}
_SCALAR_WORDS = ("type", "format", "contentEncoding", *_LIMITS)
_BOOLEAN_TEXTS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}


def check_against(schema: Mapping[str, Any], args: Mapping[str, Any]) -> dict[str, str]:
    """What is wrong with a task's arguments, by field; empty when they fit.

    Args:
        schema: As published: an object.
        args: As decoded from JSON.
    """
    properties, required, additional = _object_parts(schema)
    check = _Check(schema)
    problems: dict[str, str] = {}
    for name, value in args.items():
        field = properties.get(name, additional)
        if field is False:
            problems[name] = "unknown"
        else:
            found = check.problem(_schema(field), value, "", 0)
            if found:
                problems[name] = found[:MAX_PROBLEM_CHARS]
    return problems | {name: "missing" for name in required if name not in args}


def decode_args(payload: bytes) -> dict[str, Any]:
    """Arguments as `check_against` wants them, from the JSON that is sent.

    Raises:
        InvalidArgumentsError: it is no JSON object.
    """
    try:
        return msgspec.json.decode(payload, type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise InvalidArgumentsError(f"the arguments are no JSON object: {error}") from error


def coerce_text(schema: Mapping[str, Any], field: str, text: str) -> Any:
    """The value that a person means who writes `field=text` on a command line.

    Text stays text where the schema wants text. Elsewhere it is read as JSON if that fits (`size=10`, `tags=["a"]`),
    a lone boolean also as yes, no, on or off, and a field that takes anything is text unless it is JSON.

    Raises:
        InvalidArgumentsError: nothing that it could mean fits.
    """
    properties, _, additional = _object_parts(schema)
    wanted = properties.get(field, additional)
    if wanted is False:
        raise InvalidArgumentsError(f"{field}: unknown", {field: "unknown"})
    check = _Check(schema)
    problem = ""
    for value in _readings(text, check.kinds(_schema(wanted), 0)):
        found = check.problem(_schema(wanted), value, "", 0)
        if not found:
            return value
        problem = problem or found
    problem = (problem or "no value of its type can be written like that")[:MAX_PROBLEM_CHARS]
    raise InvalidArgumentsError(f"{field}: {problem}", {field: problem})


def _readings(text: str, kinds: frozenset[str]) -> Iterable[Any]:
    """What a text may mean, likeliest first."""
    if kinds <= {"string"} and kinds:
        yield text
        return
    try:
        yield msgspec.json.decode(text.strip())
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        pass
    if "boolean" in kinds and text.strip().lower() in _BOOLEAN_TEXTS:
        yield _BOOLEAN_TEXTS[text.strip().lower()]
    yield text


def _object_parts(schema: Mapping[str, Any]) -> tuple[Mapping[str, Any], list[str], Any]:
    properties, required = schema.get("properties"), schema.get("required")
    return (
        properties if isinstance(properties, Mapping) else {},
        [name for name in required if isinstance(name, str)] if isinstance(required, list) else [],
        schema.get("additionalProperties", True),
    )


def _schema(found: Any) -> Mapping[str, Any]:
    return found if isinstance(found, Mapping) else {}


class _Check:
    """Checks values against schemas that share the definitions of one published schema."""

    def __init__(self, root: Mapping[str, Any]) -> None:
        self._definitions = _schema(root.get("$defs"))
        self._steps = MAX_STEPS

    def kinds(self, schema: Mapping[str, Any], depth: int) -> frozenset[str]:
        """The JSON types that a schema may take; empty = any."""
        self._steps -= 1
        if self._steps < 0:
            return frozenset()
        schema = self._resolved(schema)
        options = schema.get("anyOf")
        if isinstance(options, list) and depth < MAX_DEPTH:
            each = [self.kinds(_schema(option), depth + 1) for option in options]
            return frozenset() if not all(each) else frozenset().union(*each)
        if isinstance(schema.get("enum"), list):
            return frozenset(_kind(value) for value in schema["enum"])
        word = schema.get("type")
        return frozenset({word}) if isinstance(word, str) else frozenset()

    def problem(self, schema: Mapping[str, Any], value: Any, path: str, depth: int) -> str:
        """What is wrong with a value, or ""; only the first thing."""
        self._steps -= 1
        if self._steps < 0:
            return ""
        if depth > MAX_DEPTH:
            return _at("nested too deeply", path)
        schema = self._resolved(schema)
        if isinstance(options := schema.get("anyOf"), list):
            return self._any_of([_schema(option) for option in options], value, path, depth)
        if isinstance(allowed := schema.get("enum"), list):
            # 1, 1.0 and true are equal in Python, not in JSON.
            if any(type(option) is type(value) and option == value for option in allowed):
                return ""
            listed = ", ".join(msgspec.json.encode(option).decode() for option in allowed)
            return _at(f"expected one of {listed}", path)
        match schema.get("type"):
            case "object":
                return self._object(schema, value, path, depth)
            case "array":
                return self._array(schema, value, path, depth)
            case str() as word if word in _TYPE_WORDS:
                return _at(_scalar_problem(schema, value), path)
        return ""

    def _resolved(self, schema: Mapping[str, Any]) -> Mapping[str, Any]:
        for _ in range(MAX_DEPTH):
            reference = schema.get("$ref")
            if not isinstance(reference, str):
                return schema
            schema = _schema(self._definitions.get(reference.removeprefix("#/$defs/")))
        return {}

    def _any_of(self, options: list[Mapping[str, Any]], value: Any, path: str, depth: int) -> str:
        found = [self.problem(option, value, path, depth + 1) for option in options]
        if not found or not all(found):
            return ""
        # Where one option has the value's JSON type, what is wrong with it there is what its writer wants to know.
        near = [p for option, p in zip(options, found, strict=True) if _kind(value) in self.kinds(option, 0)]
        if len(near) == 1:
            return near[0]
        words = sorted(frozenset().union(*(self.kinds(option, 0) for option in options)))
        return _at(f"expected {' or '.join(words) or 'something else'}, got {_kind(value)}", path)

    def _object(self, schema: Mapping[str, Any], value: Any, path: str, depth: int) -> str:
        if not isinstance(value, dict):
            return _at(f"expected object, got {_kind(value)}", path)
        if found := _length_problem(schema, len(value), "Properties", "fields"):
            return _at(found, path)
        properties, required, additional = _object_parts(schema)
        key_schema = _schema(schema.get("propertyNames"))
        for name, inner in value.items():
            inside = f"{path}.{name}"
            field = properties.get(name, additional)
            if field is False:
                return _at("unknown", inside)
            if found := self._key_problem(key_schema, name, inside, depth):
                return found
            if found := self.problem(_schema(field), inner, inside, depth + 1):
                return found
        missing = next((name for name in required if name not in value), None)
        return _at("missing", f"{path}.{missing}") if missing is not None else ""

    def _key_problem(self, schema: Mapping[str, Any], name: str, path: str, depth: int) -> str:
        """What is wrong with an object's key; keys of numbers are their text."""
        if not schema or not self.problem(schema, name, path, depth + 1):
            return ""
        if not self.kinds(schema, 0) & {"integer", "number"}:
            return self.problem(schema, name, path, depth + 1)
        try:
            number = msgspec.json.decode(name)
        except msgspec.DecodeError:
            return _at("its key is no number", path)
        return self.problem(schema, number, path, depth + 1)

    def _array(self, schema: Mapping[str, Any], value: Any, path: str, depth: int) -> str:
        if not isinstance(value, list):
            return _at(f"expected array, got {_kind(value)}", path)
        if found := _length_problem(schema, len(value), "Items", "items"):
            return _at(found, path)
        first = schema.get("prefixItems")
        first = first if isinstance(first, list) else []
        rest = _schema(schema.get("items"))
        for i, inner in enumerate(value):
            wanted = _schema(first[i]) if i < len(first) else rest
            if found := self.problem(wanted, inner, f"{path}[{i}]", depth + 1):
                return found
        return ""


def _scalar_problem(schema: Mapping[str, Any], value: Any) -> str:
    words = tuple((word, schema[word]) for word in _SCALAR_WORDS if isinstance(schema.get(word), str | int | float))
    try:
        decoder = _scalar_decoder(words)
        # Through JSON, as from there the worker has it: from Python msgspec accepts a little more.
        decoder.decode(msgspec.json.encode(value))
    except (msgspec.ValidationError, ValueError, OverflowError) as error:
        return problem_text(error)
    return ""


@functools.lru_cache(maxsize=1024)
def _scalar_decoder(words: tuple[tuple[str, Any], ...]) -> msgspec.json.Decoder[Any]:
    schema = dict(words)
    kind: Any = _TYPE_WORDS[schema["type"]]
    if kind is str:
        kind = bytes if schema.get("contentEncoding") == "base64" else _FORMATS.get(schema.get("format", ""), str)
    limits = {_LIMITS[word]: value for word, value in words if word in _LIMITS}
    try:
        return msgspec.json.Decoder(Annotated[kind, msgspec.Meta(**limits)] if limits else kind)
    except (TypeError, ValueError, re.error):
        # A limit that makes no sense for its type: the type alone is checked.
        return msgspec.json.Decoder(kind)


def _length_problem(schema: Mapping[str, Any], length: int, word: str, things: str) -> str:
    least, most = schema.get(f"min{word}"), schema.get(f"max{word}")
    if isinstance(least, int) and length < least:
        return f"expected at least {least} {things}, got {length}"
    if isinstance(most, int) and length > most:
        return f"expected at most {most} {things}, got {length}"
    return ""


def _kind(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int():
            return "integer"
        case float():
            return "number"
        case str():
            return "string"
        case list():
            return "array"
    return "object"


def _at(problem: str, path: str) -> str:
    return f"{problem} (at {path})" if problem and path else problem
