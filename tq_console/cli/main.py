"""`tq`: finds the command, runs it, and turns whatever happens into one line and an exit code."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import click

from tq_console.cli.commands import LazyGroup
from tq_console.cli.exit_codes import ExitCode, exit_code_of
from tq_console.cli.invocation import Invocation
from tq_console.view.text import visible
from tq_core.errors import TqError

DEBUG_VARIABLE = "TQ_DEBUG"
COMPLETION_VARIABLE = "_TQ_COMPLETE"
"""Set by the shell's completion scripts."""

COMMANDS = {
    "console": ("tq_console.cli.console:console", "Watch and act from the keyboard."),
    "shell": ("tq_console.cli.shell:shell", "Take commands at a prompt, or from a pipe, on one connection."),
    "submit": ("tq_console.cli.submit:submit", "Enqueue a task and print its id."),
    "tasks": (
        "tq_console.cli.tasks:tasks",
        "List, show, export, retry, cancel, kill, delete, reprioritise, move tasks, or wait for one.",
    ),
    "why": (
        "tq_console.cli.why:why",
        "Say what holds a task (ID), a queue or a worker, who did that, and what to do about it.",
    ),
    "dlq": ("tq_console.cli.dlq:dlq", "See, retry, discard, export what failed for good."),
    "undo": (
        "tq_console.cli.undo:undo",
        "Put back what was deleted, purged or cancelled: states, turns and history as they were.",
    ),
    "jobs": ("tq_console.cli.jobs:jobs", "List, show, watch, cancel actions on many tasks."),
    "queues": ("tq_console.cli.queues:queues", "List, pause, resume, purge, limit queues."),
    "cron": ("tq_console.cli.cron:cron", "List, show, add, edit, remove, run, pause, resume schedules."),
    "workers": (
        "tq_console.cli.workers:workers",
        "List, scale, pause, resume, reload, stop, kill workers, or see what they are doing.",
    ),
    "gateway": (
        "tq_console.cli.gateway:gateway",
        "Serve HTTP: submit, watch and steer from programs of any language.",
    ),
    "stats": ("tq_console.cli.stats:stats", "Show queues, workers and rates at a glance."),
    "alerts": (
        "tq_console.cli.alerts:alerts",
        "Check the alert rules of the configuration file, see how they stand, or watch them.",
    ),
    "health": (
        "tq_console.cli.health:health",
        "Check the broker with a write, and whether workers serve what waits.",
    ),
    "doctor": (
        "tq_console.cli.doctor:doctor",
        "Look for what is wrong with broker, queues and workers, and say what to do about it.",
    ),
    "events": ("tq_console.cli.events:events", "Print what happened to tasks, queues and workers, oldest first."),
    "audit": (
        "tq_console.cli.audit:audit",
        "Check that every task is in exactly one state and that all that is kept of it agrees.",
    ),
    "broker": (
        "tq_console.cli.broker:broker",
        "Look at, stop or wipe the embedded broker; migrate queues to this version; print what users must be allowed.",
    ),
    "config": (
        "tq_console.cli.config:config",
        "List, choose and change contexts (brokers with a name), and say how the console is wanted.",
    ),
    "demo": ("tq_console.cli.demo:demo", "Run sample tasks of every kind on a broker and workers of their own."),
    "completion": (
        "tq_console.cli.completion:completion",
        "Print the script that makes a shell complete tq's commands and options.",
    ),
}
"""Name -> where its command is, and its first line of help, so that listing the commands imports none of them."""


def _print_version(context: click.Context, parameter: click.Parameter, value: bool) -> None:
    del parameter
    if value and not context.resilient_parsing:
        from importlib.metadata import version

        print(f"tq {version('tq-console')}")
        context.exit()


@click.group(
    "tq",
    cls=LazyGroup,
    lazy=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    examples="""
        tq submit send_mail to=ana@example.org      # enqueue a task; prints its id
        tq tasks list --state failed                # what went wrong
        tq stats                                    # the whole at a glance
    """,
)
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_print_version, help="Print the version."
)
def tq() -> None:
    """Watch and steer the tasks of a Redis.

    Data goes to stdout, talk to stderr. Exit codes: 0 ok, 1 failed, 2 usage, 3 not found, 4 broker unreachable,
    5 refused, 6 wait timed out, 130 interrupted.
    """


def run(arguments: Sequence[str], *, open_invocation: Callable[[], Invocation] = Invocation) -> int:
    """Runs one command line and returns its exit code; prints everything that is to be said."""
    try:
        code = _run(list(arguments), open_invocation)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read our output has seen enough. What is still buffered must not fail again when Python ends.
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = ExitCode.FAILED
    return int(code)


def _run(arguments: list[str], open_invocation: Callable[[], Invocation]) -> int:
    try:
        with contextlib.closing(open_invocation()) as invocation:
            # Not `tq.main`: that would turn interruptions and broken pipes into exit codes of its own.
            with tq.make_context("tq", arguments, obj=invocation) as context:
                code = tq.invoke(context)
        return code if isinstance(code, int) else ExitCode.OK
    except click.exceptions.Exit as end:
        return end.exit_code
    except click.ClickException as error:
        _say(error.format_message() + _see(error))
        return ExitCode.USAGE
    except (KeyboardInterrupt, click.Abort) as error:
        _say(str(error) or "interrupted")
        return ExitCode.INTERRUPTED
    except TqError as error:
        _say(error.message)
        return exit_code_of(error)
    except BrokenPipeError:
        raise
    except OSError as error:
        # With a name it is a file that was named on the command line; without one, our output has nowhere to go.
        _say(f"{error.filename or 'output'}: {error.strerror or error}")
        return ExitCode.USAGE if error.filename else ExitCode.FAILED
    except Exception as error:  # the seam: a bug ends as one line too
        if os.environ.get(DEBUG_VARIABLE):
            raise
        _say(f"internal error, {type(error).__name__}: {error}; {DEBUG_VARIABLE}=1 shows where")
        return ExitCode.FAILED


def _see(error: click.ClickException) -> str:
    context = error.ctx if isinstance(error, click.UsageError) else None
    return f" (see `{context.command_path} --help`)" if context else ""


def _say(text: str) -> None:
    with contextlib.suppress(OSError):
        print(f"tq: {visible(' '.join(text.split()))}", file=sys.stderr, flush=True)


def main() -> None:
    """The command `tq`."""
    _fill_closed_streams()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError):
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    if COMPLETION_VARIABLE in os.environ:
        tq.main(prog_name="tq", complete_var=COMPLETION_VARIABLE)
    sys.exit(run(sys.argv[1:]))


def _fill_closed_streams() -> None:
    """Gives the process the streams that it was started without, as by `tq … <&-`."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115 - for good


def console_main() -> None:
    """The command `tq-console`."""
    sys.argv[1:1] = ["console"]
    main()
