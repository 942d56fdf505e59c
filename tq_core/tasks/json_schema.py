"""Type hints to JSON schema: what `msgspec` accepts for a type, said so that a program without the code can check it.

msgspec's own generator is not used because it says less than its decoder checks (a datetime is any string, keys of
`dict[int, ...]` are any text). `tq_core.tasks.schema.check_against` reads what is written here; a property test holds
the three together. Where a class checks values by code of its own (`__post_init__`), only the class can know.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Collection
from typing import Any

import msgspec
from msgspec import inspect as hints

_NUMBER_LIMITS = (
    ("ge", "minimum"),
    ("gt", "exclusiveMinimum"),
    ("le", "maximum"),
    ("lt", "exclusiveMaximum"),
    ("multiple_of", "multipleOf"),
)
_TEXT_LIMITS = (("min_length", "minLength"), ("max_length", "maxLength"), ("pattern", "pattern"))
# The lengths that msgspec checks are those of the bytes; JSON schema can only count characters.
_BYTES_LIMITS = (("min_length", "x-minBytes"), ("max_length", "x-maxBytes"))
_ARRAY_LIMITS = (("min_length", "minItems"), ("max_length", "maxItems"))
_OBJECT_LIMITS = (("min_length", "minProperties"), ("max_length", "maxProperties"))
_FORMATS: tuple[tuple[type[hints.Type], str], ...] = (
    (hints.DateType, "date"),
    (hints.TimeDeltaType, "duration"),
    (hints.UUIDType, "uuid"),
)


class SchemaWriter:
    """Writes the schemas of several types that share their named components."""

    def __init__(self) -> None:
        self.components: dict[str, dict[str, Any]] = {}
        self._names: dict[Any, str] = {}

    def schema_of(self, hint: Any) -> dict[str, Any]:
        """The schema of one type; the classes in it go to `components`.

        Raises:
            TypeError: JSON cannot carry such values.
        """
        _refuse_fatal_union(hint)
        return self._schema(hints.type_info(hint))

    def _schema(self, t: hints.Type, *, is_choice: bool = False) -> dict[str, Any]:
        """`is_choice`: it is one of several tagged classes, where the tag cannot be left out."""
        notes: dict[str, Any] = {}
        while isinstance(t, hints.Metadata):
            notes = {**(t.extra_json_schema or {}), **notes}
            t = t.type
        cls = getattr(t, "cls", None)
        if isinstance(
            t, hints.StructType | hints.DataclassType | hints.TypedDictType | hints.NamedTupleType | hints.EnumType
        ):
            return {"$ref": self._component(t, cls, is_choice=is_choice), **notes}
        return {**self._plain(t), **notes}

    def _component(self, t: hints.Type, cls: Any, *, is_choice: bool) -> str:
        name = self._names.get((cls, is_choice))
        if name is None:
            name = getattr(cls, "__name__", None) or str(cls)
            if name in self.components:
                name = f"{getattr(cls, '__module__', '')}.{getattr(cls, '__qualname__', name)}"
            while name in self.components:
                name += "_"
            self._names[cls, is_choice] = name
            self.components[name] = {}
            self.components[name] = {"title": name, **self._named(t, is_choice=is_choice)}
        return f"#/$defs/{name}"

    def _plain(self, t: hints.Type) -> dict[str, Any]:
        match t:
            case hints.AnyType() | hints.RawType():
                return {}
            case hints.NoneType():
                return {"type": "null"}
            case hints.BoolType():
                return {"type": "boolean"}
            case hints.IntType():
                return {"type": "integer", **_limits(t, _NUMBER_LIMITS)}
            case hints.FloatType():
                return {"type": "number", **_limits(t, _NUMBER_LIMITS)}
            case hints.DecimalType():
                return {"anyOf": [{"type": "string", "format": "decimal"}, {"type": "number"}]}
            case hints.StrType():
                return {"type": "string", **_limits(t, _TEXT_LIMITS)}
            case hints.BytesType() | hints.ByteArrayType() | hints.MemoryViewType():
                return {"type": "string", "contentEncoding": "base64", **_limits(t, _BYTES_LIMITS)}
            case hints.DateTimeType() | hints.TimeType():
                form = "date-time" if isinstance(t, hints.DateTimeType) else "time"
                return {"type": "string", "format": form} | ({} if t.tz is None else {"x-timezone": t.tz})
            case hints.DateType() | hints.TimeDeltaType() | hints.UUIDType():
                return {"type": "string", "format": next(form for kind, form in _FORMATS if isinstance(t, kind))}
            case hints.LiteralType():
                return {"enum": sorted(t.values, key=lambda value: (str(type(value)), str(value)))}
            case hints.UnionType():
                structs = sum(isinstance(option, hints.StructType) for option in t.types)
                return {"anyOf": [self._schema(option, is_choice=structs > 1) for option in t.types]}
            case hints.TupleType():
                count = len(t.item_types)
                items = [self._schema(item) for item in t.item_types]
                return {"type": "array", "minItems": count, "maxItems": count, "prefixItems": items, "items": False}
            case hints.CollectionType():
                item = self._schema(t.item_type)
                return {"type": "array", **({"items": item} if item else {}), **_limits(t, _ARRAY_LIMITS)}
            case hints.DictType():
                return self._dict(t)
        cls = getattr(t, "cls", t)
        raise TypeError(f"{getattr(cls, '__name__', None) or cls} has no form in JSON")

    def _dict(self, t: hints.DictType) -> dict[str, Any]:
        out: dict[str, Any] = {"type": "object", **_limits(t, _OBJECT_LIMITS)}
        value, key = self._schema(t.value_type), self._schema(t.key_type)
        if value:
            out["additionalProperties"] = value
        if key not in ({}, {"type": "string"}):
            out["propertyNames"] = key
        return out

    def _named(self, t: hints.Type, *, is_choice: bool) -> dict[str, Any]:
        if isinstance(t, hints.EnumType):
            values = [member.value for member in t.cls]
            return {"enum": sorted(values, key=lambda value: (str(type(value)), value))}
        assert isinstance(t, hints.StructType | hints.DataclassType | hints.TypedDictType | hints.NamedTupleType)
        fields = {field.encode_name: self._field(field) for field in t.fields}
        required = [field.encode_name for field in t.fields if field.required]
        if isinstance(t, hints.NamedTupleType):
            return {
                "type": "array",
                "prefixItems": list(fields.values()),
                "minItems": len(required),
                "maxItems": len(fields),
            }
        if isinstance(t, hints.StructType):
            tag = {t.tag_field: {"enum": [t.tag]}} if t.tag_field is not None else {}
            if t.array_like:
                items = [*tag.values(), *fields.values()]
                out: dict[str, Any] = {"type": "array", "prefixItems": items, "minItems": len(tag) + len(required)}
                return out | ({"maxItems": len(items)} if t.forbid_unknown_fields else {})
            needed = [*(tag if is_choice else ()), *required]
            out = {"type": "object", "properties": {**tag, **fields}, "required": needed}
            return out | ({"additionalProperties": False} if t.forbid_unknown_fields else {})
        return {"type": "object", "properties": fields, "required": required}

    def _field(self, field: hints.Field) -> dict[str, Any]:
        out = self._schema(field.type)
        if field.default is not msgspec.NODEFAULT:
            out |= default_of(field.default)
        elif field.default_factory in (list, dict, set):
            out |= default_of(field.default_factory())
        return out


def default_of(value: Any) -> dict[str, Any]:
    """The schema's note of a default value; empty where JSON cannot show it."""
    try:
        return {"default": msgspec.json.decode(msgspec.json.encode(value))}
    except (TypeError, ValueError, OverflowError, RecursionError):
        return {}


