"""`tq config`: the configuration file: its contexts, what is in force, and how the console is wanted."""

from __future__ import annotations

from typing import Any

import click

from tq_console.cli.commands import LazyGroup
from tq_console.cli.invocation import Invocation
from tq_console.view.tables import Column
from tq_console.view.text import visible

LATER = {
    "add": ("tq_console.cli.config_edit:add", "Add a context: a broker with a name."),
    "set": ("tq_console.cli.config_edit:set_value", "Set one value of the configuration file."),
    "unset": ("tq_console.cli.config_edit:unset", "Take one value out of the configuration file."),
    "remove": ("tq_console.cli.config_edit:remove", "Take a context out of the configuration file."),
    "check": ("tq_console.cli.config_check:check", "Look for mistakes in the configuration file."),
    "views": ("tq_console.cli.config_check:views", "List the saved views: queries with a name."),
    "keys": ("tq_console.cli.config_check:keys", "List the console's keys, and the ids by which they are changed."),
}


@click.group(
    cls=LazyGroup,
    lazy=LATER,
    examples="""
        tq config add prod --url rediss://tq@redis.example.org/0 --protected --color red
        tq config show                                   # which broker, and why that one
        tq config set theme light
        tq config check
    """,
)
def config() -> None:
    """List, choose and change contexts (brokers with a name), and say how the console is wanted."""


@config.command(
    "list",
    examples="""
        tq config list
    """,
)
@click.pass_obj
def list_contexts(invocation: Invocation) -> None:
    """List the contexts of the configuration file; passwords are never shown."""
    from tq_core.broker_url import masked_url
    from tq_core.settings import config_file, contexts

    out = invocation.out
    chosen = _chosen(invocation)
    found = contexts()
    if out.is_json:
        for context in found.values():
            out.record(
                {
                    "name": context.name,
                    "url": masked_url(context.url),
                    "color": context.color,
                    "is_chosen": context.name == chosen,
                    "is_protected": context.is_protected,
                    "is_read_only": context.is_read_only,
                }
            )
        return
    columns = [Column(""), Column("NAME"), Column("URL", is_flexible=True), Column("MARKS")]
    rows = []
    for context in found.values():
        marks = ", ".join(
            mark
            for mark, is_set in (("protected", context.is_protected), ("read only", context.is_read_only))
            if is_set
        )
        rows.append(("*" if context.name == chosen else "", context.name, masked_url(context.url), marks))
    if rows:
        out.table(columns, rows)
    else:
        out.talk(f"tq: {config_file()} has no contexts: `tq config add NAME --url redis://…` adds one")


@config.command(
    examples="""
        tq config show
        tq --context staging config show --json
    """
)
@click.pass_obj
def show(invocation: Invocation) -> None:
    """Show which broker is in force and what chose it."""
    from tq_core.settings import config_file

    address = invocation.address
    facts: dict[str, Any] = {
        "url": address.display_url,
        "source": address.source,
        "context": address.context.name if address.context else None,
        "file": str(config_file()),
        "actor": invocation.actor,
    }
    out = invocation.out
    if out.is_json:
        out.record(facts)
        return
    for label, text in facts.items():
        out.line(f"{out.paint(label.ljust(8), 'bold')}  {visible(str(text or '-'))}")


@config.command(
    "new-key",
    examples="""
        tq config new-key 2026-11 >> payload.keys        # the first line seals, all of them open
        TQ_PAYLOAD_KEYS_FILE=payload.keys tq submit send_mail --data '{"to": "a@example.org"}'
    """,
)
@click.argument("key_id", metavar="ID")
@click.pass_obj
def new_key(invocation: Invocation, key_id: str) -> None:
    """Print a new key for signing or encrypting payloads, as a line for TQ_PAYLOAD_KEYS_FILE.

    Programs, workers and operators that share a file of keys enqueue and run sealed tasks. A key is replaced by putting
    a new one before it, first where tasks are run, then where they are enqueued.
    """
    from tq_core.keyspace import sealing

    line = sealing.new_key_line(key_id)
    if invocation.out.is_json:
        key, secret = line.split()
        invocation.out.record({"id": key, "secret": secret})
    else:
        invocation.out.line(line)


@config.command(
    examples="""
        tq config use staging
    """
)
@click.argument("name", metavar="NAME")
@click.pass_obj
def use(invocation: Invocation, name: str) -> None:
    """Choose the context that is used where nothing else is said."""
    from tq_core.errors import NotFoundError
    from tq_core.names import nearest
    from tq_core.settings import config_file, contexts

    found = contexts()
    if name not in found:
        near = nearest(name, found)
        hint = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(found) or 'none'}"
        raise NotFoundError(f"{config_file()} has no context {name!r}: {hint}")
    from tq_console.view.config_file import change
    from tq_console.view.toml_text import with_value

    change(lambda text: with_value(text, ("context",), name))
    invocation.out.talk(f"tq: {name} is chosen in {config_file()}")


@config.command(
    has_broker=False,
    examples="""
        $EDITOR "$(tq config path)"
    """,
)
@click.pass_obj
def path(invocation: Invocation) -> None:
    """Print where the configuration file is, or would be."""
    from tq_core.settings import config_file

    if invocation.out.is_json:
        invocation.out.record({"path": str(config_file()), "is_there": config_file().exists()})
    else:
        invocation.out.line(str(config_file()))


def _chosen(invocation: Invocation) -> str | None:
    context = invocation.address.context
    return context.name if context else None
