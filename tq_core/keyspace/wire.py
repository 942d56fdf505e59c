"""How a task is written in Redis: strings that Lua and Python both read from the left.

    body     score|created_ms|type|max_attempts|unique_key|options JSON|payload JSON
    token    fence-nonce~claimed_ms~worker_id|
    record   token outcome|attempt|duration_ms|detail JSON        outcome: ok, failed:REASON, cancelled:REASON
    trail    failures|crashes|alone|lost|unknown                  alone: crashes of a run that had its process to itself
    alike    fingerprint|code_version|error JSON                  what a failure brings to its group
    group    first_ms|last_ms|type|reason|version,version|error JSON
    waits    policy|due_ms|watch                                  watch: only with parents in other queues; ends
                                                                  with "+" where those that have ended count as done
    outbox   {kind, id, at, ...}                              ended: to, parent, how, last; watch: watch, again, ids;
                                                              move, return: to, op, by, undid, ids (id, new id, ...)
    logs     fence-nonce seq, then one line each: at_ms|text as JSON
    attempts at_ms|token outcome|attempt|duration_ms|detail JSON  one line each, oldest first
    expiry   ms; of a task that runs on past it 2^52 more, so that no range of what is due finds it until it waits again
    rate     starts/period_ms/burst
    breaker  failures in percent|least runs|window_ms|cooldown_ms|probes
    trash    how|state|score|ended_ms|waits|parents|body|record|trail|attempts|group|expiry|until
    operated at_ms|action|actor|detail JSON
    leaving  state|due_ms|expiry|key|body|trail|attempts

In trash, operated and leaving each value stands after its length and a colon, not before a separator: it may be one.

Only the last field of each may contain the separator; every other is a number, a checked name, percent-encoded or JSON
whose `|` is written as an escape. A token ends with the separator, so that a record begins with the token that wrote
it. Payloads and results may be sealed (tq_core.keyspace.sealing).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from tq_core import names
from tq_core.errors import InvalidInputError, PayloadRefusedError
from tq_core.keyspace import sealing
from tq_core.model import Attempt, Gate, Progress, TaskOptions, TaskState, TaskView

T = TypeVar("T")

PRIORITY_BAND = 2**45
NO_TOKEN = "|"
SET_ASIDE_MS = 2**52
"""Added to the expiry of a task that was running when its time was over."""
MAX_DETAIL_BYTES = 16 * 1024
MAX_ALIKE_CHARS = 300
MAX_VERSION_CHARS = 40
_LEAST_ROOM = 32
_OF_A_GROUP = ("type", "message", "exit_code", "signal")
_FINGERPRINT = re.compile(r"[A-Za-z0-9_-]{1,64}")
_SEPARATORS = re.compile(r"[|,\s]")

_encode = msgspec.json.Encoder().encode
_decode_options = msgspec.json.Decoder(TaskOptions).decode
_decode_json = msgspec.json.Decoder().decode
_NO_OPTIONS = TaskOptions()

UNREADABLE = (msgspec.DecodeError, ValueError, RecursionError)
"""What msgspec raises for bytes that are no JSON of the type: half a character and a thousand brackets too."""


class Header(msgspec.Struct, frozen=True, gc=False):
    """The fixed part of a body."""

    score: int
    created_at_ms: int
    task_type: str
    max_attempts: int
    unique_key: str | None
    options: TaskOptions

    @property
    def priority(self) -> int:
        return self.score // PRIORITY_BAND


class Trail(msgspec.Struct, frozen=True, gc=False):
    """How often a task's runs ended badly, and why."""

    failures: int = 0
    crashes: int = 0
    alone: int = 0
    lost: int = 0
    unknown: int = 0

    @property
    def runs_alone(self) -> bool:
        """Whether its next run must have a process of its own."""
        return self.crashes > 0 or self.alone > 0 or self.lost >= LOST_BEFORE_ALONE


LOST_BEFORE_ALONE = 2
NO_TRAIL = Trail()


class Token(msgspec.Struct, frozen=True):
    """Who claimed a task and when, read back from a token."""

    fence: str
    claimed_at_ms: int
    worker_id: str


def encode_options(options: TaskOptions) -> bytes:
    """Options as a header field: empty when there are none, no separator in it; a limit key as scripts compare it."""
    if options == _NO_OPTIONS:
        return b""
    if options.limit_key is not None:
        options = msgspec.structs.replace(options, limit_key=names.encode_limit_key(options.limit_key))
    return _encode(options).replace(b"|", b"\\u007c")


def _options(text: bytes) -> TaskOptions:
    options = _decode_options(text)
    if options.limit_key is None:
        return options
    return msgspec.structs.replace(options, limit_key=names.decode_unique_key(options.limit_key))


