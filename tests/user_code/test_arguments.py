"""Type hints are the schema: what a handler may take, and what its callers are told when they are wrong."""

from __future__ import annotations

import dataclasses
import datetime as dt
import functools
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import pytest

from tq_core import InvalidArgumentsError, TaskContext, TaskQueue
from tq_core.errors import InvalidInputError

if TYPE_CHECKING:
    from decimal import Decimal


@dataclasses.dataclass
class Address:
    street: str
    number: int = 1


class Opaque:
    pass


def test_a_schema_lists_fields_defaults_and_what_is_required(memory_tq: TaskQueue) -> None:
    @memory_tq.task()
    def send_mail(to: str, subject: str = "hello", copies: Annotated[int, msgspec.Meta(ge=1)] = 1) -> None: ...

    assert send_mail.schema == {
        "type": "object",
        "properties": {
            "to": {"type": "string"},
            "subject": {"type": "string", "default": "hello"},
            "copies": {"type": "integer", "minimum": 1, "default": 1},
        },
        "required": ["to"],
        "additionalProperties": False,
    }


def test_arguments_are_converted_to_the_types_of_the_hints(memory_tq: TaskQueue) -> None:
    @memory_tq.task()
    def visit(address: Address, when: dt.date, tags: set[str]) -> None: ...

    kwargs = visit.bind(b'{"address": {"street": "Main"}, "when": "2024-02-29", "tags": ["a", "a"]}')

    assert kwargs == {"address": Address("Main"), "when": dt.date(2024, 2, 29), "tags": {"a"}}


def test_every_wrong_field_is_named_at_once(memory_tq: TaskQueue) -> None:
    @memory_tq.task()
    def send_mail(to: str, copies: int, address: Address, subject: str) -> None: ...

    with pytest.raises(InvalidArgumentsError) as refused:
        send_mail.bind(b'{"to": 1, "copies": "5", "address": {"street": 7}, "cc": "x"}')

    assert refused.value.problems == {
        "to": "expected str, got int",
        "copies": "expected int, got str",
        "address": "expected str, got int (at .street)",
        "cc": "unknown",
        "subject": "missing",
    }
    assert refused.value.message.startswith("send_mail: to: expected str, got int; ")


@pytest.mark.parametrize("payload", [b"[]", b"5", b'"x"', b"{", b"", b"\xff", b"[" * 5000])
def test_a_payload_that_is_no_object_is_refused(memory_tq: TaskQueue, payload: bytes) -> None:
    @memory_tq.task()
    def anything(**fields: Any) -> None: ...

    with pytest.raises(InvalidArgumentsError, match="no JSON object"):
        anything.bind(payload)


def test_defaults_are_left_to_python(memory_tq: TaskQueue) -> None:
    marker = Opaque()

    @memory_tq.task()
    def work(when: Any = marker) -> bool:
        return when is marker

    assert work(**work.bind(b"{}"))
    assert work.schema["properties"] == {"when": {}}


def test_a_parameter_without_a_hint_takes_any_json(memory_tq: TaskQueue) -> None:
    def handler(data):  # type: ignore[no-untyped-def]
        return data

    task = memory_tq.task(handler)

    assert task.bind(b'{"data": [1, {"a": null}]}') == {"data": [1, {"a": None}]}
    assert task.schema["properties"] == {"data": {}}


def test_extra_keywords_take_whatever_else_comes(memory_tq: TaskQueue) -> None:
    @memory_tq.task()
    def tagged(name: str, **scores: int) -> None: ...

    assert tagged.bind(b'{"name": "a", "x": 1}') == {"name": "a", "x": 1}
    with pytest.raises(InvalidArgumentsError) as refused:
        tagged.bind(b'{"name": "a", "x": "one"}')
    assert refused.value.problems == {"x": "expected int, got str"}
    assert tagged.schema["additionalProperties"] == {"type": "integer"}


