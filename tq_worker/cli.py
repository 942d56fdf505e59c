"""The command `tq-worker`."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from tq_core.errors import TqError
from tq_core.worker_bounds import MAX_PROCESSES, Bounds
from tq_worker import exit_codes, settings
from tq_worker.lifecycle_log import FORMATS, LEVELS, LifecycleLog, escape

if TYPE_CHECKING:
    from tq_worker.queue_shares import QueueShares
    from tq_worker.supervisor.systemd import ServiceManager

T = TypeVar("T")

STDERR = 2

EXAMPLES = """\
  tq-worker app             the only TaskQueue in app.py of this folder
  tq-worker shop.tasks:tq   the TaskQueue `tq` in shop/tasks.py
  tq-worker --samples       the sample tasks that come with tq
"""

HELP_END = f"""\b
Examples:
{EXAMPLES}
\b
Exit codes: 0 left as asked, 1 failed, 2 the command or your code cannot be used as it is,
4 the broker cannot be reached, 5 the broker or a rule refused."""

CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 110}


@click.command(context_settings=CONTEXT, epilog=HELP_END, add_help_option=True)
@click.argument("apps", metavar="MODULE[:OBJECT]...", nargs=-1)
@click.option("--samples", is_flag=True, help="Also run the sample tasks that come with tq.")
@click.option(
    "--app-dir",
    metavar="FOLDER",
    default=".",
    show_default="this folder",
    type=click.Path(exists=True, file_okay=False),
    help="Where to look for the modules first.",
)
@click.option("--url", metavar="URL", help="The broker; beats the one your TaskQueue names. Also TQ_URL.")
@click.option("--context", metavar="NAME", help="A context of the configuration file, instead of --url.")
@click.option(
    "--queues",
    metavar="A[:3],B[:1],...",
    envvar="TQ_QUEUES",
    help="Which queues to serve, with their shares of the tasks.  [default: those of your task types, and `default`]",
)
@click.option(
    "--order",
    type=click.Choice(settings.ORDERS),
    default="fair",
    show_default=True,
    envvar="TQ_ORDER",
    help="Take turns between the queues by their shares, or always the first that has tasks.",
)
@click.option(
    "--processes",
    metavar="N",
    type=click.IntRange(1, MAX_PROCESSES),
    envvar="TQ_PROCESSES",
    show_default=f"CPUs, at most {settings.MOST_DEFAULT_PROCESSES}",
    help="Worker processes.",
)
@click.option(
    "--slots",
    metavar="C",
    type=click.IntRange(1, settings.MAX_SLOTS),
    default=settings.DEFAULT_SLOTS,
    show_default=True,
    envvar="TQ_SLOTS",
    help="Tasks that one process runs at once.",
)
@click.option(
    "--autoscale",
    metavar="MIN:MAX",
    envvar="TQ_AUTOSCALE",
    help="Run between MIN and MAX worker processes, by what waits and for how long; instead of --processes.",
)
@click.option(
    "--burst",
    is_flag=True,
    envvar="TQ_BURST",
    help="End when nothing is left that could run now. What is due later is left.",
)
@click.option(
    "--max-tasks",
    metavar="N",
    type=click.IntRange(1, settings.MAX_TASKS),
    envvar="TQ_MAX_TASKS",
    help="Replace a worker process by a fresh one after about N tasks.",
)
@click.option(
    "--tag",
    "tags",
    metavar="TAG",
    multiple=True,
    envvar="TQ_TAGS",
    help="What people choose nodes by, such as gpu or zone=a; may be given again.",
)
@click.option("--name", metavar="NAME", default="", envvar="TQ_NAME", help="What the node is called.  [default: host]")
@click.option(
    "--lease",
    metavar="SECONDS",
    type=click.FloatRange(1, 86_400),
    default=settings.LEASE_S,
    show_default=True,
    envvar="TQ_LEASE_S",
    help="How long a silent worker keeps its tasks.",
)
@click.option(
    "--heartbeat",
    metavar="SECONDS",
    type=click.FloatRange(0.1, settings.MAX_HEARTBEAT_S),
    default=settings.HEARTBEAT_S,
    show_default=True,
    envvar="TQ_HEARTBEAT_S",
    help="How often node and workers say that they live.",
)
@click.option(
    "--drain-timeout",
    metavar="SECONDS",
    type=click.FloatRange(0, 86_400),
    default=settings.DRAIN_TIMEOUT_S,
    show_default=True,
    envvar="TQ_DRAIN_TIMEOUT_S",
    help="After SIGTERM: how long running tasks may take. What is left is given back.",
)
@click.option(
    "--http",
    metavar="HOST:PORT",
    envvar="TQ_HTTP",
    help=f"Answer /healthz, /readyz and /metrics there; HOST alone means port {settings.HTTP_PORT}, "
    ":PORT every address of the machine.  [default: off]",
)
@click.option(
    "--start-method",
    type=click.Choice(settings.START_METHODS),
    default="fork",
    show_default=True,
    envvar="TQ_START_METHOD",
    help="Fork workers, where that is safe, or start each as a new interpreter.",
)
@click.option(
    "--loop",
    "event_loop",
    type=click.Choice(settings.EVENT_LOOPS),
    default="auto",
    show_default=True,
    envvar="TQ_LOOP",
    help="The event loop of the workers; auto is uvloop where it is installed.",
)
@click.option(
    "--max-memory",
    metavar="MB",
    type=click.IntRange(1),
    envvar="TQ_MAX_MEMORY_MB",
    help="A worker process that uses more is replaced when its tasks have ended.",
)
@click.option(
    "--cpu-affinity",
    is_flag=True,
    envvar="TQ_CPU_AFFINITY",
    help="Each worker process runs on one CPU, in turn.",
)
@click.option("--log-format", type=click.Choice(FORMATS), default="text", show_default=True, envvar="TQ_LOG_FORMAT")
@click.option("--log-level", type=click.Choice(list(LEVELS)), default="info", show_default=True, envvar="TQ_LOG_LEVEL")
@click.option(
    "--tracing/--no-tracing",
    default=None,
    envvar="TQ_TRACING",
    show_default="on where OTEL_EXPORTER_OTLP_ENDPOINT is set",
    help="Record OpenTelemetry spans and send them by OTLP over HTTP.",
)
@click.version_option(package_name="tq-console", prog_name="tq-worker")
def command(apps: tuple[str, ...], *, samples: bool, queues: str | None, processes: int | None, **given: Any) -> None:
    """Run the tasks of your code.

    MODULE alone means the only TaskQueue in it. This node has one supervisor and N worker processes with C slots each.
    The first SIGTERM or Ctrl-C lets running tasks finish, the second one gives them back and stops at once. SIGHUP
    loads your code anew, one worker after the other.
    """
    from tq_worker.app_loading import SAMPLES

    wanted = (*apps, *([SAMPLES] if samples else []))
    if not wanted:
        click.echo(f"Say which code to run, for example:\n\n{EXAMPLES}", err=True)
        raise click.UsageError("no MODULE was given", ctx=click.get_current_context())
    shares = _shares(queues)
    if shares is not None and shares.weights and given["order"] == "strict":
        raise click.BadParameter("shares have no meaning in strict order: leave one of them out", param_hint="--queues")
    bounds = None if given["autoscale"] is None else _read("--autoscale", Bounds.parse, given["autoscale"])
    if bounds is not None and processes is not None:
        raise click.BadParameter(
            "it sets how many processes there are: leave out --processes", param_hint="--autoscale"
        )
    if processes is None:
        processes = settings.default_processes() if bounds is None else max(1, bounds.least)
    if given["cpu_affinity"]:
        _check_cpus(processes if bounds is None else bounds.most)
    tracing, notice = _tracing(given["tracing"])
    node_settings = settings.NodeSettings(
        apps=wanted,
        app_dir=os.path.abspath(given["app_dir"]),  # noqa: PTH100 - resolve() would follow links
        url=given["url"],
        context=given["context"],
        queues=shares.queues if shares is not None else None,
        weights=shares.weights if shares is not None else {},
        order=given["order"],
        processes=processes,
        slots=given["slots"],
        max_tasks=given["max_tasks"],
        is_burst=given["burst"],
        autoscale=bounds,
        name=given["name"],
        tags=_tags(given["tags"]),
        lease_s=given["lease"],
        heartbeat_s=given["heartbeat"],
        drain_timeout_s=given["drain_timeout"],
        start_method=given["start_method"],
        event_loop=given["event_loop"],
        max_memory_mb=given["max_memory"],
        is_pinned=given["cpu_affinity"],
        log_format=given["log_format"],
        log_level=given["log_level"],
        http=_http(given["http"]),
        tracing=tracing,
    )
    sys.exit(_run(node_settings, notice))


def _tracing(asked: bool | None) -> tuple[str, str]:
    """One of trace_export.MODES, and what is to be said of it."""
    from tq_worker import trace_export

    mode = trace_export.mode(asked)
    if mode != "on" or trace_export.is_installed():
        return mode, ""
    missing = f"OpenTelemetry is not installed: {trace_export.INSTALL}"
    if asked:
        raise click.UsageError(f"--tracing: {missing}", ctx=click.get_current_context())
    return "auto", f"no spans are sent although an OTLP endpoint is set: {missing}"


def _read(option: str, parse: Callable[[str], T], text: str) -> T:
    try:
        return parse(text)
    except TqError as error:
        raise click.BadParameter(error.message, param_hint=option) from error


def _shares(text: str | None) -> QueueShares | None:
    from tq_worker.queue_shares import parse_queues

    return None if text is None else _read("--queues", parse_queues, text)


def _check_cpus(processes: int) -> None:
    cpus = settings.usable_cpus()
    if not cpus:
        raise click.BadParameter("this system cannot bind processes to CPUs: leave it out", param_hint="--cpu-affinity")
    if processes > len(cpus):
        raise click.BadParameter(
            f"{processes} processes cannot have a CPU each, this node may use {len(cpus)}: ask for fewer --processes",
            param_hint="--cpu-affinity",
        )


def _tags(given: tuple[str, ...]) -> tuple[str, ...]:
    from tq_core import names

    found = tuple(dict.fromkeys(given))
    if len(found) > settings.MAX_TAGS:
        raise click.BadParameter(f"{len(found)} tags: give at most {settings.MAX_TAGS}", param_hint="--tag")
    return tuple(_read("--tag", names.check_tag, tag) for tag in found)


def _http(text: str | None) -> settings.HttpAddress | None:
    try:
        return settings.http_address(text) if text else None
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--http") from error


def _run(node_settings: settings.NodeSettings, notice: str) -> int:
    manager = _service_manager()  # first of all: no process that is made may inherit its variables
    import asyncio

    from tq_worker import zygote
    from tq_worker.supervisor.node import Node

    # All that workers share is loaded, and there is no thread or loop yet.
    made = zygote.start() if node_settings.start_method == "fork" else None
    gc.freeze()
    gc.enable()
    log = LifecycleLog(STDERR, style=node_settings.log_format, level=node_settings.log_level)
    if notice:
        log.write("warning", "tracing", text=notice)
    code, said = asyncio.run(Node(node_settings, log, zygote=made, manager=manager).run())
    log.close()
    if said:
        click.echo(f"tq-worker: {escape(said)}", err=True)
    return code


def _service_manager() -> ServiceManager | None:
    if not os.environ.get("NOTIFY_SOCKET"):
        return None
    from tq_worker.supervisor.systemd import service_manager

    return service_manager()


def main() -> None:
    """Runs the command; what cannot be understood is said in one line, as `tq` says it."""
    try:
        # `--help` and the like return; a node exits by itself.
        command.main(prog_name="tq-worker", standalone_mode=False)
    except click.ClickException as error:
        click.echo(f"tq-worker: {escape(error.format_message())} (see `tq-worker --help`)", err=True)
        sys.exit(exit_codes.USAGE)
