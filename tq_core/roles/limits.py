"""How much of a queue may run: limits of the queue and of each limit key, and breakers of task types.

All of it is decided when tasks are claimed; what is held back waits, in the order in which it would have run.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable, Mapping
from typing import Any, Self

import msgspec

from tq_core import names
from tq_core.errors import InvalidInputError, NotFoundError
from tq_core.keyspace import keys, wire
from tq_core.model import Gate
from tq_core.roles import registry
from tq_core.roles.spans import span
from tq_core.transport.steps import Arg, Batch, Command, Flow, Script

MAX_RUNNING = 1_000_000
YEAR_MS = 31_536_000_000
_UNITS_MS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_RATE = re.compile(r"([0-9]{1,7})/([0-9]{0,7})(ms|s|m|h|d)(?:\+([0-9]{1,7}))?")


class Rate(msgspec.Struct, frozen=True, kw_only=True):
    """How many tasks may start in a time, spread evenly, with a burst at once after a pause."""

    starts: int
    period_ms: int
    burst: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """A rate from 10/s, 100/5m, or 100/m+20 with a burst of 20; without one it is a tenth of the starts.

        Raises:
            InvalidInputError: it is none.
        """
        found = _RATE.fullmatch(text.strip().replace(" ", ""))
        if not found:
            raise InvalidInputError(f"{text!r} is no rate: write 10/s, 100/5m, or 100/m+20 for a burst of 20")
        starts, count, unit, burst = found.groups()
        rate = cls(
            starts=int(starts),
            period_ms=int(count or 1) * _UNITS_MS[unit],
            burst=max(1, -(-int(starts) // 10)) if burst is None else int(burst),
        )
        if rate.starts < 1 or rate.burst < 1 or not 1 <= rate.period_ms <= YEAR_MS:
            raise InvalidInputError(
                f"{text!r}: a rate needs at least one start, a burst of at least one and a period of 1 ms to one year"
            )
        return rate

    @classmethod
    def stored(cls, text: str) -> Self | None:
        """A rate as it lies in Redis; None where it is none."""
        parts = text.split("/")
        if len(parts) != 3 or not all(part.isdigit() for part in parts):
            return None
        return cls(starts=int(parts[0]), period_ms=int(parts[1]), burst=int(parts[2]))

    def encode(self) -> str:
        """As it lies in Redis."""
        return f"{self.starts}/{self.period_ms}/{self.burst}"

    def __str__(self) -> str:
        count, unit = next(
            (self.period_ms // ms, name) for name, ms in reversed(_UNITS_MS.items()) if self.period_ms % ms == 0
        )
        return f"{self.starts}/{'' if count == 1 else count}{unit}+{self.burst}"


class Breaker(msgspec.Struct, frozen=True, kw_only=True):
    """When the tasks of a type are held back because too many of them fail."""

    failures_percent: float = 50.0
    min_runs: int = 10
    """So many runs must have ended in the window."""
    window_s: float = 60.0
    cooldown_s: float = 30.0
    """How long it stays open before probes may run."""
    probes: int = 1
    """How many run at once while it is half-open."""

    def __post_init__(self) -> None:
        if not 0.01 <= self.failures_percent <= 100:
            raise InvalidInputError(f"a breaker at {self.failures_percent} % of failures: use 0.01 to 100")
        counts: tuple[Any, ...] = (self.min_runs, self.probes)
        for count in counts:
            if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= MAX_RUNNING:
                raise InvalidInputError(f"a breaker needs whole numbers of runs and probes, 1 to {MAX_RUNNING}")
        if not (1 <= self.window_s <= 86_400 and 0.001 <= self.cooldown_s <= 86_400):
            raise InvalidInputError("a breaker's window must be from 1 s to one day, its cooldown at most one day")

    @classmethod
    def stored(cls, text: str) -> Self | None:
        """A breaker as it lies in Redis; None where it is none."""
        try:
            percent, least, window_ms, cooldown_ms, probes = text.split("|")
            return cls(
                failures_percent=float(percent),
                min_runs=int(least),
                window_s=int(window_ms) / 1000,
                cooldown_s=int(cooldown_ms) / 1000,
                probes=int(probes),
            )
        except (ValueError, InvalidInputError):
            return None

    def encode(self) -> str:
        """As it lies in Redis (tq_core.keyspace.wire)."""
        times = f"{round(self.window_s * 1000)}|{round(self.cooldown_s * 1000)}"
        return f"{self.failures_percent:.2f}|{self.min_runs}|{times}|{self.probes}"


class KeyLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What one limit key may do."""

    running: int | None = None
    rate: Rate | None = None


class BreakerView(msgspec.Struct, frozen=True, kw_only=True):
    """A breaker and how it stands."""

    queue: str
    type: str
    breaker: Breaker
    state: str
    """closed, open or half_open."""
    since_ms: int | None
    until_ms: int | None
    """open: when probes may run; None = when somebody closes it."""
    why: str
    ok: int
    """Runs of the window that succeeded, while it is closed, and that failed."""
    failed: int
    waiting: int = 0
    """Tasks that it holds back."""


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """All that is set for a queue."""

    queue: str
    running: int | None = None
    rate: Rate | None = None
    each_key: KeyLimits = KeyLimits()
    """What holds for every key that has nothing of its own."""
    keys: dict[str, KeyLimits] = {}
    breakers: tuple[BreakerView, ...] = ()


