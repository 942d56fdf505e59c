"""`tq demo`: a broker, two workers and tasks of every kind, to be watched in the console or checked one by one."""

from __future__ import annotations

import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import click

from tq_console.cli.commands import command
from tq_console.cli.exit_codes import ExitCode
from tq_console.cli.invocation import Invocation
from tq_console.cli.progress import Progress
from tq_console.view.formats import duration
from tq_console.view.tables import Cell, Column

if TYPE_CHECKING:
    from tq_console.cli.demo_tasks import DemoTask, Views
    from tq_console.cli.demo_worker import DemoWorker
    from tq_core.model import TaskView

NAME = "demo"
URL = f"embedded://{NAME}"
DEADLINE_S = 60.0
POLL_S = 0.1


@command(
    has_broker=False,
    examples="""
        tq demo                                          # the console over a broker with sample tasks
        tq demo --headless                               # exit code 0 only if every task ended as intended
        TQ_URL=embedded://demo tq events -f              # in a second terminal, meanwhile
    """,
)
@click.option("--headless", is_flag=True, help="Without the console: a fixed set of tasks, each checked.")
@click.pass_obj
def demo(invocation: Invocation, headless: bool) -> int:
    """Run sample tasks of every kind on a broker and workers of their own.

    In a terminal the console shows them, with more coming in all the time; else a fixed set runs and is checked.
    Everything that it starts ends with it, however it ends, and what it stored is deleted.
    """
    from tq_console.tui.launch import has_terminal

    if invocation.url or invocation.context:
        raise click.UsageError(f"the demo has a broker of its own, {URL}", click.get_current_context())
    with ExitStack() as stack:
        stack.enter_context(_signals_interrupt())
        _open_broker(invocation, stack)
        if headless or invocation.is_json or not has_terminal():
            return _run(invocation, stack)
        return _run_console(invocation, stack)


def _open_broker(invocation: Invocation, stack: ExitStack) -> None:
    """Starts the demo's broker empty, and has it deleted at the end.

    Raises:
        RefusedError: a demo runs already.
    """
    from tq_core.broker import EmbeddedBroker, open_embedded
    from tq_core.errors import RefusedError

    try:
        lease = open_embedded(NAME, linger_s=0, is_fresh=True)
    except RefusedError as error:
        raise RefusedError(f"a demo runs already, or another program uses {URL}: end it first") from error
    stack.callback(lease.close)
    stack.callback(EmbeddedBroker(NAME).wipe, force=True)
    stack.callback(invocation.close)
    stack.callback(_ignore_signals)
    invocation.url = URL
    out = invocation.out
    if lease.notice:
        out.talk(f"tq: {lease.notice}")
    out.talk(f"tq: the demo's broker is {URL}; in a second terminal: TQ_URL={URL} tq stats")


def _run_console(invocation: Invocation, stack: ExitStack) -> int:
    """Shows the console while sample tasks come in."""
    from tq_console.cli.console import inside_commands, wanted_preferences
    from tq_console.cli.demo_tasks import QUEUE, SECOND_QUEUE
    from tq_console.cli.demo_trickle import Trickle
    from tq_console.cli.demo_worker import DemoWorker
    from tq_console.tui.launch import run_console

    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tq-demo-")))
    worker = DemoWorker(URL, (QUEUE, SECOND_QUEUE), folder)
    stack.callback(worker.stop)
    trickle = Trickle(invocation.runner.endpoint, actor=invocation.actor)
    stack.callback(trickle.stop)
    stack.callback(_ignore_signals)
    trickle.start()
    return run_console(
        invocation.address, actor=invocation.actor, make_commands=inside_commands, preferences=wanted_preferences()
    )


def _run(invocation: Invocation, stack: ExitStack) -> ExitCode:
    from tq_console.cli.demo_tasks import QUEUE, SECOND_QUEUE, TASKS
    from tq_console.cli.demo_worker import DemoWorker
    from tq_console.cli.stats import print_dashboard

    ids = _enqueue(invocation, TASKS)
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tq-demo-")))
    worker = DemoWorker(URL, (QUEUE, SECOND_QUEUE), folder)
    stack.callback(worker.stop)
    stack.callback(_ignore_signals)
    started_s = time.monotonic()
    views = _watch(invocation, TASKS, ids, worker)
    took_ms = (time.monotonic() - started_s) * 1000
    if invocation.is_json:
        return _print_records(invocation, TASKS, views)
    print_dashboard(invocation)
    invocation.out.line()
    return _print_outcome(invocation, TASKS, views, took_ms)


