"""What callers change: the flows that the `tq` commands call, with the caller's name, and how it is told."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any

import msgspec

from tq_console.gateway.access import Caller
from tq_console.gateway.link import Link
from tq_console.gateway.problems import ProblemError
from tq_core import names
from tq_core.errors import NotFoundError
from tq_core.model import TaskState
from tq_core.roles import inspector, operator, registry
from tq_core.roles.operator import Done
from tq_core.roles.registry import Ack, Fleet, Member, NodeInfo

ANSWER_WITHIN_S = 10.0
CLEARED = (TaskState.PENDING, TaskState.SCHEDULED, TaskState.RETRYING, TaskState.BLOCKED)
"""What `clear` takes of a queue, beside the DLQ: never what runs, nor results."""


async def must_be_done(link: Link, done: Done) -> Done:
    """The outcome for one task, where it was done.

    Raises:
        NotFoundError: there is no such task.
        ProblemError: 409, it is in no state for that.
    """
    if done.is_done:
        return done
    kind, _, rest = done.word.partition(":")
    if kind == "gone":
        raise await link.run(inspector.missing(done.task_id))
    why = {
        "is": f"it is {rest}",
        "unique": f"the task {rest} holds its unique key",
        "same": "it has that priority",
        "waits": "it waits for other tasks",
        "awaited": "other tasks wait for it",
    }.get(kind, done.word)
    raise ProblemError(409, f"nothing was done with {done.task_id}, because {why}", code="wrong_state")


class NodeAnswer(msgspec.Struct, frozen=True):
    """What a node said to an order."""

    node_id: str
    ack: Ack | None
    """None = it did not answer in time, and may still obey for some seconds."""

    @property
    def record(self) -> dict[str, Any]:
        if self.ack is None:
            return {"node_id": self.node_id, "ok": None, "text": "no answer yet; it may still obey for some seconds"}
        return {"node_id": self.node_id, "ok": self.ack.ok, "text": self.ack.text}


async def live_nodes(link: Link) -> list[Member]:
    """The nodes that take orders.

    Raises:
        ProblemError: 409, there is none.
    """
    fleet: Fleet = await link.run(registry.fleet())
    nodes = [node for node in fleet.nodes if node.health != "lost"]
    if not nodes:
        raise ProblemError(409, "no node lives, and the gateway starts no program: start one with `tq-worker MODULE`")
    return nodes


async def order(
    link: Link, node_ids: Sequence[str], do: str, *, args: dict[str, Any], caller: Caller
) -> list[NodeAnswer]:
    """Sends a command to nodes and waits for their answers; all have the same time."""
    asked: dict[str, str] = {}
    answers: dict[str, NodeAnswer] = {}
    for node_id in node_ids:
        try:
            asked[await link.change(registry.send_command(node_id, do, actor=caller.actor, args=args))] = node_id
        except NotFoundError as error:
            if len(node_ids) == 1:
                raise
            answers[node_id] = NodeAnswer(node_id, Ack(ok=False, text=error.message))
    until = time.monotonic() + ANSWER_WITHIN_S
    while asked and (left_s := until - time.monotonic()) > 0:
        found = await link.run(registry.await_any_ack(list(asked), timeout_s=left_s))
        if found is None:
            break
        node_id = asked.pop(found[0])
        answers[node_id] = NodeAnswer(node_id, found[1])
    answers |= {node_id: NodeAnswer(node_id, None) for node_id in asked.values()}
    return [answers[node_id] for node_id in node_ids]


def must_be_obeyed(answers: Sequence[NodeAnswer]) -> None:
    """Refuses to call an order done that a node refused.

    Raises:
        ProblemError: 409.
    """
    refused = [answer for answer in answers if answer.ack is not None and not answer.ack.ok]
    if refused:
        told = "; ".join(f"{each.node_id}: {each.ack.text if each.ack else ''}" for each in refused)
        raise ProblemError(409, f"not done: {told}", code="node_refused")


def roomiest(nodes: Sequence[Member]) -> tuple[Member, NodeInfo]:
    """The node that has the fewest workers and is not leaving.

    Raises:
        ProblemError: 409, all of them are.
    """
    found = [(node, node.info) for node in nodes if isinstance(node.info, NodeInfo) and node.info.state != "draining"]
    if not found:
        raise ProblemError(409, "all nodes are leaving")
    return min(found, key=lambda each: each[1].processes)


async def clear(link: Link, caller: Caller) -> tuple[int, int, str]:
    """Deletes what waits and what failed, in all queues; returns how many of each, and what undoes it."""
    link.must_be_writable()
    op = operator.new_op()
    queues = list(await link.run(registry.queue_numbers()))
    cleared = dead = 0
    kept = ""
    for queue in queues:
        for state in (*CLEARED, TaskState.FAILED):
            bulk = await link.change(
                operator.purge(queue, actor=caller.actor, why="cleared through the gateway", state=state, op=op)
            )
            kept = kept or bulk.undo_op
            if state is TaskState.FAILED:
                dead += bulk.done
            else:
                cleared += bulk.done
            await asyncio.sleep(0)
    return cleared, dead, kept


async def known_queue(link: Link, queue: str) -> str:
    """The queue, if there is one of this name.

    Raises:
        NotFoundError: there is not.
    """
    known = await link.run(registry.queue_numbers())
    if queue not in known:
        near = names.nearest(queue, known)
        raise NotFoundError(f"there is no queue {queue!r}" + (f": did you mean {' or '.join(near)}?" if near else ""))
    return queue