def body_tail(
    *, task_type: str, max_attempts: int, unique_key: str | None, options: TaskOptions, payload: bytes
) -> bytes:
    """All of a body that the producer knows; `enqueue` puts score and creation time before it."""
    unique = names.encode_unique_key(unique_key) if unique_key else ""
    return b"%s|%d|%s|%s|%s" % (task_type.encode(), max_attempts, unique.encode(), encode_options(options), payload)


def split_body(body: bytes) -> tuple[Header, bytes]:
    """The header and the payload of a body.

    Raises:
        InvalidInputError: this is no body.
    """
    try:
        score, created, task_type, max_attempts, unique, options, payload = body.split(b"|", 6)
        header = Header(
            int(score),
            int(created),
            task_type.decode("ascii"),
            int(max_attempts),
            names.decode_unique_key(unique.decode("ascii")) if unique else None,
            _options(options) if options else _NO_OPTIONS,
        )
    except UNREADABLE as error:
        raise InvalidInputError(f"corrupt task body ({error}): {body[:80]!r}") from error
    return header, payload


def parse_token(token: bytes) -> Token | None:
    """What a token says; None for the empty token of a task that never ran."""
    fence, _, rest = token.rstrip(b"|").partition(b"~")
    claimed, _, worker = rest.partition(b"~")
    if not claimed.isdigit():
        return None
    return Token(fence.decode("ascii", "replace"), int(claimed), worker.decode("ascii", "replace"))


def parse_trail(trail: bytes | None) -> Trail:
    """Counts from a trail; zeros when there is none or it cannot be read."""
    if not trail:
        return NO_TRAIL
    fields = trail.split(b"|")
    return Trail(*map(int, fields)) if len(fields) == 5 and all(f.isdigit() for f in fields) else NO_TRAIL


def encode_detail(detail: dict[str, Any]) -> bytes:
    """A JSON object of bounded size, whatever it is given: a run that went wrong must always be recorded.

    What JSON cannot hold is written as Python shows it; where all is too long, the longest texts are cut, with the
    length of what is left out.
    """
    plain = {_printable(str(name)): _plain(value) for name, value in detail.items()}
    encoded = _encode(plain)
    room = MAX_DETAIL_BYTES
    while len(encoded) > MAX_DETAIL_BYTES and room >= _LEAST_ROOM:
        room = room * 3 // 4
        encoded = _encode({name: _cut_value(value, room) for name, value in plain.items()})
    if len(encoded) > MAX_DETAIL_BYTES:
        return _encode({"message": f"{len(plain)} fields of detail left out: together they are too long"})
    return encoded


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return _printable(value)
    try:
        return _decode_json(_encode(value))
    except (TypeError, ValueError, OverflowError, RecursionError, msgspec.MsgspecError):
        return _printable(repr(value))


def _printable(text: str) -> str:
    # Exceptions carry file names and the like with lone surrogates, which no UTF-8 can hold.
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def _cut_value(value: Any, room: int) -> Any:
    if isinstance(value, str):
        return cut(value, room)
    return value if len(encoded := _encode(value)) <= room else cut(encoded.decode(), room)


def cut(text: str, limit: int) -> str:
    """The text with its middle left out where it is longer than `limit` characters."""
    if len(text) <= limit:
        return text
    head = limit // 3
    return f"{text[:head]}\n… {len(text) - limit} characters left out …\n{text[-(limit - head) :]}"


def record(token: bytes, outcome: str, *, attempt: int, duration_ms: int, detail: bytes) -> bytes:
    """How a run ended, as stored under the task's id."""
    return b"%s%s|%d|%d|%s" % (token, outcome.encode(), attempt, duration_ms, detail)


def alike(detail: dict[str, Any]) -> bytes:
    """What a failure brings to the group of those that failed alike.

    Its fingerprint, where it has one, the version of the code, and the error without its traceback, cut.
    """
    fingerprint = str(detail.get("fingerprint", ""))
    version = _printable(str(detail.get("code_version") or ""))
    error = {name: cut(str(detail[name]), MAX_ALIKE_CHARS) for name in _OF_A_GROUP if detail.get(name) is not None}
    return b"%s|%s|%s" % (
        fingerprint.encode() if _FINGERPRINT.fullmatch(fingerprint) else b"",
        _SEPARATORS.sub("_", version)[:MAX_VERSION_CHARS].encode(),
        encode_detail(error),
    )


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """Failed tasks of one queue that failed alike."""

    queue: str
    group: str
    """The fingerprint of their error, or REASON:TYPE for tasks whose error has none."""
    count: int
    type: str
    """The task type, reason and error are those of the latest failure."""
    reason: str
    error: dict[str, Any]
    """type and message, or exit_code and signal; cut."""
    first_at_ms: int
    """Of the failures since the group was last empty, as are the code versions."""
    last_at_ms: int
    versions: tuple[str, ...]
    """The last few code versions that failed so, the latest last."""
    example_id: str
    """A task that is in the group now: the one enqueued last, unless ids were chosen."""


