"""`tq config add, set, unset, remove`: the configuration file changed, comments and all else left as they are."""

from __future__ import annotations

import shlex
from typing import Any

import click

from tq_console.cli.commands import command
from tq_console.cli.invocation import Invocation
from tq_console.view.preferences import THEME_NAMES
from tq_core.errors import InvalidInputError, NotFoundError

FLAGS = ("ascii", "low_bandwidth")
CONTEXT_FLAGS = ("protected", "read_only")
SETTABLE = "theme, ascii, low_bandwidth, context, keys.ID or contexts.NAME.FIELD"


@command(
    has_broker=False,
    examples="""
        tq config add prod --url rediss://tq@redis.example.org/0 --protected --color red --password-file ~/.redis-prod
        tq config add work --url redis://127.0.0.1:6379/0 --use
        tq config add lab --url rediss://lab.example.org/0 --password-command 'pass show redis/lab'
    """,
)
@click.argument("name", metavar="NAME")
@click.option("--url", "address", required=True, help="The broker, as for --url everywhere; best without its password.")
@click.option("--color", help="red, orange, yellow, green, cyan, blue, magenta, grey, white or #rrggbb.")
@click.option("--protected", "is_protected", is_flag=True, help="Nothing is written until somebody says why.")
@click.option("--read-only", "is_read_only", is_flag=True, help="Nothing is ever written.")
@click.option("--password-file", metavar="FILE", help="Its first line is the password.")
@click.option("--password-command", metavar="COMMAND", help="What it prints first is the password; no shell runs it.")
@click.option("--use", "is_used", is_flag=True, help="Choose it, too.")
@click.pass_obj
def add(
    invocation: Invocation,
    *,
    name: str,
    address: str,
    color: str | None,
    is_protected: bool,
    is_read_only: bool,
    password_file: str | None,
    password_command: str | None,
    is_used: bool,
) -> None:
    """Add a context: a broker with a name."""
    from tq_console.tui.look.context_colors import hex_of
    from tq_console.view.config_file import change
    from tq_console.view.toml_text import with_value
    from tq_core.broker_url import parse_url
    from tq_core.settings import contexts

    if not name.strip() or not name.isprintable():
        raise InvalidInputError(f"{name!r} cannot be the name of a context")
    if name in contexts():
        raise InvalidInputError(f"there is a context {name!r} already: `tq config set contexts.{name}.url` changes it")
    if password_file and password_command:
        raise InvalidInputError("give a password file or a password command, not both")
    parse_url(address, source="the address given")
    if color is not None and hex_of(color) is None:
        raise InvalidInputError(f"{color!r} is no colour that is known; see --help")
    fields: dict[str, Any] = {"url": address, "color": color, "password_file": password_file}
    fields |= {"protected": is_protected or None, "read_only": is_read_only or None}
    fields["password_command"] = shlex.split(password_command) if password_command else None

    def edit(text: str) -> str:
        for key, value in fields.items():
            if value is not None:
                text = with_value(text, ("contexts", name, key), value)
        return with_value(text, ("context",), name) if is_used else text

    path = change(edit)
    if _has_password(address):
        invocation.out.talk("tq: its password stands in the file as it is: --password-file keeps it elsewhere")
    _told(invocation, f"{name} is in {path}{' and chosen' if is_used else ''}")


@command(
    "set",
    has_broker=False,
    examples="""
        tq config set theme light
        tq config set keys.tasks.retry ctrl+y
        tq config set contexts.prod.protected true
    """,
)
@click.argument("name", metavar="NAME")
@click.argument("value", metavar="VALUE")
@click.pass_obj
def set_value(invocation: Invocation, name: str, value: str) -> None:
    """Set one value: theme, ascii, low_bandwidth, context, keys.ID, views.NAME or contexts.NAME.FIELD."""
    from tq_console.view.config_file import change
    from tq_console.view.toml_text import with_value

    path = _path_of(name)
    found = _value_of(path, value)
    file = change(lambda text: with_value(text, path, found))
    _told(invocation, f"{name} is set in {file}")


