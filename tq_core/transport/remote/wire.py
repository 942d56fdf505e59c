"""What travels between a client and the gateway: commands as they would go to Redis, and their replies, as msgpack.

JSON would not do: payloads, ids and replies are bytes. A reply that is an error is an extension of its own, so that one
in the middle of a batch is no error of the batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import msgspec
import redis.exceptions as redis_errors

PATH = "/v1/redis"
"""Below the gateway's address."""
MEDIA_TYPE = "application/vnd.msgpack"
COMMANDS_MAX = 10_000
"""Of one call."""

Argument: TypeAlias = str | bytes | int | float
Commands: TypeAlias = list[list[Argument]]

_ERROR = 1
_encoder = msgspec.msgpack.Encoder()
_commands = msgspec.msgpack.Decoder(list[list[Any]])
_ARGUMENTS = (str, bytes, int, float)


class WireError(ValueError):
    """Bytes that are not what they should be."""


def encode_commands(commands: Sequence[Sequence[Any]]) -> bytes:
    """A request's body."""
    return _encoder.encode(commands)


def decode_commands(body: bytes) -> Commands:
    """The commands of a request, each of them a name and its arguments.

    Raises:
        WireError: it holds none, or something else.
    """
    try:
        commands = _commands.decode(body)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise WireError(f"the body is no list of commands: {error}") from None
    if not commands or len(commands) > COMMANDS_MAX:
        raise WireError(f"the body holds {len(commands)} commands; send 1 to {COMMANDS_MAX:,}")
    for command in commands:
        if not command or not isinstance(command[0], str):
            raise WireError("a command begins with its name")
        if not all(isinstance(word, _ARGUMENTS) for word in command):
            raise WireError("a command is made of texts, bytes and numbers")
    return commands


def encode_replies(replies: Sequence[Any]) -> bytes:
    """A response's body; errors among the replies travel by the name of their class and their text."""
    return _encoder.encode([_told(reply) if isinstance(reply, Exception) else reply for reply in replies])


def decode_replies(body: bytes, count: int) -> list[Any]:
    """The replies to so many commands, errors among them.

    Raises:
        WireError: it is something else, such as the page of a proxy.
    """
    try:
        replies = msgspec.msgpack.decode(body, type=list[Any], ext_hook=_extension)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise WireError(f"the answer cannot be read: {error}") from None
    if len(replies) != count:
        raise WireError(f"{len(replies)} replies to {count} commands")
    return replies


def _told(error: Exception) -> msgspec.msgpack.Ext:
    kind = type(error) if isinstance(error, redis_errors.RedisError) else redis_errors.ResponseError
    return msgspec.msgpack.Ext(_ERROR, f"{kind.__name__}\0{error}".encode("utf-8", "replace"))


def _extension(code: int, data: memoryview) -> Any:
    if code != _ERROR:
        raise WireError(f"an extension {code} that this version does not know")
    name, _, text = bytes(data).decode("utf-8", "replace").partition("\0")
    kind = getattr(redis_errors, name, None)
    is_one = isinstance(kind, type) and issubclass(kind, redis_errors.RedisError)
    # Those of redirections want more than a text, and are none that a client could follow from here.
    if not is_one or issubclass(kind, (redis_errors.AskError, redis_errors.MovedError)):  # type: ignore[arg-type]
        return redis_errors.ResponseError(text)
    return kind(text)  # type: ignore[misc]
