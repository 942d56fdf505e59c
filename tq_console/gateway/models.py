"""What clients send, in each dialect: the one place where pydantic reads anything. What leaves here is checked.

Bodies are decoded as strict JSON first, since pydantic's own reader takes NaN, then checked field by field; a field
that is not known is refused by its name. Handlers go on with the types of the queue layer.
"""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, WithJsonSchema
from starlette.requests import Request

from tq_console.gateway.problems import FieldProblem, ProblemError
from tq_console.view.submission import TaskLine
from tq_console.view.written import parse_moment_ms
from tq_core import names
from tq_core.errors import InvalidInputError
from tq_core.keyspace.wire import UNREADABLE
from tq_core.model import MAX_PRIORITY, PARENT_POLICIES, PRIORITIES, UNIQUE_UNTIL, parse_priority
from tq_core.roles.producer import MAX_BATCH

MAX_FIELDS_TOLD = 50
_CAUSES_CUT = 200


def _priority(value: int | str) -> int | str:
    try:
        parse_priority(value)
    except InvalidInputError as error:
        raise ValueError(error.message) from None
    return value


def _moment(value: Any) -> Any:
    """Milliseconds from an ISO date and time, also without a zone, or from seconds since 1970."""
    if isinstance(value, str):
        value = value.strip()
        if "-" not in value[1:]:
            raise ValueError("write a date and time, 2030-01-31T18:00:00, or seconds since 1970")
        try:
            value = parse_moment_ms(value) / 1000
        except ValueError:
            raise ValueError("write a date and time, 2030-01-31T18:00:00, or seconds since 1970") from None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 2**52 / 1000:
        raise ValueError("must be a date and time, or seconds since 1970")
    return round(value * 1000)


Priority = Annotated[
    int | str,
    Field(union_mode="left_to_right"),
    AfterValidator(_priority),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 0, "maximum": MAX_PRIORITY, "description": "0 is first"},
                {"enum": list(PRIORITIES)},
            ]
        }
    ),
]
Moment = Annotated[
    int,
    BeforeValidator(_moment),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "format": "date-time", "description": "Local without a zone"},
                {"type": "number", "minimum": 0, "description": "Seconds since 1970"},
            ]
        }
    ),
]
Duration = Annotated[
    float | str,
    WithJsonSchema({"anyOf": [{"type": "number"}, {"type": "string", "pattern": "^([0-9]+(ms|s|m|h|d|w))+$"}]}),
]
Retries = Annotated[int, Field(ge=0, le=999, description="Tries after the first one")]
TypeName = Annotated[str, Field(json_schema_extra={"pattern": names.TASK_TYPE.pattern.replace(r"\Z", "$")})]
QueueName = Annotated[str, Field(json_schema_extra={"pattern": names.QUEUE.pattern.replace(r"\Z", "$")})]
OwnName = Annotated[
    str,
    Field(
        json_schema_extra={"pattern": names.CHOSEN_ID.pattern.replace(r"\Z", "$")},
        description="A name of your own: submitting it again changes nothing",
    ),
]