def _enqueue(invocation: Invocation, tasks: tuple[DemoTask, ...]) -> dict[str, str]:
    """Enqueues all tasks before a worker runs; returns their ids by label."""
    from tq_core.roles import producer

    ids: dict[str, str] = {}
    for task in tasks:
        ids[task.label] = invocation.run(producer.enqueue_one(task.queue, task.new_task(invocation.actor)))
    return ids


def _watch(invocation: Invocation, tasks: tuple[DemoTask, ...], ids: dict[str, str], worker: DemoWorker) -> Views:
    """Waits until all tasks have ended or the time is over, and does to some what is to be done to them."""
    from tq_core.roles import inspector, operator

    to_act = {task.label: task.act for task in tasks if task.act}
    deadline_s = time.monotonic() + DEADLINE_S
    with Progress("tasks ended", total=len(tasks)) as progress:
        while True:
            shown = invocation.run(inspector.show(list(ids.values())))
            views = {label: view for label, view in zip(ids, shown, strict=True) if view is not None}
            for label, act in list(to_act.items()):
                verb, _, state = act.partition(" ")
                if state in {"", views[label].state}:
                    invocation.run(
                        operator.cancel([ids[label]], actor=invocation.actor, why="demo", kill=verb == "kill")
                    )
                    del to_act[label]
            progress.reach(sum(view.state.is_terminal for view in views.values()))
            if progress.done == len(tasks) or time.monotonic() > deadline_s:
                return views
            if worker.exit_code is not None:
                progress.clear()
                invocation.out.talk(f"tq: the workers ended with exit code {worker.exit_code}: {worker.last_words}")
                return views
            time.sleep(POLL_S)


def _print_outcome(invocation: Invocation, tasks: tuple[DemoTask, ...], views: Views, took_ms: float) -> ExitCode:
    out = invocation.out
    columns = [
        Column("TASK"),
        Column("TYPE"),
        Column("INTENDED"),
        Column("WHAT HAPPENED", is_flexible=True),
        Column("TOOK", is_right=True),
        Column(""),
    ]
    rows: list[tuple[str | Cell, ...]] = []
    good = 0
    for task in tasks:
        view = views.get(task.label)
        is_good = task.is_as_intended(views)
        good += is_good
        mark = Cell("ok", "green") if is_good else Cell("NOT AS INTENDED", "red")
        took = duration(view.duration_ms) if view and view.duration_ms is not None else ""
        rows.append((task.label, task.task_type, task.intent, _happened(invocation, view), took, mark))
    out.table(columns, rows)
    out.line()
    out.line(f"{good} of {len(tasks)} tasks ended as intended, in {duration(took_ms)}")
    return ExitCode.OK if good == len(tasks) else ExitCode.FAILED


def _happened(invocation: Invocation, view: TaskView | None) -> str:
    from tq_console.view.task_page import error_text

    if view is None:
        return "is gone"
    attempt = f" at attempt {view.attempt}" if view.attempt else ""
    return f"{view.state}{attempt} {error_text(view.error, invocation.masker)}".rstrip()


def _print_records(invocation: Invocation, tasks: tuple[DemoTask, ...], views: Views) -> ExitCode:
    from tq_console.view.records import task_record

    is_good = all(task.is_as_intended(views) for task in tasks)
    records = [
        {
            "label": task.label,
            "intended": task.intent,
            "is_as_intended": task.is_as_intended(views),
            "task": task_record(views[task.label], invocation.masker) if task.label in views else None,
        }
        for task in tasks
    ]
    invocation.out.record({"is_as_intended": is_good, "tasks": records})
    return ExitCode.OK if is_good else ExitCode.FAILED


@contextmanager
def _signals_interrupt() -> Iterator[None]:
    """Makes SIGTERM and SIGHUP end the demo as Ctrl-C does: in order."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        del frame
        raise KeyboardInterrupt(f"interrupted by {signal.Signals(number).name}")

    numbers = (signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, interrupt) for number in (*numbers, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _ignore_signals() -> None:
    """From here on everything is being ended; a second Ctrl-C must not leave half of it."""
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
