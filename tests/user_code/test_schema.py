"""Checking and reading arguments by a published schema, without the code."""

from __future__ import annotations

import dataclasses
import enum
from typing import Annotated, Any, Literal

import msgspec
import pytest

from tq_core import InvalidArgumentsError, TaskQueue
from tq_core.tasks.schema import check_against, coerce_text


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


@dataclasses.dataclass
class Address:
    street: str
    number: int = 1


@pytest.fixture
def schema(memory_tq: TaskQueue) -> dict[str, Any]:
    @memory_tq.task()
    def sample(
        text: str = "",
        size: int = 0,
        share: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0,
        is_fast: bool = False,
        colour: Colour = Colour.RED,
        level: Literal[1, 2] = 1,
        tags: list[str] | None = None,
        either: int | str = 0,
        address: Address | None = None,
        anything: Any = None,
    ) -> None: ...

    return sample.schema


@pytest.mark.parametrize(
    ("args", "problems"),
    [
        ({}, {}),
        ({"text": "a", "size": 1, "share": 1, "colour": "blue", "level": 2, "tags": ["a"], "either": "x"}, {}),
        ({"text": 1}, {"text": "expected str, got int"}),
        ({"size": 1.0}, {"size": "expected int, got float"}),
        ({"share": 2}, {"share": "expected float <= 1.0"}),
        ({"is_fast": 1}, {"is_fast": "expected bool, got int"}),
        ({"colour": "green"}, {"colour": 'expected one of "blue", "red"'}),
        ({"level": True}, {"level": "expected one of 1, 2"}),
        ({"tags": ["a", 1]}, {"tags": "expected str, got int (at [1])"}),
        ({"either": []}, {"either": "expected integer or string, got array"}),
        ({"address": {"number": 1}}, {"address": "missing (at .street)"}),
        ({"address": {"street": "a", "number": "b"}}, {"address": "expected int, got str (at .number)"}),
        ({"other": 1}, {"other": "unknown"}),
    ],
)
def test_problems_are_named_by_field(schema: dict[str, Any], args: dict[str, Any], problems: dict[str, str]) -> None:
    found = check_against(schema, args)

    assert found.keys() == problems.keys()
    assert found == problems


@pytest.mark.parametrize(
    ("field", "text", "value"),
    [
        ("text", "5", "5"),
        ("text", "", ""),
        ("text", '"a"', '"a"'),
        ("size", "5", 5),
        ("size", " -7 ", -7),
        ("share", "0.5", 0.5),
        ("share", "1", 1),
        ("is_fast", "true", True),
        ("is_fast", "Yes", True),
        ("is_fast", "off", False),
        ("colour", "blue", "blue"),
        ("level", "2", 2),
        ("tags", '["a", "b"]', ["a", "b"]),
        ("tags", "null", None),
        ("either", "5", 5),
        ("either", '"5"', "5"),
        ("either", "five", "five"),
        ("address", '{"street": "Main"}', {"street": "Main"}),
        ("anything", "hello world", "hello world"),
        ("anything", "5", 5),
        ("anything", "[1, 2", "[1, 2"),
    ],
)
def test_text_of_a_command_line_becomes_the_value_that_was_meant(
    schema: dict[str, Any], field: str, text: str, value: Any
) -> None:
    found = coerce_text(schema, field, text)

    assert (type(found), found) == (type(value), value)


@pytest.mark.parametrize(
    ("field", "text", "problem"),
    [
        ("size", "five", "expected int, got str"),
        ("size", "1.5", "expected int, got float"),
        ("share", "3", "expected float <= 1.0"),
        ("is_fast", "1", "expected bool, got int"),
        ("colour", "green", "expected one of"),
        ("tags", "a", "expected array or null, got string"),
        ("nothing", "1", "unknown"),
    ],
)
def test_text_that_fits_nothing_is_refused(schema: dict[str, Any], field: str, text: str, problem: str) -> None:
    with pytest.raises(InvalidArgumentsError) as refused:
        coerce_text(schema, field, text)

    assert list(refused.value.problems) == [field]
    assert problem in refused.value.problems[field]


def test_a_field_of_extra_keywords_is_read_by_their_type() -> None:
    schema = {"type": "object", "properties": {}, "additionalProperties": {"type": "integer"}}

    assert coerce_text(schema, "a", "5") == 5
    assert check_against(schema, {"a": "5"}) == {"a": "expected int, got str"}


@pytest.mark.parametrize(
    "schema",
    [
        {},
        {"properties": [], "required": "x", "additionalProperties": []},
        {"properties": {"x": 5}},
        {"properties": {"x": {"type": "cheese", "minimum": "a lot"}}},
        {"properties": {"x": {"type": "integer", "minimum": "a lot"}}},
        {"properties": {"x": {"type": "string", "pattern": "("}}},
        {"properties": {"x": {"$ref": "#/$defs/gone"}}},
        {"properties": {"x": {"$ref": "#/$defs/a"}}, "$defs": {"a": {"$ref": "#/$defs/a"}}},
        {"properties": {"x": {"anyOf": []}}},
    ],
)
def test_a_strange_schema_refuses_nothing_and_breaks_nothing(schema: dict[str, Any]) -> None:
    value = "a" if schema.get("properties") and "pattern" in str(schema) else 1

    assert check_against(schema, {"x": value}) == {}


@pytest.mark.slow
def test_a_schema_that_never_ends_is_given_up() -> None:
    again = {"$ref": "#/$defs/a"}
    schema = {"properties": {"x": again}, "$defs": {"a": {"anyOf": [again]}}}
    doubling = {"properties": {"x": again}, "$defs": {"a": {"anyOf": [again, again]}}}

    assert list(check_against(schema, {"x": 1})) == ["x"]
    assert check_against(doubling, {"x": 1}) == {}
    assert coerce_text(doubling, "x", "1") == 1


def test_a_long_problem_is_cut() -> None:
    schema = {"properties": {"x": {"enum": ["a" * 1000, "b"]}}}

    assert len(check_against(schema, {"x": "c"})["x"]) == 300
