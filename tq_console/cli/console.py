"""`tq console`: the terminal application."""

from __future__ import annotations

import click

from tq_console.cli.commands import command
from tq_console.cli.invocation import Invocation


@command(
    has_json=False,
    examples="""
        tq console
        tq console --read-only --context prod
        tq-console --url redis://127.0.0.1:6379/0        # the same command under a shorter name
    """,
)
@click.option("--read-only", "is_read_only", is_flag=True, help="Look only: every change is refused.")
@click.pass_obj
def console(invocation: Invocation, is_read_only: bool) -> int:
    """Watch and act from the keyboard.

    The key ? shows what the keys do, : finds everything else.
    """
    from tq_console.tui.launch import has_terminal, run_console
    from tq_core.errors import RefusedError

    if not has_terminal():
        raise RefusedError("the console needs a terminal; `tq stats` and `tq events -f` show the same facts as text")
    return run_console(invocation.address, actor=invocation.actor, is_read_only=is_read_only)
