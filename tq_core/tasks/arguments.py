"""A handler's parameters as the schema of its task's arguments: encoding, checking and converting them.

Type hints are the schema. JSON types are strict: "5" is no int, 1.5 is none either. A parameter without a hint takes
any JSON; a default makes it optional; `**extra` takes whatever else comes; `*args` is refused: arguments have names.
"""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from tq_core.errors import InvalidArgumentsError, InvalidInputError
from tq_core.roles import producer
from tq_core.tasks.context import TaskContext
from tq_core.tasks.json_schema import SchemaWriter, default_of

_decode_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_MAX_PROBLEM_CHARS = 300


class Arguments:
    """What a handler may be called with."""

    def __init__(self, handler: Callable[..., Any], *, task_type: str, local_names: Mapping[str, Any]) -> None:
        """Reads a handler's signature.

        Args:
            local_names: What was visible where the handler was defined, for hints that are text.

        Raises:
            InvalidInputError: a parameter cannot be given by name as JSON; says which and why.
        """
        self.task_type = task_type
        self.context_parameter: str | None = None
        self._decoders: dict[str, msgspec.json.Decoder[Any]] = {}
        self._required: list[str] = []
        self._extra: msgspec.json.Decoder[Any] | None = None
        self._at_once: msgspec.json.Decoder[Any] | None = None
        """Decodes all of them in one go, into a struct; None where they take what no struct can."""
        self._has_optional = False
        self._read(handler, _Hints(handler, local_names))

    def _read(self, handler: Callable[..., Any], hints: _Hints) -> None:
        writer = SchemaWriter()
        properties: dict[str, Any] = {}
        fields: dict[str, Any] = {}
        additional: Any = False
        try:
            signature = inspect.signature(handler)
        except (TypeError, ValueError) as error:
            raise InvalidInputError(f"the task {self.task_type!r}: its handler has no signature ({error})") from error
        for name, parameter in signature.parameters.items():
            hint = self._hint(hints, name, parameter)
            if _is_context(hint):
                self._take_context(name, parameter)
                continue
            schema = self._schema(writer, name, hint)
            match parameter.kind:
                case inspect.Parameter.VAR_POSITIONAL:
                    raise self._refused(name, "a task's arguments have names, so *args cannot be filled: list them")
                case inspect.Parameter.POSITIONAL_ONLY:
                    raise self._refused(name, "a task's arguments have names, so it cannot be positional-only")
                case inspect.Parameter.VAR_KEYWORD:
                    self._extra, additional = msgspec.json.Decoder(hint), schema or True
                    continue
            self._decoders[name] = msgspec.json.Decoder(hint)
            if parameter.default is inspect.Parameter.empty:
                self._required.append(name)
            else:
                schema = schema | default_of(parameter.default)
            properties[name] = schema
            fields[name] = hint
        self._at_once = self._struct_decoder(fields) if self._extra is None else None
        self.schema: dict[str, Any] = {
            "type": "object",
            "properties": properties,
            "required": list(self._required),
            "additionalProperties": additional,
        }
        if writer.components:
            self.schema["$defs"] = writer.components

    def _struct_decoder(self, fields: Mapping[str, Any]) -> msgspec.json.Decoder[Any] | None:
        self._has_optional = len(self._required) < len(fields)
        given = [
            (name, hint) if name in self._required else (name, hint | msgspec.UnsetType, msgspec.UNSET)
            for name, hint in fields.items()
        ]
        try:
            return msgspec.json.Decoder(
                msgspec.defstruct("Arguments", given, forbid_unknown_fields=True, kw_only=True, eq=False)
            )
        except (TypeError, ValueError, NameError, RecursionError):
            return None

    def _hint(self, hints: _Hints, name: str, parameter: inspect.Parameter) -> Any:
        try:
            return hints.resolve(parameter.annotation)
        except Exception as error:
            raise self._refused(
                name,
                f"its type hint {parameter.annotation!r} cannot be resolved ({error}): import or define that name "
                "where the handler is defined, not under TYPE_CHECKING",
            ) from error

    def _schema(self, writer: SchemaWriter, name: str, hint: Any) -> dict[str, Any]:
        try:
            schema = writer.schema_of(hint)
            msgspec.json.Decoder(hint)
        except (TypeError, ValueError, RecursionError) as error:
            raise self._refused(
                name, f"values of its type {_hint_name(hint)} cannot come as JSON ({_one_line(str(error))})"
            ) from error
        return schema

    def _take_context(self, name: str, parameter: inspect.Parameter) -> None:
        if self.context_parameter is not None:
            raise self._refused(name, f"the context is already taken by {self.context_parameter!r}")
        if parameter.kind not in (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY):
            raise self._refused(name, "the context is given by name: make it an ordinary parameter")
        self.context_parameter = name

    def _refused(self, name: str, why: str) -> InvalidInputError:
        return InvalidInputError(f"the task {self.task_type!r}, parameter {name!r}: {why}")

    @property
    def names(self) -> tuple[str, ...]:
        """The named arguments, in the order of the signature, without the context."""
        return tuple(self._decoders)

    def named(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        """A call's arguments by name.

        Raises:
            InvalidArgumentsError: there are too many, or one is given twice.
        """
        if not args:
            return kwargs
        if len(args) > len(self._decoders):
            raise self._problems({"(arguments)": f"at most {len(self._decoders)} are taken, not {len(args)}"})
        given = dict(zip(self._decoders, args, strict=False))
        twice = given.keys() & kwargs.keys()
        if twice:
            raise self._problems(dict.fromkeys(sorted(twice), "given twice"))
        return {**given, **kwargs}

    def encode(self, args: Mapping[str, Any], *, max_bytes: int = producer.MAX_PAYLOAD_BYTES) -> bytes:
        """Arguments as a payload, checked as the worker will check it.

        Raises:
            InvalidArgumentsError: they do not fit the schema.
            InvalidInputError: they hold what JSON cannot.
            PayloadTooLargeError: encoded they exceed max_bytes.
        """
        payload = producer.encode_payload(dict(args), max_bytes=max_bytes)
        self.bind(payload)
        return payload

    def bind(self, payload: bytes) -> dict[str, Any]:
        """A payload as the keywords of a call: checked and converted; defaults are left to Python.

        Raises:
            InvalidArgumentsError: with one problem for each field.
        """
        if self._at_once is not None:
            try:
                values = msgspec.structs.asdict(self._at_once.decode(payload))
            except (msgspec.DecodeError, ValueError, OverflowError, RecursionError):
                pass  # what is wrong, field by field, is found below
            else:
                if not self._has_optional:
                    return values
                return {name: value for name, value in values.items() if value is not msgspec.UNSET}
        try:
            fields = _decode_fields(payload)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
            raise self._problems({"(arguments)": f"no JSON object ({_one_line(str(error))})"}) from error
        out: dict[str, Any] = {}
        problems: dict[str, str] = {}
        for name, raw in fields.items():
            decoder = self._decoders.get(name, self._extra)
            if decoder is None or name == self.context_parameter:
                problems[name] = "unknown"
                continue
            try:
                out[name] = decoder.decode(raw)
            except (msgspec.DecodeError, ValueError, OverflowError, RecursionError) as error:
                problems[name] = problem_text(error)
        problems |= {name: "missing" for name in self._required if name not in fields}
        if problems:
            raise self._problems(problems)
        return out

    def _problems(self, problems: dict[str, str]) -> InvalidArgumentsError:
        return invalid_arguments(self.task_type, problems)


def invalid_arguments(task_type: str, problems: dict[str, str]) -> InvalidArgumentsError:
    """The refusal of a task's arguments: its text names every field."""
    listed = "; ".join(f"{name}: {what}" for name, what in problems.items())
    return InvalidArgumentsError(f"{task_type}: {listed}", problems)


def problem_text(error: BaseException) -> str:
    """What msgspec found wrong with one field, in a few plain words."""
    text, _, path = str(error).replace("`", "").partition(" - at $")
    where = f" (at {path})" if path else ""
    return _one_line(text[:1].lower() + text[1:] + where)


class _Hints:
    """Resolves a handler's type hints one by one, so that a failure can name its parameter."""

    def __init__(self, handler: Callable[..., Any], local_names: Mapping[str, Any]) -> None:
        inner = inspect.unwrap(handler)
        inner = getattr(inner, "func", inner)  # functools.partial
        function = inner if hasattr(inner, "__globals__") else getattr(type(inner), "__call__", inner)  # noqa: B004
        # The context's own name is known even where it was imported for type checkers only.
        self._globals = {"TaskContext": TaskContext, **getattr(function, "__globals__", {})}
        self._locals = {**local_names, **_closure(function)}

    def resolve(self, annotation: Any) -> Any:
        if annotation is inspect.Parameter.empty:
            return Any
        holder = types.SimpleNamespace(__annotations__={"it": annotation})
        return typing.get_type_hints(holder, self._globals, self._locals, include_extras=True)["it"]


def return_hint(handler: Callable[..., Any], local_names: Mapping[str, Any]) -> Any:
    """What a handler says it returns; Any where it does not, or where that cannot be read from JSON."""
    try:
        hint = _Hints(handler, local_names).resolve(inspect.signature(handler).return_annotation)
        SchemaWriter().schema_of(hint)
        msgspec.json.Decoder(hint)
    except Exception:  # noqa: BLE001 - a hint may be anything, and this one is only a convenience
        return Any
    return hint


def _closure(function: Any) -> dict[str, Any]:
    code, cells = getattr(function, "__code__", None), getattr(function, "__closure__", None) or ()
    out: dict[str, Any] = {}
    for name, cell in zip(code.co_freevars if code else (), cells, strict=False):
        try:
            out[name] = cell.cell_contents
        except ValueError:  # not filled yet
            continue
    return out


def _is_context(hint: Any) -> bool:
    options = typing.get_args(hint) if typing.get_origin(hint) in (typing.Union, types.UnionType) else (hint,)
    return any(isinstance(option, type) and issubclass(option, TaskContext) for option in options)


def _hint_name(hint: Any) -> str:
    return hint.__name__ if isinstance(hint, type) else str(hint)


def _one_line(text: str) -> str:
    return " ".join(text.split())[:_MAX_PROBLEM_CHARS]