def changed_breaker(before: Breaker | None, said: Mapping[str, Any]) -> Breaker:
    """A breaker with what is said of it; the rest is as before.

    Raises:
        InvalidInputError: a value is not allowed.
    """
    kept = {field: getattr(before, field) for field in Breaker.__struct_fields__} if before else {}
    return Breaker(**{**kept, **said})


def set_limits(
    queue: str, settings: Mapping[str, int | Rate | None], *, actor: str, key: str | None = None, why: str = ""
) -> Flow[None]:
    """Sets limits of a queue, or of one of its limit keys; None clears one. What waits moves at once where it now may.

    Args:
        settings: running and rate, of the queue or of the key; without a key also key_running and key_rate, which hold
            for each key that has none of its own. A key may have 0 running: its tasks wait.

    Raises:
        InvalidInputError: an unknown setting or a value that is none.
    """
    known = ("running", "rate") if key is not None else ("running", "rate", "key_running", "key_rate")
    encoded = None if key is None else names.encode_limit_key(key)
    fields: dict[str, str] = {}
    for name, value in settings.items():
        if name not in known:
            raise InvalidInputError(f"{name!r} is no limit here: use {', '.join(known)}")
        field = name if encoded is None else f"key_{name}:{encoded}"
        if name.endswith("rate"):
            if value is not None and not isinstance(value, Rate):
                raise InvalidInputError(f"{name} = {value!r}: must be a rate")
            fields[field] = "" if value is None else value.encode()
        else:
            least = 0 if key is not None or name == "key_running" else 1
            if value is not None and (
                isinstance(value, bool) or not isinstance(value, int) or not least <= value <= MAX_RUNNING
            ):
                raise InvalidInputError(f"{name} = {value!r}: must be a number from {least} to {MAX_RUNNING}")
            fields[field] = "" if value is None else str(value)
    told = {"set": {name: str(value) for name, value in settings.items()}, **({"key": key} if key is not None else {})}
    yield from _set(queue, fields, actor, {"by": actor, "why": why, **told})


def declare_breakers(types: Iterable[registry.PublishedType]) -> Flow[None]:
    """Sets the breakers that code gives its types, where they are not so already; for workers, at their start.

    What a person changes holds until the next start; what code says no longer stays until a person takes it away.
    """
    wanted = {(t.queue, t.name): breaker for t in types if (breaker := Breaker.stored(t.breaker))}
    if not wanted:
        return
    found = yield Batch(
        [Command(("HMGET", keys.queue_prefix(queue) + "limits", f"breaker:{name}")) for queue, name in wanted]
    )
    for ((queue, name), breaker), (known,) in zip(wanted.items(), found, strict=True):
        if known != breaker.encode().encode():
            yield from set_breaker(queue, name, breaker, actor="code", why="its task type says so")


def set_breaker(queue: str, task_type: str, breaker: Breaker | None, *, actor: str, why: str = "") -> Flow[None]:
    """Gives the tasks of a type a breaker, changes it, or takes it away with None: then all that waited for it runs."""
    field = f"breaker:{names.check_task_type(task_type)}"
    detail = {"by": actor, "why": why, "breaker": task_type, "set": msgspec.to_builtins(breaker)}
    yield from _set(queue, {field: "" if breaker is None else breaker.encode()}, actor, detail)


def _set(queue: str, fields: Mapping[str, str], actor: str, detail: dict[str, Any]) -> Flow[None]:
    if not fields:
        return
    args: list[Arg] = [actor, secrets.token_hex(6), wire.encode_detail({k: v for k, v in detail.items() if v != ""})]
    for field, value in fields.items():
        args += (field, value)
    yield from registry.register_queue(names.check_queue(queue))
    yield Script("limit", keys.queue_prefix(queue), args)


def open_breaker(queue: str, task_type: str, *, actor: str, why: str = "") -> Flow[bool]:
    """Holds the tasks of a type back until the breaker is closed by hand. False when it was so already.

    Raises:
        NotFoundError: the type has no breaker there.
    """
    return (yield from _steer(queue, task_type, "open", {"by": actor, "why": why}))


def close_breaker(queue: str, task_type: str, *, actor: str, why: str = "") -> Flow[bool]:
    """Lets the tasks of a type run again, and counts anew. False when it was closed already.

    Raises:
        NotFoundError: the type has no breaker there.
    """
    return (yield from _steer(queue, task_type, "close", {"by": actor, "why": why}))


def _steer(queue: str, task_type: str, word: str, said: dict[str, str]) -> Flow[bool]:
    detail = {**{k: v for k, v in said.items() if v}, "breaker": task_type}
    args = (said["by"], secrets.token_hex(6), wire.encode_detail(detail), names.check_task_type(task_type), word)
    answer, *rest = yield Script("breaker", keys.queue_prefix(names.check_queue(queue)), args)
    if answer == b"NONE":
        raise NotFoundError(
            f"{task_type!r} has no breaker in the queue {queue!r}: give it one, `tq queues breaker {queue} {task_type}`"
        )
    return bool(rest[0] == b"changed")


