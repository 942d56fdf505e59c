"""`tq workers`: the nodes and their workers, and the orders that they obey."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from tq_console.cli.commands import Group
from tq_console.cli.exit_codes import ExitCode
from tq_console.cli.invocation import Invocation
from tq_console.cli.node_choice import Choice, choosing_nodes, chosen, match_id, worker_named
from tq_console.cli.values import DURATION
from tq_console.view.formats import age
from tq_console.view.tables import Cell, Column
from tq_console.view.text import visible, visible_lines
from tq_core.worker_bounds import MAX_PROCESSES, Bounds

if TYPE_CHECKING:
    from tq_core.roles.registry import Ack, Fleet

ACK_TIMEOUT_S = 10.0
RELOAD_TIMEOUT_S = 55.0
"""Answers are kept for a minute."""
LOG_LEVELS = ("debug", "info", "warning", "error")
NODE_COLUMNS = (
    Column("NODE"),
    Column("HOST", is_flexible=True, is_optional=True),
    Column("PID", is_right=True, is_optional=True),
    Column("STATE"),
    Column("WORKERS", is_right=True),
    Column("SLOTS", is_right=True),
    Column("QUEUES", is_flexible=True),
    Column("TAGS", is_flexible=True, is_optional=True),
    Column("RESTARTS", is_right=True, is_optional=True),
    Column("SEEN", is_right=True, is_optional=True),
    Column("UP", is_right=True, is_optional=True),
    Column("VERSION", is_flexible=True, is_optional=True),
)


@click.group(
    cls=Group,
    examples="""
        tq workers list
        tq workers scale host-4711-ab12 8
        tq workers stop ab12                             # the end of an id, where no other ends like it
        tq workers pause mailer                          # the name of a node, where no other has it
        tq workers reload --tag zone=a                   # all nodes that were started with --tag zone=a
    """,
)
def workers() -> None:
    """List, scale, pause, resume, reload, stop, kill workers, or see what they are doing."""


@workers.command(
    "list",
    examples="""
        tq workers list
        tq workers list --json | jq '.workers[].running[].task_id'
    """,
)
@click.pass_obj
def list_workers(invocation: Invocation) -> None:
    """List nodes and their workers; as JSON, one node on each line with its workers in it."""
    from tq_console.view.dashboard import WORKER_COLUMNS, worker_rows
    from tq_console.view.records import fleet_records
    from tq_core.roles import registry

    out = invocation.out
    fleet = invocation.run(registry.fleet())
    if out.is_json:
        out.records(fleet_records(fleet))
        return
    out.table(NODE_COLUMNS, _node_rows(fleet), empty="no node: start one with `tq-worker MODULE`")
    for line in _node_lines(invocation, fleet):
        out.line(line)
    if fleet.workers:
        out.line()
        out.table(WORKER_COLUMNS, worker_rows(fleet))


def _node_rows(fleet: Fleet) -> list[list[str | Cell]]:
    from tq_console.view.node_words import queue_and_share
    from tq_core.roles.registry import NodeInfo

    rows: list[list[str | Cell]] = []
    for member in fleet.nodes:
        info = member.info if isinstance(member.info, NodeInfo) else None
        state = info.state if info and member.health == "live" else member.health
        style = {"running": "green", "lost": "red"}.get(state, "yellow")
        present = sum(1 for w in fleet.workers if w.id.rpartition(".")[0] == member.id and w.health != "lost")
        rows.append(
            [
                member.id,
                info.host if info else "",
                str(info.pid) if info else "",
                Cell(state, style),
                f"{present}/{info.processes}" if info else str(present),
                str(info.slots) if info else "",
                ",".join(queue_and_share(info, queue) for queue in info.queues) if info else "",
                ",".join(info.tags) if info else "",
                str(info.restarts) if info else "",
                age(member.silent_ms),
                age(fleet.now_ms - info.started_at_ms) if info and info.started_at_ms else "",
                info.tq_version if info else "",
            ]
        )
    return rows


def _node_lines(invocation: Invocation, fleet: Fleet) -> list[str]:
    """What nodes that scale themselves decided last, and whose workers die again and again; safe text."""
    from tq_console.view.node_words import autoscale_words
    from tq_core.roles.registry import NodeInfo

    lines = []
    for member in fleet.nodes:
        info = member.info
        if not isinstance(info, NodeInfo) or member.health == "lost":
            continue
        if info.trouble:
            lines.append(invocation.out.paint(visible(f"{member.id}: {info.trouble}"), "red"))
        if info.autoscale is not None:
            lines.append(visible(f"{member.id} autoscales {autoscale_words(info.autoscale, fleet.now_ms)}"))
    return lines


_ACK_TIMEOUT = click.option(
    "--timeout",
    type=DURATION,
    default=ACK_TIMEOUT_S,
    show_default=True,
    help="How long to wait for the answer, seconds.",
)


@workers.command(
    context_settings={"ignore_unknown_options": True},
    examples="""
        tq workers scale host-4711-ab12 8                # eight worker processes
        tq workers scale ab12 +2                         # two more than there are
        tq workers scale ab12 4 --slots 20               # and 20 tasks at once in each
        tq workers scale 2 --tag zone=a
    """,
)
@choosing_nodes
@click.argument("processes", metavar="N|+N|-N")
@click.option("--slots", type=click.IntRange(1, 1000), help="Slots of each worker.")
@_ACK_TIMEOUT
@click.pass_obj
def scale(invocation: Invocation, /, *, processes: str, slots: int | None, timeout: float, **who: Any) -> int:
    """Set how many worker processes nodes run, or how many more or fewer; ends autoscaling.

    Those that are too many finish their tasks first, within the --drain-timeout of their node.
    """
    # Unknown options are let through for the sake of -2.
    for word in (word for word in who["nodes"] if word.startswith("-")):
        raise click.NoSuchOption(word, ctx=click.get_current_context())
    number = _processes(processes)
    nodes = chosen(invocation, Choice(**who))
    args = {"slots": slots} if slots is not None else {}
    if processes[:1] not in "+-":
        return _order(invocation, nodes, "scale", args | {"processes": number}, timeout_s=timeout)
    code = ExitCode.OK
    for node_id, wanted in _relative(invocation, nodes, number).items():
        code = max(code, _order(invocation, [node_id], "scale", args | {"processes": wanted}, timeout_s=timeout))
    return code


def _processes(text: str) -> int:
    sign, digits = (text[:1], text[1:]) if text[:1] in ("+", "-") else ("", text)
    if not (digits.isascii() and digits.isdigit() and len(digits) < 9) or int(digits) > MAX_PROCESSES:
        context = click.get_current_context()
        raise click.BadParameter(
            f"{text!r}: write how many, 0 to {MAX_PROCESSES}, or how many more or fewer, as +2 or -2",
            context,
            param_hint="N",
        )
    return -int(digits) if sign == "-" else int(digits)


def _relative(invocation: Invocation, node_ids: Sequence[str], step: int) -> dict[str, int]:
    """How many each node is to have; what a node says it has is what counts."""
    from tq_core.errors import RefusedError
    from tq_core.roles import registry
    from tq_core.roles.registry import NodeInfo

    infos = {node.id: node.info for node in invocation.run(registry.fleet()).nodes}
    found = {}
    for node_id in node_ids:
        info = infos.get(node_id)
        if not isinstance(info, NodeInfo):
            raise RefusedError(f"what {node_id} runs is not known: say how many it is to have")
        found[node_id] = min(MAX_PROCESSES, max(0, info.processes + step))
    return found


@workers.command(
    examples="""
        tq workers autoscale ab12 1:8                    # between one and eight worker processes
        tq workers autoscale 2:16 --tag gpu
        tq workers autoscale ab12 off
    """
)
@choosing_nodes
@click.argument("bounds", metavar="MIN:MAX|off")
@_ACK_TIMEOUT
@click.pass_obj
def autoscale(invocation: Invocation, /, *, bounds: str, timeout: float, **who: Any) -> int:
    """Have nodes set their number of worker processes themselves, by what waits and for how long."""
    given = None if bounds == "off" else Bounds.parse(bounds)
    args = {} if given is None else {"least": given.least, "most": given.most}
    return _order(invocation, chosen(invocation, Choice(**who)), "autoscale", args, timeout_s=timeout)


@workers.command(
    examples="""
        tq workers pause ab12
        tq workers pause --tag gpu
        tq workers pause --all
    """
)
@choosing_nodes
@_ACK_TIMEOUT
@click.pass_obj
def pause(invocation: Invocation, /, *, timeout: float, **who: Any) -> int:
    """Stop nodes from claiming tasks; running ones finish, and the nodes stay until they are resumed or stopped."""
    return _order(invocation, chosen(invocation, Choice(**who)), "pause", {}, timeout_s=timeout)


@workers.command(
    examples="""
        tq workers resume --all
    """
)
@choosing_nodes
@_ACK_TIMEOUT
@click.pass_obj
def resume(invocation: Invocation, /, *, timeout: float, **who: Any) -> int:
    """Let paused nodes claim tasks again."""
    return _order(invocation, chosen(invocation, Choice(**who)), "resume", {}, timeout_s=timeout)


@workers.command(
    examples="""
        tq workers stop ab12                             # finishes its tasks first
        tq workers stop ab12 --drain 5m                  # gives them five minutes
        tq workers stop ab12 --now                       # gives them back, without costing an attempt
    """
)
@choosing_nodes
@click.option("--drain", "drain_s", type=DURATION, help="How long running tasks may take; the node's own by default.")
@click.option("--now", "is_now", is_flag=True, help="Do not wait for running tasks: give them back.")
@_ACK_TIMEOUT
@click.pass_obj
def stop(
    invocation: Invocation,
    /,
    *,
    drain_s: float | None,
    is_now: bool,
    timeout: float,
    **who: Any,
) -> int:
    """Stop nodes: no new tasks, running ones finish, then they end."""
    if is_now and drain_s is not None:
        raise click.UsageError("--now does not wait and --drain does: give one of them", click.get_current_context())
    named = chosen(invocation, Choice(**who))
    if is_now:
        return _order(invocation, named, "stop", {}, timeout_s=timeout)
    args = {} if drain_s is None else {"deadline_s": drain_s}
    return _order(invocation, named, "drain", args, timeout_s=timeout)


@workers.command(
    examples="""
        tq workers reload ab12                           # after new code was put in place
        tq workers reload --all --drain 10m              # old workers may take ten minutes for what they run
    """
)
@choosing_nodes
@click.option("--drain", "drain_s", type=DURATION, help="How long running tasks may take; the node's own by default.")
@click.option(
    "--timeout",
    type=DURATION,
    default=RELOAD_TIMEOUT_S,
    show_default=True,
    help="How long to wait for the answer, seconds.",
)
@click.pass_obj
def reload(invocation: Invocation, /, *, drain_s: float | None, timeout: float, **who: Any) -> int:
    """Replace each worker by one that loads the code anew, one after the other; all stay if the code is refused."""
    args = {} if drain_s is None else {"deadline_s": drain_s}
    return _order(invocation, chosen(invocation, Choice(**who)), "reload", args, timeout_s=timeout)


@workers.command(
    "log-level",
    examples="""
        tq workers log-level ab12 debug
        tq workers log-level --all info
    """,
)
@choosing_nodes
@click.argument("level", type=click.Choice(LOG_LEVELS))
@_ACK_TIMEOUT
@click.pass_obj
def log_level(invocation: Invocation, /, *, level: str, timeout: float, **who: Any) -> int:
    """Set how much nodes and their workers log, until they end."""
    return _order(invocation, chosen(invocation, Choice(**who)), "log_level", {"level": level}, timeout_s=timeout)


@workers.command(
    examples="""
        tq workers kill host-4711-ab12.1                 # its node starts another
    """
)
@click.argument("worker", metavar="WORKER")
@_ACK_TIMEOUT
@click.pass_obj
def kill(invocation: Invocation, worker: str, timeout: float) -> int:
    """Kill a worker process at once; what it ran is run again, and its node starts another."""
    worker_id = worker_named(invocation, worker)
    node_id = worker_id.rpartition(".")[0]
    return _order(invocation, [node_id], "kill_worker", {"worker_id": worker_id}, timeout_s=timeout)


@workers.command(
    examples="""
        tq workers stacks ab12                           # every worker of a node
        tq workers stacks host-4711-ab12.1
    """
)
@click.argument("name", metavar="NODE|WORKER")
@_ACK_TIMEOUT
@click.pass_obj
def stacks(invocation: Invocation, name: str, timeout: float) -> int:
    """Show what every thread and task of a node or worker is doing now."""
    from tq_core.roles import registry

    fleet = invocation.run(registry.fleet())
    found = match_id((*fleet.nodes, *fleet.workers), name, what="node or worker")
    if found in {node.id for node in fleet.nodes}:
        return _order(invocation, [found], "stacks", {}, timeout_s=timeout)
    return _order(invocation, [found.rpartition(".")[0]], "stacks", {"worker_id": found}, timeout_s=timeout)


def _order(
    invocation: Invocation, node_ids: Sequence[str], do: str, args: dict[str, Any], *, timeout_s: float
) -> ExitCode:
    """Sends a command to nodes and prints each answer as it comes; all have the same time to give it."""
    from tq_core.errors import NotFoundError
    from tq_core.roles import registry

    code = ExitCode.OK
    asked: dict[str, str] = {}
    for node_id in node_ids:
        try:
            sent = invocation.change(registry.send_command(node_id, do, actor=invocation.actor, args=args))
        except NotFoundError as error:
            # It has gone since it was listed; the others are told all the same.
            if len(node_ids) == 1:
                raise
            code = max(code, ExitCode.NOT_FOUND)
            _tell(invocation, node_id, do, registry.Ack(ok=False, text=error.message))
        else:
            asked[sent] = node_id
    until = time.monotonic() + timeout_s
    while asked:
        left_s = max(0.0, until - time.monotonic())
        found = invocation.run(registry.await_any_ack(list(asked), timeout_s=left_s))
        if found is None:
            break
        code = max(code, _tell(invocation, asked.pop(found[0]), do, found[1]))
    for node_id in asked.values():
        if invocation.is_json:
            invocation.out.record({"node_id": node_id, "command": do, "answer": None})
        late = f"{node_id} did not answer {do} within {timeout_s:g} s; it may still obey for some seconds"
        invocation.out.talk(f"tq: {late}")
        code = max(code, ExitCode.WAIT_TIMEOUT)
    return code


def _tell(invocation: Invocation, node_id: str, do: str, ack: Ack) -> ExitCode:
    out = invocation.out
    if out.is_json:
        out.record({"node_id": node_id, "command": do, "answer": {"is_ok": ack.ok, "text": ack.text, "data": ack.data}})
    if not ack.ok:
        out.talk(f"tq: {node_id} refused {do}: {ack.text or 'no reason given'}")
        return ExitCode.REFUSED
    if out.is_json:
        return ExitCode.OK
    out.line(visible(f"{node_id}  {ack.text or 'accepted'}"))
    for name, text in ack.data.items():
        out.line()
        out.line(out.paint(visible(name), "bold"))
        for line in visible_lines(str(text).rstrip()):
            out.line(line)
    return ExitCode.OK