class Body(BaseModel):
    """What every body is like."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class RootTask(Body):
    """A task in either form of the root: `type` and `data`, or `task_type` and `payload`."""

    model_config = ConfigDict(
        json_schema_extra={
            "allOf": [
                {"anyOf": [{"required": ["type"]}, {"required": ["task_type"]}]},
                {"oneOf": [{"required": ["data"]}, {"required": ["payload"]}]},
            ]
        }
    )
    type: TypeName | None = None
    task_type: TypeName | None = None
    data: Any = Field(default=None, description="Becomes the argument `data`")
    payload: Any = Field(default=None, description="An object becomes the arguments, anything else the argument `data`")
    priority: Priority | None = None
    max_retries: Retries | None = None
    execute_after: Moment | None = None
    id: OwnName | None = None
    depends_on: list[str] | None = Field(default=None, max_length=1000)
    queue: QueueName | None = None


class ApiTask(Body):
    """A task under /api/v1."""

    payload: Any = Field(
        description="An object becomes the arguments; its `type` names the type where nothing else does"
    )
    priority: Annotated[int, Field(ge=0, le=100, description="0 is first")] | None = None
    execute_after: Moment | None = None
    max_retries: Retries | None = None
    type: TypeName | None = None
    task_type: TypeName | None = None
    queue: QueueName | None = None


class ApiWorker(Body):
    """One more worker."""

    name: str = Field(min_length=1, max_length=200)
    max_workers: int | None = Field(default=None, ge=1, le=1000)
    poll_interval: float | None = Field(default=None, gt=0, le=3600)


class NewTask(Body):
    """A task under /v1: the options of `tq submit`, and the fields of a line of its batches."""

    type: TypeName
    args: dict[str, Any] = Field(default_factory=dict)
    queue: QueueName | None = None
    priority: Priority | None = None
    delay: Duration | None = None
    at: Moment | None = None
    max_attempts: int | None = Field(default=None, ge=1, le=1000)
    timeout: Duration | None = None
    soft_timeout: Duration | None = None
    memory_limit_mb: int | None = Field(default=None, ge=1)
    unique: str | None = None
    unique_until: Literal["finished", "started"] | None = None
    unique_for: Duration | None = None
    debounce: Duration | None = None
    debounce_max: Duration | None = None
    expires: Duration | None = None
    id: OwnName | None = None
    depends_on: list[str] | None = Field(default=None, max_length=1000)
    on_parent_failure: Literal["fail", "skip", "run"] | None = None
    limit_key: str | None = None
    linked_to: str | None = None
    force: bool = Field(default=False, description="Also where the type or its arguments are not known to workers")

    def line(self) -> TaskLine:
        """As `tq submit` has it."""
        said = {name: getattr(self, name) for name in self.model_fields_set if name not in ("force", "at")}
        return TaskLine(**said, at=None if self.at is None else self.at / 1000)


assert set(PARENT_POLICIES) == {"fail", "skip", "run"}
assert set(UNIQUE_UNTIL) == {"finished", "started"}


class Batch(Body):
    """Tasks that are enqueued together."""

    tasks: list[NewTask] = Field(min_length=1, max_length=MAX_BATCH)


class Why(Body):
    """The reason for a change, which is written down with it."""

    why: str = Field(default="", max_length=1000)


class NewPriority(Why):
    """Another priority."""

    priority: Priority


class Scale(Body):
    """How many worker processes a node is to run, and how many tasks at once in each."""

    processes: int = Field(ge=0, le=1000)
    slots: int | None = Field(default=None, ge=1, le=1000)


class Purge(Why):
    """Which tasks of a queue are to be deleted."""

    state: Literal["pending", "scheduled", "retrying", "blocked", "completed", "failed", "cancelled"] = "pending"


B = TypeVar("B", bound=Body)


async def read(request: Request, model: type[B], *, may_be_empty: bool = False) -> B:
    """The body of a request.

    Raises:
        ProblemError: 400 where it is no JSON object, 415 where it says so itself, 422 with the fields at fault.
    """
    told = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    body = await request.body()
    if not body and may_be_empty:
        return checked(model, {})
    # curl says form-urlencoded unless it is told; what is in the body decides.
    if told not in ("", "application/x-www-form-urlencoded", "text/plain") and not told.endswith("json"):
        raise ProblemError(415, f"the body is {told}: send application/json")
    try:
        value = msgspec.json.decode(body)
    except UNREADABLE as error:
        raise ProblemError(400, f"the body is no JSON: {_short(str(error))}", code="invalid_json") from None
    if not isinstance(value, dict):
        raise ProblemError(400, "the body must be a JSON object", code="invalid_json")
    return checked(model, value)


def checked(model: type[B], value: dict[str, Any]) -> B:
    """The value as a model.

    Raises:
        ProblemError: 422 with the fields at fault.
    """
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise refused(error.errors(include_url=False, include_context=False, include_input=False)) from None


def refused(found: Any) -> ProblemError:
    """The answer to what pydantic found wrong."""
    fields: dict[str, str] = {}
    for each in found[:MAX_FIELDS_TOLD]:
        name = field_name(each["loc"])
        said = "there is no such field" if each["type"] == "extra_forbidden" else each["msg"]
        fields[name] = f"{fields[name]}; {said}" if name in fields else said
    told = "; ".join(f"{name}: {said}" for name, said in list(fields.items())[:3])
    problems = [FieldProblem(name, said) for name, said in fields.items()]
    return ProblemError(422, told, code="invalid_input", fields=problems)


_BRANCHES = ("int", "str", "float", "function-", "constrained-", "list[", "literal[", "nullable")


def field_name(loc: tuple[Any, ...]) -> str:
    """A place in a body, as `tasks[3].type`; without the branch of a union that it is about."""
    text = ""
    for i, part in enumerate(loc):
        if isinstance(part, int):
            text += f"[{part}]"
        elif not (i and str(part).startswith(_BRANCHES)):
            text += f".{_short(str(part))}" if text else _short(str(part))
    return text or "body"


def _short(text: str) -> str:
    return text if len(text) <= _CAUSES_CUT else text[: _CAUSES_CUT - 1] + "…"


def iso(ms: int | None) -> str | None:
    """A time as clients of the root read it: 2024-01-15T10:30:00.000Z."""
    if ms is None:
        return None
    try:
        at = dt.datetime.fromtimestamp(ms / 1000, dt.UTC)
    except (OverflowError, ValueError, OSError):
        return None
    return at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03d}Z"
