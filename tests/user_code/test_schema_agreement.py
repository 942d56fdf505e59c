"""The published schema gives the verdict that the worker's own conversion gives, for any type and any arguments."""

from __future__ import annotations

import dataclasses
import datetime as dt
import decimal
import enum
import typing
import uuid
from typing import Annotated, Any, Literal, NamedTuple, TypedDict

import hypothesis
import msgspec
import pytest
from hypothesis import strategies as st

from tq_core.errors import InvalidArgumentsError, InvalidInputError
from tq_core.tasks.arguments import Arguments
from tq_core.tasks.schema import check_against, coerce_text


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


@dataclasses.dataclass
class Address:
    street: str
    number: int = 1


class Point(NamedTuple):
    x: int
    y: float = 0.0


class Tags(TypedDict, total=False):
    name: str
    size: int


class Strict(msgspec.Struct, forbid_unknown_fields=True):
    a: int
    b: list[str] = []


class Renamed(msgspec.Struct, rename="camel"):
    first_name: str
    last_name: str | None = None


class Row(msgspec.Struct, array_like=True):
    a: int
    b: str = ""


class Cat(msgspec.Struct, tag="cat"):
    lives: int


class Dog(msgspec.Struct, tag="dog"):
    name: str


class Tree(msgspec.Struct):
    value: int
    children: list[Tree] = []


SCALARS: list[Any] = [
    Any,
    None,
    bool,
    int,
    float,
    str,
    bytes,
    dt.datetime,
    Annotated[dt.datetime, msgspec.Meta(tz=True)],
    dt.date,
    dt.time,
    dt.timedelta,
    uuid.UUID,
    decimal.Decimal,
    Colour,
    Level,
    Literal["a", "b"],
    Literal[1, 2],
    Literal["a", 1] | None,
    Annotated[int, msgspec.Meta(ge=0, lt=10)],
    Annotated[int, msgspec.Meta(multiple_of=3)],
    Annotated[float, msgspec.Meta(gt=0.5, le=2)],
    Annotated[str, msgspec.Meta(min_length=2, max_length=4)],
    Annotated[str, msgspec.Meta(pattern="^[a-c]+$")],
    Annotated[bytes, msgspec.Meta(max_length=2)],
]
CLASSES: list[Any] = [Address, Point, Tags, Strict, Renamed, Row, Cat, Tree, Cat | Dog, Cat | Dog | None]
TEXTS = [
    *(
        "",
        "a",
        "b",
        "abc",
        "abcde",
        "red",
        "cat",
        "dog",
        "x",
        "1",
        "-1",
        "1.5",
        "nan",
        "inf",
        "aGk=",
        "aGVsbG8=",
        "a===",
    ),
    *("2024-02-29", "2023-02-29", "2024-01-01T10:00:00", "2024-01-01T10:00:00Z", "2024-01-01T10:00:00+02:00"),
    *("10:00:00", "10:00:00Z", "P1D", "PT1H30M", "P1Y", "12345678-1234-5678-1234-567812345678", "1e3"),
]
NAMES = [
    "a",
    "b",
    "name",
    "size",
    "street",
    "number",
    "type",
    "lives",
    "value",
    "children",
    "firstName",
    "first_name",
    "1",
]


def types() -> st.SearchStrategy[Any]:
    """Types that a handler's parameter may have."""
    # Made at run time, so they are subscripted where no type checker looks.
    generic: Any = {
        "list": list,
        "tuple": tuple,
        "set": set,
        "dict": dict,
        "Annotated": Annotated,
        "Union": typing.Union,
    }
    keys = st.sampled_from([str, int, dt.date, Colour, Annotated[str, msgspec.Meta(max_length=1)]])
    limits = st.sampled_from([msgspec.Meta(min_length=1), msgspec.Meta(max_length=1)])
    return st.recursive(
        st.sampled_from(SCALARS + CLASSES),
        lambda inner: st.one_of(
            inner.map(lambda t: generic["list"][t]),
            inner.map(lambda t: generic["Union"][t, None]),
            inner.map(lambda t: generic["set"][t] if t in (int, str, Colour) else generic["tuple"][t, ...]),
            st.tuples(inner, inner).map(lambda ts: generic["tuple"][ts]),
            st.tuples(keys, inner).map(lambda ts: generic["dict"][ts]),
            st.tuples(inner, inner).map(lambda ts: generic["Union"][ts]),
            st.tuples(inner, limits).map(lambda ts: generic["Annotated"][generic["list"][ts[0]], ts[1]]),
        ),
        max_leaves=4,
    )


