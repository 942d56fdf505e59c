"""Which alerts there are now: rules looked at with each new set of facts, and what came of them."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from tq_console.alerts.config import Alert
from tq_console.alerts.measuring import Measured, measure, value_words
from tq_core.roles.inspector import QueueStats
from tq_core.roles.registry import Fleet

CLEAR_AFTER_S = 10.0
"""So long it must be well again before an alert is over: what dithers around its limit rings once."""
GAP_S = 15.0
"""After so long without facts nothing is known to have lasted."""
KEPT = 200


@dataclass(frozen=True, slots=True)
class AlertState:
    """How a rule stands."""

    alert: Alert
    measured: Measured | None
    """None: nothing is known of it."""
    is_met: bool
    is_firing: bool
    since_ms: int | None
    """Since when it fires or, where it does not yet, has been met; by the server's clock."""

    @property
    def value(self) -> str:
        """What was measured, in words; `-` where nothing is known."""
        return "-" if self.measured is None else value_words(self.alert.rule.metric, self.measured.value)

    @property
    def text(self) -> str:
        """The alert in one line; may hold names from outside."""
        alert, measured = self.alert, self.measured
        named = f"{alert.name}: " if alert.name else ""
        where = f" in {measured.queue}" if measured is not None and alert.rule.is_pattern else ""
        return f"{named}{alert.rule.text}: {self.value}{where}"


@dataclass(frozen=True, slots=True)
class AlertEvent:
    """An alert that fired, or was over."""

    at_ms: int
    """By the server's clock."""
    state: AlertState

    @property
    def word(self) -> str:
        """fired or cleared."""
        return "fired" if self.state.is_firing else "cleared"

    @property
    def text(self) -> str:
        """What happened, in one line; may hold names from outside."""
        return f"alert {self.word}: {self.state.text}"


class AlertBook:
    """The alerts of one broker."""

    def __init__(self, alerts: Sequence[Alert]) -> None:
        self.alerts = tuple(alerts)
        self._watched = [_Watched(alert) for alert in alerts]
        self.log: deque[AlertEvent] = deque(maxlen=KEPT)
        """What fired and was over, the oldest first."""
        self._looked_s: float | None = None

    @property
    def states(self) -> list[AlertState]:
        """How each rule stood at the last look."""
        return [watched.state for watched in self._watched]

    @property
    def firing(self) -> list[AlertState]:
        """Those that fire."""
        return [state for state in self.states if state.is_firing]

    def look(self, queues: Sequence[QueueStats], fleet: Fleet, *, now_s: float) -> list[AlertEvent]:
        """Looks at new facts; returns what fired or was over by that.

        Args:
            queues: With at least the last two minutes.
            now_s: Our monotonic clock when they were taken.
        """
        is_gap = self._looked_s is not None and now_s - self._looked_s > GAP_S
        self._looked_s = now_s
        events = []
        for watched in self._watched:
            measured = measure(watched.state.alert.rule, queues, fleet)
            if watched.look(measured, now_s=now_s, now_ms=fleet.now_ms, is_gap=is_gap):
                events.append(AlertEvent(fleet.now_ms, watched.state))
        self.log.extend(events)
        return events


class _Watched:
    """One rule over time."""

    def __init__(self, alert: Alert) -> None:
        self.state = AlertState(alert, None, is_met=False, is_firing=False, since_ms=None)
        self._met_s: float | None = None
        """Since when it is met without a break."""
        self._well_s: float | None = None
        """Since when it fires and is not met."""

    def look(self, measured: Measured | None, *, now_s: float, now_ms: int, is_gap: bool) -> bool:
        """Whether it fired or was over by this."""
        before, rule = self.state, self.state.alert.rule
        is_met = measured is not None and rule.is_met(measured.value)
        if is_gap:
            self._met_s = self._well_s = None
        since_ms = before.since_ms
        is_firing = before.is_firing
        if is_met:
            self._well_s = None
            if self._met_s is None:
                self._met_s = now_s
                since_ms = since_ms if is_firing else now_ms
            if not is_firing and now_s - self._met_s >= rule.for_s:
                is_firing, since_ms = True, now_ms
        else:
            self._met_s = None
            if is_firing:
                self._well_s = now_s if self._well_s is None else self._well_s
                is_firing = now_s - self._well_s < CLEAR_AFTER_S
            since_ms = since_ms if is_firing else None
        self.state = AlertState(before.alert, measured, is_met=is_met, is_firing=is_firing, since_ms=since_ms)
        return is_firing != before.is_firing
