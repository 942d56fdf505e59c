"""`tq alerts`: rules of the configuration file, looked at once or again and again."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

import click

from tq_console.cli.commands import Group
from tq_console.cli.exit_codes import ExitCode
from tq_console.cli.values import DURATION
from tq_console.view.formats import time_of_day
from tq_console.view.tables import Cell, Column
from tq_console.view.text import visible

if TYPE_CHECKING:
    from tq_console.alerts.book import AlertBook, AlertEvent, AlertState
    from tq_console.alerts.config import Alerts
    from tq_console.cli.invocation import Invocation
    from tq_core.roles.inspector import QueueStats
    from tq_core.roles.registry import Fleet
    from tq_core.transport.steps import Flow

MINUTES = 2
LAST_POSTS_S = 5.0
"""So long what is still to be posted is waited for at the end."""
STYLES = {"firing": "red", "met": "yellow", "unknown": "yellow"}


@click.group(
    cls=Group,
    examples="""
        tq alerts check                                  # can the rules be read?
        tq alerts list                                   # how each stands now
        tq alerts watch                                  # until Ctrl-C: print, and post, what fires and is over
    """,
)
def alerts() -> None:
    """Check the alert rules of the configuration file, see how they stand, or watch them.

    A rule is a table in the file that `tq config path` names: [[alerts]] and below it
    when = "oldest(mail) > 2m for 30s". The console shows what fires in its header, and rings.
    """


@alerts.command(
    has_broker=False,
    examples="""
        tq alerts check
        tq alerts check 'oldest(mail*) > 2m for 30s'     # one that is not in the file yet
    """,
)
@click.argument("rules", metavar="[RULE]...", nargs=-1)
@click.pass_obj
def check(invocation: Invocation, rules: tuple[str, ...]) -> int:
    """Read the rules of the configuration file, or those given, and say what is wrong with them.

    A rule is METRIC or METRIC(QUEUE), one of > >= < <=, a limit, and perhaps `for` and a duration. Metrics: oldest,
    depth, dlq, running, retrying, workers, nodes, failures, in, out. A QUEUE may have * and ?: then each that fits
    counts by itself.
    """
    from tq_console.alerts.rule import MEANINGS, parse_rule
    from tq_core.errors import InvalidInputError

    problems: list[str] = []
    found = []
    if rules:
        for text in rules:
            try:
                found.append(parse_rule(text))
            except InvalidInputError as error:
                problems.append(error.message)
    else:
        read = _read()
        found = [alert.rule for alert in read.alerts]
        problems = list(read.problems)
    out = invocation.out
    if out.is_json:
        out.records({"rule": rule.text, "problem": None} for rule in found)
        out.records({"rule": None, "problem": problem} for problem in problems)
    else:
        out.table(
            [Column("RULE"), Column("WATCHES", is_flexible=True)],
            [(rule.text, MEANINGS[rule.metric]) for rule in found],
            empty="" if problems else "no alert: see `tq alerts --help`",
        )
        for problem in problems:
            out.talk(f"tq: {visible(problem)}")
    return ExitCode.FAILED if problems else ExitCode.OK


@alerts.command(
    "list",
    examples="""
        tq alerts list
        tq alerts list --json | jq 'select(.is_met)'
    """,
)
@click.pass_obj
def list_alerts(invocation: Invocation) -> int:
    """Measure each rule once; exit code 1 where one is met.

    What a rule asks for a while (`for 30s`) cannot be told by one look: such a rule is said to be met.
    """
    book = _book(invocation)
    queues, fleet = invocation.run(_facts())
    book.look(queues, fleet, now_s=time.monotonic())
    out = invocation.out
    if out.is_json:
        out.records(_record(state) for state in book.states)
    else:
        out.table(
            [Column("STATE"), Column("VALUE", is_right=True), Column("RULE"), Column("NAME", is_flexible=True)],
            [(_word(state), _value(state), state.alert.rule.text, state.alert.name) for state in book.states],
            empty="no alert: see `tq alerts --help`",
        )
    return ExitCode.FAILED if any(state.is_met for state in book.states) else ExitCode.OK


def _word(state: AlertState) -> Cell:
    word = "firing" if state.is_firing else "met" if state.is_met else "unknown" if state.measured is None else "well"
    return Cell(word, STYLES.get(word, "green"))


def _value(state: AlertState) -> str:
    where = f" ({state.measured.queue})" if state.measured is not None and state.alert.rule.is_pattern else ""
    return state.value + where


def _record(state: AlertState) -> dict[str, Any]:
    return {
        "rule": state.alert.rule.text,
        "name": state.alert.name,
        "is_met": state.is_met,
        "is_firing": state.is_firing,
        "value": state.measured.value if state.measured else None,
        "queue": state.measured.queue if state.measured else state.alert.rule.queue,
        "since_ms": state.since_ms,
    }


@alerts.command(
    examples="""
        tq alerts watch
        tq alerts watch --every 5s --json >> alerts.ndjson
        tq alerts watch --no-post                        # print only
    """
)
@click.option("--every", "every_s", type=DURATION, default="2s", show_default=True, help="How often to look.")
@click.option("--post/--no-post", "has_posts", default=True, help="Post to the webhooks of the configuration file.")
@click.pass_obj
def watch(invocation: Invocation, *, every_s: float, has_posts: bool) -> None:
    """Print, and post, what fires and is over, until Ctrl-C; goes on while the broker is away."""
    from tq_console.alerts.webhook import Webhooks
    from tq_core.errors import BrokerError, BrokerUnreachableError, RefusedError

    book = _book(invocation)
    if not book.alerts:
        raise RefusedError("there is no alert to watch: see `tq alerts --help`")
    out = invocation.out
    posts = Webhooks(on_failure=lambda text: out.talk(f"tq: {visible(text)}"))
    out.talk(f"tq: watching {len(book.alerts)} alerts of {visible(invocation.address.display_url)}")
    away, has_begun = "", False
    try:
        while True:
            try:
                queues, fleet = invocation.run(_facts())
            except BrokerError as error:
                # What answered once answers again; a wrong password, which never did, is told at once.
                if not (has_begun or isinstance(error, BrokerUnreachableError)):
                    raise
                if not away:
                    out.talk(f"tq: {visible(error.message)}; looking again every {every_s:g} s")
                away = error.message
            else:
                if away:
                    out.talk("tq: the broker answers again")
                away, has_begun = "", True
                for event in book.look(queues, fleet, now_s=time.monotonic()):
                    _tell(invocation, event)
                    if has_posts:
                        posts.post(event, invocation.address.display_url)
            time.sleep(max(0.1, every_s))
    finally:
        posts.close(timeout_s=LAST_POSTS_S)


def _tell(invocation: Invocation, event: AlertEvent) -> None:
    out = invocation.out
    if out.is_json:
        out.record({"at_ms": event.at_ms, "event": event.word, **_record(event.state)})
    else:
        out.line(visible(f"{time_of_day(event.at_ms)}  {event.word:<8}{event.state.text}"))
    sys.stdout.flush()


def _facts() -> Flow[tuple[list[QueueStats], Fleet]]:
    from tq_core.roles import inspector, registry
    from tq_core.transport.together import together

    stats, fleet = yield from together([inspector.stats(minutes=MINUTES, has_counters=False), registry.fleet()])
    return stats, fleet


def _read() -> Alerts:
    from tq_console.alerts.config import read_alerts

    return read_alerts()


def _book(invocation: Invocation) -> AlertBook:
    """The alerts of this broker; what cannot be read of them is told.

    Raises:
        InvalidInputError: none can be read.
    """
    from tq_console.alerts.book import AlertBook
    from tq_core.errors import InvalidInputError

    read = _read()
    for problem in read.problems:
        invocation.out.talk(f"tq: {visible(problem)}")
    if read.problems and not read.alerts:
        raise InvalidInputError("no alert of the configuration file can be read: see `tq alerts check`")
    context = invocation.address.context
    return AlertBook(read.of(context.name if context else None))
