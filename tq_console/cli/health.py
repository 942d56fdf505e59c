"""`tq health`: whether the whole is fit for work, for people and for probes."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import click

from tq_console.cli.commands import command
from tq_console.cli.exit_codes import ExitCode
from tq_console.cli.invocation import Invocation
from tq_console.view.formats import age, duration, plural, size
from tq_console.view.text import visible

if TYPE_CHECKING:
    from tq_core.roles.inspector import QueueStats
    from tq_core.roles.readiness import Readiness
    from tq_core.roles.registry import Fleet

OK, WARNING, FAILED = "ok", "warning", "failed"
STYLES = {OK: "green", WARNING: "yellow", FAILED: "red"}


class Check(NamedTuple):
    """One thing that was looked at."""

    name: str
    status: str
    text: str


@command(
    examples="""
        tq health                                        # exit code 0: fit, 1: not, 4: broker unreachable
        tq health --json | jq -r .status
    """
)
@click.pass_obj
def health(invocation: Invocation) -> int:
    """Check the broker with a write, and whether workers serve what waits.

    Warnings alone exit with 0.
    """
    import time

    from tq_core.errors import BrokerError
    from tq_core.roles import inspector, readiness, registry

    display = invocation.address.display_url
    try:
        invocation.run(registry.server_time_ms())  # connects, which is not what is measured
        started = time.perf_counter()
        ready = invocation.run(readiness.check())
        took_ms = (time.perf_counter() - started) * 1000
    except BrokerError as error:
        if invocation.is_json:
            _print(invocation, [Check("broker", FAILED, error.message)])
        raise
    checks = broker_checks(ready, display, took_ms)
    checks += fleet_checks(invocation.run(registry.fleet()), invocation.run(inspector.stats(minutes=1)))
    return _print(invocation, checks)


def _print(invocation: Invocation, checks: list[Check]) -> ExitCode:
    statuses = {check.status for check in checks}
    worst = next((status for status in (FAILED, WARNING) if status in statuses), OK)
    out = invocation.out
    if out.is_json:
        out.record({"status": worst, "checks": [check._asdict() for check in checks]})
    else:
        for check in checks:
            out.line(f"{out.paint(check.status.ljust(7), STYLES[check.status])}  {check.name:8} {visible(check.text)}")
    return ExitCode.FAILED if worst == FAILED else ExitCode.OK


def broker_checks(ready: Readiness, display: str, took_ms: float) -> list[Check]:
    """What a broker that took a write says of itself."""
    version = f"Redis {ready.version}" if ready.version else "a server that does not tell its version"
    memory = f", {size(ready.used_bytes)} used" if ready.used_bytes is not None else ""
    limit = f" of {size(ready.max_bytes)}" if ready.max_bytes else ""
    found = [Check("broker", OK, f"{display}, {version}, took a write in {duration(took_ms)}{memory}{limit}")]
    found += [Check("broker", FAILED, problem) for problem in ready.problems]
    found += [Check("broker", WARNING, warning) for warning in ready.warnings]
    return found


def fleet_checks(fleet: Fleet, queues: list[QueueStats]) -> list[Check]:
    """Whether there are workers, and for every queue where something waits."""
    from tq_core.model import TaskState
    from tq_core.roles.registry import NodeInfo
    from tq_core.roles.serving import Serving, serving_of

    live = [node.info for node in fleet.nodes if node.health != "lost" and isinstance(node.info, NodeInfo)]
    found = [
        Check("workers", OK, f"{plural(len(live), 'live node')}")
        if live
        else Check("workers", WARNING, "no live node: start one with `tq-worker MODULE`")
    ]
    lost = [node for node in fleet.nodes if node.health == "lost"]
    found += [Check("workers", WARNING, f"node {n.id} has been silent for {age(n.silent_ms)}") for n in lost]
    serving = {queue for node in live for queue in node.queues}
    trouble = []
    for queue in queues:
        pending, limit = queue.depths[TaskState.PENDING], queue.limits.get("max_size")
        if queue.paused:
            trouble.append(Check("queues", WARNING, f"{queue.queue} is paused by {queue.paused.by}"))
        elif pending and queue.queue not in serving:
            waiting = f"{plural(pending, 'pending task')} of {queue.queue}"
            trouble.append(Check("queues", FAILED, f"no live worker serves {waiting}"))
        elif pending and serving_of(queue.queue, fleet) is not Serving.TAKEN:
            waiting = f"{plural(pending, 'pending task')} of {queue.queue}"
            trouble.append(Check("queues", WARNING, f"all nodes that serve {waiting} are paused or leaving"))
        if limit is not None and queue.waiting >= limit:
            trouble.append(Check("queues", WARNING, f"{queue.queue} is full: {queue.waiting:,} of {limit:,}"))
    return found + (trouble or [Check("queues", OK, f"{plural(len(queues), 'queue')}")])
