"""The command palette: every key in force here, and the things that are known, found by typing."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property, partial
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from textual.command import DiscoveryHit, Hit, Hits, Provider
from textual.content import Content

from tq_console.tui.frame.hints import key_name
from tq_console.view.formats import short_id
from tq_console.view.text import visible
from tq_core.errors import TqError
from tq_core.roles.registry import NodeInfo

if TYPE_CHECKING:
    from tq_console.tui.app import ConsoleApp

EACH_MAX = 200
"""Things of each kind that are looked through at a press of a key."""
UNASKED_MAX = 12
"""Things that are offered before anything is typed."""


class Offer(NamedTuple):
    """A line of the palette."""

    words: str
    help: str
    do: Any


class _Offers(Provider):
    """Offers that are worked out anew for each press of a key, and are few enough for that."""

    unasked_max: int | None = None

    async def discover(self) -> Hits:
        """Before anything is typed."""
        for offer in islice(self.offers(), self.unasked_max):
            # A plain string would be read as markup, and names of queues come from anywhere.
            yield DiscoveryHit(Content(offer.words), offer.do, text=offer.words, help=offer.help)

    async def search(self, query: str) -> Hits:
        """Those that fit what was typed."""
        matcher = self.matcher(query)
        for offer in self.offers():
            score = matcher.match(offer.words)
            if score > 0:
                yield Hit(score, matcher.highlight(offer.words), offer.do, text=offer.words, help=offer.help)

    @property
    def console(self) -> ConsoleApp:
        return self.app  # type: ignore[return-value]

    def offers(self) -> Iterator[Offer]:
        """All of them."""
        raise AssertionError("each kind has its own")


class Actions(_Offers):
    """Every key that is in force on this screen."""

    def offers(self) -> Iterator[Offer]:
        """What is special here first, what moves in lists last."""
        seen = set()
        found = [active for active in self.screen.active_bindings.values() if not active.binding.system]
        for active in sorted(found, key=lambda active: _rank(active.binding.id or "")):
            binding = active.binding
            if not binding.description or not active.enabled or binding.action in seen:
                continue
            seen.add(binding.action)
            words = f"{binding.description} · {binding.tooltip}" if binding.tooltip else binding.description
            key = f"key {key_name(binding.key_display or active.binding.key)}"
            yield Offer(words, key, partial(self.console.run_action, binding.action, active.node))


class Things(_Offers):
    """Queues, types, views, nodes and tasks, as far as they are known here without asking."""

    unasked_max = UNASKED_MAX

    @cached_property
    def _views(self) -> dict[str, str]:
        from tq_console.view.saved_views import saved_views

        try:
            return dict(islice(saved_views().items(), EACH_MAX))
        except TqError:
            # What is wrong with the configuration is told elsewhere.
            return {}

    def offers(self) -> Iterator[Offer]:
        """A kind after the other, each up to a number."""
        app, snapshot = self.console, self.console.snapshot
        for queue in (snapshot.queues if snapshot else ())[:EACH_MAX]:
            yield Offer(f"queue {visible(queue.queue)}", "its tasks", partial(app.show_queue, queue.queue))
        tasks = app.seen_tasks()[:EACH_MAX]
        for name in dict.fromkeys(task.type for task in tasks):
            yield Offer(f"type {visible(name)}", "its tasks", partial(app.show_tasks, f"type:{_quoted(name)}"))
        for name, query in self._views.items():
            yield Offer(f"view {visible(name)}", visible(query), partial(app.show_tasks, query))
        for member in (snapshot.fleet.nodes if snapshot else ())[:EACH_MAX]:
            served = ", ".join(member.info.queues) if isinstance(member.info, NodeInfo) else ""
            about = f"node, {member.health}, serves {visible(served)}" if served else f"node, {member.health}"
            yield Offer(f"node {visible(member.id)}", about, partial(app.action_go, "workers"))
        for task in tasks:
            words = f"task {visible(task.id)} {visible(task.type)}"
            yield Offer(
                words, f"{task.state} in {visible(task.queue)}, {short_id(task.id)}", partial(app.open_task, task.id)
            )


def _rank(binding_id: str) -> int:
    return {"table": 2, "detail": 2, "app": 1}.get(binding_id.partition(".")[0], 0)


def _quoted(name: str) -> str:
    return name if name.replace("_", "").replace(".", "").replace("-", "").isalnum() else f'"{name}"'
