"""`tq broker`: the embedded broker looked at, stopped and wiped; users' permissions; queues of an older version."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from tq_console.cli.commands import Group
from tq_console.cli.confirm import YES, confirm
from tq_console.cli.exit_codes import ExitCode
from tq_console.cli.invocation import Invocation
from tq_console.view.formats import plural, size

if TYPE_CHECKING:
    from tq_core.broker import EmbeddedBroker


@click.group(
    cls=Group,
    examples="""
        tq broker status
        tq broker stop
        tq broker wipe work --yes
        tq broker migrate --dry-run
        tq broker acl --role worker
    """,
)
def broker() -> None:
    """Look at, stop or wipe the embedded broker; migrate queues to this version; print what users must be allowed."""


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


@broker.command(
    examples="""
        tq broker migrate --dry-run                      # what it would change
        tq broker migrate
        tq broker migrate mail --force                   # also while older workers are live
    """
)
@click.argument("queues", metavar="[QUEUE]...", nargs=-1)
@click.option("--dry-run", "is_dry", is_flag=True, help="Only count what would be changed.")
@click.option("--force", "is_forced", is_flag=True, help="Also while workers of an older version are live.")
@click.pass_obj
def migrate(invocation: Invocation, /, *, queues: tuple[str, ...], is_dry: bool, is_forced: bool) -> int:
    """Bring queues that an older tq wrote to this version; may be stopped and run again."""
    from tq_console.cli.task_reading import known_queues
    from tq_core.roles import migration

    known_queues(invocation, queues)
    flow = migration.migrate(queues or None, actor=invocation.actor, is_dry=is_dry, is_forced=is_forced)
    migrated = invocation.run(flow) if is_dry else invocation.change(flow)
    out = invocation.out
    for one in migrated:
        if out.is_json:
            out.record(
                {
                    "queue": one.queue,
                    "from": one.from_version,
                    "to": one.to_version,
                    "changed": one.changed,
                    "is_done": not is_dry,
                }
            )
        else:
            word = "would change" if is_dry else "changed"
            out.line(f"{one.queue}  {one.from_version} -> {one.to_version}  {word} {plural(one.changed, 'task')}")
    if not migrated:
        out.talk("tq: every queue is of this version")
    return ExitCode.OK


@broker.command(
    examples="""
        tq broker acl --role worker
        tq broker acl --role producer --user shop --queue mail
        redis-cli $(tq broker acl --role viewer) '>PASSWORD'
    """
)
@click.option(
    "--role",
    type=click.Choice(["producer", "worker", "viewer", "operator"]),
    required=True,
    help="What the user is there for.",
)
@click.option("--user", help="The user's name; the role's when left out.")
@click.option("--queue", "-q", "queues", multiple=True, help="Only this queue; may be given again.")
@click.pass_obj
def acl(invocation: Invocation, /, *, role: str, user: str | None, queues: tuple[str, ...]) -> int:
    """Print the ACL SETUSER line with the least that a role needs; nothing is sent, the password is added by hand."""
    from tq_core.roles.acl import Role, acl_line

    line = acl_line(Role(role), user or role, queues=queues)
    if invocation.is_json:
        invocation.out.record({"role": role, "user": user or role, "line": line})
    else:
        invocation.out.line(line)
    return ExitCode.OK


def _tell(invocation: Invocation, name: str, word: str) -> None:
    if invocation.is_json:
        invocation.out.record({"name": name, "word": word})
    else:
        invocation.out.line(f"embedded://{name}  {word}")
