"""The node's share of the upkeep that all nodes do: promote, reclaim, trim, forget, fire schedules."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tq_core.errors import BrokerError
from tq_core.roles import maintenance, registry, schedules
from tq_worker.flows import together
from tq_worker.lifecycle_log import LifecycleLog

if TYPE_CHECKING:
    from tq_core.transport.runner import AsyncRunner

EVERY_S = 1.0
JITTER = 0.25
TRIM_EVERY = 10
FORGET_EVERY = 60
AFTER_ERROR_S = 2.0


async def keep_up(runner: AsyncRunner, queues: Sequence[str], log: LifecycleLog) -> None:
    """Makes a pass about every second; never returns."""
    passes = 0
    held_up: dict[str, str] = {}
    while True:
        try:
            promoted, reclaimed, due = await runner.run(
                together([maintenance.promote(queues), maintenance.reclaim(queues), schedules.due(queues)])
            )
            for queue, task_id in reclaimed:
                log.write("warning", "REQUEUED", task_id=task_id, queue=queue, reason="lost")
            if promoted:
                log.write("debug", "upkeep", text=f"{promoted} due tasks are pending now")
            if passes % TRIM_EVERY == 0:
                await runner.run(maintenance.trim(queues))
            if passes % FORGET_EVERY == 0:
                await runner.run(registry.forget_lost())
            if due:
                # The last of a pass: a broker without memory refuses new tasks, and must not be kept from trimming.
                fired = await runner.run(schedules.fire(due))
                for name, why in fired.held_up:
                    if held_up.get(name) != why:
                        log.write("warning", "schedule", text=f"{name} is due and cannot fire: {why}")
                held_up = dict(fired.held_up)
        except BrokerError as error:
            log.write("debug", "upkeep", text=error.message)
            await asyncio.sleep(AFTER_ERROR_S)
        passes += 1
        # The nodes must not all come at the same moment.
        await asyncio.sleep(EVERY_S * (1 + random.uniform(-JITTER, JITTER)))
