"""`tq config check` and `tq config keys`: what the configuration file says, looked through as its readers would."""

from __future__ import annotations

import difflib
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tq_console.cli.commands import command
from tq_console.cli.exit_codes import ExitCode
from tq_console.cli.invocation import Invocation
from tq_console.view.tables import Column
from tq_console.view.text import visible

if TYPE_CHECKING:
    from tq_core.settings import BrokerContext

KNOWN = (
    *("context", "contexts", "theme", "ascii", "low_bandwidth", "keys", "views"),
    *("alerts", "alert_bell", "alert_webhook"),
)
READABLE_BY_OTHERS = 0o077


@command(
    has_broker=False,
    examples="""
        tq config check                                  # exit code 0: nothing is wrong
        tq config check --json | jq -r .problem
    """,
)
@click.pass_obj
def check(invocation: Invocation) -> int:
    """Look for mistakes: contexts, passwords that cannot be had, keys that clash, names that are misspelt.

    Connects to nothing and runs no program.
    """
    from tq_core.settings import config_file

    problems = config_problems()
    out = invocation.out
    if out.is_json:
        out.records({"problem": problem} for problem in problems)
    for problem in [] if out.is_json else problems:
        out.line(visible(problem))
    if not problems:
        out.talk(f"tq: nothing is wrong with {config_file()}{'' if config_file().exists() else ', which is not there'}")
    return ExitCode.FAILED if problems else ExitCode.OK


def config_problems() -> list[str]:
    """What is wrong with the configuration file, each in one sentence."""
    from tq_console.alerts.config import alerts_of
    from tq_console.tui.wiring.keymap import key_problems
    from tq_console.view.preferences import preferences_of
    from tq_console.view.saved_views import view_problems
    from tq_core.errors import TqError
    from tq_core.settings import config_file, contexts, read_config

    try:
        config = read_config(config_file())
        found = contexts()
    except TqError as error:
        return [error.message]
    problems = [_misspelt(name, KNOWN) for name in config if name not in KNOWN]
    wanted = preferences_of(config)
    problems += [*wanted.problems, *key_problems(wanted.keys), *view_problems(config), *alerts_of(config).problems]
    chosen = config.get("context")
    if chosen is not None and chosen not in found:
        problems.append(f"context = {chosen!r}: there are {', '.join(found) or 'no contexts'}")
    for context in found.values():
        problems += [f"[contexts.{context.name}] {problem}" for problem in _of_context(context)]
    return [problem for problem in problems if problem]


def _of_context(context: BrokerContext) -> list[str]:
    from tq_console.tui.look.context_colors import NAMED, hex_of
    from tq_core.broker_url import masked_url, parse_url
    from tq_core.errors import TqError
    from tq_core.settings import CONTEXT_FIELDS

    problems = [_misspelt(name, CONTEXT_FIELDS) or f"{name} is no field of a context" for name in context.extra]
    try:
        parse_url(context.url, source="url")
    except TqError as error:
        problems.append(error.message)
    if context.color is not None and hex_of(context.color) is None:
        problems.append(f"color = {context.color!r}: there are {', '.join(NAMED)} and #rrggbb")
    if context.password_command and shutil.which(context.password_command[0]) is None:
        problems.append(f"password_command: there is no program {context.password_command[0]!r} on the PATH")
    if context.password_file:
        problems += _of_password_file(Path(context.password_file).expanduser())
    if (context.password_file or context.password_command) and masked_url(context.url) != context.url:
        problems.append("has a password in its url and another one beside it; keep one of them")
    return problems


def _of_password_file(path: Path) -> list[str]:
    try:
        mode = path.stat().st_mode
    except OSError as error:
        return [f"password_file: {path}: {error.strerror or error}"]
    if mode & READABLE_BY_OTHERS:
        return [f"password_file: others can read {path}: chmod 600 {path}"]
    return []


def _misspelt(name: str, known: tuple[str, ...]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f"{name}: did you mean {near[0]}?" if near else ""


@command(
    has_broker=False,
    examples="""
        tq config views
        tq config set views.stuck 'state:running age:>1h'
        tq tasks list --view stuck
    """,
)
@click.pass_obj
def views(invocation: Invocation) -> None:
    """List the saved views: queries with a name, for `tq tasks list --view` and the console's `b`."""
    from tq_console.view.saved_views import saved_views

    out, found = invocation.out, saved_views()
    if out.is_json:
        out.records({"name": name, "query": words} for name, words in found.items())
    else:
        out.table([Column("NAME"), Column("QUERY", is_flexible=True)], list(found.items()), empty="no view is saved")


@command(
    has_broker=False,
    examples="""
        tq config keys
        tq config set keys.tasks.retry ctrl+y            # an id of this list, and the key that it should have
        tq config keys --json | jq -r 'select(.is_changed) | .id'
    """,
)
@click.pass_obj
def keys(invocation: Invocation) -> None:
    """List every key of the console: its id, the keys in force, and what it does."""
    from textual.keys import format_key

    from tq_console.tui.wiring.keymap import key_entries
    from tq_console.view.preferences import read_preferences

    changed = read_preferences().keys
    out = invocation.out
    rows: list[tuple[str, str, str]] = []
    records: list[dict[str, Any]] = []
    for entry in key_entries():
        in_force = [key.strip() for key in changed[entry.id].split(",")] if entry.id in changed else list(entry.keys)
        records.append({"id": entry.id, "keys": in_force, "text": entry.text, "is_changed": entry.id in changed})
        rows.append((entry.id, " ".join(map(format_key, in_force)), entry.text))
    if out.is_json:
        out.records(records)
    else:
        out.table([Column("ID"), Column("KEYS"), Column("WHAT IT DOES", is_flexible=True)], rows)
