"""`tq console`: the terminal application, in a terminal or a browser."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from tq_console.cli.commands import command
from tq_console.cli.console_web import serve, web_options
from tq_console.cli.invocation import Invocation
from tq_console.view.preferences import ASCII_VARIABLE, THEME_NAMES, Preferences, needs_ascii, read_preferences

if TYPE_CHECKING:
    from tq_console.tui.command_line.commands import Commands


@command(
    has_json=False,
    examples="""
        tq console
        tq console --read-only --context prod
        tq console --theme light --low-bandwidth         # on a bright day, over a phone
        tq-console --url redis://127.0.0.1:6379/0        # the same command under a shorter name
        tq console --web                                 # in a browser of this machine, to look only
    """,
)
@click.option("--read-only", "is_read_only", is_flag=True, help="Look only: every change is refused.")
@click.option("--theme", type=click.Choice(THEME_NAMES), help="Colours; two of them for colour-blind eyes.")
@click.option(
    "--ascii/--no-ascii", "is_ascii", default=None, help="Draw with ASCII only. Beats TQ_ASCII and the locale."
)
@click.option("--low-bandwidth", "is_low_bandwidth", is_flag=True, help="For slow lines: fewer frames, no animation.")
@web_options
@click.pass_obj
def console(
    invocation: Invocation,
    *,
    is_read_only: bool,
    theme: str | None,
    is_ascii: bool | None,
    is_low_bandwidth: bool,
    is_web: bool,
    host: str,
    port: int,
    public_url: str,
    allow_changes: bool,
) -> int:
    """Watch and act from the keyboard.

    The key ? shows what the keys do, : finds everything else; `tq config keys` lists all keys. With --web each visitor
    of the page gets a console of its own, which starts no programs and writes no files on this machine; nobody enters
    without the token that is printed, or that TQ_WEB_TOKEN gives.
    """
    if is_web:
        is_for_looking = is_read_only or not allow_changes
        return serve(invocation, host=host, port=port, public_url=public_url, is_read_only=is_for_looking)
    from tq_console.tui.launch import has_terminal, run_console
    from tq_core.errors import RefusedError

    if not has_terminal():
        raise RefusedError("the console needs a terminal; `tq stats` and `tq events -f` show the same facts as text")
    return run_console(
        invocation.address,
        actor=invocation.actor,
        make_commands=inside_commands,
        is_read_only=is_read_only,
        unlock=invocation.unlock or "",
        preferences=wanted_preferences(theme, is_ascii, is_low_bandwidth),
    )


def inside_commands() -> Commands:
    """The commands for the line of a console; loaded when it is first opened."""
    from tq_console.cli.inside import InsideCommands

    return InsideCommands()


def wanted_preferences(
    theme: str | None = None, is_ascii: bool | None = None, is_low_bandwidth: bool = False
) -> Preferences:
    """What the command line says, else the configuration file, else what this terminal seems to need."""
    said = read_preferences()
    configured = needs_ascii() if said.is_ascii is None or ASCII_VARIABLE in os.environ else said.is_ascii
    return replace(
        said,
        theme=theme or said.theme,
        is_ascii=configured if is_ascii is None else is_ascii,
        is_low_bandwidth=is_low_bandwidth or said.is_low_bandwidth,
    )
