"""The command palette: every key of this screen, every screen and every queue, found by typing."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from textual.command import DiscoveryHit, Hit, Hits, Provider
from textual.content import Content

from tq_console.tui.frame.hints import key_name
from tq_console.view.text import visible

if TYPE_CHECKING:
    from tq_console.tui.app import ConsoleApp

QUEUES_MAX = 200


class ConsoleCommands(Provider):
    """What the palette offers beside Textual's own commands."""

    async def discover(self) -> Hits:
        """All of them, before anything is typed."""
        for words, help_text, callback in self._commands():
            # A plain string would be read as markup, and names of queues come from anywhere.
            yield DiscoveryHit(Content(words), callback, text=words, help=help_text)

    async def search(self, query: str) -> Hits:
        """Those that fit what was typed."""
        matcher = self.matcher(query)
        for words, help_text, callback in self._commands():
            score = matcher.match(words)
            if score > 0:
                yield Hit(score, matcher.highlight(words), callback, text=words, help=help_text)

    def _commands(self) -> Iterator[tuple[str, str, Any]]:
        app: ConsoleApp = self.app  # type: ignore[assignment]
        seen = set()
        for active in self.screen.active_bindings.values():
            binding = active.binding
            if not binding.description or binding.system or not active.enabled or binding.action in seen:
                continue
            if (binding.id or "").startswith(("table.", "detail.")):
                continue
            seen.add(binding.action)
            words = f"{binding.description} · {binding.tooltip}" if binding.tooltip else binding.description
            run = partial(app.run_action, binding.action, active.node)
            yield words, f"key {key_name(binding.key_display or binding.key)}", run
        for queue in (app.snapshot.queues if app.snapshot else ())[:QUEUES_MAX]:
            name = visible(queue.queue)
            yield f"queue {name}", "its tasks", partial(app.show_queue, queue.queue)