@command(
    has_broker=False,
    examples="""
        tq config unset theme
        tq config unset keys.tasks.retry
    """,
)
@click.argument("name", metavar="NAME")
@click.pass_obj
def unset(invocation: Invocation, name: str) -> None:
    """Take one value out: what it said is again as it is by itself."""
    from tq_console.view.config_file import change
    from tq_console.view.toml_text import without

    path = _path_of(name)
    file = change(lambda text: without(text, path))
    _told(invocation, f"{name} is gone from {file}")


@command(
    has_broker=False,
    examples="""
        tq config remove lab
    """,
)
@click.argument("name", metavar="NAME")
@click.pass_obj
def remove(invocation: Invocation, name: str) -> None:
    """Take a context out; the broker itself is not touched."""
    from tq_console.view.config_file import change
    from tq_console.view.toml_text import without
    from tq_core.settings import config_file, contexts, read_config

    if name not in contexts():
        raise NotFoundError(f"{config_file()} has no context {name!r}")
    is_chosen = read_config(config_file()).get("context") == name

    def edit(text: str) -> str:
        text = without(text, ("contexts", name))
        return without(text, ("context",)) if is_chosen else text

    file = change(edit)
    _told(invocation, f"{name} is gone from {file}{'; no context is chosen now' if is_chosen else ''}")


def _path_of(name: str) -> tuple[str, ...]:
    """Where a value stands.

    Raises:
        InvalidInputError: there is no such value.
    """
    from tq_core.settings import CONTEXT_FIELDS

    first, _, rest = name.partition(".")
    if name in ("theme", "context", *FLAGS):
        return (name,)
    if first in ("keys", "views") and rest:
        return (first, rest)
    context, _, field = rest.rpartition(".")
    if first == "contexts" and context and field in CONTEXT_FIELDS:
        return ("contexts", context, field)
    raise InvalidInputError(f"{name!r} cannot be set: there are {SETTABLE} ({', '.join(CONTEXT_FIELDS)})")


def _value_of(path: tuple[str, ...], text: str) -> Any:
    """The value as its type wants it.

    Raises:
        InvalidInputError: it is none of those that are possible.
    """
    from tq_console.tui.look.context_colors import hex_of
    from tq_core.broker_url import parse_url
    from tq_core.settings import contexts

    name = path[-1]
    where = ".".join(path)
    if path[0] == "views":
        from tq_console.view.saved_views import check_view

        check_view(name, text)
        return text
    if path[0] == "keys":
        from tq_console.tui.wiring.keymap import key_problems

        if problems := key_problems({name: text}):
            raise InvalidInputError("; ".join(problems))
        return text
    if name in (*FLAGS, *CONTEXT_FLAGS):
        if text not in ("true", "false"):
            raise InvalidInputError(f"{where}: must be true or false")
        return text == "true"
    if path == ("theme",) and text not in THEME_NAMES:
        raise InvalidInputError(f"there is no theme {text!r}: there are {', '.join(THEME_NAMES)}")
    if path == ("context",) and text not in contexts():
        raise NotFoundError(f"there is no context {text!r}: there are {', '.join(contexts()) or 'none'}")
    if path[0] == "contexts" and path[1] not in contexts():
        raise NotFoundError(f"there is no context {path[1]!r}: `tq config add` adds one")
    if name == "url":
        parse_url(text, source="the address given")
    if name == "color" and hex_of(text) is None:
        raise InvalidInputError(f"{text!r} is no colour that is known; see `tq config add --help`")
    return shlex.split(text) if name == "password_command" else text


def _has_password(url: str) -> bool:
    from tq_core.broker_url import masked_url

    return masked_url(url) != url


def _told(invocation: Invocation, text: str) -> None:
    invocation.out.talk(f"tq: {text}")
