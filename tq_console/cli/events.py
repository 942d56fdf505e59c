"""`tq events`: what happens, as it happens."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from tq_console.cli.commands import command
from tq_console.cli.invocation import Invocation
from tq_console.view.formats import time_of_day
from tq_console.view.text import visible

if TYPE_CHECKING:
    from tq_core.roles.events import Event

BLOCK_S = 1.0
MAX_IDS = 3


@command(
    examples="""
        tq events                                        # the last 20
        tq events -f --queue mail
        tq events -f --kind failed --json | jq -r '.ids[]'
    """
)
@click.option("--follow", "-f", "is_following", is_flag=True, help="Go on as more happens, until Ctrl-C.")
@click.option("--queue", "-q", "queues", multiple=True, help="Only this queue; may be given again.")
@click.option("--kind", "-k", "kinds", multiple=True, help="Only this kind, as enqueued, failed or paused.")
@click.option("--limit", "-n", default=20, show_default=True, type=click.IntRange(0), help="How many past ones.")
@click.pass_obj
def events(
    invocation: Invocation, /, *, is_following: bool, queues: tuple[str, ...], kinds: tuple[str, ...], limit: int
) -> None:
    """Print what happened to tasks, queues and workers, oldest first."""
    from tq_console.cli.task_reading import known_queues
    from tq_core.roles.events import follow, latest

    named = known_queues(invocation, queues)
    wanted = {kind.lower() for kind in kinds}
    found, cursors = invocation.run(latest(named, limit=limit))
    _print(invocation, found, wanted)
    while is_following:
        found, cursors = invocation.run(follow(cursors, timeout_s=BLOCK_S, queues=named))
        _print(invocation, found, wanted)


def _print(invocation: Invocation, found: list[Event], wanted: set[str]) -> None:
    import sys

    from tq_console.view.records import event_record

    out = invocation.out
    for event in found:
        if wanted and event.kind not in wanted and event.word.lower() not in wanted:
            continue
        if out.is_json:
            out.record(event_record(event))
        else:
            out.line(visible(event_line(event)))
    sys.stdout.flush()


def event_line(event: Event) -> str:
    """An event in one line: `12:00:01.250 COMPLETED mail 01jd… on host-1-ab.0`."""
    ids = ", ".join(event.ids[:MAX_IDS])
    more = f" and {len(event.ids) - MAX_IDS:,} more" if len(event.ids) > MAX_IDS else ""
    parts = [
        time_of_day(event.at_ms),
        event.word.ljust(10),
        event.queue or "fleet",
        ids + more,
        f"attempt {event.attempt}" if event.attempt else "",
        f"on {event.worker_id}" if event.worker_id else "",
        f"({event.reason})" if event.reason else "",
        f"by {event.by}" if event.by else "",
    ]
    return "  ".join(part for part in parts if part)