def values() -> st.SearchStrategy[Any]:
    """JSON that is likely to fit, or to fit almost."""
    scalars = st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-3, 12),
        st.integers(),
        st.sampled_from([0.0, 0.5, 1.0, 1.5, 2.0, 1e300, 2.0**70]),
        st.floats(allow_nan=False, allow_infinity=False),
        st.sampled_from(TEXTS),
        st.text(max_size=5),
    )
    names = st.sampled_from(NAMES) | st.text(max_size=3) | st.sampled_from(TEXTS)
    return st.recursive(
        scalars,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
        max_leaves=6,
    )


def arguments_of(hint: Any) -> Arguments:
    def handler(x: Any) -> None: ...

    handler.__annotations__["x"] = hint
    return Arguments(handler, task_type="sample", local_names={})


def is_accepted(arguments: Arguments, args: dict[str, Any]) -> bool:
    try:
        arguments.bind(msgspec.json.encode(args))
    except InvalidArgumentsError:
        return False
    return True


@hypothesis.given(hint=types(), value=values())
@hypothesis.settings(max_examples=1500, suppress_health_check=[hypothesis.HealthCheck.filter_too_much])
def test_schema_and_worker_agree_on_any_value(hint: Any, value: Any) -> None:
    try:
        arguments = arguments_of(hint)
        payload = msgspec.json.encode({"x": value})
    except (InvalidInputError, UnicodeEncodeError, OverflowError):
        hypothesis.reject()
    args = msgspec.json.decode(payload)

    problems = check_against(arguments.schema, args)

    assert (problems == {}) == is_accepted(arguments, args), (arguments.schema, problems)


@hypothesis.given(hint=types(), value=values())
@hypothesis.settings(max_examples=300, suppress_health_check=[hypothesis.HealthCheck.filter_too_much])
def test_every_value_that_fits_can_be_written_on_a_command_line(hint: Any, value: Any) -> None:
    try:
        schema = arguments_of(hint).schema
        text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    except (InvalidInputError, UnicodeEncodeError, OverflowError):
        hypothesis.reject()
    hypothesis.assume(check_against(schema, {"x": value}) == {})

    assert check_against(schema, {"x": coerce_text(schema, "x", text)}) == {}


@pytest.mark.parametrize("hint", SCALARS + CLASSES, ids=repr)
@hypothesis.given(value=values())
@hypothesis.settings(max_examples=150)
def test_schema_and_worker_agree_on_each_kind_of_type(hint: Any, value: Any) -> None:
    arguments = arguments_of(hint)
    try:
        args = msgspec.json.decode(msgspec.json.encode({"x": value}))
    except (UnicodeEncodeError, OverflowError):
        hypothesis.reject()

    problems = check_against(arguments.schema, args)

    assert (problems == {}) == is_accepted(arguments, args), (arguments.schema, problems)


@pytest.mark.parametrize(
    ("hint", "good", "bad"),
    [
        (int, 5, 5.0),
        (int, 0, True),
        (float, 1, "1"),
        (decimal.Decimal, "1.50", "x"),
        (dt.datetime, "2024-01-01T10:00:00", "yesterday"),
        (Annotated[dt.datetime, msgspec.Meta(tz=True)], "2024-01-01T10:00:00Z", "2024-01-01T10:00:00"),
        (dict[int, str], {"1": "a"}, {"a": "a"}),
        (tuple[int, str], [1, "a"], [1]),
        (Point, [1], [1, 2, 3]),
        (Strict, {"a": 1}, {"a": 1, "c": 2}),
        (Cat | Dog, {"type": "dog", "name": "x"}, {"type": "cow"}),
        (Cat | Dog, {"type": "cat", "lives": 9}, {"lives": 9}),
        (Cat, {"lives": 9}, {"type": "dog", "lives": 9}),
        (Cat | None, {"lives": 9}, {"type": "dog", "lives": 9}),
        (Tree, {"value": 1, "children": [{"value": 2}]}, {"value": 1, "children": [{"value": "2"}]}),
    ],
    ids=repr,
)
def test_good_values_fit_and_bad_ones_do_not(hint: Any, good: Any, bad: Any) -> None:
    arguments = arguments_of(hint)

    assert check_against(arguments.schema, {"x": good}) == {}
    assert is_accepted(arguments, {"x": good})
    assert list(check_against(arguments.schema, {"x": bad})) == ["x"]
    assert not is_accepted(arguments, {"x": bad})
