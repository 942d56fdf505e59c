"""`tq stats`: the dashboard as text, or its numbers as JSON."""

from __future__ import annotations

import click

from tq_console.cli.commands import command
from tq_console.cli.invocation import Invocation

WINDOW_MINUTES = 5


@command(
    examples="""
        tq stats
        tq stats --queue mail
        tq stats --json | jq .totals.depths.failed
    """
)
@click.option("--queue", "-q", "queues", multiple=True, help="Only this queue; may be given again.")
@click.pass_obj
def stats(invocation: Invocation, queues: tuple[str, ...]) -> None:
    """Show queues, workers and rates at a glance."""
    print_dashboard(invocation, queues)


def print_dashboard(invocation: Invocation, queues: tuple[str, ...] = ()) -> None:
    """Prints the dashboard, or its record."""
    from tq_console.cli.task_reading import known_queues
    from tq_console.view.dashboard import dashboard, totals
    from tq_console.view.records import fleet_records, queue_record
    from tq_core.roles import inspector, registry

    out = invocation.out
    found = invocation.run(inspector.stats(known_queues(invocation, queues), minutes=WINDOW_MINUTES))
    fleet = invocation.run(registry.fleet())
    if out.is_json:
        out.record(
            {
                "now_ms": fleet.now_ms,
                "totals": totals(found, fleet),
                "queues": [queue_record(queue) for queue in found],
                "nodes": fleet_records(fleet),
            }
        )
        return
    broker = invocation.runner.endpoint.display
    for line in dashboard(found, fleet, broker=broker, width=out.width, paint=out.paint):
        out.line(line)
