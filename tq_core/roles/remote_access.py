"""What may be sent through the gateway, and by whom: the commands of a client become steps again, or are refused.

A client behind the gateway runs the same flows as one beside Redis. It names scripts by their digest, so it can run
ours and no other, each only on keys of tq. Who runs tasks needs Redis itself: nobody claims through the gateway.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence

from tq_core.keyspace import keys, script_loader
from tq_core.roles import acl
from tq_core.roles.acl import Role
from tq_core.transport.steps import Arg, Block, Command, Script

LONGEST_WAIT_S = 60.0
"""A waiting command is answered with nothing after so long; whoever still waits asks again."""

_RUNS = frozenset(
    {
        *("acknowledge", "claim", "complete", "crash", "depart", "extend", "fail", "fire", "give_back", "heartbeat"),
        *("note", "publish_types", "release"),
    }
)
"""What workers do: it takes the lease of a task, or speaks for a node."""
_MIGRATES = frozenset({"migrate_groups", "set_schema"})
_READ_ONLY = frozenset({"HGET", "HSCAN", "ZCARD", "ZLEXCOUNT", "ZRANGEBYLEX", "ZRANGEBYSCORE"})
"""What readers may send besides what the ACL line of a viewer names."""
_WITHOUT_KEY = frozenset({"INFO", "TIME"})
_WAITS = frozenset({"BLPOP", "XREAD"})
_WRITES = {
    "HDEL": re.compile(re.escape(keys.QUEUES)),
    "SET": re.compile(re.escape(keys.READINESS)),
    "XADD": re.compile(r"tq:\{[^{}]{1,200}\}:audit"),
}
"""The plain commands that write, and what: everything else is changed by scripts."""
_CONTENTS = re.compile(r"tq:\{[^{}]*\}:(bodies|records|attempts|trash|leaving|schedules)")
"""What tasks hold, as it is: those who only look see it by scripts alone, whose replies the gateway masks."""
_ANSWERS = re.compile(r"tq:\{[^{}]{1,200}\}:(ack|answers):[^:]{1,200}")
"""Where word of an end, or of a command that was obeyed, is waited for."""
ROOT = "tq:"
_PREFIX = re.compile(r"tq:\{[^{}]{1,200}\}:")


class CommandRefusedError(Exception):
    """A command that is not taken; `is_forbidden`: another role may send it."""

    def __init__(self, text: str, *, is_forbidden: bool = True) -> None:
        super().__init__(text)
        self.is_forbidden = is_forbidden


class OtherVersionError(Exception):
    """A script that this version does not have: the client is of another one."""


def steps_of(
    commands: Sequence[Sequence[Arg]], role: Role, *, may_migrate: bool = False
) -> list[Script | Command | Block]:
    """The steps that the commands were; all are checked before the first is run.

    Args:
        commands: As a runner sends them: names, then arguments.
        may_migrate: Whether the keyspace may be brought to another version.

    Raises:
        CommandRefusedError: one of them is none of ours, not for this role, or on somebody else's keys.
        OtherVersionError: one of them is a script of another version.
    """
    steps = [_step(command, role, may_migrate=may_migrate) for command in commands]
    if len(steps) > 1 and any(isinstance(step, Block) for step in steps):
        raise CommandRefusedError("a command that waits is sent alone", is_forbidden=False)
    return steps


def writes_of(steps: Sequence[Script | Command | Block]) -> list[str]:
    """The scripts and commands among them that change something."""
    looks = _scripts(Role.VIEWER)
    named = [step.name if isinstance(step, Script) else str(step.args[0]) for step in steps]
    return [name for name in named if name in _WRITES or (name.islower() and name not in looks)]


def _step(command: Sequence[Arg], role: Role, *, may_migrate: bool) -> Script | Command | Block:
    name = str(command[0]).upper()
    if name == "EVALSHA":
        return _script(command, role, may_migrate=may_migrate)
    if name == "SCRIPT LOAD":
        raise OtherVersionError
    if name in _WAITS:
        return _wait(name, command, role)
    if name not in _allowed(role):
        raise CommandRefusedError(f"{name} is not for a {role}")
    if name not in _WITHOUT_KEY:
        _check_keys(name, command[1:2])
    if role is Role.VIEWER and any(_CONTENTS.fullmatch(_text(key)) for key in command[1:2]):
        raise CommandRefusedError(f"{name} of {_text(command[1])} is not for a {role}")
    if name in _WRITES and not _WRITES[name].fullmatch(_text(command[1])):
        raise CommandRefusedError(f"{name} of {_text(command[1])} is not for a {role}")
    return Command(tuple(command))


def _script(command: Sequence[Arg], role: Role, *, may_migrate: bool) -> Script:
    digest, count, prefix, now, *args = [*command[1:], *[""] * 5][: max(len(command) - 1, 4)]
    script = _by_digest().get(_text(digest))
    if script is None:
        raise OtherVersionError
    if script in _RUNS or (script in _MIGRATES and not may_migrate) or script not in _scripts(role):
        raise CommandRefusedError(f"{script} is not for a {role}")
    own_key = {"register_queue": keys.QUEUES}.get(script)
    if count != 1 or not (_text(prefix) == own_key if own_key else _PREFIX.fullmatch(_text(prefix))):
        raise CommandRefusedError(f"{script} works on the keys of one queue", is_forbidden=False)
    if now != "":
        raise CommandRefusedError("the time is the server's", is_forbidden=False)
    # Whoever asked decides whether it is sent again.
    return Script(script, _text(prefix), args, is_idempotent=False)


def _wait(name: str, command: Sequence[Arg], role: Role) -> Block:
    """A waiting command, with its time bounded."""
    if name == "XREAD":
        words = [_text(word).upper() for word in command]
        if "STREAMS" not in words or "BLOCK" not in words[: words.index("STREAMS")]:
            raise CommandRefusedError("XREAD has BLOCK and STREAMS", is_forbidden=False)
        at, after = words.index("BLOCK") + 1, words.index("STREAMS") + 1
        names = command[after : after + (len(command) - after) // 2]
        wait_s = _number(command[at]) / 1000
    elif role is Role.VIEWER:
        raise CommandRefusedError(f"{name} is not for a {role}")
    else:
        at, names = len(command) - 1, command[1:-1]
        wait_s = _number(command[at])
        if not all(_ANSWERS.fullmatch(_text(key)) for key in names):
            raise CommandRefusedError(f"{name} waits for answers only")
    _check_keys(name, names)
    wait_s = min(wait_s, LONGEST_WAIT_S) if wait_s > 0 else LONGEST_WAIT_S
    bounded: list[Arg] = list(command)
    bounded[at] = int(wait_s * 1000) if name == "XREAD" else round(wait_s, 3)
    return Block(tuple(bounded), wait_s)


def _number(word: Arg) -> float:
    try:
        return float(word)
    except ValueError:
        raise CommandRefusedError(f"{_text(word)!r} is no time to wait", is_forbidden=False) from None


def _check_keys(name: str, names: Sequence[Arg]) -> None:
    if not names or not all(_text(key).startswith(ROOT) for key in names):
        raise CommandRefusedError(f"{name} works on keys of tq only")


def _text(word: Arg) -> str:
    return word.decode("utf-8", "replace") if isinstance(word, bytes) else str(word)


@functools.cache
def _by_digest() -> dict[str, str]:
    return {script_loader.source(name).sha: name for name in script_loader.script_names()}


@functools.cache
def _scripts(role: Role) -> frozenset[str]:
    return frozenset(acl.sends(role).scripts)


@functools.cache
def _allowed(role: Role) -> frozenset[str]:
    return frozenset(command.upper() for command in acl.sends(role).commands) - _WAITS | _READ_ONLY | _WITHOUT_KEY
