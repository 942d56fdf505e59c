"""Past minutes as far as they have been read: each is read once, the present one again and again.

So a chart of a day costs as much for each refresh as one of a quarter of an hour, and Redis adds nothing up for charts.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from tq_console.view.history import History, Sums, added, step_of
from tq_core.roles.history import MINUTE_MS, MINUTES_AT_ONCE, Counts, Read, Stretch

QUEUES_AT_ONCE = 500
"""Further queues are read with the refreshes that follow."""


@dataclass(slots=True)
class _Pages:
    """What is known of one queue."""

    low: int
    """The first minute that was read."""
    high: int
    """The first minute that may still grow."""
    steps: dict[int, dict[str, int]] = field(default_factory=dict)
    """First minute of a step -> its counts before `high`."""
    total: dict[str, int] = field(default_factory=dict)
    """Of all steps together."""
    live: dict[int, Counts] = field(default_factory=dict)
    """Minute -> its counts, from `high` on."""


class HistoryBook:
    """The last so many minutes of all queues."""

    def __init__(self, minutes: int) -> None:
        self.minutes, self.step = minutes, step_of(minutes)
        self._pages: dict[str, _Pages] = {}
        self._all: dict[int, dict[str, int]] = {}
        """The steps of all queues, added up as they are read: a thousand queues are not gone through each second."""
        self._now_ms = 0

    @property
    def first(self) -> int:
        """The first minute that is to be shown; before anything is known of the time, 0."""
        now = self._now_ms // MINUTE_MS
        return max(0, now - self.minutes + 1) // self.step * self.step if now else 0

    def wanted(self, queues: Sequence[str], now_ms: int) -> tuple[Stretch, ...]:
        """What to read next: the minutes that may have grown, then as many earlier ones as are soon read."""
        self._turn_to(now_ms)
        gone = set(self._pages) - set(queues)
        for queue in gone:
            self._drop(queue)
        now = now_ms // MINUTE_MS
        found = []
        for queue in queues[:QUEUES_AT_ONCE]:
            pages = self._pages.get(queue)
            high = pages.high if pages else now
            # One more than there is by our account: the server's clock is a moment ahead by then.
            found.append(Stretch(queue, high, now + 2 - high))
        left = MINUTES_AT_ONCE
        for queue, pages in self._pages.items():
            most = min(left, pages.low - self.first)
            if most <= 0:
                continue
            start = max(self.first, -(-(pages.low - most) // self.step) * self.step)
            if start < pages.low:
                found.append(Stretch(queue, start, pages.low - start, self.step))
                left -= pages.low - start
        return tuple(found)

    def accept(self, reads: Iterable[Read]) -> None:
        """Takes what was read; what was asked for twice counts once."""
        for read in reads:
            stretch, now = read.stretch, read.now_ms // MINUTE_MS
            self._now_ms = max(self._now_ms, read.now_ms)
            pages = self._pages.get(stretch.queue)
            if pages is None and stretch.step == 1 and stretch.first <= now:
                pages = self._pages[stretch.queue] = _Pages(stretch.first, stretch.first)
            if pages is None:
                continue
            if stretch.first == pages.high:
                self._take_new(pages, read, now)
            elif stretch.first + stretch.minutes == pages.low:
                for start, counts in read.steps.items():
                    self._add(pages, start, counts)
                pages.low = stretch.first

    def _take_new(self, pages: _Pages, read: Read, now: int) -> None:
        pages.live = {minute: counts for minute, counts in read.steps.items() if minute >= now}
        for minute, counts in read.steps.items():
            if minute < now:
                self._add(pages, minute, counts)
        pages.high = max(pages.high, now)

    def _add(self, pages: _Pages, minute: int, counts: Counts) -> None:
        start = minute // self.step * self.step
        for into in (pages.steps.setdefault(start, {}), pages.total, self._all.setdefault(start, {})):
            added(into, counts)

    def _drop(self, queue: str) -> None:
        for start, counts in self._pages.pop(queue).steps.items():
            added(self._all[start], counts, sign=-1)

    def _turn_to(self, now_ms: int) -> None:
        """Forgets what is too long ago; what was not looked at for longer than is shown is read anew."""
        self._now_ms = max(self._now_ms, now_ms)
        first = self.first
        for queue, pages in list(self._pages.items()):
            if pages.high < first:
                self._drop(queue)
                continue
            pages.low = max(pages.low, first)
            for start in [start for start in pages.steps if start < first]:
                added(pages.total, pages.steps.pop(start), sign=-1)
        for start in [start for start in self._all if start < first]:
            del self._all[start]

    @property
    def share_read(self) -> float:
        """How much of what is to be shown has been read."""
        if not self._pages:
            return 0.0
        whole = len(self._pages) * (self._now_ms // MINUTE_MS - self.first)
        unread = sum(max(0, pages.low - self.first) for pages in self._pages.values())
        return 1 - unread / whole if whole else 1.0

    def sums(self) -> dict[str, Sums]:
        """What each queue did in all of the time that is known of it."""
        found = {}
        for queue, pages in self._pages.items():
            total = dict(pages.total)
            for counts in pages.live.values():
                added(total, counts)
            found[queue] = Sums(total, self._now_ms - pages.low * MINUTE_MS)
        return found

    def history(self, queue: str | None = None) -> History | None:
        """One queue's steps, or those of all together; None where there is nothing yet."""
        some = list(self._pages.values()) if queue is None else [self._pages[queue]] if queue in self._pages else []
        if not some:
            return None
        low = max(pages.low for pages in some)
        steps = self._all if queue is None else some[0].steps
        live: dict[int, dict[str, int]] = {}
        for pages in some:
            for minute, counts in pages.live.items():
                added(live.setdefault(minute // self.step * self.step, {}), counts)
        starts = range(self.first, self._now_ms // MINUTE_MS + 1, self.step)
        return History(
            self._now_ms,
            self.step * MINUTE_MS,
            tuple(start * MINUTE_MS for start in starts),
            tuple(None if start < low else _both(steps.get(start, {}), live.get(start)) for start in starts),
        )


def _both(settled: Counts, live: Counts | None) -> Counts:
    if not live:
        return settled
    sums = dict(settled)
    added(sums, live)
    return sums
