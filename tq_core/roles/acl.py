"""What a Redis user must be allowed, by what it does: the commands that scripts call, read from the scripts themselves.

Redis checks each command that a script calls against the user that sent it. It knows commands and keys, not scripts:
who may write tasks can write whatever these commands can under its keys. The firm lines are those between reading and
writing, and between the queues and the fleet.
"""

from __future__ import annotations

import enum
import functools
import re
from collections.abc import Sequence
from typing import NamedTuple

from tq_core import names
from tq_core.errors import InvalidInputError
from tq_core.keyspace import keys, script_loader
from tq_core.transport.steps import Batch, Block, Command, Script, Step

_CALL = re.compile(r"\bp?call\('([A-Z]+)'")
_USER = re.compile(r"[A-Za-z0-9._@-]{1,64}")

_CONNECTION = ("ping", "select", "evalsha", "script|load", "client|setname", "cluster|slots", "time")
_READS = (
    *("around", "examine", "fleet", "group", "groups", "history", "jobs", "operations", "page", "schedules", "show"),
    "stats",
)
_READS_MUCH = ("audit",)
"""Changes nothing, and asks so much of the server that it is not for everybody who looks."""
_READ_COMMANDS = ("hgetall", "hmget", "info", "llen", "xread", "xrevrange", "zrange", "zrevrange")
_SENDS = ("adopt_queue", "enqueue", "register_queue")
_STEERS = frozenset(
    {
        *("audit", "cancel_job", "configure", "control", "migrate_groups", "operations", "pause", "pause_schedule"),
        *("put_job", "remove_schedule", "run_schedule", "set_schema", "undo"),
    }
)
"""What people do; all other scripts are sent by workers too, which do the work of jobs."""
_WRITES = frozenset(
    {
        *("del", "expire", "hdel", "hincrby", "hset", "ltrim", "pexpire", "rpush", "set", "xadd", "zadd", "zpopmin"),
        *("zrem", "zremrangebylex"),
    }
)


class Role(enum.StrEnum):
    """What a user is there for."""

    PRODUCER = "producer"
    """Enqueues tasks and waits for their results."""
    WORKER = "worker"
    """Runs tasks, which may enqueue others, and does the upkeep."""
    VIEWER = "viewer"
    """Looks at everything and changes nothing."""
    OPERATOR = "operator"
    """Everything that `tq` and the console do."""


_OF_ROLE: dict[Role, tuple[Sequence[str], Sequence[str]]] = {
    Role.PRODUCER: (("blpop", "hdel", "hgetall"), (*_SENDS, "show", "watch_end")),
    Role.WORKER: ((*_READ_COMMANDS, "blpop", "bzpopmin", "hdel", "hscan", "zadd"), ()),
    Role.VIEWER: (_READ_COMMANDS, _READS),
    Role.OPERATOR: ((*_READ_COMMANDS, "blpop", "hdel", "hscan", "set", "slowlog", "xadd"), ()),
}
"""What each sends by itself, and the scripts that it sends; none = all, of workers all but _STEERS."""


def acl_line(role: Role, user: str, *, queues: Sequence[str] = ()) -> str:
    """The ACL SETUSER line of a role, but for the password, which `>PASSWORD` adds.

    Args:
        queues: Those it may use; all when empty.

    Raises:
        InvalidInputError: a name cannot be one.
    """
    if not _USER.fullmatch(user):
        raise InvalidInputError(f"{user!r} is no name of a user: use letters, digits and . _ @ -")
    allowed = " ".join(f"+{command}" for command in commands(role))
    return f"ACL SETUSER {user} reset on {' '.join(_keys(role, queues))} {allowed}"


class Sends(NamedTuple):
    """What a role sends by itself."""

    commands: frozenset[str]
    """In lower case."""
    scripts: frozenset[str]


def sends(role: Role) -> Sends:
    """The plain commands and the scripts that a role sends."""
    sent, scripts = _OF_ROLE[role]
    if role is Role.WORKER:
        scripts = [name for name in script_loader.script_names() if name not in _STEERS]
    return Sends(frozenset(sent), frozenset(scripts or script_loader.script_names()))


def only_reads(step: Step) -> bool:
    """Whether a step changes nothing at the broker, whoever sends it."""
    match step:
        case Script(name=name):
            return name in _READS or name in _READS_MUCH
        case Command(args=args) | Block(args=args):
            return str(args[0]).lower() not in _WRITES
        case Batch(steps=steps):
            return all(map(only_reads, steps))
    return True


def commands(role: Role) -> list[str]:
    """The commands that a role sends, or that scripts which it sends call; sorted."""
    sent, scripts = sends(role)
    called = frozenset[str]().union(*(_called(script) for script in scripts))
    # Scripts that only read hold functions, too, that they do not call.
    return sorted({*_CONNECTION, *sent, *(called - _WRITES if role is Role.VIEWER else called)})


@functools.cache
def _called(script: str) -> frozenset[str]:
    return frozenset(command.lower() for command in _CALL.findall(script_loader.source(script).text))


def _keys(role: Role, queues: Sequence[str]) -> list[str]:
    own = [f"~{keys.queue_prefix(names.check_queue(queue))}*" for queue in queues]
    if role is Role.PRODUCER:
        # No queue's name begins as the fleet's tag does.
        return [f"~{keys.QUEUES}", f"~{keys.TYPES}", *(own or ["~tq:{[^!]*"])]
    return [f"~{keys.QUEUES}", f"~{keys.TYPES}", f"~{keys.FLEET}*", *own] if own else ["~tq:*"]
