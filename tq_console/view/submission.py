"""From what a person wrote to tasks that may be enqueued: checked against the published types before it is sent."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from tq_console.view.task_page import NOT_SHOWN
from tq_console.view.written import parse_duration_s, parse_moment_ms
from tq_core import names
from tq_core.errors import InvalidArgumentsError, InvalidInputError, RefusedError, UnknownTaskTypeError
from tq_core.model import DEFAULT_PRIORITY, NewTask, TaskOptions, TaskView
from tq_core.roles import producer
from tq_core.roles.registry import PublishedType
from tq_core.tasks import schema
from tq_core.tasks.arguments import invalid_arguments

DEFAULT_QUEUE = "default"


class TaskLine(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A task as it is asked for: by the options of `tq submit`, or by one line of a batch."""

    type: str | None = None
    args: dict[str, Any] = {}
    queue: str | None = None
    priority: int | str | None = None
    delay: float | str | None = None
    """Seconds, or a duration like 5m."""
    at: float | str | None = None
    """Seconds since 1970, or a date and time."""
    max_attempts: int | None = None
    timeout: float | str | None = None
    """Seconds, or a duration like 5m; so is the soft one."""
    soft_timeout: float | str | None = None
    memory_limit_mb: int | None = None
    unique: str | None = None
    unique_until: str | None = None
    """started or finished."""
    unique_for: float | str | None = None
    """Seconds, or a duration like 5m; so are those that follow."""
    debounce: float | str | None = None
    debounce_max: float | str | None = None
    expires: float | str | None = None
    id: str | None = None
    depends_on: list[str] | None = None
    """Ids of tasks that must have completed before."""
    on_parent_failure: str | None = None
    limit_key: str | None = None
    """Whose limits it counts to."""
    linked_to: str | None = None
    """The task that this one is made from."""

    def over(self, defaults: TaskLine) -> TaskLine:
        """This line, with what it does not say taken from others."""
        said = {f: v for f in self.__struct_fields__ if (v := getattr(self, f)) is not None and f != "args"}
        return msgspec.structs.replace(defaults, **said, args={**defaults.args, **self.args})


def line_of(task: TaskView) -> TaskLine:
    """A line that asks for the same again, linked to the task it was made from.

    Raises:
        RefusedError: its arguments are not known whole.
    """
    if task.args is None:
        why = f" ({task.payload_text})" if task.payload_text.startswith(NOT_SHOWN) else ""
        raise RefusedError(f"{task.id}: its arguments cannot be read whole{why}, so nothing can be made from them")
    return TaskLine(
        type=task.type,
        args=task.args,
        queue=task.queue,
        priority=task.priority,
        max_attempts=task.max_attempts,
        timeout=task.options.timeout_s,
        soft_timeout=task.options.soft_timeout_s,
        memory_limit_mb=task.options.memory_limit_mb,
        expires=task.options.expires_in_s,
        limit_key=task.options.limit_key,
        linked_to=task.id,
    )


