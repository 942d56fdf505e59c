"""`tq why`: what holds a task, a queue or a worker, and what to do about it."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import click

from tq_console.cli.commands import Group
from tq_console.cli.invocation import Invocation
from tq_console.view.text import visible

if TYPE_CHECKING:
    from tq_core.roles.why import Answer


class Whys(Group):
    """Takes the id of a task in the place of a command."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """`tq why ID` is `tq why task ID`."""
        if args and args[0] not in self.commands and not args[0].startswith("-"):
            args = ["task", *args]
        return super().resolve_command(ctx, args)


@click.group(
    cls=Whys,
    examples="""
        tq why 01jd7q0v3k0a19c8x7v6b5n4m2                # why a task waits, and when it will start
        tq why queue mail                                # why a queue does not move
        tq why worker ab12                               # why a node or worker does nothing
    """,
)
def why() -> None:
    """Say what holds a task (ID), a queue or a worker, who did that, and what to do about it."""


@why.command(
    examples="""
        tq why task 01jd7q0v3k0a19c8x7v6b5n4m2
        tq why 01jd7q0v3k0a19c8x7v6b5n4m2 --json | jq .code
    """
)
@click.argument("task_id", metavar="ID")
@click.pass_obj
def task(invocation: Invocation, task_id: str) -> None:
    """Say why a task waits, runs or has ended, and when it is expected to start."""
    from tq_core.roles.why_task import why_task

    _print(invocation, invocation.run(why_task(task_id)))


@why.command(
    examples="""
        tq why queue mail
    """
)
@click.argument("name", metavar="QUEUE")
@click.pass_obj
def queue(invocation: Invocation, name: str) -> None:
    """Say what stops or slows a queue, and when it is empty at its measured pace."""
    from tq_core.roles.why_queue import why_queue

    _print(invocation, invocation.run(why_queue(name)))


@why.command(
    examples="""
        tq why worker ab12                               # the end of an id, or the name of a node
        tq why worker host-4711-ab12.1
    """
)
@click.argument("name", metavar="NODE|WORKER")
@click.pass_obj
def worker(invocation: Invocation, name: str) -> None:
    """Say why a node or a worker does what it does, or nothing."""
    from tq_console.cli.node_choice import match_id
    from tq_core.roles import registry
    from tq_core.roles.why_member import why_member

    fleet = invocation.run(registry.fleet())
    found = match_id((*fleet.nodes, *fleet.workers), name, what="node or worker")
    _print(invocation, invocation.run(why_member(found)))


def _print(invocation: Invocation, answer: Answer) -> None:
    out, masker = invocation.out, invocation.masker
    if out.is_json:
        out.record(
            {
                "kind": answer.kind,
                "name": answer.name,
                "code": answer.code,
                "why": masker.masked(answer.what),
                "facts": {label: masker.masked(text) for label, text in answer.facts},
                "start_in_ms": answer.start.in_ms if answer.start else None,
                "start": answer.start.words if answer.start else None,
                "cures": [
                    {"text": cure.text, "command": shlex.join(("tq", *cure.command)) if cure.command else None}
                    for cure in answer.cures
                ],
            }
        )
        return
    out.line(out.paint(visible(masker.masked(answer.what)), "bold"))
    rows = [*answer.facts, *([("start", answer.start.words)] if answer.start else [])]
    for label, text in rows:
        out.line(f"  {out.paint(label.ljust(10), 'dim')}  {visible(masker.masked(text))}")
    for cure in answer.cures:
        out.line(f"  {out.paint('do'.ljust(10), 'dim')}  {visible(cure.text)}")
        if cure.command:
            out.line(f"  {''.ljust(10)}  $ {visible(shlex.join(('tq', *cure.command)))}")