def test_positional_arguments_are_taken_by_name(memory_tq: TaskQueue) -> None:
    @memory_tq.task()
    def add(ctx: TaskContext, a: int, b: int = 1) -> None: ...

    assert add.arguments.named((1,), {"b": 2}) == {"a": 1, "b": 2}
    with pytest.raises(InvalidArgumentsError, match="a: given twice"):
        add.arguments.named((1,), {"a": 2})
    with pytest.raises(InvalidArgumentsError, match="at most 2 are taken, not 3"):
        add.arguments.named((1, 2, 3), {})


# --- handlers that cannot be tasks ---


def star(*args: int) -> None: ...
def positional_only(a: int, /) -> None: ...
def opaque(thing: Opaque) -> None: ...
def generator() -> Any:
    yield 1


async def async_generator() -> Any:
    yield 1


def two_contexts(a: TaskContext, b: TaskContext) -> None: ...
def unresolved(a: Missing) -> None: ...  # type: ignore[name-defined]  # noqa: F821
def type_checking_only(price: Decimal) -> None: ...
def deadly(x: tuple[int, str] | Annotated[int, msgspec.Meta(ge=1)]) -> None: ...


@pytest.mark.parametrize(
    ("handler", "text"),
    [
        (star, r"parameter 'args': .*\*args cannot be filled"),
        (positional_only, r"parameter 'a': .*positional-only"),
        (opaque, r"'opaque', parameter 'thing': values of its type Opaque cannot come as JSON"),
        (generator, "is a generator"),
        (async_generator, "is a generator"),
        (two_contexts, r"parameter 'b': the context is already taken by 'a'"),
        (unresolved, r"parameter 'a': its type hint 'Missing' cannot be resolved"),
        (type_checking_only, r"parameter 'price': .* not under TYPE_CHECKING"),
        (deadly, r"parameter 'x': .* cannot share a union"),
        (lambda x: x, "has no name of its own"),
        (functools.partial(star), "has no name of its own"),
        (Opaque, "decorate a function"),
        (5, "cannot be a task's handler"),
    ],
)
def test_a_handler_that_cannot_be_a_task_is_refused_with_the_reason(
    memory_tq: TaskQueue, handler: Callable[..., Any], text: str
) -> None:
    with pytest.raises(InvalidInputError, match=text):
        memory_tq.task()(handler)
    assert memory_tq.tasks == {}


def test_hints_may_name_what_is_local_to_the_defining_function(memory_tq: TaskQueue) -> None:
    @dataclasses.dataclass
    class Local:
        size: int

    @memory_tq.task()
    def handler(item: Local) -> None: ...

    assert handler.bind(b'{"item": {"size": 3}}') == {"item": Local(3)}


def test_the_context_is_no_argument(memory_tq: TaskQueue) -> None:
    @memory_tq.task()
    def first(ctx: TaskContext, a: int) -> None: ...

    @memory_tq.task()
    def last(a: int, *, me: TaskContext | None = None) -> None: ...

    assert (first.context_parameter, last.context_parameter) == ("ctx", "me")
    assert list(first.schema["properties"]) == list(last.schema["properties"]) == ["a"]
    with pytest.raises(InvalidArgumentsError, match="me: unknown"):
        last.bind(b'{"a": 1, "me": null}')


def test_a_decorated_handler_keeps_its_own_hints(memory_tq: TaskQueue) -> None:
    def logged(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            return function(*args, **kwargs)

        return wrapper

    @memory_tq.task()
    @logged
    def work(size: int) -> int:
        return size

    assert work.bind(b'{"size": 2}') == {"size": 2}
    assert work.name == "work"


def test_a_callable_object_with_a_name_is_a_handler(memory_tq: TaskQueue) -> None:
    class Handler:
        async def __call__(self, size: int) -> int:
            return size

    task = memory_tq.task(name="sized")(Handler())

    assert task.is_async
    assert task.bind(b'{"size": 2}') == {"size": 2}


def test_schemas_are_plain_json(memory_tq: TaskQueue) -> None:
    @memory_tq.task()
    def work(address: Address, when: dt.datetime | None = None, limit: float = float("inf")) -> None: ...

    assert json.loads(json.dumps(work.schema)) == work.schema
    assert set(work.schema["$defs"]) == {"Address"}