def read(queue: str) -> Flow[Limits]:
    """All limits and breakers of a queue."""
    prefix = keys.queue_prefix(names.check_queue(queue))
    found, states = yield Batch([Command(("HGETALL", prefix + "limits")), Command(("HGETALL", prefix + "breakers"))])
    fields, stood = _texts(found), _texts(states)
    types = {f.removeprefix("breaker:"): b for f, text in fields.items() if (b := _breaker(f, text))}
    counts: list[int] = []
    if types:
        counts = yield Batch([Command(("ZLEXCOUNT", prefix + "parked", f"[!{t}>", f"(!{t}?")) for t in types])
    of_keys: dict[str, dict[str, str]] = {}
    for field, text in fields.items():
        name, is_of_key, key = field.partition(":")
        if is_of_key and name in ("key_running", "key_rate"):
            of_keys.setdefault(names.decode_unique_key(key), {})[name] = text
    return Limits(
        queue=queue,
        running=_number(fields.get("running", "")),
        rate=Rate.stored(fields.get("rate", "")),
        each_key=_key_limits(fields),
        keys={key: _key_limits(of_key) for key, of_key in sorted(of_keys.items())},
        breakers=tuple(
            msgspec.structs.replace(_breaker_view(queue, task_type, breaker, stood), waiting=int(n))
            for (task_type, breaker), n in zip(types.items(), counts, strict=True)
        ),
    )


def _breaker(field: str, text: str) -> Breaker | None:
    return Breaker.stored(text) if field.startswith("breaker:") else None


def _breaker_view(queue: str, task_type: str, breaker: Breaker, stood: dict[str, str]) -> BreakerView:
    state, since, until, why = [*stood.get(f"state:{task_type}", "closed").split("|", 3), "", "", ""][:4]
    tallies = [part.split(",") for part in stood.get(f"tally:{task_type}", "").split(";") if part.count(",") == 2]
    return BreakerView(
        queue=queue,
        type=task_type,
        breaker=breaker,
        state="half_open" if state == "half" else state,
        since_ms=_number(since),
        until_ms=_number(until),
        why=why,
        ok=sum(_number(ok) or 0 for _, ok, _ in tallies),
        failed=sum(_number(failed) or 0 for _, _, failed in tallies),
    )


def _key_limits(fields: Mapping[str, str]) -> KeyLimits:
    return KeyLimits(running=_number(fields.get("key_running", "")), rate=Rate.stored(fields.get("key_rate", "")))


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() else None


def _texts(found: Any) -> dict[str, str]:
    flat = [part for pair in found.items() for part in pair] if isinstance(found, Mapping) else list(found)
    text = [part.decode("utf-8", "replace") for part in flat]
    return dict(zip(text[::2], text[1::2], strict=True))


def why_held(gate: Gate, *, now_ms: int) -> str:
    """Which limit or breaker a task waits for, its value, who fills it, and the task's turn; empty when none does."""
    before = f"; {gate.before} before it"
    if gate.task_type is not None:
        return _why_broken(gate, now_ms) + before
    whose = "the queue" if gate.limit_key is None else f"the key {gate.limit_key!r}"
    if gate.running_max is not None and gate.running >= gate.running_max:
        named = ", ".join(f"{task_id} on {worker_id}" for task_id, worker_id in gate.holders)
        if gate.running > len(gate.holders) > 0:
            named += " and others"
        filled = f" ({named})" if named else ""
        return f"waits: {gate.running} of at most {gate.running_max} tasks of {whose} run{filled}{before}"
    rate = Rate.stored(gate.rate)
    if rate is not None and gate.bucket_full_at_ms is not None:
        full_ms = min(gate.bucket_full_at_ms, now_ms + rate.burst * rate.period_ms // rate.starts)
        next_ms = full_ms - (rate.burst - 1) * rate.period_ms // rate.starts
        if next_ms > now_ms:
            return f"waits: {whose} may start {rate}, the next in {span(next_ms - now_ms)}{before}"
    if gate.limit_key is not None:
        return f"waits: {whose} has room again, and it goes on with the next claim{before}"
    return ""


def _why_broken(gate: Gate, now_ms: int) -> str:
    if gate.breaker == "open":
        then = "until somebody closes it"
        if gate.breaker_until_ms is not None:
            then = f"probes begin in {span(gate.breaker_until_ms - now_ms)}"
        ago = span(now_ms - (gate.breaker_since_ms or now_ms))
        return f"waits: the breaker of {gate.task_type} opened {ago} ago ({gate.breaker_why}), {then}"
    if gate.breaker == "half":
        probes = ", ".join(f"{task_id} on {worker_id}" for task_id, worker_id in gate.holders) or "none yet"
        return f"waits: the breaker of {gate.task_type} is half-open; probes that run: {probes}"
    return f"waits: the breaker of {gate.task_type} has closed, and it goes on with the next claim"
