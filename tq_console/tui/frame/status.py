"""The words of the header: which broker, how fresh, and the numbers that say at a glance whether all is well."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import chain

from tq_console.tui.look.canvas import Line, Span
from tq_console.tui.look.context_colors import block_style
from tq_console.tui.watch.snapshot import Snapshot, Trouble
from tq_console.view.formats import age, plural, rate
from tq_core.model import TaskState
from tq_core.roles.registry import WorkerInfo

STALE_AFTER_S = 3.0
SLOW_RTT_MS = 250.0
FAILING_SHARE = 0.05
DIVIDER: Span = (" │ ", "cell--dim")
_CONTEXT_MAX = 28


@dataclass(frozen=True, slots=True)
class LinkState:
    """What is known of the connection, beside the snapshot."""

    name: str
    is_read_only: bool = False
    is_for_looking: bool = False
    """Read-only for good: nothing unlocks it."""
    is_protected: bool = False
    color: str | None = None
    """The context's colour."""
    unlocked_s: float = 0.0
    """So long a protected broker lets changes through."""
    is_frozen: bool = False
    trouble: Trouble | None = None
    marked: int = 0


_OF_SNAPSHOT = float("inf")


def header_lines(
    snapshot: Snapshot | None, link: LinkState, *, now_s: float, width: int, data_s: float | None = _OF_SNAPSHOT
) -> list[Line]:
    """One line when narrow, else two; what does not fit is left out from the end.

    Args:
        now_s: Our monotonic clock.
        data_s: When the oldest that is on screen was taken, None = it shows nothing yet; else the snapshot's own time.
    """
    freshness = _freshness(snapshot, link, now_s, data_s)
    if width < 100:
        badge, first_alert = _alerts(snapshot)
        parts = [*_place(link, short=True), *freshness, *badge, *_numbers(snapshot, short=True), *first_alert]
        return [_fitted(parts, width, divider=("│", "cell--dim"))]
    first = [*_place(link, short=False), *freshness, *chain(*_alerts(snapshot)), *_server(snapshot)]
    return [_fitted(first, width), _fitted(_numbers(snapshot, short=False), width)]


def freshness_line(snapshot: Snapshot | None, link: LinkState, *, now_s: float, width: int) -> Line:
    """How old what is on screen is, and what is wrong; nothing while all is well."""
    is_fresh = snapshot is not None and now_s - snapshot.taken_s < STALE_AFTER_S
    if is_fresh and link.trouble is None and not link.is_frozen:
        return []
    return _fitted(_freshness(snapshot, link, now_s, _OF_SNAPSHOT), width)


Part = list[Span]
"""What is shown whole or not at all."""


def _place(link: LinkState, *, short: bool) -> list[Part]:
    limit = 14 if short else _CONTEXT_MAX
    name = link.name if len(link.name) <= limit else link.name[: limit - 1] + "…"
    # A protected broker is red unless it has a colour of its own.
    block = block_style(link.color) or ("cell--badge-bad" if link.is_protected else "cell--badge")
    part: Part = [(f" {name} ", block)]
    if link.is_read_only:
        words = ("LOCKED", "LOCK") if link.is_protected and not link.is_for_looking else ("READ-ONLY", "RO")
        part.append((f" {words[short]} ", "cell--badge-warn"))
    elif link.unlocked_s:
        part.append((f" {'RW' if short else 'UNLOCKED'} {_left(link.unlocked_s)} ", "cell--badge-bad"))
    return [part]


def _left(seconds: float) -> str:
    """Time until it locks: in minutes until the last one, for what ticks every second costs bytes."""
    return f"{math.ceil(seconds / 60)}m" if seconds > 60 else f"{math.ceil(seconds)}s"


def _freshness(snapshot: Snapshot | None, link: LinkState, now_s: float, data_s: float | None) -> list[Part]:
    parts: list[Part] = []
    age_s = None if snapshot is None or data_s is None else max(0.0, now_s - min(snapshot.taken_s, data_s))
    if link.trouble is not None:
        parts.append([(f" ✗ {_TROUBLES.get(link.trouble.code, 'REFUSED')} ", "cell--badge-bad")])
    if age_s is None:
        parts.append([("… connecting" if link.trouble is None else "no data yet", "cell--warn")])
    elif link.is_frozen:
        parts.append([(f" ‖ FROZEN {age(age_s * 1000)} ", "cell--badge-warn")])
    elif link.trouble is not None or age_s >= STALE_AFTER_S:
        parts.append([(f" STALE {age(age_s * 1000)} ", "cell--badge-warn")])
    elif snapshot is not None:
        slow = snapshot.rtt_ms >= SLOW_RTT_MS
        parts.append(
            [
                ("● ", "cell--warn" if slow else "cell--good"),
                (f"{'slow ' if slow else ''}{_ms(snapshot.rtt_ms)}", "cell--warn" if slow else "cell--dim"),
            ]
        )
    if snapshot is not None:
        if snapshot.is_emptied:
            parts.append([(" ! EMPTIED: all queues are gone ", "cell--badge-bad")])
        if snapshot.server.is_replica:
            parts.append([(" READ-ONLY REPLICA ", "cell--badge-bad")])
        elif snapshot.server.problem:
            parts.append([(f"! {snapshot.server.problem}", "cell--bad")])
    if link.trouble is not None:
        parts.append([(link.trouble.text, "cell--bad")])
    return parts