class SubmissionRules:
    """What the workers have published about their types, and what follows for a task."""

    def __init__(
        self, types: Mapping[str, PublishedType], *, submitted_by: str, is_forced: bool, force: str = "--force"
    ) -> None:
        """Makes the rules.

        Args:
            types: What is published, by name.
            submitted_by: Who is written down as the one who asked for a task.
            is_forced: Let unknown types and arguments that do not fit pass.
            force: How whoever is refused could have that, in the words of where he asks.
        """
        self._types = types
        self._submitted_by = submitted_by
        self._is_forced = is_forced
        self._force = force

    @functools.cached_property
    def _default_attempts(self) -> int:
        from tq_core.settings import retry_defaults

        return retry_defaults().max_attempts

    def published(self, task_type: str) -> PublishedType | None:
        """What is known of a type; None where nothing is and that does not matter.

        Raises:
            UnknownTaskTypeError: others are known, this one is not.
        """
        found = self._types.get(names.check_task_type(task_type))
        if found is None and self._types and not self._is_forced:
            near = names.nearest(task_type, self._types)
            meant = f"did you mean {' or '.join(near)}?" if near else f"known: {_some(self._types)};"
            raise UnknownTaskTypeError(
                f"no worker has published the task type {task_type!r}: {meant} {self._force} enqueues it all the same",
                near,
            )
        return found

    def arguments(self, task_type: str, texts: Sequence[str]) -> dict[str, Any]:
        """The arguments that a person means by `key=value` words.

        Raises:
            InvalidInputError: a word is not of that form.
            InvalidArgumentsError: a value does not fit the type's schema.
        """
        found = self.published(task_type)
        of_type = found.schema if found and not self._is_forced else {}
        args: dict[str, Any] = {}
        problems: dict[str, str] = {}
        for text in texts:
            name, equals, value = text.partition("=")
            if not equals or not name:
                raise InvalidInputError(
                    f"{text!r} is no argument: write key=value, or --data '{{\"key\": …}}' for JSON"
                )
            if name in args:
                raise InvalidInputError(f"the argument {name!r} is given twice")
            if not _is_utf8(text):
                raise InvalidInputError(
                    f"the argument {name!r} is not UTF-8, as JSON must be: encode its bytes, for example as base64"
                )
            try:
                args[name] = schema.coerce_text(of_type, name, value)
            except InvalidArgumentsError as error:
                args[name] = value
                problems |= error.problems
        if problems:
            raise self._with_form(invalid_arguments(task_type, problems), found)
        return args

    def checked(self, line: TaskLine) -> tuple[str, NewTask]:
        """The queue and the task that a line asks for.

        Raises:
            InvalidInputError: something in it is not allowed; says what.
            UnknownTaskTypeError: no worker knows its type.
            InvalidArgumentsError: its arguments do not fit the type's schema.
        """
        if line.type is None:
            raise InvalidInputError('it has no "type": name one in the line, or one for all on the command line')
        found = self.published(line.type)
        of_type = found.queue if found else DEFAULT_QUEUE
        queue = names.check_queue(of_type if line.queue is None else line.queue)
        task = producer.new_task(
            line.type,
            line.args,
            priority=DEFAULT_PRIORITY if line.priority is None else line.priority,
            delay_s=_seconds("delay", line.delay) or 0,
            at_ms=_at_ms(line.at),
            max_attempts=line.max_attempts or (found.max_attempts if found else self._default_attempts),
            name=line.id,
            unique_key=line.unique,
            options=TaskOptions(
                timeout_s=_seconds("timeout", line.timeout),
                soft_timeout_s=_seconds("soft_timeout", line.soft_timeout),
                memory_limit_mb=line.memory_limit_mb,
                linked_to=line.linked_to,
                depends_on=tuple(dict.fromkeys(line.depends_on or ())),
                on_parent_failure=line.on_parent_failure,
                expires_in_s=_seconds("expires", line.expires) if line.expires is not None else _default_expiry(found),
                unique_until=line.unique_until,
                unique_for_s=_seconds("unique_for", line.unique_for),
                debounce_s=_seconds("debounce", line.debounce),
                debounce_max_s=_seconds("debounce_max", line.debounce_max),
                limit_key=line.limit_key or _limit_key(found, line.args),
                submitted_by=self._submitted_by,
            ),
        )
        if line.max_attempts == 0:
            raise InvalidInputError("max_attempts 0: must be from 1 to 1000")
        if task.chosen_name is not None:
            from tq_core.ids import chosen_id

            chosen_id(task.chosen_name, queue)
        if found and not self._is_forced:
            problems = schema.check_against(found.schema, schema.decode_args(task.payload))
            if problems:
                raise self._with_form(invalid_arguments(line.type, problems), found)
        return queue, task

    def _with_form(self, error: InvalidArgumentsError, found: PublishedType | None) -> InvalidArgumentsError:
        if found is None:
            return error
        return InvalidArgumentsError(
            f"{error.message}; it takes {form(found)} ({self._force} skips this check)", error.problems
        )


def _is_utf8(text: str) -> bool:
    """Whether a word of the command line was; what was not came in as half of a surrogate pair."""
    return not any("\ud800" <= char <= "\udfff" for char in text)


def form(published: PublishedType) -> str:
    """What a type takes, in one line: `to, subject, [retries]`."""
    properties = published.schema.get("properties")
    required = published.schema.get("required") or ()
    if not isinstance(properties, dict) or not properties:
        return "no arguments"
    return ", ".join(str(name) if name in required else f"[{name}]" for name in properties)


def _limit_key(found: PublishedType | None, args: Mapping[str, Any]) -> str | None:
    from tq_core.tasks.limit_key_template import limit_key_of

    return limit_key_of(found.limit_key, args) if found and found.limit_key else None


def _default_expiry(found: PublishedType | None) -> float | None:
    return found.expires_in_s if found else None


def _seconds(what: str, value: float | str | None) -> float | None:
    if isinstance(value, str):
        try:
            return parse_duration_s(value)
        except ValueError as error:
            raise InvalidInputError(f"{what} {value!r}: write seconds, or a duration like 1.5s, 5m, 1h30m") from error
    return value


def _at_ms(value: float | str | None) -> int | None:
    if isinstance(value, str):
        try:
            return parse_moment_ms(value)
        except ValueError as error:
            raise InvalidInputError(f"at {value!r}: write 2030-01-31T18:00:00Z, or seconds since 1970") from error
    return None if value is None else round(value * 1000)


def _some(types: Mapping[str, PublishedType]) -> str:
    listed = list(types)[:8]
    return ", ".join(listed) + (f" and {len(types) - len(listed)} more" if len(types) > len(listed) else "")
