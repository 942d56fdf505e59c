"""`tq gateway`: tasks, queues and workers over HTTP, and the keys that clients show."""

from __future__ import annotations

import asyncio
import importlib.util
import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tq_console.cli.commands import Group
from tq_console.cli.exit_codes import ExitCode
from tq_console.cli.invocation import Invocation
from tq_core.errors import RefusedError

if TYPE_CHECKING:
    from tq_console.gateway.settings import GatewaySettings

EXTRA = ("fastapi", "pydantic", "uvicorn")
ROLES = ("viewer", "operator", "admin")


class _Startable(Group):
    """A group that does something without a command."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Takes an empty line for the command itself."""
        return click.Group.parse_args(self, ctx, args)


@click.group(
    cls=_Startable,
    invoke_without_command=True,
    no_args_is_help=False,
    examples="""
        tq gateway                                       # http://127.0.0.1:8000; its API is described at /docs
        tq gateway --port 5000 --url redis://127.0.0.1:6379/0
        tq gateway new-key web --role operator --keys keys
        tq gateway --host 0.0.0.0 --keys keys            # others must show a key from this file
    """,
)
@click.option("--host", metavar="ADDRESS", help="Where to listen; 127.0.0.1 by default, 0.0.0.0 for all addresses.")
@click.option("--port", type=click.IntRange(1, 65_535), help="Where to listen; PORT, else 8000, by default.")
@click.option(
    "--keys", "key_file", type=click.Path(path_type=Path, dir_okay=False), help="The key file; else TQ_GATEWAY_KEYS."
)
@click.option(
    "--rate", type=click.FloatRange(0.01, 1e6), help="Requests per second of each key or address; no limit by default."
)
@click.pass_context
def gateway(context: click.Context, /, **options: Any) -> int | None:
    """Serve HTTP: submit, watch and steer from programs of any language.

    Without a key only this machine may write. API_KEY is one key that may do everything; `new-key` makes others.
    """
    if context.invoked_subcommand is not None:
        return None
    invocation: Invocation = context.obj
    _must_be_installed()
    from tq_console.gateway.settings import settings_of

    settings = settings_of(
        host=options["host"], port=options["port"], key_file=options["key_file"], rate_per_s=options["rate"]
    )
    return _serve(invocation, settings)


def _must_be_installed() -> None:
    missing = [name for name in EXTRA if importlib.util.find_spec(name) is None]
    if missing:
        raise RefusedError(
            f"the gateway needs {', '.join(missing)}, which is not installed: pip install 'tq-console[gateway]'"
        )


def _serve(invocation: Invocation, settings: GatewaySettings) -> ExitCode:
    from tq_console.gateway import serving
    from tq_console.gateway.link import Link
    from tq_console.gateway.services import Services
    from tq_core.broker_url import BrokerScheme
    from tq_core.transport.backend import open_endpoint

    talk = invocation.out.talk
    address = invocation.address
    if address.scheme is BrokerScheme.GATEWAY:
        raise RefusedError(f"{address.display_url} is a gateway itself: name the broker behind it")
    logging.basicConfig(stream=sys.stderr, format="tq: %(message)s", level=logging.WARNING)
    logging.getLogger("tq.gateway").setLevel(logging.INFO)
    sockets = serving.listen(settings)
    with open_endpoint(address, client_name="tq-gateway") as broker:
        if broker.notice:
            talk(f"tq: {broker.notice}")
        for warning in serving.warnings_of(settings):
            talk(f"tq: {warning}")
        refusal = _refusal(invocation)
        if refusal:
            talk(f"tq: {refusal}: the gateway refuses every write")

        async def run() -> None:
            services = Services(Link(broker.endpoint, refusal=refusal), settings)
            place = f"[{settings.host}]" if ":" in settings.host else settings.host
            talk(f"tq: {services.name} serves {address.display_url} at http://{place}:{settings.port} (API: /docs)")
            await serving.serve(services, sockets)

        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(run())
    talk("tq: the gateway has stopped")
    return ExitCode.OK


def _refusal(invocation: Invocation) -> str:
    """Why the gateway may change nothing; "" = it may. Whoever unlocks a protected context is written down."""
    context = invocation.address.context
    if context is None:
        return ""
    if context.is_read_only:
        return f"the context {context.name!r} is marked read_only"
    if context.is_protected and not invocation.unlock_reason:
        return f"the context {context.name!r} is protected, and it was not said why it is written to (--unlock)"
    if context.is_protected:
        from tq_core.roles import registry

        invocation.change(registry.server_time_ms())  # the first change is where it is written down
    return ""


def _loop_factory() -> Any:
    """The faster event loop, where it is installed."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


@gateway.command(
    "new-key",
    has_broker=False,
    has_json=False,
    examples="""
        tq gateway new-key web --keys keys               # prints the key, once; the file keeps its digest only
        tq gateway new-key grafana --role viewer --keys keys
        tq gateway new-key batch --role operator --rate 50 --keys keys
    """,
)
@click.argument("name")
@click.option("--role", type=click.Choice(ROLES), default="operator", show_default=True, help="What it may do.")
@click.option("--rate", type=click.FloatRange(0.01, 1e6), help="Requests per second; the gateway's own by default.")
@click.option(
    "--keys",
    "key_file",
    type=click.Path(path_type=Path, dir_okay=False),
    envvar="TQ_GATEWAY_KEYS",
    required=True,
    help="The key file, made where it is missing; else TQ_GATEWAY_KEYS.",
)
@click.pass_obj
def new_key(invocation: Invocation, /, *, name: str, role: str, rate: float | None, key_file: Path) -> int:
    """Make a key, add its digest to the key file, and print it.

    A running gateway takes it within a second; a line that is taken out of the file ends its key as soon.
    """
    from tq_console.gateway.keys import KeyRole, add_key

    invocation.out.line(add_key(key_file, name, KeyRole[role.upper()], rate))
    invocation.out.talk(f"tq: {name} may show it from now on; it cannot be printed again")
    return ExitCode.OK
