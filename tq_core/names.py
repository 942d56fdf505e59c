"""What may be a name: refused here, before anything is written.

Names become parts of Redis keys, of record headers that are separated by `|`, and of lines on a terminal, so they
are kept to plain ASCII.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import quote, unquote

from tq_core.errors import InvalidInputError

QUEUE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")
TASK_TYPE = re.compile(r"[A-Za-z_][A-Za-z0-9_.:-]{0,127}\Z")
TAG = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}(=[A-Za-z0-9._:/-]{0,64})?\Z")
CHOSEN_ID = re.compile(r"[A-Za-z0-9._-]{1,100}\Z")

MAX_UNIQUE_KEY_BYTES = 200


def check_queue(name: str) -> str:
    """Returns the queue's name.

    Raises:
        InvalidInputError: it is not one.
    """
    if not QUEUE.match(name):
        raise InvalidInputError(
            f"{name!r} cannot be a queue's name: use 1 to 64 letters, digits, '.', '_' or '-', "
            "the first a letter or digit"
        )
    return name


def check_task_type(name: str) -> str:
    """Returns the task type's name.

    Raises:
        InvalidInputError: it is not one.
    """
    if not TASK_TYPE.match(name):
        raise InvalidInputError(
            f"{name!r} cannot be a task type: use 1 to 128 letters, digits, '_', '.', ':' or '-', "
            "the first a letter or '_'"
        )
    return name


def check_tag(tag: str) -> str:
    """Returns what a node is tagged with: a word, or name=value.

    Raises:
        InvalidInputError: it is neither.
    """
    if not TAG.match(tag):
        raise InvalidInputError(
            f"{tag!r} cannot be a tag: use a word or name=value, at most 64 letters, digits, '.', '_' or '-' on either "
            "side, in the value '/' and ':' too"
        )
    return tag


def encode_unique_key(key: str) -> str:
    """Makes a unique key safe to stand in a record header.

    Raises:
        InvalidInputError: the key is empty, longer than MAX_UNIQUE_KEY_BYTES once encoded, or no text.
    """
    if not isinstance(key, str):
        raise InvalidInputError(f"the unique key {key!r} is no text")
    try:
        encoded = quote(key, safe=":/@.,+=-_~ ")
    except UnicodeEncodeError as error:
        raise InvalidInputError(f"the unique key {key!r} holds half a character: {error}") from error
    if not 0 < len(encoded) <= MAX_UNIQUE_KEY_BYTES:
        raise InvalidInputError(
            f"a unique key must have 1 to {MAX_UNIQUE_KEY_BYTES} bytes once percent-encoded; "
            f"this one has {len(encoded)}"
        )
    return encoded


def encode_limit_key(key: str) -> str:
    """Makes a limit key safe to stand in a body and in the names of what limits it.

    Raises:
        InvalidInputError: the key is empty, too long or no text.
    """
    try:
        return encode_unique_key(key)
    except InvalidInputError as error:
        raise InvalidInputError(error.message.replace("unique key", "limit key")) from error


def decode_unique_key(encoded: str) -> str:
    """The key as its user wrote it; a limit key too."""
    return unquote(encoded)


def nearest(name: str, known: Iterable[str], limit: int = 3) -> tuple[str, ...]:
    """The known names most like this one, best first."""
    import difflib  # for messages about mistakes alone

    return tuple(difflib.get_close_matches(name, list(known), n=limit, cutoff=0.5))