def group(queue: str, raw: list[Any]) -> Group:
    """A group from its name, count, example and facts, as `groups` replies them; what cannot be read is left empty."""
    name, count, example_id, facts = raw
    first, last, task_type, reason, versions, error = [*facts.split(b"|", 5), b"", b"", b"", b"", b""][:6]
    return Group(
        queue=queue,
        group=name.decode("utf-8", "replace"),
        count=int(count),
        type=task_type.decode("utf-8", "replace"),
        reason=reason.decode("utf-8", "replace"),
        error=json_object(error),
        first_at_ms=int(first) if first.isdigit() else 0,
        last_at_ms=int(last) if last.isdigit() else 0,
        versions=tuple(v for v in versions.decode("utf-8", "replace").split(",") if v),
        example_id=example_id.decode("utf-8", "replace"),
    )


class View(msgspec.Struct, frozen=True):
    """The raw parts of one task, as `page` and `show` reply them."""

    id: bytes
    state: bytes
    score: bytes
    body: bytes | None
    payload_bytes: int
    token: bytes | None = None
    record: bytes | None = None
    trail: bytes | None = None
    attempts: bytes | None = None
    cancel: bytes | None = None
    position: int | None = None
    blocked_by: list[bytes] | None = None
    expiry: bytes | None = None
    gate: list[Any] | None = None
    progress: bytes | None = None


def task_view(queue: str, raw: View) -> TaskView:
    """Puts a task's raw parts together; a body that cannot be read gives a view that says so."""
    trail = parse_trail(raw.trail)
    state = TaskState(raw.state.decode())
    score = int(float(raw.score)) if raw.score not in (b"inf", b"-inf") else 0
    try:
        header, payload = split_body(raw.body or b"")
    except InvalidInputError:
        header, payload = Header(0, 0, "?", 0, None, _NO_OPTIONS), raw.body or b""
    args, payload_text = _arguments(payload, header.task_type, is_whole=len(payload) == raw.payload_bytes)
    attempt, started_at_ms, duration_ms, worker_id = trail.failures, None, None, None
    result, result_note, result_refusal, error = None, "", "", None
    if state is TaskState.RUNNING and raw.token:
        token = parse_token(raw.token)
        attempt += 1
        if token:
            started_at_ms, worker_id = token.claimed_at_ms, token.worker_id
    elif state.is_terminal and raw.record:
        try:
            token_part, outcome, attempt, duration_ms, detail = _split_record(raw.record)
        except ValueError:
            outcome, token_part, detail = "", b"", b""
        token = parse_token(token_part)
        if token:
            worker_id, started_at_ms = token.worker_id, max(token.claimed_at_ms, score - (duration_ms or 0))
        if outcome == "ok":
            result, result_note = _result(detail, header.task_type)
            result_refusal = sealing.current().refusal(detail)
        elif outcome:
            error = {"reason": outcome.partition(":")[2], **json_object(detail)}
    return TaskView(
        id=raw.id.decode("utf-8", "replace"),
        type=header.task_type,
        queue=queue,
        state=state,
        priority=header.priority,
        attempt=attempt,
        max_attempts=header.max_attempts,
        args=args,
        payload_text=payload_text,
        payload_bytes=raw.payload_bytes,
        result=result,
        result_note=result_note,
        result_refusal=result_refusal,
        error=error,
        worker_id=worker_id,
        created_at_ms=header.created_at_ms,
        started_at_ms=started_at_ms,
        finished_at_ms=score if state.is_terminal else None,
        due_at_ms=score if state in (TaskState.SCHEDULED, TaskState.RETRYING) else None,
        expires_at_ms=int(float(raw.expiry)) % SET_ASIDE_MS if raw.expiry else None,
        lease_end_ms=score if state is TaskState.RUNNING else None,
        duration_ms=duration_ms,
        failures=trail.failures,
        crashes=trail.crashes + trail.alone,
        lost=trail.lost,
        runs_alone=trail.runs_alone,
        unique_key=header.unique_key,
        options=header.options,
        history=parse_attempts(raw.attempts),
        cancel_asked=cancel if isinstance(cancel := _json(raw.cancel or b""), dict) else None,
        position=raw.position,
        blocked_by=tuple(p.partition(b">")[2].decode("utf-8", "replace") for p in raw.blocked_by or ()),
        gate=_gate(raw.gate) if raw.gate else None,
        progress=_progress(raw.progress) if raw.progress else None,
    )


