"""Answers remote consoles and commands: what they would send to Redis is checked, sent, and its replies sent back.

So the console and every `tq` command work through the gateway as they do beside Redis, in as many round trips; their
logic stays with them, and what a key may do is decided here, by script and command.
"""

from __future__ import annotations

from collections.abc import Callable

from tq_console.gateway.remote_masking import masked_replies
from tq_console.view.secrets import Masker
from tq_core.roles.acl import Role
from tq_core.roles.remote_access import steps_of, writes_of
from tq_core.transport.remote import wire
from tq_core.transport.runner import AsyncRunner
from tq_core.transport.steps import Block, Command, Flow, Script


async def answer(
    runner: AsyncRunner,
    body: bytes,
    role: Role,
    *,
    masker: Masker | None = None,
    may_migrate: bool = False,
    writes: Callable[[list[str]], None] = lambda _: None,
) -> bytes:
    """The response to a request's body; both as `wire` says.

    Args:
        masker: Hides secrets from those who look only.
        may_migrate: Whether the keyspace may be brought to another version.
        writes: Told what is about to change something.

    Raises:
        WireError: the body is no list of commands.
        CommandRefusedError: one of them is not for this role, or for nobody; none was sent.
        OtherVersionError: the client is of another version; nothing was sent.
        BrokerError: the broker gave no answer.
    """
    steps = steps_of(wire.decode_commands(body), role, may_migrate=may_migrate)
    if changing := writes_of(steps):
        writes(changing)
    if isinstance(steps[0], Block):
        return wire.encode_replies([await runner.run(_alone(steps[0]))])
    alone = [step for step in steps if not isinstance(step, Block)]
    replies = await runner.exchange(alone)
    return wire.encode_replies(masked_replies(alone, replies, masker) if masker and role is Role.VIEWER else replies)


def _alone(step: Script | Command | Block) -> Flow[object]:
    return (yield step)
