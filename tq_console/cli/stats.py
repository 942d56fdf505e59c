"""`tq stats`: the dashboard as text, or its numbers as JSON."""

from __future__ import annotations

import click

from tq_console.cli.commands import command
from tq_console.cli.invocation import Invocation
from tq_console.cli.values import DURATION

WINDOW_MINUTES = 5


@command(
    examples="""
        tq stats
        tq stats --queue mail
        tq stats --json | jq .totals.depths.failed
        tq stats --history 1h                            # what went through in the past hour
    """
)
@click.option("--queue", "-q", "queues", multiple=True, help="Only this queue; may be given again.")
@click.option(
    "--history",
    "history_s",
    type=DURATION,
    metavar="DURATION",
    help="Show instead what was counted over so long: 15m, 1h, 24h; two days are kept.",
)
@click.pass_obj
def stats(invocation: Invocation, queues: tuple[str, ...], history_s: float | None) -> None:
    """Show queues, workers and rates at a glance."""
    if history_s is None:
        print_dashboard(invocation, queues)
    else:
        print_history(invocation, queues, minutes=round(history_s / 60))


def print_history(invocation: Invocation, queues: tuple[str, ...], *, minutes: int) -> None:
    """Prints what queues did, the numbers of the console's Metrics screen, or the record of it with all series."""
    from tq_console.cli.task_reading import known_queues
    from tq_console.view.history import TRAFFIC_COLUMNS, histories, history_record, step_of, traffic, traffic_row
    from tq_core.roles import history

    found = invocation.run(history.past(known_queues(invocation, queues), minutes=minutes, step=step_of(minutes)))
    of = histories(found)
    out = invocation.out
    if out.is_json:
        out.record(history_record(of, minutes=minutes))
        return
    rows = [traffic_row(row) for row in traffic({name: each.sums for name, each in of.items()})]
    out.table(TRAFFIC_COLUMNS, rows, empty="no queue yet")


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