def _refuse_fatal_union(hint: Any) -> None:
    """Refuses a union that msgspec cannot hold: its 0.22 confuses the parts' limits in memory, and the process dies.

    Found by trying all pairs: a fixed-length tuple beside anything limited by Meta, and a container beside a pattern.
    Fields of classes are not looked into.
    """
    parts = typing.get_args(hint)
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        limits = [
            note for part in parts for note in getattr(part, "__metadata__", ()) if isinstance(note, msgspec.Meta)
        ]
        plain = [typing.get_args(part)[0] if hasattr(part, "__metadata__") else part for part in parts]
        has_tuple = any(typing.get_origin(part) is tuple and ... not in typing.get_args(part) for part in plain)
        has_container = any(_is_container(part) for part in plain)
        if (has_tuple and limits) or (has_container and any(limit.pattern is not None for limit in limits)):
            raise TypeError("a container and a type limited by Meta cannot share a union: make one of them a class")
    for part in parts:
        _refuse_fatal_union(part)


def _is_container(hint: Any) -> bool:
    kind = typing.get_origin(hint) or hint
    return isinstance(kind, type) and issubclass(kind, Collection) and not issubclass(kind, str | bytes | bytearray)


def _limits(t: hints.Type, limits: tuple[tuple[str, str], ...]) -> dict[str, Any]:
    found = ((word, getattr(t, attribute)) for attribute, word in limits)
    return {word: value for word, value in found if value is not None}
