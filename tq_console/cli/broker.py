"""`tq broker`: the embedded broker of this machine, looked at, stopped and wiped."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from tq_console.cli.commands import Group
from tq_console.cli.confirm import YES, confirm
from tq_console.cli.exit_codes import ExitCode
from tq_console.cli.invocation import Invocation
from tq_console.view.formats import size

if TYPE_CHECKING:
    from tq_core.broker import EmbeddedBroker


@click.group(
    cls=Group,
    examples="""
        tq broker status
        tq broker stop
        tq broker wipe work --yes
    """,
)
def broker() -> None:
    """Look at, stop or wipe the embedded broker of this machine."""


_NAME = click.argument("name", metavar="[NAME]", required=False)


def _named(invocation: Invocation, name: str | None) -> EmbeddedBroker:
    """The broker that was named, else the one that commands would use.

    Raises:
        RefusedError: commands use a server, which is not ours to stop.
    """
    from tq_core.broker import EmbeddedBroker
    from tq_core.errors import RefusedError

    if name:
        return EmbeddedBroker(name.removeprefix("embedded://"))
    address = invocation.address
    if address.scheme != "embedded":
        raise RefusedError(f"{address.display_url} is no embedded broker: name one, as in `tq broker status default`")
    return EmbeddedBroker(address.name) if address.name else EmbeddedBroker()


@broker.command(
    examples="""
        tq broker status
        tq broker status demo --json | jq .is_running
    """
)
@_NAME
@click.pass_obj
def status(invocation: Invocation, name: str | None) -> None:
    """Show whether it runs, which server it is, where its data lie, and who uses it; starts nothing."""
    found = _named(invocation, name).status()
    out = invocation.out
    users = None if found.users is None else list(found.users)
    if out.is_json:
        out.record(
            {
                "name": found.name,
                "is_running": found.is_running,
                "is_kept": found.is_kept,
                "pid": found.pid,
                "keeper_pid": found.keeper_pid,
                "version": found.version,
                "binary": found.binary,
                "data_dir": str(found.data_dir),
                "socket": None if found.socket is None else str(found.socket),
                "size_bytes": found.size_bytes,
                "users": users,
                "log": str(found.log),
            }
        )
        return
    running = f"runs as process {found.pid}" if found.is_running else "does not run"
    kept = {True: "kept", False: "NOT KEPT once it stops", None: "kept where a real Redis wrote them"}[found.is_kept]
    facts = [
        ("broker", f"embedded://{found.name} {running}"),
        ("server", f"{found.version or 'none yet'}{f', {found.binary}' if found.binary else ''}"),
        ("tasks", kept),
        ("data", f"{found.data_dir} ({size(found.size_bytes)})"),
        ("socket", str(found.socket or "-")),
        ("used by", "not known" if users is None else ", ".join(map(str, users)) or "nobody"),
        ("log", str(found.log)),
    ]
    for label, text in facts:
        out.line(f"{out.paint(label.ljust(8), 'bold')}  {text}")


_FORCE = click.option("--force", is_flag=True, help="Even while other processes use it.")


@broker.command(
    examples="""
        tq broker stop
        tq broker stop work --force
    """
)
@_NAME
@_FORCE
@click.pass_obj
def stop(invocation: Invocation, name: str | None, force: bool) -> int:
    """Stop it; what it holds is kept for the next start, where it runs on a real Redis."""
    found = _named(invocation, name)
    _tell(invocation, found.name, "stopped" if found.stop(force=force) else "did not run")
    return ExitCode.OK


@broker.command(
    examples="""
        tq broker wipe                                   # asks first
        tq broker wipe work --yes
    """
)
@_NAME
@_FORCE
@YES
@click.pass_obj
def wipe(invocation: Invocation, /, *, name: str | None, force: bool, is_sure: bool) -> int:
    """Stop it and delete everything it holds."""
    found = _named(invocation, name)
    state = found.status()
    if state.is_running or state.size_bytes:
        confirm(invocation, what=f"delete all data of the embedded broker {found.name!r}", is_sure=is_sure)
    _tell(invocation, found.name, "wiped" if found.wipe(force=force) else "held nothing")
    return ExitCode.OK


def _tell(invocation: Invocation, name: str, word: str) -> None:
    if invocation.is_json:
        invocation.out.record({"name": name, "word": word})
    else:
        invocation.out.line(f"embedded://{name}  {word}")
