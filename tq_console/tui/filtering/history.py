"""Queries that were used before, for the keys that go back to them."""

from __future__ import annotations

KEPT = 100


class History:
    """Past texts, the latest last, and a place among them while somebody looks."""

    def __init__(self) -> None:
        self._texts: list[str] = []
        self._at: int | None = None
        self._typed = ""

    def add(self, text: str) -> None:
        """Remembers a text that was used; one that was there before moves to the end."""
        self._at = None
        if text:
            self._texts = [*(t for t in self._texts if t != text), text][-KEPT:]

    def leave(self) -> None:
        """Ends looking."""
        self._at = None

    def go(self, step: int, typed: str) -> str:
        """The text before (-1) or after (1); after the latest stands what was being typed.

        Args:
            step: -1 or 1.
            typed: What stands there now.
        """
        if self._at is None:
            self._at, self._typed = len(self._texts), typed
        self._at = max(0, min(self._at + step, len(self._texts)))
        return self._texts[self._at] if self._at < len(self._texts) else self._typed
