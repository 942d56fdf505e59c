"""Limits and breakers for people and for programs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from tq_console.view.formats import clock, duration
from tq_console.view.text import visible
from tq_core.roles.inspector import QueueStats
from tq_core.roles.limits import BreakerView, KeyLimits, Limits, Rate

KEYS_SHOWN = 50


def limits_record(limits: Limits) -> dict[str, Any]:
    """All limits and breakers of a queue, null where there is none."""
    return {
        "running": limits.running,
        "rate": str(limits.rate) if limits.rate else None,
        "key_running": limits.each_key.running,
        "key_rate": str(limits.each_key.rate) if limits.each_key.rate else None,
        "keys": {
            key: {"running": of.running, "rate": str(of.rate) if of.rate else None} for key, of in limits.keys.items()
        },
        "breakers": [breaker_record(view) for view in limits.breakers],
    }


def limit_lines(limits: Limits) -> Iterator[tuple[str, str]]:
    """What is set, as labels and words."""
    yield "running", _number(limits.running)
    yield "rate", str(limits.rate or "no limit")
    yield "key-running", _number(limits.each_key.running)
    yield "key-rate", str(limits.each_key.rate or "no limit")
    for key, of_key in list(limits.keys.items())[:KEYS_SHOWN]:
        yield "key", f"{visible(key)}: {_of_key(of_key)}"
    if len(limits.keys) > KEYS_SHOWN:
        yield "", f"and {len(limits.keys) - KEYS_SHOWN} more keys"
    for view in limits.breakers:
        yield "breaker", breaker_line(view)


def breakers(queue: QueueStats, state: str) -> list[str]:
    """The task types whose breaker is `open`, or `half` open."""
    return [
        rule.removeprefix("breaker:") for rule, is_ in queue.rules.items() if rule[:8] == "breaker:" and is_ == state
    ]


def rule_words(queue: QueueStats) -> list[str]:
    """The limits of a queue in few words, from its numbers alone; nothing where there is none."""
    rules, max_size = queue.rules, queue.limits.get("max_size")
    found = [
        f"{rules['running']} running" if "running" in rules else "",
        _stored_rate(rules.get("rate")),
        f"{rules['key_running']} running a key" if "key_running" in rules else "",
        f"{_stored_rate(rules['key_rate'])} a key" if "key_rate" in rules else "",
        f"{max_size:,} waiting" if max_size is not None else "",
    ]
    return [words for words in found if words]


def _stored_rate(text: str | None) -> str:
    rate = Rate.stored(text) if text else None
    return str(rate) if rate else ""


def _number(value: int | None) -> str:
    return "no limit" if value is None else f"{value:,}"


def _of_key(limits: KeyLimits) -> str:
    said = [f"running {limits.running:,}"] if limits.running is not None else []
    return ", ".join([*said, *([f"rate {limits.rate}"] if limits.rate else [])])


def breaker_record(view: BreakerView) -> dict[str, Any]:
    """A breaker with its settings and how it stands."""
    found: dict[str, Any] = msgspec.to_builtins(view)
    settings = found.pop("breaker")
    return {**found, **settings}


def breaker_line(view: BreakerView) -> str:
    """A breaker in a line."""
    of = view.breaker
    if view.state == "closed":
        now = f"closed, {view.failed} of {view.ok + view.failed} runs failed"
    elif view.state == "open":
        until = f"until {clock(view.until_ms)}" if view.until_ms is not None else "until it is closed by hand"
        now = f"open {until}: {view.why}"
    else:
        now = "half-open"
    waiting = f", {view.waiting:,} waiting" if view.waiting else ""
    rule = (
        f"opens at {of.failures_percent:g}% of {of.min_runs} or more runs in {duration(of.window_s * 1000)}, "
        f"for {duration(of.cooldown_s * 1000)}, then {of.probes} at once"
    )
    return visible(f"{view.type}: {now}{waiting} ({rule})")
