"""Plans for what limits a queue: how much waits and runs, how fast it starts, and its breakers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tq_console.tui.actions.plan import Level, Plan, Progress, Told, command_line
from tq_core.errors import InvalidInputError
from tq_core.roles import limits, operator
from tq_core.roles.inspector import QueueStats
from tq_core.roles.limits import BreakerView, Limits, Rate
from tq_core.transport.steps import Flow

Value = int | Rate | None


@dataclass(frozen=True, slots=True)
class Setting:
    """One limit of a queue."""

    name: str
    """In the role's words."""
    flag: str
    """What says it to `tq queues limit`."""
    label: str
    words: str


SETTINGS = (
    Setting("max_size", "--max-size", "max size", "tasks that may wait; more are refused"),
    Setting("running", "--running", "running", "tasks that run at once; more wait"),
    Setting("rate", "--rate", "rate", "starts: 100/s, 10/5m, 100/m+20 for a burst"),
    Setting("key_running", "--key-running", "key running", "of each limit key at once"),
    Setting("key_rate", "--key-rate", "key rate", "starts of each limit key"),
)


def values_of(queue: QueueStats, rules: Limits) -> dict[str, Value]:
    """What is set; None = no limit."""
    return {
        "max_size": queue.limits.get("max_size"),
        "running": rules.running,
        "rate": rules.rate,
        "key_running": rules.each_key.running,
        "key_rate": rules.each_key.rate,
    }


def read_value(setting: Setting, text: str) -> Value:
    """A limit from what was typed; nothing, or `none`, takes it away.

    Raises:
        InvalidInputError: it is none.
    """
    words = text.strip().replace(",", "").replace("_", "")
    if words.lower() in ("", "none", "-"):
        return None
    if setting.name.endswith("rate"):
        return Rate.parse(words)
    least = 0 if setting.name in ("key_running", "max_size") else 1
    if not (words.isascii() and words.isdigit()) or len(words) > 9 or int(words) < least:
        raise InvalidInputError(f"{text.strip()!r}: write a whole number from {least}, or nothing for no limit")
    return int(words)


def set_limits(queue: str, before: Mapping[str, Value], wanted: Mapping[str, Value], *, actor: str) -> Plan:
    """Sets what is wanted otherwise than it is."""
    changed = {name: value for name, value in wanted.items() if value != before.get(name)}
    words = [
        word
        for setting in SETTINGS
        if setting.name in changed
        for word in (setting.flag, "none" if changed[setting.name] is None else str(changed[setting.name]))
    ]
    said = ", ".join(
        f"{setting.label} {'none' if changed[setting.name] is None else changed[setting.name]}"
        for setting in SETTINGS
        if setting.name in changed
    )
    back = {name: before.get(name) for name in changed}

    def flow(_told: Progress) -> Flow[None]:
        gates = {name: value for name, value in changed.items() if name != "max_size"}
        if gates:
            yield from limits.set_limits(queue, gates, actor=actor)
        if "max_size" in changed:
            size = changed["max_size"]
            assert not isinstance(size, Rate)
            yield from operator.configure_queue(queue, {"max_size": size}, actor=actor)

    return Plan(
        title=f"Limit {queue}: {said}",
        command=command_line("queues", "limit", queue, *words),
        level=Level.NONE,
        flow=flow,
        tell=lambda _: Told(f"{queue}: {said}"),
        inverse=lambda: set_limits(queue, changed, back, actor=actor),
    )


def steer_breaker(view: BreakerView, word: str, *, actor: str) -> Plan:
    """Opens or closes a breaker by hand."""
    is_opening = word == "open"
    steer = limits.open_breaker if is_opening else limits.close_breaker
    then = "its tasks are held back until it is closed" if is_opening else "its tasks run again, and it counts anew"
    return Plan(
        title=f"{'Open' if is_opening else 'Close'} the breaker of {view.type} in {view.queue}",
        command=command_line("queues", "breaker", view.queue, view.type, f"--{word}"),
        level=Level.NONE,
        flow=lambda _told: steer(view.queue, view.type, actor=actor),
        tell=lambda changed: Told(f"the breaker of {view.type} is {word}: {then}", has_changed=changed),
        inverse=lambda: steer_breaker(view, "close" if is_opening else "open", actor=actor),
    )
