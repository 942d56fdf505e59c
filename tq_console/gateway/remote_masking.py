"""Replies to somebody who may look only, without the secrets that tasks hold.

Whoever may change tasks gets them as they are: what is edited and submitted again must be what it was. His console
masks them for the screen, as it does beside Redis.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from tq_console.view.secrets import Masker
from tq_core.keyspace import sealing
from tq_core.transport.steps import Command, Script

_VIEWS = {"around": 4, "group": 2, "page": 2, "show": 1}
"""Scripts that tell of tasks, and where their replies hold the views (tq_core.keyspace.wire.View)."""
_BODY, _PAYLOAD_BYTES, _RECORD, _ATTEMPTS = 3, 4, 6, 8
_HEAD_PARTS, _RECORD_PARTS = 6, 4


def masked_replies(steps: Sequence[Script | Command], replies: Sequence[Any], masker: Masker) -> list[Any]:
    """The replies, with the secrets in arguments, results and errors replaced."""
    return [
        _masked(step.name, reply, masker) if isinstance(step, Script) and isinstance(reply, list) else reply
        for step, reply in zip(steps, replies, strict=True)
    ]


def _masked(script: str, reply: list[Any], masker: Masker) -> list[Any]:
    if script == "schedules":
        return [_schedule(part, masker) if isinstance(part, list) else part for part in reply]
    place = _VIEWS.get(script)
    if place is None or len(reply) <= place or not isinstance(reply[place], list):
        return reply
    views = [_view(view, masker) if isinstance(view, list) else view for view in reply[place]]
    return [*reply[:place], views, *reply[place + 1 :]]


def _view(view: list[Any], masker: Masker) -> list[Any]:
    out = list(view)
    if isinstance(view[_BODY], bytes):
        *head, payload = view[_BODY].split(b"|", _HEAD_PARTS)
        is_whole = len(payload) == view[_PAYLOAD_BYTES]
        shown = _json(payload, masker) if is_whole else b""
        out[_BODY] = b"|".join([*head, shown])
        # What was read whole is so still; of what was not, nothing can be told from a secret.
        out[_PAYLOAD_BYTES] = len(shown) if is_whole else max(view[_PAYLOAD_BYTES], 1)
    if len(view) > _RECORD and isinstance(view[_RECORD], bytes):
        out[_RECORD] = _record(view[_RECORD], masker)
    if len(view) > _ATTEMPTS and isinstance(view[_ATTEMPTS], bytes):
        out[_ATTEMPTS] = b"\n".join(_attempt(line, masker) for line in view[_ATTEMPTS].split(b"\n"))
    return out


def _record(record: bytes, masker: Masker) -> bytes:
    *head, detail = record.split(b"|", _RECORD_PARTS)
    return b"|".join([*head, _json(detail, masker)])


def _attempt(line: bytes, masker: Masker) -> bytes:
    at_ms, bar, rest = line.partition(b"|")
    return at_ms + bar + _record(rest, masker) if bar else line


def _schedule(part: list[Any], masker: Masker) -> list[Any]:
    return [_json(each, masker) if i == 1 and isinstance(each, bytes) else each for i, each in enumerate(part)]


def _json(text: bytes, masker: Masker) -> bytes:
    """JSON with its secrets replaced; what is sealed stays so, what is no JSON is left out."""
    if not text or sealing.is_sealed(text):
        return text
    try:
        return msgspec.json.encode(masker.masked(msgspec.json.decode(text)))
    except (msgspec.MsgspecError, RecursionError, UnicodeError):
        return b""
