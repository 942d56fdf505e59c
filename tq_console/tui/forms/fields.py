"""The fields of a form: from a type's schema and the arguments that are there, to texts and back."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from tq_console.tui.actions.submit import same
from tq_console.tui.forms.json_text import JsonTextError, read_object
from tq_console.tui.forms.schema_words import choices, description_of, resolved, type_words
from tq_console.tui.forms.stand_ins import NOTHING
from tq_console.view.text import json_line
from tq_core.errors import InvalidArgumentsError
from tq_core.tasks import schema as schemas

MOST_FIELDS = 40
"""What is beyond them is edited as JSON."""
LONGEST_WORDS = 200
_TYPE_NAMES = (("expected int", "expected a whole number"), ("expected str", "expected text"), ("got str", "got text"))


@dataclass(frozen=True, slots=True)
class FieldSpec:
    """One argument of a task type."""

    name: str
    root: Mapping[str, Any]
    """The schema of all arguments."""
    is_required: bool = False
    words: str = "anything"
    """What fits."""
    default: Any = NOTHING
    description: str = ""
    choices: tuple[Any, ...] = ()


def specs_of(root: Mapping[str, Any], args: Iterable[str] = ()) -> list[FieldSpec]:
    """A field for each property, and for each argument that is there without being one; at most MOST_FIELDS."""
    properties = root.get("properties")
    properties = properties if isinstance(properties, Mapping) else {}
    required = root.get("required")
    required = required if isinstance(required, list) else []
    additional = root.get("additionalProperties", True)
    specs = []
    for name in [*properties, *(name for name in args if name not in properties)][:MOST_FIELDS]:
        wanted = properties.get(name, additional)
        default = wanted.get("default", NOTHING) if isinstance(wanted, Mapping) else NOTHING
        specs.append(
            FieldSpec(
                name=str(name),
                root=root,
                is_required=name in required,
                words="unknown to this type" if wanted is False else type_words(wanted, root)[:LONGEST_WORDS],
                default=default,
                description=description_of(wanted, root)[:LONGEST_WORDS],
                choices=choices(wanted, root),
            )
        )
    return specs


def takes_more(root: Mapping[str, Any]) -> bool:
    """Whether arguments may be there that the schema does not name."""
    return root.get("additionalProperties", True) is not False


def written(spec: FieldSpec, value: Any) -> tuple[str, bool]:
    """A value as the text of its field, and whether that text must be read as JSON to be the value again."""
    if isinstance(value, str) and value and value.isprintable():
        try:
            is_same = same(schemas.coerce_text(spec.root, spec.name, value), value)
        except InvalidArgumentsError:
            # It fits in no form, so the plainest one is shown, and beside it what is wrong.
            is_same = True
        if is_same:
            return value, False
    text = json_line(value)
    try:
        return text, not same(schemas.coerce_text(spec.root, spec.name, text), value)
    except InvalidArgumentsError:
        return text, True


def read(spec: FieldSpec, text: str, *, is_json: bool, is_forced: bool = False) -> Any:
    """The value that a text means.

    Raises:
        InvalidArgumentsError: none that fits.
    """
    if is_json:
        try:
            return msgspec.json.decode(text)
        except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
            problem = f"no valid JSON: {error}"
            raise InvalidArgumentsError(f"{spec.name}: {problem}", {spec.name: problem}) from error
    try:
        return schemas.coerce_text(spec.root, spec.name, text)
    except InvalidArgumentsError:
        if is_forced:
            return meant(spec, text)
        raise


def meant(spec: FieldSpec, text: str) -> Any:
    """The likeliest value of a text that fits in no form."""
    properties = spec.root.get("properties")
    wanted = resolved(properties.get(spec.name) if isinstance(properties, Mapping) else None, spec.root)
    return text if wanted.get("type") == "string" else schemas.coerce_text({}, spec.name, text)


def problem_of(spec: FieldSpec, value: Any) -> str:
    """What is wrong with a value; "" when it fits."""
    return schemas.check_against(spec.root, {spec.name: value}).get(spec.name, "")


def read_more(root: Mapping[str, Any], text: str, *, is_forced: bool = False) -> dict[str, Any]:
    """Arguments that have no field of their own: a JSON object, or words like those of `tq submit`.

    Raises:
        InvalidArgumentsError: it is neither, or a value does not fit.
    """
    if text.lstrip().startswith("{"):
        try:
            return read_object(text)
        except JsonTextError as error:
            raise _not_more(error.message) from error
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise _not_more(f"{str(error).lower()}: write key=value, or a JSON object") from error
    found: dict[str, Any] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not name:
            raise _not_more(f"{word!r} is no argument: write key=value, or a JSON object")
        if name in found:
            raise _not_more(f"{name!r} is given twice")
        found[name] = read(FieldSpec(name, root), value, is_json=False, is_forced=is_forced)
    return found


def _not_more(problem: str) -> InvalidArgumentsError:
    return InvalidArgumentsError(problem, {"": problem})


def plain(problem: str) -> str:
    """What is wrong, in words that need no Python."""
    for python, words in _TYPE_NAMES:
        problem = problem.replace(python, words)
    match problem:
        case "unknown":
            return "this type does not take it: empty it to leave it out"
        case "missing":
            return "missing: this type needs it"
    return problem
