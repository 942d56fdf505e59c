"""Task ids: an id alone says which queue holds the task, so no index of ids is needed.

    01jd7q0v3k 0a1 9c8x7v6b5n4m2   generated: 26-character lower-case ULID
    |--time--| |q| |---random---|   q: the queue's number in the first 16 random bits
    report-2024-07@mail             chosen by the user: NAME@QUEUE

Source: https://github.com/ulid/spec (48 bits of milliseconds, 80 random bits, Crockford's base 32).
"""

from __future__ import annotations

import os
import random
import re
import time

from tq_core import names
from tq_core.errors import InvalidInputError

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_VALUE = {c: i for i, c in enumerate(_ALPHABET)}
_PAIRS = [a + b for a in _ALPHABET for b in _ALPHABET]
_RANDOM_BITS = 64
_GENERATED = re.compile(f"[{_ALPHABET}]{{26}}").fullmatch
MAX_QUEUE_NUMBER = 0xFFFF


def new_ids(queue_number: int, count: int) -> list[str]:
    """Generates ids for tasks of one queue.

    The time in an id is this machine's, for people's eyes only: nothing is decided by it.
    """
    head = ((time.time_ns() // 1_000_000) << 16 | queue_number) << _RANDOM_BITS
    pairs, noise = _PAIRS, _noise.getrandbits
    made = []
    for _ in range(count):
        value = head | noise(_RANDOM_BITS)
        made.append("".join([pairs[(value >> shift) & 1023] for shift in _SHIFTS]))
    return made


# Ids are no secrets, only never the same twice: a system call for each would cost more than the rest of it.
_noise = random.Random(os.urandom(32))
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=lambda: _noise.seed(os.urandom(32)))
_SHIFTS = tuple(range(120, -1, -10))


def chosen_id(name: str, queue: str) -> str:
    """The id of a task whose name its user chose.

    Raises:
        InvalidInputError: the name has characters that an id cannot hold, or names another queue.
    """
    bare, at, home = name.partition("@")
    if at and home != queue:
        raise InvalidInputError(f"the id {name!r} belongs to the queue {home!r}, but the task goes to {queue!r}")
    if not names.CHOSEN_ID.match(bare):
        raise InvalidInputError(f"{bare!r} cannot be a task's id: use 1 to 100 letters, digits, '.', '_' or '-'")
    return f"{bare}@{names.check_queue(queue)}"


def home_of(task_id: str) -> str | int:
    """The queue an id belongs to: its name for a chosen id, its number for a generated one.

    Raises:
        InvalidInputError: this is no task id.
    """
    if "@" in task_id:
        bare, _, queue = task_id.rpartition("@")
        if names.CHOSEN_ID.match(bare) and names.QUEUE.match(queue):
            return queue
    elif _GENERATED(task_id):
        value = 0
        for c in task_id[10:14]:
            value = value << 5 | _VALUE[c]
        return value >> 4
    raise InvalidInputError(f"{task_id!r} is no task id: expected 26 letters and digits, or NAME@QUEUE")


def is_id(text: str) -> bool:
    """Whether this could be a task's id."""
    try:
        home_of(text)
    except InvalidInputError:
        return False
    return True


def created_at_ms(task_id: str) -> int | None:
    """The time in a generated id, by the clock of the machine that made it; None for a chosen id."""
    if len(task_id) != 26 or "@" in task_id:
        return None
    value = 0
    for c in task_id[:10]:
        value = value << 5 | _VALUE[c]
    return value
