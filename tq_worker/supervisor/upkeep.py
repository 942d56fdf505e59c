"""The node's share of the upkeep of all nodes: promote, reclaim, trim, fire schedules, tell other queues, do jobs."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tq_core.errors import BrokerUnreachableError, SchemaTooNewError, TqError
from tq_core.keyspace import keys
from tq_core.roles import jobs, maintenance, outbox, registry, schedules
from tq_core.transport.together import together
from tq_worker.lifecycle_log import LifecycleLog
from tq_worker.supervisor.broker_pulse import BrokerPulse

if TYPE_CHECKING:
    from tq_core.transport.runner import AsyncRunner

EVERY_S = 1.0
JITTER = 0.25
TRIM_EVERY = 10
FORGET_EVERY = 60
SCHEMA_EVERY = 60
AFTER_ERROR_S = 2.0
WAIT_POSTED_S = 5.0
JOB_PARTS = 20
"""Pages of tasks of a job that one pass looks at: the next pass must not be late."""


async def register(runner: AsyncRunner, queues: Sequence[str], log: LifecycleLog) -> tuple[str, ...]:
    """Those of the queues that this version can serve, each with its number; it says which others there are.

    Raises:
        SchemaTooNewError: a newer tq wrote all of them.
        BrokerError: it cannot be reached, or refuses.
    """
    served = []
    for queue in queues:
        try:
            await runner.run(registry.register_queue(queue))
        except SchemaTooNewError as error:
            if len(queues) == 1:
                raise
            log.write("error", "broker", queue=queue, text=f"{error.message}; it is left alone")
        else:
            served.append(queue)
    if not served:
        raise SchemaTooNewError("a newer tq wrote all queues that this node is to serve: upgrade this program")
    return tuple(served)


async def keep_up(runner: AsyncRunner, queues: Sequence[str], log: LifecycleLog, pulse: BrokerPulse) -> None:
    """Makes a pass about every second; never returns."""
    passes = 0
    held_up: dict[str, str] = {}
    asked_up_to: dict[str, int] = {}
    while True:
        try:
            if passes % SCHEMA_EVERY == 0 and queues:
                for queue, version in (await runner.run(registry.schemas(queues))).items():
                    if version > keys.SCHEMA_VERSION:
                        queues = [q for q in queues if q != queue]
                        log.write("error", "upkeep", queue=queue, text=registry.too_new(queue, version).message)
            promoted, reclaimed, due, untold, open_jobs = await runner.run(
                together(
                    [
                        maintenance.promote(queues),
                        maintenance.reclaim(queues),
                        schedules.due(queues),
                        outbox.waiting(queues),
                        jobs.due(queues),
                    ]
                )
            )
            pulse.heard()
            for queue, task_id in reclaimed:
                log.write("warning", "REQUEUED", task_id=task_id, queue=queue, reason="lost")
            if untold:
                await runner.run(outbox.tell(untold))
            if promoted:
                log.write("debug", "upkeep", text=f"{promoted} due tasks are pending now")
            if passes % TRIM_EVERY == 0:
                await runner.run(maintenance.trim(queues))
            if passes % FORGET_EVERY == 0:
                await runner.run(registry.forget_lost())
                for queue in queues:
                    asked_up_to[queue] = await runner.run(outbox.ask_again(queue, asked_up_to.get(queue, 0)))
                # Nobody may serve the queue where something happened.
                await runner.run(outbox.deliver(list(await runner.run(registry.queue_numbers()))))
            if due:
                # The last of a pass: a broker without memory refuses new tasks, and must not be kept from trimming.
                fired = await runner.run(schedules.fire(due))
                for name, why in fired.held_up:
                    if held_up.get(name) != why:
                        log.write("warning", "schedule", text=f"{name} is due and cannot fire: {why}")
                held_up = dict(fired.held_up)
            for queue, job_id in open_jobs:
                await runner.run(jobs.advance(queue, job_id, parts=JOB_PARTS))
        except TqError as error:
            if isinstance(error, BrokerUnreachableError):
                pulse.missed()
            log.write("debug", "upkeep", text=error.message)
            await asyncio.sleep(AFTER_ERROR_S)
        passes += 1
        # The nodes must not all come at the same moment.
        await asyncio.sleep(EVERY_S * (1 + random.uniform(-JITTER, JITTER)))


async def carry(runner: AsyncRunner, queues: Sequence[str], log: LifecycleLog) -> None:
    """Tells other queues at once what happened in these; never returns. What it misses, upkeep tells."""
    while True:
        try:
            queue = await runner.run(outbox.wait_posted(queues, timeout_s=WAIT_POSTED_S))
            if queue:
                await runner.run(outbox.deliver([queue]))
        except TqError as error:
            log.write("debug", "outbox", text=error.message)
            await asyncio.sleep(AFTER_ERROR_S)
