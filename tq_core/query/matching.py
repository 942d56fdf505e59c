"""Whether a task fits a query: yes, no, or not known, where what was read of the task does not say.

An action takes only what fits for certain. A task whose arguments were too long to be read, or are sealed with a key
that this process lacks, fits neither `args.user=42` nor `NOT args.user=42` (Kleene's three-valued logic).

What is masked on screens is masked here before it is compared, so that nobody can spell out a secret by asking for it.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any, TypeAlias

import msgspec

from tq_core.masking import Masker
from tq_core.model import TaskState, TaskView, parse_priority
from tq_core.query.keys import KEYS, NUMBER, Sort, duration_ms, states_like
from tq_core.query.tree import And, Node, Not, Or, Term

Answer: TypeAlias = bool | None
"""None = not known."""


class Subject:
    """A task as conditions see it; what is costly is worked out once for all of them."""

    def __init__(self, task: TaskView, now_ms: int, masker: Masker) -> None:
        self.task, self.now_ms, self._masker = task, now_ms, masker

    @cached_property
    def args(self) -> Any:
        """The arguments, masked; UNREAD where they are not known."""
        task = self.task
        if task.args is None:
            return UNREAD if task.payload_bytes else {}
        return self._masker.masked(task.args)

    @cached_property
    def result(self) -> Any:
        """The result, masked; UNREAD where it is not known, ABSENT where there is none."""
        if self.task.result_note:
            return UNREAD
        return self._masker.masked(self.task.result) if self.task.state is TaskState.COMPLETED else ABSENT

    @cached_property
    def error_text(self) -> str:
        """All that its error says, in small letters."""
        task = self.task
        error = task.error or (task.history[-1].detail if task.history else {})
        known = self._masker.masked(error)
        return " ".join(str(known.get(field, "")) for field in ("reason", "type", "message", "by", "why")).lower()

    @cached_property
    def plain_text(self) -> str:
        """All that a screen shows of it but arguments and result, in small letters."""
        task = self.task
        return " ".join((task.id, task.type, task.queue, task.worker_id or "", self.error_text)).lower()

    @cached_property
    def args_text(self) -> str | None:
        return _text_within(self.args)

    @cached_property
    def result_text(self) -> str | None:
        return _text_within(self.result)


class _Nothing:
    """Stands for data that is not there, or not known."""


UNREAD, ABSENT = _Nothing(), _Nothing()
Condition: TypeAlias = Callable[[Subject], Answer]


def condition(node: Node) -> Condition:
    """The query as a function of a task."""
    match node:
        case Term():
            return _of_term(node)
        case Not(part):
            return _negated(condition(part))
        case And(parts):
            return _joined([condition(part) for part in parts], decides=False)
        case Or(parts):
            return _joined([condition(part) for part in parts], decides=True)


def could_fit(node: Node, *, state: TaskState | None = None, queue: str | None = None) -> bool:
    """Whether any task of a state or a queue could fit; what else there is to know of it is not known.

    Args:
        state: None = any.
        queue: None = any.
    """

    def answer(node: Node) -> Answer:
        match node:
            case Term(key="state") if state is not None:
                return state in states_like(node.value, is_exact=node.operator == "=")
            case Term(key="queue") if queue is not None:
                return _text_test(node)(queue)
            case Term():
                return None
            case Not(part):
                known = answer(part)
                return None if known is None else not known
            case And(parts):
                return _all_of(answer(part) for part in parts)
            case Or(parts):
                return _any_of(answer(part) for part in parts)

    return answer(node) is not False


def _all_of(answers: Iterator[Answer]) -> Answer:
    known = list(answers)
    return False if False in known else None if None in known else True


def _any_of(answers: Iterator[Answer]) -> Answer:
    known = list(answers)
    return True if True in known else None if None in known else False


def _negated(part: Condition) -> Condition:
    def answer(subject: Subject) -> Answer:
        known = part(subject)
        return None if known is None else not known

    return answer


def _joined(parts: list[Condition], *, decides: bool) -> Condition:
    """All or any of the parts: the answer of the first that decides."""

    def answer(subject: Subject) -> Answer:
        joined: Answer = not decides
        for part in parts:
            known = part(subject)
            if known is decides:
                return decides
            if known is None:
                joined = None
        return joined

    return answer


def _of_term(term: Term) -> Condition:
    if not term.key:
        return _anywhere(term.value)
    match KEYS[term.key].sort:
        case Sort.TEXT:
            read, test = _TEXTS[term.key], _text_test(term)
            return lambda subject: test(read(subject.task))
        case Sort.WITHIN:
            within = _within_test(term.value)
            return lambda subject: within(subject.error_text)
        case Sort.STATE:
            states = states_like(term.value, is_exact=term.operator == "=")
            return lambda subject: subject.task.state in states
        case Sort.DURATION:
            return _timed(term)
        case Sort.COUNT:
            attempt = _number_test(term.operator, float(term.value))
            return lambda subject: attempt(subject.task.attempt)
        case Sort.PRIORITY:
            priority = _number_test(term.operator, float(parse_priority(term.value)))
            return lambda subject: priority(subject.task.priority)
        case Sort.DATA:
            return _of_data(term)


def _anywhere(text: str) -> Condition:
    within = _within_test(text)

    def answer(subject: Subject) -> Answer:
        if within(subject.plain_text):
            return True
        return None if subject.args_text is None else within(subject.args_text)

    return answer


_TEXTS: dict[str, Callable[[TaskView], str]] = {
    "type": lambda task: task.type,
    "queue": lambda task: task.queue,
    "reason": lambda task: str((task.error or {}).get("reason", "")),
    "id": lambda task: task.id,
    "worker": lambda task: task.worker_id or "",
}


def _text_test(term: Term) -> Callable[[str], bool]:
    if term.operator == "=":
        wanted = term.value
        return lambda text: text == wanted
    return _glob(term.value)


def _glob(pattern: str) -> Callable[[str], bool]:
    fits = re.compile(fnmatch.translate(pattern)).match
    return lambda text: fits(text) is not None


def _within_test(pattern: str) -> Callable[[str], bool]:
    """Whether a text in small letters holds the pattern, as it stands or with * and ?."""
    wanted = pattern.lower()
    if not any(char in wanted for char in "*?["):
        return lambda text: wanted in text
    fits = _glob(f"*{wanted}*")
    return lambda text: wanted in text or fits(text)


def _number_test(operator: str, wanted: float) -> Callable[[float], bool]:
    match operator:
        case ">":
            return lambda number: number > wanted
        case "<":
            return lambda number: number < wanted
        case ">=":
            return lambda number: number >= wanted
        case "<=":
            return lambda number: number <= wanted
    return lambda number: number == wanted


def _timed(term: Term) -> Condition:
    test = _number_test(term.operator, float(duration_ms(term.value) or 0))

    def answer(subject: Subject) -> Answer:
        task = subject.task
        match term.key:
            case "age":
                return test(subject.now_ms - task.created_at_ms) if task.created_at_ms else None
            case "ended":
                return task.finished_at_ms is not None and test(subject.now_ms - task.finished_at_ms)
        return task.duration_ms is not None and test(task.duration_ms)

    return answer


# --- arguments and results ---


def _of_data(term: Term) -> Condition:
    is_args = term.key == "args"
    if not term.path:
        within = _within_test(term.value)

        def answer(subject: Subject) -> Answer:
            text = subject.args_text if is_args else subject.result_text
            return None if text is None else within(text)

        return answer
    test = _data_test(term)

    def answer_at(subject: Subject) -> Answer:
        data = subject.args if is_args else subject.result
        if data is UNREAD:
            return None
        return any(test(value) for value in _values(data, term.path))

    return answer_at


def _values(data: Any, path: tuple[str, ...]) -> Iterator[Any]:
    """What a path leads to; through a list it leads to each of its items, unless it names one by its number."""
    if isinstance(data, list) and not (path and path[0].isdecimal()):
        for item in data:
            yield from _values(item, path)
    if not path:
        yield data
    elif isinstance(data, dict) and path[0] in data:
        yield from _values(data[path[0]], path[1:])
    elif isinstance(data, list) and path[0].isdecimal() and len(path[0]) < 10 and int(path[0]) < len(data):
        yield from _values(data[int(path[0])], path[1:])


def _data_test(term: Term) -> Callable[[Any], bool]:
    if term.operator not in (":", "="):
        compare = _number_test(term.operator, float(term.value))
        return lambda value: _is_number(value) and compare(value)
    if term.operator == ":":
        fits = _glob(term.value)
        return lambda value: fits(_text(value))
    wanted = term.value
    number = float(wanted) if NUMBER.fullmatch(wanted) else None
    return lambda value: _text(value) == wanted or (number is not None and _is_number(value) and value == number)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _text_within(data: Any) -> str | None:
    """The data as JSON in small letters; None where it is not known."""
    if data is UNREAD:
        return None
    return "" if data is ABSENT else msgspec.json.encode(data).decode().lower()
