"""Posting alerts to addresses, from a thread of its own, so that nobody waits for it."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tq_console.alerts.book import AlertEvent
from tq_console.alerts.config import masked_webhook

TIMEOUT_S = 5.0
WAITS_S = (1.0, 5.0, 20.0)
"""Before each try again."""
WAITING_MAX = 100
"""More posts than these are not kept waiting."""
_AGAIN = (408, 425, 429)


@dataclass(frozen=True, slots=True)
class _Post:
    url: str
    body: dict[str, Any]


def body_of(event: AlertEvent, broker: str) -> dict[str, Any]:
    """What is posted, as JSON."""
    state = event.state
    rule, measured = state.alert.rule, state.measured
    return {
        "alert": rule.text,
        "name": state.alert.name,
        "state": event.word,
        "text": event.text,
        "broker": broker,
        "metric": rule.metric,
        "queue": measured.queue if measured is not None else rule.queue,
        "value": measured.value if measured is not None else None,
        "limit": rule.limit,
        "at_ms": event.at_ms,
    }


class Webhooks:
    """Sends what it is given, one after the other; the thread starts with the first."""

    def __init__(self, *, on_failure: Callable[[str], None], waits_s: tuple[float, ...] = WAITS_S) -> None:
        """Sends nothing yet.

        Args:
            on_failure: Told, in that thread, what could not be sent and why; without the address's secrets.
            waits_s: Before each try again.
        """
        self._on_failure, self._waits_s = on_failure, waits_s
        self._posts: queue.Queue[_Post | None] = queue.Queue(WAITING_MAX)
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def post(self, event: AlertEvent, broker: str) -> None:
        """Sends an event where its alert says so; returns at once."""
        url = event.state.alert.webhook
        if url is None:
            return
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="tq-webhooks", daemon=True)
            self._thread.start()
        try:
            self._posts.put_nowait(_Post(url, body_of(event, broker)))
        except queue.Full:
            self._on_failure(f"{masked_webhook(url)}: {WAITING_MAX} posts are waiting; this one was dropped")

    def close(self, *, timeout_s: float = 0.0) -> None:
        """Ends it: what is not sent within the time is dropped."""
        if self._thread is None:
            return
        try:
            self._posts.put(None, timeout=timeout_s or 0.001)
        except queue.Full:
            pass
        self._thread.join(timeout_s)
        self._stopping.set()

    def _run(self) -> None:
        import httpx  # only where somebody wants posts

        with httpx.Client(timeout=TIMEOUT_S, follow_redirects=False) as client:
            while not self._stopping.is_set() and (post := self._posts.get()) is not None:
                self._send(client, post)

    def _send(self, client: Any, post: _Post) -> None:
        import httpx

        why = ""
        for wait_s in (*self._waits_s, None):
            try:
                response = client.post(post.url, json=post.body)
            except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
                why = type(error).__name__
            else:
                if response.is_success:
                    return
                why = f"HTTP {response.status_code}"
                if response.status_code < 500 and response.status_code not in _AGAIN:
                    break
            if wait_s is None or self._stopping.wait(wait_s):
                break
        self._on_failure(f"{masked_webhook(post.url)}: {why}: {post.body['text']!r} was not posted")