_TROUBLES = {"broker_unreachable": "DISCONNECTED", "internal": "ERROR"}


def _alerts(snapshot: Snapshot | None) -> tuple[list[Part], list[Part]]:
    """How many of the user's alerts fire, and the first of them."""
    if snapshot is None or not snapshot.alerts:
        return [], []
    badge: Part = [(f" ! {plural(len(snapshot.alerts), 'alert')} ", "cell--badge-bad")]
    return [badge], [[(snapshot.alerts[0].text, "cell--bad")]]


def _server(snapshot: Snapshot | None) -> list[Part]:
    if snapshot is None or not snapshot.server.version:
        return []
    return [[(f"Redis {snapshot.server.version}", "cell--dim")]]


def _numbers(snapshot: Snapshot | None, *, short: bool) -> list[Part]:
    """Workers, depth, oldest age, failures, rates: the numbers of all queues, the most telling first."""
    if snapshot is None:
        return []
    live = [m.info for m in snapshot.fleet.workers if m.health != "lost" and isinstance(m.info, WorkerInfo)]
    known = len(snapshot.fleet.workers)
    slots, busy = sum(info.slots for info in live), sum(len(info.running) for info in live)
    depth = snapshot.depths.get(TaskState.PENDING, 0)
    failed = snapshot.depths.get(TaskState.FAILED, 0)
    oldest = max((q.oldest_age_ms for q in snapshot.queues if q.oldest_age_ms is not None), default=None)
    done, came, bad = (
        sum(q.rate_per_s(counter, window_s=60) for q in snapshot.queues)
        for counter in ("completed", "enqueued", "failures")
    )
    share = bad / (bad + done) if bad + done > 0 else None
    paused = sum(1 for q in snapshot.queues if q.paused)
    is_unserved = len(live) < known or (depth > 0 and not live)

    def named(long: str, brief: str) -> Span:
        return (f"{brief if short else long} ", "cell--dim")

    parts: list[Part] = [
        [
            named(" workers", "W"),
            (f"{len(live)}" if len(live) == known else f"{len(live)}/{known}", "cell--bad" if is_unserved else ""),
            named(" slots", ""),
            (f"{busy}/{slots}", "cell--busy" if busy else ""),
        ],
        [named("depth", "Q"), (_count(depth, short=short), ""), named(" oldest", ""), (age(oldest), "")],
        [named("DLQ", "DLQ"), (_count(failed, short=short), "cell--bad" if failed else "")],
        [
            named("fail", "✗"),
            (_percent(share), "cell--bad" if share is not None and share >= FAILING_SHARE else ""),
        ],
        [named("in", "in"), (rate(came), ""), (" out ", "cell--dim"), (rate(done), "")],
    ]
    if paused:
        parts.insert(2, [(f"‖ {paused}" if short else f"‖ {paused} paused", "cell--warn")])
    return parts


def _count(number: int, *, short: bool) -> str:
    if not short or number < 10_000:
        return f"{number:,}"
    return f"{number / 1000:.0f}k" if number < 1_000_000 else f"{number / 1_000_000:.1f}M"


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share * 100:.0f}%" if share == 0 or share >= 0.1 else f"{share * 100:.1f}%"


def _ms(value: float) -> str:
    """A time as the step that it does not exceed: a number that shivers tells nothing and costs bytes."""
    step = next((step for step in _STEPS_MS if value <= step), None)
    return f"rtt ≤{step}ms" if step else f"rtt {value / 1000:.1f}s"


_STEPS_MS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)


def _fitted(parts: list[Part], width: int, *, divider: Span = DIVIDER) -> Line:
    """The parts side by side, as many as fit; the first that does not is cut if it is one text."""
    line: list[Span] = []
    used = 0
    for part in parts:
        cells = sum(len(text) for text, _ in part)
        gap = len(divider[0]) if line else 0
        if used + gap + cells > width:
            room = width - used - gap
            if len(part) == 1 and room >= 12:
                line += [divider, (part[0][0][: room - 1] + "…", part[0][1])]
            break
        if line:
            line.append(divider)
        line += part
        used += gap + cells
    return line