def _progress(raw: bytes) -> Progress | None:
    at_ms, _, rest = raw.partition(b"|")
    fraction, _, text = rest.partition(b"|")
    try:
        return Progress(int(at_ms), float(fraction), text.decode("utf-8", "replace"))
    except ValueError:
        return None


def log_lines(raw: bytes, line: Callable[[int, str], T]) -> list[T]:
    """The lines of a task's log; those that cannot be read are left out."""
    out = []
    for part in raw.split(b"\n")[1:]:
        at_ms, _, text = part.partition(b"|")
        said = _json(text)
        if at_ms.isdigit() and isinstance(said, str):
            out.append(line(int(at_ms), said))
    return out


def _gate(raw: list[Any]) -> Gate:
    ids, tokens = raw[7], raw[8]
    name, before, waiting, running_max, rate, look_again_ms, running, breaker, full_ms = (
        part.decode("utf-8", "replace") if isinstance(part, bytes) else str(part) for part in (*raw[:7], *raw[9:])
    )
    parsed = [parse_token(token) for token in tokens]
    state, since_ms, until_ms, why = [*breaker.split("|", 3), "", "", "", ""][:4]
    return Gate(
        limit_key=None if not name or name.startswith("!") else names.decode_unique_key(name),
        task_type=name[1:] if name.startswith("!") else None,
        before=int(before),
        waiting=int(waiting),
        running_max=int(running_max) if running_max.isdigit() else None,
        rate=rate,
        look_again_at_ms=_ms(look_again_ms),
        running=int(running),
        holders=tuple(
            (task_id.decode("utf-8", "replace"), token.worker_id if token else "")
            for task_id, token in zip(ids, parsed, strict=True)
        ),
        breaker=state,
        breaker_since_ms=_ms(since_ms),
        breaker_until_ms=_ms(until_ms),
        breaker_why=why,
        bucket_full_at_ms=_ms(full_ms),
    )


def _ms(text: str) -> int | None:
    try:
        return int(float(text))
    except ValueError:
        return None


def parse_attempts(lines: bytes | None) -> tuple[Attempt, ...]:
    """A task's history, oldest first; lines that cannot be read are left out."""
    out = []
    for line in (lines or b"").split(b"\n"):
        at_ms, _, rest = line.partition(b"|")
        try:
            token_part, outcome, attempt, duration_ms, detail = _split_record(rest)
            token = parse_token(token_part)
            found = _json(detail)
            out.append(
                Attempt(
                    at_ms=int(at_ms),
                    outcome=outcome,
                    attempt=attempt,
                    worker_id=token.worker_id if token else None,
                    claimed_at_ms=token.claimed_at_ms if token else None,
                    duration_ms=duration_ms,
                    detail=found if isinstance(found, dict) else {},
                )
            )
        except ValueError:
            continue
    return tuple(out)


def _split_record(text: bytes) -> tuple[bytes, str, int, int, bytes]:
    """Token, outcome, attempt, duration and detail of a record; ValueError where it is damaged."""
    token, outcome, attempt, duration, detail = text.split(b"|", 4)
    return token, outcome.decode("ascii", "replace"), int(attempt), int(duration), detail


def _arguments(payload: bytes, task_type: str, *, is_whole: bool) -> tuple[dict[str, Any] | None, str]:
    if sealing.is_sealed(payload):
        if not is_whole:
            return None, sealing.beginning(payload).decode("utf-8", "replace")
        try:
            payload = sealing.current().read(payload, sealing.purpose_of(task_type, "args"))
        except PayloadRefusedError as error:
            return None, f"not shown: {error.message}"
    if is_whole:
        found = _json(payload)
        if isinstance(found, dict):
            return found, ""
    return None, payload.decode("utf-8", "replace")


def _result(detail: bytes, task_type: str) -> tuple[Any, str]:
    """A result, and why it cannot be shown where it cannot."""
    if not sealing.is_sealed(detail):
        return _json(detail), ""
    try:
        return _json(sealing.current().read(detail, sealing.purpose_of(task_type, "result"))), ""
    except PayloadRefusedError as error:
        return None, error.message


def values_of(packed: bytes, count: int) -> list[bytes]:
    """The values of a string that holds each after its length and a colon; empty ones where there are fewer."""
    values: list[bytes] = []
    at = 0
    while len(values) < count:
        length, colon, _ = packed[at : at + 20].partition(b":")
        if not (colon and length.isdigit()):
            break
        at += len(length) + 1
        values.append(packed[at : at + int(length)])
        at += int(length)
    return values + [b""] * (count - len(values))


def json_object(data: bytes | str) -> dict[str, Any]:
    """The JSON object that the text is; an empty one where it is none."""
    found = _json(data)
    return found if isinstance(found, dict) else {}


def _json(data: bytes | str) -> Any:
    try:
        return _decode_json(data)
    except UNREADABLE:
        return None
