"""A query that was read: which tasks it fits, and what can be known of them before any is looked at."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property

from tq_core.masking import Masker
from tq_core.model import TaskState, TaskView
from tq_core.query import grammar
from tq_core.query.keys import KEYS, Sort
from tq_core.query.matching import Answer, Subject, condition, could_fit
from tq_core.query.plain import is_plain
from tq_core.query.tree import And, Node, Not, Or, Term


class TaskQuery:
    """A parsed query."""

    def __init__(self, text: str, root: Node, masker: Masker) -> None:
        self.text, self.root, self._masker = text, root, masker

    @cached_property
    def is_plain(self) -> bool:
        """Whether versions without the language read it alike; see `plain`."""
        return is_plain(self.text, self.root)

    @cached_property
    def keys(self) -> frozenset[str]:
        """The keys that it names; "" for text that may be anywhere."""
        return frozenset(term.key for term in _terms(self.root))

    @property
    def needs_clock(self) -> bool:
        """Whether it depends on what the time is."""
        return any(name and KEYS[name].sort is Sort.DURATION for name in self.keys)

    @property
    def names_state(self) -> bool:
        """Whether it says which states are meant."""
        return "state" in self.keys

    @cached_property
    def states(self) -> tuple[TaskState, ...]:
        """The states of which a task could fit."""
        return tuple(state for state in TaskState if could_fit(self.root, state=state))

    @property
    def queue(self) -> str | None:
        """The one queue that it asks for, where it names one without a pattern."""
        parts = self.root.parts if isinstance(self.root, And) else (self.root,)
        named = [part.value for part in parts if isinstance(part, Term) and part.key == "queue"]
        return named[0] if len(named) == 1 and not any(c in named[0] for c in "*?[") else None

    def without_states(self) -> str:
        """The text without the conditions on the state that stand beside all others; "" where nothing else is left."""
        parts = self.root.parts if isinstance(self.root, And) else (self.root,)
        kept = tuple(part for part in parts if any(term.key != "state" for term in _terms(part)))
        return grammar.written(And(kept)) if kept else ""

    def could_fit(self, queue: str, state: TaskState | None = None) -> bool:
        """Whether any task of a queue, in a state or any, could fit."""
        return could_fit(self.root, state=state, queue=queue)

    def judge(self, now_ms: int) -> Callable[[TaskView], Answer]:
        """Says of a task whether it fits; None where what is known of it does not tell.

        Args:
            now_ms: The server's clock, from which ages are counted.
        """
        fits, masker = condition(self.root), self._masker
        return lambda task: fits(Subject(task, now_ms, masker))

    def matcher(self, now_ms: int) -> Callable[[TaskView], bool]:
        """Says of a task whether it fits for certain."""
        judge = self.judge(now_ms)
        return lambda task: judge(task) is True


def _terms(node: Node) -> Iterator[Term]:
    match node:
        case Term():
            yield node
        case Not(part):
            yield from _terms(part)
        case And(parts) | Or(parts):
            for part in parts:
                yield from _terms(part)


def parse_query(text: str, *, masker: Masker | None = None) -> TaskQuery:
    """A query from its text.

    Args:
        masker: Which fields are secret; None = as the environment says.

    Raises:
        InvalidQueryError: it cannot be read; the message says where and what was expected.
    """
    known = masker or Masker.from_environment()
    return TaskQuery(text, grammar.parse(text, masker=known), known)
