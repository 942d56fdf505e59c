"""What a line of words may name at the moment: asked of the broker, and read from what commands printed."""

from __future__ import annotations

import re
import time
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tq_console.cli.output import Output
from tq_core.errors import TqError
from tq_core.ids import is_id

if TYPE_CHECKING:
    from tq_console.cli.invocation import Invocation
    from tq_console.view.tables import Cell, Column

FRESH_S = 3.0
"""How long an answer of the broker is good enough."""
MAX_SEEN = 300
_LIKE_AN_ID = re.compile(r"[0-9a-z]{26}(?![\w@.-])|[A-Za-z0-9._-]{1,100}@[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class SeenIds:
    """The ids of tasks that commands were given or have printed, the last one first."""

    def __init__(self) -> None:
        self._ids: OrderedDict[str, None] = OrderedDict()

    def look(self, text: str) -> None:
        """Remembers the ids in a text."""
        for task_id in filter(is_id, _LIKE_AN_ID.findall(text)):
            self._ids[task_id] = None
            self._ids.move_to_end(task_id)
            if len(self._ids) > MAX_SEEN:
                self._ids.popitem(last=False)

    def __iter__(self) -> Iterator[str]:
        return iter(reversed(list(self._ids)))


class SeeingOutput(Output):
    """An output that remembers the ids it shows."""

    def __init__(self, *, is_json: bool, seen: SeenIds) -> None:
        super().__init__(is_json=is_json)
        self._seen = seen

    def line(self, text: str = "") -> None:
        self._seen.look(text)
        super().line(text)

    def record(self, value: Any) -> None:
        if isinstance(value, Mapping):
            self._seen.look(f"{value.get('id', '')} {value.get('task_id', '')}")
        super().record(value)

    def table(
        self, columns: Sequence[Column], rows: Iterable[Sequence[str | Cell]], *, empty: str = "nothing to list"
    ) -> None:
        filled = list(rows)
        for row in filled[:MAX_SEEN]:
            self._seen.look(" ".join(cell if isinstance(cell, str) else cell.text for cell in row))
        super().table(columns, filled, empty=empty)


class NamesOnBroker:
    """Asks the broker when a name is to be completed, and remembers the answer for a moment."""

    def __init__(self, invocation: Invocation, seen: SeenIds) -> None:
        self._invocation, self._seen = invocation, seen
        self._answers: dict[str, tuple[float, list[tuple[str, str]]]] = {}
        self._fields: dict[str, list[str]] = {}

    def names(self, kind: str) -> Iterable[tuple[str, str]]:
        """Names with a word about each; none where the broker does not answer."""
        if kind == "tasks":
            return [(task_id, "") for task_id in self._seen]
        asked_at, answer = self._answers.get(kind, (0.0, []))
        if not asked_at or time.monotonic() - asked_at > FRESH_S:
            try:
                answer = self._ask(kind)
            except TqError:
                answer = []
            self._answers[kind] = time.monotonic(), answer
        return answer

    def fields(self, task_type: str) -> Sequence[str]:
        """The names of a type's arguments."""
        self.names("types")
        return self._fields.get(task_type, [])

    def _ask(self, kind: str) -> list[tuple[str, str]]:
        from tq_core.roles import inspector, registry, schedules

        run = self._invocation.run
        if kind == "queues":
            return [(q.queue, f"{q.waiting:,} wait") for q in run(inspector.stats(minutes=1))]
        if kind == "types":
            types = run(registry.published_types())
            self._fields = {name: list(found.schema.get("properties", {})) for name, found in types.items()}
            return [(name, found.queue) for name, found in types.items()]
        if kind == "schedules":
            return [(view.name, view.queue) for view in run(schedules.schedules())]
        fleet = run(registry.fleet())
        members = fleet.nodes if kind == "nodes" else fleet.nodes + fleet.workers
        return [(member.id, member.health) for member in members]
